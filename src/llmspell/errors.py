"""Every error of llmspell: one class a kind. A leaf: it imports nothing of llmspell and draws nothing.

A message is one line, what happened to what; the hint is what to do about it. What else is known of an
error (provider, status, the text so far) stands in `context` and reads as an attribute. Source: DESIGN.md, "Errors".

    LLMSpellError
    ├── ValidationError        a caller's argument is wrong
    ├── ConfigError            the configuration is wrong
    ├── ScriptError            the script raised, or does not parse
    ├── LimitError             a limit of the run was reached
    ├── PermissionDeniedError  the script was not granted this
    ├── ToolError, WorkflowError
    ├── ProviderError          a model's service failed, in a way that has no kind of its own
    ├── AuthError, QuotaError, RateLimitError, ContextLengthError, ContentFilterError
    ├── NetworkError           no answer began
    ├── CallTimeoutError       an answer, or its next piece, took too long
    ├── StreamTruncatedError   an answer began and stopped before its end mark
    ├── RunCancelledError      Ctrl+C, SIGTERM, or the host's word
    ├── NotFoundError, NotSupportedError
    └── InternalError          llmspell's own fault
        └── WorkerLostError    the process that ran the script is no more
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

__all__ = [
    "AuthError",
    "CallTimeoutError",
    "ConfigError",
    "ContentFilterError",
    "ContextLengthError",
    "InternalError",
    "LLMSpellError",
    "LimitError",
    "NetworkError",
    "NotFoundError",
    "NotSupportedError",
    "PermissionDeniedError",
    "ProviderError",
    "QuotaError",
    "RateLimitError",
    "RunCancelledError",
    "ScriptError",
    "StreamTruncatedError",
    "ToolError",
    "ValidationError",
    "WorkerLostError",
    "WorkflowError",
    "error_class",
    "one_line",
]


def one_line(text: str, limit: int = 500) -> str:
    """*text* on one line: control characters and runs of white space become one space, at most *limit* characters."""
    if len(text) <= limit and text.isprintable() and "  " not in text and text == text.strip():
        return text
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: limit * 4]).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class LLMSpellError(Exception):
    """The base of all errors that llmspell raises on purpose.

    message: one line, what happened, to what.
    hint: one line, what to do next, or None.
    cause: what lies beneath; also set as `__cause__`.
    context: whatever else is known. Names in use: provider, model, status, retry_after (seconds), request_id,
        tool, step, partial (the text so far), limit, value, setting, script, line, column, traceback (the
        script's frames), signal, unsent (of a call: no connection stood). An unknown one reads as None.
    """

    kind: ClassVar[str] = "internal"
    retryable: bool = False
    #: What the command line's process ends with when this error ends a run.
    default_exit_code: ClassVar[int] = 1

    message: str
    hint: str | None
    context: dict[str, Any]
    #: Of a run that this error ended: what the script wrote, where it was captured, and the tokens it used.
    output: str = ""
    usage: dict[str, int | float] | None = None
    #: Of the same run: the files that it loaded beside its script, as shown in messages, and where they are.
    sources: dict[str, str] | None = None

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        cause: BaseException | None = None,
        retryable: bool | None = None,
        **context: Any,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.context = {name: value for name, value in context.items() if value is not None}
        if cause is not None:
            self.__cause__ = cause
        if retryable is not None:
            self.retryable = retryable

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return self.__dict__.get("context", {}).get(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.retryable, self.context)

    @property
    def exit_code(self) -> int:
        """0 to 255. A call that failed at a provider ends with 4, whatever its kind."""
        if self.default_exit_code == 1 and self.context.get("provider") is not None:
            return ProviderError.default_exit_code
        return self.default_exit_code

    def to_dict(self) -> dict[str, Any]:
        """Plain values: kind, message, hint, retryable and the context. What cannot be shown plainly is left out."""
        told: dict[str, Any] = {"kind": self.kind, "message": self.message, "hint": self.hint}
        told["retryable"] = self.retryable
        plain = (str, int, float, bool, list, dict)
        return told | {name: value for name, value in self.context.items() if isinstance(value, plain)}


def _rebuild(
    cls: type[LLMSpellError], message: str, hint: str | None, retryable: bool, context: dict[str, Any]
) -> LLMSpellError:
    error = cls(message, hint=hint, **context)
    error.retryable = retryable
    return error


class ValidationError(LLMSpellError):
    """A caller's argument is wrong: the message names the function, the field, what was expected and what came."""

    kind = "validation"


class ConfigError(LLMSpellError):
    """The configuration is wrong: the message names the file, the place and the key."""

    kind = "config"
    default_exit_code = 3


class ScriptError(LLMSpellError):
    """The script raised an error of its own, or could not be loaded.

    `value` in the context is the error value as plain data, where the script raised one that is not a string.
    """

    kind = "script"


class LimitError(LLMSpellError):
    """A limit of the run was reached; the context has limit, value and setting (the one that raises it)."""

    kind = "limit"
    default_exit_code = 5


class PermissionDeniedError(LLMSpellError):
    """The script was not granted this; the hint says what would grant it, or what to use instead."""

    kind = "permission"
    default_exit_code = 6


class ToolError(LLMSpellError):
    """A tool failed."""

    kind = "tool"


class WorkflowError(LLMSpellError):
    """A step of a workflow failed."""

    kind = "workflow"


class ProviderError(LLMSpellError):
    """A model's service failed in a way that has no kind of its own; `status` is the HTTP status, if one came."""

    kind = "provider"
    default_exit_code = 4


class AuthError(LLMSpellError):
    """The service refused the key, or there is none."""

    kind = "auth"
    default_exit_code = 4


class QuotaError(LLMSpellError):
    """The account's quota is used up: waiting does not help."""

    kind = "quota"
    default_exit_code = 4


class RateLimitError(LLMSpellError):
    """Too many requests; `retry_after` is the seconds to wait, where the service said so."""

    kind = "rate_limit"
    retryable = True
    default_exit_code = 4


class ContextLengthError(LLMSpellError):
    """The input does not fit the model's context."""

    kind = "context_length"
    default_exit_code = 4


class ContentFilterError(LLMSpellError):
    """The service refused the request itself. (A refused answer is a result, not an error.)"""

    kind = "content_filter"
    default_exit_code = 4


class NetworkError(LLMSpellError):
    """The connection failed before the answer's first byte."""

    kind = "network"
    retryable = True
    default_exit_code = 4


class CallTimeoutError(LLMSpellError):
    """A call, or the next piece of its answer, took longer than its timeout; `partial` is the text so far."""

    kind = "timeout"
    retryable = True


class StreamTruncatedError(LLMSpellError):
    """An answer began and stopped before its protocol's end mark; `partial` is the text so far."""

    kind = "stream_truncated"
    retryable = True
    default_exit_code = 4


class RunCancelledError(LLMSpellError):
    """The run was stopped from outside; `signal` in the context is the signal's number, if one did it."""

    kind = "cancelled"
    default_exit_code = 130

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells count."""
        return 128 + int(self.context.get("signal", 2))


class NotFoundError(LLMSpellError):
    """What was named is not there: a model, an agent, a module, a file."""

    kind = "not_found"


class NotSupportedError(LLMSpellError):
    """What was asked for cannot be done by this provider, model or platform."""

    kind = "not_supported"


class InternalError(LLMSpellError):
    """A fault of llmspell's own."""

    kind = "internal"


class WorkerLostError(InternalError):
    """The worker process of a script died, or had to be ended; `signal` is the signal's number, if one did it.

    Only with `isolation="process"`. It is that script's error alone.
    """


_BY_KIND: dict[str, type[LLMSpellError]] = {cls.kind: cls for cls in LLMSpellError.__subclasses__()}


def error_class(kind: str) -> type[LLMSpellError]:
    """The class of a *kind*; InternalError for a word that is none."""
    return _BY_KIND.get(kind, InternalError)
