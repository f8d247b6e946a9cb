"""What the heads of sound tell: WAV, MP3, AAC (ADTS), FLAC. Ogg has a file of its own, M4A is with the other MP4s.

One source for both twins: this file, and the module that Cython makes of it. `sample_rate` is Hz, `duration` seconds,
`bit_depth` bits of one sample of one channel.
"""

from __future__ import annotations

from llmspell._speedups._media_codes import WAVE_CODECS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell._speedups._media_window_py import HEAD, Beyond, Window, sounded
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_audio_", "_media_window_"))  # the same twin's
    HEAD, Beyond, Window, sounded = _window.HEAD, _window.Beyond, _window.Window, _window.sounded

__all__ = ["aac", "after_id3", "flac", "flac_stream", "mp3", "wav", "wave_format"]

_WHOLE = (0x01, 0x03, 0x06, 0x07)  # formats whose frames are all of one size
OPEN = 0x7FFF0000  # from here on, sizes are those that writers put down who do not know them yet
_PIECES = b"\0\0\0\0\x10\0\x80\0\0\xaa\0\x38\x9b\x71"  # of a GUID that holds such a number


def wave_format(data: bytes, facts: dict[str, Any]) -> int:
    """Puts down what a WAVEFORMAT, of 16 bytes at least, says. Gives bytes a second."""
    number, channels = int.from_bytes(data[:2], "little"), int.from_bytes(data[2:4], "little")
    rate, speed = int.from_bytes(data[4:8], "little"), int.from_bytes(data[8:12], "little")
    block, bits = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    sounded(facts, channels, rate)
    if number == 0xFFFE and len(data) >= 40 and data[26:40] == _PIECES:
        number = int.from_bytes(data[24:26], "little")
    codec = WAVE_CODECS.get(number)
    if codec is not None:
        facts["audio_codec"] = codec
    if number in _WHOLE:
        if not bits or not block or block % channels or bits > block * 8 // channels:
            raise ValueError(f"sound of {channels} samples of {bits} bits in {block} bytes cannot be")
        facts["bit_depth"] = bits
        speed = block * rate
    return speed


def wav(window: Window, facts: dict[str, Any]) -> None:
    large = window.get(0, 4) != b"RIFF"  # RF64 and BW64: its sizes are in a chunk of their own
    end = 8 + window.number(4, 4, "little")
    if not large and end < OPEN:
        window.within(end, "RIFF")
    at = 12
    speed, samples, true_length = 0, 0, 0
    while window.size is None or at < window.size:
        window.step()
        head = window.get(at, 8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if kind == b"fmt ":
            if length < 16:
                raise ValueError("a WAV whose format is broken")
            window.fixed(at + 8, 16)
            speed = wave_format(window.some(at + 8, min(length, 40)), facts)
        elif kind == b"ds64" and large:
            true_length = window.number(at + 16, 8, "little")
        elif kind == b"fact" and length >= 4:
            samples = window.number(at + 8, 4, "little")
        elif kind == b"data":
            if not speed and "channels" not in facts:
                raise ValueError("a WAV without its format")
            if large and length == 0xFFFFFFFF:
                length = true_length
                window.within(at + 8 + length, "sound")
            _wav_duration(window, facts, at + 8, length, speed, samples)
            return
        window.within(at + 8 + length, f"chunk at byte {at}")
        at += 8 + length
        if length & 1 and window.some(at, 1) == b"\0":  # which some writers forget
            at += 1
    raise ValueError("a WAV without its sound")


def _wav_duration(window: Window, facts: dict[str, Any], at: int, length: int, speed: int, samples: int) -> None:
    if window.size is None and (not length or length >= OPEN):
        return
    if window.size is not None and (not length or (length >= OPEN and at + length > window.size)):
        length = window.size - at  # not told: it goes on to the end
    window.within(at + length, "sound")
    if samples and facts.get("audio_codec", "pcm") not in ("pcm", "pcm_float", "pcm_alaw", "pcm_mulaw"):
        facts["duration"] = samples / facts["sample_rate"]
    elif speed and length:
        facts["duration"] = length / speed


def after_id3(window: Window, at: int = 0) -> int:
    """Where what follows the ID3 tags that begin at *at* begins; *at* where there are none."""
    while window.some(at, 3) == b"ID3":
        window.step()
        head = window.get(at, 10)
        if max(head[6:10]) > 127 or head[3] == 0xFF or head[4] == 0xFF:
            raise ValueError("a tag of ID3 whose length cannot be")
        length = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + length + (10 if head[5] & 0x10 else 0)
        window.within(at, "tag of ID3")
    return at


# ---- MPEG's layers

_RATES = ((11025, 12000, 8000), (0, 0, 0), (22050, 24000, 16000), (44100, 48000, 32000))  # by version
_KBITS_1 = (
    (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # layer III
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),  # layer I
)
_KBITS_2 = (
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
)


def _frame(head: bytes) -> tuple[int, int, int, int, int, int]:
    """Of four bytes: layer, rate, channels, samples, bytes (0: free), MPEG's version (1, or 2 for 2 and 2.5).

    Raises ValueError where they begin no frame.
    """
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    kbits, rate = head[2] >> 4, head[2] >> 2 & 3
    if head[0] != 0xFF or head[1] < 0xE0 or version == 1 or layer == 4 or kbits == 15 or rate == 3:
        raise ValueError("an MP3 whose frame is broken")
    hertz = _RATES[version][rate]
    speed = (_KBITS_1 if version == 3 else _KBITS_2)[3 - layer][kbits] * 1000
    padding = head[2] >> 1 & 1
    channels = 1 if head[3] >> 6 == 3 else 2
    if layer == 1:
        return layer, hertz, channels, 384, (12 * speed // hertz + padding) * 4, 1 if version == 3 else 2
    samples = 576 if layer == 3 and version != 3 else 1152
    return layer, hertz, channels, samples, samples // 8 * speed // hertz + padding, 1 if version == 3 else 2


def mp3(window: Window, facts: dict[str, Any]) -> None:
    at = _first_frame(window, after_id3(window))
    if at < 0:
        raise ValueError("an MP3 without a frame")
    head = window.get(at, 4)
    layer, rate, channels, samples, length, version = _frame(head)
    sounded(facts, channels, rate)
    facts["audio_codec"] = f"mp{layer}"
    if window.size is None:
        return
    frames = _counted(window, at, length, version, channels) if layer == 3 else 0
    if frames:
        facts["duration"] = frames * samples / rate
        return
    end = window.size
    if window.some(end - 128, 3) == b"TAG":  # ID3v1
        end -= 128
    window.within(at + length, "first frame")
    total = _walk_frames(window, at, end)
    if total:
        facts["duration"] = total / rate


def _first_frame(window: Window, at: int) -> int:
    """Where the first frame begins, of which another follows; below 0 where there is none. Padding may come before."""
    data = window.some(at, HEAD)
    if not data and window.size is None:
        raise Beyond
    begin = data.find(b"\xff")
    tries = 0
    while 0 <= begin <= len(data) - 4 and tries < 1000:
        tries += 1
        try:
            length = _frame(data[begin : begin + 4])[4]
        except ValueError:
            length = -1
        follows = begin + length
        if length == 0 or (length > 0 and (follows + 2 > len(data) or data[follows] == 0xFF)):
            return at + begin
        if length > 0 and data[follows : follows + 3] in (b"TAG", b"APE", b"ID3"):
            return at + begin
        begin = data.find(b"\xff", begin + 1)
    return -1


def _counted(window: Window, at: int, length: int, version: int, channels: int) -> int:
    """How many frames a head in the first frame says (Xing, Info, VBRI); 0 where there is none."""
    side = (17 if channels == 1 else 32) if version == 1 else (9 if channels == 1 else 17)
    first = window.some(at, max(min(length, 2048), 4))
    mark = first[4 + side : 16 + side]
    if mark[:4] in (b"Xing", b"Info") and len(mark) == 12 and mark[7] & 1:
        count = int.from_bytes(mark[8:12], "big")
        sized_as = first[16 + side : 20 + side]
        if mark[7] & 2 and len(sized_as) == 4:
            window.within(at + int.from_bytes(sized_as, "big"), "sound")
    elif first[36:40] == b"VBRI" and len(first) >= 54:
        count = int.from_bytes(first[50:54], "big")
        window.within(at + int.from_bytes(first[46:50], "big"), "sound")
    else:
        return 0
    if window.size is not None and count * 24 > window.size:  # no frame is shorter
        raise ValueError(f"an MP3 of {count} frames in {window.size} bytes cannot be")
    return count


def _walk_frames(window: Window, at: int, end: int) -> float:
    """Samples of all frames: counted, or where the first hundred are of one speed, by the file's size; 0: not told."""
    begin, total, count = at, 0, 0
    speeds = set()
    while at + 4 <= end:
        window.step()
        head = window.get(at, 4, HEAD)
        try:
            _, _, _, samples, length, _ = _frame(head)
        except ValueError:
            return total if head[:3] in (b"TAG", b"APE", b"LYR") else 0
        if not length:
            return 0
        if at + length > end:  # the last one is often cut
            break
        total += samples
        count += 1
        speeds.add(head[2] >> 4)
        at += length
        if count == 100 and len(speeds) == 1:
            return total * (end - begin) / (at - begin)
    return total


def aac(window: Window, facts: dict[str, Any]) -> None:
    """ADTS. Its frames say no more than their own length, so the duration is told where all of them may be seen."""
    at = after_id3(window)
    head = window.get(at, 7)
    rate = head[2] >> 2 & 15
    if head[0] != 0xFF or head[1] & 0xF6 != 0xF0 or rate > 12:
        raise ValueError("an AAC whose frame is broken")
    hertz = AAC_RATES[rate]
    channels = (head[2] & 1) << 2 | head[3] >> 6
    if channels:  # else the sound itself says it
        facts["channels"] = 8 if channels == 7 else channels
    facts["sample_rate"] = hertz
    facts["audio_codec"] = "aac"
    if window.size is None:
        return
    begin, samples, end = at, 0, window.size
    while at < end:
        window.step()
        head = window.some(at, 7) if end - at < 7 else window.get(at, 7, HEAD)
        if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
            if head[:3] == b"ID3":  # between the pieces of a stream
                at = after_id3(window, at)
                continue
            if at == begin or head[:3] not in (b"TAG", b"APE"):
                raise ValueError(f"an AAC whose frames are broken at byte {at}")
            break
        length = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
        if length < 7:
            raise ValueError(f"an AAC whose frame at byte {at} is shorter than its head")
        window.within(at + length, f"frame at byte {at}")
        samples += 1024 * ((head[6] & 3) + 1)
        at += length
    facts["duration"] = samples / hertz


AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


# ---- FLAC


def flac_stream(data: bytes, facts: dict[str, Any]) -> int:
    """Puts down what a STREAMINFO, of 18 bytes at least, says. Gives its samples; 0: not told."""
    bits = int.from_bytes(data[10:18], "big")
    rate = bits >> 44
    sounded(facts, (bits >> 41 & 7) + 1, rate)
    facts["bit_depth"] = (bits >> 36 & 31) + 1
    facts["audio_codec"] = "flac"
    return bits & 0xFFFFFFFFF


def flac(window: Window, facts: dict[str, Any]) -> None:
    at = after_id3(window)
    if window.get(at, 4) != b"fLaC":
        raise ValueError("a FLAC begins with its mark, and this one does not")
    head = window.get(at + 4, 4)
    if head[0] & 127 or int.from_bytes(head[1:], "big") != 34:
        raise ValueError("a FLAC begins with its STREAMINFO, and this one does not")
    stream = window.get(at + 8, 34)
    samples = flac_stream(stream, facts)
    if samples:
        facts["duration"] = samples / facts["sample_rate"]
    at += 4
    while True:
        window.step()
        head = window.get(at, 4)
        if head[0] & 127 == 127:
            raise ValueError("a FLAC whose blocks are broken")
        at += 4 + int.from_bytes(head[1:], "big")
        window.within(at, "block")
        if head[0] & 128:
            break
    if samples and window.size is not None:
        if at == window.size:
            raise ValueError("the FLAC is cut: it has no frame")
        _flac_end(window, at, stream, samples)


def _flac_end(window: Window, begin: int, stream: bytes, samples: int) -> None:
    """Raises ValueError where the last frames are of far before the end of the sound.

    What looks like a frame may be none, so that it is the latest of all that counts: of a whole file it never is too
    early. Looked at where all frames have as many samples, and the largest is known to lie in the last window.
    """
    block, largest = int.from_bytes(stream[:2], "big"), int.from_bytes(stream[7:10], "big")
    if window.size is None or stream[:2] != stream[2:4] or not block or not 0 < largest <= HEAD // 2:
        return
    start = max(begin, window.size - HEAD)
    data = window.some(start, window.size - start)
    latest, at = -1, data.find(b"\xff\xf8")
    while at >= 0:
        window.step()
        latest = max(latest, _flac_frame(data[at : at + 16]))
        at = data.find(b"\xff\xf8", at + 1)
    if (latest + 1) * block < samples:
        raise ValueError(f"the FLAC is cut: of its {samples} samples it has {(latest + 1) * block}")


def _flac_frame(head: bytes) -> int:
    """The number of the frame with such a head; below 0 where it is none."""
    if len(head) < 6 or not head[2] >> 4 or head[2] & 15 == 15 or head[3] & 1:
        return -1
    first = head[4]
    more = 0 if first < 0x80 else 7 - (first ^ 0xFF).bit_length()  # bytes that follow, as in UTF-8
    if first & 0xC0 == 0x80 or more > 5:
        return -1
    number = first if not more else first & ((1 << (6 - more)) - 1)
    for one in head[5 : 5 + more]:
        if one & 0xC0 != 0x80:
            return -1
        number = number << 6 | one & 63
    end = 5 + more + {6: 1, 7: 2}.get(head[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(head[2] & 15, 0)
    check = 0
    for one in head[:end]:  # CRC-8, of 0x07
        check ^= one
        for _ in range(8):
            check = (check << 1 ^ 0x07) & 0xFF if check & 0x80 else check << 1
    return number if len(head) > end and head[end] == check else -1
