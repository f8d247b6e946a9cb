"""Files that go along with a message: pictures, sound, film and documents as they are, text as text."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, NamedTuple

from llmspell.errors import LimitError, NotFoundError, NotSupportedError, ValidationError, one_line
from llmspell.types.media import LARGEST_CALL, LIMITS, Media, sniff

if TYPE_CHECKING:
    from llmspell.providers.base import ProviderInstance

__all__ = ["Attached", "check", "read"]

HEAD = 65536  # bytes by which a file's kind is told
LARGEST_TEXT = 8 << 20  # bytes of a text


class Attached(NamedTuple):
    """A file that was read. part: a text, with the file's name above it, or a medium."""

    name: str
    part: str | Media
    size: int

    @property
    def kind(self) -> str:
        """text, image, audio, video or file."""
        return "text" if isinstance(self.part, str) else self.part.kind

    def __str__(self) -> str:
        from llmspell.cli.render.fetching import size_words

        what = "text" if isinstance(self.part, str) else self.part.mime_type
        return f"{self.name} ({what}, {size_words(self.size)})"


def read(path: str) -> Attached:
    """A file of the user's. Raises NotFoundError, ValidationError, LimitError, NotSupportedError for unknown bytes."""
    path = os.path.expanduser(path)
    shown, name = one_line(path, 200), one_line(os.path.basename(path), 120)
    try:
        if os.path.isdir(path):
            raise ValidationError(f"`{shown}` is a folder", hint="attach the files in it, one by one")
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(number, "rb") as file:
            found = os.fstat(number)
            if not stat.S_ISREG(found.st_mode):
                raise ValidationError(f"`{shown}` is not a plain file")
            if found.st_size > LARGEST_CALL:
                raise _too_large(shown, found.st_size, LARGEST_CALL)
            data = file.read(LARGEST_CALL + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file `{shown}`", hint="check the path", cause=error) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise ValidationError(f"cannot read `{shown}`: {told.lower()}", cause=error) from None
    if not data:
        raise ValidationError(f"`{shown}` is empty")
    mime_type = sniff(data[:HEAD])
    if mime_type is None or mime_type == "image/svg+xml":  # which models read better than they see it
        return Attached(name, _text(data, shown, name), len(data))
    medium = Media(mime_type, data, filename=name)
    if len(data) > LIMITS[medium.kind]:
        raise _too_large(shown, len(data), LIMITS[medium.kind])
    return Attached(name, medium, len(data))


def _text(data: bytes, shown: str, name: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise NotSupportedError(
            f"`{shown}` is neither UTF-8 text nor a picture, sound, film or PDF of a kind that is known",
            hint="convert it to one of these",
        )
    if len(data) > LARGEST_TEXT:
        raise _too_large(shown, len(data), LARGEST_TEXT)
    return f"File `{name}`:\n\n{text.rstrip()}\n\n"


def _too_large(shown: str, size: int, most: int) -> LimitError:
    return LimitError(f"`{shown}` has {size} bytes; at most {most} can be attached", hint="make it smaller")


def check(attached: Attached, provider: ProviderInstance, model: str) -> None:
    """Raises NotSupportedError for a kind of medium that the model is known not to take."""
    takes = provider.capabilities(model).input_modalities
    if attached.kind != "text" and attached.kind not in takes:
        raise NotSupportedError(
            f"`{provider.name}/{one_line(model, 80)}` takes {', '.join(takes)}, and "
            f"`{attached.name}` is {attached.part.mime_type if isinstance(attached.part, Media) else 'text'}",
            hint="leave it out, or use a model that takes it: see `llmspell providers show NAME MODEL`",
        )
