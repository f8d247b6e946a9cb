"""Every recorded exchange of OpenAI's chat dialect, served over loopback to a Lua script.

However the bytes are cut, the script receives the same chunks: served in one piece, at random cuts, and byte by byte
(bodies above 12 KB in pieces of seven bytes, which meet every offset of a line all the same). What those chunks should
be is in test_openai_chat.py; here they are compared with what the dialect makes of the whole body.
"""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.providers import openai_chat
from support.loopback import Loopback, chunked, head
from support.wire import records

if TYPE_CHECKING:
    from support.wire import Record

SMALL = 12_000

SCRIPT = """
  local agent = Agent.create { model = "openai/m" }
  local contents = {}
  local ok, e = pcall(function()
    for chunk in agent:stream_execute("hi") do
      contents[#contents + 1] = chunk.content
    end
  end)
  if ok then
    return { contents = contents }
  end
  return { contents = contents, kind = e.kind, message = e.message, status = e.status, partial = e.partial }
"""


def run_script(record: Record, pieces: list[bytes], *, sized: bool = False) -> dict[str, Any]:
    framed = pieces if sized else chunked(pieces)
    start = head(record.status, record.headers, size=len(record.body) if sized else None)
    with Loopback([[start, *framed]]) as server:
        env = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": server.url, "LLMSPELL_PROVIDERS__OPENAI__RETRY__ATTEMPTS": "1"}
        config = load(script_dir=None, config_file=None, env=env, flags={})
        result: dict[str, Any] = ScriptRuntime(config, timeout=60).run(SCRIPT).result
    return result


def cut(body: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(set(places)), len(body)]
    return [body[a:b] for a, b in pairwise(edges) if b > a]


def texts_of(contents: list[dict[str, Any]], kind: str) -> str:
    return "".join(content["text"] for content in contents if content["type"] == kind)


@pytest.mark.parametrize("record", records("openai-chat"))
def test_a_script_receives_the_same_chunks_however_the_bytes_are_cut(record: Record) -> None:
    whole = run_script(record, [record.body], sized=True)
    dice = random.Random(record.name)
    for _ in range(3):
        places = [dice.randrange(1, len(record.body)) for _ in range(min(40, len(record.body) - 1))]
        assert run_script(record, cut(record.body, places)) == whole
    step = 1 if len(record.body) <= SMALL else 7
    assert run_script(record, cut(record.body, list(range(step, len(record.body), step)))) == whole

    if record.status >= 400:
        assert whole["contents"] == {} or whole["contents"] == []
        assert whole["status"] == record.status
        return
    reading = openai_chat.Reading("openai", "m")
    contents = [*reading.feed(record.body), *reading.end()]
    for kind in ("text", "reasoning"):
        assert texts_of(whole["contents"], kind) == "".join(c[0] for c in contents if c.type == kind)
    calls = [c for c in contents if c.type == "tool_call_complete"]
    told = [c for c in whole["contents"] if c["type"] == "tool_call_complete"]
    assert [(c["tool_id"], c["name"]) for c in told] == [(c.tool_id, c.name) for c in calls]
    if reading.error is None:
        last = whole["contents"][-1]
        assert last["message"] == "stream_end"
        assert last["finish_reason"] == contents[-1].finish_reason
        usage = contents[-1].usage
        told = {name: value for name, value in last.get("usage", {}).items() if name != "cost_usd"}
        assert told == ({} if usage is None else usage._replace(cost_usd=None).to_dict())
    else:
        assert whole["kind"] == reading.error.kind
        assert whole["partial"] == texts_of(whole["contents"], "text")
