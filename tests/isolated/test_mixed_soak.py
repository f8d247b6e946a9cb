"""The soak of tests/soak/, shortened; and that it sees what it is there to see."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from soak.faults import FAULTS
from soak.leaks import LEAKS
from soak.measures import growth_of, slope
from soak.run import JOBS

HERE = Path(__file__).resolve().parents[1]
#: What a leak shows in, where that is not the count of its name.
SHOWS = {"objects": "soak.leaks._Kept"}

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="looks into /proc"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to make a certificate with"),
]


def soaked(tmp_path: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """The exit code of a soak, its JSON, and what it printed."""
    told = tmp_path / "soak.json"
    command = [sys.executable, str(HERE / "soak"), "--json", str(told), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert told.exists(), done.stderr
    return done.returncode, json.loads(told.read_text()), done.stdout + done.stderr


def test_mixed_work_leaves_nothing_behind_and_every_stream_has_its_end(tmp_path: Path) -> None:
    code, seen, said = soaked(tmp_path, "--minutes", "0.17", "--every", "0.9", "--load", "2", "--memory", "8")
    assert (code, seen["failures"]) == (0, []), said
    assert [one for one in seen["growths"] if one["failed"]] == [], said
    assert set(seen["jobs"]) == set(JOBS) - {"embedded model"}
    assert len(seen["faults"]) > 0.9 * len(FAULTS)
    assert set(seen["requests"]) >= {"openai", "openai-responses", "anthropic", "gemini", "ollama"}
    assert seen["streams"] > 100


def test_every_kind_of_leak_is_found(tmp_path: Path) -> None:
    leaks = [word for name in LEAKS for word in ("--leak", name)]
    code, seen, said = soaked(tmp_path, "--minutes", "0.07", "--every", "0.3", "--load", "2", "--job", "call", *leaks)
    found = {one["name"] for one in seen["growths"] if one["failed"]}
    assert found >= {SHOWS.get(name, name) for name in LEAKS}, said
    assert {"tasks", "threads", "Lua states"} <= {
        one.split(maxsplit=1)[1].split(" were")[0] for one in seen["failures"]
    }
    assert code == 1


BAD = """
import asyncio, sys
sys.path.insert(0, {here!r})
from soak import run
from soak.world import OK, Told

async def untyped(world, dice):
    raise KeyError("an error that has no kind")

async def unexpected(world, dice):
    return [Told("cut-in-chunk", "ok", frozenset({{"network"}}), 1, 3)]

async def unheard(world, dice):
    async def fails(): raise KeyError("nobody awaits this")
    task = asyncio.ensure_future(fails())
    await asyncio.wait({{task}})
    return [Told("", "ok")]

async def hangs(world, dice):
    await asyncio.Event().wait()

run.JOBS = {{"it": ({name}, 1)}}
report = run.soak(run.Options(1.0, every=0.3, hang=0.2, memory=100))
print(report.summary())
sys.exit(report.failed)
"""


@pytest.mark.parametrize(
    ("name", "seen"),
    [
        ("untyped", "KeyError: 'an error that has no kind'"),
        ("unexpected", "after `cut-in-chunk` came `ok`, and may be: network"),
        ("unheard", "KeyError: 'nobody awaits this'"),
        ("hangs", "(it) hung"),
    ],
)
def test_what_must_not_be_is_a_failure(name: str, seen: str) -> None:
    code = BAD.format(here=str(HERE), name=name)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert seen in done.stdout, done.stderr
    assert done.returncode == 1
    if name == "hangs":  # both what threads do and what tasks wait for
        assert "most recent call first" in done.stderr
        assert "in _lane" in done.stderr


def test_ctrl_c_ends_it_with_what_it_has_seen() -> None:
    command = [sys.executable, str(HERE / "soak"), "--minutes", "60", "--every", "0.5", "--seed", "5"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        assert lines[0] == "soak: seed 5, 60 min, load 0.4\n"
        os.kill(process.pid, signal.SIGINT)
        rest, _ = process.communicate(timeout=60)
    assert rest.rstrip().endswith("nothing was wrong; stopped before its time by SIGINT")
    assert process.returncode == 130


# ---- what a growth is


def test_one_low_value_at_the_start_and_one_high_one_at_the_end_are_no_growth() -> None:
    times = list(range(20))
    assert slope(times, [0.0, *[7.0] * 18, 90.0]) == 0
    assert not growth_of("x", times, [0.0, *[7.0] * 18, 90.0], 1.5).failed


def test_a_slow_growth_under_much_noise_is_one() -> None:
    times = list(range(40))
    values = [100 + 0.2 * at + (5 if at % 3 else -5) for at in times]
    grown = growth_of("x", times, values, 4)
    assert grown.failed
    assert 6 < grown.grown < 10


def test_what_falls_is_no_growth() -> None:
    assert not growth_of("x", [0, 1, 2, 3], [9, 8, 7, 6], 0.0).failed
