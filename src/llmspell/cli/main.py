"""The command `llmspell`. What starts a script is read by a short parser; help and mistakes go to rich-click."""

from __future__ import annotations

import os
import sys

from llmspell.cli.options import COMMON, RUN, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["entry", "main"]


def main(argv: Sequence[str]) -> int:
    """Runs one command line; gives the process's exit code."""
    words = list(argv)
    if words == ["--version"]:
        from llmspell._version import __version__

        sys.stdout.write(f"llmspell {__version__}\n")
        return 0
    parsed = parse(words, (*COMMON, *RUN))
    if parsed is not None:
        values, plain, rest = parsed
        if len(plain) == 2 and plain[0] == "run":
            from llmspell.cli.commands.run import run

            return run(plain[1], rest, values)
    from llmspell.cli.help import full

    return full(words)


def entry() -> None:
    """The console script."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:  # before a run took over the signals, or after it gave them back
        code = 130
    except BrokenPipeError:
        code = 141
    try:
        sys.stderr.flush()
    except OSError:
        code = code or 141
    # The interpreter's own end costs as much as the start, and everything is closed by now.
    os._exit(code)
