"""What `--output json` and `jsonl` write is what the JSON Schemas of `docs/schemas` say, however a run ends."""

from __future__ import annotations

import json
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from integration.test_specs import NAMES, SPECS, read, surroundings
from llmspell import errors
from llmspell.cli.events import VERSION, error_json
from support.answers import answer, asking
from support.loopback import CLOSE, STALL, Gate, Loopback, head, reply, sse
from support.schemas import fits, schema
from support.terminal import llmspell, start

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.once

FORMS = ("json", "jsonl")
KINDS = sorted(errors._BY_KIND)


def form_of(words: list[str]) -> str | None:
    text = " ".join(words)
    found = re.search(r"--output[ =](jsonl?)\b", text)
    return found[1] if found else None


def checked(form: str, out: bytes, err: bytes, code: int) -> list[dict[str, Any]]:
    """What a run wrote, each object by its schema and in its place; the last is how it ended."""
    if form == "json":
        written = out if not err.strip() or out.strip() else err.splitlines()[-1]
        told = [fits("output", json.loads(written))]
        ended = "error" not in told[-1]
        assert ended == bool(out.strip())
    else:
        told = [fits("events", json.loads(line)) for line in out.splitlines()]
        kinds = [line["event"] for line in told]
        assert kinds[0] == "start" or kinds == ["error"] or (kinds == ["result"] and "plan" in told[0])
        assert set(kinds[1:-1]).isdisjoint({"start", "error", "result"})
        assert kinds[-1] in ("error", "result")
        ended = kinds[-1] == "result"
    if ended:
        assert told[-1]["exit_code"] == code
    else:
        assert code != 0
    return told


# ---- the schemas themselves


@pytest.mark.parametrize("name", ["output", "events"])
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["$id"] == f"urn:llmspell:{name}:{VERSION}"


def test_the_two_say_the_same_of_what_both_have() -> None:
    output, events = schema("output")["$defs"], schema("events")["$defs"]
    for name in ("error", "frame", "usage"):
        assert output[name] == events[name]
    assert events["start"]["properties"]["version"] == {"const": VERSION}
    assert output["error"]["properties"]["kind"]["enum"] == events["error"]["properties"]["kind"]["enum"]
    assert sorted(output["error"]["properties"]["kind"]["enum"]) == KINDS


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("output", {}),
        ("output", {"error": {"kind": "script"}}),
        ("output", {"error": {"kind": "other", "message": "", "hint": None, "retryable": False}}),
        ("output", {"result": 1, "usage": {}, "calls": 0, "seconds": -1, "exit_code": 0, "output": ""}),
        ("output", {"result": 1, "usage": {"x": 1}, "calls": 0, "seconds": 1, "exit_code": 0, "output": ""}),
        ("events", {"event": "start", "version": 2, "script": "a", "args": []}),
        ("events", {"event": "output", "stream": "stdlog", "text": ""}),
        ("events", {"event": "tool", "state": "begun"}),
    ],
)
def test_what_is_otherwise_does_not_fit(name: str, value: Any) -> None:
    with pytest.raises(Exception, match=r"."):
        fits(name, value)


# ---- every spec that asks for it


#: Commands whose output has forms of their own.
OTHERS = {"validate", "config", "chat", "map"}


@pytest.mark.parametrize(
    "name", [n for n in NAMES if form_of(read(SPECS / n).words) and not OTHERS & set(read(SPECS / n).words)]
)
def test_a_spec_s_output_fits(name: str) -> None:
    spec = read(SPECS / name)
    form = form_of(spec.words)
    assert form is not None
    with surroundings(SPECS / name, spec) as env:
        done = llmspell(*spec.words, stdin=spec.stdin, cwd=SPECS / name, env=env)
    checked(form, done.out, done.err, done.code)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "name",
    [
        n
        for n in NAMES
        if "run" in (words := read(SPECS / n).words)
        and not {"help", "--help", "-h"} & set(words)
        and not form_of(words)
    ],
)
def test_a_spec_in_another_form_fits_as_well(name: str, form: str) -> None:
    """The same commands, which say nothing of the form."""
    spec = read(SPECS / name)
    words = ["--output", form, *spec.words]
    with surroundings(SPECS / name, spec) as env:
        done = llmspell(*words, stdin=spec.stdin, cwd=SPECS / name, env=env)
    checked(form, done.out, done.err, done.code)


# ---- every kind of error


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_fits(tmp_path: Path, kind: str, form: str) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        f'[providers.m]\ntype = "mock"\nreplies = [{{text = "some words", error = {{kind = "{kind}", status = 400, '
        'message = "it \\u0007 failed", retry_after = 2}}]\n'
    )
    (tmp_path / "a.lua").write_text('print("before")\nAgent.create{ model = "m" }:execute("hi")\n')
    words = ["run", "--stream", "--traceback", "--config", str(config), "--output", form, str(tmp_path / "a.lua")]
    done = llmspell(*words)
    error = checked(form, done.out, done.err, done.code)[-1]["error"]
    assert (error["kind"], error["provider"], error["status"], error["line"]) == (kind, "m", 400, 2)
    assert error["partial"] == "some words"
    assert "Traceback" in error["python"]


def by_server(tmp_path: Path, form: str, text: str, *plans: Any, flags: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    (tmp_path / "a.lua").write_text(text)
    with Loopback(list(plans)) as server:
        words = ["run", *flags, "--output", form, str(tmp_path / "a.lua")]
        done = llmspell(*words, env=asking(server))
    return checked(form, done.out, done.err, done.code)


ASK = 'return Agent.create{ model = "openai/m" }:execute("hi").text'


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("kind", "plan"),
    [
        ("stream_truncated", [head(), *answer("some words", then=CLOSE)[1:]]),
        ("network", [CLOSE]),
        ("auth", [b"HTTP/1.1 401 No\r\nx-request-id: req_7\r\ncontent-length: 2\r\n\r\n{}"]),
        ("rate_limit", [b"HTTP/1.1 429 No\r\nretry-after: 500\r\ncontent-length: 2\r\n\r\n{}"]),
        ("limit", [head(), *answer("some words", then=STALL)[1:]]),
    ],
)
def test_what_goes_wrong_at_a_service_fits(tmp_path: Path, form: str, kind: str, plan: list[Any]) -> None:
    flags = ("--stream", "--timeout", "1") if kind == "limit" else ("--stream",)
    error = by_server(tmp_path, form, ASK, plan, flags=flags)[-1]["error"]
    assert error["kind"] == kind


# ---- answers


BUSY = [b"HTTP/1.1 429 No\r\nretry-after: 0\r\ncontent-length: 2\r\n\r\n{}"]


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_after_a_retry_fits(tmp_path: Path, form: str) -> None:
    told = by_server(tmp_path, form, ASK, BUSY, reply(sse(["a", "b"])), flags=("--stream",))
    assert told[-1]["result"] == "ab"
    if form == "jsonl":
        controls = [
            line["chunk"]["content"]["message"]
            for line in told
            if "message" in line.get("chunk", {}).get("content", {})
        ]
        assert controls == ["stream_start", "retry", "stream_end"]


REPLIES = """
[providers.m]
type = "mock"
replies = [
  {reasoning = "let me see", text = "I look", tool_calls = [
     {name = "mine", arguments = {q = "x"}}, {name = "bad"}, {name = "none", arguments = {}}]},
  "done"]
"""
WORK = """
Tool.register{name = "mine", description = "d", parameters = {type = "object", properties = {q = {type = "string"}}},
              execute = function(p) return {found = {p.q, 1.5}} end}
Tool.register{name = "bad", description = "d", parameters = {type = "object"}, execute = function() error{code = 7} end}
local agent = Agent.create{name = "a", model = "m", tools = {"mine", "bad"}}
local flow = Workflow.sequential{name = "w", steps = {
  {name = "ask", agent = agent, input = "hi"},
  {name = "never", type = "function", execute = function() end, condition = function() return false end},
  {name = "fails", type = "function", execute = function() error("no luck") end},
}}
local ok, err = pcall(flow.execute, flow)
io.write("\\255 bytes \\u{2028}")
io.stderr:write("err")
return {1, two = {}, deep = {{{}}}}
"""


@pytest.mark.parametrize("form", FORMS)
def test_tools_reasoning_and_workflows_fit(tmp_path: Path, form: str) -> None:
    (tmp_path / "c.toml").write_text(REPLIES)
    (tmp_path / "a.lua").write_text(WORK)
    done = llmspell("run", "--config", str(tmp_path / "c.toml"), "--output", form, str(tmp_path / "a.lua"))
    assert done.code == 0, (done.out, done.err)
    told = checked(form, done.out, done.err, done.code)
    if form == "json":
        return
    assert {line["event"] for line in told} == {"start", "chunk", "tool", "step", "output", "result"}
    contents = {line["chunk"]["content"]["type"] for line in told if line["event"] == "chunk"}
    assert contents == {"text", "reasoning", "tool_call_progress", "tool_call_complete", "control"}
    ends = [line for line in told if line.get("state") == "end" and line["event"] == "tool"]
    assert sorted(("error" in line, line["name"]) for line in ends) == [
        (False, "mine"), (True, "bad"), (True, "none")
    ]  # fmt: skip
    steps = [(line["name"], line["success"]) for line in told if line["event"] == "step" and line["state"] == "end"]
    assert ("fails", False) in steps


@pytest.mark.parametrize("form", FORMS)
def test_data_of_a_form_fits(tmp_path: Path, form: str) -> None:
    (tmp_path / "c.toml").write_text('[providers.m]\ntype = "mock"\nreplies = ["{\\"n\\": 1}"]\n')
    (tmp_path / "a.lua").write_text(
        'local schema = {type = "object", properties = {n = {type = "integer"}}, required = {"n"}}\n'
        'return Agent.create{model = "m", response_schema = schema}:execute("hi").data'
    )
    done = llmspell("run", "--config", str(tmp_path / "c.toml"), "--output", form, str(tmp_path / "a.lua"))
    assert checked(form, done.out, done.err, done.code)[-1]["result"] == {"n": 1}


# ---- signals


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_in_an_answer_fits(tmp_path: Path, form: str, number: signal.Signals) -> None:
    (tmp_path / "a.lua").write_text(ASK)
    gate = Gate()
    with Loopback([answer("some words", gate, "more")]) as server:
        running = start("run", "--stream", "--output", form, str(tmp_path / "a.lua"), env=asking(server))
        gate.reached()
        running.send_signal(number)
        out, err = running.communicate(timeout=15)
    error = checked(form, out, err, running.returncode)[-1]["error"]
    assert (error["kind"], error["signal"]) == ("cancelled", number)
    assert running.returncode == 128 + number


# ---- whatever an error is given


PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)


@given(st.sampled_from(KINDS), st.text(), st.none() | st.text(), st.booleans(), PLAIN, st.binary())
def test_an_error_with_any_value_fits(
    kind: str, message: str, hint: str | None, retryable: bool, value: Any, output: bytes
) -> None:
    error = errors.error_class(kind)(message, hint=hint, retryable=retryable, value=value, other=value)
    fits("output", json.loads(error_json(error, "Traceback", output)))
