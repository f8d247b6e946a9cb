"""What a script says to a model: texts and conversations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.bridge.api import CALL, INPUT, MESSAGE, PARAMETERS, check
from llmspell.errors import ValidationError
from llmspell.types.agent import AgentInput, Parameters
from llmspell.types.media import Media
from llmspell.types.messages import NATIVE, Message, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.types.media import Part

__all__ = ["agent_input"]

NOT_UTF8 = "text for a model must be valid UTF-8"


def agent_input(given: Any, function: str, read: Callable[[int], bytes] | None = None) -> AgentInput:
    """The input of a call. read: gives the bytes of a `Media` of a file, by its number.

    Raises ValidationError naming *function*, the field and what came.
    """
    if isinstance(given, str | bytes):
        given = {"text": given}
    if isinstance(given, dict) and isinstance(given.get("text", given.get("prompt")), bytes):
        raise ValidationError(f"`{function}`: the text is not UTF-8", hint=NOT_UTF8)
    fields: Mapping[str, Any] = check(function, INPUT, given)
    text = fields.get("text", fields.get("prompt"))
    messages = [_message(item, function, index, read) for index, item in enumerate(fields.get("messages", ()), 1)]
    if given_media := fields.get("media"):
        from llmspell.bridge.parts import media_of

        media = [media_of(item, function, f"media[{index}]", read) for index, item in enumerate(given_media, 1)]
        messages.append(Message("user", (text, *media) if text else tuple(media)))
    elif text is not None:
        messages.append(Message("user", text))
    if not messages:
        raise ValidationError(
            f"`{function}` needs something to say", hint='pass a string, `{ text = "…" }` or `{ messages = {…} }`'
        )
    wanted = fields.get("output_modalities") or ()
    modalities = (wanted,) if isinstance(wanted, str) else tuple(wanted)
    parameters = _parameters(fields.get("parameters"), function)
    context = _context(fields["context"], function) if fields.get("context") else ""
    return AgentInput.of(AgentInput(tuple(messages), parameters, modalities, context))


def _context(given: Mapping[str, Any], function: str) -> str:
    import orjson

    try:
        told = orjson.dumps(given, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        raise ValidationError(f"`{function}`: `context` has what is no text", hint=NOT_UTF8) from None
    return f"Context, as JSON:\n{told}"


def _parameters(given: Any, function: str) -> Parameters:
    fields = dict(check(function, PARAMETERS, given, "parameters"))
    stop = fields.get("stop")
    if stop is not None:
        fields["stop"] = (stop,) if isinstance(stop, str) else tuple(stop)
    return Parameters(**fields)


# ---- messages


def _message(given: Any, function: str, index: int, read: Callable[[int], bytes] | None) -> Message:
    where = f"messages[{index}]"
    fields = check(function, MESSAGE, given, where)
    calls = [
        _call(one, function, f"{where}.tool_calls[{number}]")
        for number, one in enumerate(fields.get("tool_calls", ()), 1)
    ]
    native = _native(fields.get("native", {}), function, f"{where}.native")
    for name in ("role", "content"):
        if name not in fields and not (name == "content" and (calls or native)):
            raise ValidationError(f"`{function}`: `{where}.{name}` is missing", hint=MESSAGE[name][1])
    content = _content(fields.get("content", ""), function, f"{where}.content", read)
    call_id, failed = fields.get("tool_call_id"), fields.get("is_error", False)
    return Message(fields["role"], content, tuple(calls), call_id, native, failed, fields.get("cut"))


def _content(content: Any, function: str, where: str, read: Callable[[int], bytes] | None) -> str | tuple[Part, ...]:
    if isinstance(content, str):
        return content
    if isinstance(content, bytes):
        raise ValidationError(f"`{function}`: `{where}` is not UTF-8", hint=NOT_UTF8)
    if content == {}:
        return ""
    if not isinstance(content, list):
        raise ValidationError(
            f"`{function}`: `{where}` must be a string or a list of parts", hint=MESSAGE["content"][1]
        )
    from llmspell.bridge.parts import part_of

    parts = tuple(part_of(part, function, f"{where}[{number}]", read) for number, part in enumerate(content, 1))
    # One way to say it: a message without media has a text.
    return parts if any(isinstance(part, Media) for part in parts) else "".join(map(str, parts))


def _call(given: Any, function: str, where: str) -> ToolCall:
    fields = check(function, CALL, given, where)
    for name in ("id", "name"):
        if name not in fields:
            raise ValidationError(f"`{function}`: `{where}.{name}` is missing", hint=CALL[name][1])
    arguments = fields.get("arguments")
    return ToolCall(fields["id"], fields["name"], {} if arguments == [] else arguments, fields.get("raw", ""))


def _native(given: Any, function: str, where: str) -> dict[str, list[dict[str, Any]]]:
    """What a service wants back of its answer, as `output.message.native` gave it."""
    for name, value in {} if given == [] else given.items():
        if name not in NATIVE or not (isinstance(value, list) and all(isinstance(one, dict) for one in value)):
            raise ValidationError(
                f"`{function}`: `{where}` is not what an answer had there", hint="put `output.message` back as it was"
            )
    return dict(given)
