"""One call as the embedded engine is asked: a body of the chat dialect, and how its answer is to be read.

The engine takes unknown roles and empty messages without a word, and drops what its model's template does not show;
so all of it is looked at here. Source: LOCAL.md §2, §5.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmspell.errors import NotSupportedError, ValidationError
from llmspell.types.messages import ROLES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.providers.base import ModelCall
    from llmspell.types.messages import Message
    from llmspell.types.tools import ToolSpec

    _Unable = Callable[[str, str], NotSupportedError]

__all__ = ["MAX_TOKENS", "Asked", "request"]

MAX_TOKENS = 512  # of an answer that set no limit: a tiny model that loops must end

#: Without a wish of the caller's. Source: LOCAL.md §2.
SAMPLING = {"temperature": 0.6, "min_p": 0.1, "repeat_penalty": 1.1}
#: Members of a body that bind the answer's form; the model is too small to stray from its best guess there.
FORMS = ("response_format", "json_schema", "grammar")
#: What the request must say itself, whatever `body` adds.
OURS = ("messages", "stream", "stream_options", "return_progress", "model")


class Asked(NamedTuple):
    """body: for the engine. forced: whether the answer is a tool's call that the grammar forces, written as text."""

    body: bytes
    forced: bool = False


def request(call: ModelCall, provider: str, model: str, *, knows_tools: bool) -> Asked:
    """What the engine is asked for *call*. knows_tools: whether the model's own template shows tools to it.

    Raises ValidationError, and NotSupportedError for what the model cannot be given.
    """

    def unable(what: str, hint: str) -> NotSupportedError:
        return NotSupportedError(f"{provider}/{model} {what}", hint=hint, provider=provider, model=model)

    _check(call, provider, unable)
    tools, forced = _tools(call, unable, knows_tools)
    try:
        return Asked(orjson.dumps(_body(call, tools, forced, unable, knows_tools)), forced)
    except (TypeError, ValueError) as error:
        raise ValidationError(f"a request to {provider} that is no JSON: {error}", cause=error) from error


def _body(
    call: ModelCall, tools: Sequence[ToolSpec], forced: bool, unable: _Unable, knows_tools: bool
) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": MAX_TOKENS} | SAMPLING
    messages = _messages(call.messages, knows_tools and not forced)
    shape: dict[str, Any] | None = None
    if tools or call.schema is not None:
        from llmspell.providers import local_forms
    if forced:
        shape = local_forms.calls_form(tools)
        messages = _with_system(messages, local_forms.tools_told(tools))
    elif call.schema is not None:
        if tools:
            raise unable("cannot have tools and a schema in one call", "ask for the tools first, then for the form")
        shape = local_forms.form(call.schema.schema)
    if shape is not None:
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": shape}}
    elif tools:
        body["tools"] = [_tool(tool) for tool in tools]
        body["tool_choice"] = "auto"
        if call.parallel_tools is not None:
            body["parallel_tool_calls"] = call.parallel_tools
    if shape is not None or tools or any(call.body.get(name) for name in (*FORMS, "tools")):
        body["temperature"] = 0
    body |= _parameters(call)
    body |= {name: value for name, value in call.body.items() if name not in OURS}
    if any(call.body.get(name) for name in (*FORMS, "tools")):
        _bound(call.body)
    body |= {"messages": messages, "stream": True, "return_progress": True}
    body["stream_options"] = {"include_usage": True}
    return body


def _check(call: ModelCall, provider: str, unable: _Unable) -> None:
    """What no model of the engine's takes."""
    if call.body.get("n", 1) != 1:
        raise ValidationError("the local model gives one answer a call", hint="leave `n` out")
    if call.parameters.reasoning is not None:
        raise NotSupportedError(f"`reasoning` cannot be set for {provider}", hint="leave it out", provider=provider)
    if made := [word for word in call.modalities if word != "text"]:
        raise unable(f"makes no {made[0]}: it writes text", "leave the modalities out, or use another provider")
    if not call.messages:
        raise ValidationError("a model call needs at least one message")
    for message in call.messages:
        if message.role not in ROLES:
            raise ValidationError(f"unknown role {message.role!r}", hint=f"one of {', '.join(ROLES)}")
        if not isinstance(message.content, (str, tuple)):
            raise ValidationError(
                f"a message's content is {type(message.content).__name__}", hint="the local model reads text"
            )
        if not isinstance(message.content, str) and (media := message.media):
            kind = media[0].kind
            raise unable(
                f"reads text only, not {'an' if kind[0] in 'ai' else 'a'} {kind}",
                "name a model that takes it, as `provider/model`",
            )


def _tools(call: ModelCall, unable: _Unable, knows_tools: bool) -> tuple[Sequence[ToolSpec], bool]:
    """The tools that the model is to know, and whether it is forced to call one."""
    choice = call.tool_choice
    if choice == "none":
        return (), False
    if not call.tools:
        if choice in (None, "auto"):
            if call.body.get("tools") and not knows_tools:
                raise unable("knows no tools", _FORCE)
            return (), False
        raise ValidationError(f"`tool_choice` is {choice!r}, and there are no tools")
    if choice in (None, "auto"):
        if not knows_tools:
            # Its template would leave them out without a word. Source: LOCAL.md §2.
            raise unable("knows no tools, so it cannot choose whether to call one", _FORCE)
        return call.tools, False
    if choice == "required":
        return call.tools, True
    named = [tool for tool in call.tools if tool.name == choice]
    if not named:
        known = ", ".join(tool.name for tool in call.tools[:20])
        raise ValidationError(f"`tool_choice` names no tool: {choice!r}", hint=f"there are {known}")
    return named, True


_FORCE = (
    'make it call one, with `tool_choice` "required" or the tool\'s name; ask for JSON with a schema;'
    " or use a model whose chat template has tools"
)


def _bound(value: Any) -> None:
    """Raises where what a script adds to the body as a form is larger than the engine can be given; see PARTS."""
    from llmspell.providers.local_forms import PARTS

    left, parts = [value], 0
    while left:
        one = left.pop()
        inner = list(one.values() if isinstance(one, dict) else one) if isinstance(one, (dict, list, tuple)) else []
        parts += len(inner) + (len(one) // 20 if isinstance(one, str) else 0)  # a grammar is a text
        if parts > 3 * PARTS:
            raise ValidationError("the form is too large for the local model", hint="make it smaller")
        left += inner


def _parameters(call: ModelCall) -> dict[str, Any]:
    given = call.parameters
    told: dict[str, Any] = {}
    for name in ("temperature", "top_p", "max_tokens", "seed"):
        if (value := getattr(given, name)) is not None:
            told[name] = value
    if given.stop:
        told["stop"] = list(given.stop)
    if given.seed is not None:
        if type(given.seed) is not int or not 0 <= given.seed < 2**32 - 1:
            raise ValidationError(f"`seed` is {given.seed!r}", hint="a whole number from 0 to 4294967294")
        told["cache_prompt"] = False  # what was read before would change the batches, and so the last digits
    if given.max_tokens is not None and (type(given.max_tokens) is not int or given.max_tokens < 1):
        raise ValidationError(f"`max_tokens` is {given.max_tokens!r}", hint="a whole number above 0")
    return told


def _tool(tool: ToolSpec) -> dict[str, Any]:
    from llmspell.providers import local_forms

    told = {"name": tool.name, "description": tool.description, "parameters": local_forms.form(tool.parameters)}
    return {"type": "function", "function": told}


# -- messages


def _messages(messages: Sequence[Message], with_tools: bool) -> list[dict[str, Any]]:
    """The turns. with_tools: in the dialect's own words; else calls and results in words that any template shows."""
    told: list[dict[str, Any]] = []
    names: dict[str | None, str] = {}
    for message in messages:
        names.update({call.id: call.name for call in message.tool_calls})
        told.append(_in_dialect(message) if with_tools else _in_words(message, names))
    return told


def _in_dialect(message: Message) -> dict[str, Any]:
    entry: dict[str, Any] = {"role": message.role, "content": message.text}
    if message.tool_calls:
        entry["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.raw or orjson.dumps(call.arguments or {}).decode()},
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        entry["tool_call_id"] = message.tool_call_id
    return entry


def _in_words(message: Message, names: dict[str | None, str]) -> dict[str, Any]:
    if message.role == "tool":
        name = names.get(message.tool_call_id, message.tool_call_id or "")
        what = "failed" if message.is_error else "gave"
        return {"role": "user", "content": f"The tool {name} {what}: {message.text}"}
    lines = [message.text] if message.text else []
    for call in message.tool_calls:
        arguments = call.arguments if call.arguments is not None else call.raw
        lines.append(orjson.dumps({"name": call.name, "arguments": arguments}).decode())
    return {"role": message.role, "content": "\n".join(lines)}


def _with_system(messages: list[dict[str, Any]], text: str) -> list[dict[str, Any]]:
    """*messages* with *text* after what the system says at their head."""
    if messages[0]["role"] == "system":
        said = f"{messages[0]['content']}\n\n{text}" if messages[0]["content"] else text
        return [{"role": "system", "content": said}, *messages[1:]]
    return [{"role": "system", "content": text}, *messages]
