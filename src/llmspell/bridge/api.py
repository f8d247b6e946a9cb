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

__all__ = [
    "AGENT",
    "BRANCH",
    "CALL",
    "COMPACT",
    "CONDITIONAL",
    "DISCOVER",
    "EMBED",
    "INPUT",
    "KINDS",
    "LOOP",
    "LUA_TOOL",
    "MESSAGE",
    "OLDER_MODEL",
    "PARALLEL",
    "PARAMETERS",
    "PART",
    "SEQUENTIAL",
    "STEP",
    "TOOL",
    "WRAPPED",
    "check",
]


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


def _is_function(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"lent"} and type(value["lent"]) is int  # as the prelude has it


def _is_range(value: Any) -> bool:
    return isinstance(value, dict | list) and not _is_function(value)


def _is_named(handle: str) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, str) or (isinstance(value, dict) and type(value.get(handle)) is int)


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
    "rounds": ("a whole number, at least 0", lambda value: type(value) is int and value >= 0),
    "lent": ("a function", lambda value: type(value) is int),  # it comes as its number
    "approval": ('a function, or "ask"', lambda value: type(value) is int or value == "ask"),
    "function": ("a function", _is_function),
    "milliseconds": ("a number of milliseconds above 0", lambda value: _is_number(value) and value > 0),
    "condition": ("a function or a string with a placeholder", lambda value: isinstance(value, str | bool | dict)),
    "tool": ("the name of a tool", lambda value: isinstance(value, str)),
    "agent": ("an agent, or the name of one", _is_named("agent")),
    "workflow": ("a workflow, or the name of one", _is_named("workflow")),
    "items": ("a list, or a string with a placeholder", lambda value: _is_list(value) or isinstance(value, str)),
    "range": ("a table: first, last and step", _is_range),
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
    "timeout_ms": ("milliseconds", "the same in milliseconds"),
    "retry": ("retry", "`{attempts = 4, base = 0.5, max = 30, budget = 60}`, or a number of attempts"),
    "tools": ("list", "what the model may call: names of tools, tools, agents"),
    "tool_choice": ("string", "auto, none, required, or a tool's name: then the first answer has to call it"),
    "max_tool_rounds": ("rounds", "how many answers may call tools (default 20); 0: their calls come back unrun"),
    "approve": ("approval", "asked before each call of a tool: true, false, or a reason why not; `ask`: a person is"),
    "on_tool_error": ("string", "tell: the model is told of a tool that fails (the default); raise: it is raised"),
    "extra": ("table", "`{body = {…}, headers = {…}}`, sent to the service as it is"),
    "metadata": ("table", "kept with the agent, not sent"),
    "type": ("string", "of older scripts; all agents are of one kind"),
    "agent_type": ("string", "the same as `type`"),
    "allowed_tools": ("list", "of older scripts, the same as `tools`"),
    "custom_config": ("table", "of older scripts: fields of the agent; others are kept in `metadata`"),
    "base_url": ("string", "of older scripts: where the provider is; only where it is there anyway"),
    "api_key": ("string", "of older scripts: a key of the script's own, for the provider's own address"),
    "resource_limits": ("table", "of older scripts: `max_execution_time_secs` is `timeout`, `max_tool_calls` rounds"),
}

OLDER_MODEL: dict[str, tuple[str, str]] = {
    "provider": ("string", "whose model it is"),
    "model_id": ("string", "the model's name"),
    "model": ("string", "the same as `model_id`"),
    "name": ("string", "the same as `model_id`"),
    "settings": ("table", "fields of the agent"),
    **PARAMETERS,
}

WRAPPED: dict[str, tuple[str, str]] = {
    "name": ("string", "the tool's name; else the agent's"),
    "description": ("string", "what it does, for the model; else the agent's"),
}

INPUT: dict[str, tuple[str, str]] = {
    "text": ("string", "what to say to the model"),
    "prompt": ("string", "the same as `text`"),
    "messages": ("list", "a conversation: `{role, content}` each"),
    "media": ("list", "images, sound, video and files that go with the text: `{type, data}` each"),
    "parameters": ("table", "for this call, over the agent's own"),
    "context": ("table", "what the model is to know besides: it is told after the system prompt, as JSON"),
    "output_modalities": ("strings", "what the answer may be made of besides text: image, audio"),
}

MESSAGE: dict[str, tuple[str, str]] = {
    "role": ("string", "system, user, assistant or tool"),
    "content": ("any", 'a string, or a list of parts: `{type = "text", text = "…"}`, `{type = "image", data = bytes}`'),
    "tool_calls": ("list", "of an assistant's message, the calls that it made: `{id, name, arguments}` each"),
    "tool_call_id": ("string", "which call a tool's message answers"),
    "is_error": ("flag", "of a tool's message, that the tool failed"),
    "native": ("table", "what the service wants back, as `output.message` has it"),
    "cut": ("string", "of an answer that ended in the middle, why, as `chat.messages` has it"),
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
    "format": ("string", "of a `Media`: png, mp3 …"),
    "size": ("integer", "of a `Media`: bytes"),
    "metadata": ("table", "of a `Media`: width, height …"),
    "file": ("integer", "of a `Media` of a file"),
    "detail": ("string", "how closely an image is looked at: low, high, auto"),
}

CALL: dict[str, tuple[str, str]] = {
    "id": ("string", "what the model called the call"),
    "name": ("string", "the tool's name"),
    "arguments": ("table", "what it was called with"),
    "raw": ("string", "the text of arguments that did not parse"),
    "result": ("any", "what the tool gave; it goes to the model in a message of its own"),
    "error": ("string", "what the model was told where the tool failed; likewise"),
}

COMPACT: dict[str, tuple[str, str]] = {
    "keep": ("integer", "how many turns stay as they are, at least"),
}

EMBED: dict[str, tuple[str, str]] = {
    "model": ("string", "`provider/model`, or a provider's name; else the default provider's own"),
    "provider": ("string", "whose model it is"),
    "input": ("strings", "the texts"),
    "dimensions": ("count", "how many numbers a vector is to have, where the model can choose"),
}

TOOL: dict[str, tuple[str, str]] = {
    "name": ("string", "what the tool is called: letters, digits, `_` and `-`"),
    "description": ("string", "what it does, for the model that may call it"),
    "category": ("string", "for `Tool.categories` and `Tool.discover`"),
    "parameters": ("table", "a JSON Schema of its parameters, of an object"),
    "timeout": ("seconds", "for one call; without it only the run's own time is limited"),
    "timeout_ms": ("count", "the same in milliseconds"),
    "execute": ("any", "the function that does it: takes the parameters, gives a value"),
}

LUA_TOOL: dict[str, tuple[str, str]] = {
    **TOOL,
    "execute": ("lent", "the function that does it: takes the parameters, gives a value"),
}

DISCOVER: dict[str, tuple[str, str]] = {
    "category": ("string", "of this category"),
    "name": ("string", "with this in the name"),
    "text": ("string", "with this in the name or the description"),
}

STEP: dict[str, tuple[str, str]] = {
    "name": ("string", "what it is called in its workflow, and in placeholders"),
    "description": ("string", "what it is for"),
    "type": ("string", "tool, agent, function (also `custom`) or workflow; else what is named says so"),
    "tool": ("tool", "the tool that it runs"),
    "agent": ("agent", "the agent that it asks"),
    "workflow": ("workflow", "the workflow that it runs"),
    "run": ("function", "called with ctx: input, params, state, steps, loop; what it gives is the result"),
    "execute": ("function", "the same as `run`"),
    "input": ("any", "what is run with, with placeholders: `{{input.x}}`, `{{step.NAME.result}}`, `{{state.x}}`"),
    "parameters": ("any", "the same as `input`"),
    "params": ("any", "the same as `input`"),
    "condition": ("condition", "the step runs where it holds"),
    "timeout": ("seconds", "for each attempt"),
    "timeout_ms": ("milliseconds", "the same in milliseconds"),
    "retry": ("retry", "a number of attempts, or `{attempts = 3, base = 0.5, max = 30, budget = 60}`"),
    "on_error": ("string", "where it fails: fail, skip, retry, continue"),
    "error_strategy": ("string", "the same as `on_error`"),
}

BRANCH: dict[str, tuple[str, str]] = {
    "name": ("string", "what `branch` of the result says"),
    "condition": ("condition", "the branch runs where it holds, and none before it did"),
    "default": ("flag", "it runs where no other one does"),
    "steps": ("list", "what runs"),
}

_FLOW: dict[str, tuple[str, str]] = {
    "name": ("string", "what it is called"),
    "description": ("string", "what it is for"),
    "timeout": ("seconds", "for the whole of it"),
    "timeout_ms": ("milliseconds", "the same in milliseconds"),
    "on_error": ("string", "of steps that say nothing themselves: fail, skip, retry, continue"),
    "error_strategy": ("string", "the same as `on_error`"),
}

SEQUENTIAL: dict[str, tuple[str, str]] = {**_FLOW, "steps": ("list", "what runs, one after the other")}

PARALLEL: dict[str, tuple[str, str]] = {
    **_FLOW,
    "steps": ("list", "what runs, together"),
    "max_concurrency": ("count", "how many at once"),
}

CONDITIONAL: dict[str, tuple[str, str]] = {
    **_FLOW,
    "steps": ("list", "what runs before a condition is looked at"),
    "condition": ("condition", "which of the two runs"),
    "then_steps": ("list", "what runs where it holds"),
    "else_steps": ("list", "what runs where it does not"),
    "then_branch": ("any", "the same as `then_steps`; also one step"),
    "else_branch": ("any", "the same as `else_steps`; also one step"),
    "branches": ("list", "`{name, condition, steps}` each: the first whose condition holds runs"),
    "default_branch": ("any", "what runs where none does: steps, or `{name, steps}`"),
}

LOOP: dict[str, tuple[str, str]] = {
    **_FLOW,
    "steps": ("list", "what runs in each round"),
    "body": ("list", "the same as `steps`"),
    "range": ("range", "first, last and step; also `{start, end, step}` by name"),
    "collection": ("items", "a round for each item"),
    "while": ("condition", "a round as long as it holds"),
    "while_condition": ("condition", "the same as `while`"),
    "iterator": ("table", "`{range = …}`, `{collection = …}` or `{while_condition = …}`, of older scripts"),
    "max_iterations": ("count", "ends the loop there"),
    "break_when": ("condition", "ends the loop after a round in which it holds"),
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
        return f"the string `{one_line(value, 40)}`"
    if isinstance(value, list):
        return "a list"
    return "a function" if _is_function(value) else "a table"


def check(function: str, fields: Mapping[str, tuple[str, str]], given: Any, where: str = "") -> dict[str, Any]:
    """*given* as a dict whose fields are known and fit. Raises ValidationError naming function, field and what came."""
    if given == [] or given is None:
        given = {}
    if not isinstance(given, dict) or _is_function(given):
        raise ValidationError(f"`{function}`: {where or 'the argument'} must be a table, not {_came(given)}")
    for name, value in given.items():
        kind = fields.get(name)
        if kind is not None and KINDS[kind[0]][1](value):
            continue
        key = one_line(name if isinstance(name, str) else str(name), LONGEST_NAME)
        shown = f"{where}.{key}" if where else key
        if kind is None:
            near = nearest(key, fields)
            raise ValidationError(
                f"`{function}` has no field `{shown}`",
                hint=f"did you mean `{near}`?" if near else f"it takes {', '.join(fields)}",
            )
        raise ValidationError(f"`{function}`: `{shown}` must be {KINDS[kind[0]][0]}, not {_came(value)}", hint=kind[1])
    return given
