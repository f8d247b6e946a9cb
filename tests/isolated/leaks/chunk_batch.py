"""Batches of chunks into a fiber that waits for them: texts of one stream, mixed contents, metadata that changes."""

from __future__ import annotations

from typing import Any

from flat import Host, flat

from llmspell.types.streaming import AgentChunk, Control, Reasoning, Text

WIDTH, BATCHES = 16, 50
host = Host()
host.engine.use_chunks(AgentChunk, {Text: b"text", Reasoning: b"reasoning"})
fiber, _ = host.start("""
  while true do
    local batch = call("stream:next")
    for i = 1, #batch do local text = batch[i].content.text or batch[i].content.message end
  end
""")
streams = 0


def contents(i: int) -> Any:
    return Control("stream_end", finish_reason="stop") if i == WIDTH else Text(f"piece {i}")


def once() -> None:
    """A stream of its own."""
    global streams
    streams += 1
    name = f"stream-{streams % 50}"
    for batch in range(BATCHES):
        about = {"provider": "openai", "model": "m", "batch": batch // 10, "list": [batch]}
        last = WIDTH + (batch % 2)  # every other batch has a chunk that is no text
        host.engine.resume(fiber, True, [AgentChunk(name, i, contents(i), about, 1.5 + i) for i in range(last)])


flat(once, 200_000, WIDTH * BATCHES)
