"""What MediaContent costs: base64 by pieces against the whole at once, and a file by reference against its bytes.

    python benchmarks/media_content.py [--rounds N] [--megabytes N]

code      the base64 of bytes that are in memory, by pieces of 1 MB, against `base64.b64encode` of all: CPU time
decode    a text by pieces of 1 MB that are cut anywhere, against `base64.b64decode` of all, both checked
peaks     how far this process's memory grows while a file is coded to another: by reference and pieces, and loaded
refer     a file of that size by reference against loading it: CPU time, and how far memory grows
make      a MediaContent of a small PNG against a Media of it, which does not look at the bytes: µs each
"""

from __future__ import annotations

import argparse
import base64
import os
import struct
import sys
import tempfile
import tracemalloc
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness import interleaved, of_medians, ratios, table
from llmspell.types.media import Media
from llmspell.types.media_base64 import decode_base64, encode_base64
from llmspell.types.media_content import MediaContent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["main"]

PIECE = 1 << 20
SMALL = 1000  # media that are made, a round


def _png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(52))) + chunk(b"IEND", b"")


def _pieces(whole: bytes, size: int) -> Iterator[bytes]:
    return (whole[at : at + size] for at in range(0, len(whole), size))


def _used(pieces: Iterator[object]) -> None:
    for _ in pieces:
        pass


def coding(data: bytes, rounds: int) -> list[dict[str, float]]:
    """Each round's µs a byte of the four."""
    text = base64.b64encode(data)
    return interleaved(
        {
            "code whole": lambda: base64.b64encode(data).decode("ascii"),
            "code pieces": lambda: _used(encode_base64(_pieces(data, PIECE))),
            "decode whole": lambda: base64.b64decode(text, validate=True),
            "decode pieces": lambda: _used(decode_base64(_pieces(text, PIECE - 3))),
        },
        rounds,
        items=len(data),
    )


def grown(work: Callable[[], object]) -> float:
    """MB by which Python's memory grows at most."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / (1 << 20)
    finally:
        tracemalloc.stop()


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--megabytes", type=int, default=32)
    asked = parser.parse_args(argv)
    data = os.urandom(1 << 16) * (asked.megabytes * 16)
    rows = [["", "", "", "ratio"]]
    told = coding(data, asked.rounds)
    for name in ("code", "decode"):
        rate, whole = (1 / of_medians(told, f"{name} {one}") for one in ("pieces", "whole"))
        ratio = ratios(told, f"{name} pieces", f"{name} whole").median
        rows.append([f"{name} by pieces : at once", f"{rate:.0f} MB/s", f"{whole:.0f} MB/s", f"{ratio:.2f}"])
    with tempfile.TemporaryDirectory() as folder:
        path, target = Path(folder, "a.bin"), Path(folder, "a.txt")
        path.write_bytes(b"\0" + data)

        def by_pieces() -> None:
            with target.open("w") as file:
                file.writelines(MediaContent.from_path(path).base64_pieces())

        def loaded() -> None:
            target.write_text(MediaContent.from_path(path, load=True).to_base64())

        first, second = grown(by_pieces), grown(loaded)
        rows.append(["peak, a file to base64", f"{first:.1f} MB", f"{second:.1f} MB", f"{first / second:.3f}"])
        subjects = {
            "refer": lambda: MediaContent.from_path(path),
            "load": lambda: MediaContent.from_path(path, load=True),
        }
        told = interleaved(subjects, asked.rounds)
        times = [of_medians(told, name) for name in subjects]
        ratio = ratios(told, "refer", "load").median
        rows.append(["a file by reference : loaded", f"{times[0]:.0f} µs", f"{times[1]:.0f} µs", f"{ratio:.4f}"])
        peaks = [grown(work) for work in subjects.values()]
        rows.append(["its memory", f"{peaks[0]:.2f} MB", f"{peaks[1]:.2f} MB", f"{peaks[0] / peaks[1]:.4f}"])
    small = _png()
    told = interleaved(
        {
            "content": lambda: [MediaContent.image(small) for _ in range(SMALL)],
            "media": lambda: [Media("image/png", small) for _ in range(SMALL)],
        },
        asked.rounds,
        items=SMALL,
    )
    times = [of_medians(told, name) for name in ("content", "media")]
    ratio = ratios(told, "content", "media").median
    rows.append(["a MediaContent : a Media", f"{times[0]:.2f} µs", f"{times[1]:.2f} µs", f"{ratio:.0f}"])
    print(table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
