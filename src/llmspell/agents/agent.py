"""An agent: a model and how it is to answer. The same from Python as from Lua."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from llmspell.agents.base import BaseAgent
from llmspell.errors import ValidationError, one_line
from llmspell.providers.base import ModelCall
from llmspell.types.agent import AgentInput, AgentOutput, Parameters
from llmspell.types.messages import Message
from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from llmspell.agents.fallback import Candidate
    from llmspell.agents.forms import Form
    from llmspell.agents.loop import Loop
    from llmspell.agents.meter import Meter
    from llmspell.agents.toolbox import ToolHost, ToolUse
    from llmspell.providers.base import ProviderInstance
    from llmspell.providers.manager import ProviderManager
    from llmspell.tools.base import Tool
    from llmspell.tools.permissions import Permissions
    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentStream
    from llmspell.types.tools import ResponseSchema, ToolSpec

__all__ = ["Agent", "AgentInput"]


def _form(given: Mapping[str, Any] | ResponseSchema) -> Form:
    from llmspell.agents.forms import Form

    return Form(given)


def _with_context(messages: tuple[Message, ...], context: str) -> tuple[Message, ...]:
    first = messages[0]
    if first.role != "system":
        return (Message("system", context), *messages)
    content = f"{first.content}\n\n{context}" if isinstance(first.content, str) else (*first.content, context)
    return (first._replace(content=content), *messages[1:])


class Agent(BaseAgent):
    """A model with a way of answering.

        agent = llmspell.Agent("openai/gpt-4o-mini", system_prompt="Be brief.")
        async with agent, agent.stream("Hi") as stream:
            async for chunk in stream: …

    model: "provider/model", a provider's name, a model of *provider*, or None for the configured default. A list of
    them: the next is asked where the one before failed before its first content; `metadata` say who answered.
    tools: what the model may call: Tools, functions with type hints, names of built-in tools, other agents; and
    ToolSpecs, whose calls come back unrun. tool_choice: "auto", "none", "required", or the name of one of them; where
    it forces a call, it holds for the first answer only. max_tool_rounds: how many answers may call tools (default
    20); 0: all calls come back unrun.
    approve: a function of a ToolCall, plain or async, that is asked before each call is run: True runs it; False, or a
    text that says why, does not, and the model is told so. on_tool_error: "tell" the model of a tool that fails, or
    "raise". permissions: what tools may reach; without it, nothing outside. See docs/guide/agents.md. tool_host: for
    programs that run agents of others, in the place of permissions: see agents/toolbox.py.
    response_schema: the form of the answers, a JSON Schema or a ResponseSchema: see agents/structured.py.
    timeout: seconds for one whole call. retry: attempts, base, max and budget (RetryPolicy) over the provider's own, or
    a number of attempts. on_retry: is told of each (attempt, wait, error, kind; model, where another is asked).
    extra: {"body": {…}, "headers": {…}}, sent as it is.
    providers: where models come from; without it the agent reads the user's configuration and owns what it opens,
    so close it: `async with agent` or `await agent.aclose()`. An agent serves many calls at once on one event loop.
    meter: holds its calls, and those of all agents that have the same one, to limits of tokens and money.

    Raises ValidationError for a schema that is none, two tools of one name, or a tool_choice that names none,
    NotFoundError for a tool that nobody knows;
    ConfigError for a provider that is not configured, when the first call is made or `resolve` is called.
    """

    def __init__(
        self,
        model: str | Sequence[str] | None = None,
        *,
        provider: str | None = None,
        name: str | None = None,
        description: str | None = None,
        system_prompt: str | None = None,
        temperature: float | None = None,
        top_p: float | None = None,
        max_tokens: int | None = None,
        stop: str | Sequence[str] | None = None,
        seed: int | None = None,
        reasoning: str | None = None,
        tools: Sequence[Tool | ToolSpec | Agent | Callable[..., Any] | str] = (),
        tool_choice: str | None = None,
        max_tool_rounds: int | None = None,
        approve: Callable[[ToolCall], Any] | None = None,
        on_tool_error: str = "tell",
        permissions: Permissions | None = None,
        tool_host: ToolHost | None = None,
        response_schema: Mapping[str, Any] | ResponseSchema | None = None,
        timeout: float | None = None,
        retry: Mapping[str, Any] | int | None = None,
        on_retry: Callable[[Mapping[str, Any]], object] | None = None,
        extra: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
        providers: ProviderManager | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.model, self.provider = model, provider
        if model is not None and not isinstance(model, str) and not model:
            raise ValidationError("`model` is an empty list", hint="name at least one model, or leave it out")
        self.retry, self.on_retry = retry, on_retry
        if retry is not None:
            from llmspell.utils.async_utils import RetryPolicy

            RetryPolicy.of(retry)
        self.name = name or "agent"
        self.description = description
        self.system_prompt = system_prompt
        stops = (stop,) if isinstance(stop, str) else tuple(stop) if stop is not None else None
        self.parameters = Parameters(temperature, top_p, max_tokens, stops, seed, reasoning)
        self.tools: tuple[ToolSpec, ...] = ()
        self._use: ToolUse | None = None
        if tools or max_tool_rounds is not None or approve is not None:
            from llmspell.agents.toolbox import gather

            self.tools, self._use = gather(
                tools,
                max_rounds=max_tool_rounds,
                approve=approve,
                on_error=on_tool_error,
                host=tool_host,
                permissions=permissions,
            )
        self._form = None if response_schema is None else _form(response_schema)
        self.response_schema = None if self._form is None else dict(self._form.told.schema)
        self.timeout = timeout
        self.extra = dict(extra or {})
        self.metadata = dict(metadata or {})
        self._providers = providers
        self._owns_providers = providers is None
        self._meter = meter
        self._resolved: tuple[ProviderInstance, str] | None = None
        self._candidates: list[Candidate] = []  # where there are several
        names = [tool.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValidationError("two tools have the same name", hint=f"they are {', '.join(names)}")
        if tool_choice is not None and tool_choice not in ("auto", "none", "required", *names):
            plain = tool_choice.replace("-", "_")  # names of tools may be written with either
            meant = next((name for name in names if name.replace("-", "_") == plain), None)
            if meant is None:
                raise ValidationError(
                    f"`tool_choice` is `{one_line(tool_choice, 80)}`, which is no tool of the agent",
                    hint="it takes auto, none, required, or the name of a tool",
                )
            tool_choice = meant
        self.tool_choice = tool_choice
        unknown = self.extra.keys() - {"body", "headers"}
        if unknown:
            raise ValidationError(f"`extra` has no field `{min(unknown)}`", hint="it takes body and headers")
        for name, value in self.extra.items():
            if not isinstance(value, Mapping):
                raise ValidationError(f"`extra.{name}` must be a table", hint="it goes to the service as it is")

    def __repr__(self) -> str:
        return f"Agent({self.model!r}, name={self.name!r})"

    def resolve(self) -> tuple[ProviderInstance, str]:
        """The provider and the model's name, of a list the first ones.

        Raises ConfigError or ValidationError where there is none such.
        """
        if self._resolved is None:
            if self._providers is None:
                from llmspell.config.loader import load
                from llmspell.providers.manager import ProviderManager

                config = load(script_dir=None, config_file=None, env=os.environ, flags={})
                self._providers = ProviderManager(config.providers(), config.get("providers.default"))
            found = [self.model] if self.model is None or isinstance(self.model, str) else self.model
            pairs = [self._providers.resolve(model, self.provider) for model in found]
            if self._meter is not None:
                pairs = [(self._meter.over(provider), model) for provider, model in pairs]
            if len(pairs) > 1:
                from llmspell.agents.fallback import Candidate

                self._candidates = [Candidate(*pair) for pair in pairs]
            self._resolved = pairs[0]
        return self._resolved

    def _call(self, told: AgentInput, provider: ProviderInstance, model: str, left: float | None = None) -> ModelCall:
        messages = told.messages
        if self.system_prompt and messages[0].role != "system":
            messages = (Message("system", self.system_prompt), *messages)
        if told.context:
            messages = _with_context(messages, told.context)
        call = ModelCall(
            model,
            messages,
            told.parameters.over(self.parameters),
            self.extra.get("body") or {},
            self.extra.get("headers") or {},
            self.timeout if left is None else left,
            self.tools,
            self.tool_choice,
            modalities=told.modalities,
            retry=self.retry,
            on_retry=self.on_retry,
        )
        if any(type(message.content) is tuple for message in messages):
            from llmspell.agents.attachments import check_sizes, loaded

            check_sizes(messages, provider, model)
            call = call._replace(messages=loaded(messages))
        return call

    async def execute(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentOutput:
        """The whole answer. Raises LLMSpellError; cancelled, it closes its connection."""
        told = AgentInput.of(given)
        with logs.within_call():
            return await self._executed(told)

    async def _executed(self, told: AgentInput) -> AgentOutput:
        resolved = self.resolve()
        if self._use is not None:
            return await self._loop(self._use, told).execute()
        if self._candidates:
            from llmspell.agents import fallback

            return await fallback.execute(
                self._candidates, lambda one, left: self._execute(told, *one, left), self.on_retry, self.timeout
            )
        return await self._execute(told, *resolved)

    async def _execute(
        self, told: AgentInput, provider: ProviderInstance, model: str, left: float | None = None
    ) -> AgentOutput:
        call = self._call(told, provider, model, left)
        if self._form is not None:
            from llmspell.agents import structured

            return await structured.execute(provider, call, self._form)
        return await provider.execute(call)

    def stream(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentStream:
        """The answer as it comes. The request is sent at the first read; close the stream if you leave it early."""
        told, resolved = AgentInput.of(given), self.resolve()
        if self._use is not None:
            return self._loop(self._use, told).stream()
        if self._candidates:
            from llmspell.agents import fallback

            return fallback.stream(
                self._candidates, lambda one, left: self._stream(told, *one, left), self.on_retry, self.timeout
            )
        return self._stream(told, *resolved)

    def _stream(
        self, told: AgentInput, provider: ProviderInstance, model: str, left: float | None = None
    ) -> AgentStream:
        call = self._call(told, provider, model, left)
        if self._form is not None:
            from llmspell.agents import structured

            return structured.stream(provider, call, self._form)
        return provider.stream(call)

    def stream_execute(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentStream:
        """As `stream`."""
        return self.stream(given)

    def supports_streaming(self) -> bool:
        """Its answers come as streams."""
        return True

    def supported_media_types(self) -> tuple[str, ...]:
        """What its model reads besides text: "image", "audio", "video", "file"."""
        provider, model = self.resolve()
        return tuple(kind for kind in provider.capabilities(model).input_modalities if kind != "text")

    async def plain(self, given: str | Message | Sequence[Message] | AgentInput) -> AgentOutput:
        """What its model says to that, in words: no tool is called, and no form is held. Raises as `execute` does."""
        told, (provider, model) = AgentInput.of(given), self.resolve()
        call = self._call(told, provider, model)
        # With its tools all the same: services want them told where calls of them stand in the conversation.
        return await provider.execute(call._replace(tool_choice="none" if call.tools else None))

    @property
    def runs_tools(self) -> bool:
        """Whether one call of it may ask the model several times, and run tools in between."""
        return self._use is not None

    def _loop(self, use: ToolUse, told: AgentInput) -> Loop:
        from llmspell.agents.fallback import Candidate
        from llmspell.agents.loop import Loop

        return Loop(
            use,
            self._candidates or [Candidate(*self.resolve())],
            lambda one: self._call(told, *one),
            name=self.name,
            form=self._form,
            timeout=self.timeout,
            on_retry=self.on_retry,
        )

    async def aclose(self) -> None:
        """Closes the connections that this agent opened; those of a manager that it was given stay."""
        if self._owns_providers and self._providers is not None:
            await self._providers.aclose()
            self._providers = self._resolved = None
            self._candidates = []

    async def __aenter__(self) -> Agent:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
