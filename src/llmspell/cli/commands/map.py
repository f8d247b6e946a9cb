"""`llmspell map`: one script over many rows, from the command line to the exit code."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from hashlib import sha256
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.agents.meter import Meter
from llmspell.bridge.output import unwritten
from llmspell.bridge.runtime import LARGEST_SCRIPT, read_script
from llmspell.cli.asking import said
from llmspell.cli.mapping.files import Results, beside, refuse_existing
from llmspell.cli.mapping.here import Here, Script
from llmspell.cli.mapping.journal import Journal
from llmspell.cli.mapping.progress import Progress, duration, plain
from llmspell.cli.mapping.rows import Source, format_of
from llmspell.cli.mapping.runner import Counts, Engine, Runner
from llmspell.cli.render import terminal
from llmspell.cli.settings import configuration
from llmspell.cli.signals import Watch
from llmspell.cli.telling import closed_pipe
from llmspell.errors import (
    InternalError,
    LLMSpellError,
    NotFoundError,
    RunCancelledError,
    ScriptError,
    ValidationError,
    one_line,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell.cli.mapping.rows import Row
    from llmspell.config.loader import Config

__all__ = ["map_"]

AT_ONCE = 16  # rows, where neither the command line nor the configuration says less
TICK = 0.1  # seconds


class Mapping:
    """One `llmspell map`."""

    def __init__(self, script: str, rows: str, args: list[str], options: dict[str, Any]) -> None:
        self.options = options
        self.program = (options.get("output") or "text") != "text"  # whether a program reads what is told
        if self.program:
            self.options["output"] = "json"  # lines of results are no events
        if script == rows == "-":
            raise ValidationError("script and rows cannot both come from standard input", hint="name a file for one")
        self.script_name, self.rows = script, rows
        self.stdout = sys.stdout
        if options.get("engine") == "ray":
            sys.stdout = sys.stderr  # whatever its libraries print: standard output is the results'
        self.results: str | None = options.get("results")
        self.failed: str | None = options.get("failed") or (beside(self.results, "failed") if self.results else None)
        self.retry = bool(options.get("retry_failed"))
        self.resume = self.retry or bool(options.get("resume"))
        self.overwrite = bool(options.get("overwrite"))
        self.args = args
        self.form = format_of(rows, options.get("format"))
        self.journal: Journal | None = None
        self.received: int | None = None

    # ---- what there is to do

    def script(self) -> Script:
        name = self.script_name
        text = sys.stdin.buffer.read(LARGEST_SCRIPT + 1) if name == "-" else read_script(name)
        if len(text) > LARGEST_SCRIPT:
            raise ScriptError("what comes from standard input is larger than 8 MiB", hint="it is read as a script")
        path = None if name == "-" else name
        model, provider = self.options.get("model"), self.options.get("provider")
        return Script("stdin" if path is None else name, text, path, self.args, model, provider)

    def configuration(self) -> Config:
        name = self.script_name
        return configuration(self.options, os.getcwd() if name == "-" else os.path.dirname(os.path.abspath(name)))

    def open_journal(self, script: Script) -> Journal | None:
        """The journal, where there is one: beside the results, or as `--journal` says. Raises ValidationError."""
        path = self.options.get("journal") or (f"{self.results}.journal" if self.results else None)
        self.keep_apart(path)
        if path is None:
            if self.resume:
                raise ValidationError(
                    f"`--{'retry-failed' if self.retry else 'resume'}` needs to know where the results were kept",
                    hint="name the `--results FILE` of the run to go on with, or its `--journal FILE`",
                )
            return None
        if not self.overwrite and not os.path.exists(path):
            for one in (self.results, self.failed):
                if one is not None:
                    refuse_existing(one)
        about = {"script": sha256(script.text).hexdigest(), "args": self.args, "format": self.form}
        return Journal(path, about, resume=self.resume, overwrite=self.overwrite)

    def keep_apart(self, journal: str | None) -> None:
        """Raises ValidationError where a file is to be written that is read, or two are one."""
        written = [os.path.realpath(one) for one in (self.results, self.failed, journal) if one is not None]
        read = {os.path.realpath(one) for one in (self.script_name, self.rows) if one != "-"}
        if len(set(written)) < len(written):
            raise ValidationError("results, failed rows and journal need a file each", hint="name another file for one")
        lost = next((one for one in written if one in read), None)
        if lost is not None:
            raise ValidationError(f"`{one_line(lost, 200)}` is read, and cannot be written", hint="name another file")

    def compare(self, journal: Journal) -> None:
        """Raises ValidationError where the rows of a file are not those that the journal is of: before one is paid."""
        if self.rows == "-" or not journal.last:
            return
        source = Source(self.rows, self.form)
        try:
            if source.size is None:
                return
            read = 0
            for row in source:
                read = row.number
                if not (self.retry and journal.state(row.number) == "failed"):  # which may have been mended
                    journal.check(row.number, row.mark)
                if read >= journal.last:
                    return
        finally:
            source.close()
        raise ValidationError(
            f"`{one_line(self.rows, 200)}` has {read:,} rows, and row {journal.last:,} was done already",
            hint="take the rows back to go on; `--overwrite` begins anew and does all rows again",
        )

    def chosen(self, source: Source) -> Iterator[Row]:
        """The rows that `--offset` and `--limit` leave."""
        skipped, most = int(self.options.get("offset") or 0), self.options.get("limit")
        return islice(iter(source), skipped, None if most is None else skipped + int(most))

    def at_once(self, config: Config) -> int:
        asked = self.options.get("jobs")
        if asked is not None and not 1 <= asked <= 10_000:
            raise ValidationError("`--jobs` takes a number of rows from 1 to 10000", hint="as in `-j 16`")
        most = config.get("runtime.max_concurrency")
        return int(asked) if asked is not None else min(AT_ONCE, most or AT_ONCE)

    # ---- doing it

    def run(self) -> int:
        """Gives the exit code. Raises LLMSpellError."""
        script = self.script()
        config = self.configuration()
        at_once = self.at_once(config)
        source = Source(self.rows, self.form)
        try:
            self.journal = self.open_journal(script)
            if self.journal is not None:
                self.compare(self.journal)
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                return runner.run(self._run(script, config, source, at_once))
        finally:
            source.close()
            if self.journal is not None:
                self.journal.close()

    def engine(self, script: Script, config: Config, progress: Progress, at_once: int) -> Engine:
        """Who runs the rows, with what earlier runs have spent counted. Raises LLMSpellError."""
        if self.options.get("engine") == "ray":
            from llmspell.cli.mapping.ray import Cluster

            journal, actors = self.journal, self.options.get("actors")
            return Cluster(
                script,
                config,
                progress.row,
                progress.note,
                at_once=at_once,
                actors=None if actors is None else int(actors),
                address=self.options.get("ray_address"),
                spent=(0, 0.0) if journal is None else (journal.tokens, journal.cost_usd),
            )
        tokens, cost = config.get("limits.max_tokens_total"), config.get("limits.max_cost_usd")
        meter = Meter(max_tokens_total=tokens, max_cost_usd=cost) if tokens or cost else None
        if meter is not None and self.journal is not None:
            meter.tokens, meter.cost_usd = self.journal.tokens, self.journal.cost_usd
        return Here(script, config, progress.row, meter=meter)

    async def _run(self, script: Script, config: Config, source: Source, at_once: int) -> int:
        counts = Counts(source)
        counts.most = self.options.get("limit")
        progress = Progress(
            counts,
            quiet=self.program,
            no_color=bool(self.options.get("no_color")),
            shared=self.results is None and terminal.is_terminal(self.stdout),
        )
        engine = self.engine(script, config, progress, at_once)
        try:
            await engine.open()
            counts.started_at = monotonic()
            results = Results(self.results, self.failed, progress, self.stdout)
        except BaseException:
            await engine.aclose()
            raise
        if not self.program:
            self.tell_of_models(progress)
        runner = Runner(
            self.chosen(source),
            source,
            engine,
            counts,
            at_once=at_once,
            write=results.write,
            told=progress.failed,
            journal=self.journal,
            retry_failed=self.retry,
            most_failed=int(self.options.get("max_failed") or 0),
            timeout=self.options.get("timeout_total") or 0.0,
        )
        ticking = asyncio.create_task(self._tick(progress, results))
        watch = self.watch(runner, progress)
        try:
            ended_by = await runner.run()
        finally:
            ticking.cancel()
            watch.finish()
            progress.hide()
            self.finish(results)
            await engine.aclose()
        return self.told(counts, progress, ended_by)

    def watch(self, runner: Runner, progress: Progress) -> Watch:
        """Ctrl+C and SIGTERM stop the rows in flight; the second ends the process."""
        loop = asyncio.get_running_loop()

        def stop(number: int) -> None:
            self.received = number
            word = "Ctrl+C" if number == 2 else "SIGTERM"
            loop.call_soon_threadsafe(runner.stop, RunCancelledError(f"stopped by {word}", signal=int(number)))

        watch = Watch(stop, lambda: None, progress.before_exit, None)
        if self.options.get("engine") == "ray":  # its threads take signals, too, and have handlers of their own
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, watch.take, int(number))
        return watch

    async def _tick(self, progress: Progress, results: Results) -> None:
        while True:
            await asyncio.sleep(TICK)
            try:
                results.flush()
                if self.journal is not None and self.journal.due():
                    await asyncio.to_thread(self.journal.sync)
            except OSError:
                return  # what is written next says so
            progress.tick()

    def finish(self, results: Results) -> None:
        """Closes the files. Raises LLMSpellError where the end cannot be written."""
        try:
            results.flush()
            results.close()
        except OSError as error:
            raise unwritten(error) from None

    @staticmethod
    def tell_of_models(progress: Progress) -> None:
        """Says what a model needs before it answers, as `run` does."""
        from llmspell.cli.render.fetching import Fetching
        from llmspell.providers import notices

        fetching = Fetching(bar=False, pause=progress.hide)
        notices.notify, notices.progress = progress.say, fetching.progress

    # ---- what is told of it

    def told(self, counts: Counts, progress: Progress, ended_by: LLMSpellError | None) -> int:
        """Tells what came of it; gives the exit code."""
        if ended_by is not None and ended_by.signal == 13:
            return closed_pipe()
        code = ended_by.exit_code if ended_by is not None else 1 if counts.failed else 0
        if self.program:
            self._tell_program(counts, code)
        else:
            self._tell_person(counts, progress, ended_by)
        if ended_by is not None:
            said(self._with_a_way_on(ended_by), self.options)
        return code

    def _tell_person(self, counts: Counts, progress: Progress, ended_by: LLMSpellError | None) -> None:
        if ended_by is None:
            counts.total = counts.finished
        line = f"{plain(counts, over=True)}, {duration(counts.seconds)}"
        if counts.kept:
            line += f"; {counts.kept:,} were done before"
        if counts.failed and self.failed is not None:
            line += f"; what failed is in {one_line(self.failed, 200)}"
        progress.say(line)

    def _tell_program(self, counts: Counts, code: int) -> None:
        from llmspell.cli.events import plain_json

        usage: dict[str, Any] = {"total_tokens": counts.tokens, "cost_usd": round(counts.cost_usd, 10)}
        told = {"rows": counts.finished, "done": counts.done, "failed": counts.failed, "kept": counts.kept}
        line = plain_json({**told, "usage": usage, "seconds": round(counts.seconds, 3), "exit_code": code}) + b"\n"
        stream = sys.stderr if self.results is None else self.stdout  # that of the results is theirs
        stream.buffer.write(line)
        stream.flush()

    def _with_a_way_on(self, error: LLMSpellError) -> LLMSpellError:
        """*error*, whose hint says how to go on."""
        if self.journal is not None:
            way = "what is finished is kept: the same command with `--resume` goes on"
            error.hint = way if error.hint is None else f"{error.hint}; {way}"
        elif error.hint is None:
            error.hint = "with `--results FILE`, what is finished is kept, and `--resume` goes on"
        return error


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _ours(error: Exception) -> LLMSpellError:
    if isinstance(error, LLMSpellError):
        return error
    if isinstance(error, OSError):
        return unwritten(error)
    hint = "this is a fault of llmspell's; `--traceback` shows where it came up"
    return InternalError(one_line(f"{type(error).__name__}: {error}"), hint=hint, cause=error)


def map_(script: str, rows: str, args: list[str], options: dict[str, Any]) -> int:
    """Runs *script* over each of *rows* (a file, or `-`); gives the exit code. Never raises."""
    try:
        return Mapping(script, rows, args, options).run()
    except KeyboardInterrupt:  # before the rows began
        return said(RunCancelledError("stopped by Ctrl+C", signal=2), options)
    except Exception as error:
        ours = _ours(error)
        if ours.signal == 13:
            return closed_pipe()
        code = said(ours, options)
        return 2 if isinstance(ours, ValidationError | NotFoundError) and ours.provider is None else code
