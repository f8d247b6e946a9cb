"""A run that was recorded runs again with the network shut, and says byte for byte the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import llmspell as package
from llmspell.errors import LLMSpellError, ValidationError
from llmspell.providers.tape.player import Player
from llmspell.providers.tape.redaction import REDACTED, Redactor, forms
from support.dialects import DIALECTS
from support.loopback import CLOSE, STALL, Loopback, chunked, head, reply, sse
from support.terminal import environment, llmspell
from support.weights import needs_engine, real_weights

pytestmark = pytest.mark.once

KEY = "sk-never-to-be-written-0123456789"
CONFIG = """
[providers]
default = "acme"
[providers.acme]
type = "{type}"
base_url = "{url}"
model = "m"
api_key_env = "ACME_KEY"
retry = {{ base = 0.01, attempts = 3 }}
"""
SCRIPT = """
print(os.time(), os.clock(), os.date(), math.random(), math.random(1000000), Run.clock())
for chunk in Agent.create{ model = 'acme' }:stream('hi') do
    io.write(chunk.content.text or '', '|', tostring(chunk.timestamp), '\\n')
end
print(Agent.create{ model = 'acme' }:execute('again').text)
Async.sleep(0.01)
print(Run.clock(), Run.usage().seconds)
"""


class Tapes:
    """A folder with a script, a configuration and recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "tape.jsonl"

    def record(self, plans: list[Any], script: str = SCRIPT, kind: str = "openai", **env: str) -> Any:
        """The run against a server that answers by *plans*; gives how it ended."""
        (self.folder / "s.lua").write_text(script)
        with Loopback(plans) as server:
            (self.folder / "c.toml").write_text(CONFIG.format(type=kind, url=server.url))
            done = self.run("--config", "c.toml", "--record", str(self.file), ACME_KEY=KEY, **env)
            self.requests = len(server.requests)
        return done

    def replay(self) -> Any:
        """The run out of the recording; the server is gone, and there is neither key nor configuration."""
        return self.run("--replay", str(self.file))

    def run(self, *flags: str, **env: str) -> Any:
        return llmspell("run", "s.lua", "--output", "jsonl", *flags, cwd=self.folder, env=environment(**env))


@pytest.fixture
def tapes(tmp_path: Path) -> Tapes:
    return Tapes(tmp_path)


def streamed(kind: str) -> list[Any]:
    made = DIALECTS[kind]
    body = made.stream + made.end
    return reply([body[at : at + 97] for at in range(0, len(body), 97)], headers={"content-type": made.type})


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


def test_an_error_with_the_key_in_it_is_replayed_without_it(tapes: Tapes) -> None:
    body = json.dumps({"error": {"message": f"the key {KEY} is wrong"}}).encode()
    at = body.index(KEY.encode()) + 9
    recorded = tapes.record(
        [reply([body[:at], body[at:]], 401, {"content-type": "application/json", "x-told": KEY})],
        "local ok, e = pcall(Agent.create{ model = 'acme' }.execute, Agent.create{ model = 'acme' }, 'hi')\n"
        "print(e.kind, e.status, e.message)",
    )
    assert b"auth" in recorded.out
    assert KEY.encode() not in recorded.out
    assert KEY.encode() not in tapes.file.read_bytes()
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (recorded.code, recorded.out), replayed.err


@pytest.mark.parametrize("kind", DIALECTS)
def test_a_key_that_a_stream_echoes_is_in_no_file_however_it_is_cut(tapes: Tapes, kind: str) -> None:
    made = DIALECTS[kind]
    body = (made.stream + made.end).replace("Grüße".encode(), KEY.encode())
    assert KEY.encode() in body
    at = body.index(KEY.encode()) + 11
    plan = reply([body[:at], body[at:]], headers={"content-type": made.type})
    script = "for c in Agent.create{ model = 'acme' }:stream('hi') do io.write(c.content.text or '') end"
    recorded = tapes.record([plan], script, kind)
    assert recorded.code == 0, recorded.err
    assert REDACTED.encode() in recorded.out
    assert KEY.encode() not in tapes.file.read_bytes()
    assert tapes.replay().out == recorded.out


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


def test_what_is_no_recording_is_neither_replayed_nor_overwritten(tapes: Tapes) -> None:
    (tapes.folder / "s.lua").write_text("print(1)")
    tapes.file.write_text("my thesis\n")
    for flag in ("--record", "--replay"):
        done = tapes.run(flag, str(tapes.file))
        assert done.code != 0
        assert b"no recording" in done.out + done.err
    assert tapes.file.read_text() == "my thesis\n"
    both = tapes.run("--record", "a", "--replay", "b")
    assert both.code == 2
    assert b"exclude each other" in both.out + both.err
    assert b"no recording" in tapes.run("--replay", "not-there").out
    tapes.file.write_text('{"recording":"llmspell","version":99}\n')
    assert b"version 99" in tapes.replay().out


def test_a_recording_is_its_owners_alone(tapes: Tapes) -> None:
    assert tapes.record([streamed("openai")]).code == 0
    assert tapes.file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("source", ["api_key_file", "api_key_cmd"])
def test_a_key_that_is_found_only_at_the_first_call_is_hidden_and_not_looked_for_again(
    tapes: Tapes, source: str
) -> None:
    (tapes.folder / "key").write_text(KEY + "\n")
    found = {"api_key_file": str(tapes.folder / "key"), "api_key_cmd": [sys.executable, "-c", f"print({KEY!r})"]}
    plan = reply(f'{{"error": {{"message": "no: {KEY}"}}}}'.encode(), 400, {"content-type": "application/json"})
    script = "print(pcall(function() return Agent.create{ model = 'acme' }:execute('hi').text end))"
    (tapes.folder / "s.lua").write_text(script)
    with Loopback([plan]) as server:
        text = CONFIG.replace('api_key_env = "ACME_KEY"', f"{source} = {json.dumps(found[source])}")
        (tapes.folder / "c.toml").write_text(text.format(type="openai", url=server.url))
        recorded = tapes.run("--config", "c.toml", "--record", str(tapes.file))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}", recorded.out
    assert KEY.encode() not in tapes.file.read_bytes() + recorded.out
    (tapes.folder / "key").unlink()
    replayed = tapes.replay()
    assert (replayed.code, replayed.out) == (0, recorded.out), replayed.err


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


LINES = [
    b'{"recording":"llmspell","version":1,"started":1.5}',
    b'{"do":"request","call":1,"at":0.1,"provider":"acme","method":"POST","target":"/x","headers":{},"body":{}}',
    b'{"do":"head","call":1,"at":0.2,"status":200,"headers":{}}',
    b'{"do":"data","call":1,"at":0.3,"text":"hi"}',
    b'{"do":"values","of":"os.time","values":[1]}',
    b'{"do":"done","at":1}',
]


@pytest.mark.parametrize(
    "line",
    [
        b'{"do":"values","of":"os.time","values":["x"]}',
        b'{"do":"values","of":"seed","values":[1]}',
        b'{"do":"values","of":"stdin","values":[{"base64":7}]}',
        b'{"do":"head","call":1,"at":0.2,"status":200,"headers":{"a":1}}',
        b'{"do":"data","call":1,"at":0.3}',
        b'{"do":"head","call":true,"at":0.2,"status":200,"headers":{}}',
        b'{"do":"dance"}',
        b"[]",
    ],
)
def test_an_entry_of_the_wrong_kind_is_named_by_its_line(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(LINES[0] + b"\n" + LINES[1] + b"\n" + line + b"\n")
    with pytest.raises(ValidationError, match="line 3"):
        Player(str(path))


@given(st.integers(0, 400), st.binary(max_size=6), st.integers(0, 20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_recording_is_read_or_refused_with_a_typed_error(
    tmp_path: Path, at: int, put: bytes, drop: int
) -> None:
    whole = b"\n".join(LINES) + b"\n"
    path = tmp_path / "damaged"
    path.write_bytes(whole[:at] + put + whole[at + drop :])
    refused: LLMSpellError | None = None
    try:
        Player(str(path))
    except LLMSpellError as error:
        refused = error
    assert refused is None or (refused.hint and "\n" not in refused.message)


@given(st.lists(st.sampled_from([b"sk-", b"secret", b"-key-1", b"a", b"s", KEY.encode()]), max_size=12), st.data())
@settings(max_examples=100, deadline=None)
def test_no_cut_lets_a_secret_through(words: list[bytes], data: st.DataObject) -> None:
    text = b"".join(words)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    known = ("sk-secret-key-1", KEY)
    redactor = Redactor(forms(known))
    pieces = [redactor.feed(text[a:b]) for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    told = b"".join([*pieces, redactor.flush()])
    assert not any(secret.encode() in told for secret in known)
    if not any(secret.encode() in text for secret in known):
        assert told == text
