"""What looking at media costs: their heads by either twin, and the memory of a file of 5 GB.

python benchmarks/media.py [--rounds N]

heads     `sniff` and `media_facts` of a PNG, a JPEG whose frame comes after 60 KB, a WebP, a WAV, an MP4: CPU time of
          a head; what is told is compiled to pure, the median of the rounds' ratios
memory    how far the peak of a process grows while a script takes a sparse file of 5 GB by `Media.from_file`, in MB,
          over the same with a file of 5 KB
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from harness import ratios

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["HEADS", "grown", "main", "measure"]

TURNS = 2000  # of all heads, a round
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
MOVIE = struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd") + bytes(12) + struct.pack(">II", 1000, 3000) + bytes(80)
_APP = b"\xff\xe1" + struct.pack(">H", 30_000) + b"x" * 29_998
HEADS = (
    (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 640, 480) + b"\0" * 100, "image/png"),
    (b"\xff\xd8" + 2 * _APP + b"\xff\xc0\0\x11\x08" + struct.pack(">HH", 480, 640) + b"\0" * 12, "image/jpeg"),
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
SCRIPT = """
import resource, sys
from llmspell import ScriptRuntime
from llmspell.tools.permissions import Permissions
runtime = ScriptRuntime(permissions=Permissions(read=(sys.argv[1],)))
assert runtime.run("return Media.from_file(ARGS[1]).size", args=[sys.argv[1]]).result == int(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measure(rounds: int, *, times: float = 1.0) -> list[dict[str, float]]:
    """Rounds of seconds a head, by twin. times: a factor on the compiled one, by which a test sees the gate fail."""
    twins = {
        name: import_module(f"llmspell._speedups._media_{end}") for name, end in (("compiled", "c"), ("pure", "py"))
    }
    found = []
    for turn in range(rounds):
        told: dict[str, float] = {}
        for name in sorted(twins, reverse=bool(turn % 2)):
            sniff, facts = twins[name].sniff, twins[name].media_facts
            begin = time.process_time()
            for _ in range(TURNS):
                for data, mime_type in HEADS:
                    sniff(data)
                    facts(data, mime_type)
            told[name] = (time.process_time() - begin) / TURNS / len(HEADS) * (times if name == "compiled" else 1.0)
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


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = measure(parser.parse_args(argv).rounds)
    print(f"a head, compiled : pure      {ratios(rounds, 'compiled', 'pure')}")
    print(f"5 GB in place of 5 KB        {grown():+.1f} MB at the peak")
    return 0


if __name__ == "__main__":
    sys.exit(main())
