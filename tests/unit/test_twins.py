"""The chooser takes the twin it should, and says which."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmspell import _speedups


@pytest.mark.compiled
@pytest.mark.parametrize("stem", _speedups.STEMS)
def test_the_compiled_twin_is_in_use_where_one_can_be_built(stem: str) -> None:
    assert _speedups.choice(stem) == "compiled"


@pytest.mark.parametrize("stem", _speedups.STEMS)
def test_the_pure_twin_is_taken_when_told_to(stem: str) -> None:
    code = f"from llmspell import _speedups; print(_speedups.choice({stem!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={"LLMSPELL_NO_EXTENSIONS": "1"},
        check=True,
    )
    assert done.stdout == "pure: LLMSPELL_NO_EXTENSIONS is set\n"


def test_an_extension_that_does_not_load_leaves_the_pure_twin_and_a_reason() -> None:
    code = (
        "import sys; sys.modules['llmspell._speedups._sse_c'] = None\n"
        "from llmspell import _speedups; print(_speedups.choice('sse')); print(_speedups.EventParser.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={})
    why, home = done.stdout.splitlines()
    assert why.startswith("pure: ")
    assert "_sse_c" in why
    assert home == "llmspell._speedups._sse_py"
