"""What the command line says when a model's service fails: kind, exit code, hint, request id, and never the key."""

from __future__ import annotations

import json
import socket
from typing import TYPE_CHECKING, Any

import pytest

from support.answers import KEY, answer, asking
from support.loopback import CLOSE, RESET, STALL, Loopback, reply
from support.terminal import llmspell

if TYPE_CHECKING:
    from pathlib import Path

EXECUTE = "print(Agent.create{ model = 'openai/m' }:execute('hi').text)\n"
CATCH = """
local ok, e = pcall(function() return Agent.create{ model = 'openai/m' }:execute('hi') end)
print(e.kind, e.status, e.retry_after, e.retryable, e.provider, e.model)
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "s.lua").write_text(EXECUTE)
    return str(tmp_path / "s.lua")


def refusal(status: int, body: Any, **headers: str) -> list[Any]:
    """A plan that answers with an error."""
    data = body if isinstance(body, bytes) else json.dumps({"error": body}).encode()
    told = {"content-type": "application/json", "x-request-id": "req-42"}
    return reply(data, status, told | {name.replace("_", "-"): value for name, value in headers.items()}, sized=True)


REFUSALS = {
    "401": (
        refusal(401, {"message": f"Incorrect API key provided: {KEY}", "code": "invalid_api_key"}),
        "error[auth]: openai answered 401: Incorrect API key provided: ***",
        "hint: set `OPENAI_API_KEY` to a valid key",
    ),
    "404": (
        refusal(404, {"message": "The model `m` does not exist", "code": "model_not_found"}),
        "error[not_found]: openai answered 404: The model `m` does not exist",
        "hint: name a model that the service has",
    ),
    "429": (
        refusal(429, {"message": "slow down"}, retry_after="7", x_should_retry="false"),
        "error[rate_limit]: openai answered 429: slow down",
        "hint: wait 7 s",
    ),
    "quota": (
        refusal(429, {"message": "no quota left", "code": "insufficient_quota"}),
        "error[quota]: openai answered 429: no quota left",
        "hint: check plan and billing",
    ),
    "500": (
        refusal(500, {"message": f"it broke on {KEY}"}, x_should_retry="false"),
        "error[provider]: openai answered 500: it broke on ***",
        "hint: the service has trouble",
    ),
    "html": (
        refusal(502, b"<html><head><title>502 Bad\x1b[31m Gateway</title></head></html>", x_should_retry="false"),
        "error[provider]: openai answered 502 with a web page: 502 Bad",
        "hint: the service has trouble",
    ),
}


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal_says_what_why_and_what_to_do(name: str, stream: bool, script: str) -> None:
    plan, first, hint = REFUSALS[name]
    with Loopback([plan]) as server:
        done = llmspell("run", *(["--stream"] if stream else []), script, env=asking(server))
        assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    lines = done.err.decode().splitlines()
    assert (done.code, done.out) == (4, b"")
    assert lines[0].startswith(first)
    assert lines[1].endswith("s.lua:1")
    assert {"  provider: openai", "  model: m", "  request id: req-42"} <= set(lines)
    assert lines[-1].startswith(hint)
    assert KEY not in done.err.decode()
    assert b"\x1b" not in done.err


def test_a_refusal_as_json_and_with_pythons_traceback_shows_no_key(script: str) -> None:
    plan = REFUSALS["401"][0]
    with Loopback([plan]) as server:
        for words in (["--output", "json"], ["--output", "jsonl"], ["--traceback"]):
            done = llmspell("run", *words, script, env=asking(server))
            assert done.code == 4
            assert KEY.encode() not in done.out + done.err
            if "--output" in words:
                error = json.loads((done.out + done.err).splitlines()[-1])["error"]
                told = {name: error[name] for name in ("kind", "status", "request_id", "provider", "model", "line")}
                assert told == {
                    "kind": "auth",
                    "status": 401,
                    "request_id": "req-42",
                    "provider": "openai",
                    "model": "m",
                    "line": 1,
                }


def test_a_script_can_catch_it_and_read_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "c.lua").write_text(CATCH)
    plan = refusal(429, {"message": "slow down"}, retry_after="0.5", x_should_retry="false")
    with Loopback([plan]) as server:
        done = llmspell("run", str(tmp_path / "c.lua"), env=asking(server))
    assert done == (0, b"rate_limit\t429\t0.5\tfalse\topenai\tm\n", b"")


@pytest.mark.parametrize("end", [CLOSE, RESET])
def test_an_answer_that_stops_tells_how_much_had_come(end: str, script: str) -> None:
    with Loopback([answer("Hello ", "wor", then=end)]) as server:
        done = llmspell("run", "--stream", script, env=asking(server))
        error = json.loads(llmspell("run", "--stream", "--output", "json", script, env=asking(server)).err)["error"]
    lines = done.err.decode().splitlines()
    assert (done.code, done.out) == (4, b"")
    assert lines[0] == "error[stream_truncated]: the connection to openai was lost within the answer"
    assert "  the answer so far: 9 characters" in lines
    assert (error["kind"], error["partial"]) == ("stream_truncated", "Hello wor")


def test_a_service_that_falls_silent_is_given_up(script: str) -> None:
    with Loopback([answer("Hello", then=STALL)]) as server:
        idle = asking(server, LLMSPELL_PROVIDERS__OPENAI__TIMEOUT__IDLE="0.2")
        done = llmspell("run", "--stream", script, env=idle)
        server.connections[0].wait_closed()
    lines = done.err.decode().splitlines()
    assert done.code == 4
    assert lines[0] == "error[timeout]: openai sent nothing more for 0.2 s (idle timeout)"
    assert "  the answer so far: 5 characters" in lines
    assert lines[-1] == "hint: try again, or raise `providers.openai.timeout.idle`"


def test_nobody_listens(script: str) -> None:
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = llmspell("run", script, env=asking(f"http://127.0.0.1:{port}/v1"))
    lines = done.err.decode().splitlines()
    assert (done.code, done.out) == (4, b"")
    assert lines[0] == f"error[network]: openai cannot be reached: nothing listens at 127.0.0.1:{port}"
    assert lines[-1] == "hint: start the service, or check `providers.openai.base_url`"
    assert KEY not in done.err.decode()
