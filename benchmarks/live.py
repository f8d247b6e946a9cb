"""The live view of `run --stream`, against a program that writes each piece to the same terminal as it comes.

    python benchmarks/live.py [--rounds N]

    plain     each piece written and flushed, and nothing else: what one would write by hand
    one       one stream in the view, 10,000 pieces a second
    wide      the same of characters that are two columns wide
    many      the same pieces, of 200 streams in turn: most of them are counted only

The clock is made: 10,000 pieces are a second of it, with its twenty drawings. CPU time of this process, a piece; the
terminal's other end is read by a thread of it. There is no budget: what is to be seen is that the view, which wraps and
draws, costs less than writing piece by piece, since it draws when eyes can follow and not when something comes.
"""

from __future__ import annotations

import argparse
import os
import threading
from typing import TYPE_CHECKING, TextIO

from harness import interleaved, of_medians, ratios, table
from llmspell.cli.render.live import LiveView
from llmspell.cli.render.painter import Painter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["PIECES", "main", "measure"]

PIECES = 10_000
STREAMS = 200
ASCII = [f"{'new ' * (n % 3)}word {n}{chr(10) if n % 40 == 0 else ' '}" for n in range(PIECES)]
WIDE = [f"日本語{n} 🎉 " for n in range(PIECES)]


def _terminal() -> TextIO:
    """A terminal's near end; what comes to the other is read and dropped."""
    far, near = os.openpty()

    def read() -> None:
        try:
            while os.read(far, 65536):
                pass
        except OSError:
            pass

    threading.Thread(target=read, daemon=True).start()
    return open(near, "w", encoding="utf-8")


def _plain(out: TextIO) -> Callable[[], None]:
    def run() -> None:
        for piece in ASCII:
            out.write(piece)
            out.flush()

    return run


def _viewed(out: TextIO, pieces: list[str], streams: int) -> Callable[[], None]:
    def run() -> None:
        now = 0.0
        view = LiveView(Painter(out, lambda: (80, 24), colour=True), lambda: now)
        for stream in range(streams):
            view.call_started(stream, f"agent {stream} · openai/m")
        for index, piece in enumerate(pieces):
            now += 1 / PIECES
            view.text(index % streams, piece)
            if index % 500 == 0:  # twenty times a second
                view.tick()
        view.close()

    return run


def measure(rounds: int) -> list[dict[str, float]]:
    """Each round's µs a piece, by kind."""
    out = _terminal()
    subjects = {
        "plain": _plain(out),
        "one": _viewed(out, ASCII, 1),
        "wide": _viewed(out, WIDE, 1),
        "many": _viewed(out, ASCII, STREAMS),
    }
    return interleaved(subjects, rounds, items=PIECES)


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description="the live view, against writing each piece")
    parser.add_argument("--rounds", type=int, default=15)
    told = measure(parser.parse_args().rounds)
    rows = [["", "µs a piece", "% of a core at 10,000 a second", "× plain", "middle half"]]
    for kind in ("plain", "one", "wide", "many"):
        cost, spread = of_medians(told, kind), ratios(told, kind, "plain")
        numbers = [f"{cost:.2f}", f"{cost * PIECES / 10_000:.1f}", f"{spread.median:.2f}"]
        rows.append([kind, *numbers, f"{spread.low:.2f} – {spread.high:.2f}"])
    print(table(rows))


if __name__ == "__main__":
    main()
