"""The soak's server, a process of its own: its memory and its connections are no part of what is measured.

    python tests/soak/server.py SEED CERTIFICATE

Prints its ports, the plain one and the one within TLS; ends when its standard input does, and prints how many requests
each dialect had, as JSON. The path's first part is the dialect, and the model's name says the rest: `FAULT`, or
`FAULT.CONTENT` (see faults.py). Tools get `/page/FAULT`, and where a redirect has led them, the same without one.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import sys
from collections import Counter, deque
from random import Random
from typing import Any

if __name__ == "__main__":
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from soak.faults import FAULTS, answer_for
from support.loopback import Loopback, Request

__all__ = ["Hostile", "plan_of"]

MOST_ERRORS = 20  # of its own, that are kept to be told


def plan_of(request: Request, dice: Random) -> list[Any]:
    """What is done with a request."""
    dialect = request.path.split("/")[1]
    if dialect in ("page", "elsewhere"):
        page = answer_for("openai", "text", None, streamed=False)
        fault = request.path.split("/")[2] if dialect == "page" else "none"
        return list(FAULTS[fault].plan(page, dice))
    sent = request.json
    if dialect == "gemini":
        model, _, verb = request.path.partition("/models/")[2].partition(":")
        streamed = verb.startswith("streamGenerateContent")
    else:
        model, streamed = sent["model"], bool(sent.get("stream"))
    fault, _, content = model.partition(".")
    answer = answer_for(dialect, content or "text", sent, streamed=streamed)
    return list(FAULTS[fault].plan(answer, dice))


class Hostile(Loopback):
    """A Loopback that remembers nothing of what came, however long it runs."""

    def __init__(self, seed: int, tls: ssl.SSLContext | None = None) -> None:
        super().__init__([None], tls=tls)
        self._dice = Random(seed)
        self.asked: Counter[str] = Counter()
        self.requests = deque(maxlen=1)  # type: ignore[assignment]
        self.connections = deque(maxlen=1)  # type: ignore[assignment]
        self.errors = deque(maxlen=MOST_ERRORS)  # type: ignore[assignment]

    def _plan_for(self, request: Request) -> list[Any]:
        self.asked[request.path.split("/")[1]] += 1
        return plan_of(request, self._dice)


def main() -> None:
    """Serves until standard input ends; exits with 1 if it could not serve a request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    within = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    within.load_cert_chain(sys.argv[2])
    servers = Hostile(int(sys.argv[1])), Hostile(int(sys.argv[1]), within)
    with servers[0], servers[1]:
        print(*(server.port for server in servers), flush=True)
        sys.stdin.read()
        failed = [error for server in servers for error in server.errors]
        for server in servers:
            server.errors.clear()
        print(json.dumps(servers[0].asked + servers[1].asked), flush=True)
    for error in failed:
        print(f"the server: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
