"""The worker's program: an engine for one script after the other, at the command of its host.

It is started by `process`, with two descriptors: a socket for frames, and a pipe that interrupts.
"""

from __future__ import annotations

import _thread
import marshal
import os
import socket
from time import monotonic

from llmspell.bridge import near
from llmspell.bridge.engine import ERROR, GONE, REFUSED, STOPPED, Engine, LoadError, core, prelude
from llmspell.bridge.failures import syntax_error
from llmspell.bridge.isolation import frames
from llmspell.bridge.isolation.codec import encode
from llmspell.bridge.isolation.lockdown import Memory, close_doors, die_with
from llmspell.bridge.run import error_fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["main"]

PIECE = 65536
BLOATED = 96 * 1024 * 1024  # bytes above those at the start: what a script has left behind; another worker takes over
#: The prelude's other parts, read before the doors are closed.
LAZY = (
    "agent",
    "async",
    "chat",
    "config",
    "file",
    "functions",
    "json",
    "log",
    "media",
    "provider",
    "run",
    "state",
    "template",
    "tool",
    "workflow",
)


class HostError(Exception):
    """Stands for an exception that the host keeps under a number, and is raised in the script with its fields."""

    def __init__(self, number: int, told: dict[str, Any]) -> None:
        super().__init__(number)
        self.number, self.told = number, told


class _Text(tuple[str]):
    """What a chunk of text holds. These three are to an engine what `types.streaming` has for it in the host."""

    __slots__ = ()


class _Reasoning(tuple[str]):
    __slots__ = ()


class _Chunk(tuple[object, ...]):
    """Stream, index, content, metadata, time."""

    __slots__ = ()


CONTENTS: dict[bytes, type[_Text | _Reasoning]] = {b"text": _Text, b"reasoning": _Reasoning}


def _fields(error: BaseException) -> dict[str, Any]:
    return error.told if isinstance(error, HostError) else error_fields(error)


def _reference(error: BaseException | None) -> Any:
    """How the host finds the exception: by its number, or by name and words where it was raised here."""
    if error is None:
        return None
    if isinstance(error, HostError):
        return error.number
    return [type(error).__name__, str(error)]


class Worker:
    """The engine of this process, and both ways to its host."""

    def __init__(self, data: socket.socket, control: int) -> None:
        self._data, self._control = data, control
        self._received = b""
        self._memory = Memory()
        self._engine: Engine | None = None
        self._options: dict[str, Any] = {}
        self._number = 0  # of the run; 0 between two
        self._early: tuple[int, str, float] | None = None  # an interrupt that has overtaken its run
        self._lock = _thread.allocate_lock()  # over the three above, for the thread that interrupts
        self._spent = False
        self._usual = 0
        self._commands: dict[int, Callable[..., list[Any]]] = {
            frames.BEGIN: self._begin,
            frames.RESUME: self._resume,
            frames.CHUNKS: self._chunks,
            frames.CLOSE: self._close,
            frames.LEAVE: self._leave,
        }

    # ---- both ways

    def _receive(self) -> Any:
        """The host's next words; the end of this process where there is no host any more."""
        parts, have = [self._received], len(self._received)
        need = frames.LENGTH.size
        known = False
        while have < need or not known:
            if have >= need:
                parts = [b"".join(parts)]
                need += frames.LENGTH.unpack_from(parts[0])[0]
                known = True
                continue
            data = self._data.recv(PIECE)
            if not data:
                os._exit(0)
            parts.append(data)
            have += len(data)
        frame = b"".join(parts)
        self._received = frame[need:]
        return marshal.loads(memoryview(frame)[frames.LENGTH.size : need])

    def _send(self, kind: int, content: bytes = b"") -> None:
        self._data.sendall(frames.to_host(kind, content))

    def watch(self) -> None:
        """The thread that interrupts: reads the pipe until the host is gone."""
        size = frames.CONTROL.size
        while True:
            message = os.read(self._control, size)
            if len(message) < size:
                os._exit(0)
            number, grace, word = frames.CONTROL.unpack(message)
            reason = word.rstrip(b"\0").decode()
            with self._lock:
                if number == self._number and self._engine is not None:
                    self._engine.interrupt(reason, grace)
                elif number > self._number:
                    self._early = number, reason, grace

    # ---- what the engine calls

    def _ask(self, op: str, args: list[Any]) -> Any:
        if op == "prelude":
            return prelude(args[0])
        self._send(frames.ASK, encode([op, args]))
        _, stop, ok, value = self._receive()
        if stop is not None and self._engine is not None:
            self._engine.interrupt(*stop)
        if ok:
            return value
        raise HostError(*value)

    def _write(self, fd: int, data: bytes) -> bool:
        self._send(frames.WRITE, bytes((fd,)) + data)
        return True  # where that was one too many, the host interrupts

    # ---- commands

    def serve(self) -> None:
        """Does what the host says, for ever."""
        while True:
            kind, *words = self._receive()
            if kind == frames.NEXT:
                self._next(*words)
                continue
            try:
                outcome = self._commands[kind](*words)
                self._send(frames.OUTCOME, encode(outcome))
            except MemoryError:
                self._spent = True
                self._send(frames.OUTCOME, encode([STOPPED, "memory"]))

    def _next(self, options: dict[str, Any]) -> None:
        """Makes an engine for the next script, before there is one."""
        self._make(options)
        if not self._usual:
            for name in LAZY:
                prelude(name)
            close_doors()
            self._usual = self._memory.resident
        if self._spent or self._memory.resident > self._usual + BLOATED:
            os._exit(0)
        self._send(frames.READY)

    def _make(self, options: dict[str, Any]) -> None:
        with self._lock:  # what still comes for the run before is none of the next one's business
            old, self._engine, self._number = self._engine, None, 0
        if old is not None:
            old.close()
        engine = Engine(self._ask, self._write, _fields, **options)
        engine.preempting = True  # a script's own fibers take turns
        engine.start(core())
        engine.use_chunks(_Chunk, {kind: word for word, kind in CONTENTS.items()})
        self._engine, self._options = engine, options

    def _current(self) -> Engine:
        assert self._engine is not None
        return self._engine

    def _begin(
        self,
        number: int,
        options: dict[str, Any],
        starts: list[bytes],
        text: bytes,
        name: bytes,
        args: list[str],
        seconds: float | None,
    ) -> list[Any]:
        if options != self._options or self._engine is None:
            self._make(options)
        engine = self._current()
        self._memory.bound(options.get("max_memory", 0))
        if seconds is not None:
            engine.deadline = monotonic() + seconds
        with self._lock:
            self._number = number
            if self._early is not None and self._early[0] == number:
                engine.interrupt(*self._early[1:])
        for start in starts:
            engine.start(start)
        try:
            main = engine.load(text, name)
        except LoadError as error:
            told = syntax_error(str(error), "", b"")
            column = near.found(told.message, text, told.line or 0, options.get("max_memory", 0))
            return [REFUSED, str(error), column or 0]
        if main != frames.MAIN and engine.stop_reason is None:  # stopped before its text was read, there is none
            raise AssertionError(f"the main fiber is number {main}")
        return self._told(engine.resume(main, None, args))

    def _resume(self, fiber: int, ok: bool | None, value: Any) -> list[Any]:
        if ok is False:
            value = HostError(*value)
        return self._told(self._current().resume(fiber, ok, value))

    def _chunks(self, fiber: int, batch: list[Any]) -> list[Any]:
        value = [
            one if type(one) is dict else _Chunk((one[0], one[1], CONTENTS[one[2]]((one[3],)), one[4], one[5]))
            for one in batch
        ]
        return self._told(self._current().resume(fiber, True, value))

    def _close(self, fiber: int) -> list[Any]:
        self._current().close_fiber(fiber)
        return [GONE]

    def _leave(self, reason: str | None, grace: float, last: float, fibers: list[int]) -> list[Any]:
        engine = self._current()
        if reason is not None:
            engine.interrupt(reason, grace)
        engine.leave(last)
        for fiber in fibers:
            engine.close_fiber(fiber)
        return [GONE]

    @staticmethod
    def _told(outcome: tuple[Any, ...]) -> list[Any]:
        if outcome[0] == ERROR:
            return [ERROR, outcome[1], _reference(outcome[2])]
        return list(outcome)


def main(data: int, control: int) -> None:
    """Serves the host at the other end of both descriptors until it is gone."""
    die_with(0)
    worker = Worker(socket.socket(fileno=data), control)
    _thread.start_new_thread(worker.watch, ())
    try:
        worker.serve()
    except OSError:  # the host is gone
        os._exit(0)
    except BaseException as error:
        words = f"{type(error).__name__}: {error}".encode("utf-8", "backslashreplace")
        worker._send(frames.BROKEN, words[: frames.LARGEST_WORDS])
        os._exit(1)
