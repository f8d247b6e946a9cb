"""Chat answers for the loopback server, piece by piece, and the environment of a command that asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from support.loopback import Gate, chunked, head, sse
from support.terminal import environment

if TYPE_CHECKING:
    from support.loopback import Loopback

__all__ = ["KEY", "answer", "asking"]

KEY = "sk-" + "loopback" * 4  # never to be seen in any output


def asking(server: Loopback | str, **more: str) -> dict[str, str]:
    """The environment in which `openai` is *server* (or the address), with a key."""
    url = server if isinstance(server, str) else server.url
    return environment(OPENAI_API_KEY=KEY, OPENAI_BASE_URL=url, **more)


def answer(*steps: str | Gate, then: Any = None) -> list[Any]:
    """A plan that says the texts, one a piece, and waits at the gates between. then: a step in place of the end."""
    texts = [step for step in steps if isinstance(step, str)]
    first, *events = sse(texts)
    told = iter(events)
    plan: list[Any] = [head(), *chunked([first], end=False)]
    for step in steps:
        plan += [step] if isinstance(step, Gate) else chunked([next(told)], end=False)
    return [*plan, *([then] if then is not None else chunked(told))]
