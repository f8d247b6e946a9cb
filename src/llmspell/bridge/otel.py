"""OpenTelemetry: spans and metrics of runs, model calls and tools, by the semantic conventions for generative AI.

    runtime = ScriptRuntime(observer=OpenTelemetryObserver())

A run is a span; below it each call of an agent, `chat MODEL`, or `invoke_agent NAME` where tools were run between its
answers; below that each tool, `execute_tool NAME`. Texts of prompts and answers are not told: they are the user's.
Needs the extra `otel`. Source: OpenTelemetry's semantic conventions, "Generative AI", as of November 2026.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell._version import __version__
from llmspell.bridge.observer import Observer
from llmspell.errors import ConfigError, LLMSpellError, ScriptError
from llmspell.types.streaming import Control

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["OpenTelemetryObserver"]

NAME = "llmspell"
#: What a provider's type is called in the conventions, where that is not its own word.
PROVIDERS = {
    "gemini": "gcp.gemini",
    "vertex": "gcp.vertex_ai",
    "azure": "azure.ai.openai",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)


class _Call:
    """One that runs."""

    __slots__ = ("agent", "begun", "first", "known", "model", "provider", "span", "tools")

    def __init__(self, span: Span, agent: str, provider: str, model: str) -> None:
        self.span, self.agent, self.provider, self.model = span, agent, provider, model
        self.begun = monotonic()
        self.first: float | None = None  # seconds until the answer began
        self.known: dict[str, Any] = {}  # attributes of its metrics
        self.tools: dict[str, Span] = {}


class OpenTelemetryObserver(Observer):
    """Tells OpenTelemetry of what it sees. Serves many runs at once.

    tracer_provider, meter_provider: those of the program, where none are given. Raises ConfigError where OpenTelemetry
    is not installed.
    """

    def __init__(
        self, tracer_provider: TracerProvider | None = None, meter_provider: MeterProvider | None = None
    ) -> None:
        try:
            from opentelemetry import context, metrics, trace
        except ImportError as error:
            raise ConfigError(
                "OpenTelemetry is not installed", hint="pip install 'llmspell[otel]'", cause=error
            ) from None
        self._trace, self._context = trace, context
        self._tracer = trace.get_tracer(NAME, __version__, tracer_provider)
        meter = metrics.get_meter(NAME, __version__, meter_provider)
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Duration of calls of models.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens that calls of models read and wrote.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time until an answer began.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._runs: dict[str, tuple[Span, Any]] = {}
        self._calls: dict[str, _Call] = {}
        self._about: dict[str, tuple[str, str, str]] = {}

    # ---- runs

    def run_started(self, run: str, script: str) -> None:
        span = self._tracer.start_span(f"run {script}", attributes={"llmspell.script": script})
        token = self._context.attach(self._trace.set_span_in_context(span))
        self._runs[run] = span, token

    def run_ended(self, run: str, error: BaseException | None) -> None:
        span, token = self._runs.pop(run)
        self._context.detach(token)
        if error is not None:
            self._fail(span, error)
        span.end()

    # ---- calls

    def about_call(self, call: str, agent: str, provider: str, model: str) -> None:
        self._about[call] = agent, provider, model

    def call_started(self, call: str, label: str) -> None:
        agent, provider, model = self._about.pop(call, (label, "", ""))
        name = PROVIDERS.get(provider, provider)
        attributes = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": name,
            "gen_ai.request.model": model,
            "gen_ai.agent.name": agent,
        }
        kind = self._trace.SpanKind.CLIENT
        span = self._tracer.start_span(f"chat {model}", kind=kind, attributes=attributes)
        one = self._calls[call] = _Call(span, agent, name, model)
        one.known = {"gen_ai.provider.name": name, "gen_ai.request.model": model}

    def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
        one = self._calls.get(call)
        if one is None:
            return
        if one.first is None and any(type(chunk.content) is not Control for chunk in batch):
            one.first = monotonic() - one.begun
        last = batch[-1]
        if type(last.content) is Control and last.content.message == "stream_end":
            self._answered(one, last.content, last.metadata)

    def _answered(self, one: _Call, end: Control, metadata: Mapping[str, Any]) -> None:
        """The last chunk: how it ended, what it took, who said it."""
        span = one.span
        if isinstance(model := metadata.get("model"), str):
            span.set_attribute("gen_ai.response.model", model)
            one.known["gen_ai.response.model"] = model
        if isinstance(answer := metadata.get("id"), str):
            span.set_attribute("gen_ai.response.id", answer)
        if end.finish_reason is not None:
            span.set_attribute("gen_ai.response.finish_reasons", [end.finish_reason])
        usage = end.usage
        if usage is None:
            return
        for kind, tokens in (("input", usage.input_tokens), ("output", usage.output_tokens)):
            if tokens is not None:
                span.set_attribute(f"gen_ai.usage.{kind}_tokens", tokens)
                self._tokens.record(tokens, {**self._operation(one), "gen_ai.token.type": kind})
        if usage.cost_usd is not None:
            span.set_attribute("llmspell.usage.cost_usd", usage.cost_usd)

    def _operation(self, one: _Call) -> dict[str, Any]:
        return {"gen_ai.operation.name": "invoke_agent" if one.tools else "chat", **one.known}

    def call_ended(self, call: str, error: BaseException | None) -> None:
        one = self._calls.pop(call, None)
        if one is None:
            return
        if one.tools:
            one.span.update_name(f"invoke_agent {one.agent}")
            one.span.set_attribute("gen_ai.operation.name", "invoke_agent")
        attributes = self._operation(one)
        if error is not None:
            attributes["error.type"] = self._fail(one.span, error)
        self._duration.record(monotonic() - one.begun, attributes)
        if one.first is not None:
            self._first.record(one.first, attributes)
        one.span.end()

    # ---- tools, and what goes wrong

    def tool_started(self, call: str, tool: ToolCall) -> None:
        one = self._calls.get(call)
        if one is None:
            return
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": tool.name,
            "gen_ai.tool.call.id": tool.id,
            "gen_ai.tool.type": "function",
        }
        above = self._trace.set_span_in_context(one.span)
        one.tools[tool.id] = self._tracer.start_span(f"execute_tool {tool.name}", above, attributes=attributes)

    def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
        one = self._calls.get(call)
        span = None if one is None else one.tools.get(tool.id)
        if span is None:
            return
        if tool.error is not None:
            span.set_attribute("error.type", "tool")
            span.set_status(self._trace.StatusCode.ERROR)
        span.end()

    def retried(self, agent: str, details: Mapping[str, object]) -> None:
        told = {
            f"llmspell.retry.{name}": str(details[name]) for name in ("attempt", "kind", "model") if name in details
        }
        self._trace.get_current_span().add_event("llmspell.retry", {"gen_ai.agent.name": agent, **told})

    def limit_reached(self, error: BaseException) -> None:
        limit = error.context.get("limit") if isinstance(error, LLMSpellError) else None
        self._trace.get_current_span().add_event("llmspell.limit", {"llmspell.limit": str(limit or "limit")})

    def _fail(self, span: Span, error: BaseException) -> str:
        """Marks a span; gives the error's type. What the error says is not told: it may quote a prompt."""
        kind = error.kind if isinstance(error, LLMSpellError) else type(error).__name__
        span.set_attribute("error.type", kind)
        if isinstance(error, ScriptError) and isinstance(line := error.context.get("line"), int):
            span.set_attribute("llmspell.script.line", line)
        span.set_status(self._trace.StatusCode.ERROR, kind)
        return kind
