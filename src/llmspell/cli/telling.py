"""How an error leaves the command line: drawn for a person, or as JSON for a program."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.cli.events import Events
    from llmspell.errors import LLMSpellError

__all__ = ["closed_pipe", "drop_output", "form_of", "tell"]


def tell(
    error: LLMSpellError,
    form: str,
    *,
    no_color: bool = False,
    python: bool = False,
    events: Events | None = None,
    output: bytes = b"",
    source: Callable[[str], str | None] = lambda name: None,
) -> None:
    """Writes *error* to standard error; as the last event to standard output where *form* is jsonl.

    python: with Python's own traceback. events: the lines so far. output: what the script wrote, where
    json has kept it back. source: a script's text by its name.
    OSError where it cannot be written.
    """
    trace = _python(error) if python else None
    if form == "jsonl":
        from llmspell.cli.events import Events

        (events or Events(sys.stdout.buffer)).error(error, trace)
    elif form == "json":
        from llmspell.cli.events import error_json

        sys.stderr.write(error_json(error, trace, output).decode() + "\n")
    else:
        from llmspell.cli.render import errors, terminal

        look = terminal.look(sys.stderr, no_color=no_color)
        drawn = errors.render(error, source=source, colour=look.colour, width=look.width, unicode=look.unicode)
        sys.stderr.write(terminal.harmless(trace or "", unicode=look.unicode) + drawn)
    sys.stderr.flush()


def _python(error: LLMSpellError) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


def form_of(words: Sequence[str]) -> str:
    """What `--output` says, as far as a command line that is wrong can be read."""
    form = "text"
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == "--output":
            value = value if equals else "".join(words[index + 1 : index + 2])
            form = value if value in ("json", "jsonl") else form
    return form


def drop_output() -> None:
    """What is still buffered for standard output cannot be written: the end of the process must not try again."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
    except OSError:
        pass


def closed_pipe() -> int:
    """The reader of standard output has gone: nothing more to say, and nothing to flush at the end."""
    drop_output()
    return 141
