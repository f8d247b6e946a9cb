"""Host calls behind `agent:chat`: conversations."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from llmspell.agents.chat import Chat
from llmspell.bridge.api import COMPACT, check
from llmspell.bridge.calls.agent import counted, open_stream, reader
from llmspell.bridge.inputs import agent_input
from llmspell.errors import LimitError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run

MOST_CHATS = 10_000  # of one run


def _chat(run: Run, number: Any) -> tuple[int, Chat]:
    found = run.chats.get(number)
    if found is None:
        raise NotFoundError("the conversation is no longer known")
    sending = run.chat_sends.get(number)
    if sending is not None and sending[0].cancelling():
        sending[1].abandon()  # the task closes it later: what came is told now, and the conversation is free
    return found


def _new(run: Run, agent: int, saved: Any = None) -> int:
    if len(run.chats) >= MOST_CHATS:
        raise LimitError(f"the script has more than {MOST_CHATS} conversations", hint="`reset` one and use it again")
    chat = Chat(run.agents[agent]) if saved is None else Chat.load(run.agents[agent], saved)
    number = len(run.chats) + 1
    run.chats[number] = agent, chat
    return number


def _input(run: Run, chat: Chat, given: Any, function: str) -> Any:
    return agent_input(given, function, reader(run, chat.agent))


async def _send(run: Run, number: int, given: Any) -> dict[str, Any]:
    agent, chat = _chat(run, number)
    stream, task = chat.stream(_input(run, chat, given, "chat:send")), asyncio.current_task()
    assert task is not None
    run.chat_sends[number] = sending = task, stream
    try:
        output = await counted(run, agent, stream)
    finally:
        if run.chat_sends.get(number) is sending:
            del run.chat_sends[number]
    return output.to_dict()


def _stream(run: Run, number: int, given: Any) -> int:
    agent, chat = _chat(run, number)
    return open_stream(run, agent, chat.stream(_input(run, chat, given, "chat:stream")))


def _messages(run: Run, number: int) -> list[dict[str, Any]]:
    return [message.to_dict() for message in _chat(run, number)[1].messages]


def _reset(run: Run, number: int) -> None:
    _chat(run, number)[1].reset()


def _save(run: Run, number: int) -> dict[str, Any]:
    agent, chat = _chat(run, number)
    return {**chat.save(), "agent": run.agents[agent].name}


def load(run: Run, saved: Any, agent: int | None = None) -> dict[str, Any]:
    """A saved conversation, with the agent of its name where none is given."""
    if agent is None:
        name = saved.get("agent") if isinstance(saved, dict) else None
        agent = run.agents_by_name.get(name) if isinstance(name, str) else None
        if agent is None:
            raise NotFoundError(
                "the agent of that conversation is not in this script",
                hint="make it, with the same name, or say whose it is: `Agent.chat_from(saved, agent)`",
            )
    return {"id": _new(run, agent, saved)}


async def _compact(run: Run, number: int, options: Any = None) -> bool:
    fields = check("chat:compact", COMPACT, options)
    async with run.slot():
        return await _chat(run, number)[1].compact(fields.get("keep", 4))


ASKS: dict[str, Callable[..., Any]] = {
    "chat:new": _new,
    "chat:stream": _stream,
    "chat:messages": _messages,
    "chat:reset": _reset,
    "chat:save": _save,
}
CALLS: dict[str, Callable[..., Any]] = {"chat:send": _send, "chat:compact": _compact}
