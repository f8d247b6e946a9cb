"""`llmspell run`: one script, from its file to the process's exit code."""

from __future__ import annotations

import os
import sys
from time import monotonic

from llmspell.bridge.output import Captured, unwritten
from llmspell.bridge.runtime import LARGEST_SCRIPT, ScriptResult, ScriptRuntime, read_script
from llmspell.cli.settings import configuration
from llmspell.cli.signals import Watch
from llmspell.errors import LLMSpellError, RunCancelledError, ScriptError, ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from llmspell.bridge.observer import Observer
    from llmspell.bridge.output import Sink
    from llmspell.cli.events import Events
    from llmspell.cli.render.fetching import Fetching
    from llmspell.cli.shown import Shown
    from llmspell.cli.watching import TerminalObserver
    from llmspell.config.loader import Config
    from llmspell.providers.tape.player import Player

__all__ = ["Command", "finished", "run"]


class Command:
    """One `llmspell run`."""

    def __init__(self, script: str, args: list[str], options: dict[str, Any]) -> None:
        self.script, self.args, self.options = script, args, options
        self.form: str = options.get("output") or "text"
        self.stream = bool(options.get("stream"))
        self.name = "stdin" if script == "-" else script
        self.source = b""
        self.events: Events | None = None
        self.view: TerminalObserver | None = None
        self.captured = Captured()
        self.fetching: Fetching | None = None
        self.running: ScriptRuntime | None = None
        self.unread = False  # while the script's file is being read: what goes wrong then is a mistake of usage
        self.line_start = True  # of the terminal's cursor, where standard error is a terminal
        self.player: Player | None = None
        self.watch: Watch | None = None
        self.asking = False  # a person, on the terminal
        self.shown: dict[int, Shown] = {}  # what the script writes to a terminal, by its number

    # ---- from the command line to a result

    def configuration(self) -> Config:
        """The effective configuration, flags included."""
        return configuration(
            self.options, os.getcwd() if self.script == "-" else os.path.dirname(os.path.abspath(self.script))
        )

    def observer(self) -> Observer | None:
        """Who watches model calls: nobody, a terminal, or the lines of `--output jsonl`."""
        if self.events is not None:
            return self.events
        if not self.stream:
            return None
        if self.form == "text" and _is_terminal(sys.stderr):
            from llmspell.cli.watching import TerminalObserver

            self.view = TerminalObserver(
                colour=not self.options.get("no_color"), reasoning=not self.options.get("hide_reasoning")
            )
            return self.view
        from llmspell.bridge.observer import Observer

        return Observer()

    def sinks(self) -> tuple[Sink, Sink]:
        """Where standard output and error of the script go."""
        if self.events is not None:
            return self.events.output("stdout"), self.events.output("stderr")
        stdout: Sink = self.captured if self.form == "json" else sys.stdout.buffer
        stderr: Sink = sys.stderr.buffer
        seen, told = self.form == "text" and _is_terminal(sys.stdout), _is_terminal(sys.stderr)
        if seen or told:
            from llmspell.cli.shown import Shown

            if told:
                stderr = self.shown[2] = Shown(self, stderr, counts=True)
            if seen:
                stdout = self.shown[1] = Shown(self, stdout, counts=told)
        return stdout, stderr

    def runtime(self, config: Config) -> ScriptRuntime:
        """The runtime of this run."""
        observer = self.observer()
        stdout, stderr = self.sinks()
        runtime = ScriptRuntime(
            config,
            stdout=stdout,
            stderr=stderr,
            live=self.stream or self.form == "jsonl" or _is_terminal(sys.stdout),
            model=self.options.get("model"),
            provider=self.options.get("provider"),
            observer=observer,
            log=self.log,
            note=self.note,
            before_models=self.tell_of_models,
            record=self.options.get("record"),
            replay=self.player,
            ask=self.asker(),
        )
        if self.options.get("model") or self.options.get("provider"):
            runtime.check_default()
        return runtime

    def asker(self) -> Any:
        """Who is asked for what was not granted: with `--ask` the terminal, where there is one; else nobody."""
        if not self.options.get("ask"):
            return None
        from llmspell.cli.prompt import Prompt

        return Prompt(self.hush, self.go_on)

    def hush(self) -> None:
        """Before a question: the screen stands still until it is answered, and so do the run's limits of time."""
        if self.view is not None:
            self.view.hold()
        self.end_line()
        self.asking = True
        if self.running is not None and self.watch is not None:
            self.running.stand_still()
            self.watch.stand_still()

    def go_on(self) -> None:
        """After it."""
        if self.running is not None and self.watch is not None:
            self.watch.go_on()
            self.running.go_on()
        self.line_start = True
        self.asking = False
        try:
            for number in sorted(self.shown):
                self.shown[number].let_go()
        except OSError as error:
            self.stop(unwritten(error))
        if self.view is not None:
            self.view.release(at_line_start=self.line_start)

    def log(self, level: str, message: str, fields: dict[str, Any] | None) -> None:
        """A line of the script's `Log`, on standard error."""
        if (logged := sys.modules.get("llmspell.cli.logs")) is not None:
            logged.of_script(level, message, fields)
        self.note(level, message, fields)

    def note(self, level: str, message: str, fields: dict[str, Any] | None) -> None:
        """A line for a person, of the script's or of what becomes of its calls."""
        logged = sys.modules.get("llmspell.cli.logs")
        if level == "debug" if logged is None else not logged.shows(level):
            return
        from llmspell.bridge.calls.log import line_of

        self.say(f"{level}: {line_of(message, fields)}")

    def say(self, text: str) -> None:
        """A line of a log, on standard error. On the run's thread."""
        from llmspell.cli.render.terminal import harmless

        line = harmless(text) + "\n"
        if self.asking and 2 in self.shown:
            self.shown[2].log(line.encode("utf-8", "replace"))
            return
        if self.view is not None:
            self.view.before_write(2)
        try:
            self.end_line()
            sys.stderr.write(line)
            sys.stderr.flush()
        except OSError as error:
            self.stop(unwritten(error))
        if self.view is not None:
            self.view.after_write(2, b"\n")

    def soon(self, work: Callable[[], None]) -> bool:
        """Has *work* done on the run's thread, from any other; whether that can be."""
        return self.running is not None and self.running.soon(work)

    def end_line(self) -> None:
        """What comes next on a terminal begins a line of its own, whatever the script has left there."""
        if not self.line_start:
            self.line_start = True
            sys.stderr.write("\n")

    def stop(self, error: LLMSpellError) -> None:
        """Ends the run with *error*."""
        if self.running is not None:
            self.running.interrupt(error)

    def signalled(self, number: int) -> None:
        """Ctrl+C or SIGTERM, on the watching thread."""
        drawn = [one for one in (self.view, self.fetching) if one is not None and one.drawn]
        if number == 2 and _is_terminal(sys.stderr) and not drawn:  # who draws has switched the terminal's echo off
            self.line_start = False  # it has echoed `^C`
        self.stop(_stopped_by(number))

    def tell_of_models(self) -> None:
        """Says on standard error what a model needs before it answers: a fetch, or a word about how small it is."""
        if self.form != "text":
            return
        from llmspell.cli.render.fetching import Fetching
        from llmspell.providers import notices

        view = self.view
        self.fetching = Fetching(
            bar=_is_terminal(sys.stderr),
            colour=not self.options.get("no_color"),
            pause=None if view is None else lambda: view.before_write(2),
            resume=None if view is None else lambda: view.after_write(2, b"\n"),
        )
        notices.notify, notices.progress = self.fetching.notify, self.fetching.progress

    def execute(self) -> ScriptResult:
        """Runs the script. Raises LLMSpellError."""
        if self.options.get("replay") is not None:
            self.open_recording()
        if self.form == "jsonl":
            from llmspell.cli.events import Events

            self.events = Events(sys.stdout.buffer)
            self.events.on_failed = lambda error: self.stop(unwritten(error))
            self.events.start(self.name, self.args)
        config = self.configuration()
        if (logged := sys.modules.get("llmspell.cli.logs")) is not None:
            logged.on_screen(self.say, self.soon)
        runtime = self.running = self.loaded(config)
        timeout = config.get("runtime.timeout")
        watch = self.watch = Watch(
            self.signalled,
            lambda: self.late(timeout),
            self.give_back,
            monotonic() + timeout if timeout else None,
            None if self.view is None else self.suspend,
        )
        try:
            return self.run_in(runtime)
        finally:
            watch.finish()

    def loaded(self, config: Config) -> ScriptRuntime:
        """The runtime, once the script is read."""
        self.unread = True
        self.source = self.read()
        self.unread = False
        return self.runtime(config)

    def read(self) -> bytes:
        """The script's text. Raises NotFoundError, ScriptError."""
        return _piped_script() if self.script == "-" else read_script(self.script)

    def check(self, runtime: ScriptRuntime) -> None:
        """Loads that text and runs none of it. Raises LLMSpellError."""
        runtime.check(self.source, path=None if self.script == "-" else self.script, name=self.name)

    def run_in(self, runtime: ScriptRuntime) -> ScriptResult:
        """Runs that text. Raises LLMSpellError."""
        path = None if self.script == "-" else self.script
        return runtime.run(self.source, args=self.args, path=path, name=self.name)

    def open_recording(self) -> None:
        """The recording to replay; its arguments are the script's, where the command line gives none."""
        self.unread = True
        if self.options.get("record") is not None:
            raise ValidationError("--record and --replay exclude each other", hint="first record, then replay")
        from llmspell.providers.tape.player import Player

        self.player = Player(self.options["replay"])
        self.args = self.args or self.player.args
        self.unread = False

    def late(self, timeout: float) -> None:
        """The script did not stop in time: says so, from the watching thread, right before the process ends."""
        from llmspell.bridge.limits import timeout_reached

        self.tell(timeout_reached(timeout))
        sys.stdout.flush()

    def give_back(self) -> None:
        """The process is about to end in the middle of things: the terminal must be as it was."""
        if self.view is not None:
            self.view.give_back()
        if self.fetching is not None:
            self.fetching.close()
        if not self.line_start:
            self.line_start = True
            os.write(2, b"\n")

    def suspend(self, while_gone: Callable[[], None] | None) -> None:
        """Ctrl+Z, or the going on after another stop: the terminal is somebody else's meanwhile."""
        view, fetching = self.view, self.fetching
        if view is None:
            return
        if fetching is None or while_gone is None:
            view.suspend(while_gone)
        else:
            fetching.suspend(lambda: view.suspend(while_gone))

    def close(self) -> None:
        """Takes away what is drawn."""
        if self.fetching is not None:
            self.fetching.close()
        if self.view is not None:
            self.view.close()
        if (logged := sys.modules.get("llmspell.cli.logs")) is not None:
            logged.flush()

    # ---- what is shown of it

    def show(self, done: ScriptResult) -> None:
        """The script's result, where the form asks for it."""
        out = sys.stdout.buffer
        if self.events is not None:
            self.events.result(done)
        elif self.form == "json":
            from llmspell.cli.events import result_json

            out.write(result_json(done, self.captured.getvalue()) + b"\n")
        elif done.result is not None and not done.wrote_output:
            out.write(_shown(done.result))
        out.flush()
        if self.view is not None:
            self.view.close()
            self.end_line()
            self.view.summary(done)

    def fail(self, error: BaseException) -> int:
        """Shows an error; gives the exit code."""
        from llmspell.cli.telling import closed_pipe, drop_output

        ours = _ours(error)
        if ours.signal == 13:
            return closed_pipe()
        try:
            sys.stdout.flush()
        except BrokenPipeError:
            return closed_pipe()
        except OSError as failed:  # it cannot be written: which is the error now, if there was none
            drop_output()
            ours = unwritten(failed) if isinstance(error, OSError) else ours
            if self.form == "jsonl":  # events go nowhere now
                self.form = "text"
        try:
            self.tell(ours)
        except BrokenPipeError:
            return closed_pipe()
        except OSError:  # nobody can be told there
            drop_output()
            if self.form == "jsonl":
                self.form = "text"
                return self.fail(ours)
        return 2 if self.unread else ours.exit_code

    def tell(self, error: LLMSpellError) -> None:
        """Writes the error where the form of output wants it. OSError where that cannot be."""
        from llmspell.cli import telling

        self.close()
        if self.form != "jsonl":
            self.end_line()
        if self.form == "text":
            self.show_rest(error)
        telling.tell(
            error,
            self.form,
            no_color=bool(self.options.get("no_color")),
            python=bool(self.options.get("traceback")),
            events=self.events,
            output=self.captured.getvalue(),
            source=lambda name: self.text_of(error, name),
        )

    def show_rest(self, error: LLMSpellError) -> None:
        """What was received of an answer that was cut off, where it would go with the view, or nobody has seen it."""
        seen = self.view is not None and self.view.has_shown(error)
        if error.partial and (seen or error.kind == "cancelled"):
            from llmspell.cli.render import terminal

            look = terminal.look(sys.stderr)
            partial = error.context.pop("partial")
            sys.stderr.write(terminal.harmless(partial, unicode=look.unicode).removesuffix("\n") + "\n")

    def text_of(self, error: LLMSpellError, name: str) -> str | None:
        """The text of a script that the run has loaded: a chunk may have any name, and no other file is shown by it."""
        if name == self.name:
            return self.source.decode("utf-8-sig", "replace")
        path = (error.sources or {}).get(name)
        try:
            return None if path is None else read_script(path).decode("utf-8-sig", "replace")
        except LLMSpellError:
            return None


def _ours(error: BaseException) -> LLMSpellError:
    if isinstance(error, LLMSpellError):
        return error
    if isinstance(error, OSError):
        import errno

        # What a pipe, a disk or a terminal says that takes no more.
        says = {errno.EPIPE, errno.ECONNRESET, errno.ENOSPC, errno.EFBIG, errno.EIO}
        if error.errno in {*says, getattr(errno, "EDQUOT", errno.ENOSPC)}:
            return unwritten(error)
    from llmspell.errors import InternalError, one_line

    return InternalError(
        one_line(f"{type(error).__name__}: {error}"),
        hint="this is a fault of llmspell's; `--traceback` shows where it came up",
        cause=error,
    )


def _piped_script() -> bytes:
    text = sys.stdin.buffer.read(LARGEST_SCRIPT + 1)
    if len(text) > LARGEST_SCRIPT:
        raise ScriptError("what comes from standard input is larger than 8 MiB", hint="it is read as a script")
    return text


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _stopped_by(number: int) -> RunCancelledError:
    word = {1: "SIGHUP", 2: "Ctrl+C"}.get(number, "SIGTERM")
    return RunCancelledError(f"stopped by {word}", signal=int(number))


def _shown(value: Any) -> bytes:
    """A result as text output shows it: a string as it is, anything else as JSON."""
    if isinstance(value, bytes):
        return value + b"\n"
    if isinstance(value, str):
        return value.encode() + (b"" if value.endswith("\n") else b"\n")
    from llmspell.cli.events import plain_json

    return plain_json(value, pretty=True) + b"\n"


def run(script: str, args: list[str], options: dict[str, Any]) -> int:
    """Runs *script* (`-`: from standard input) and gives the exit code. Never raises."""
    return finished(Command(script, args, options))


def finished(command: Command) -> int:
    """Takes *command* from its start to its exit code. Never raises."""
    try:
        if command.options.get("dry_run"):
            from llmspell.cli.commands.dry import dry_run

            return dry_run(command)
        done = command.execute()
        command.show(done)
        return done.exit_code
    except Exception as error:
        return command.fail(error)
    finally:
        command.close()
