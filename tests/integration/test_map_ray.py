"""`llmspell map --engine ray`: the command, and a cluster of other processes on this machine."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.cli.mapping.ray import Till, _far_meter, settings_of
from llmspell.config.loader import load
from llmspell.errors import CallTimeoutError, LimitError
from llmspell.providers.base import ModelCall
from llmspell.providers.mock import MockProvider
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message
from support.answers import KEY
from support.loopback import STALL, Loopback
from support.processes import eventually
from support.rows import ASK, TOKENS, answering, asked, lines, text_of, write_rows
from support.terminal import environment, llmspell, start

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loopback import Request

pytestmark = pytest.mark.once
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: pip install 'llmspell[ray]'")
RAY = Path(sys.executable).with_name("ray")
WAIT = 50.0  # seconds for a command: workers are processes that start


class Ring:
    """A cluster. port: where it is; group: of its processes; env: of commands that use it, without a key."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port = taken.getsockname()[1]
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), "RAY_USAGE_STATS_ENABLED": "0"}
        self.env = environment(**token)
        words = ["start", "--head", "--block", f"--port={self.port}", "--num-cpus=2", "--include-dashboard=false"]
        words += ["--node-ip-address=127.0.0.1", "--disable-usage-stats", f"--temp-dir={folder}"]
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(RAY), *words],
                env={**self.env, "OPENAI_API_KEY": KEY, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        started = eventually_long(lambda: b"Ray runtime started" in (folder / "log").read_bytes())
        assert started, (folder / "log").read_text()

    def end(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def command(self, *words: str) -> list[str]:
        return ["map", *words, "--engine", "ray", "--ray-address", f"127.0.0.1:{self.port}"]

    def asking(self, server: Loopback) -> dict[str, str]:
        return {**self.env, "OPENAI_BASE_URL": server.url}

    def workers(self) -> list[int]:
        """The processes of this cluster that hold workers of ours."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if path.joinpath("cmdline").read_bytes().startswith(b"ray::Worker") and self._is_ours(path):
                    found.append(int(path.name))
            except OSError:
                continue
        return found

    def _is_ours(self, process: Path) -> bool:
        return self.env["RAY_AUTH_TOKEN"].encode() in process.joinpath("environ").read_bytes()


def eventually_long(holds: Any) -> bool:
    return any(eventually(holds) for _ in range(4))


@pytest.fixture(scope="module")
def ring() -> Iterator[Ring]:
    """One cluster for all of these tests; its own key is in its environment alone."""
    import shutil
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))  # its sockets have long names
    made = Ring(folder)
    try:
        yield made
    finally:
        made.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "s.lua").write_text(
        "if ARGS.text == 't2' then error('no twos') end\n"
        "if ARGS.text == 't4' then Log.warn('a four') io.stderr:write('said\\n') end\n" + ASK
    )
    return str(tmp_path / "s.lua")


@needs_ray
def test_results_errors_and_logs_come_home_in_order_and_the_key_is_the_workers_own(
    ring: Ring, script: str, tmp_path: Path
) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 20), tmp_path / "out.jsonl"
    with Loopback([answering()]) as server:
        command = ring.command(script, str(rows), "-j", "6", "--results", str(results))
        done = llmspell(*command, env=ring.asking(server), seconds=WAIT)
        assert {request.headers["authorization"] for request in server.requests} == {f"Bearer {KEY}"}
        assert asked(server) == {f"t{n}": 1 for n in range(1, 21) if n != 2}
    assert done.code == 1, done.err
    assert [line["row"] for line in lines(results)] == [1, *range(3, 21)]
    assert lines(results)[-1]["result"] == "re t20"
    (failed,) = lines(tmp_path / "out.failed.jsonl")
    assert (failed["row"], failed["error"]["message"], failed["error"]["line"]) == (2, "no twos", 1)
    told = done.err.decode().splitlines()
    assert {"row 2: error[script]: no twos", "row 4: warn: a four", "row 4: said"} <= set(told)
    assert told[-1].startswith("map: 20 rows, 1 failed, ")
    assert KEY.encode() not in done.err + (tmp_path / "out.jsonl.journal").read_bytes()


@needs_ray
def test_limits_hold_over_all_workers(ring: Ring, script: str, tmp_path: Path) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 40), tmp_path / "out.jsonl"
    command = ring.command(script, str(rows), "-j", "6", "--results", str(results))
    with Loopback([answering()]) as server:
        env = ring.asking(server)
        done = llmspell(*command, "--max-tokens-total", "200", env=env, seconds=WAIT)
        assert done.code == 5, done.err
        assert b"the limit of 200 tokens is reached" in done.err
        assert 5 < len(server.requests) <= 200 / TOKENS
        assert len(lines(results)) == len(server.requests)
        assert set(asked(server).values()) == {1}


@needs_ray
def test_a_worker_that_dies_loses_no_row(ring: Ring, script: str, tmp_path: Path) -> None:
    rows, held = write_rows(tmp_path / "r.jsonl", 12), [True]

    def plan(request: Request) -> list[Any]:
        return [STALL] if held[0] else answering()(request)

    with Loopback([plan]) as server:
        process = start(*ring.command(script, str(rows), "-j", "4", "--actors", "2"), env=ring.asking(server))
        server.wait_requests(4, WAIT)
        workers = ring.workers()
        assert len(workers) == 2
        held[0] = False
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        out, err = process.communicate(timeout=WAIT)
    assert process.returncode == 1, err
    assert b"\x1b" not in err
    assert [line.get("result") for line in lines(out)] == [None if n == 2 else f"re t{n}" for n in range(1, 13)]


@needs_ray
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_stopped_and_gone_on_with_no_finished_row_is_asked_about_again(
    number: int, ring: Ring, script: str, tmp_path: Path
) -> None:
    rows, results = write_rows(tmp_path / "r.jsonl", 24), tmp_path / "out.jsonl"
    journal, stalls = tmp_path / "out.jsonl.journal", {f"t{n}" for n in range(10, 24)}

    def plan(request: Request) -> list[Any]:
        return [STALL] if text_of(request) in stalls else answering()(request)

    command = ring.command(script, str(rows), "-j", "4", "--results", str(results))
    with Loopback([plan]) as server:
        process = start(*command, env=ring.asking(server))
        server.wait_requests(12, WAIT)
        assert eventually(lambda: journal.read_bytes().count(b'"result"') == 8)
        process.send_signal(number)
        _, err = process.communicate(timeout=WAIT)
        assert process.returncode == (-9 if number == signal.SIGKILL else 128 + number), err
        if number != signal.SIGKILL:
            assert b"`--resume` goes on" in err
        stalls.clear()
        assert llmspell(*command, "--resume", env=ring.asking(server), seconds=WAIT).code == 1
        again = {text for text, times in asked(server).items() if times > 1}
    assert again == {f"t{n}" for n in range(10, 14)}
    assert [line["row"] for line in lines(results)] == [1, *range(3, 25)]


@needs_ray
def test_what_is_wrong_is_told_before_any_row(ring: Ring, tmp_path: Path) -> None:
    (tmp_path / "bad.lua").write_text("return +")
    rows = write_rows(tmp_path / "r.jsonl", 2)
    done = llmspell(*ring.command(str(tmp_path / "bad.lua"), str(rows)), env=ring.env, seconds=WAIT)
    assert (done.code, done.out) == (1, b"")
    assert b"error[script]: unexpected symbol near" in done.err
    with socket.socket() as taken:  # bound, and not listening
        taken.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        words = ["map", str(tmp_path / "bad.lua"), str(rows), "--engine", "ray", "--ray-address", address]
        done = llmspell(*words, env=ring.env, seconds=WAIT)
    assert (done.code, done.out) == (4, b"")
    assert f"the Ray cluster at `{address}` cannot be reached".encode() in done.err


def test_neither_headers_nor_keys_are_sent_and_what_is_granted_always_is(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[providers.acme]\ntype = "openai"\nbase_url = "https://acme.example/v1"\napi_key_env = "ACME"\n'
        f'[providers.acme.headers]\nx-token = "{KEY}"\n[limits]\nmax_cost_usd = 1.0\n[permissions]\nread = ["/data"]\n'
    )
    env = {"OPENAI_API_KEY": KEY, "ACME": KEY}
    config = load(script_dir=None, config_file=str(tmp_path / "c.toml"), env=env, flags={"runtime.timeout": 7})
    told, held_back = settings_of(config)
    assert KEY not in repr(told)
    assert held_back == ["providers.acme.headers"]
    # A worker whose own configuration grants more and allows more does as it is told.
    own = {"LLMSPELL_PERMISSIONS__READ": "/", "LLMSPELL_PERMISSIONS__RUN": "*", "LLMSPELL_RUNTIME__TIMEOUT": "0"}
    there = load(script_dir=None, config_file=None, env=own, flags=told)
    assert there.permissions() == config.permissions()
    assert there.get("runtime.timeout") == 7
    assert there.providers()["acme"]["api_key_env"] == "ACME"
    assert there.get("limits.max_cost_usd") == 0  # it holds over all workers


class Handle:
    """A till as workers see it, without a cluster between."""

    def __init__(self, till: Till) -> None:
        self.till = till

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.till, name)
        return SimpleNamespace(remote=lambda *args: asyncio.ensure_future(method(*args)))


def asker(till: Till, worker: str, delay: float = 0.001) -> Any:
    """A model whose calls that worker's meter holds to the till's limits."""
    replies = [{"text": "hello", "delay": delay, "usage": {"input_tokens": 20, "output_tokens": 10}}]
    return _far_meter(Handle(till), worker, 400, 0.0).over(MockProvider(replies))


async def test_a_till_holds_the_calls_of_several_workers_together() -> None:
    till = Till(400, 0.0, 100, 0.0)
    workers = [asker(till, name) for name in ("a", "b", "c")]
    calls = [workers[index % 3].execute(call(max_tokens=50)) for index in range(60)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    refused = [one for one in done if isinstance(one, LimitError)]
    assert len(refused) + sum(not isinstance(one, BaseException) for one in done) == 60
    assert 0 < len(refused) < 60
    taken, reserved, held = await till.state()
    assert (reserved, held) == (0, 0)
    assert 100 < taken <= 400


async def test_a_call_that_gives_up_while_it_waits_and_a_worker_that_dies_hold_nothing_back() -> None:
    till = Till(400, 0.0, 0, 0.0)
    slow, quick = asker(till, "a", delay=60), asker(till, "b")
    holding = asyncio.ensure_future(slow.execute(call(max_tokens=350)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert (await till.state())[1] >= 350
    with pytest.raises(CallTimeoutError):
        await quick.execute(call(max_tokens=100, timeout=0.05))
    await till.lost("a")  # all that it had reserved counts as taken
    for _ in range(10):
        await asyncio.sleep(0)
    taken, reserved, held = await till.state()
    assert (reserved, held) == (0, 0)
    assert taken >= 350
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)


def call(max_tokens: int, timeout: float | None = None) -> ModelCall:
    return ModelCall("mock", (Message("user", "hi"),), Parameters(max_tokens=max_tokens), timeout=timeout)


def test_without_ray_the_error_says_how_to_install_it(tmp_path: Path) -> None:
    (tmp_path / "ray.py").write_text("raise ImportError('no')\n")
    (tmp_path / "s.lua").write_text("return 1")
    rows = write_rows(tmp_path / "r.jsonl", 1)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = llmspell("map", str(tmp_path / "s.lua"), str(rows), "--engine", "ray", env=environment(PYTHONPATH=path))
    assert (done.code, done.out) == (1, b"")
    assert b"hint: pip install 'llmspell[ray]'" in done.err
