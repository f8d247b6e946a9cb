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
GRACE = 0.5  # seconds that what has ended may still be read, where others hold its pipes
LONGEST_COMMAND = 64 * 1024  # bytes of a program and its arguments: a grant is compared with all of it
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
        if sum(len(word.encode()) + 1 for word in words) > LONGEST_COMMAND:
            raise ValidationError(
                f"`{self.name}`: the arguments have more than {LONGEST_COMMAND} bytes",
                hint="long texts go into `input`",
            )
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
    pipe, nothing = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
    try:
        transport, program = await asyncio.get_running_loop().subprocess_exec(
            _Program,
            *words,
            stdin=pipe if data else nothing,
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
            _feed(transport, data)
            await asyncio.wait([program.exited])  # a plain await would cancel what is awaited again below
            await asyncio.wait([program.read], timeout=GRACE)
            _end(transport)  # what it left running holds its pipes, and would keep the call waiting
            await asyncio.wait([program.read], timeout=GRACE)
    except TimeoutError:
        raise CallTimeoutError(f"`{shown}` has not ended within {seconds:g} s", hint="raise `timeout_ms`") from None
    finally:
        _end(transport)
        if not program.exited.done():
            await asyncio.shield(program.exited)
        stdin: Any = transport.get_pipe_transport(0)
        if stdin is not None and 0 in program.open:
            stdin.abort()  # closing would keep what nobody reads, as long as another holds the pipe
        transport.close()
    return _told(program, transport.get_returncode() or 0)


def _told(program: _Program, code: int) -> ToolResult:
    output, errors = (bytes(program.kept[number]).decode("utf-8", "replace") for number in (1, 2))
    result = {
        "output": output,
        "stdout": output,
        "stderr": errors,
        "exit_code": code,
        "success": code == 0,
        "truncated": 1 in program.cut,
    }
    text = output if code == 0 else f"exit code {code}\n{errors or output}"
    return ToolResult(result, text)  # a program that fails has run all the same


class _Program(asyncio.SubprocessProtocol):
    """What a program says: the first LARGEST bytes of each pipe; more is read and dropped.

    exited: done when it has ended; read: done when nobody can say more; open: the numbers of pipes that are.
    """

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.read: asyncio.Future[None] = loop.create_future()
        self.kept = {1: bytearray(), 2: bytearray()}
        self.cut: set[int] = set()
        self.open = {0, 1, 2}

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        kept = self.kept[fd]
        room = LARGEST - len(kept)
        kept += data[:room]
        if len(data) > room:
            self.cut.add(fd)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        self.open.discard(fd)
        if not self.open & {1, 2} and not self.read.done():
            self.read.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)


def _end(transport: asyncio.SubprocessTransport) -> None:
    """Ends it and whatever it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(transport.get_pid(), signal.SIGKILL)
        elif transport.get_returncode() is None:
            transport.kill()


def _feed(transport: asyncio.SubprocessTransport, data: bytes) -> None:
    stdin: Any = transport.get_pipe_transport(0)
    if stdin is None or stdin.is_closing():  # it has ended already: uvloop refuses a write then
        return
    stdin.write(data)
    stdin.write_eof()


TOOL = ProcessExecutor()
