"""llama.cpp inside this process: loading, the queue for its slots, the threads it works on, and its end.

What must hold, and why (Source: LOCAL.md §4, §5): it never runs on the main thread, where Ctrl+C would be lost in its
callback; it always streams, and is joined before the interpreter ends, since a call that outlives it is a crash; it
is never used after a fork, which its threads do not survive (such a child must leave by `os._exit`, as those of
multiprocessing do: the library's own end waits for the lost threads); the HTTP server that it cannot help opening on
loopback is locked with a key that nobody knows.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import platform
import secrets
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import (
    LLMSpellError,
    NotSupportedError,
    ProviderError,
    RunCancelledError,
    ValidationError,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

__all__ = ["Engine", "Options", "acquire", "release", "require_engine"]

INSTALL = "pip install 'llmspell[local]'"
BATCH = 64  # tokens of a prompt between two looks at whether the call was given up
ANSWER = 64 * 2**20  # bytes of one answer's chunks; a model's own limit ends it long before
JOIN = 10.0  # seconds that the interpreter's end waits for all threads together; a call stops within a token


class Options(NamedTuple):
    """What makes one engine. path: the model's file. context: tokens of one call. slots: calls at the same time."""

    path: str
    threads: int
    context: int
    slots: int


def require_engine() -> None:
    """Raises NotSupportedError where the engine is not installed or cannot run here. Loads nothing."""
    if find_spec("xllamacpp") is None:
        raise NotSupportedError("the local model's engine is not installed", hint=f"`{INSTALL}`")
    # An instruction that the processor lacks would end the whole process, with no word.
    if sys.platform == "linux" and platform.machine() in ("x86_64", "AMD64"):
        try:
            with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
                info = file.read(65536)
        except OSError:
            return
        if "flags" in info and " avx2" not in info:
            raise NotSupportedError("the local model's engine needs a processor with AVX2", hint="use another provider")


def _load(options: Options) -> Any:
    """A server object of llama.cpp. Blocks for 0.4 s and more."""
    policy = "OMP_WAIT_POLICY"  # read when the library is loaded; else its threads spin, and collapse under other load
    ours = policy not in os.environ
    if ours:
        os.environ[policy] = "PASSIVE"
    try:
        import xllamacpp

        p = xllamacpp.CommonParams()
        p.model.path = options.path
        p.n_ctx, p.n_parallel = options.context * options.slots, options.slots  # the slots divide it
        p.n_batch = p.n_ubatch = BATCH
        p.cpuparams.n_threads = p.cpuparams_batch.n_threads = options.threads
        p.verbosity, p.warmup, p.cache_ram_mib, p.offline = -1, False, 0, True
        p.ui = p.endpoint_slots = False
        p.api_keys = [secrets.token_hex(32)]
        return xllamacpp.Server(p)
    except (ImportError, AttributeError, TypeError) as error:
        reason = one_line(str(error), 200)
        message = f"the local model's engine cannot be used: {reason}"
        raise NotSupportedError(message, hint=f"`{INSTALL} --upgrade`", cause=error) from error
    except RuntimeError as error:  # one text for all faults
        raise ValidationError(
            f"the model file {options.path} cannot be loaded: cut short, damaged, or of a kind unknown to llama.cpp",
            hint=f"fetch or copy it again; or is there no memory for a context of {options.context} tokens "
            f"in {options.slots} slots?",
            cause=error,
        ) from error
    finally:
        if ours:
            os.environ.pop(policy, None)


class Engine:
    """A loaded model. `generate` is for any event loop, any thread; calls beyond its slots wait their turn."""

    def __init__(self, server: Any, options: Options) -> None:
        self.options = options
        self._server = server
        self._pid = os.getpid()
        self._gate = _Gate(options.slots)
        self._calls: set[_Call] = set()
        self._closed = False

    async def generate(self, request: bytes) -> AsyncGenerator[list[bytes], None]:
        """The chunks of one streamed chat completion (JSON each), as many at once as are ready.

        Closed or cancelled, it stops the model, within a token or a batch of the prompt; the slot is free then.
        What was not asked for waits here; it is bounded by the context's tokens, and by ANSWER.
        Raises ValueError for a request that the engine does not take, and RunCancelledError if it was closed.
        """
        if os.getpid() != self._pid:
            raise NotSupportedError("the local model does not survive a fork", hint="start processes with `spawn`")
        await self._gate.enter()
        if self._closed:
            self._gate.leave()
            raise RunCancelledError("the local model was closed")
        call = _Call(self, request, asyncio.get_running_loop())
        self._calls.add(call)
        call.thread.start()
        try:
            while batch := await call.next():
                yield batch
        finally:
            call.stop.set()

    def work(self, call: _Call) -> None:
        """A call's thread."""
        error: BaseException | None = None
        try:
            self._server.handle_chat_completions(call.request, call.put)
        except BaseException as caught:
            error = caught
        self._calls.discard(call)
        self._gate.leave()
        call.end(RunCancelledError("the local model was closed") if self._closed and call.stop.is_set() else error)

    def close(self, seconds: float = JOIN) -> None:
        """Stops all calls, waits for their threads, gives the memory back. Blocks: 7 ms and a token."""
        self._closed = True
        end = time.monotonic() + seconds
        calls = list(self._calls)
        for call in calls:
            call.stop.set()
        for call in calls:
            call.thread.join(max(0.0, end - time.monotonic()))
        if os.getpid() == self._pid:
            self._server = None


class _Call:
    """One call's thread, and what it has brought."""

    def __init__(self, engine: Engine, request: bytes, loop: asyncio.AbstractEventLoop) -> None:
        self.request = request
        self.stop = threading.Event()
        self.thread = threading.Thread(target=engine.work, args=(self,), name="llmspell-local", daemon=True)
        self._loop = loop
        self._news = asyncio.Event()
        self._lock = threading.Lock()
        self._ready: list[bytes] = []
        self._size = 0
        self._over = False
        self._error: BaseException | None = None

    def put(self, raw: bytes) -> bool:
        """The engine's callback: takes a chunk; True ends the call. It must not raise."""
        self._size += len(raw)
        if self._size > ANSWER:
            self._error = ProviderError(f"the local model's answer is larger than {ANSWER} bytes")
            return True
        with self._lock:
            self._ready.append(raw)
            first = len(self._ready) == 1
        if first:
            self._wake()
        return self.stop.is_set()

    def end(self, error: BaseException | None) -> None:
        self._error = self._error or error
        self._over = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # the loop is closed: nobody reads any more
            self.stop.set()

    async def next(self) -> list[bytes]:
        """What is ready, at least one; nothing at the end."""
        while True:
            self._news.clear()
            with self._lock:
                batch, self._ready = self._ready, []
            if batch:
                return batch
            if self._over:
                with self._lock:
                    batch, self._ready = self._ready, []
                if batch:
                    return batch
                if self._error is not None:
                    raise self._error
                return []
            await self._news.wait()


class _Gate:
    """A first-come queue for *slots* places, for tasks of any event loop."""

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._lock = threading.Lock()
        self._waiting: deque[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = deque()

    async def enter(self) -> None:
        loop = asyncio.get_running_loop()
        with self._lock:
            if self._free > 0:
                self._free -= 1
                return
            turn: asyncio.Future[None] = loop.create_future()
            entry = (loop, turn)
            self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            with self._lock:
                given = entry not in self._waiting
                if not given:
                    self._waiting.remove(entry)
            if given:
                self.leave()
            raise

    def leave(self) -> None:
        """Gives the place to whoever waits longest. From any thread."""
        while True:
            with self._lock:
                if not self._waiting:
                    self._free += 1
                    return
                loop, turn = self._waiting.popleft()
            try:
                loop.call_soon_threadsafe(_give, turn)
            except RuntimeError:
                continue  # its loop is closed
            return


def _give(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_result(None)


# -- one engine a process for the same options


class _Entry:
    """An engine that is being made, or is made. users: how many hold it or wait for it."""

    def __init__(self, options: Options, locate: Callable[[threading.Event], str]) -> None:
        self.options = options
        self.users = 0
        self.stop = threading.Event()
        self.made: Future[Engine] = Future()
        self.made.set_running_or_notify_cancel()  # a task that no longer waits must not cancel it for the others
        self._locate = locate
        self.thread = threading.Thread(target=self._work, name="llmspell-local-load", daemon=True)

    def _work(self) -> None:
        try:
            path = self._locate(self.stop)
            if self.stop.is_set():
                raise RunCancelledError("loading the local model was stopped")
            engine = Engine(_load(self.options._replace(path=path)), self.options)
        except BaseException as error:
            self.made.set_exception(error)
        else:
            self.made.set_result(engine)
            if self.stop.is_set():
                engine.close()


_entries: dict[Options, _Entry] = {}
_lock = threading.Lock()
_pid: int | None = None  # of the process that loaded a model


async def acquire(options: Options, locate: Callable[[threading.Event], str]) -> Engine:
    """The engine of *options*, made on a thread if it is not there; pair it with `release`.

    locate(stop): the model's path, fetched if need be; called on that thread. Who waits for the same options waits
    for the same engine. Cancelled, it gives up the fetch and the loading if no other task waits for them.
    Raises what *locate* raises, ValidationError for a damaged file, NotSupportedError.
    """
    entry = _enter(options, locate)
    try:
        return await asyncio.wrap_future(entry.made)
    except BaseException as error:
        _leave(entry)
        # The one error reaches every task that waited: each gets its own, to add what it knows.
        raise _again(error) from error.__cause__


def release(engine: Engine) -> None:
    """Gives back what `acquire` gave; the last one frees the memory. Blocks: call it on a thread."""
    with _lock:
        entry = _entries.get(engine.options)
    if entry is not None and entry.made.done() and entry.made.exception() is None and entry.made.result() is engine:
        _leave(entry)


def _again(error: BaseException) -> BaseException:
    if not isinstance(error, LLMSpellError):
        return error
    return type(error)(error.message, hint=error.hint, retryable=error.retryable, **error.context)


def _enter(options: Options, locate: Callable[[threading.Event], str]) -> _Entry:
    global _pid
    if _pid is not None and _pid != os.getpid():  # before the lock, which a thread of the parent may have held
        raise NotSupportedError("the local model does not survive a fork", hint="start processes with `spawn`")
    with _lock:
        if _pid is None:
            _pid = os.getpid()
            atexit.register(_end)
        entry = _entries.get(options)
        if entry is None:
            entry = _entries[options] = _Entry(options, locate)
            entry.thread.start()
        entry.users += 1
        return entry


def _leave(entry: _Entry) -> None:
    with _lock:
        entry.users -= 1
        if entry.users > 0:
            return
        if _entries.get(entry.options) is entry:
            del _entries[entry.options]
        entry.stop.set()  # before it is known whether it was made: the thread looks after it has told
    if entry.made.done() and entry.made.exception() is None:
        entry.made.result().close()
    elif entry.thread.is_alive():
        _leaving.add(entry.thread)
        _leaving.difference_update([thread for thread in _leaving if not thread.is_alive()])


_leaving: set[threading.Thread] = set()  # threads of entries that nobody wants any more


def _end() -> None:
    """The interpreter ends: everything stops, and is waited for."""
    if _pid != os.getpid():
        return
    end = time.monotonic() + JOIN
    with _lock:
        entries = list(_entries.values())
        _entries.clear()
    for entry in entries:
        entry.stop.set()
        if entry.made.done() and entry.made.exception() is None:
            entry.made.result().close(max(0.0, end - time.monotonic()))
    for thread in [*(entry.thread for entry in entries), *_leaving]:
        thread.join(max(0.0, end - time.monotonic()))
