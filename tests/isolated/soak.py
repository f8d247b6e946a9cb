"""Interrupts scripts a hundred thousand times, and looks whether they come to what they come to undisturbed.

    python soak.py [preemptions] [seed]

Several engines at once, every 200 µs; whoever is interrupted goes on when another was. Ends with 0 if every result was
exact; what was seen is one line of JSON. `test_soak.py` runs it.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, deque
from random import Random
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell._speedups._lua_c import Engine
from soak_jobs import JOBS, PRELUDE

from llmspell._speedups._lua_shared import CALL, DONE, PREEMPTED, STOPPED

if TYPE_CHECKING:
    from soak_jobs import Job

TICK = 0.0002  # seconds
SLOTS = 6  # engines at once; the last of them counts instructions
GRACE = 5.0  # seconds for `<close>` variables
SEEDS = 3  # of each job and size


class Slot:
    """An engine with one job, and a host that answers it."""

    def __init__(self, job: Job, size: int, seed: int, *, preempting: bool, interrupts: str = "tick") -> None:
        self.job = job
        self.opened = self.closed = self.preemptions = self.turns = 0
        self.engine = Engine(
            self._ask, lambda fd, data: True, self._fields, max_memory=job.max_memory, interrupts=interrupts
        )
        self.engine.start(PRELUDE)
        self.main = self.engine.load(job.text.encode(), b"@soak.lua")
        self.engine.tick = TICK if preempting else 0.005
        self.engine.preempting = preempting
        self.ready: deque[tuple[int, bool | None, Any]] = deque([(self.main, None, [str(size), str(seed)])])
        self.fibers: set[int] = set()
        self.joining: int | None = None
        if job.deadline:
            self.engine.deadline = monotonic() + job.deadline

    @staticmethod
    def _fields(error: BaseException) -> dict[str, Any]:
        return {"kind": "validation", "message": str(error), "retryable": False}

    def _ask(self, op: str, args: list[Any]) -> Any:
        if op == "add":
            return args[0] + args[1]
        if op == "fiber.start":
            self.fibers.add(args[0])
            self.ready.append((args[0], True, None))
        elif op == "opened":
            self.opened += 1
        else:
            self.closed += 1
        return None

    def _call(self, fiber: int, op: str, args: list[Any]) -> None:
        if op == "join":
            self.joining = fiber
        elif op == "fail":
            self.ready.append((fiber, False, ValueError(f"no {args[0]}")))
        elif op == "cancel":
            self.fibers.discard(args[0])
            self.ready = deque(item for item in self.ready if item[0] != args[0])
            self.engine.close_fiber(args[0])
            self.ready.append((fiber, True, None))
        else:
            self.ready.append((fiber, True, args[0] + args[1]))

    def turn(self) -> tuple[Any, ...] | None:
        """One resume of one fiber; the main one's last outcome, once it has ended."""
        fiber, ok, value = self.ready.popleft()
        self.turns += 1
        if self.turns == self.job.interrupted:
            self.engine.interrupt("enough", GRACE)
        outcome = self.engine.resume(fiber, ok, value)
        code = outcome[0]
        if code == PREEMPTED:
            self.preemptions += 1
            self.ready.append((fiber, None, None))
        elif code == CALL:
            self._call(fiber, outcome[1], outcome[2])
        elif fiber == self.main or code == STOPPED:
            self._leave()
            return outcome
        else:
            self.fibers.discard(fiber)
        if self.joining is not None and not self.fibers:
            self.ready.append((self.joining, True, None))
            self.joining = None
        return None

    def _leave(self) -> None:
        self.engine.leave(GRACE)
        for fiber in (self.main, *self.fibers):
            self.engine.close_fiber(fiber)

    def told(self, outcome: tuple[Any, ...]) -> list[Any]:
        """What the job came to, as it is compared: how it ended, its result, and how many `<close>` were left open."""
        left = self.opened - self.closed
        if outcome[0] == STOPPED:
            # A deadline gives `<close>` variables no time, and without memory they may not be able to work.
            return [outcome[1], None, left if self.job.end == "enough" else None]
        return ["done" if outcome[0] == DONE else "error", outcome[1], left]


def undisturbed(job: Job, size: int, seed: int) -> list[Any]:
    """What the job comes to when nobody interrupts it, and it may take the time that it takes."""
    if job.end != "done":
        return [job.end, None, 0 if job.end == "enough" else None]
    slot = Slot(job, size, seed, preempting=False)
    while True:
        outcome = slot.turn()
        if outcome is not None:
            return slot.told(outcome)


def soak(wanted: int, seed: int) -> dict[str, Any]:
    """Runs jobs until there were so many interruptions; what was seen."""
    dice = Random(seed)
    kinds = [(name, size, at) for name, job in JOBS.items() for size in job.sizes for at in range(SEEDS)]
    expected = {kind: undisturbed(JOBS[kind[0]], kind[1], kind[2]) for kind in kinds}
    runs: Counter[str] = Counter()
    preempted: Counter[str] = Counter()
    wrong: list[Any] = []
    to_do: list[tuple[str, int, int]] = []
    slots: list[tuple[tuple[str, int, int], Slot] | None] = [None] * SLOTS
    while sum(preempted.values()) < wanted or any(slots):
        at = dice.randrange(SLOTS)
        current = slots[at]
        if current is None:
            if sum(preempted.values()) >= wanted:
                continue
            if not to_do:
                to_do = dice.sample(kinds, len(kinds))
            kind = to_do.pop()
            how = "hook" if at == SLOTS - 1 else "tick"
            current = slots[at] = kind, Slot(JOBS[kind[0]], kind[1], kind[2], preempting=True, interrupts=how)
        kind, slot = current
        outcome = slot.turn()
        if outcome is None:
            continue
        runs[kind[0]] += 1
        preempted[kind[0]] += slot.preemptions
        told = slot.told(outcome)
        if told != expected[kind]:
            wrong.append([kind, told, expected[kind]])
        slots[at] = None
        if dice.randrange(2):
            slot.engine.close()  # or it is dropped as it is, with all that waits in it
    return {
        "seed": seed,
        "preemptions": sum(preempted.values()),
        "by_job": dict(preempted),
        "runs": dict(runs),
        "errors": sum(told[0] == "error" for told in expected.values()),
        "wrong": wrong[:10],
    }


if __name__ == "__main__":
    began = monotonic()
    given = [int(word) for word in sys.argv[1:]]
    seen = soak(*given, *(100_000, 20_250)[len(given) :])
    print(json.dumps({**seen, "seconds": round(monotonic() - began, 1)}))
    sys.exit(1 if seen["wrong"] or seen["errors"] else 0)
