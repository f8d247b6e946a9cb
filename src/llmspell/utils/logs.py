"""What llmspell tells of itself, by the standard library's `logging`: loggers below `llmspell`, one a layer.

Lines have an event and fields. No field is a text of a prompt, of an answer, of a tool's arguments or of a file, at no
level: what is told of those are numbers, names and kinds. What looks like a known secret is masked in all of them.

To be imported where `logging` is: who may be in a process without it asks `"logging" in sys.modules` first, since
where nobody has imported it, nobody listens.
"""

from __future__ import annotations

import logging
import os
import time
from contextlib import contextmanager
from contextvars import ContextVar
from math import isfinite
from typing import TYPE_CHECKING, Any

from llmspell.errors import LLMSpellError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = [
    "CALL",
    "LEVELS",
    "RUN",
    "JSONFormatter",
    "call_of",
    "error_fields",
    "heard",
    "hide",
    "line_of",
    "masked",
    "new_id",
    "tell",
    "within_call",
]

#: The run and the call of an agent that what is told now belongs to: `run-…` and `call-…`, or empty.
RUN: ContextVar[str] = ContextVar("llmspell_run", default="")
CALL: ContextVar[str] = ContextVar("llmspell_call", default="")
#: The words of `--log-level`, and of a script's `Log`.
LEVELS = {"debug": 10, "info": 20, "warn": 30, "warning": 30, "error": 40, "off": 100}

MOST_FIELD = 300  # characters of one field
MOST_DEEP = 8  # tables in tables
SHORTEST_SECRET = 6
MOST_SECRETS = 1000
MASK = "****"
#: What an environment variable that holds a secret is called, by a part of its name.
SECRET_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL")

# A library that nobody has set up logging for says nothing, not even by logging's handler of last resort.
logging.getLogger("llmspell").addHandler(logging.NullHandler())

_secrets: dict[str, None] = {}  # in order; the oldest go first


def new_id(kind: str) -> str:
    """`run-` or `call-` and 12 hex digits."""
    return f"{kind}-{os.urandom(6).hex()}"


def call_of(stream_id: str) -> str:
    """The id of the call that a stream is of: `call-…` for `stream-…`, with the same digits."""
    return "call-" + stream_id.removeprefix("stream-")


@contextmanager
def within_call(stream_id: str | None = None) -> Iterator[None]:
    """What is told meanwhile is of an agent's call: of the one that has that stream; without, of a new one.

    With a stream's id, a call that is known already stays: it is of the same.
    """
    if not heard("model") or (stream_id is not None and (CALL.get() or not stream_id)):
        yield
        return
    token = CALL.set(new_id("call") if stream_id is None else call_of(stream_id))
    try:
        yield
    finally:
        CALL.reset(token)


def heard(layer: str, level: int = logging.ERROR) -> bool:
    """Whether anybody listens to `llmspell.LAYER` at *level*."""
    logger: logging.Logger | None = logging.getLogger(f"llmspell.{layer}")
    assert logger is not None
    if not logger.isEnabledFor(level):
        return False
    while logger is not None:
        if any(not isinstance(handler, logging.NullHandler) for handler in logger.handlers):
            return True
        logger = logger.parent if logger.propagate else None
    return False


def hide(secrets: Iterable[str]) -> None:
    """Masks *secrets* in whatever is told from now on."""
    for secret in secrets:
        if len(secret) >= SHORTEST_SECRET:
            _secrets.pop(secret, None)
            _secrets[secret] = None
    while len(_secrets) > MOST_SECRETS:
        _secrets.pop(next(iter(_secrets)), None)


def masked(text: str) -> str:
    """*text* without the secrets that are known: those of providers, and what the environment has under such names."""
    for name in tuple(os.environ):  # other threads may add to either
        value = os.environ.get(name, "")
        if value in text and len(value) >= SHORTEST_SECRET and any(part in name.upper() for part in SECRET_NAMES):
            text = text.replace(value, MASK)
    for secret in tuple(_secrets):
        if secret in text:
            text = text.replace(secret, MASK)
    return text


def tell(
    layer: str, level: int, event: str, fields: Mapping[str, Any] | None = None, *, run: str = "", call: str = ""
) -> None:
    """A line of `llmspell.LAYER`. fields: plain values; None is left out. run, call: where they are not the context's.

    The record has `event`, `fields`, `run_id` and `call_id`; its message is the event and the fields, for hosts whose
    handlers show no more.
    """
    if not heard(layer, level):
        return
    logger = logging.getLogger(f"llmspell.{layer}")
    kept = {_kept(name): _kept(value) for name, value in (fields or {}).items() if value is not None}
    event = masked(event)
    extra = {"event": event, "fields": kept, "run_id": run or RUN.get(), "call_id": call or CALL.get()}
    logger.log(level, "%s", line_of(event, kept), extra=extra)


def _kept(value: Any, deep: int = 0) -> Any:
    """A field as it is told: numbers as they are, texts on one line and masked, in tables and lists as well."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return round(value, 6) if isfinite(value) else str(value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if deep < MOST_DEEP and isinstance(value, dict):
        return {_kept(str(name)): _kept(one, deep + 1) for name, one in value.items()}
    if deep < MOST_DEEP and isinstance(value, list | tuple):
        return [_kept(one, deep + 1) for one in value]
    return None if value is None else one_line(masked(str(value)), MOST_FIELD)


def line_of(event: str, fields: Mapping[str, Any]) -> str:
    """`event name=value …`, on one line; a text with spaces in quotes, tables as JSON."""
    import json  # not where nobody listens

    told = [event]
    for name, value in fields.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        told.append(f"{name}={json.dumps(shown, ensure_ascii=False) if ' ' in shown or not shown else shown}")
    return one_line(" ".join(told), 4000)


def error_fields(error: BaseException) -> dict[str, Any]:
    """What is told of an error: its kind and its numbers. Not its message, which may quote what was said."""
    if not isinstance(error, LLMSpellError):
        return {"error": type(error).__name__}
    known = {name: error.context.get(name) for name in ("status", "limit", "line", "retry_after", "request_id")}
    told: dict[str, Any] = {"error": error.kind}
    return told | {name: value for name, value in known.items() if isinstance(value, str | int | float)}


class JSONFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC, ISO 8601 with milliseconds), level, logger, message; run, call and
    fields where there are some. For the records of other libraries as well.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        import json

        whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        event = getattr(record, "event", None)
        told: dict[str, Any] = {
            "time": f"{whole}.{int(record.created % 1 * 1000):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": event if isinstance(event, str) else masked(record.getMessage()),
        }
        for name, key in (("run", "run_id"), ("call", "call_id"), ("fields", "fields")):
            if value := getattr(record, key, None):
                told[name] = value
        if record.exc_info:
            told["exception"] = masked(self.formatException(record.exc_info))
        return json.dumps(told, default=str)  # ASCII: no character of it can steer a terminal, or end a line
