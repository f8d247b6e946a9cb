"""The checks of `llmspell doctor`, one subject a file.

They are run where something is broken, so none may need what another looks at: the standard library, and of llmspell
what imports nothing beyond it; the libraries themselves are tried in a process of their own (`probes.py`). None opens
a connection, and none tells a secret: of keys and of variables the names, of addresses the host.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["BROKEN", "OFF", "OK", "WARNING", "Check", "safely"]

OK = "ok"
OFF = "off"  # not there, and nothing asks for it
WARNING = "warning"  # scripts run, but not as well as they could, or not all that was set up works
BROKEN = "broken"


class Check(NamedTuple):
    """One line of the report.

    name: for programs, stable and unique in a report. state: OK, OFF, WARNING or BROKEN. message: what was found.
    hint: what to do, or None. facts: the same for programs, plain values by name.
    """

    name: str
    state: str
    message: str
    hint: str | None = None
    facts: dict[str, Any] = {}  # noqa: RUF012


def safely(name: str, checks: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """What *checks* finds. That it fails itself is a finding, called *name*, too."""
    from llmspell.errors import LLMSpellError, one_line

    try:
        yield from checks()
    except LLMSpellError as error:
        yield Check(name, BROKEN, error.message, error.hint)
    except Exception as error:
        told = f"{name} cannot be looked at: {one_line(f'{type(error).__name__}: {error}', 200)}"
        yield Check(name, BROKEN, told, "this is a fault of llmspell's; `pip install --upgrade llmspell` may mend it")
