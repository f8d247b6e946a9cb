"""What requests of several services have in common: tools and their names, who must be called, what cannot be sent."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import NotSupportedError, ValidationError, one_line
from llmspell.types.messages import Message

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.media import Media
    from llmspell.types.messages import ToolCall

__all__ = [
    "NAME",
    "answered",
    "arguments_of",
    "call_id",
    "check_names",
    "choice_of",
    "failed_text",
    "form_name",
    "held",
    "kept_of",
    "name_parts",
    "named_plainly",
    "nothing_to_send",
    "place_of",
    "refused",
    "results_first",
    "system_of",
    "version_in",
    "web_address",
]

CHOICES = ("auto", "none", "required")
#: What a schema may not say where OpenAI is to hold a model to it.
UNHELD = {
    "allOf", "oneOf", "not", "if", "then", "else", "default", "dependentRequired", "dependentSchemas",
    "patternProperties", "propertyNames", "unevaluatedProperties", "unevaluatedItems", "uniqueItems", "contains",
    "minContains", "maxContains", "minProperties", "maxProperties", "prefixItems",
}  # fmt: skip
#: What most services take as a tool's name; `named_plainly` says whether a name is so.
NAME = "1 to 64 letters, digits, `_` and `-`"


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


def named_plainly(name: str) -> bool:
    """Whether a name is as NAME says."""
    return 0 < len(name) <= 64 and name.isascii() and all(c.isalnum() or c in "_-" for c in name)


def form_name(name: str) -> str:
    """A form's name, as services take one."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in name)[:64] or "answer"


def held(schema: Mapping[str, Any], wanted: bool | None) -> tuple[Mapping[str, Any], bool]:
    """A schema as OpenAI holds a model to it, and True; or *schema* as it is, and False, where it cannot or may not be.

    There an object has the members that it names, and all of them: that it has no others is said for it where nothing
    is said, a member that need not be there cannot be told.
    """
    if not wanted or schema.get("type") != "object":
        return schema, False
    try:
        return _sealed(dict(schema)), True
    except _Loose:
        return schema, False


class _Loose(Exception):
    """A schema that says what no model is held to."""


def _sealed(schema: Any) -> Any:
    if isinstance(schema, list | tuple):
        return [_sealed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name in UNHELD:
            raise _Loose
        if name in ("properties", "$defs", "definitions") and isinstance(value, dict):
            told[name] = {member: _sealed(one) for member, one in value.items()}
        else:
            told[name] = value if name in ("enum", "const", "examples", "required") else _sealed(value)
    if "properties" in told or told.get("type") == "object":
        if told.setdefault("additionalProperties", False) is not False:
            raise _Loose
        needed = told.get("required")
        if set(told.get("properties") or ()) != set(needed if isinstance(needed, list | tuple) else ()):
            raise _Loose
        told.setdefault("properties", {})
        told.setdefault("required", [])
    return told


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


def arguments_of(call: ToolCall) -> str:
    """A call's arguments as JSON: as the model wrote them, or none where they cannot be read, since services read those
    of a conversation again, and refuse all of it for one that was cut.
    """
    return (call.raw if call.arguments is not None else "") or orjson.dumps(call.arguments or {}).decode()


def call_id(told: str, most: int) -> str:
    """A call's id for a service that takes letters, digits, `_` and `-`, *most* of them: the same for a call and its
    result. Another service's, or a script's, may be anything.
    """
    if 0 < len(told) <= most and told.isascii() and all(c.isalnum() or c in "_-" for c in told):
        return told
    from hashlib import sha256

    return "call_" + sha256(told.encode("utf-8", "replace")).hexdigest()[:32]


def kept_of(message: Message, name: str) -> list[dict[str, Any]]:
    """What an answer's service wants back of it; a script may have had it in its hands, so of what is none nothing."""
    kept = message.native.get(name)
    return [one for one in kept if isinstance(one, dict)] if isinstance(kept, list | tuple) else []


def answered(messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """Messages with their places: of a turn that others follow, a call of which nothing is told, since a limit cut the
    answer or nobody ran it, is told not to have been run. Services refuse a call without a result.
    """
    told: list[tuple[int, Message]] = []
    for place, message in enumerate(messages):
        told.append((place, message))
        if not message.tool_calls or place + 1 == len(messages):
            continue
        turn = takewhile(lambda later: later.role != "assistant", messages[place + 1 :])
        results = {later.tool_call_id for later in turn if later.role == "tool"}
        told += [
            (place, Message("tool", "It was not run.", (), call.id, is_error=True))
            for call in message.tool_calls
            if call.id not in results
        ]
    return told


def results_first(messages: Sequence[Message]) -> list[tuple[int, Message]]:
    """As `answered`: after a turn that calls tools, what these gave comes before all else."""
    ordered: list[tuple[int, Message]] = []
    start = 0
    for place, message in answered(messages):
        if message.role == "assistant":
            start = len(ordered) + 1
        if message.role == "tool":
            at = next((n for n in range(start, len(ordered)) if ordered[n][1].role != "tool"), len(ordered))
            ordered.insert(at, (place, message))
        else:
            ordered.append((place, message))
    return ordered


def failed_text(message: Message) -> str:
    """What a tool gave, in words; that it failed is said where the service has no other way to say it."""
    text = message.text
    if not message.is_error or text.lower().startswith("error"):
        return text
    return f"Error: {text}" if text.strip() else "Error: the tool failed."


def web_address(media: Media, place: str) -> str:
    """Where a medium is; or its bytes, as a data URL. Raises ValidationError where it has neither."""
    if media.data is None and not (media.url or "").lower().startswith(("https://", "http://")):
        raise ValidationError(f"{place} has neither bytes nor a web address", hint="give it `data`, or an https `url`")
    return media.data_url


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
