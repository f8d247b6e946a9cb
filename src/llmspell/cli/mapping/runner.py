"""One `llmspell map`: rows in, many at once, results out in order; what is paid for is kept."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from llmspell.bridge.output import unwritten
from llmspell.cli.mapping.feed import Feed
from llmspell.cli.mapping.order import Ordered
from llmspell.cli.mapping.outcome import Outcome, bad_row
from llmspell.errors import LimitError, LLMSpellError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmspell.cli.mapping.journal import Journal
    from llmspell.cli.mapping.rows import Row, Source

__all__ = ["Counts", "Engine", "Runner"]


class Engine(Protocol):
    """What runs the script over one row, somewhere."""

    async def open(self) -> None:
        """Before the first row. Raises LLMSpellError where nothing can run."""

    async def run(self, number: int, value: Any) -> Outcome:
        """What it came to. Never raises, but where it is cancelled."""

    def stop(self, error: LLMSpellError) -> None:
        """Ends the rows that run now; they come out as stopped."""

    async def aclose(self) -> None:
        """Once no row runs."""


class Counts:
    """How far it has come. kept: rows that an earlier run had finished. failed: rows of this run and of earlier ones.

    total: of rows, where that is known; else `guess` has an estimate by the bytes that were read.
    """

    def __init__(self, source: Source | None = None) -> None:
        self._source = source
        self.started_at = monotonic()
        self.done = self.failed = self.kept = self.running = self.read = 0
        self.tokens = 0
        self.cost_usd = 0.0
        self.total: int | None = None
        self.most: int | None = None  # rows there can be, by `--limit`

    @property
    def finished(self) -> int:
        return self.done + self.failed

    @property
    def seconds(self) -> float:
        return monotonic() - self.started_at

    @property
    def rate(self) -> float:
        """Rows that this run has finished in a second."""
        return max(self.finished - self.kept, 0) / max(self.seconds, 1e-6)

    def guess(self) -> int | None:
        """How many rows there are, about."""
        source = self._source
        if self.total is not None:
            return self.total
        if source is None or not source.size or not self.read or not source.position:
            return None
        about = max(round(self.read * source.size / source.position), self.read)
        return about if self.most is None else min(about, self.most)

    def left(self) -> float | None:
        """Seconds until the end, about; None where nobody can say."""
        total = self.guess()
        if total is None or self.finished == self.kept:
            return None
        return max(total - self.finished, 0) / self.rate

    def take(self, outcome: Outcome) -> None:
        """What a row of this run has used."""
        self.tokens += int(outcome.usage.get("total_tokens", 0))
        self.cost_usd += outcome.usage.get("cost_usd", 0.0)


class Runner:
    """Runs *rows* through *engine*, at most *at_once*; see `run`.

    write(line, failed): takes the lines of results and failed rows, in order. told(row, error): of each that fails.
    retry_failed: those that failed before are done again. most_failed: rows that may fail, 0 is any number.
    spent: whether a limit over all rows is used up.
    """

    def __init__(
        self,
        rows: Iterator[Row],
        source: Source,
        engine: Engine,
        counts: Counts,
        *,
        at_once: int,
        write: Callable[[bytes, bool], None],
        told: Callable[[int, dict[str, Any]], None],
        journal: Journal | None = None,
        retry_failed: bool = False,
        most_failed: int = 0,
        timeout: float = 0.0,
    ) -> None:
        self._rows, self._source, self._engine, self.counts = rows, source, engine, counts
        self._at_once = at_once
        self._told = told
        self._journal = journal
        self._retry_failed, self._most_failed, self._timeout = retry_failed, most_failed, timeout
        self._ordered = Ordered(write, journal, at_once)
        self._tasks: set[asyncio.Task[None]] = set()
        self._moved = asyncio.Event()
        self._dispatcher: asyncio.Task[None] | None = None
        self.ended_by: LLMSpellError | None = None
        self.failed_now = 0

    async def run(self) -> LLMSpellError | None:
        """To the end of the rows, or to what ends it before; gives that.

        Raises LLMSpellError for rows that are none, and what of them was finished is written even so.
        """
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._timeout, self._late) if self._timeout else None
        feed = Feed(self._rows, self._source)
        self._dispatcher = loop.create_task(self._dispatch(feed))
        try:
            await self._dispatcher
            self.counts.total = self.counts.read
        except asyncio.CancelledError:
            if self.ended_by is None:
                self.stop(LLMSpellError("cancelled"))
                raise
        finally:
            feed.close()
            if self._tasks:
                await asyncio.wait(self._tasks)
            if timer is not None:
                timer.cancel()
            self._end()
        return self.ended_by

    def _end(self) -> None:
        try:
            self._ordered.end()
        except OSError as error:
            self.ended_by = self.ended_by or unwritten(error)

    def stop(self, error: LLMSpellError, *, running: bool = True) -> None:
        """Ends it with *error*: no more rows begin, and those that run are stopped, but where *running* is False."""
        if self.ended_by is None:
            self.ended_by = error
            if self._dispatcher is not None:
                self._dispatcher.cancel()
        if running:
            self._engine.stop(error)

    def _late(self) -> None:
        self.stop(
            LimitError(
                f"the rows took longer than their limit of {self._timeout:g} s",
                hint="raise it with `--timeout-total SECONDS`",
                limit="timeout_total",
                value=self._timeout,
            )
        )

    # ---- rows

    async def _dispatch(self, feed: Feed) -> None:
        counts = self.counts
        while True:
            while len(self._tasks) >= self._at_once or not self._ordered.room():
                self._moved.clear()
                await self._moved.wait()
            row = await feed.next()
            if row is None:
                break
            counts.read += 1
            self._ordered.begin(row.number)
            if not self._is_kept(row):
                self._begin(row)

    def _is_kept(self, row: Row) -> bool:
        """Whether an earlier run has finished it: then it is passed on."""
        if self._journal is None:
            return False
        state = self._journal.state(row.number)
        if state is None or (state == "failed" and self._retry_failed):
            return False
        self._journal.check(row.number, row.mark)
        self.counts.kept += 1
        if state == "failed":
            self.counts.failed += 1
        else:
            self.counts.done += 1
        self._settled(row.number, None)
        return True

    def _begin(self, row: Row) -> None:
        if row.error is not None:
            self._finish(row, bad_row(row))
            return
        self.counts.running += 1
        task = asyncio.get_running_loop().create_task(self._one(row))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    async def _one(self, row: Row) -> None:
        outcome = await self._engine.run(row.number, row.value)
        self.counts.running -= 1
        self._finish(row, outcome)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._moved.set()
        error = None if task.cancelled() else task.exception()
        if isinstance(error, LLMSpellError):
            self.stop(error)
        elif error is not None:
            from llmspell.errors import InternalError, one_line

            self.stop(InternalError(one_line(f"{type(error).__name__}: {error}"), cause=error))

    def _finish(self, row: Row, outcome: Outcome) -> None:
        """What a row came to is kept, counted and passed on. Raises LLMSpellError where it cannot be kept."""
        kept = outcome.kept(row)
        self.counts.take(outcome)
        if outcome.stopped:
            if self._journal is not None and outcome.usage:  # it was paid for, though it is not done
                self._journal.add({name: kept[name] for name in ("row", "mark", "usage")})
            if outcome.met_limit and outcome.error is not None:
                self.stop(_limit_met(outcome.error), running=False)
            return
        if self._journal is not None:
            self._journal.add(kept)
        if outcome.error is None:
            self.counts.done += 1
        else:
            self.counts.failed += 1
            self.failed_now += 1
            self._told(row.number, outcome.error)
            if self.failed_now == self._most_failed:
                self.stop(_too_many(self.failed_now))
        self._settled(row.number, kept)

    def _settled(self, number: int, kept: dict[str, Any] | None) -> None:
        try:
            self._ordered.finish(number, kept)
        except OSError as error:
            self.stop(unwritten(error))
        self._moved.set()


def _limit_met(error: dict[str, Any]) -> LimitError:
    context = {name: error[name] for name in ("limit", "value", "setting", "used", "reserved") if name in error}
    return LimitError(error["message"], hint=error["hint"], **context)


def _too_many(count: int) -> LimitError:
    return LimitError(
        f"{count} row{' has' if count == 1 else 's have'} failed, as many as may",
        hint="raise it with `--max-failed N` (0 is any number)",
        limit="max_failed",
        value=count,
    )
