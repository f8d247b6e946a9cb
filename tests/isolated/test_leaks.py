"""Whatever crosses between Python and Lua, however it ends, nothing of it stays: a script of `leaks/` for each.

Each is a process of its own, which measures itself (`leaks/flat.py`) and ends with 1 if it grew.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

LEAKS = Path(__file__).parent / "leaks"
SCRIPTS = sorted(path for path in LEAKS.glob("*.py") if path.name != "flat.py")
COARSEST = 400  # bytes a crossing: what leaks more than this is seen by the coarsest of them


def measured(*command: str) -> tuple[int, dict[str, Any]]:
    """How a process ended, and what it measured."""
    done = subprocess.run([sys.executable, *command], cwd=LEAKS, capture_output=True, text=True, timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_process_stays_flat(script: Path) -> None:
    code, told = measured(script.name)
    assert code == 0, f"{told['grown']} bytes in {told['crossings']} crossings: {told['sizes']}"
    assert told["most"] / told["crossings"] <= COARSEST


LEAKING = {
    "bytes in Python": "kept.append(bytes(67))",
    "a text in Lua": "host.engine.resume(fiber, True, 'x' * 60 + str(len(kept)))",
}


@pytest.mark.parametrize("leak", LEAKING.values(), ids=LEAKING.keys())
def test_a_leak_of_a_hundred_bytes_a_crossing_is_seen(leak: str) -> None:
    code = f"""
from flat import Host, flat
host, kept = Host(), []
fiber, _ = host.start("local kept = {{}} while true do kept[#kept + 1] = call('next') end")
def once():
    {leak}
flat(once, 6000)
"""
    ended, told = measured("-c", code)
    assert (ended, told["grown"] > told["most"]) == (1, True), told
