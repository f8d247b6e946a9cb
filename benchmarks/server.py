"""A loopback server in a process of its own: streams of every dialect, as fast as a reader takes them.

    python benchmarks/server.py          prints its port, serves until its standard input ends

The model's name in a request says how the answer comes; each event is one chunk of HTTP, N of them carry text:

    ready-N       all in one write
    each-N        one a write, the next when the reader has taken the last out of its socket: one chunk a read
    each-N-P      the same, P µs later: the reader has fallen asleep by then
    paced-R-N     R a second; the text is CLOCK_MONOTONIC in nanoseconds, taken right before the write
    rate-K-N-R    once K have asked for it: N to each of the K, R a second each, one after the other
    turns-K-N     one text to each that asks; once K have, and when `go-turns-K-N` is asked for: N to each of the K, one
                  a turn, the next turn when all have taken theirs; the end when `go-turns-K-N` is asked for again

    round         a tool's call, or, where the request has a tool's result, ten texts
Which dialect, its path says (wires.py): all know `ready` and `each`; that of OpenAI's chat knows the others as well.
Whether a reader has drained its socket is asked of the kernel (sock_diag, Linux); elsewhere `each` waits GAP instead.
It reads with blocking sockets on a thread a connection; where many are answered at once, one thread writes to all.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import threading
import time
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))  # it is started isolated

import wires

__all__ = ["END", "HEAD", "event", "main", "text_event"]

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\n"
    b"x-request-id: req-benchmark\r\ntransfer-encoding: chunked\r\n\r\n"
)
GAP = 0.0003  # seconds between the chunks of `each` where the kernel cannot be asked
SPIN = 0.0001  # seconds before a paced chunk that are spent awake: a sleep ends up to 60 µs late
POLLS = 2_000_000  # looks at a socket, some 4 µs each, after which a reader that takes nothing is left alone
EMPTY = bytes(4)


def event(choices: list[dict[str, object]], **more: object) -> bytes:
    """One event of a stream, framed as a chunk of HTTP."""
    data = {
        "id": "chatcmpl-benchmark",
        "object": "chat.completion.chunk",
        "created": 1760000000,
        "model": "benchmark",
        "system_fingerprint": "fp_benchmark",
        "choices": choices,
        **more,
    }
    return wires.framed(b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n")


def text_event(text: str) -> bytes:
    """An event that carries a piece of text."""
    return event([{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}])


ROLE = event([{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}])
FINISH = event([{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}])
END = FINISH + wires.framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"
CALL = [
    event([{"index": 0, "delta": {"tool_calls": [{"index": 0, **piece}]}, "logprobs": None, "finish_reason": None}])
    for piece in (
        {"id": "call_benchmark", "type": "function", "function": {"name": "add", "arguments": ""}},
        *({"function": {"arguments": text}} for text in ('{"a"', ":", "17", ',"b"', ":", "25", "}")),
    )
]
WORDS = ("the", " quick", " brown", " fox", " jumps", " over", " the", " lazy", " dog", ".\n")


def texts(count: int, event: Callable[[str], bytes] = text_event) -> Iterator[bytes]:
    """Events of *count* pieces of text."""
    made = [event(word) for word in WORDS]
    return (made[index % len(made)] for index in range(count))


class Drained:
    """Asks the kernel whether the other end of a connection, in a process of this machine, was read empty."""

    SOCK_DIAG, REQUEST, BY_FAMILY = 4, 1, 20

    def __init__(self, connection: socket.socket, kernel: socket.socket | None = None) -> None:
        (here, here_port), (there, there_port) = connection.getsockname(), connection.getpeername()
        ports = struct.pack("!HH", there_port, here_port)  # the reader's socket is the one that is asked about
        hosts = b"".join(socket.inet_aton(host) + bytes(12) for host in (there, here))
        body = struct.pack("=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF)
        body += ports + hosts + bytes(4) + b"\xff" * 8
        self._question = struct.pack("=IHHII", 16 + len(body), self.BY_FAMILY, self.REQUEST, 1, 0) + body
        self._kernel = kernel or self.kernel()
        self._answer = bytearray(4096)
        self._good = self.BY_FAMILY.to_bytes(2, sys.byteorder)

    @classmethod
    def kernel(cls) -> socket.socket:
        """What questions go through; many may share one."""
        made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, cls.SOCK_DIAG)
        made.connect((0, 0))
        return made

    def wait(self) -> bool:
        """Until nothing lies unread in the reader's socket; False where the reader is gone, or takes nothing."""
        ask, answer, held, question = self._kernel.send, self._kernel.recv_into, self._answer, self._question
        for _ in range(POLLS):
            ask(question)
            answer(held)
            if held[4:6] != self._good:  # an error: no such connection
                return False
            if held[72:76] == EMPTY:
                return True
        return False

    def close(self) -> None:
        self._kernel.close()


def _send_each(
    connection: socket.socket, count: int, pause: int = 0, event: Callable[[str], bytes] = text_event
) -> None:
    try:
        drained: Drained | None = Drained(connection)
    except (AttributeError, OSError):
        drained = None
    try:
        for piece in list(texts(count, event)):
            connection.send(piece)
            if drained is None:
                time.sleep(GAP)
            elif not drained.wait():
                return
            if pause:
                until = time.monotonic() + pause * 1e-6
                while time.monotonic() < until:
                    continue
    finally:
        if drained is not None:
            drained.close()


def _send_paced(connection: socket.socket, rate: int, count: int) -> None:
    due = time.monotonic()
    for _ in range(count):
        due += 1 / rate
        nap = due - time.monotonic() - SPIN
        if nap > 0:
            time.sleep(nap)
        while time.monotonic() < due:
            continue
        connection.sendall(text_event(f"{time.monotonic_ns()} "))


class Group:
    """Connections that are answered at once. The last to come leads: its thread writes to all."""

    known: ClassVar[dict[str, Group]] = {}
    lock = threading.Lock()

    def __init__(self, size: int) -> None:
        self.size = size
        self.members: list[socket.socket] = []
        self.go = threading.Semaphore(0)
        self.over = threading.Event()

    @classmethod
    def of(cls, model: str, size: int) -> Group:
        with cls.lock:
            return cls.known.setdefault(model, cls(size))

    def join(self, connection: socket.socket) -> bool:
        """Whether it is the last."""
        with self.lock:
            self.members.append(connection)
            return len(self.members) == self.size

    def end(self, model: str) -> None:
        with self.lock:
            self.known.pop(model, None)
        self.over.set()

    def turns(self, count: int) -> None:
        """One chunk to each, the next when all have read."""
        kernel = Drained.kernel()
        drained = [Drained(member, kernel) for member in self.members]
        try:
            for piece in list(texts(count)):
                for member in self.members:
                    member.send(piece)
                if not all(one.wait() for one in drained):
                    return
        finally:
            kernel.close()

    def paced(self, count: int, rate: int) -> None:
        """Every member's chunks at *rate* a second, the members' evenly apart."""
        due, gap = time.monotonic(), 1 / rate / self.size
        for piece in list(texts(count)):
            for member in self.members:
                due += gap
                nap = due - time.monotonic()
                if nap > 0:
                    time.sleep(nap)
                member.send(piece)


def _send_in_group(connection: socket.socket, model: str, size: int, count: int, rate: int = 0) -> None:
    group = Group.of(model, size)
    connection.sendall(HEAD + ROLE + (b"" if rate else text_event("first")))
    if group.join(connection):
        try:
            if rate:
                group.paced(count, rate)
            else:
                group.go.acquire()
                group.turns(count)
                group.go.acquire()
        finally:
            group.end(model)
    group.over.wait()
    connection.sendall(END)


def _answer_in(wire: wires.Wire, connection: socket.socket, model: str) -> None:
    """The same in another dialect."""
    kind, count, *pause = model.split("-")
    end = wire.last + b"0\r\n\r\n"
    if kind == "ready":
        connection.sendall(b"".join([wire.head, wire.first, *texts(int(count), wire.event), end]))
        return
    connection.sendall(wire.head + wire.first)
    _send_each(connection, int(count), *map(int, pause), event=wire.event)
    connection.sendall(end)


def _answer_round(connection: socket.socket, body: bytes) -> None:
    """A tool's call, in pieces; once its result is there, a text."""
    if b'"role":"tool"' in body.replace(b" ", b""):
        connection.sendall(b"".join([HEAD, ROLE, *texts(10), END]))
    else:
        connection.sendall(b"".join([HEAD, ROLE, *CALL, END]))


def answer(connection: socket.socket, model: str) -> None:
    """Sends one answer as *model* says."""
    kind, *numbers = model.split("-")
    if kind == "go":
        Group.known[model.removeprefix("go-")].go.release()
        connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        return
    counts = [int(number) for number in numbers]
    if kind == "ready":
        connection.sendall(b"".join([HEAD, ROLE, *texts(*counts), END]))
        return
    if kind in ("rate", "turns"):
        _send_in_group(connection, model, *counts)
        return
    how: dict[str, Callable[..., None]] = {"each": _send_each, "paced": _send_paced}
    connection.sendall(HEAD + ROLE)
    how[kind](connection, *counts)
    connection.sendall(END)


def _request(connection: socket.socket, held: bytes) -> tuple[str, bytes, bytes] | None:
    """The next request's path, its body and what came after it; None at the connection's end."""
    while (stop := held.find(b"\r\n\r\n")) < 0:
        more = connection.recv(65536)
        if not more:
            return None
        held += more
    size = 0
    for line in held[:stop].split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            size = int(value)
    end = stop + 4 + size
    while len(held) < end:
        more = connection.recv(65536)
        if not more:
            return None
        held += more
    return held.split(b" ", 2)[1].decode(), held[stop + 4 : end], held[end:]


def serve(connection: socket.socket) -> None:
    """Answers the requests of one connection until it ends."""
    held = b""
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while (got := _request(connection, held)) is not None:
                path, body, held = got
                wire = wires.wire_at(path)
                if wire is None and b'"model":"round"' in body.replace(b" ", b""):
                    _answer_round(connection, body)
                elif wire is None:
                    answer(connection, json.loads(body)["model"])
                elif wire.member:
                    _answer_in(wire, connection, json.loads(body)[wire.member])
                else:
                    _answer_in(wire, connection, path.rpartition("/")[2].partition(":")[0])
        except OSError:
            return


def main() -> None:
    """Listens on a free port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    print(listener.getsockname()[1], flush=True)

    def end_with_stdin() -> None:
        sys.stdin.buffer.read()
        os._exit(0)

    threading.Thread(target=end_with_stdin, daemon=True).start()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
