"""Writes a file of every format and variant into a folder, for a fuzzer to begin with.

python tests/fuzz/media_seeds.py FOLDER
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from support import films, pictures, sounds

__all__ = ["main", "seeds"]


def seeds() -> Iterator[tuple[str, bytes]]:
    """Names and bytes, some forty."""
    yield "png", pictures.png()
    yield "png-animated", pictures.png(before=pictures.chunk(b"acTL", b"\0\0\0\2\0\0\0\0"), pieces=3)
    yield "jpeg", pictures.jpeg()
    yield "jpeg-segments", pictures.jpeg(before=pictures.segment(0xE1, b"Exif\0\0") + b"\xff")
    yield "gif", pictures.gif(delays=[5, 6], local=2)
    for kind in (b"VP8 ", b"VP8L", b"VP8X"):
        yield f"webp-{kind.decode().strip()}", pictures.webp(kind, delays=[10, 20] if kind == b"VP8X" else [])
    for head in (12, 40, 124):
        yield f"bmp-{head}", pictures.bmp(head=head)
    for order in "<>":
        for big in (False, True):
            yield (
                f"tiff-{'le' if order == '<' else 'be'}-{big}",
                pictures.tiff([(3, 4), (5, 6)], order=order, big=big, extra=1),
            )
    text = pictures.svg('width="5mm" viewBox="0 0 3 4"', before='<?xml version="1.0"?><!-- c --><!DOCTYPE svg [ ]>')
    yield "svg", text
    yield "svg-utf16", b"\xff\xfe" + text.decode().encode("utf-16-le")
    yield "svg-entities", b'<!DOCTYPE svg [<!ENTITY a "b">]><svg width="&a;"/>'
    yield "wav", sounds.wav(0.01)
    yield "wav-rf64", sounds.wav(0.01, kind=b"RF64", extensible=True, before=b"LIST\2\0\0\0ab")
    for version in (3, 2, 0):
        yield f"mp3-{version}", sounds.mp3(3, version=version, mono=version == 2)
    yield "mp3-xing", sounds.id3(10) + sounds.mp3(3, xing=3)
    yield "mp3-vbri", sounds.mp3(1)[:36] + b"VBRI" + b"\0" * 6 + b"\0\0\2\0\0\0\0\1" + sounds.mp3(1)[54:]
    yield "aac", sounds.adts(3)
    yield "flac", sounds.flac(9000, picture=10)
    heads = {
        "vorbis": sounds.vorbis_head(), "opus": sounds.opus_head(), "flac": sounds.flac_head(),
        "speex": sounds.speex_head(), "theora": sounds.theora_head(),
    }  # fmt: skip
    for name, head in heads.items():
        yield f"ogg-{name}", sounds.ogg(head)
    video, audio = (
        films.track(b"vide", films.video_entry(), samples=3),
        films.track(b"soun", films.audio_entry(), samples=3),
    )
    yield "mp4", films.mp4(films.moov(video, audio))
    yield (
        "mp4-first",
        films.mp4(films.moov(films.track(b"vide", films.video_entry(), long=True), long=True), first=True, long=True),
    )
    yield "mov", films.moov(films.track(b"soun", films.audio_entry(version=2, code=b"lpcm", more=b"")))
    yield (
        "mp4-ac3",
        films.mp4(
            films.moov(films.track(b"soun", films.audio_entry(code=b"ac-3", more=films.box(b"dac3", b"\x10\x3d\xe0"))))
        ),
    )
    yield "avi", films.avi(audio=sounds.wav()[20:36], total=100)
    tracks = films.video_track(), films.audio_track(bits=16, code=b"A_PCM/INT/LIT")
    yield "webm", films.matroska(*tracks)
    yield "webm-live", films.matroska(*tracks, live=True)
    yield "mkv-last", films.matroska(*tracks, last=True, kind=b"matroska")


def main(folder: str) -> int:
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, data in seeds():
        (Path(folder) / name).write_bytes(data)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
