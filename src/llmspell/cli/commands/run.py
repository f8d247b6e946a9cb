"""`llmspell run`: one script, from its file to the process's exit code."""

from __future__ import annotations

import os
import sys
from time import monotonic

from llmspell.bridge.output import Captured
from llmspell.bridge.runtime import ScriptResult, ScriptRuntime, read_script
from llmspell.cli.signals import Watch
from llmspell.config.loader import load
from llmspell.errors import LLMSpellError, RunCancelledError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell.bridge.observer import Observer
    from llmspell.bridge.output import Sink
    from llmspell.cli.events import Events
    from llmspell.cli.render.fetching import Fetching
    from llmspell.cli.watching import TerminalObserver
    from llmspell.config.loader import Config

__all__ = ["run"]

#: Which setting a flag stands for.
SETTINGS = {"timeout": "runtime.timeout", "provider": "providers.default"}


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
        self.unread = False  # while the script's file is being read: what goes wrong then is a mistake of usage

    # ---- from the command line to a result

    def configuration(self) -> Config:
        """The effective configuration, flags included."""
        flags = {path: self.options[flag] for flag, path in SETTINGS.items() if self.options.get(flag) is not None}
        model = self.options.get("model")
        if model is not None and model.endswith(".gguf"):  # a file of the user's own, for the embedded engine
            flags["providers.local.model"] = os.path.abspath(model.removeprefix("local/"))
            self.options["model"] = "local"
        folder = os.getcwd() if self.script == "-" else os.path.dirname(os.path.abspath(self.script))
        return load(script_dir=folder, config_file=self.options.get("config"), env=os.environ, flags=flags)

    def observer(self) -> Observer | None:
        """Who watches model calls: nobody, a terminal, or the lines of `--output jsonl`."""
        if self.form == "jsonl":
            from llmspell.cli.events import Events

            self.events = Events(sys.stdout.buffer)
            return self.events
        if not self.stream:
            return None
        if self.form == "text" and _is_terminal(sys.stderr):
            from llmspell.cli.watching import TerminalObserver

            self.view = TerminalObserver(colour=not self.options.get("no_color"))
            return self.view
        from llmspell.bridge.observer import Observer

        return Observer()

    def sinks(self) -> tuple[Sink, Sink]:
        """Where standard output and error of the script go."""
        if self.events is not None:
            return self.events.output("stdout"), self.events.output("stderr")
        if self.form == "json":
            return self.captured, sys.stderr.buffer
        return sys.stdout.buffer, sys.stderr.buffer

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
            observer=observer,
            log=self.log,
            before_models=self.tell_of_models,
        )
        if self.options.get("model") or self.options.get("provider"):
            runtime.check_default()
        return runtime

    def log(self, level: str, message: str, fields: dict[str, Any] | None) -> None:
        """A line of the script's `Log`, on standard error."""
        if level == "debug":
            return
        from llmspell.cli.render.terminal import harmless

        told = "".join(f" {name}={value}" for name, value in (fields or {}).items())
        if self.view is not None:
            self.view.before_write(2)
        sys.stderr.write(f"{level}: {harmless(message + told)}\n")
        sys.stderr.flush()
        if self.view is not None:
            self.view.after_write(2, b"\n")

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
        config = self.configuration()
        self.unread = True
        self.source = sys.stdin.buffer.read() if self.script == "-" else read_script(self.script)
        self.unread = False
        runtime = self.runtime(config)
        timeout = config.get("runtime.timeout")
        watch = Watch(
            lambda number: runtime.interrupt(_stopped_by(number)),
            lambda: self.late(timeout),
            self.give_back,
            monotonic() + timeout if timeout else None,
        )
        if self.events is not None:
            self.events.on_closed = lambda: runtime.interrupt(_stopped_by(13))
            self.events.start(self.name, self.args)
        try:
            path = None if self.script == "-" else self.script
            return runtime.run(self.source, args=self.args, path=path, name=self.name)
        finally:
            watch.finish()

    def late(self, timeout: float) -> None:
        """The script did not stop in time: says so, from the watching thread, right before the process ends."""
        from llmspell.bridge.limits import timeout_reached

        self.fail(timeout_reached(timeout))

    def give_back(self) -> None:
        """The process is about to end in the middle of things: the terminal must be as it was."""
        if self.view is not None:
            self.view.give_back()

    def close(self) -> None:
        """Takes away what is drawn."""
        if self.fetching is not None:
            self.fetching.close()
        if self.view is not None:
            self.view.close()

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
            self.view.summary(done)

    def fail(self, error: BaseException) -> int:
        """Shows an error; gives the exit code."""
        if not isinstance(error, LLMSpellError):
            from llmspell.errors import InternalError, one_line

            error = InternalError(
                one_line(f"{type(error).__name__}: {error}"),
                hint="this is a fault of llmspell's; `--traceback` shows where it came up",
                cause=error,
            )
        if error.signal == 13:
            return _closed_pipe()
        if self.options.get("traceback"):
            import traceback

            traceback.print_exception(error)
        try:
            sys.stdout.flush()
            if self.events is not None:
                self.events.error(error)
            elif self.form == "json":
                from llmspell.cli.events import error_json

                sys.stderr.write(error_json(error).decode() + "\n")
            else:
                self._draw(error)
            sys.stderr.flush()
        except BrokenPipeError:
            return _closed_pipe()
        return 2 if self.unread else error.exit_code

    def _draw(self, error: LLMSpellError) -> None:
        self.close()
        from llmspell.cli.render import errors, terminal

        look = terminal.look(sys.stderr, no_color=bool(self.options.get("no_color")))
        if error.kind == "cancelled" and error.partial:
            sys.stderr.write(terminal.harmless(error.partial, unicode=look.unicode) + "\n")
        sources = error.sources or {}

        def text_of(name: str) -> str | None:
            # Only what the run has loaded: a script can give a chunk any name, and may not have files shown by it.
            if name == self.name:
                return self.source.decode("utf-8", "replace")
            try:
                return read_script(sources[name]).decode("utf-8", "replace") if name in sources else None
            except LLMSpellError:
                return None

        sys.stderr.write(
            errors.render(error, source=text_of, colour=look.colour, width=look.width, unicode=look.unicode)
        )


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _stopped_by(number: int) -> RunCancelledError:
    word = {2: "Ctrl+C", 13: "a closed pipe"}.get(number, "SIGTERM")
    return RunCancelledError(f"stopped by {word}", signal=int(number))


def _closed_pipe() -> int:
    """The reader of standard output has gone: nothing more to say, and nothing to flush at the end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
    except OSError:
        pass
    return 141


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
    command = Command(script, args, options)
    try:
        done = command.execute()
        command.show(done)
        return done.exit_code
    except BrokenPipeError:
        return _closed_pipe()
    except Exception as error:
        return command.fail(error)
    finally:
        command.close()
