"""What scripts may pass, as data: argument checks, and the names that a typing mistake is compared with.

On this road: the fields of `Agent.create` and of an agent's input. A field is its name, what it takes, and one line.
"""

from __future__ import annotations

from llmspell.bridge.failures import nearest
from llmspell.errors import ValidationError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

__all__ = ["AGENT", "CALL", "EMBED", "INPUT", "MESSAGE", "PARAMETERS", "PART", "check"]


LONGEST_NAME = 60  # characters of a field's name that are looked at: a script may give any


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_texts(value: Any) -> bool:
    return isinstance(value, str) or (_is_list(value) and all(isinstance(item, str) for item in value))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) or value == {}  # an empty table may be either


def _is_retry(value: Any) -> bool:
    return isinstance(value, dict) or (type(value) is int and value > 0)


#: What a field may take: words for the message, and the test.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "string": ("a string", lambda value: isinstance(value, str)),
    "strings": ("a string or a list of strings", _is_texts),
    "seconds": ("a number of seconds above 0", lambda value: _is_number(value) and value > 0),
    "number": ("a number", _is_number),
    "temperature": ("a number from 0 to 2", lambda value: _is_number(value) and 0 <= value <= 2),
    "share": ("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1),
    "count": ("a whole number above 0", lambda value: type(value) is int and value > 0),
    "integer": ("a whole number", lambda value: type(value) is int),
    "table": ("a table", _is_table),
    "list": ("a list", _is_list),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "bytes": ("a string", lambda value: isinstance(value, str | bytes)),
    "retry": ("a table or a whole number above 0", _is_retry),
    "any": ("a value", lambda value: True),
}

PARAMETERS: dict[str, tuple[str, str]] = {
    "temperature": ("temperature", "how freely the model chooses; 0 is always the likeliest"),
    "top_p": ("share", "only the likeliest words that make up this share"),
    "max_tokens": ("count", "the longest answer, in tokens"),
    "stop": ("strings", "texts that end the answer"),
    "seed": ("integer", "the same seed gives the same answer, where the service can"),
    "reasoning": ("string", "how hard the model thinks: low, medium, high"),
}

AGENT: dict[str, tuple[str, str]] = {
    "name": ("string", "what the agent is called"),
    "description": ("string", "what it is for"),
    "model": (
        "strings",
        "`provider/model`, a model of `provider`, or a provider's name; else the configured default; "
        "a list: the next one where the one before fails",
    ),
    "provider": ("string", "whose model it is"),
    "system_prompt": ("string", "what the model is told before anything else"),
    "prompt": ("string", "the same as `system_prompt`"),
    **PARAMETERS,
    "response_schema": ("table", "a JSON Schema: the form of the answers, whose `data` is then a table"),
    "timeout": ("seconds", "for one whole call"),
    "retry": ("retry", "`{attempts = 4, base = 0.5, max = 30, budget = 60}`, or a number of attempts"),
    "extra": ("table", "`{body = {…}, headers = {…}}`, sent to the service as it is"),
    "metadata": ("table", "kept with the agent, not sent"),
}

INPUT: dict[str, tuple[str, str]] = {
    "text": ("string", "what to say to the model"),
    "prompt": ("string", "the same as `text`"),
    "messages": ("list", "a conversation: `{role, content}` each"),
    "media": ("list", "images, sound, video and files that go with the text: `{type, data}` each"),
    "parameters": ("table", "for this call, over the agent's own"),
    "output_modalities": ("strings", "what the answer may be made of besides text: image, audio"),
}

MESSAGE: dict[str, tuple[str, str]] = {
    "role": ("string", "system, user, assistant or tool"),
    "content": ("any", 'a string, or a list of parts: `{type = "text", text = "…"}`, `{type = "image", data = bytes}`'),
    "tool_calls": ("list", "of an assistant's message, the calls that it made: `{id, name, arguments}` each"),
    "tool_call_id": ("string", "which call a tool's message answers"),
    "is_error": ("flag", "of a tool's message, that the tool failed"),
    "native": ("table", "what the service wants back, as `output.message` has it"),
}

PART: dict[str, tuple[str, str]] = {
    "type": ("string", "text, image, audio, video or file"),
    "text": ("any", "of a text part"),
    "data": ("bytes", "the bytes"),
    "base64": ("string", "the bytes as base64"),
    "url": ("string", "where the service finds it, with https://"),
    "mime_type": ("string", "what it is, as `image/png`; else the bytes tell"),
    "media_type": ("string", "the same as `mime_type`"),
    "filename": ("string", "what a file is called"),
    "detail": ("string", "how closely an image is looked at: low, high, auto"),
}

CALL: dict[str, tuple[str, str]] = {
    "id": ("string", "what the model called the call"),
    "name": ("string", "the tool's name"),
    "arguments": ("table", "what it was called with"),
    "raw": ("string", "the text of arguments that did not parse"),
    "result": ("any", "what the tool gave; it goes to the model in a message of its own"),
}

EMBED: dict[str, tuple[str, str]] = {
    "model": ("string", "`provider/model`, or a provider's name; else the default provider's own"),
    "provider": ("string", "whose model it is"),
    "input": ("strings", "the texts"),
    "dimensions": ("count", "how many numbers a vector is to have, where the model can choose"),
}


def _came(value: Any) -> str:
    if value is None:
        return "nil"
    if isinstance(value, bytes):
        return "a string that is not UTF-8"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value}"
    if isinstance(value, str):
        return f"the string `{value[:40]}`"
    return "a table"


def check(function: str, fields: Mapping[str, tuple[str, str]], given: Any, where: str = "") -> dict[str, Any]:
    """*given* as a dict whose fields are known and fit. Raises ValidationError naming function, field and what came."""
    if given == [] or given is None:
        given = {}
    if not isinstance(given, dict):
        raise ValidationError(f"`{function}`: {where or 'the argument'} must be a table, not {_came(given)}")
    for name, value in given.items():
        key = one_line(name if isinstance(name, str) else str(name), LONGEST_NAME)
        shown = f"{where}.{key}" if where else key
        kind = fields.get(name)
        if kind is None:
            near = nearest(key, fields)
            raise ValidationError(
                f"`{function}` has no field `{shown}`",
                hint=f"did you mean `{near}`?" if near else f"it takes {', '.join(fields)}",
            )
        words, fits = KINDS[kind[0]]
        if not fits(value):
            raise ValidationError(f"`{function}`: `{shown}` must be {words}, not {_came(value)}", hint=kind[1])
    return given
