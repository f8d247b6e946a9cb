"""What one would write by hand with httpx to read a streamed answer: the client's lines and orjson."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import orjson

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["chat_text", "client", "read"]


def client() -> httpx.AsyncClient:
    """One for many answers at once, with nothing of the environment's."""
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=None, trust_env=False)


def chat_text(value: Any) -> str | None:
    """The text of an event of OpenAI's chat."""
    text: str | None = value["choices"][0]["delta"].get("content")
    return text


async def read(
    asking: httpx.AsyncClient,
    url: str,
    body: dict[str, Any],
    take: Callable[[str], object],
    *,
    text_of: Callable[[Any], str | None] = chat_text,
    lines: bool = False,
) -> None:
    """Reads one answer to its end, each text handed to *take*. lines: of JSON, and no event stream."""
    async with asking.stream("POST", url, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if lines:
                data = line
            elif line.startswith("data: ") and line != "data: [DONE]":
                data = line[6:]
            else:
                continue
            if data and (text := text_of(orjson.loads(data))):
                take(text)
