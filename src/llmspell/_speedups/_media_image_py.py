"""What the heads of pictures tell: PNG, JPEG, GIF, WebP, BMP, TIFF. SVG has a file of its own.

One source for both twins: this file, and the module that Cython makes of it. `width` and `height` are pixels as they
are stored (an EXIF orientation is not applied); `bit_depth` is bits of one channel; `color` is grayscale, rgb,
palette or cmyk; `frames` are pictures of an animation, `duration` their seconds, `pages` pictures of a TIFF.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell._speedups._media_window_py import HEAD, Beyond, Window, sized
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_image_", "_media_window_"))  # the same twin's
    HEAD, Beyond, Window, sized = _window.HEAD, _window.Beyond, _window.Window, _window.sized

__all__ = ["bmp", "gif", "jpeg", "png", "tiff", "webp"]

_PNG_COLORS = {0: "grayscale", 2: "rgb", 3: "palette", 4: "grayscale", 6: "rgb"}
_PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_END = b"\0\0\0\0IEND\xaeB`\x82"  # of each PNG
_BMP_BITS = (0, 1, 4, 8, 16, 24, 32)  # 0: of a JPEG or PNG inside, which are methods 4 and 5
MOST_TAGS = 256  # of a TIFF's page that are looked at; they are in order, and those that matter come early
MOST_PAGES = 1000
MOST_SEGMENTS = 1000  # of a JPEG that are passed over


def png(window: Window, facts: dict[str, Any]) -> None:
    if window.fixed(8, 8)[4:] != b"IHDR":
        raise ValueError("a PNG begins with its IHDR, and this one does not")
    sized(facts, int.from_bytes(window.fixed(16, 4), "big"), int.from_bytes(window.fixed(20, 4), "big"))
    if window.number(8, 4) != 13:
        raise ValueError("a PNG's IHDR has 13 bytes, and this one's has not")
    depth, color = window.get(24, 2)
    if depth not in _PNG_DEPTHS.get(color, ()):
        raise ValueError(f"a PNG of color type {color} with {depth} bits cannot be")
    facts["bit_depth"] = depth
    facts["color"] = _PNG_COLORS[color]
    facts["alpha"] = color >= 4
    _png_chunks(window, facts)


def _png_chunks(window: Window, facts: dict[str, Any]) -> None:
    """What stands between the IHDR and the picture, and whether the file goes on to its end."""
    at = 33
    data = False
    while True:
        window.step()
        head = window.get(at, 8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if length >= 1 << 31:
            raise ValueError("a PNG with a chunk whose length cannot be")
        window.within(at + 12 + length, f"chunk at byte {at}")
        if kind == b"IEND":
            if not data:
                raise ValueError("a PNG without its picture")
            return
        if kind == b"IDAT":
            if not data and window.size is not None and window.some(window.size - 12, 12) == _END:
                return
            data = True
        elif kind == b"acTL" and not data:
            if length != 8 or not (frames := window.number(at + 8, 4)):
                raise ValueError("an animated PNG of no frames cannot be")
            facts["frames"] = frames
        elif kind == b"tRNS" and not data:
            facts["alpha"] = True
        at += 12 + length


def jpeg(window: Window, facts: dict[str, Any]) -> None:
    """Of the frame's head, which comes after other segments."""
    at = 2
    framed = False
    for _ in range(MOST_SEGMENTS):
        mark, kind = window.get(at, 2)
        if mark != 0xFF:
            raise ValueError("a JPEG's segments are broken")
        if kind == 0xFF:  # filling
            at += 1
            continue
        if kind == 0x01 or 0xD0 <= kind <= 0xD8:  # without a length
            at += 2
            continue
        if (kind == 0xDA or kind == 0xD9) and not framed:
            raise ValueError("a JPEG without the head of its frame")
        if kind == 0xD9:
            raise ValueError("a JPEG without its picture")
        length = window.number(at + 2, 2)
        if length < 2:
            raise ValueError("a JPEG's segments are broken")
        if kind == 0xDA:
            window.within(at + 2 + length, "scan")
            return _jpeg_end(window, at + 2 + length)
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            _jpeg_frame(window, at, length, facts)
            framed = True
        window.within(at + 2 + length, f"segment at byte {at}")
        at += 2 + length
    raise ValueError("a JPEG of too many segments")


def _jpeg_frame(window: Window, at: int, length: int, facts: dict[str, Any]) -> None:
    head = window.get(at + 4, 6)
    height, width = int.from_bytes(head[1:3], "big"), int.from_bytes(head[3:5], "big")
    if not height and width and "width" not in facts:  # told after the picture, by a DNL
        facts["width"] = width
    else:
        sized(facts, width, height)
    depth, parts = head[0], head[5]
    if length < 8 + 3 * parts or not parts or not 2 <= depth <= 16:
        raise ValueError("a JPEG whose frame is broken")
    facts["bit_depth"] = depth
    color = {1: "grayscale", 3: "rgb", 4: "cmyk"}.get(parts)
    if color is not None:
        facts["color"] = color
    facts["alpha"] = False


def _jpeg_end(window: Window, begin: int) -> None:
    """Raises ValueError where a JPEG's end is nowhere after its picture's *begin*. Looked for from the file's end."""
    if window.size is None:
        return
    end = window.size
    while end > begin:
        start = max(begin, end - HEAD)
        if window.some(start, end - start).rfind(b"\xff\xd9") >= 0:
            return
        if start == begin:
            break
        end = start + 1  # the mark may lie across
    raise ValueError("the JPEG is cut: its picture has no end")


def gif(window: Window, facts: dict[str, Any]) -> None:
    head = window.fixed(6, 4)
    sized(facts, int.from_bytes(head[:2], "little"), int.from_bytes(head[2:], "little"))
    flags = window.get(10, 3)[0]
    at = 13 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
    frames, delay = 0, 0  # hundredths of a second
    while True:
        window.step()
        kind = window.number(at, 1)
        if kind == 0x3B:
            break
        if kind == 0x21:
            label = window.number(at + 1, 1)
            if label == 0xF9 and window.number(at + 2, 1) >= 4:
                delay += window.number(at + 4, 2, "little")
            at = _gif_blocks(window, at + 2)
        elif kind == 0x2C:
            local = window.get(at + 1, 9)[8]
            at += 10 + (3 << ((local & 7) + 1) if local & 0x80 else 0)
            if not 1 <= window.number(at, 1) <= 11:
                raise ValueError("a GIF whose picture is broken")
            at = _gif_blocks(window, at + 1)
            frames += 1
        elif not kind:  # filling, which no one minds
            at += 1
        else:
            raise ValueError(f"a GIF whose blocks are broken at byte {at}")
    if frames:
        facts["frames"] = frames
    if frames > 1 and delay:
        facts["duration"] = delay / 100


def _gif_blocks(window: Window, at: int) -> int:
    """Where the blocks that begin at *at* end."""
    while True:
        window.step()
        length = window.get(at, 1, HEAD)[0]
        at += 1 + length
        if not length:
            return at


def webp(window: Window, facts: dict[str, Any]) -> None:
    kind = window.fixed(12, 4)
    if kind == b"VP8 ":
        head = window.fixed(20, 10)
        if head[3:6] != b"\x9d\x01\x2a":
            raise ValueError("a WebP whose frame is broken")
        sized(facts, (head[6] | head[7] << 8) & 0x3FFF, (head[8] | head[9] << 8) & 0x3FFF)
        facts["alpha"] = False
    elif kind == b"VP8L":
        head = window.fixed(20, 5)
        if head[0] != 0x2F:
            raise ValueError("a WebP whose frame is broken")
        bits = int.from_bytes(head[1:], "little")
        sized(facts, (bits & 0x3FFF) + 1, ((bits >> 14) & 0x3FFF) + 1)
        facts["alpha"] = bool(bits >> 28 & 1)
    elif kind == b"VP8X":
        head = window.fixed(20, 10)
        sized(facts, int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1)
        facts["alpha"] = bool(head[0] & 0x10)
    else:
        raise ValueError("a WebP of no known kind")
    facts["bit_depth"] = 8
    facts["color"] = "rgb"
    if window.size is None:
        return
    end = 8 + window.number(4, 4, "little")
    window.within(end, "RIFF")
    _webp_chunks(window, end, facts)


def _webp_chunks(window: Window, end: int, facts: dict[str, Any]) -> None:
    at = 12
    frames, delay, pictures = 0, 0, 0
    while at + 8 <= end:
        window.step()
        head = window.get(at, 8)
        kind, length = head[:4], int.from_bytes(head[4:], "little")
        if at + 8 + length > end:
            raise ValueError(f"a WebP whose chunk at byte {at} is longer than the file it is in")
        if kind == b"ANMF":
            if length < 16:
                raise ValueError("a WebP whose frame is broken")
            frames += 1
            delay += window.number(at + 8 + 12, 3, "little")  # thousandths of a second
        elif kind in (b"VP8 ", b"VP8L"):
            pictures += 1
        at += 8 + length + (length & 1)
    if not frames and not pictures:
        raise ValueError("a WebP without its picture")
    if frames:
        facts["frames"] = frames
        if frames > 1 and delay:
            facts["duration"] = delay / 1000


def bmp(window: Window, facts: dict[str, Any]) -> None:
    head = window.fixed(14, 12)
    length = int.from_bytes(head[:4], "little")
    if length == 12:  # of OS/2
        width, height = int.from_bytes(head[4:6], "little"), int.from_bytes(head[6:8], "little")
        planes, bits = head[8:10], int.from_bytes(head[10:12], "little")
        squeezed = 0
    elif 40 <= length <= 1024:
        width = int.from_bytes(head[4:8], "little", signed=True)
        height = int.from_bytes(head[8:], "little", signed=True)
        sized(facts, width, abs(height))  # rows from the top, if below nought
        more = window.get(26, 8)
        planes, bits, squeezed = more[:2], int.from_bytes(more[2:4], "little"), int.from_bytes(more[4:], "little")
    else:
        raise ValueError(f"a BMP whose head has {length} bytes")
    sized(facts, width, abs(height))
    known = squeezed <= 6 or 11 <= squeezed <= 13
    if planes != b"\1\0" or bits not in _BMP_BITS or (not bits) != (squeezed in (4, 5)) or not known:
        raise ValueError(f"a BMP of {bits} bits with method {squeezed} cannot be")
    if bits not in (0, 16):
        facts["bit_depth"] = min(bits, 8)
    facts["color"] = "palette" if 0 < bits <= 8 else "rgb"
    begin = window.number(10, 4, "little")
    if begin < 14 + length:
        raise ValueError("a BMP whose picture would begin in its head")
    rows = ((bits * width + 31) >> 5 << 2) * abs(height) if squeezed in (0, 3, 6) else 1
    window.within(begin + rows, "picture")


def tiff(window: Window, facts: dict[str, Any]) -> None:
    order = "little" if window.get(0, 2) == b"II" else "big"
    big = window.number(2, 2, order) == 43  # BigTIFF, with numbers of eight bytes
    if big and (window.number(4, 2, order) != 8 or window.number(6, 2, order)):
        raise ValueError("a BigTIFF whose head is broken")
    at = window.number(8, 8, order) if big else window.number(4, 4, order)
    if not at:
        raise ValueError("a TIFF without a page")
    seen: set[int] = set()
    while at:
        if at in seen:
            raise ValueError("a TIFF whose pages go in circles")
        if len(seen) >= MOST_PAGES:
            raise Beyond
        if at < 8:
            raise ValueError("a TIFF whose page would begin in its head")
        seen.add(at)
        window.within(at + (8 if big else 2), "page")
        count = window.number(at, 8, order) if big else window.number(at, 2, order)
        if not count:
            raise ValueError("a TIFF with a page of no tags")
        begin, one = (at + 8, 20) if big else (at + 2, 12)
        window.within(begin + count * one, f"page of {count} tags")
        if len(seen) == 1:
            _tiff_page(window, begin, min(count, MOST_TAGS), order, big, facts)
        end = begin + count * one
        at = window.number(end, 8, order) if big else window.number(end, 4, order)
    facts["pages"] = len(seen)


def _tiff_page(window: Window, begin: int, count: int, order: str, big: bool, facts: dict[str, Any]) -> None:
    """What the tags of the first page say."""
    told: dict[int, int] = {}
    parts: dict[int, tuple[int, int]] = {}  # where it says where the last strip or tile stands, and how long it is
    one, inside = (20, 8) if big else (12, 4)
    for index in range(count):
        at = begin + index * one
        tag, kind = window.number(at, 2, order), window.number(at + 2, 2, order)
        if tag not in (256, 257, 258, 262, 273, 277, 279, 324, 325, 338):
            continue
        size = {1: 1, 3: 2, 4: 4, 16: 8}.get(kind)
        many = window.number(at + 4, inside, order)
        if size is None or not many:
            raise ValueError(f"a TIFF whose tag {tag} is broken")
        at += 4 + inside
        if many * size > inside:  # elsewhere, one after the other: the first is enough
            at = window.number(at, inside, order)
            window.within(at + many * size, f"tag {tag}")
        if tag in (273, 279, 324, 325):
            parts[tag] = at + (many - 1) * size, size
        else:
            told[tag] = window.number(at, size, order)
    if 256 not in told or 257 not in told:
        raise ValueError("a TIFF whose page has no width or no height")
    sized(facts, told[256], told[257])
    depth, samples = told.get(258, 1), told.get(277, 1)
    if not 1 <= depth <= 64 or not samples:
        raise ValueError(f"a TIFF of {samples} samples of {depth} bits cannot be")
    facts["bit_depth"] = depth
    color = {0: "grayscale", 1: "grayscale", 2: "rgb", 3: "palette", 5: "cmyk", 6: "rgb"}.get(told.get(262, -1))
    if color is not None:
        facts["color"] = color
    facts["alpha"] = told.get(338, 0) in (1, 2)
    for where, length in ((273, 279), (324, 325)):
        if where in parts and length in parts:
            (at, size), (after, wide) = parts[where], parts[length]
            window.within(window.number(at, size, order) + window.number(after, wide, order), "picture")
