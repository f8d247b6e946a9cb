"""What an error about a key says next: the key that was probably meant. Loaded when there is such an error."""

from __future__ import annotations

from difflib import get_close_matches

from llmspell.config.schema import BUILT_IN, KEYS, OWN_VARIABLES, PREFIX
from llmspell.errors import one_line

__all__ = ["nearest", "nearest_variable", "told"]

_ABOVE = "providers.NAME."


def told(parts: tuple[str, ...]) -> str:
    """A path as an error shows it: one line, and not long, whatever was written in the file."""
    return one_line(".".join(parts), 80)


def _known(names: list[str]) -> list[str]:
    """Every key's path, NAME spelled out."""
    known = [key.path for key in KEYS if not key.path.startswith(_ABOVE)]
    of_provider = [(key.path.removeprefix(_ABOVE), key) for key in KEYS if key.path.startswith(_ABOVE)]
    for name in names[:32]:
        kind = BUILT_IN.get(name, {}).get("type")
        known += [
            f"providers.{name}.{rest}" for rest, key in of_provider if not key.types or kind in (None, *key.types)
        ]
    return known


def nearest(parts: tuple[str, ...], names: list[str]) -> str:
    """A hint: the known key that is nearest to *parts*."""
    name = [parts[1]] if len(parts) > 2 and parts[0] == "providers" else []
    known = _known(list(dict.fromkeys([*names, *name])))
    wanted = ".".join(parts)[:200]
    near = get_close_matches(wanted, known, n=1, cutoff=0.75)
    if not near:  # the right word in the wrong table
        last = parts[-1][:100]
        words = get_close_matches(last, [path.rpartition(".")[2] for path in known], n=1, cutoff=0.75)
        near = [path for path in known if words and path.rpartition(".")[2] == words[0]]
    if not near:
        above = wanted.rpartition(".")[0] + "."
        near = [path for path in known if path.startswith(above)]
        return "known are: " + ", ".join(
            near or ["runtime.*", "limits.*", "providers.*", "permissions.*", "tools.*", "state.*"]
        )
    return f"the nearest known key is `{near[0]}`"


def nearest_variable(name: str, names: list[str]) -> str:
    """A hint: the known variable that is nearest to *name*."""
    known = [PREFIX + path.upper().replace(".", "__").replace("-", "_") for path in _known(names)]
    near = get_close_matches(name[:200].upper(), [*known, *OWN_VARIABLES], n=1, cutoff=0.6)
    return f"the nearest known variable is {near[0]}" if near else "LLMSPELL_RUNTIME__TIMEOUT is one of those known"
