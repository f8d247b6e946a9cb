"""What is in a recording's file, what is never in it, and what a file of somebody else's can do."""

from __future__ import annotations

import base64
import json
import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, ValidationError
from llmspell.providers.tape.file import Writer
from llmspell.providers.tape.player import Player
from llmspell.providers.tape.redaction import REDACTED, Redactor, forms
from support.dialects import DIALECTS
from support.loopback import Loopback, reply, sse
from support.tapes import CONFIG, KEY, Tapes, streamed

pytestmark = pytest.mark.once


@pytest.fixture
def tapes(tmp_path: Path) -> Tapes:
    return Tapes(tmp_path)


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


def test_secrets_of_headers_and_prompts_are_in_no_file_and_the_replay_is_the_same(tapes: Tapes) -> None:
    header, own = "tenant-secret-of-the-settings", "token-secret-of-the-agent"
    said = f"{KEY} {header} {own} replayed"
    refusal = json.dumps({"error": {"message": f"no: {said}"}}).encode()
    plans = [
        reply(refusal, 400, {"content-type": "application/json", "x-request-id": KEY}),
        reply(sse([said]), headers={"content-type": "text/event-stream", "x-request-id": f"a-{own}"}),
    ]
    script = f"""
    local extra = {{ headers = {{ ['X-Api-Token'] = '{own}' }}, body = {{ api_key = '{KEY}' }} }}
    local agent = Agent.create{{ model = 'acme', extra = extra }}
    print(pcall(function() return agent:execute('my key is {KEY}.').text end))
    local answer = agent:execute('and again')
    print(answer.text, answer.metadata.request_id)
    """
    (tapes.folder / "s.lua").write_text(script)
    with Loopback(plans) as server:
        settings_ = CONFIG.format(type="openai", url=server.url) + f'headers = {{ "X-Tenant-Key" = "{header}" }}\n'
        (tapes.folder / "c.toml").write_text(settings_)
        done = tapes.run("--config", "c.toml", "--record", str(tapes.file), ACME_KEY=KEY)
    assert done.code == 0, done.out
    assert not any(secret in tapes.file.read_text() for secret in (KEY, header, own))
    again = tapes.replay()
    assert (again.code, again.out) == (0, done.out)
    (tapes.folder / "s.lua").write_text(script.replace("my key", "the key"))
    assert b"is not as it was recorded" in tapes.replay().out


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


def test_an_older_recording_is_replaced_by_a_run_and_not_by_a_script_that_is_no_lua(tapes: Tapes) -> None:
    (tapes.folder / "s.lua").write_text("print('first')")
    assert tapes.run("--record", str(tapes.file)).code == 0
    tapes.file.chmod(0o644)
    first = tapes.file.read_bytes()
    (tapes.folder / "s.lua").write_text("print('second'")
    assert tapes.run("--record", str(tapes.file)).code == 1
    assert tapes.file.read_bytes() == first
    (tapes.folder / "s.lua").write_text("print('third')")
    done = tapes.run("--record", str(tapes.file))
    assert tapes.file.read_bytes() != first
    assert tapes.file.stat().st_mode & 0o077 == 0
    assert tapes.replay().out == done.out


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX pipes")
def test_a_recording_is_not_kept_in_a_pipe_or_device(tapes: Tapes) -> None:
    (tapes.folder / "s.lua").write_text("print(1)")
    os.mkfifo(tapes.file)
    for path in (str(tapes.file), "/dev/null", "/dev/stdout"):
        done = tapes.run("--record", path)
        assert done.code == 3
        assert b"is no file that a recording can be kept in" in done.out + done.err
    assert b"no recording" in tapes.run("--replay", "/dev/zero").out  # which has no end


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("source", ["api_key_cmd", "api_key_file", "api_key_keyring"])
def test_a_recording_of_a_stranger_runs_no_command_and_reads_no_key(tapes: Tapes, source: str, keyed: bool) -> None:
    script = "print(Agent.create{ model = 'acme' }:execute('hi').text)"
    assert tapes.record([streamed("openai")], script).code == 0
    ran = tapes.folder / "ran"
    command = [sys.executable, "-c", f"open({str(ran)!r}, 'w'); print('key')"]
    lines = [json.loads(line) for line in tapes.file.read_text().splitlines()]
    for entry in lines:
        if entry["do" if "do" in entry else "recording"] == "provider":
            entry["keyed"] = keyed
            entry["settings"] |= {source: command if source == "api_key_cmd" else "/not/there"}
            del entry["settings"]["api_key_env"]
    tapes.file.write_text("".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in lines))
    done = tapes.replay()
    assert done.code == 0, done.out + done.err
    assert not ran.exists()


def test_a_recorded_request_of_many_levels_is_a_request_that_differs(tmp_path: Path) -> None:
    path = tmp_path / "deep"
    body = b'{"a":' * 900 + b"1" + b"}" * 900
    request = b'{"do":"request","call":1,"at":0.1,"provider":"acme","method":"POST","target":"/","body":' + body + b"}"
    path.write_bytes(LINES[0] + b"\n" + request + b"\n")
    entry = json.loads(request.replace(b"1}", b"2}"))
    with pytest.raises(ValidationError, match="a request to acme"):
        Player(str(path)).request(entry)


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
        b'{"do":"provider","name":"a","default_model":"m","keyed":true,"settings":{"type":"openai","headers":[1]}}',
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


@pytest.mark.parametrize("key", ["acme-local", "lm-studio"])
def test_a_key_that_is_the_providers_name_or_stands_for_none_is_no_secret(tapes: Tapes, key: str) -> None:
    (tapes.folder / "s.lua").write_text("print(Agent.create{ model = 'acme-local' }:execute('hi').text)")
    with Loopback([reply(sse([f"I am {key}"]))]) as server:
        text = CONFIG.format(type="openai", url=server.url).replace("acme]", "acme-local]")
        (tapes.folder / "c.toml").write_text(text.replace('"acme"', '"acme-local"'))
        done = tapes.run("--config", "c.toml", "--record", str(tapes.file), ACME_KEY=key)
    assert f"I am {key}".encode() in done.out
    again = tapes.replay()
    assert (again.code, again.out) == (0, done.out)


def test_an_agents_headers_to_a_provider_without_http_are_hidden(tapes: Tapes) -> None:
    (tapes.folder / "s.lua").write_text(
        "local extra = { headers = { ['X-Token'] = 'secret-of-mine' } }\n"
        "print(Agent.create{ model = 'mock', extra = extra }:execute('hi').text)"
    )
    done = tapes.run("--record", str(tapes.file))
    assert done.code == 0
    assert "secret-of-mine" not in tapes.file.read_text()
    assert tapes.replay().out == done.out


def test_a_short_key_is_hidden_and_a_word_is_none() -> None:
    for key, hidden in (("sk-test", True), ("sk-123", True), ("ollama", False), ("123456", False), ("none", False)):
        redactor = Redactor(forms([key]))
        told = redactor.feed(f"wrong key {key}.".encode()) + redactor.flush()
        assert (key.encode() not in told) is hidden


@given(st.binary(max_size=5), st.binary(max_size=5), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_secret_is_found_in_base64_wherever_it_begins(before: bytes, after: bytes, url: bool) -> None:
    coded = (base64.urlsafe_b64encode if url else base64.b64encode)(before + KEY.encode() + after)
    redactor = Redactor(forms([KEY]))
    told = redactor.feed(coded) + redactor.flush()
    assert REDACTED.encode() in told
    assert len(told) <= len(coded) - len(KEY) * 4 // 3 + 2 + len(REDACTED)


def test_many_keys_are_hidden_at_no_more_than_the_cost_of_each(tmp_path: Path) -> None:
    """Forms of forms of a key were once looked for: a run with six keys never ended."""
    writer = Writer(str(tmp_path / "tape"), {})
    keys = [f"key-number-{number}-of-many" for number in range(12)]
    for key in keys:
        writer.hide((key,))
        writer.hide((key,))
    writer.write({"do": "script", "text": " ".join(keys)})
    writer.close()
    assert len(writer._secrets) < 12 * 12
    assert not any(key in (tmp_path / "tape").read_text() for key in keys)
