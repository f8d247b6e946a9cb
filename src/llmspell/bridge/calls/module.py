"""Host calls behind `require`, `dofile`, and names that are not there."""

from __future__ import annotations

import os

from llmspell.bridge import sandbox
from llmspell.bridge.engine import prelude
from llmspell.errors import ValidationError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.run import Run


def _require(run: Run, name: str) -> list[bytes | str]:
    text, shown, real = sandbox.find_module(run.folder, os.path.dirname(run.name), name)
    run.sources[shown] = real
    return [text, shown]


def _dofile(run: Run, path: str) -> list[bytes | str]:
    text, shown, real = sandbox.dofile(run.folder, os.path.dirname(run.name), path)
    run.sources[shown] = real
    return [text, shown]


def _missing(run: Run, name: str, given: str | bytes, names: list[str]) -> None:
    from llmspell.bridge.failures import nearest

    key = one_line(given if isinstance(given, str) else given.decode("utf-8", "replace"))
    near = nearest(key, names)
    shown = f"{name}.{key}" if name[:1].isupper() and not name.endswith(")") else f"{name}:{key}"
    hint = f"did you mean `{shown.removesuffix(key)}{near}`?" if near else f"`{name}` has {', '.join(sorted(names))}"
    raise ValidationError(f"there is no `{shown}`", hint=hint)


ASKS: dict[str, Callable[..., Any]] = {
    "require": _require,
    "dofile": _dofile,
    "prelude": lambda run, name: prelude(name),
    "api.missing": _missing,
}
CALLS: dict[str, Callable[..., Any]] = {}
