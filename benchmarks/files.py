"""Files of the host's own, against the same by hand: what errors with names, whole writes and locks cost.

    python benchmarks/files.py [--rounds N]

    write     a file of 4 KB in the place of one that is there. plain: open, write, close, which may leave half of it
              where the machine stops; by hand: a file beside it, fsync, os.replace, fsync of the folder; whole:
              `write_atomic`, which is the same with a name that nobody guesses, the mode kept and links followed
    new       the same where no file has the name yet
    read      `read_bytes` of 4 KB and of 1 MB, against open and read; text: `read_text`, against open with encoding
    lock      `lock` and its release, against open, flock and close; filelock, where it is installed

CPU time of this process, and of writes the wall's as well: a disk's fsync is most of that, and both ways ask for the
same. Operations a round are few where the disk is asked, so that a round is short.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from harness import interleaved, of_medians, ratios, table, times_over
from llmspell.utils.file_utils import lock, read_bytes, read_text, write_atomic

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CASES", "main", "measure"]

SMALL, LARGE = b"x" * 4096, b"x" * (1 << 20)
TEXT = ("é" * 20 + "\n") * 100  # 4,100 bytes
#: A case: what is measured, what it is compared with, operations a round.
CASES = {
    "write": ("whole", "by hand", 40),
    "new": ("whole", "by hand", 40),
    "read 4 KB": ("read_bytes", "open", 2000),
    "read 1 MB": ("read_bytes", "open", 60),
    "text 4 KB": ("read_text", "open", 2000),
    "lock": ("lock", "flock", 1000),
}


def _plain(path: str) -> None:
    with open(path, "wb") as file:
        file.write(SMALL)


def _by_hand(path: str) -> None:
    beside = path + ".tmp"
    with open(beside, "wb") as file:
        file.write(SMALL)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _whole(path: str) -> None:
    write_atomic(path, SMALL)


def _afresh(write: Callable[[str], None], path: str) -> Callable[[], None]:
    def work() -> None:
        os.unlink(path)
        write(path)

    return work


def _open(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _open_text(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.read()


def _flock(path: str) -> None:
    import fcntl

    number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(number)


def _lock(path: str) -> None:
    with lock(path):
        pass


def _filelock() -> Callable[[str], None] | None:
    try:
        from filelock import FileLock
    except ImportError:
        return None

    def held(path: str) -> None:
        with FileLock(path):
            pass

    return held


def _subjects(case: str, folder: str) -> dict[str, Callable[[], Any]]:
    """Each subject of *case*, doing it once, with a file of its own below *folder*."""

    def at(name: str, data: bytes) -> str:
        path = os.path.join(folder, name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    if case in ("write", "new"):
        writes = {"plain": _plain, "by hand": _by_hand, "whole": _whole}
        if case == "new":
            return {name: _afresh(write, at(name, SMALL)) for name, write in writes.items()}
        return {name: partial(write, at(name, SMALL)) for name, write in writes.items()}
    if case == "lock":
        locks = {"flock": _flock, "lock": _lock} | ({} if (other := _filelock()) is None else {"filelock": other})
        return {name: partial(held, at(name, b"")) for name, held in locks.items()}
    if case == "text 4 KB":
        path = at("text", TEXT.encode())
        return {"open": lambda: _open_text(path), "read_text": lambda: read_text(path)}
    path = at("data", SMALL if case == "read 4 KB" else LARGE)
    return {"open": lambda: _open(path), "read_bytes": lambda: read_bytes(path)}


def measure(
    case: str, rounds: int, *, times: float = 1.0, wall: bool = False, subjects: tuple[str, ...] = ()
) -> list[dict[str, float]]:
    """Each round's µs an operation, by subject (all where none is named). times: ours is done so many times over.
    wall: of the wall's clock, not of this process's CPU."""
    ours, _, count = CASES[case]
    with tempfile.TemporaryDirectory() as folder:

        def many(name: str, once: Callable[[], Any]) -> Callable[[], None]:
            def work() -> None:
                for _ in range(count):
                    once()

            return times_over(work, times if name == ours else 1.0)

        there = {name: once for name, once in _subjects(case, folder).items() if not subjects or name in subjects}
        clock = time.perf_counter_ns if wall else time.process_time_ns
        return interleaved({name: many(name, once) for name, once in there.items()}, rounds, items=count, clock=clock)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="files of the host's own, against the same by hand")
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args().rounds
    rows = [["", "", "µs", "× by hand", "middle half"]]
    for case, (ours, base, _) in CASES.items():
        for wall in (False, True) if case in ("write", "new") else (False,):
            told = measure(case, rounds, wall=wall)
            for name in told[0]:
                spread = ratios(told, name, base)
                shown = [
                    f"{of_medians(told, name):.1f}",
                    f"{spread.median:.2f}",
                    f"{spread.low:.2f} – {spread.high:.2f}",
                ]
                rows.append([f"{case}, wall" if wall else case, name + (" *" if name == ours else ""), *shown])
    print(table(rows))


if __name__ == "__main__":
    main()
