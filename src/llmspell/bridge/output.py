"""Where a script's writes go."""

from __future__ import annotations

from llmspell.errors import LLMSpellError, RunCancelledError, ScriptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    class Sink(Protocol):
        """A binary file, or whatever takes bytes as one does."""

        def write(self, data: bytes, /) -> object: ...
        def flush(self) -> object: ...


__all__ = ["Captured", "Output", "unwritten"]


def unwritten(error: OSError) -> LLMSpellError:
    """What *error*, met while output was written, means for the run; of `signal` 13 where its reader has gone."""
    if isinstance(error, BrokenPipeError | ConnectionResetError):
        return RunCancelledError("the reader of the output has gone", signal=13, cause=error)
    why = (error.strerror or type(error).__name__).lower()
    return ScriptError(f"the output cannot be written: {why}", hint="free some space, or write elsewhere", cause=error)


class Captured:
    """A sink that keeps what was written."""

    def __init__(self) -> None:
        self._kept = bytearray()  # of many small writes, the bytes alone

    def write(self, data: bytes, /) -> None:
        self._kept += data

    def flush(self) -> None:
        return None

    def getvalue(self) -> bytes:
        """All of it."""
        return bytes(self._kept)


class Output:
    """Standard output and error of one run.

    limit: bytes of both together; 0 is without limit. live: every write is flushed.
    """

    __slots__ = ("_live", "_sinks", "limit", "written", "wrote_output")

    def __init__(self, stdout: Sink, stderr: Sink, limit: int, live: bool) -> None:
        self._sinks = (None, stdout, stderr)
        self._live = live
        self.limit = limit
        self.written = 0
        self.wrote_output = False

    def write(self, fd: int, data: bytes) -> bool:
        """False where the limit is reached: nothing of *data* was written then. OSError where the reader has gone."""
        self.written += len(data)
        if self.limit and self.written > self.limit:
            return False
        sink = self._sinks[fd]
        assert sink is not None
        written = sink.write(data)
        while type(written) is int and 0 < written < len(data):  # an unbuffered file takes a part where a signal comes
            data = data[written:]
            written = sink.write(data)
        if fd == 1:
            self.wrote_output = True
        if self._live or fd == 2:
            sink.flush()
        return True

    def flush(self, fd: int) -> None:
        """Hands on what is buffered."""
        sink = self._sinks[fd]
        if sink is not None:
            sink.flush()
