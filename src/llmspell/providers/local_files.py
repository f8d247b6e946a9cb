"""The models folder as a list: what is in it, and how one of it is removed. Blocks."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Any, NamedTuple

from llmspell.errors import NotFoundError, PermissionDeniedError, one_line
from llmspell.providers.local_gguf import facts
from llmspell.providers.local_store import disk_error, is_path, models_folder, place_of, remove

__all__ = ["LocalModel", "find", "models", "remove_model"]

_BESIDE = ("", ".ok", ".LICENSE.txt")  # what a model's file has beside it, by what its name ends with


class LocalModel(NamedTuple):
    """A file of the models folder. size: bytes."""

    name: str
    path: str
    size: int

    def details(self) -> dict[str, Any]:
        """What is known of it: path, size (bytes), and what the file itself says (architecture, parameters, context,
        licence, tools), the unknown left out."""
        known = facts(self.path)
        told: dict[str, Any] = {"path": self.path, "size": self.size}
        for name in ("architecture", "parameters", "context", "licence"):
            value = getattr(known, name)
            if value is not None:
                told[name] = one_line(value, 100) if isinstance(value, str) else value
        return told | {"tools": known.tools}


def models() -> list[LocalModel]:
    """The models of the models folder, by name; none where it is not there."""
    try:
        with os.scandir(models_folder()) as entries:
            return sorted(
                LocalModel(entry.name[: -len(".gguf")], entry.path, entry.stat().st_size)
                for entry in entries
                if entry.name.endswith(".gguf") and not entry.name.startswith(".") and entry.is_file()
            )
    except OSError:
        return []


def find(name: str) -> LocalModel:
    """The model *name* of the models folder; `NAME.gguf` is it as well.

    Raises NotFoundError, with the nearest names, and PermissionDeniedError for a path: what lies elsewhere is its
    owner's.
    """
    name = name.removeprefix("local/").removesuffix(".gguf")
    if is_path(name) or not name or name.startswith("."):
        raise PermissionDeniedError(
            f"{one_line(name, 200) or 'an empty name'} is not in the models folder",
            hint=f"only models of {models_folder()} are removed: name one of `llmspell models list`",
        )
    here = models()
    for one in here:
        if one.name == name:
            return one
    names = [one.name for one in here]
    near = [one for one in names if name.lower() in one.lower()][:3] or get_close_matches(name, names, n=3, cutoff=0.5)
    if near:
        hint = f"did you mean {' or '.join(f'`{word}`' for word in near)}?"
    else:
        hint = f"here are: {', '.join(names[:20])}" if names else f"{models_folder()} has none"
    raise NotFoundError(f"no local model {one_line(name, 100)}", hint=hint)


def remove_model(model: LocalModel) -> None:
    """Removes its file, and what was written beside it. A process that has it loaded keeps it until it ends.

    Raises ProviderError where it cannot be removed.
    """
    try:
        for ending in _BESIDE:
            remove(place_of(model.name) + ending)
    except OSError as error:
        raise disk_error(error, models_folder()) from error
