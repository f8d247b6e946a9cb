"""Headers of requests and answers, as all dialects and the door to the network see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmspell.errors import ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["extra_headers", "request_id", "sendable"]

#: What says where a request goes, as whom, and how it is framed: not for a script to say.
RESERVED = frozenset(
    {"authorization", "host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer",
     "proxy-authorization", "accept-encoding", "expect", "x-api-key", "api-key", "x-goog-api-key"}
)  # fmt: skip
TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
REQUEST_ID = (
    "x-request-id", "request-id", "apim-request-id", "x-generation-id", "mistral-correlation-id", "x-ds-trace-id",
)  # fmt: skip


def sendable(name: str, value: str) -> bool:
    """Whether a header can stand in a request: no line end or other control character, nothing beyond Latin-1."""
    return (
        bool(name)
        and TOKEN.issuperset(name)
        and all(c == "\t" or " " <= c <= "~" or c >= "\xa0" for c in value)
        and (value.isascii() or all(c <= "\xff" for c in value))
    )


def extra_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """An agent's `extra.headers`, names in lower case. Raises ValidationError; values are never shown."""
    told = {}
    for name, value in headers.items():
        lower = name.lower()
        if lower in RESERVED:
            raise ValidationError(
                f"extra.headers may not set `{lower}`",
                hint="keys and addresses are set in the configuration: `api_key_env`, `headers`, `base_url`",
            )
        if not isinstance(value, str) or not sendable(name, value):
            raise ValidationError(
                f"extra.headers has a field that no request can carry: `{one_line(name, 80)}`",
                hint="names are letters, digits and dashes; values are one line of text",
            )
        told[lower] = value
    return told


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id under which the service knows the request."""
    for name in REQUEST_ID:
        if value := headers.get(name):
            return one_line(value, 200)
    return None
