"""What requests of several services have in common: tools and their names, who must be called, what cannot be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import NotSupportedError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.media import Media
    from llmspell.types.messages import Message

__all__ = [
    "check_names",
    "choice_of",
    "kept_of",
    "name_parts",
    "nothing_to_send",
    "place_of",
    "refused",
    "system_of",
    "version_in",
]

CHOICES = ("auto", "none", "required")


def check_names(call: ModelCall, good: Callable[[str], bool], rule: str) -> None:
    """Checks the names of *call*'s tools. *rule*: what a name is, in words. Raises ValidationError."""
    seen: set[str] = set()
    for tool in call.tools:
        shown = one_line(tool.name, 80)
        if not good(tool.name):
            raise ValidationError(f"the service takes no tool named `{shown}`", hint=f"a name is {rule}")
        if tool.name in seen:
            raise ValidationError(f"two tools are named `{shown}`", hint="give each its own name")
        seen.add(tool.name)


def choice_of(call: ModelCall) -> str | None:
    """Who must be called: one of CHOICES, a tool's name, or None. Raises ValidationError for a name of none of them."""
    choice = call.tool_choice
    if choice is None or (not call.tools and choice in ("auto", "none")):
        return None
    names = [tool.name for tool in call.tools]
    if not names:
        raise ValidationError(f"tool_choice is `{one_line(choice, 80)}`, but there are no tools", hint="add `tools`")
    if choice not in CHOICES and choice not in names:
        known = one_line(", ".join((*CHOICES, *names)), 200)
        raise ValidationError(f"tool_choice names no tool: `{one_line(choice, 80)}`", hint=f"there are {known}")
    return choice


def system_of(messages: Sequence[Message]) -> str:
    """What the system says, in one text. Raises NotSupportedError where it says anything but text."""
    texts = []
    for place, message in enumerate(messages):
        if message.role == "system":
            for number, part in enumerate(message.parts):
                if not isinstance(part, str):
                    raise refused(part, place_of(place, number), "text from the system")
            texts.append(message.text)
    return "\n\n".join(text for text in texts if text.strip())


def kept_of(message: Message, name: str) -> list[dict[str, Any]]:
    """What an answer's service wants back of it; a script may have had it in its hands, so of what is none nothing."""
    kept = message.native.get(name)
    return [one for one in kept if isinstance(one, dict)] if isinstance(kept, list | tuple) else []


def place_of(message: int, part: int) -> str:
    """Where a part stands, in words; both are counted from 0."""
    return f"part {part + 1} of message {message + 1}"


def refused(media: Media, place: str, takes: str) -> NotSupportedError:
    """The error of a medium that the service does not take."""
    what = one_line(media.mime_type, 80)
    return NotSupportedError(f"the service cannot take {what} as {place}", hint=f"it takes {takes}")


def nothing_to_send() -> ValidationError:
    """The error of a conversation in which nothing is said."""
    return ValidationError("there is nothing to send: all messages are empty", hint="give the model some text")


def name_parts(model: str) -> tuple[str, ...]:
    """The words and numbers in a model's name, in lower case."""
    return tuple("".join(c if c.isalnum() else " " for c in model.lower()).split())


def version_in(parts: Sequence[str]) -> tuple[int, int] | None:
    """The version that *parts* of a name tell, as (major, minor): "3-5", "4.6", "5". A date is none."""
    for place, part in enumerate(parts):
        if _short_number(part):
            after = parts[place + 1] if place + 1 < len(parts) else ""
            return int(part), int(after) if _short_number(after) else 0
    return None


def _short_number(part: str) -> bool:
    return 0 < len(part) <= 2 and part.isascii() and part.isdecimal()
