"""`process_executor` and programs that would keep it: by what they leave running, and by what they are to be given."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import uvloop

from llmspell import ScriptRuntime
from llmspell.errors import CallTimeoutError, ValidationError
from llmspell.tools.base import ToolContext
from llmspell.tools.builtin import process_executor
from llmspell.tools.permissions import Permissions
from support.processes import eventually, is_alive

pytestmark = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
Loop = Callable[[], asyncio.AbstractEventLoop]


def shell(loop: Loop, code: str, **more: Any) -> dict[str, Any]:
    given = {"executable": "sh", "arguments": ["-c", code], **more}

    async def work() -> dict[str, Any]:
        done = await process_executor.TOOL.execute(given, ToolContext(Permissions(run=("sh",))))
        return dict(done.result)

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(work())


def test_a_program_that_leaves_others_running_has_ended(loop: Loop, tmp_path: Path) -> None:
    """They hold its output: who waits for the end of that waits for theirs."""
    begin = time.monotonic()
    done = shell(loop, f"echo said; sleep 60 & echo $! > {tmp_path}/pid; exit 3")
    assert (done["output"], done["exit_code"]) == ("said\n", 3)
    assert time.monotonic() - begin < 20
    assert eventually(lambda: not is_alive(int((tmp_path / "pid").read_text()))), "they end with it"


def test_what_another_says_shortly_after_the_end_is_heard(loop: Loop) -> None:
    assert shell(loop, "(sleep 0.1; echo late) & echo soon")["output"] == "soon\nlate\n"


def test_the_time_limit_holds_whoever_has_the_pipes(loop: Loop) -> None:
    begin = time.monotonic()
    with pytest.raises(CallTimeoutError):
        shell(loop, "setsid sleep 20 & sleep 20", timeout_ms=500)
    assert time.monotonic() - begin < 10


HOLDS = "exec 3<&0; (exec setsid sleep 30 <&3 >/dev/null 2>&1) & exec 3<&-; sleep 0.1"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are counted there")
def test_input_that_nobody_reads_is_not_kept(loop: Loop) -> None:
    """Though one that the program has left behind holds the pipe."""
    permissions = Permissions(run=("sh",))
    given = {"executable": "sh", "arguments": ["-c", HOLDS], "input": "x" * 1_000_000}

    async def opened() -> int:
        await process_executor.TOOL.execute(given, ToolContext(permissions))
        await asyncio.sleep(0.05)
        return len(os.listdir("/proc/self/fd"))

    async def work() -> list[int]:
        return [await opened() for _ in range(3)]

    with asyncio.Runner(loop_factory=loop) as runner:
        first, _, last = runner.run(work())
    assert last == first


def test_arguments_without_end_are_told_at_once(loop: Loop) -> None:
    """A grant is compared with them word by word, while the host waits."""
    script = """
        local many = { ("a b"):rep(1000000) }
        return Tool.execute("process_executor", { executable = "echo", arguments = many })
    """
    begin = time.monotonic()
    with pytest.raises(ValidationError, match="more than 65536 bytes"):
        ScriptRuntime(timeout=10, permissions=Permissions(run=("echo",))).run(script)
    assert time.monotonic() - begin < 10
