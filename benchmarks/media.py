"""What looking at media costs: their heads by either twin, and the memory of a file of 5 GB.

python benchmarks/media.py [--rounds N]

heads     `sniff` and `media_facts` of a PNG, a JPEG whose frame comes after 60 KB, a WebP, a WAV, an MP4: CPU time of
          a head; what is told is compiled to pure, the median of the rounds' ratios
files     `read_media` of a film whose moov stands behind 5 GB, of a WebM, of an Ogg, of an SVG: the same
pictures  type and size of a PNG, a JPEG, a GIF, a WebP, a BMP and a TIFF of 640 by 480, by either twin and by Pillow's
          `Image.open`, where it is installed: CPU time of a picture, and the ratios to Pillow's
memory    how far the peak of a process grows while a script takes a sparse file of 5 GB by `Media.from_file`, in MB,
          over the same with a file of 5 KB
"""

from __future__ import annotations

import argparse
import io
import struct
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from harness import of_medians, ratios

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

__all__ = ["FILES", "HEADS", "files", "grown", "main", "measure", "pictures"]

TURNS = 2000  # of all heads, a round
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
MOVIE = struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd") + bytes(12) + struct.pack(">II", 1000, 3000) + bytes(80)
_APP = b"\xff\xe1" + struct.pack(">H", 30_000) + b"x" * 29_998
HEADS = (
    (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 640, 480) + b"\x08\2" + b"\0" * 100, "image/png"),
    (b"\xff\xd8" + 2 * _APP + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 480, 640) + b"\3" + b"\0" * 9, "image/jpeg"),
    (b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\x10\0\0" * 2 + b"\0" * 100, "image/webp"),
    (
        b"RIFF\0\0\0\0WAVEfmt "
        + struct.pack("<IHHIIHH", 16, 1, 2, 48000, 192000, 4, 16)
        + b"data\0\0\1\0"
        + b"\0" * 64,
        "audio/wav",
    ),
    (MP4 + b"\0" * 100, "video/mp4"),
)


def _box(kind: bytes, *content: bytes) -> bytes:
    data = b"".join(content)
    return struct.pack(">I", len(data) + 8) + kind + data


def _film() -> bytes:
    """A moov of one track of 320 by 180, whose tables are as long as those of an hour."""
    entry = _box(b"avc1", b"\0" * 6 + b"\0\1" + b"\0" * 16 + struct.pack(">HH", 320, 180) + b"\0" * 50)
    table = _box(
        b"stbl",
        _box(b"stsd", b"\0\0\0\0\0\0\0\1", entry),
        _box(b"stts", struct.pack(">IIII", 0, 1, 90_000, 1000)),
        _box(b"stsc", b"\0" * 8 + b"\0" * 90_000),
        _box(b"stsz", struct.pack(">III", 0, 0, 90_000) + b"\0\0\0\1" * 90_000),
    )
    times = struct.pack(">IIIII", 0, 0, 0, 25_000, 90_000_000)
    media = _box(b"mdia", _box(b"mdhd", times), _box(b"hdlr", b"\0" * 8 + b"vide" + b"\0" * 13), _box(b"minf", table))
    return _box(b"moov", _box(b"mvhd", times, b"\0" * 80), _box(b"trak", _box(b"tkhd", b"\0" * 84), media))


def _page(content: bytes, flags: int, granule: int) -> bytes:
    table = b"\xff" * (len(content) // 255) + bytes([len(content) % 255])
    return b"OggS" + struct.pack("<BBQIIIB", 0, flags, granule, 1, 0, 0, len(table)) + table + content


FILM = _film()
LARGE = 5 << 30
_BEGIN = MP4 + struct.pack(">I4sQ", 1, b"mdat", LARGE - len(MP4) - len(FILM)) + b"\0" * 65_536


def read_film(offset: int, length: int) -> bytes:
    """Of 5 GB, which are nowhere."""
    behind = offset - (LARGE - len(FILM))
    return FILM[behind : behind + length] if behind >= 0 else _BEGIN[offset : offset + length]


_VORBIS = b"\x01vorbis" + struct.pack("<IBIiiiBB", 0, 2, 44100, 0, 0, 0, 0xB8, 1)
_SOUND = _page(_VORBIS, 2, 0) + b"".join(_page(b"v" * 4000, 0, (one + 1) * 44100) for one in range(100))
_WEBM = (
    b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm\x18\x53\x80\x67\x01\xff\xff\xff\xff\xff\xff\xff"
    b"\x15\x49\xa9\x66\x8b\x44\x89\x88"
    + struct.pack(">d", 5000.0)
    + b"\x16\x54\xae\x6b\x9e\xae\x9c\x83\x81\1\x86\x85V_VP9"
    b"\x23\xe3\x83\x84\x02\x62\x5a\x00\xe0\x88\xb0\x82\2\x80\xba\x82\1\xe0" + b"\0" * 100
)
_SVG = (
    b'<?xml version="1.0"?>\n<!-- drawn -->\n<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 480"><g/></svg>'
)


def _window(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


FILES = ((read_film, LARGE), *((_window(one), len(one)) for one in (_WEBM, _SOUND, _SVG)))
SCRIPT = """
import resource, sys
from llmspell import ScriptRuntime
from llmspell.tools.permissions import Permissions
runtime = ScriptRuntime(permissions=Permissions(read=(sys.argv[1],)))
assert runtime.run("return Media.from_file(ARGS[1]).size", args=[sys.argv[1]]).result == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def twins() -> dict[str, ModuleType]:
    return {
        name: import_module(f"llmspell._speedups._media_{end}") for name, end in (("compiled", "c"), ("pure", "py"))
    }


def measure(rounds: int, *, times: float = 1.0) -> list[dict[str, float]]:
    """Rounds of seconds a head, by twin. times: a factor on the compiled one, by which a test sees the gate fail."""
    modules = twins()
    found = []
    for turn in range(rounds):
        told: dict[str, float] = {}
        for name in sorted(modules, reverse=bool(turn % 2)):
            sniff, facts = modules[name].sniff, modules[name].media_facts
            begin = time.process_time()
            for _ in range(TURNS):
                for data, mime_type in HEADS:
                    sniff(data)
                    facts(data, mime_type)
            told[name] = (time.process_time() - begin) / TURNS / len(HEADS) * (times if name == "compiled" else 1.0)
        found.append(told)
    return found


def files(rounds: int) -> list[dict[str, float]]:
    """Rounds of seconds a file, by twin."""

    def work(module: ModuleType) -> Callable[[], None]:
        def once() -> None:
            for read, size in FILES:
                module.read_media(read, size)

        return once

    subjects = {name: work(module) for name, module in twins().items()}
    return _rounds(rounds, subjects, TURNS // 4, len(FILES))


def pictures(rounds: int) -> list[dict[str, float]] | None:
    """Rounds of seconds a picture, by twin and by Pillow; None where that is not installed."""
    try:
        from PIL import Image
    except ImportError:
        return None
    made = []
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"):
        buffer = io.BytesIO()
        Image.new("RGB", (640, 480), "teal").save(buffer, kind)
        made.append(buffer.getvalue())

    def pillow() -> None:
        for data in made:
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == (640, 480)

    def work(module: ModuleType) -> Callable[[], None]:
        def once() -> None:
            for data in made:
                assert module.read_media(_window(data), len(data))["width"] == 640

        return once

    subjects = {**{name: work(module) for name, module in twins().items()}, "Pillow": pillow}
    return _rounds(rounds, subjects, TURNS // 10, len(made))


def _rounds(rounds: int, subjects: dict[str, Callable[[], None]], turns: int, each: int) -> list[dict[str, float]]:
    found = []
    names = list(subjects)
    for turn in range(rounds):
        told = {}
        for name in names if turn % 2 else reversed(names):
            begin = time.process_time()
            for _ in range(turns):
                subjects[name]()
            told[name] = (time.process_time() - begin) / turns / each
        found.append(told)
    return found


def grown() -> float:
    """MB by which the peak grows with 5 GB in place of 5 KB."""
    with tempfile.TemporaryDirectory() as folder:
        peaks = []
        for size in (5 << 10, 5 << 30):
            path = Path(folder) / "film.mp4"
            with path.open("wb") as file:
                file.write(MP4 + MOVIE + struct.pack(">I4sQ", 1, b"mdat", size - len(MP4 + MOVIE)))
                file.truncate(size)  # sparse
            command = [sys.executable, "-c", SCRIPT, str(path), str(size)]
            peaks.append(int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1024)
    return peaks[1] - peaks[0]


def _micro(rounds: Sequence[dict[str, float]]) -> str:
    return ", ".join(f"{name} {of_medians(rounds, name) * 1e6:.1f} µs" for name in rounds[0])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    number = parser.parse_args(argv).rounds
    heads = measure(number)
    print(f"a head, compiled : pure      {ratios(heads, 'compiled', 'pure')}, {_micro(heads)}")
    whole = files(number)
    print(f"a file, compiled : pure      {ratios(whole, 'compiled', 'pure')}, {_micro(whole)}")
    told = pictures(number)
    if told is None:
        print("a picture, against Pillow    not measured: Pillow is not installed")
    else:
        print(f"a picture, compiled : pure   {ratios(told, 'compiled', 'pure')}, {_micro(told)}")
        print(f"a picture, compiled : Pillow {ratios(told, 'compiled', 'Pillow')}")
        print(f"a picture, pure : Pillow     {ratios(told, 'pure', 'Pillow')}")
    print(f"5 GB in place of 5 KB        {grown():+.1f} MB at the peak")
    return 0


if __name__ == "__main__":
    sys.exit(main())
