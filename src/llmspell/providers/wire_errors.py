"""What a service's error answer means: kind, message, hint, whether to retry and when.

No shape of a body may hide the status: whatever cannot be read is told as text. Source: WIRE.md §3.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from llmspell.errors import (
    AuthError,
    ContentFilterError,
    ContextLengthError,
    LLMSpellError,
    NotFoundError,
    ProviderError,
    QuotaError,
    RateLimitError,
    one_line,
)
from llmspell.providers.calls import json_of, text_of
from llmspell.providers.headers import request_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import WireReply

__all__ = ["from_error", "from_reply", "masked", "retry_after"]

CONTEXT = (
    "context_length_exceeded", "exceed_context_size", "too_many_prompt_tokens", "prompt is too long",
    "prompt too long", "maximum context length", "exceeds the context window", "input token count",
    "exceed context limit",
)  # fmt: skip
BAD_KEY = (
    "api_key_invalid", "invalid_api_key", "authentication_error", "permission_error", "incorrect api key",
    "invalid api key",
)  # fmt: skip
NO_QUOTA = ("insufficient_quota", "billing_hard_limit", "billing_error", "billing_not_active")
NO_MONEY = ("credit balance is too low",)  # Anthropic says so in words only, of a request that is invalid
FILTERED = ("content_filter", "responsibleaipolicyviolation", "content_policy_violation")
TRANSIENT = ("overloaded_error", "server_error", "api_error", "timeout_error", "internal", "unavailable")
KEY_SHAPED = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf)[-_][\w*.-]{6,}|\bAIza[\w-]{20,}|(?<=Bearer )\S+")
LONGEST_WAIT = 1e9  # seconds; what is beyond it is no wait but a mistake


class _Told(NamedTuple):
    """What an error body says, whatever its shape. words: its type, code, status and reasons, in lower case."""

    message: str = ""
    words: str = ""
    param: str = ""
    status: int | None = None
    delay: float | None = None
    page: bool = False


def from_reply(
    reply: WireReply, *, provider: str, model: str, key_env: str | None = None, secrets: tuple[str, ...] = ()
) -> LLMSpellError:
    """The error that an answer with an error status means; see `from_error`."""
    try:
        body: Any = orjson.loads(reply.body)
    except ValueError:  # also of bytes that are no UTF-8
        body = reply.body[:100_000].decode("utf-8", "replace")
    return from_error(
        body,
        status=reply.status,
        headers=reply.headers,
        provider=provider,
        model=model,
        key_env=key_env,
        secrets=secrets,
    )


def from_error(
    body: Any,
    *,
    status: int | None,
    headers: Mapping[str, str],
    provider: str,
    model: str,
    key_env: str | None = None,
    secrets: tuple[str, ...] = (),
) -> LLMSpellError:
    """The error that *body* means: parsed JSON, or text where it was none.

    status: of the answer, None for an error inside one of status 200. headers: names in lower case. key_env: the
    environment variable that holds the key, for the hint. secrets: never shown, also where the service echoes them.
    The error has status, request_id, retry_after (seconds) and provider, model where they are known.
    """
    told = _told(body)
    inside = status is None
    if status is None or status < 300:
        status = told.status
    cls, retryable = _kind(status, told)
    override = headers.get("x-should-retry", "").strip().lower()
    if override in ("true", "false"):
        retryable = override == "true"
    wait = retry_after(headers)
    if wait is None:
        wait = told.delay
    who = provider or "the model's service"
    if inside:
        what = f"{who} failed while it answered"
    else:
        what = f"{who} answered {status} with a web page" if told.page else f"{who} answered {status}"
    text = masked(told.message, secrets)
    return cls(
        one_line(f"{what}: {text}" if text.strip() else what),
        hint=_hint(cls, status, told, wait, who, model, key_env),
        retryable=retryable,
        provider=provider or None,
        model=model or None,
        status=status,
        request_id=request_id(headers) or _body_request_id(body),
        retry_after=wait,
    )


def masked(text: str, secrets: tuple[str, ...] = ()) -> str:
    """*text* with `***` for each of *secrets* and for whatever has a key's shape."""
    for secret in secrets:
        if len(secret) >= 4:
            text = text.replace(secret, "***")
        elif secret:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return KEY_SHAPED.sub("***", text)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, as the headers of an error say; None where they say nothing that can be read."""
    wait = _seconds(headers.get("retry-after-ms", ""))
    if wait is not None:
        return wait / 1000
    text = headers.get("retry-after", "").strip()
    wait = _seconds(text)
    if wait is not None or not text:
        return wait
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        when = parsedate_to_datetime(text)
        if when.tzinfo is None:  # HTTP's oldest form names no zone: Greenwich is meant, and not this machine's
            when = when.replace(tzinfo=UTC)
        return max(0.0, min(when.timestamp() - time.time(), LONGEST_WAIT))
    except (ValueError, TypeError, OverflowError):
        return None


def _seconds(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= LONGEST_WAIT else None


def _told(body: Any) -> _Told:
    if isinstance(body, list):
        body = next((item for item in body if isinstance(item, dict)), body)
    if isinstance(body, str):
        return _page(body) if body.lstrip()[:1] == "<" else _Told(body[:500])
    if not isinstance(body, dict):
        return _Told("" if body is None else _text(body))
    error = body.get("error")
    inner = error if isinstance(error, dict) else body
    message = _message(inner, error)
    words = [_word(inner.get(name)) for name in ("type", "code", "status", "error_type")]
    words.append(_word(body.get("code")))
    delay, param = None, inner.get("param")
    for detail in _dicts(inner.get("details")):
        words.append(_word(detail.get("reason")))
        pause = detail.get("retryDelay")
        if isinstance(pause, str) and delay is None:
            delay = _seconds(pause.removesuffix("s"))
    if isinstance(nested := inner.get("innererror"), dict):
        words.append(_word(nested.get("code")))
    status = next(
        (s for s in map(_status, (inner.get("code"), inner.get("status_code"), inner.get("status"))) if s), None
    )
    said = " ".join(word for word in words if word).lower()
    return _Told(message, said, param if isinstance(param, str) else "", status, delay)


def _message(inner: dict[str, Any], error: Any) -> str:
    """The words for a person: an object's message, a string, or a list of what is wrong."""
    detail = inner.get("detail")
    if isinstance(error, str):
        message = error
    elif isinstance(inner.get("message"), str):
        message = inner["message"]
    elif isinstance(detail, str):
        message = detail
    elif isinstance(detail, list):  # what a validator of the service found
        found = [(_place(one.get("loc")), str(one.get("msg", ""))) for one in _dicts(detail)[:5]]
        message = "; ".join(f"{place}: {what}" if place else what for place, what in found)
    else:
        message = _text(inner)
    metadata = inner.get("metadata")
    if isinstance(metadata, dict) and metadata.get("raw"):  # a router's: the cause is below it
        raw = metadata["raw"]
        if isinstance(raw, str):
            try:
                raw = orjson.loads(raw)
            except ValueError:
                pass
        cause = raw if isinstance(raw, str) else _told(raw).message
        name = metadata.get("provider_name")
        message = f"{message} ({name}): {cause}" if isinstance(name, str) else f"{message}: {cause}"
    return message[:4000]


def _place(loc: Any) -> str:
    """Where in the request something is wrong, as a validator tells it: a path, or the name of one member."""
    return ".".join(map(str, loc)) if isinstance(loc, list) else text_of(loc)


def _page(text: str) -> _Told:
    """A web page: its title, else its words."""
    title = re.search(r"<title[^>]*>([^<]*)", text[:20_000], re.IGNORECASE)
    words = title.group(1) if title else re.sub(r"<[^>]*>", " ", text[:4000])
    return _Told(words.strip()[:300], page=True)


def _text(value: Any) -> str:
    return json_of(value)[:500]


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value[:50] if isinstance(item, dict)] if isinstance(value, list) else []


def _word(value: Any) -> str:
    return value[:100] if isinstance(value, str) else ""


def _status(value: Any) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) == 3:
        value = int(value)
    return value if type(value) is int and 400 <= value < 600 else None


def _kind(status: int | None, told: _Told) -> tuple[type[LLMSpellError], bool]:
    """The class, and whether trying again may help."""
    words, text = told.words, told.message.lower()

    def said(signs: tuple[str, ...], *, where: str = words) -> bool:
        return any(sign in where for sign in signs)

    if status in (None, 400, 413, 422) and (said(CONTEXT) or said(CONTEXT, where=text)):
        return ContextLengthError, False
    if said(FILTERED):
        return ContentFilterError, False
    if status == 402 or said(NO_QUOTA) or said(NO_MONEY, where=text):
        return QuotaError, False
    if status in (401, 403) or (status in (None, 400) and (said(BAD_KEY) or said(BAD_KEY[-2:], where=text))):
        return AuthError, False
    if status == 429 or (status is None and said(("rate_limit", "resource_exhausted"))):
        return RateLimitError, True
    if status == 404 or said(("model_not_found",)) or (status is None and said(("not_found_error",))):
        return NotFoundError, False
    if status is None:
        return ProviderError, said(TRANSIENT)
    return ProviderError, status in (408, 409) or status >= 500


def _hint(
    cls: type[LLMSpellError],
    status: int | None,
    told: _Told,
    wait: float | None,
    who: str,
    model: str,
    key_env: str | None,
) -> str:
    if told.page and not (status or 0) >= 500:
        return f"a proxy or a wrong `providers.{who}.base_url` seems to have answered; check both"
    if cls is AuthError:
        key = f"set `{key_env}` to a valid key" if key_env else f"check the key of `providers.{who}`"
        return f"{key}, or run without one: `--model local`"
    if cls is QuotaError:
        return f"check plan and billing of the account behind {f'`{key_env}`' if key_env else 'the key'}"
    if cls is RateLimitError:
        pause = f"wait {_span(wait)}" if wait else "wait a little"
        return f"{pause} and try again, or send fewer calls at once (`runtime.max_concurrency`)"
    if cls is ContextLengthError:
        return "shorten the input, or name a model with a larger context"
    if cls is ContentFilterError:
        return "the service refuses this input; word it in another way"
    if cls is NotFoundError:
        return f"name a model that the service has, as `{who}/MODEL`; else check `providers.{who}.base_url`"
    if status is not None and 300 <= status < 400:
        return f"redirects are not followed: set `providers.{who}.base_url` to where the service really is"
    if status is not None and (status >= 500 or status in (408, 409)):
        return "the service has trouble of its own; try again in a while"
    if told.param:
        return f"the service does not take `{one_line(told.param, 100)}` as it was sent" + (
            f" for `{model}`" if model else ""
        )
    if status is None:
        return "try again; what came before the error is in its `partial`"
    return "the service does not take the request as it was sent: check the agent's parameters and `extra`"


def _span(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _body_request_id(body: Any) -> str | None:
    value = body.get("request_id") if isinstance(body, dict) else None
    return one_line(value, 200) if isinstance(value, str) and value else None
