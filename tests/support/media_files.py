"""Files of every format whose heads are read, as hypothesis draws them, with what is to be told of each."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from support import films, pictures, sounds

__all__ = ["FILES", "any_file", "mutated"]

Told = tuple[bytes, dict[str, Any]]
SIDE = st.integers(1, 1 << 14)
SMALL = st.integers(1, 200)


@st.composite
def _png(draw: st.DrawFn) -> Told:
    color, depths = draw(
        st.sampled_from([(0, (1, 2, 4, 8, 16)), (2, (8, 16)), (3, (1, 2, 4, 8)), (4, (8, 16)), (6, (8, 16))])
    )
    depth, width, height = draw(st.sampled_from(depths)), draw(st.integers(1, (1 << 31) - 1)), draw(SIDE)
    frames, clear = draw(st.sampled_from([0, 1, 7])), draw(st.booleans())
    before = pictures.chunk(b"gAMA", b"\0\0\xb1\x8f")
    if frames:
        before += pictures.chunk(b"acTL", frames.to_bytes(4, "big") + b"\0\0\0\0")
    if clear and color < 4:
        before += pictures.chunk(b"tRNS", b"\0\0")
    data = pictures.png(width, height, depth=depth, color=color, before=before, pieces=draw(st.integers(1, 4)))
    name = {0: "grayscale", 2: "rgb", 3: "palette", 4: "grayscale", 6: "rgb"}[color]
    told = {"width": width, "height": height, "bit_depth": depth, "color": name, "alpha": color >= 4 or clear}
    return data + draw(st.binary(max_size=3)), {
        "mime_type": "image/png",
        **told,
        **({"frames": frames} if frames else {}),
    }


@st.composite
def _jpeg(draw: st.DrawFn) -> Told:
    width, height, parts = draw(st.integers(1, 65535)), draw(st.integers(1, 65535)), draw(st.sampled_from([1, 3, 4]))
    depth, kind = draw(st.sampled_from([8, 12])), draw(st.sampled_from([0xC0, 0xC1, 0xC2, 0xCA]))
    before = b"".join(
        pictures.segment(one, b"e" * count)
        for one, count in draw(
            st.lists(st.tuples(st.sampled_from([0xE0, 0xE1, 0xFE]), st.integers(0, 60_000)), max_size=3)
        )
    )
    before += b"\xff" * draw(st.integers(0, 3))
    data = pictures.jpeg(width, height, parts=parts, depth=depth, kind=kind, before=before)
    told = {"width": width, "height": height, "bit_depth": depth, "alpha": False}
    return data, {"mime_type": "image/jpeg", **told, "color": {1: "grayscale", 3: "rgb", 4: "cmyk"}[parts]}


@st.composite
def _gif(draw: st.DrawFn) -> Told:
    width, height = draw(st.integers(1, 65535)), draw(st.integers(1, 65535))
    delays = draw(st.lists(st.integers(0, 500), min_size=1, max_size=5))
    data = pictures.gif(width, height, delays=delays, colors=draw(st.integers(0, 8)), local=draw(st.integers(0, 8)))
    told: dict[str, Any] = {"mime_type": "image/gif", "width": width, "height": height, "frames": len(delays)}
    if len(delays) > 1 and sum(delays):
        told["duration"] = sum(delays) / 100
    return data, told


@st.composite
def _webp(draw: st.DrawFn) -> Told:
    kind, alpha = draw(st.sampled_from([b"VP8 ", b"VP8L", b"VP8X"])), draw(st.booleans())
    width, height = draw(st.integers(1, 16383)), draw(st.integers(1, 16383))
    delays = draw(st.lists(st.integers(0, 9000), max_size=4)) if kind == b"VP8X" else []
    told: dict[str, Any] = {"mime_type": "image/webp", "width": width, "height": height, "bit_depth": 8, "color": "rgb"}
    told["alpha"] = alpha and kind != b"VP8 "
    if delays:
        told["frames"] = len(delays)
    if len(delays) > 1 and sum(delays):
        told["duration"] = sum(delays) / 1000
    return pictures.webp(kind, width, height, alpha=alpha, delays=delays), told


@st.composite
def _bmp(draw: st.DrawFn) -> Told:
    head, bits = draw(st.sampled_from([12, 40, 108, 124])), draw(st.sampled_from([1, 4, 8, 16, 24, 32]))
    width, height = draw(SMALL), draw(SMALL)
    data = pictures.bmp(width, height * draw(st.sampled_from([1, -1])), bits=bits, head=head)
    told: dict[str, Any] = {"mime_type": "image/bmp", "width": width, "height": height}
    if bits != 16:
        told["bit_depth"] = min(bits, 8)
    return data, {**told, "color": "palette" if bits <= 8 else "rgb"}


@st.composite
def _tiff(draw: st.DrawFn) -> Told:
    sizes = draw(st.lists(st.tuples(SIDE, SIDE), min_size=1, max_size=4))
    kind, name, samples = draw(st.sampled_from([(1, "grayscale", 1), (2, "rgb", 3), (3, "palette", 1), (5, "cmyk", 4)]))
    extra = draw(st.sampled_from([None, 0, 1, 2]))
    depth = draw(st.sampled_from([1, 8, 16]))
    data = pictures.tiff(
        sizes,
        order=draw(st.sampled_from("<>")),
        big=draw(st.booleans()),
        depth=depth,
        samples=samples,
        kind=kind,
        extra=extra,
    )
    told = {"width": sizes[0][0], "height": sizes[0][1], "bit_depth": depth, "color": name, "alpha": extra in (1, 2)}
    return data, {"mime_type": "image/tiff", **told, "pages": len(sizes)}


@st.composite
def _svg(draw: st.DrawFn) -> Told:
    width, height = draw(st.integers(1, 5000)), draw(st.integers(1, 5000))
    attributes = draw(
        st.sampled_from(
            [
                f'width="{width}" height="{height}"',
                f"width='{width}px'\n height = ' {height}.0 '",
                f'viewBox="0 0 {width} {height}" width="100%" height="auto"',
                f'viewBox="-5,-5, {width},{height}"',
            ]
        )
    )
    before = draw(
        st.sampled_from(["", "\n ", '<?xml version="1.0"?>\n', "<!-- <svg width='1'> -->", "<!DOCTYPE svg>\n"])
    )
    return pictures.svg(attributes, before=before), {"mime_type": "image/svg+xml", "width": width, "height": height}


@st.composite
def _wav(draw: st.DrawFn) -> Told:
    channels, rate = draw(st.integers(1, 8)), draw(st.integers(1, 192_000))
    number, name, bits = draw(
        st.sampled_from([(1, "pcm", 8), (1, "pcm", 16), (1, "pcm", 24), (3, "pcm_float", 32), (7, "pcm_mulaw", 8)])
    )
    samples = draw(st.integers(1, 500))
    before = b"LIST\x03\0\0\0abc\0" if draw(st.booleans()) else b""
    kind = draw(st.sampled_from([b"RIFF", b"RF64"]))
    wide = draw(st.booleans())
    data = sounds.wav(
        samples / rate + 1e-9,
        channels=channels,
        rate=rate,
        bits=bits,
        number=number,
        before=before,
        kind=kind,
        extensible=wide,
    )
    told = {
        "channels": channels,
        "sample_rate": rate,
        "bit_depth": bits,
        "audio_codec": name,
        "duration": samples / rate,
    }
    return data, {"mime_type": "audio/wav", **told}


@st.composite
def _mp3(draw: st.DrawFn) -> Told:
    version, rate, mono = draw(st.sampled_from([3, 2, 0])), draw(st.integers(0, 2)), draw(st.booleans())
    frames, xing = draw(st.integers(1, 150)), draw(st.sampled_from([-1, 4, 40]))
    kbits = draw(st.one_of(st.integers(1, 14), st.lists(st.integers(1, 14), min_size=1, max_size=4)))
    if xing >= 0:  # which needs the room
        kbits, frames = 9, xing
    data = sounds.mp3(frames, version=version, rate=rate, mono=mono, kbits=kbits, xing=xing)
    tag = sounds.id3(draw(st.sampled_from([0, 100, 70_000]))) if draw(st.booleans()) else b""
    hertz, samples = sounds.RATES[version][rate], 1152 if version == 3 else 576
    told = {
        "channels": 1 if mono else 2,
        "sample_rate": hertz,
        "audio_codec": "mp3",
        "duration": frames * samples / hertz,
    }
    return tag + data + (b"TAG".ljust(128, b"\0") if draw(st.booleans()) else b""), {"mime_type": "audio/mpeg", **told}


@st.composite
def _aac(draw: st.DrawFn) -> Told:
    rate, channels, frames = draw(st.integers(0, 12)), draw(st.integers(1, 7)), draw(st.integers(1, 300))
    data = sounds.adts(frames, rate=rate, channels=channels, length=draw(st.integers(7, 900)))
    hertz = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)[rate]
    told = {"channels": 8 if channels == 7 else channels, "sample_rate": hertz, "duration": frames * 1024 / hertz}
    tag = sounds.id3(50) if draw(st.booleans()) else b""
    return tag + data, {"mime_type": "audio/aac", "audio_codec": "aac", **told}


@st.composite
def _flac(draw: st.DrawFn) -> Told:
    rate, channels, bits = draw(st.integers(1, 655_350)), draw(st.integers(1, 8)), draw(st.integers(4, 32))
    samples = draw(st.integers(0, 1_000_000))
    data = sounds.flac(samples, rate=rate, channels=channels, bits=bits, picture=draw(st.sampled_from([0, 10, 80_000])))
    told: dict[str, Any] = {"channels": channels, "sample_rate": rate, "bit_depth": bits, "audio_codec": "flac"}
    if samples:
        told["duration"] = samples / rate
    tag = sounds.id3(50) if draw(st.booleans()) else b""
    return tag + data, {"mime_type": "audio/flac", **told}


@st.composite
def _ogg(draw: st.DrawFn) -> Told:
    channels, rate, granule = draw(st.integers(1, 8)), draw(st.integers(8000, 192_000)), draw(st.integers(1, 1 << 40))
    codec = draw(st.sampled_from(["vorbis", "opus", "flac", "speex"]))
    told: dict[str, Any] = {"mime_type": "audio/ogg", "channels": channels, "sample_rate": rate, "audio_codec": codec}
    told["duration"] = granule / rate
    if codec == "opus":
        skip = draw(st.integers(0, 65535))
        head = sounds.opus_head(channels, skip)
        told["sample_rate"], told["duration"] = 48000, max(0, granule - skip) / 48000
        if granule <= skip:
            del told["duration"]
    elif codec == "flac":
        head, told["bit_depth"] = sounds.flac_head(rate, channels, 24), 24
    else:
        head = sounds.vorbis_head(channels, rate) if codec == "vorbis" else sounds.speex_head(channels, rate)
    heads = [head]
    if draw(st.booleans()):
        heads.append(sounds.theora_head(320, 180, 30000, 1001))
        told |= {
            "mime_type": "video/ogg",
            "video_codec": "theora",
            "width": 320,
            "height": 180,
            "frame_rate": 30000 / 1001,
        }
    return sounds.ogg(*heads, granule=granule, pages=draw(st.integers(1, 5)), fill=draw(st.integers(0, 60_000))), told


@st.composite
def _mp4(draw: st.DrawFn) -> Told:
    long, first, big = draw(st.booleans()), draw(st.booleans()), draw(st.booleans())
    scale, length = draw(st.integers(1, 90_000)), draw(st.integers(1, 1 << 30))
    told: dict[str, Any] = {"mime_type": "video/mp4", "duration": length / scale}
    tracks = []
    if draw(st.booleans()):
        width, height, delta = draw(st.integers(1, 65535)), draw(st.integers(1, 65535)), draw(st.integers(1, 30_000))
        turn = draw(st.sampled_from([0, 90, 180, 270]))
        code, name = draw(st.sampled_from([(b"avc1", "h264"), (b"hvc1", "hevc"), (b"av01", "av1"), (b"mp4v", "mpeg4")]))
        entry = films.video_entry(width, height, code=code, more=films.esds(0x20) if code == b"mp4v" else b"")
        tracks.append(films.track(b"vide", entry, times=((49, delta), (1, 7)), long=long, turn=turn, scale=30_000))
        told |= {"width": width, "height": height, "video_codec": name, "frame_rate": 30_000 / delta}
        told |= {"rotation": turn} if turn else {}
    if draw(st.booleans()) or not tracks:
        config, channels = draw(st.sampled_from([(b"\x12\x10", 2), (b"\x12\x08", 1), (b"\x11\xb0", 6)]))
        rate = draw(st.integers(8000, 96_000))
        entry = films.audio_entry(2, rate, more=films.esds(0x40, config))
        tracks.append(films.track(b"soun", entry, scale=rate, long=long))
        told |= {"channels": channels, "sample_rate": rate, "audio_codec": "aac"}
    movie = films.moov(*tracks, scale=scale, duration=length, long=long)
    mark, type_ = draw(st.sampled_from([(b"isom", "video/mp4"), (b"M4A ", "audio/mp4"), (b"qt  ", "video/quicktime")]))
    told["mime_type"] = type_
    ftyp = films.box(b"ftyp", mark, b"\0\0\2\0", mark)
    return films.mp4(movie, ftyp=ftyp, first=first, data=draw(st.integers(0, 100_000)), long=big), told


@st.composite
def _avi(draw: st.DrawFn) -> Told:
    width, height, frames = draw(SIDE), draw(SIDE), draw(st.integers(1, 100_000))
    rate, scale = draw(st.sampled_from([(25, 1), (30000, 1001), (24, 1)]))
    code, name = draw(
        st.sampled_from([(b"XVID", "mpeg4"), (b"H264", "h264"), (b"MJPG", "mjpeg"), (b"\0\0\0\0", "rawvideo")])
    )
    told = {"mime_type": "video/x-msvideo", "width": width, "height": height, "video_codec": name}
    told |= {"frame_rate": rate / scale, "duration": frames / (rate / scale)}
    audio = None
    if draw(st.booleans()):
        audio = b"\x01\0\x02\0\x40\x1f\0\0\0\x7d\0\0\x04\0\x10\0"
        told |= {"channels": 2, "sample_rate": 8000, "audio_codec": "pcm", "bit_depth": 16}
    total = frames * 3 if draw(st.booleans()) else None
    if total is not None:
        told["duration"] = total / (rate / scale)
    return films.avi(width, height, rate=rate, scale=scale, frames=frames, code=code, audio=audio, total=total), told


@st.composite
def _matroska(draw: st.DrawFn) -> Told:
    kind = draw(st.sampled_from([b"webm", b"matroska"]))
    told: dict[str, Any] = {"mime_type": "video/webm" if kind == b"webm" else "video/x-matroska"}
    tracks = []
    if draw(st.booleans()):
        width, height, each = draw(SIDE), draw(SIDE), draw(st.sampled_from([0, 40_000_000, 33_366_667]))
        code, name = draw(st.sampled_from([(b"V_VP8", "vp8"), (b"V_AV1", "av1"), (b"V_MPEG4/ISO/AVC", "h264")]))
        tracks.append(films.video_track(width, height, code, each))
        told |= {"width": width, "height": height, "video_codec": name}
        told |= {"frame_rate": 1e9 / each} if each else {}
    if draw(st.booleans()) or not tracks:
        rate, channels = draw(st.sampled_from([8000.0, 44100.0, 48000.0])), draw(st.integers(1, 8))
        code, name, bits = draw(st.sampled_from([(b"A_OPUS", "opus", 32), (b"A_PCM/INT/LIT", "pcm", 24)]))
        tracks.append(films.audio_track(rate, channels, code, bits))
        told |= {"sample_rate": round(rate), "channels": channels, "audio_codec": name}
        told |= {"bit_depth": 24} if name == "pcm" else {}
    duration = draw(st.one_of(st.none(), st.floats(1, 1e9)))
    if duration is not None:
        told["duration"] = duration * (1_000_000 / 1e9)
    last = draw(st.booleans())
    live = not last and draw(st.booleans())
    cluster = draw(st.sampled_from([10, 100_000]))
    return films.matroska(*tracks, duration=duration, kind=kind, live=live, last=last, cluster=cluster), told


FILES: dict[str, st.SearchStrategy[Told]] = {
    "png": _png(), "jpeg": _jpeg(), "gif": _gif(), "webp": _webp(), "bmp": _bmp(), "tiff": _tiff(), "svg": _svg(),
    "wav": _wav(), "mp3": _mp3(), "aac": _aac(), "flac": _flac(), "ogg": _ogg(), "mp4": _mp4(), "avi": _avi(),
    "matroska": _matroska(),
}  # fmt: skip


def any_file() -> st.SearchStrategy[Told]:
    return st.one_of(*FILES.values())


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A file of any format, cut, or with some of its bytes, most often of its head, made others."""
    data = bytearray(draw(any_file())[0])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, min(len(data), 400) - 1)) if data else 0
        what = draw(
            st.sampled_from([b"\0", b"\xff", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff" * 8, b"\x01", b"\x80", b""])
        )
        what = what or draw(st.binary(min_size=1, max_size=4))
        data[place : place + len(what)] = what
    if draw(st.booleans()):
        del data[draw(st.integers(0, len(data))) :]
    return bytes(data)
