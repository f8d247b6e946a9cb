"""What every byte and every chunk of a streamed answer passes, pure twin: HTTP's chunks come off, chunks are stamped.

`_stream_c.pyx` is the compiled one; tests/unit/test_stream_twins.py compares them. Strict where two readers
could disagree about where an answer ends. Source: RFC 9112 §7.1.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import count, repeat
from time import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "LINE_MAX", "TRAILER_MAX", "Chunked", "Gathering", "Handing", "Passing", "Place", "Pouring", "Receiving",
    "Resuming", "Stamp", "TakerFailed", "Waits", "WireError",
]  # fmt: skip

LINE_MAX = 4 * 1024  # of a chunk's size line
TRAILER_MAX = 16 * 1024


class WireError(Exception):
    """What came is no HTTP answer, or one beyond the bounds; the text says what."""


class TakerFailed(Exception):
    """Who is poured into raised its cause, which says nothing of the connection."""


class Receiving:
    """The beginning of a connection: what it is given goes to who takes it, or to `received`.

    wanted: somebody reads the answer. answered: something has come. take: who is handed what comes, while it is poured;
    gives whether it wants more; waiter: the future that ends the pouring. heard: when *take* was last done, of `clock`.
    A subclass adds `received`, for what is not poured, and `poured`, told when no more is wanted.
    """

    __slots__ = ("answered", "clock", "heard", "take", "waiter", "wanted")

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.wanted = False
        self.answered = False
        self.take: Callable[[bytes], bool] | None = None
        self.waiter: Any = None
        self.heard = 0.0

    def received(self, data: bytes) -> None:
        """What is not poured."""
        raise NotImplementedError

    def poured(self, waiter: Any) -> None:
        """Nothing more is to be handed on; *take* may have given the connection to the next request."""
        raise NotImplementedError

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        take, waiter = self.take, self.waiter
        if not self.wanted or take is None or waiter is None:
            self.received(data)
            return
        self.answered = True
        try:
            if take(data):
                self.heard = self.clock()  # only now: what *take* needed is no silence of the service
            else:
                self.poured(waiter)
        except Exception as error:
            if not waiter.done():
                waiter.set_exception(error)
        except BaseException:  # Ctrl+C, mostly; whose loop goes on all the same gets no answer with a gap
            if not waiter.done():
                waiter.set_exception(ConnectionAbortedError("interrupted"))
            raise


class Chunked:
    """A body in chunks, each with its size before it. `feed` gives what of its bytes is content.

    done: it is whole; nothing is fed to it then. rest: what came after the end.
    """

    __slots__ = ("_closing", "_left", "_pending", "_sizes", "_trailer", "done", "rest")

    def __init__(self) -> None:
        self.done = False
        self.rest = b""
        self._pending = b""  # of a line that is not whole
        self._left = 0  # bytes of the chunk that are still to come
        self._closing = False  # the chunk's own line end comes next
        self._trailer = -1  # bytes of the trailer so far, once there is one
        self._sizes: dict[bytes, int] = {}  # size lines that were read: an answer's chunks are alike

    def feed(self, data: bytes) -> bytes:
        """Raises WireError for what is no chunk."""
        if self._pending:
            data, self._pending = self._pending + data, b""
        out: list[bytes] = []
        at, end = 0, len(data)
        find, known = data.find, self._sizes.get
        while at < end and not self.done:
            if not (self._left or self._closing) and self._trailer < 0:
                # A chunk that lies whole in the data, and whose size line was seen before: nearly every one.
                stop = find(b"\r\n", at)
                size = known(data[at:stop]) if stop > 0 else None
                if size is not None and data.startswith(b"\r\n", stop + 2 + size):
                    out.append(data[stop + 2 : stop + 2 + size])
                    at = stop + 4 + size
                    continue
            at = self._piece(data, at, out)
        return out[0] if len(out) == 1 else b"".join(out)

    def _piece(self, data: bytes, at: int, out: list[bytes]) -> int:
        """Takes one line, or what there is of a chunk; tells where it got to."""
        if self._left:
            piece = data[at : at + self._left]
            out.append(piece)
            self._left -= len(piece)
            self._closing = True
            return at + len(piece)
        stop = data.find(b"\n", at)
        if stop < 0:
            self._pending = data[at:]
            if len(self._pending) > LINE_MAX:
                raise WireError("the answer has a chunk without a size")
            return len(data)
        line = data[at:stop].removesuffix(b"\r")
        at = stop + 1
        if self._closing:
            if line:
                raise WireError("the answer has a chunk that is longer than it says")
            self._closing = False
        elif self._trailer < 0:
            self._left = chunk_size(line)
            if self._left == 0:
                self._trailer = 0
            elif len(self._sizes) < 1024:
                self._sizes[line] = self._left
        else:
            self._trailer += len(line) + 2
            if self._trailer > TRAILER_MAX:
                raise WireError(f"the answer has more than {TRAILER_MAX >> 10} KiB of trailers")
            if not line:
                self.done = True
                self.rest = data[at:]
        return at


def chunk_size(line: bytes) -> int:
    """What a chunk's size line says. Raises WireError."""
    digits = line.partition(b";")[0].rstrip(b" \t")
    # `int` alone takes signs, underscores and 0x, of which two readers could make two sizes.
    if digits.isalnum() and len(digits) <= 12 and b"x" not in digits.lower():
        try:
            return int(digits, 16)
        except ValueError:
            pass
    raise WireError("the answer has a chunk without a size")


class Pouring:
    """Called with an answer's bytes as they come: hands their content on, and tells whether more is wanted.

    body: how the answer is framed; a `Chunked`, or what is like it. take: is handed content, gives whether it wants
    more. most: bytes of content; size: how many there have been. Raises WireError, and TakerFailed from what *take*
    raises.
    """

    __slots__ = ("_body", "_most", "_take", "size")

    def __init__(self, body: Any, take: Callable[[bytes], bool], most: int, size: int) -> None:
        self._body = body
        self._take = take
        self._most = most
        self.size = size

    def __call__(self, data: bytes) -> bool:
        content = self._body.feed(data)
        self.size += len(content)
        if self.size > self._most:
            raise WireError(f"its answer has more than {self._most >> 20} MiB")
        try:
            return (not content or self._take(content)) and not self._body.done
        except Exception as error:
            raise TakerFailed from error


class Stamp:
    """Called with contents: gives their chunks, numbered without gaps and stamped now.

    kind: a chunk's class, a named tuple of a stream's name, the number, the content, `metadata` and the time.
    """

    __slots__ = ("_kind", "_metadata", "_stream_id", "next")

    def __init__(self, kind: type[Any], stream_id: str, metadata: dict[str, Any]) -> None:
        self._kind = kind
        self._stream_id = stream_id
        self._metadata = metadata
        self.next = 0

    def __call__(self, contents: list[Any]) -> list[Any]:
        kind, stream_id, metadata, first, now = self._kind, self._stream_id, self._metadata, self.next, time()
        self.next = first + len(contents)
        # A named tuple's own constructor is a Python function; the tuple's costs a third.
        if len(contents) == 1:  # a token at a time: what serves many takes longer to set up than to do
            return [tuple.__new__(kind, (stream_id, first, contents[0], metadata, now))]
        fields = zip(repeat(stream_id), count(first), contents, repeat(metadata), repeat(now))
        return list(map(partial(tuple.__new__, kind), fields))


class Passing:
    """Called with an answer's bytes, none at their end: hands on the chunks of what they hold; gives whether more is
    wanted.

    reading: bytes to contents (`feed`, `end`), and whether it is `finished`. stamp: contents to chunks. take: is handed
    chunks, gives whether it wants more. last: the same, called with the answer's last contents.
    """

    __slots__ = ("_last", "_reading", "_stamp", "_take")

    def __init__(
        self, reading: Any, stamp: Stamp, take: Callable[[list[Any]], bool], last: Callable[[list[Any]], bool]
    ) -> None:
        self._reading = reading
        self._stamp = stamp
        self._take = take
        self._last = last

    def __call__(self, data: bytes) -> bool:
        reading = self._reading
        contents = reading.feed(data) if data else reading.end()
        if reading.finished:
            return self._last(contents)
        return self._take(self._stamp(contents)) if contents else True


class Gathering:
    """Called with chunks: notes what they say, and hands them on; gives whether more is wanted.

    collector: its `texts` get the text of contents of class *kind*, and its `add` gets all other chunks.
    """

    __slots__ = ("_collector", "_kind", "_take")

    def __init__(self, collector: Any, kind: type[Any], take: Callable[[list[Any]], bool]) -> None:
        self._collector = collector
        self._kind = kind
        self._take = take

    def __call__(self, batch: list[Any]) -> bool:
        collector, kind = self._collector, self._kind
        for chunk in batch:
            content = chunk[2]
            if type(content) is kind:  # as `add` would, which costs a call for each token
                collector.texts.append(content[0])
            else:
                collector.add(chunk)
        return self._take(batch)


class Place:
    """The beginning of what a script streams: number: its own; waiter: the number of the fiber that waits for its next
    chunks, or None; ready: chunks that lie; done: no more come.
    """

    __slots__ = ("done", "number", "ready", "waiter")

    def __init__(self, number: int) -> None:
        self.number = number
        self.waiter: int | None = None
        self.ready: list[Any] = []
        self.done = False


class Waits:
    """The beginning of a fiber that has not ended. `cancel` undoes what it waits for; `external`: whether that comes by
    itself. `doomed`: it was cancelled while it ran, and ends where it next waits.
    """

    __slots__ = ("cancel", "doomed", "external")

    def __init__(self) -> None:
        self.cancel: Callable[[], object] | None = None
        self.doomed = False
        self.external = False


class Resuming:
    """The beginning of what runs a script's fibers: how one gets what it waits for at once.

    engine: its `feed` resumes a fiber. fibers: those that have not ended, by number. ready: who is to be resumed.
    ended: a future, done when the run is. flushing: fibers are being resumed, or soon will be. is_away: whether the
    engine cannot resume now; None where it always can.

    A subclass adds `wake`, which resumes a fiber later, and `came`, told what a fiber came to that does not simply wait
    for more, or the exception that the engine raised.
    """

    __slots__ = ("ended", "engine", "fibers", "flushing", "is_away", "ready")

    def __init__(self, engine: Any, is_away: Callable[[], bool] | None) -> None:
        self.engine = engine
        self.is_away = is_away
        self.fibers: dict[int, Any] = {}
        self.ready: deque[Any] = deque()
        self.ended: Any = None
        self.flushing = False

    def wake(self, fiber: int, ok: bool, value: Any) -> None:
        """Resumes *fiber* later."""
        raise NotImplementedError

    def came(self, number: int, fiber: Any, outcome: Any, op: str, arg: int) -> None:
        """What a fiber came to; None: to the call *op* with *arg*, but others are to be resumed first."""
        raise NotImplementedError

    def hand(self, number: int, value: Any, op: str, arg: int) -> bool:
        """Resumes a fiber at once with what came for it; to be called by the loop, and not from within a fiber.

        Gives whether it waits for more of the same already, by the call *op* with *arg*: then that is not served here.
        """
        fiber = self.fibers.get(number)
        if fiber is None or self.flushing or self.ended.done() or (self.is_away is not None and self.is_away()):
            self.wake(number, True, value)
            return False
        cancel, fiber.cancel = fiber.cancel, None
        self.flushing = True  # what the fiber wakes is served afterwards, and by no turn of its own
        try:
            outcome = self.engine.feed(number, value, op, arg)
        except Exception as error:
            outcome = error
        if outcome is None and not (self.ready or fiber.doomed):
            fiber.cancel, self.flushing = cancel, False
            return True
        self.came(number, fiber, outcome, op, arg)
        return False


class Handing:
    """Called with the next chunks of a stream: hands them to who waits for them, else lets them lie; gives whether
    there is room for more.

    place: the stream. fibers: resumes who waits, which then waits again by the call *op* with the stream's number.
    ahead: so many chunks may lie. unstarted: a list; where something is in it afterwards, or the stream is done,
    *after* is called.
    """

    __slots__ = ("_after", "_ahead", "_fibers", "_op", "_place", "_unstarted")

    def __init__(
        self,
        place: Place,
        fibers: Resuming,
        op: str,
        ahead: int,
        unstarted: list[Any],
        after: Callable[[], object],
    ) -> None:
        self._place = place
        self._fibers = fibers
        self._op = op
        self._ahead = ahead
        self._unstarted = unstarted
        self._after = after

    def __call__(self, batch: list[Any]) -> bool:
        place = self._place
        waiter = place.waiter
        if waiter is None or place.ready:
            place.ready += batch
            return len(place.ready) < self._ahead
        place.waiter = None
        if self._fibers.hand(waiter, batch, self._op, place.number):
            place.waiter = waiter
            if place.done or self._unstarted:
                self._after()
        return True
