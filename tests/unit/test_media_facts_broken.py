"""Files that are cut, broken, or say what cannot be: each is told in words, by both twins. And what is no error."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import pytest

from support import films, pictures, sounds

if TYPE_CHECKING:
    from types import ModuleType


def told_of(media: ModuleType, data: bytes) -> dict[str, Any]:
    told: dict[str, Any] = media.read_media(lambda at, count: data[at : at + count], len(data))
    return told


def put(data: bytes, at: int, what: bytes) -> bytes:
    return data[:at] + what + data[at + len(what) :]


PNG, JPEG, GIF, BMP, TIFF = pictures.png(), pictures.jpeg(), pictures.gif(), pictures.bmp(), pictures.tiff()
WEBP, ANIMATED = pictures.webp(), pictures.webp(b"VP8X", delays=[10, 20])
BIG = pictures.tiff(big=True)


def tiff_in(parts: int, *, tiles: bool = False) -> bytes:
    """A grey TIFF of 4 by *parts* pixels, each row a strip, or a tile, of its own."""
    where, length = (324, 325) if tiles else (273, 279)
    tags = [(256, 4, 1, 4), (257, 4, 1, parts), (where, 4, parts, 0), (length, 4, parts, 0)]
    end = 8 + 2 + 12 * len(tags) + 4
    lists = end if parts > 1 else 0
    begin = end + (8 * parts if parts > 1 else 0)
    tags[2] = (where, 4, parts, lists or begin)
    tags[3] = (length, 4, parts, lists + 4 * parts if lists else 4)
    data = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    data += struct.pack("<I", 0)
    if lists:
        data += struct.pack(f"<{parts}I", *range(begin, begin + 4 * parts, 4)) + struct.pack("<I", 4) * parts
    return data + bytes(4 * parts)


PICTURES = [
    (tiff_in(1)[:-1], "the TIFF is cut: its picture goes on"),
    (tiff_in(3)[:-1], "the TIFF is cut: its picture goes on"),
    (tiff_in(3, tiles=True)[:-1], "the TIFF is cut: its picture goes on"),
    (PNG[:20], "the PNG is cut"),
    (PNG[:40], "the PNG is cut"),
    (PNG[:-6], "the PNG is cut"),
    (PNG[:-12], "the PNG is cut"),
    (put(PNG, 12, b"IDAT"), "begins with its IHDR"),
    (put(PNG, 8, b"\0\0\0\x0e"), "has 13 bytes"),
    (pictures.png(0, 5), "0 by 5 pixels cannot be"),
    (put(PNG, 24, b"\3"), "3 bits cannot be"),
    (put(PNG, 25, b"\5"), "color type 5"),
    (put(PNG, 33, b"\xff\xff\xff\xff"), "length cannot be"),
    (put(PNG, 33, b"\x7f\xff\xff\xff"), "goes on to byte 2147483692"),
    (pictures.png(before=pictures.chunk(b"acTL", b"\0" * 8)), "no frames"),
    (pictures.png()[:33] + pictures.chunk(b"IEND", b""), "without its picture"),
    (JPEG[:30], "the JPEG is cut"),
    (JPEG[:-2], "its picture has no end"),
    (JPEG[:-4], "its picture has no end"),
    (pictures.jpeg(0, 5), "0 by 5 pixels cannot be"),
    (pictures.jpeg(before=b"\xff\xe0\0\1"), "segments are broken"),
    (pictures.jpeg(before=b"\xff\xe0\0\2\0"), "segments are broken"),
    (pictures.jpeg(before=b"\xff\x01" * 1000), "too many segments"),
    (b"\xff\xd8\xff\xda\0\2" + b"\0" * 9, "without the head of its frame"),
    (b"\xff\xd8\xff\xd9", "without the head of its frame"),
    (JPEG[: JPEG.index(b"\xff\xda")] + b"\xff\xd9", "without its picture"),
    (pictures.jpeg(parts=0), "frame is broken"),
    (pictures.jpeg(depth=1), "frame is broken"),
    (pictures.jpeg(before=pictures.segment(0xC0, b"\x08\0\1\0\1\3")), "frame is broken"),
    (GIF[:9], "the GIF is cut"),
    (GIF[:30], "the GIF is cut"),
    (GIF[:-1], "the GIF is cut"),
    (pictures.gif(0, 1), "0 by 1 pixels"),
    (GIF[:-1] + b"\x99", "blocks are broken"),
    (pictures.gif().replace(b"\x02\x02\x4c\x01", b"\x0d\x02\x4c\x01"), "picture is broken"),
    (WEBP[:20], "the WebP is cut"),
    (ANIMATED[:-3], "its RIFF goes on"),
    (WEBP.replace(b"\x9d\x01\x2a", b"abc"), "frame is broken"),
    (pictures.webp(b"VP8L").replace(b"\x2f", b"\x30"), "frame is broken"),
    (put(WEBP, 12, b"VP9 "), "no known kind"),
    (pictures.webp(width=0), "0 by 30 pixels"),
    (put(WEBP, 16, b"\xff"), "chunk at byte 12 is longer"),
    (ANIMATED.replace(b"ANMF\x24", b"ANMF\x04"), "frame is broken"),
    (ANIMATED.replace(b"ANMF", b"XXXX"), "without its picture"),
    (BMP[:20], "the BMP is cut"),
    (BMP[:-1], "its picture goes on"),
    (pictures.bmp(0), "0 by 8 pixels"),
    (put(BMP, 18, b"\xff\xff\xff\xff"), "-1 by 8 pixels"),
    (put(BMP, 14, b"\x0b"), "head has 11 bytes"),
    (put(BMP, 28, b"\x07"), "7 bits with method 0"),
    (put(BMP, 26, b"\x02"), "cannot be"),
    (put(BMP, 30, b"\x07"), "24 bits with method 7 cannot be"),
    (put(BMP, 33, b"\x01"), "method 16777216 cannot be"),
    (put(BMP, 28, b"\0"), "0 bits with method 0"),
    (put(BMP, 30, b"\x04"), "24 bits with method 4"),
    (put(BMP, 10, b"\x20\0\0\0"), "begin in its head"),
    (TIFF[:6], "the TIFF is cut"),
    (TIFF[:20], "its page of 5 tags"),
    (put(TIFF, 4, b"\0\0\0\0"), "without a page"),
    (put(TIFF, 4, b"\4\0\0\0"), "begin in its head"),
    (put(TIFF, 4, b"\xff\xff\xff\xff"), "its page goes on"),
    (put(TIFF, 8, b"\0\0"), "no tags"),
    (put(TIFF, 8, b"\xff\xff"), "65535 tags"),
    (put(TIFF, 10, b"\xff"), "no width or no height"),
    (put(TIFF, 12, b"\x09"), "tag 256 is broken"),
    (put(TIFF, 14, b"\0"), "tag 256 is broken"),
    (put(TIFF, 42, b"\xff\xff\xff\xff"), "its tag 258 goes on"),
    (pictures.tiff([(0, 4)]), "0 by 4 pixels"),
    (pictures.tiff(depth=0), "samples of 0 bits"),
    (pictures.tiff([(1, 1), (2, 2)])[:70] + b"\x08\0\0\0" + pictures.tiff([(1, 1), (2, 2)])[74:], "circles"),
    (put(BIG, 4, b"\4"), "head is broken"),
    (put(BIG, 8, b"\xff" * 8), "its page goes on to byte 18446744073709551623"),
    (put(BIG, 16, b"\xff" * 8), "page of 18446744073709551615 tags"),
]
WAV, MP3, AAC, FLAC = sounds.wav(), sounds.mp3(), sounds.adts(), sounds.flac()
OGG = sounds.ogg(sounds.vorbis_head())
SOUNDS = [
    (WAV[:30], "the WAV is cut"),
    (WAV[:-5], "its RIFF goes on"),
    (put(WAV[:-5], 4, b"\0\0\0\0"), "its sound goes on"),
    (put(WAV, 16, b"\x08"), "format is broken"),
    (put(WAV, 22, b"\0"), "0 channels"),
    (put(WAV, 24, b"\0\0\0\0"), "at 0 Hz cannot be"),
    (put(WAV, 32, b"\0\0"), "cannot be"),
    (put(WAV, 34, b"\x18"), "24 bits in 2 bytes"),
    (WAV.replace(b"fmt ", b"fmtx"), "without its format"),
    (WAV.replace(b"data", b"dato"), "without its sound"),
    (WAV.replace(b"data", b"dato").replace(b"fmt \x10\0\0\0", b"fmt \xff\xff\xff\xff"), "chunk at byte 12"),
    (put(sounds.wav(kind=b"RF64"), 28, b"\xff" * 8), "its sound goes on"),
    (sounds.id3(100)[:50], "its tag of ID3 goes on"),
    (put(sounds.id3() + MP3, 6, b"\xff"), "tag of ID3 whose length"),
    (sounds.id3(100) + b"\0" * 50, "without a frame"),
    (MP3[:200], "its first frame goes on"),
    (sounds.mp3(3, xing=1 << 31), "2147483648 frames in"),
    (AAC[:-1], "its frame at byte 80"),
    (AAC[:5], "the AAC is cut"),
    (put(AAC, 2, b"\x7c"), "frame is broken"),
    (put(AAC, 20, b"\0"), "frames are broken at byte 20"),
    (sounds.adts(length=6), "shorter than its head"),
    (FLAC[:30], "the FLAC is cut"),
    (put(FLAC, 4, b"\x81"), "begins with its STREAMINFO"),
    (put(FLAC, 7, b"\x21"), "begins with its STREAMINFO"),
    (put(FLAC, 18, b"\0\0\0"), "at 0 Hz"),
    (FLAC[:42], "it has no frame"),
    (FLAC[:-150], "of its 44100 samples it has 40960"),
    (sounds.flac(frames=7), "of its 44100 samples it has 28672"),
    (sounds.flac(picture=10)[:50], "its block goes on"),
    (put(sounds.flac(picture=10), 42, b"\x7f"), "blocks are broken"),
    (OGG[:20], "the Ogg is cut"),
    (OGG[:50], "the Ogg is cut"),
    (OGG[:-1], "its last page is not all there"),
    (OGG[:-60], "its last page is not all there"),
    (put(OGG, 5, b"\0"), "begins with a stream's first page"),
    (put(OGG, 58, b"X"), "pages are broken at byte 58"),
    (put(OGG, 4, b"\1"), "pages are broken at byte 0"),
    (sounds.ogg(sounds.vorbis_head(0)), "0 channels"),
    (sounds.ogg(sounds.vorbis_head(rate=0)), "at 0 Hz"),
    (sounds.ogg(sounds.vorbis_head()[:20]), "Vorbis is broken"),
    (sounds.ogg(sounds.opus_head()[:12]), "Opus is broken"),
    (sounds.ogg(sounds.opus_head(0)), "0 channels"),
    (sounds.ogg(sounds.flac_head()[:30]), "FLAC is broken"),
    (sounds.ogg(sounds.flac_head(rate=0)), "at 0 Hz"),
    (sounds.ogg(sounds.speex_head()[:40]), "Speex is broken"),
    (sounds.ogg(sounds.theora_head()[:40]), "Theora is broken"),
    (sounds.ogg(b"OVP80\x02"), "VP8 is broken"),
    (OGG + b"OggS\0\0", "its last page is not all there"),
    (sounds.ogg(sounds.theora_head(0)), "0 by 180 pixels"),
    (sounds.ogg(sounds.theora_head(below=0)), "frames have no rate"),
]
VIDEO, AUDIO = films.track(b"vide", films.video_entry()), films.track(b"soun", films.audio_entry())
MP4, FRONT = films.mp4(films.moov(VIDEO, AUDIO)), films.mp4(films.moov(VIDEO), first=True)
AVI = films.avi(audio=sounds.wav()[20:36])
MKV = films.matroska(films.video_track(), films.audio_track())


def movie(*tracks: bytes, **more: Any) -> bytes:
    return films.mp4(films.moov(*tracks, **more))


def video(**more: Any) -> bytes:
    return movie(films.track(b"vide", films.video_entry(), **more))


def segment(*content: bytes, **more: Any) -> bytes:
    return films.element(0x1A45DFA3, films.element(0x4282, b"webm")) + films.element(
        0x18538067, b"".join(content), **more
    )


def tracks(*content: bytes) -> bytes:
    return segment(films.element(0x1549A966, b""), films.element(0x1654AE6B, b"".join(content)))


FILMS = [
    (MP4[:-10], "its box `moov` goes on"),
    (MP4[:100], "its box `mdat` goes on"),
    (FRONT[:-1], "its box `mdat` goes on"),
    (films.FTYP + films.box(b"mdat", b"d"), "the MP4 has no `moov`"),
    (films.FTYP + films.box(b"free", size=7) + b"x" * 20, "box `free` at byte 24 is shorter than its head"),
    (films.FTYP + films.box(b"mdat", b"d", size=15, long=True), "is shorter than its head"),
    (films.FTYP + films.box(b"mdat", b"d", size=(1 << 64) - 1, long=True), "goes on to byte 18446744073709551639"),
    (films.mp4(put(films.moov(VIDEO), 8, b"\0\1\0\0")), "box `mvhd` at byte 148 is longer than `moov`, which it is in"),
    (films.mp4(films.box(b"moov", VIDEO)), "`moov` has no `mvhd`"),
    (films.mp4(films.box(b"moov", films.box(b"mvhd", b"\0" * 10))), "`mvhd` is too short"),
    (movie(VIDEO, scale=0), "`mvhd` has a second of no parts"),
    (video(scale=0), "`mdhd` has a second of no parts"),
    (movie(films.track(b"vide", films.video_entry(0))), "0 by 180 pixels"),
    (movie(films.track(b"vide", films.video_entry(0, 0), shown=(0, 0))), "0 by 0 pixels"),
    (movie(films.track(b"vide", films.box(b"avc1", b"\0" * 40))), "description of a track does not fit"),
    (movie(films.track(b"soun", films.box(b"mp4a", b"\0" * 20))), "description of a track does not fit"),
    (movie(films.track(b"soun", films.box(b"mp4a", b"\0" * 4))), "description of a track does not fit"),
    (movie(films.track(b"vide", films.box(b"avc1", b"\0" * 80, size=5000))), "description of a track does not fit"),
    (movie(films.track(b"soun", films.audio_entry(0, more=b""))), "0 channels"),
    (video(times=[(1, 1)] * 3).replace(b"\0\0\0\0\0\0\0\3", b"\0\0\0\0\0\0\xff\3"), "`stts` of 65283 entries"),
    (video(sizes=struct.pack(">II", 0, 1 << 31)), "`stsz` of 2147483648 entries"),
    (movie(VIDEO.replace(b"stsd\0\0\0\0\0\0\0\1", b"stsd\0\0\0\0\0\0\0\0")), "track is not described"),
    (movie(VIDEO.replace(b"stsd", b"xxxx")), "track is not described"),
    (AVI[:-1], "its RIFF goes on"),
    (put(AVI[:-40], 4, b"\0\0\0\0"), "chunk at byte"),
    (AVI.replace(b"hdrl", b"xxxx"), "without its head"),
    (films.avi(0), "0 by 180 pixels"),
    (movie(films.track(b"vide", b"")), "`stsd` is too short"),
    (put(AVI, AVI.index(b"avih") + 4, b"\xff\xff"), "longer than the list it is in"),
    (put(AVI, AVI.index(b"strl") + 8, b"\xff\xff"), "longer than the list it is in"),
    (AVI.replace(b"avih\x38", b"avih\x10"), "head is broken"),
    (AVI.replace(b"strh\x38", b"strh\x10"), "stream is broken"),
    (films.avi(audio=b"\1\0\2\0"), "sound is broken"),
    (films.avi(audio=sounds.wav(channels=1)[20:22] + b"\0\0" + sounds.wav()[24:36]), "0 channels"),
    (films.avi(scale=0, rate=25), "stream has no rate"),
    (films.avi().replace(b"strf\x28", b"strf\x20"), "picture is broken"),
    (MKV[:-1], "its segment goes on"),
    (MKV[:30], "the WebM is cut"),
    (put(MKV, 4, b"\0"), "elements are broken at byte 4"),
    (films.element(0x1A45DFA3, films.element(0x4282, b"webm")), "without its segment"),
    (segment(films.element(0x1549A966, b"")), "without its tracks"),
    (segment(films.element(0x1549A966, b"", size=b"\x88") + b"\0"), "element 1549A966 at byte 17 is longer"),
    (segment(films.element(0x1549A966, films.element(0x2AD7B1, 0))), "timestamps have no scale"),
    (segment(films.element(0x1549A966, films.element(0x4489, b"\0\0\0"))), "has 3 bytes"),
    (segment(films.element(0x1549A966, films.element(0x4489, float("nan")))), "cannot be"),
    (segment(films.element(0x1549A966, films.element(0x4489, -5.0))), "cannot be"),
    (segment(films.element(0x1549A966, films.element(0x4489, 1e300))), "a Matroska of 1e+297 seconds cannot be"),
    (tracks(films.video_track(0)), "0 by 180 pixels"),
    (tracks(films.audio_track(1e300)), "2 channels at 1e+300 Hz cannot be"),
    (tracks(films.audio_track(0.0)), "at 0 Hz"),
    (tracks(films.audio_track(channels=0)), "0 channels"),
    (tracks(films.element(0xAE, films.element(0x83, b"\0" * 8 + b"\1"))), "has 9 bytes"),
    (tracks(films.element(0xAE, films.element(0xE0, b"", size=b"\x89"))), "longer than what it is in"),
    (
        films.matroska(films.video_track(), last=True).replace(b"\x53\xac\x88\0\0", b"\x53\xac\x88\0\xff"),
        "behind its end",
    ),
    (
        films.matroska(films.video_track(), last=True).replace(
            b"\x15\x49\xa9\x66\x53\xac", b"\x16\x54\xae\x6b\x53\xac"
        ),
        "elsewhere",
    ),
]


@pytest.mark.parametrize(("data", "words"), [*PICTURES, *SOUNDS, *FILMS])
def test_what_is_wrong_is_said(media: ModuleType, data: bytes, words: str) -> None:
    with pytest.raises(ValueError) as caught:
        told_of(media, data)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


RGB = {"bit_depth": 8, "color": "rgb"}


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(PNG + b"what somebody appended", {"width": 3, "height": 2}, id="behind a PNG's end"),
        pytest.param(JPEG + b"a film" * 20_000, {"width": 300}, id="behind a JPEG's end"),
        pytest.param(WEBP + b"tail", {"width": 40}, id="behind a WebP's end"),
        pytest.param(pictures.jpeg(5, 0), {"width": 5}, id="a height that is told later"),
        pytest.param(put(WAV, 4, b"\xff\xff\xff\xff"), {"duration": 2.0}, id="RIFF of no known size"),
        pytest.param(sounds.wav(length=0xFFFFFFFF), {"duration": 2.0}, id="sound of no known size"),
        pytest.param(sounds.wav(length=0), {"duration": 2.0}, id="sound of no size told"),
        pytest.param(sounds.flac(0), {"sample_rate": 44100}, id="samples that are not told"),
        pytest.param(films.mp4(films.moov(VIDEO, duration=0)), {"duration": 2.0}, id="a film of as long as its track"),
        pytest.param(films.mp4(films.moov(VIDEO, duration=0xFFFFFFFF)), {"duration": 2.0}, id="of an unknown length"),
        pytest.param(
            films.FTYP + films.moov(duration=0, more=films.box(b"mvex", films.box(b"mehd", b"\0\0\0\0\0\0\x0f\xa0"))),
            {"duration": 4.0},
            id="fragments",
        ),
        pytest.param(
            films.FTYP + films.moov(VIDEO) + films.box(b"mdat", b"d" * 9, size=0), {"width": 320}, id="to the end"
        ),
        pytest.param(
            films.mp4(films.moov(VIDEO, films.track(b"text", b"\0\0\0\x10text\0\0\0\0\0\0\0\1"))),
            {"width": 320},
            id="text",
        ),
        pytest.param(films.matroska(films.video_track(), live=True, duration=None), {"width": 320}, id="live"),
        pytest.param(
            films.FTYP
            + films.moov(duration=0, more=films.box(b"mvex", films.box(b"mehd", struct.pack(">IQ", 1 << 24, 5000)))),
            {"duration": 5.0},
            id="fragments, by a long number",
        ),
        pytest.param(put(put(BMP, 28, b"\0\0"), 30, b"\x05"), {"width": 9, "height": 8}, id="a PNG in a BMP"),
        pytest.param(put(AVI, 4, b"\0\0\0\0"), {"width": 320, "channels": 1}, id="an AVI that was never finished"),
        pytest.param(
            films.avi(video=False, audio=sounds.wav()[20:36]), {"sample_rate": 8000, "duration": 2.0}, id="no picture"
        ),
        pytest.param(sounds.ogg(sounds.vorbis_head())[:58], {"sample_rate": 44100}, id="no page of sound"),
        pytest.param(
            sounds.ogg(sounds.vorbis_head()) + b"TAG".ljust(128, b"\0"),
            {"duration": 58800 / 44100},
            id="behind an Ogg's end",
        ),
    ],
)
def test_what_is_not_told_is_no_error(media: ModuleType, data: bytes, told: dict[str, Any]) -> None:
    assert told.items() <= told_of(media, data).items()


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (films.video_entry(code=b"hev1"), {"video_codec": "hevc"}),
        (films.video_entry(code=b"vp09"), {"video_codec": "vp9"}),
        (films.video_entry(code=b"Zz9 "), {"video_codec": "zz9"}),
        (films.video_entry(code=b"mp4v", more=films.esds(0x6C)), {"video_codec": "mjpeg"}),
        (
            films.video_entry(code=b"encv", more=films.box(b"sinf", films.box(b"frma", b"avc1"))),
            {"video_codec": "h264"},
        ),
        (films.audio_entry(more=films.esds(0x6B)), {"audio_codec": "mp3", "sample_rate": 44100}),
        (films.audio_entry(more=b""), {"audio_codec": "aac", "channels": 2}),
        (films.audio_entry(1, 48000, code=b"Opus", more=b""), {"audio_codec": "opus", "channels": 1}),
        (films.audio_entry(2, 48000, code=b"ac-3", more=films.box(b"dac3", b"\x10\x3d\xe0")), {"channels": 6}),
        (films.audio_entry(1, 44100, code=b"alac", bits=24, more=b""), {"audio_codec": "alac", "bit_depth": 24}),
        (films.audio_entry(2, 96000), {"sample_rate": 96000}),
        (
            films.audio_entry(6, 192_000, code=b"lpcm", bits=24, version=2),
            {"channels": 6, "sample_rate": 192_000, "bit_depth": 24},
        ),
        (films.audio_entry(more=films.esds(0x40, b"\xeb\x8a\x08\x00")), {"channels": 2}),
    ],
)
def test_codecs_of_films(media: ModuleType, entry: bytes, told: dict[str, Any]) -> None:
    sound = b"audio_codec" if b"vide" not in entry and len(entry) else b""
    kind = b"soun" if any(name in told for name in ("audio_codec", "channels", "sample_rate")) and sound else b"vide"
    assert told.items() <= told_of(media, movie(films.track(kind, entry, scale=96000))).items()


def test_of_lossy_sound_whose_channels_an_mp4_does_not_tell_they_are_left_out(media: ModuleType) -> None:
    told = told_of(media, movie(films.track(b"soun", films.audio_entry(2, more=films.esds(0x6B)))))
    assert "channels" not in told


@pytest.mark.parametrize("name", [b"moov", b"free", b"wide", b"mdat"])
def test_a_film_of_before_there_was_an_ftyp(media: ModuleType, name: bytes) -> None:
    data = (b"" if name == b"moov" else films.box(name, b"d")) + films.moov(VIDEO) + films.box(b"mdat", b"d")
    assert told_of(media, data)["mime_type"] == "video/quicktime"


@pytest.mark.parametrize(
    ("code", "private", "told"),
    [
        (b"V_MS/VFW/FOURCC", b"\0" * 16 + b"XVID", "mpeg4"),
        (b"V_MPEG4/ISO/ASP", b"", "mpeg4"),
        (b"V_SOMETHING", b"", "something"),
        (b"V_\xff", b"", None),
    ],
)
def test_codecs_of_a_matroska(media: ModuleType, code: bytes, private: bytes, told: str | None) -> None:
    track = films.video_track(code=code, more=films.element(0x63A2, private) if private else b"")
    assert told_of(media, tracks(track)).get("video_codec") == told


def test_sound_of_windows_in_a_matroska(media: ModuleType) -> None:
    track = films.audio_track(code=b"A_MS/ACM", more=films.element(0x63A2, b"\x55\0"))
    assert told_of(media, tracks(track))["audio_codec"] == "mp3"


def test_vp8_in_an_ogg(media: ModuleType) -> None:
    head = b"OVP80\x01\x01\x00" + struct.pack(">HH", 640, 360) + b"\0" * 6 + struct.pack(">II", 25, 1)
    told = told_of(media, sounds.ogg(head))
    assert (told["video_codec"], told["width"], told["height"], told["frame_rate"]) == ("vp8", 640, 360, 25.0)


def test_an_mp3_whose_head_is_vbris(media: ModuleType) -> None:
    one = sounds.mp3(1)
    head = put(one, 36, b"VBRI" + b"\0" * 6 + struct.pack(">II", len(one) * 5, 5))
    assert told_of(media, head + one * 4)["duration"] == 5 * 1152 / 44100
    with pytest.raises(ValueError, match="its sound goes on"):
        told_of(media, head + one * 3)


def test_an_mp3_whose_head_tells_more_bytes_than_there_are_is_cut(media: ModuleType) -> None:
    data = sounds.mp3(4, xing=4)
    data = put(data, 4 + 32, b"Info" + struct.pack(">III", 3, 4, len(data)))
    assert told_of(media, data)["duration"] == 4 * 1152 / 44100
    with pytest.raises(ValueError, match="its sound goes on"):
        told_of(media, data[:-100])


def test_a_long_mp3_of_one_speed_is_as_long_as_its_bytes_say(media: ModuleType) -> None:
    data = sounds.mp3(200, kbits=9)
    assert told_of(media, data)["duration"] == pytest.approx(200 * 1152 / 44100)
    assert told_of(media, sounds.mp3(20_000, kbits=9) + data)["duration"] == pytest.approx(20_200 * 1152 / 44100)


def mixed_mp3(count: int) -> bytes:
    return sounds.mp3(count, kbits=[3, 9])


@pytest.mark.parametrize(
    ("data", "told"),
    [
        pytest.param(
            put(sounds.wav(number=0x11, before=b"fact\4\0\0\0\x40\x1f\0\0"), 34, b"\4\0"),
            {"audio_codec": "adpcm_ima_wav", "duration": 1.0},
            id="a WAV whose samples are told",
        ),
        pytest.param(sounds.wav(length=0x7FFFFFFF), {"duration": 2.0}, id="a WAV of a size that was not known"),
        pytest.param(put(sounds.wav(length=0x80000000), 4, b"\x24\0\xff\x7f"), {"duration": 2.0}, id="nor its RIFF's"),
        pytest.param(sounds.wav(before=b"LIST\3\0\0\0abc"), {"duration": 2.0}, id="an odd chunk without its filling"),
        pytest.param(GIF[:-1] + b"\0\0" + GIF[13 + 12 :], {"frames": 2}, id="a GIF with filling"),
        pytest.param(
            movie(films.track(b"soun", films.audio_entry(0, 48000, code=b"mha1", more=b""))),
            {"channels": None, "sample_rate": 48000, "audio_codec": "mha1"},
            id="sound of channels that it does not tell",
        ),
        pytest.param(sounds.wav(number=0x7777), {"duration": 2.0, "audio_codec": None}, id="a WAV of no known codec"),
        pytest.param(sounds.mp3(1) + b"TAG".ljust(128, b"\0"), {"duration": 1152 / 44100}, id="one frame and a tag"),
        pytest.param(mixed_mp3(3) + b"APETAGEX" + b"\0" * 40, {"duration": 3 * 1152 / 44100}, id="frames and a tag"),
        pytest.param(mixed_mp3(3) + b"lost" * 20, {"duration": None}, id="frames, and what is lost"),
        pytest.param(mixed_mp3(3) + sounds.mp3(1)[:50], {"duration": 3 * 1152 / 44100}, id="a last frame that is cut"),
        pytest.param(sounds.mp3(1) + sounds.mp3(1, kbits=0) * 3, {"duration": None}, id="frames of a free speed"),
        pytest.param(b"\0\0" + sounds.mp3(3), {}, id="padding ahead of an MP3 without a tag"),
        pytest.param(sounds.id3() + b"\0" * 9 + sounds.mp3(3), {"sample_rate": 44100}, id="padding behind a tag"),
        pytest.param(AAC + sounds.id3(30) + AAC, {"duration": 10 * 1024 / 44100}, id="an AAC in two pieces"),
        pytest.param(mixed_mp3(3) + sounds.id3(9) + mixed_mp3(3), {"duration": None}, id="an MP3 in two pieces"),
        pytest.param(AAC + b"TAG".ljust(128, b"\0"), {"duration": 5 * 1024 / 44100}, id="an AAC and a tag"),
        pytest.param(
            sounds.flac(4096 * 200), {"duration": 4096 * 200 / 44100}, id="a FLAC whose numbers take two bytes"
        ),
        pytest.param(
            sounds.flac(9000) + b"\xff\xf8\xc9\x18\x80\xff\xf8\xc9\x18\xc2\x02" * 3,
            {"duration": 9000 / 44100},
            id="what only looks like frames of FLAC",
        ),
        pytest.param(put(FLAC, 8, b"\0"), {"duration": 1.0}, id="a FLAC whose blocks vary"),
        pytest.param(tiff_in(1), {"width": 4, "height": 1}, id="a TIFF of a strip"),
        pytest.param(tiff_in(3, tiles=True), {"width": 4, "height": 3}, id="a TIFF of tiles"),
        pytest.param(pictures.tiff([(2, 2)] * 1500), {"width": 2, "pages": None}, id="a TIFF of very many pages"),
        pytest.param(
            tracks(
                films.element(0xAE, films.element(0x83, 1) + films.element(0xE0, b"\xb0\x81\5\xba\x81\6\x53\xc0\x81\1"))
            ),
            {"width": 5, "height": 6, "alpha": True, "frame_rate": None, "video_codec": None},
            id="a Matroska with alpha",
        ),
        pytest.param(
            segment(
                films.element(0x114D9B74, films.element(0xEC, b"x")), *[films.element(0x1549A966, b"")] * 2
            ).replace(b"x", b"y"),
            None,
            id="Info twice, and no tracks",
        ),
        pytest.param(
            movie(films.track(b"vide", films.video_entry(), times=((10, 500), (40, 1125)))),
            {"frame_rate": 25.0},
            id="frames that last more and less",
        ),
        pytest.param(
            movie(VIDEO.replace(b"mdhd", b"free")), {"frame_rate": None, "width": 320}, id="a track without its times"
        ),
        pytest.param(movie(AUDIO.replace(b"hdlr", b"free")), {"channels": None}, id="a track of no kind"),
        pytest.param(movie(VIDEO, VIDEO, AUDIO, AUDIO), {"width": 320, "channels": 2}, id="two tracks of a kind"),
        pytest.param(
            movie(films.track(b"soun", films.audio_entry(more=films.esds(0x40, b"\x17\x80\0\0\x08")))),
            {"channels": 1},
            id="an AAC of a rate of its own",
        ),
        pytest.param(
            movie(films.track(b"soun", films.audio_entry(more=films.esds(0x40, b"\xf8\x48\x60")))),
            {"channels": 3},
            id="an AAC of an extended kind",
        ),
        pytest.param(
            movie(
                films.track(
                    b"soun", films.audio_entry(more=films.esds().replace(b"\0\1\0\x04", b"\0\1\xe0\0\0\3abc\0\0\x04"))
                )
            ),
            {"channels": 2, "audio_codec": "aac"},
            id="an esds with an address",
        ),
        pytest.param(
            movie(films.track(b"soun", films.audio_entry(1, more=films.box(b"esds", b"\0\0\0\0\x06\1x\x03\xff")))),
            {"channels": 1, "audio_codec": "aac"},
            id="an esds that is cut",
        ),
        pytest.param(
            sounds.ogg(sounds.vorbis_head(), sounds.opus_head(1)),
            {"audio_codec": "vorbis", "channels": 2},
            id="two sounds in an Ogg",
        ),
        pytest.param(
            sounds.ogg(sounds.vorbis_head(), b"fishead\0"), {"audio_codec": "vorbis"}, id="other streams in an Ogg"
        ),
        pytest.param(
            sounds.ogg(b"\x80kate\0\0\0\0"), {"audio_codec": None, "duration": None}, id="an Ogg of no known codec"
        ),
        pytest.param(
            sounds.ogg(sounds.vorbis_head()) + b"OggS" + b"\0" * 60 + b"tail",
            {"duration": 2.0},
            id="what looks like a page",
        ),
    ],
)
def test_what_is_told_of_odd_files(media: ModuleType, data: bytes, told: dict[str, Any] | None) -> None:
    """None in place of a value: it is not told. None in place of all: it is broken."""
    if told is None:
        with pytest.raises(ValueError):
            told_of(media, data)
        return
    found = told_of(media, data)
    assert {name: found.get(name) for name in told} == pytest.approx(told)


def test_a_window_that_comes_back_short_is_a_file_that_was_cut(media: ModuleType) -> None:
    data = films.mp4(films.moov(VIDEO), data=200_000)
    with pytest.raises(ValueError, match="and ends before"):
        media.read_media(lambda at, count: data[at : at + min(count, 70_000 if not at else 3)], len(data))


def test_a_tag_that_goes_on_behind_the_windows(media: ModuleType) -> None:
    data = b"ID3\x04\0\0\0\0\0\0" * 30_000
    assert told_of(media, data)["mime_type"] == "audio/mpeg"


def test_a_page_that_lies_across_two_windows(media: ModuleType) -> None:
    """The last page of the sound, before some 64 KB of another stream's, wherever the window's edge cuts it."""
    front = sounds.ogg(sounds.vorbis_head(), b"fishead\0", granule=44100, fill=300)
    for cut in range(0, 340, 3):
        behind = sounds.ogg_page(b"x" * 60_000, serial=2)
        behind += sounds.ogg_page(b"x" * (media.HEAD - len(behind) - cut - 29), serial=2)
        told = told_of(media, front + behind)
        assert told["duration"] == 1.0, cut
