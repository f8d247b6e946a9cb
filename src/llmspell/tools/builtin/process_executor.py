"""`process_executor`: runs a program that was granted, with arguments that were; no shell is asked."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from llmspell.errors import CallTimeoutError, NotFoundError, ToolError, ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

LARGEST = 1024 * 1024  # bytes of output, and of errors, that are kept
PIECE = 65536
#: Variables that a program gets without a grant: it could not run without them, and they tell nothing.
USUAL = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "TERM", "SYSTEMROOT", "COMSPEC", "PATHEXT")


class ProcessExecutor(Tool):
    name = "process_executor"
    description = "Run a program with arguments and get its output."
    category = "system"
    needs = ("run",)
    timeout = None  # its own, below
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "executable": {"type": "string", "minLength": 1, "description": "The program; no shell reads it."},
            "arguments": {"type": "array", "items": {"type": "string"}, "maxItems": 1000},
            "input": {"type": "string", "description": "What it reads from its standard input."},
            "working_directory": {"type": "string", "minLength": 1},
            "timeout_ms": {"type": "integer", "minimum": 1, "maximum": 3600000, "description": "60000 if left out."},
        },
        "required": ["executable"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        words = [arguments["executable"], *arguments.get("arguments", [])]
        if any("\0" in word for word in words):
            raise ValidationError(f"`{self.name}`: an argument has a NUL in it")
        if os.sep in words[0]:  # a path is that of the permissions' folder, wherever it is run
            words[0] = _joined(context.permissions.base, words[0])
        await context.permissions.need("run", shlex.join(words), by=self.name)
        folder = context.permissions.base
        if (wanted := arguments.get("working_directory")) is not None:
            folder = (await context.permissions.place("read", wanted, by=self.name)).path
        env = {
            name: value
            for name, value in os.environ.items()
            if name in USUAL or context.permissions.allows("env", name)
        }
        seconds = arguments.get("timeout_ms", 60_000) / 1000
        return await _run(words, arguments.get("input", "").encode(), folder, env, seconds)


def _joined(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, path))


async def _run(words: list[str], data: bytes, folder: str, env: dict[str, str], seconds: float) -> ToolResult:
    shown = one_line(words[0], 100)
    pipe = asyncio.subprocess.PIPE
    try:
        child = await asyncio.create_subprocess_exec(
            *words,
            stdin=pipe if data else asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
            cwd=folder,
            env=env,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no program `{shown}`, or no such folder", cause=error) from None
    except (OSError, ValueError) as error:
        raise ToolError(f"`{shown}` cannot be run: {one_line(str(error), 200)}", cause=error) from None
    try:
        async with asyncio.timeout(seconds):
            (out, more), (err, _), _ = await asyncio.gather(
                _all_of(child.stdout), _all_of(child.stderr), _feed(child, data)
            )
            code = await child.wait()
    except TimeoutError:
        raise CallTimeoutError(f"`{shown}` has not ended within {seconds:g} s", hint="raise `timeout_ms`") from None
    finally:
        _end(child)
        if child.returncode is None:
            await asyncio.shield(child.wait())
    output, errors = out.decode("utf-8", "replace"), err.decode("utf-8", "replace")
    result = {
        "output": output,
        "stdout": output,
        "stderr": errors,
        "exit_code": code,
        "success": code == 0,
        "truncated": more,
    }
    text = output if code == 0 else f"exit code {code}\n{errors or output}"
    return ToolResult(result, text)  # a program that fails has run all the same


def _end(child: asyncio.subprocess.Process) -> None:
    """Ends it and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        elif child.returncode is None:
            child.kill()


async def _feed(child: asyncio.subprocess.Process, data: bytes) -> None:
    if child.stdin is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # it has read enough
        if not child.stdin.is_closing():  # it has ended already: uvloop refuses a write then
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _all_of(stream: asyncio.StreamReader | None) -> tuple[bytes, bool]:
    """The first LARGEST bytes, and whether there were more: those are read and dropped."""
    assert stream is not None
    kept, more = bytearray(), False
    while piece := await stream.read(PIECE):
        room = LARGEST - len(kept)
        kept += piece[:room]
        more = more or len(piece) > room
    return bytes(kept), more


TOOL = ProcessExecutor()
