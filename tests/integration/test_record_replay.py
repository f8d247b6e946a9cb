"""A run that was recorded runs again with the network shut, and says byte for byte the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import llmspell as package
from llmspell.errors import ValidationError
from support.dialects import DIALECTS
from support.loopback import CLOSE, STALL, Loopback, chunked, head, reply, sse
from support.tapes import CONFIG, KEY, Tapes, streamed
from support.terminal import llmspell
from support.weights import needs_engine, real_weights

pytestmark = pytest.mark.once


@pytest.fixture
def tapes(tmp_path: Path) -> Tapes:
    return Tapes(tmp_path)


@pytest.mark.parametrize("kind", DIALECTS)
def test_a_replay_is_the_run_again_byte_for_byte_and_the_key_is_in_no_file(tapes: Tapes, kind: str) -> None:
    recorded = tapes.record([streamed(kind)], kind=kind)
    assert recorded.code == 0, recorded.err
    assert tapes.requests == 2
    first, second = tapes.replay(), tapes.replay()
    assert (first.code, first.out) == (0, recorded.out), first.err
    assert second.out == recorded.out
    assert KEY.encode() not in tapes.file.read_bytes()
    assert json.loads(tapes.file.read_bytes().splitlines()[-1])["do"] == "done"


def test_streams_at_once_interleave_as_they_did(tapes: Tapes) -> None:
    script = """
    local tasks = {}
    for i = 1, 5 do
        tasks[i] = function()
            for chunk in Agent.create{ model = 'acme' }:stream('number ' .. i) do
                io.write(i, ':', chunk.content.text or '', chunk.stream_id, '\\n')
            end
            return i
        end
    end
    print(#Async.all(tasks))
    """

    def paced(request: Any) -> list[Any]:
        number = int(request.json["messages"][-1]["content"][-1])
        made = DIALECTS["openai"]
        body = made.stream + made.end
        pieces = chunked([body[at : at + 150] for at in range(0, len(body), 150)])
        plan: list[Any] = [head()]
        for index, piece in enumerate(pieces):
            plan += [0.001 * ((number * 7 + index * 5) % 9), piece]
        return plan

    recorded = tapes.record([paced], script)
    assert (recorded.code, tapes.requests) == (0, 5), recorded.err
    for _ in range(2):
        replayed = tapes.replay()
        assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


def test_a_stream_left_early_is_left_early_again(tapes: Tapes) -> None:
    recorded = tapes.record(
        [streamed("openai")],
        "for c in Agent.create{ model = 'acme' }:stream('hi') do "
        "print(c.content.text) if c.content.text then break end end "
        "print(Agent.create{ model = 'acme' }:execute('more').text)",
    )
    assert (recorded.code, tapes.requests) == (0, 2), recorded.err
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


@pytest.mark.parametrize("first", [reply(b"{}", 503), reply(b"{}", 429, {"retry-after": "0.1"}), [CLOSE]])
def test_calls_tried_again_are_tried_again_in_no_time(tapes: Tapes, first: list[Any]) -> None:
    recorded = tapes.record([first, streamed("openai")])
    assert (recorded.code, tapes.requests) == (0, 3), recorded.err
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err
    assert any(json.loads(line).get("of") == "chance" for line in tapes.file.read_bytes().splitlines())


def test_other_models_repairs_and_limits_are_replayed(tapes: Tapes) -> None:
    script = """
    local agent = Agent.create{
        model = { "acme/bad", "acme/good" }, retry = 1, max_tokens = 50,
        response_schema = { type = "object", properties = { n = { type = "integer" } }, required = { "n" } },
    }
    for chunk in agent:stream("how many?") do
        print(chunk.content.type, chunk.content.text, chunk.content.message, chunk.metadata.model)
    end
    local ok, e = pcall(function() return Agent.create{ model = "acme/good", max_tokens = 5000 }:execute("more") end)
    print(ok, e.kind, Run.usage().total_tokens)
    """
    used = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}}\n\n'
    answered = 0

    def answer(request: Any) -> list[Any]:
        nonlocal answered
        if request.json["model"] == "bad":
            return reply(b"{}", 503)
        answered += 1
        *events, done = sse(["no JSON" if answered == 1 else '{"n": 7}'])
        return reply([*events, used, done])

    recorded = tapes.record([answer], script, LLMSPELL_LIMITS__MAX_TOKENS_TOTAL="4000")
    assert (recorded.code, tapes.requests) == (0, 3), recorded.err
    assert b"false\\tlimit\\t24" in recorded.out
    replayed = tapes.run("--replay", str(tapes.file), LLMSPELL_LIMITS__MAX_TOKENS_TOTAL="4000")
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


def test_the_limits_that_shaped_requests_are_the_recordings(tapes: Tapes) -> None:
    script = "for i = 1, 3 do print(Agent.create{ model = 'acme' }:execute('hi').text) end"
    (tapes.folder / "s.lua").write_text(script)
    for limit, code in (
        ("9000", 0),
        ("40", 5),
    ):  # a request has `max_tokens` for the first, there is none for the second
        with Loopback([streamed("openai")]) as server:
            (tapes.folder / "c.toml").write_text(CONFIG.format(type="openai", url=server.url))
            flags = ("--config", "c.toml", "--record", str(tapes.file), "--max-tokens-total", limit)
            done = tapes.run(*flags, ACME_KEY=KEY)
        again = tapes.run("--replay", str(tapes.file), LLMSPELL_LIMITS__MAX_TOKENS_TOTAL="70000")
        assert (done.code, again.code, again.out) == (code, code, done.out)
    other = tapes.run("--replay", str(tapes.file), "--max-tokens-total", "0")
    assert other.code == 1
    assert b"the recording has no requests to acme" in other.out


def test_long_waits_take_no_time_in_a_replay(tapes: Tapes) -> None:
    script = "print(Agent.create{ model = 'acme' }:execute('hi').text) Async.sleep(0.01) print(Run.clock())"
    assert tapes.record([streamed("openai")], script).code == 0
    (tapes.folder / "s.lua").write_text(script.replace("0.01", "3000"))
    replayed = tapes.replay()  # the test's own patience is far less
    assert replayed.code == 0, replayed.err


def test_a_changed_request_is_an_error_that_shows_the_difference(tapes: Tapes) -> None:
    script = "pcall(function() print(Agent.create{ model = 'acme' }:execute('the old').text) end)"
    assert tapes.record([streamed("openai")], script).code == 0
    (tapes.folder / "s.lua").write_text(script.replace("the old", "the new"))
    replayed = tapes.replay()
    assert replayed.code != 0  # although the script catches it
    for told in (b"messages[0].content", b"the old", b"the new"):
        assert told in replayed.out + replayed.err
    (tapes.folder / "s.lua").write_text("print('nothing asked')")
    left = tapes.replay()
    assert left.code != 0
    assert b"did not make it" in left.out + left.err
    (tapes.folder / "s.lua").write_text(script + script)
    more = tapes.replay()
    assert more.code != 0
    assert b"no more requests to acme" in more.out + more.err
    (tapes.folder / "s.lua").write_text("pcall(function() Agent.create{ model = 'openai/m' }:execute('hi') end)")
    other = tapes.replay()  # there is no key for it either, which is not what is wrong
    assert other.code != 0
    assert b"the recording has no requests to openai" in other.out + other.err


def test_a_call_with_tools_and_a_timeout_is_replayed(tapes: Tapes) -> None:
    script = """
    Tool.register{ name = 'look', description = 'd', execute = function() Async.sleep(0.02) return 'x' end }
    print(Agent.create{ model = 'mock', tools = { 'look' }, timeout = 30 }:execute('hi').text)
    """
    (tapes.folder / "s.lua").write_text(script)
    replies = '[{ tool_calls = [{ name = "look", arguments = {} }] }, "done"]'
    (tapes.folder / "c.toml").write_text(f'[providers.mock]\ntype = "mock"\nreplies = {replies}\n')
    recorded = tapes.run("--config", "c.toml", "--record", str(tapes.file))
    replayed = tapes.replay()
    assert (recorded.code, replayed.code, replayed.out) == (0, 0, recorded.out), (recorded.err, replayed.err)


def test_a_provider_without_http_is_recorded_by_its_chunks(tapes: Tapes) -> None:
    script = "for c in Agent.create{ model = 'mock' }:stream('say this') do io.write(c.content.text or '', '|') end"
    recorded = tapes.record([streamed("openai")], script)
    assert (recorded.code, tapes.requests) == (0, 0), recorded.err
    assert b"say" in recorded.out
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


def test_races_limits_of_time_and_standard_input_are_replayed(tapes: Tapes) -> None:
    script = """
    local a = Agent.create{ model = 'mock' }
    print(Async.race{
        function() Async.sleep(60) return 'slow' end,
        function() Async.sleep(0.01) return a:execute('quick').text end,
    })
    print(pcall(Async.timeout, 0.01, function() Async.sleep(60) end))
    print(io.read('l'), io.read('n'), io.read('a'))
    local keys = ''
    for key in pairs{ b = 1, a = 2, [7] = 3, 4 } do keys = keys .. ' ' .. key end
    print(keys)
    """
    (tapes.folder / "s.lua").write_text(script)
    flags = ("run", "s.lua", "--output", "jsonl")
    recorded = llmspell(*flags, "--record", str(tapes.file), stdin=b"line\n42 rest", cwd=tapes.folder)
    assert recorded.code == 0, recorded.out
    assert b"1 7 a b" in recorded.out
    assert tapes.replay().out == recorded.out
    assert tapes.run("--replay", str(tapes.file), LLMSPELL_NO_EXTENSIONS="1").out == recorded.out


def test_vectors_and_lists_of_models_are_replayed(tapes: Tapes) -> None:
    vectors = b'{"data": [{"index": 0, "embedding": [0.5, 1.5]}], "model": "e", "usage": {"prompt_tokens": 1}}'
    models = b'{"data": [{"id": "m1"}, {"id": "m2"}]}'
    told = {"content-type": "application/json"}
    script = """
    print(JSON.stringify(Provider.embed{ model = 'acme/e', input = { 'one' } }))
    print(#Provider.models('acme'))
    """
    recorded = tapes.record([reply(vectors, headers=told), reply(models, headers=told)], script)
    assert (recorded.code, tapes.requests) == (0, 2), recorded.out
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.out


@needs_engine
def test_the_embedded_model_is_not_loaded_again(tapes: Tapes) -> None:
    script = "print(Agent.create{ model = 'local', max_tokens = 8 }:execute('Say hi').text)"
    cache = str(Path(real_weights()).parents[1])
    recorded = tapes.record([CLOSE], script, LLMSPELL_CACHE_DIR=cache)
    assert recorded.code == 0, recorded.err
    replayed = tapes.run("--replay", str(tapes.file), LLMSPELL_CACHE_DIR=str(tapes.folder / "none"))
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


def test_a_run_that_was_stopped_leaves_what_came(tapes: Tapes) -> None:
    script = "print(Agent.create{ model = 'acme' }:execute('one').text) Agent.create{ model = 'acme' }:execute('two')"
    (tapes.folder / "s.lua").write_text(script)
    with Loopback([streamed("openai"), [head(), STALL]]) as server:
        (tapes.folder / "c.toml").write_text(CONFIG.format(type="openai", url=server.url))
        flags = ("--config", "c.toml", "--record", str(tapes.file), "--timeout", "1")
        stopped = tapes.run(*flags, ACME_KEY=KEY)
    assert stopped.code != 0
    assert KEY.encode() not in tapes.file.read_bytes()
    lines = tapes.file.read_bytes().splitlines(keepends=True)
    tapes.file.write_bytes(b"".join(lines[:-3]) + lines[-3][:9])  # as of a process that was killed
    replayed = tapes.replay()
    assert replayed.code != 0
    assert b"cut off while it was made" in replayed.out


def test_isolation_does_not_go_with_a_recording(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="isolation"):
        package.ScriptRuntime(isolation="process", record=tmp_path / "t")
    with pytest.raises(ValidationError, match="exclude"):
        package.ScriptRuntime(record=tmp_path / "t", replay=tmp_path / "t")


async def test_plain_agents_are_recorded_and_replayed(tmp_path: Path) -> None:
    path = tmp_path / "agents.jsonl"
    with Loopback([reply(DIALECTS["openai"].whole, headers={"content-type": "application/json"})]) as server:
        providers = {"acme": {"type": "openai", "base_url": server.url, "model": "m", "api_key": KEY}}
        async with package.record(path, providers) as manager:
            said = await package.Agent("acme", providers=manager).execute("hi")
    assert KEY.encode() not in path.read_bytes()
    async with package.replay(path) as manager:
        again = await package.Agent("acme", providers=manager).execute("hi")
    assert again == said
    with pytest.raises(ValidationError, match="not as it was recorded"):
        async with package.replay(path) as manager:
            await package.Agent("acme", providers=manager).execute("ho")


def test_a_run_that_was_stopped_as_it_waited_ends_there_when_it_is_replayed(tapes: Tapes) -> None:
    (tapes.folder / "s.lua").write_text("print('begun') while true do Async.sleep(1) end")
    assert tapes.run("--record", str(tapes.file), "--timeout", "0.5").code == 5
    done = tapes.run("--replay", str(tapes.file), "--timeout", "20")
    assert done.code == 1
    assert b"begun" in done.out
    assert b"the recording ends within a wait: it was cut off" in done.out
