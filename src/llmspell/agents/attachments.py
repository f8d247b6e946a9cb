"""How large what goes along with a message may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.errors import ValidationError, one_line
from llmspell.types.media import LARGEST_CALL, LIMITS, Media

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.providers.base import ProviderInstance
    from llmspell.types.messages import Message

__all__ = ["check_sizes"]


def check_sizes(messages: Sequence[Message], provider: ProviderInstance, model: str) -> None:
    """Raises ValidationError, naming the part, where a medium is empty or larger than *model* takes, or where all of
    them are too large together.
    """
    most: int | None = None
    asked = False
    together = 0
    for index, message in enumerate(messages, 1):
        for number, part in enumerate(message.parts, 1):
            if not isinstance(part, Media) or part.data is None:
                continue
            if not asked:
                most, asked = provider.capabilities(model).max_media_size, True
            limit = LIMITS[part.kind] if most is None else min(most, LIMITS[part.kind])
            where = f"part {number} of message {index} ({one_line(part.mime_type, 60)})"
            if not part.data:
                raise ValidationError(f"{where} is empty")
            if len(part.data) > limit:
                whose = provider.name if most is not None and limit == most else "llmspell"
                raise ValidationError(
                    f"{where} has {len(part.data)} bytes; {whose} takes at most {limit}",
                    hint="make it smaller, or give its `url` where the service takes one",
                )
            together += len(part.data)
            if together > LARGEST_CALL:
                raise ValidationError(
                    f"the media up to {where} have {together} bytes; one call takes at most {LARGEST_CALL}",
                    hint="send fewer at once, or begin a new conversation",
                )
