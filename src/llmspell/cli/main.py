"""The command `llmspell`. What starts a script is read by a short parser; help and mistakes go to rich-click."""

from __future__ import annotations

import gc
import os
import sys

from llmspell.cli.options import COMMON, RUN, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["entry", "main"]


def main(argv: Sequence[str]) -> int:
    """Runs one command line; gives the process's exit code."""
    words = list(argv)
    if words == ["--version"]:
        from llmspell._version import __version__

        sys.stdout.write(f"llmspell {__version__}\n")
        return 0
    if words[:1] == ["__complete"]:  # a person waits at each Tab
        from llmspell.cli.completing.answering import answer

        return answer(words[1:])
    if not words:
        from llmspell.cli.short import short

        return short()
    parsed = parse(words, (*COMMON, *RUN))
    if parsed is not None:
        values, plain, rest = parsed
        if len(plain) == 2 and plain[0] in ("run", "exec"):
            try:
                if plain[0] == "run":
                    from llmspell.cli.commands.run import run
                else:
                    from llmspell.cli.commands.exec import run
            except Exception as error:
                return _unloadable(error, values)
            return run(plain[1], rest, values)
        common = {option.key for option in COMMON if not option.name.startswith("--log-")}
        if plain == ["doctor"] and not rest and values.keys() <= common:
            from llmspell.cli.commands.doctor import doctor

            return doctor(values)
    from llmspell.cli.help import full

    return full(words)


def _unloadable(error: Exception, options: dict[str, Any]) -> int:
    """What a command needs cannot be loaded: says so in llmspell's own words, where it has some."""
    from llmspell.cli.telling import tell
    from llmspell.errors import LLMSpellError

    if not isinstance(error, LLMSpellError):
        raise error
    tell(
        error,
        options.get("output") or "text",
        no_color=bool(options.get("no_color")),
        python=bool(options.get("traceback")),
    )
    return error.exit_code


def _open_missing() -> None:
    """A standard stream that was closed by whoever started us is opened on nothing, so that no other file gets its
    number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115


def _buffered() -> None:
    """With PYTHONUNBUFFERED, or `python -u`, Python's streams write a part where a signal comes, and lose the rest."""
    from io import BufferedWriter, RawIOBase, TextIOWrapper

    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if isinstance(getattr(stream, "buffer", None), RawIOBase):
            encoding, errors = stream.encoding, stream.errors
            whole = TextIOWrapper(BufferedWriter(stream.detach()), encoding, errors, line_buffering=True)
            setattr(sys, name, whole)


def entry() -> None:
    """The console script."""
    _open_missing()
    _buffered()
    gc.set_threshold(20_000, 20, 20)  # imports make much that stays: looking through it again costs a start 4 ms
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:  # before a run took over the signals, or after it gave them back
        code = 130
    except OSError as error:
        code = _unwritten(error)
    try:
        sys.stderr.flush()
    except OSError:
        code = code or 141
    # The interpreter's own end costs as much as the start, and everything is closed by now.
    os._exit(code)


def _unwritten(error: OSError) -> int:
    """Standard output took no more of what is none of a script's: help, a version. Gives the exit code."""
    from llmspell.bridge.output import unwritten
    from llmspell.cli.telling import tell

    told = unwritten(error)
    if told.signal == 13:
        return 141
    try:
        tell(told, "text")
    except OSError:
        pass
    return told.exit_code
