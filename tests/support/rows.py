"""Rows for `llmspell map`, a script that asks about each, and a server that answers and counts."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from support.loopback import head

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.loopback import Loopback, Request

__all__ = ["ASK", "TOKENS", "answering", "asked", "lines", "write_rows"]

#: Asks the model about the row's `text`; what it answers is the row's result.
ASK = "return Agent.create{ model = 'openai/m' }:execute(ARGS.text).text\n"
#: Tokens that the server says each call took.
TOKENS = 10


def write_rows(path: Path, count: int, **more: Any) -> Path:
    """A file of *count* rows, each with a `text` of its own."""
    path.write_text("".join(json.dumps({"text": f"t{n}", **more}) + "\n" for n in range(1, count + 1)))
    return path


def answering(seconds: float | Callable[[str], float] = 0.0) -> Callable[[Request], list[Any]]:
    """A plan: says `re TEXT` to TEXT, after so many seconds."""

    def plan(request: Request) -> list[Any]:
        text = text_of(request)
        usage = {"prompt_tokens": TOKENS - 3, "completion_tokens": 3, "total_tokens": TOKENS}
        choice = {"index": 0, "message": {"role": "assistant", "content": f"re {text}"}, "finish_reason": "stop"}
        body = json.dumps({"model": "m", "choices": [choice], "usage": usage}).encode()
        wait = seconds(text) if callable(seconds) else seconds
        return [wait, head(200, {"content-type": "application/json"}, size=len(body)), body]

    return plan


def text_of(request: Request) -> str:
    """What a request asks."""
    return str(request.json["messages"][-1]["content"])


def asked(server: Loopback) -> Counter[str]:
    """How often each text was asked about."""
    return Counter(text_of(request) for request in list(server.requests))


def lines(data: bytes | Path) -> list[dict[str, Any]]:
    """JSON lines, read."""
    raw = data if isinstance(data, bytes) else data.read_bytes()
    return [json.loads(line) for line in raw.splitlines()]
