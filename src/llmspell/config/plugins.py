"""Types of provider that are not llmspell's own: those that other packages bring, and those that a program adds.

A package brings one by an entry point of the group `llmspell.providers`: its name is the type, its object a `Dialect`
class, or a function of a name and settings that gives a ProviderInstance. All that is installed has to be looked
through for them (milliseconds), so this is loaded only where a type is asked for that llmspell does not have.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from llmspell.errors import ConfigError, one_line

__all__ = ["GROUP", "add", "has", "load", "names"]

GROUP = "llmspell.providers"
_added: set[str] = set()


def add(name: str) -> None:
    """Makes a type of a program's own a word that configuration files may use."""
    _added.add(name)


def names() -> list[str]:
    """The types that are there, sorted. Nothing of the packages is loaded."""
    return sorted({*_added, *(point.name for point in entry_points(group=GROUP))})


def has(name: str) -> bool:
    """Whether there is such a type."""
    return name in _added or bool(entry_points(group=GROUP, name=name))


def load(name: str) -> Any:
    """What the package gives for the type *name*; None where no package has it.

    Raises ConfigError, which names the package, where two have it, or it cannot be loaded.
    """
    found = list(entry_points(group=GROUP, name=name))
    if not found:
        return None
    packages = [_package(point) for point in found]
    if len({point.value for point in found}) > 1:
        raise ConfigError(
            f"several packages bring a provider of type `{name}`: {', '.join(packages)}", hint="remove all but one"
        )
    try:
        made = found[0].load()
    except Exception as error:  # whatever another's module raises
        raise ConfigError(
            f"the provider of type `{name}` from {packages[0]} cannot be loaded: {_told(error)}",
            hint=f"update or remove {packages[0]}",
            cause=error,
        ) from None
    if not callable(made):
        raise ConfigError(
            f"the provider of type `{name}` from {packages[0]} is neither a class nor a function",
            hint=f"update or remove {packages[0]}",
        )
    return made


def _package(point: Any) -> str:
    return one_line(str(point.dist.name if point.dist is not None else point.value), 80)


def _told(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}", 200)
