"""How large what goes along with a message may be, and its bytes where they are in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.errors import ValidationError, one_line
from llmspell.types.media import LARGEST_CALL, LIMITS, Media, Referred

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.providers.base import ProviderInstance
    from llmspell.types.messages import Message

__all__ = ["check_sizes", "loaded"]


def check_sizes(messages: Sequence[Message], provider: ProviderInstance, model: str) -> None:
    """Raises ValidationError, naming the part, where a medium is empty or larger than *model* takes, or where all of
    them are too large together.
    """
    most: int | None = None
    asked = False
    together = 0
    for index, message in enumerate(messages, 1):
        for number, part in enumerate(message.parts, 1):
            if not isinstance(part, Media) or (size := part.size) is None:
                continue
            if not asked:
                most, asked = provider.capabilities(model).max_media_size, True
            limit = LIMITS[part.kind] if most is None else min(most, LIMITS[part.kind])
            where = f"part {number} of message {index} ({one_line(part.mime_type, 60)})"
            if not size:
                raise ValidationError(f"{where} is empty")
            if size > limit:
                whose = provider.name if most is not None and limit == most else "llmspell"
                raise ValidationError(
                    f"{where} has {size} bytes; {whose} takes at most {limit}",
                    hint="make it smaller, or give its `url` where the service takes one",
                )
            together += size
            if together > LARGEST_CALL:
                raise ValidationError(
                    f"the media up to {where} have {together} bytes; one call takes at most {LARGEST_CALL}",
                    hint="send fewer at once, or begin a new conversation",
                )


def loaded(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """With the bytes of media that are in files, each file's read once; after `check_sizes`, since they are read here.

    Raises ValidationError for a file that has changed since it was looked at, NotFoundError for one that is gone.
    """
    known: dict[Referred, Media] = {}

    def read(part: str | Media) -> str | Media:
        if not isinstance(part, Referred):
            return part
        if part not in known:
            known[part] = part.loaded()
        return known[part]

    return tuple(
        message
        if not any(isinstance(part, Referred) for part in message.content)
        else message._replace(content=tuple(map(read, message.content)))
        for message in messages
    )
