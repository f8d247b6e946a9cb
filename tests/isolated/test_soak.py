"""Scripts interrupted a hundred thousand times come to what they come to undisturbed. `soak.py` does the work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
WANTED = 100_000

pytestmark = [pytest.mark.compiled, pytest.mark.unmeasured]


def soaked(*command: str) -> tuple[int, dict[str, Any]]:
    """How a soak ended, and what it saw."""
    done = subprocess.run([sys.executable, *command], cwd=HERE, capture_output=True, text=True, timeout=600)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_hundred_thousand_interruptions_change_no_result() -> None:
    code, seen = soaked("soak.py", str(WANTED))
    print(seen)
    assert seen["wrong"] == []
    assert seen["errors"] == 0
    assert seen["preemptions"] >= WANTED
    never = {"gsub", "sort", "load"}  # in C's midst: seldom where a fiber can be put aside
    assert {name for name, times in seen["by_job"].items() if times >= WANTED // 1000} >= set(seen["runs"]) - never
    assert code == 0


def test_a_result_that_depends_on_time_is_seen() -> None:
    code = (
        "import json, sys, soak\n"
        "soak.JOBS = {'clock': soak.JOBS['main']._replace(text='for i = 1, 1e6 do end return os.clock()')}\n"
        "seen = soak.soak(3, 1)\n"
        "print(json.dumps(seen))\n"
        "sys.exit(bool(seen['wrong']))"
    )
    ended, seen = soaked("-c", code)
    assert (ended, seen["wrong"] != []) == (1, True)
