"""Secrets out of what is written: by the names of headers and fields, and by their own text wherever it turns up."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from llmspell.config.schema import KEY_SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "REDACTED",
    "Redactor",
    "forms",
    "plain_headers",
    "plain_settings",
    "plain_target",
    "secret_values",
    "without",
]

REDACTED = "[redacted]"
#: What a header's or a setting's name has in it where its value is a secret.
SECRET_NAMES = ("auth", "key", "token", "secret", "cookie", "password", "credential", "signature")
#: Headers of an answer that nobody reads here, and that tell of who asked.
DROPPED = ("set-cookie", "set-cookie2", "www-authenticate", "openai-organization", "openai-project", "cf-ray")
#: Parameters of an address whose values are secrets.
SECRET_PARAMETERS = ("key", "token", "secret", "sig", "auth", "password", "credential")
SHORTEST = 8  # characters of a secret that is looked for in texts: `ollama` or `none` as a key is no secret
PLACEHOLDERS = ("lm-studio", "llama.cpp", "not-needed", "no-key-needed")  # keys for servers that take any
SHORTEST_MIXED = 6  # of one that is neither a word nor a number: `sk-123`


def _is_secret(name: str) -> bool:
    lower = name.lower()
    return any(part in lower for part in SECRET_NAMES)


def plain_headers(headers: Mapping[str, str], *, sent: bool) -> dict[str, str]:
    """Headers as they may be written. sent: of a request, where names alone say what is secret."""
    if sent:
        return {name: REDACTED if _is_secret(name) else value for name, value in headers.items()}
    return {name: value for name, value in headers.items() if name.lower() not in DROPPED}


def secret_values(headers: Mapping[str, str]) -> tuple[str, ...]:
    """What is secret of a request's headers, by their names; without the `Bearer` before it."""
    return tuple(value.rpartition(" ")[2] for name, value in headers.items() if _is_secret(name))


def without(known: tuple[bytes, ...], text: str) -> str:
    """*text* without what *known* (see forms) has."""
    for form in known:
        text = text.replace(form.decode("utf-8", "surrogatepass"), REDACTED)
    return text


def plain_target(target: str) -> str:
    """A request's target, or an address, without the values of `?key=` and its like."""
    path, mark, query = target.partition("?")
    if not mark:
        return target
    parts = []
    for part in query.split("&"):
        name, equals, _ = part.partition("=")
        secret = equals and any(word in name.lower() for word in SECRET_PARAMETERS)
        parts.append(f"{name}={REDACTED}" if secret else part)
    return f"{path}?{'&'.join(parts)}"


def plain_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A provider's settings as they may be written: what is JSON, without keys and how they are had."""
    told: dict[str, Any] = {}
    for name, value in settings.items():
        if name in ("api_key", *KEY_SOURCES) or value is None:
            continue
        if name == "headers" and isinstance(value, dict):
            told[name] = plain_headers(value, sent=True)
        elif isinstance(value, dict):
            told[name] = plain_settings(value)
        elif name == "base_url":
            told[name] = plain_target(str(value))
        elif isinstance(value, str | int | float | bool | list | tuple):
            told[name] = REDACTED if _is_secret(name) and name != "api_key_env" and isinstance(value, str) else value
    return told


def forms(secrets: Iterable[str]) -> tuple[bytes, ...]:
    """How each of *secrets* may stand in bytes: as it is, in JSON, in an address, in base64; the longest first."""
    found: set[str] = set()
    for secret in secrets:
        if secret.lower() in PLACEHOLDERS:
            continue
        mixed = any(map(str.isalpha, secret)) and not secret.isalpha()
        if len(secret) >= (SHORTEST_MIXED if mixed else SHORTEST):
            found |= {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], quote(secret, "")}
            found |= _in_base64(secret.encode("utf-8", "surrogatepass"))
    return tuple(sorted((form.encode("utf-8", "surrogatepass") for form in found), key=lambda form: (-len(form), form)))


def _in_base64(secret: bytes) -> set[str]:
    """What base64 makes of *secret* wherever it begins in what is coded: the characters that it alone decides."""
    found = set()
    for before in range(3):  # bytes in front of it, in its first group of three
        coded = base64.b64encode(bytes(before) + secret).decode("ascii")
        last = (before + len(secret)) * 8 // 6
        part = coded[-(-before * 8 // 6) : last]
        found |= {part, part.translate(_URL_SAFE)}
    return found


_URL_SAFE = str.maketrans("+/", "-_")


class Redactor:
    """Takes secrets out of bytes that come in pieces.

    The end of a piece that may be a secret's beginning is kept back until more has come: so no cut between two pieces
    lets one through, and every other byte goes on at once.
    """

    def __init__(self, known: tuple[bytes, ...]) -> None:
        self._known = known
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """What can go on of *data* and of what was kept back."""
        if not self._known:
            return data
        data, self._held = self._held + data, b""
        for form in self._known:
            if form in data:
                data = data.replace(form, REDACTED.encode())
        keep = self._beginning(data)
        if keep:
            data, self._held = data[:-keep], data[-keep:]
        return data

    def _beginning(self, data: bytes) -> int:
        """How many bytes at the end of *data* are the longest beginning of a secret that is there."""
        longest = min(len(self._known[0]) - 1, len(data))
        for size in range(longest, 0, -1):
            end = data[-size:]
            if any(len(form) > size and form.startswith(end) for form in self._known):
                return size
        return 0

    def flush(self) -> bytes:
        """What was kept back: nothing more comes."""
        held, self._held = self._held, b""
        return held
