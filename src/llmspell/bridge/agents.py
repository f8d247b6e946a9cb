"""What a script says of an agent, as an Agent: its fields, those of older scripts, and its tools."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell.agents.agent import Agent
from llmspell.bridge.api import AGENT, LUA_TOOL, OLDER_MODEL, check
from llmspell.errors import ValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llmspell.agents.toolbox import AgentTool
    from llmspell.bridge.run import Run
    from llmspell.providers.manager import ProviderManager
    from llmspell.tools.base import Tool
    from llmspell.types.agent import AgentOutput
    from llmspell.types.messages import ToolCall

__all__ = ["agent_tool", "make"]

#: Fields of older scripts that say the same as one of ours.
SAME = {"prompt": "system_prompt", "allowed_tools": "tools"}
#: Members of their `resource_limits` that do; the others have no meaning here.
LIMITS = {
    "max_execution_time_secs": "timeout",
    "timeout_seconds": "timeout",
    "max_tool_calls": "max_tool_rounds",
}


def make(run: Run, config: Any, function: str) -> Agent:
    """The agent that a script describes. Raises ValidationError naming *function*, the field and what came."""
    fields = _plain(check(function, AGENT, _flat(config, function)), function)
    schema = fields.get("response_schema")
    if schema is not None:
        from llmspell.tools.schema import from_script

        fields["response_schema"] = from_script(schema)
    fields.setdefault("name", f"agent-{len(run.agents) + 1}")
    if fields.get("model") is None and fields.get("provider") is None:
        fields["model"], fields["provider"] = run.model, run.provider
    given = fields.pop("tools", None) or ()
    if given:
        from llmspell.bridge.toolhost import RunHost

        fields["tools"] = [_tool(run, one, function, index) for index, one in enumerate(given, 1)]
        fields["tool_host"] = RunHost(run)
    if (approve := fields.get("approve")) is not None:
        fields["approve"] = _person(run, fields["name"]) if approve == "ask" else _approval(run, approve)
    retried = partial(_retried, run, fields["name"])
    base_url, api_key = fields.pop("base_url", None), fields.pop("api_key", None)
    providers = run.providers() if not (base_url or api_key) else _providers(run, fields, base_url, api_key)
    agent = Agent(**fields, providers=providers, meter=run.meter, on_retry=retried)
    agent.resolve()
    return agent


def _flat(config: Any, function: str) -> Any:
    """`model = {provider = …, model_id = …}` of older scripts, as fields of the agent."""
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        return config
    told = dict(check(function, OLDER_MODEL, config["model"], "model"))
    settings = told.pop("settings", None) or {}
    names = [told.pop(name) for name in ("model_id", "model", "name") if name in told]
    model = {"model": names[0]} if names else {}
    return {**settings, **told, **{key: value for key, value in config.items() if key != "model"}, **model}


def _plain(given: Mapping[str, Any], function: str) -> dict[str, Any]:
    """The fields as an Agent takes them, those of older scripts among them."""
    fields = dict(given)
    for name in ("type", "agent_type"):
        fields.pop(name, None)  # all are of one kind
    for name, ours in SAME.items():
        if (value := fields.pop(name, None)) is not None:
            fields.setdefault(ours, value)
    if (older := fields.pop("timeout_ms", None)) is not None:
        fields.setdefault("timeout", older / 1000)
    for name, value in (fields.pop("resource_limits", None) or {}).items():
        if name in LIMITS and type(value) in (int, float) and value > 0:
            fields.setdefault(LIMITS[name], value)
    more = fields.pop("custom_config", None) or {}
    known = check(function, AGENT, {name: value for name, value in more.items() if name in AGENT}, "custom_config")
    for name, value in _plain(known, function).items() if known else ():
        fields.setdefault(name, value)
    if kept := {name: value for name, value in more.items() if name not in AGENT}:
        fields["metadata"] = {**kept, **fields.get("metadata", {})}
    return fields


def _providers(run: Run, fields: dict[str, Any], base_url: str | None, api_key: str | None) -> ProviderManager:
    """Those of an agent that says where its provider is, or brings a key. Names the provider in *fields*.

    Where providers are is for the host to say, not for a script, which could send a key anywhere: an address is taken
    where it is the one that the provider has.
    """
    from llmspell.errors import NotSupportedError, PermissionDeniedError, one_line
    from llmspell.providers.manager import ProviderManager

    manager = run.providers()
    model = fields.get("model")
    if isinstance(model, list):
        raise ValidationError("`base_url` and `api_key` are for one model, and `model` is a list")
    provider, fields["model"] = manager.resolve(model, fields.get("provider"))
    name = fields["provider"] = provider.name
    if base_url and base_url.rstrip("/").removesuffix("/v1") != manager.where(name).rstrip("/").removesuffix("/v1"):
        raise PermissionDeniedError(
            f"a script may not say that {name} is at `{one_line(base_url, 200)}`",
            hint=f"set `providers.{name}.base_url` in the configuration",
            provider=name,
        )
    if not api_key:
        return manager
    if run.tape is not None:
        raise NotSupportedError("an agent with a key of its own cannot be recorded", hint="leave `api_key` out")
    own = ProviderManager({})
    own.register(manager.with_key(name, api_key))
    return own


def _retried(run: Run, name: str, details: Mapping[str, Any]) -> None:
    """A line of the log: nothing is tried again in silence."""
    if run.observer is not None:
        run.observer.retried(name, details)
    if "model" in details:
        run.note("warn", f"{name}: {details['error']}; asking {details['model']}", None)
    else:
        wait = f"in {details['wait']:.3g} s" if details["wait"] else "at once"
        run.note("warn", f"{name}: {details['error']}; attempt {details['attempt']} {wait}", None)


# ---- tools


def _tool(run: Run, given: Any, function: str, index: int) -> Tool:
    """A tool by name, one that is written in place, or an agent."""
    if isinstance(given, str):
        return run.tools.get(given)
    if isinstance(given, dict) and type(given.get("agent")) is int:
        return agent_tool(run, given["agent"])
    where = f"tools[{index}]"
    fields = check(function, LUA_TOOL, given, where)
    for name in ("name", "execute"):
        if name not in fields:
            raise ValidationError(
                f"`{function}`: `{where}` is no tool: it has no `{name}`",
                hint="a tool's name, what `Tool.register` or `Tool.get` gave, an agent, or `{name, description, "
                "parameters, execute}`",
            )
    from llmspell.bridge.calls.tool import ScriptTool
    from llmspell.tools.registry import ToolRegistry
    from llmspell.tools.schema import from_script

    schema = from_script(fields.get("parameters") or {"type": "object"})
    tool = ScriptTool(fields, schema, fields["execute"])
    ToolRegistry(builtin=False).register(tool)  # which looks at its name
    return tool


def agent_tool(run: Run, number: int, name: str | None = None, description: str | None = None) -> AgentTool:
    """An agent of the run's as a tool."""
    from llmspell.agents.toolbox import AgentTool

    agent = run.agents[number]

    async def run_agent(text: str) -> AgentOutput:
        from llmspell.bridge.calls.agent import run_agent

        return await run_agent(run, number, text)

    return AgentTool(agent, name=name, description=description, run_agent=run_agent)


def _person(run: Run, name: str) -> Callable[[ToolCall], Any]:
    """Asks a person of each call."""

    async def approve(call: ToolCall) -> bool | str:
        import orjson

        try:
            arguments = orjson.dumps(call.arguments).decode()
        except TypeError:
            arguments = str(call.arguments)
        return await run.permissions.approves(call.name, arguments, by=name)

    return approve


def _approval(run: Run, function: int) -> Callable[[ToolCall], Any]:
    """Asks the script's function of a call."""

    async def approve(call: ToolCall) -> Any:
        told = {"id": call.id, "name": call.name, "arguments": call.arguments}
        said, reason, *_ = (*await run.upcalls.call(function, told), None, None)
        return reason if said is False and isinstance(reason, str) else said

    return approve
