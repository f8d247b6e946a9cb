"""`llmspell repl`: inputs one after another in one Lua state, from a person or a pipe."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Any

from llmspell._version import __version__
from llmspell.bridge.observer import EVENTS, Observer
from llmspell.bridge.run import ScriptExit
from llmspell.bridge.session import Session, run_session
from llmspell.cli.commands.run import Command
from llmspell.cli.render import terminal
from llmspell.cli.repl.readers import Cleared, Lines
from llmspell.cli.repl.signals import Signals
from llmspell.cli.repl.words import WORDS, obey
from llmspell.errors import LLMSpellError, RunCancelledError, ValidationError

if TYPE_CHECKING:
    from llmspell.bridge.runtime import ScriptResult
    from llmspell.cli.repl.readers import Reader

__all__ = ["Repl", "repl"]

NAME = "repl"
INTERRUPT = 2  # Ctrl+C
MOST_KEPT = 1000  # inputs whose text is kept for errors that come later


class _Screens(Observer):
    """Tells of all to the view of the input that runs: each has a view of its own."""

    def __init__(self) -> None:
        self.current: Observer = Observer()
        for name in EVENTS:
            setattr(self, name, self._telling(name))

    def _telling(self, name: str) -> Any:
        return lambda *args, **more: getattr(self.current, name)(*args, **more)


class Repl(Command):
    """One `llmspell repl`.

    done: the inputs that went well, for `:save`; saved: the files that it has written. over: whether the session is;
    completes: whether there are line editing and completion.
    """

    session: Session
    loop: asyncio.AbstractEventLoop
    signals: Signals

    def __init__(self, options: dict[str, Any]) -> None:
        super().__init__(NAME, [], {**options, "stream": True})
        self.interactive = terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr)
        self.modes = _modes() if self.interactive else None  # of the terminal, as it was
        self.screens = _Screens()
        self.reader: Reader | None = None
        self.reading: asyncio.Task[str | None] | None = None
        self.ending: RunCancelledError | None = None  # a signal that ends the session
        self.texts: dict[str, bytes] = {}  # inputs by their names
        self.count = 0
        self.done: list[bytes] = []
        self.saved: set[str] = set()
        self.over, self.code = False, 0
        self.completes = False  # there is line editing

    # ---- from the command line to the end

    def hold(self) -> int:
        """The whole session; gives the exit code. Raises LLMSpellError."""
        self.unread = True
        if self.form != "text":
            raise ValidationError(
                f"`llmspell repl` does not write {self.form}", hint="`llmspell exec` and `llmspell run` do"
            )
        self.unread = False
        runtime = self.running = self.runtime(self.configuration())
        return run_session(runtime, self.talk, path=os.path.join(os.getcwd(), NAME), name=NAME)

    def observer(self) -> Observer:
        self.begin_view()
        return self.screens

    def begin_view(self) -> None:
        """What is drawn from now on is of another input."""
        self.screens.current = super().observer() or Observer()
        if self.fetching is not None:  # it knows the view
            self.fetching.close()
            self.tell_of_models()

    async def talk(self, session: Session) -> int:
        """Reads and runs inputs until there are no more."""
        self.session, self.loop = session, asyncio.get_running_loop()
        signals = self.signals = Signals(self.took, self.give_back)
        reader = self.reader = self.open_reader()
        try:
            if self.interactive:
                self.greet()
            while not self.over:
                try:
                    text = await self.next_input(reader)
                except Cleared:
                    continue
                if text is None:
                    break
                await self.answer(text)
        finally:
            reader.close()
            signals.finish()
        return self.code

    def open_reader(self) -> Reader:
        """From where inputs come: prompt_toolkit where it is there and the terminal can do what it needs."""
        if self.interactive and os.environ.get("TERM", "dumb") not in ("", "dumb"):
            try:
                from llmspell.cli.repl.toolkit import Toolkit
            except ImportError:
                pass
            else:
                self.completes = True
                look = terminal.look(sys.stderr, no_color=bool(self.options.get("no_color")))
                return Toolkit(self.complete, colour=look.colour)
        return Lines(interactive=self.interactive)

    def greet(self) -> None:
        """The first line that a person sees."""
        sys.stderr.write(f"llmspell {__version__}, Lua 5.4. :help says what there is; Ctrl+D ends\n")

    async def next_input(self, reader: Reader) -> str | None:
        """The next input. While a person types, what tasks write is kept back."""
        if self.interactive:
            if self.view is not None:
                self.view.hold()
            self.end_line()
            self.asking = True
        reading = self.reading = asyncio.ensure_future(reader.read())
        if self.ending is not None:  # it came between two inputs
            reading.cancel()
        try:
            await asyncio.wait({reading})
        finally:
            self.reading = None
            if self.interactive:
                self.asking, self.line_start = False, self.ending is None
                for number in sorted(self.shown):
                    self.shown[number].let_go()
        if self.ending is not None:
            raise self.ending
        return reading.result()

    # ---- inputs

    async def answer(self, text: str) -> None:
        """Does what an input says."""
        if not text.strip():
            return
        try:
            if text.startswith(":") and not text.startswith("::"):
                await obey(self, text)
                return
        except LLMSpellError as error:
            self.failed(error)
            return
        data = os.fsencode(text)
        self.count += 1
        data = data.removeprefix(b"=") if data.startswith(b"=") else data
        if await self.run(data, f"input {self.count}"):
            self.done.append(data)

    async def run(self, text: bytes, name: str) -> bool:
        """Runs a chunk and shows what comes of it; whether all went well."""
        self.texts[name] = text
        if len(self.texts) > MOST_KEPT:
            del self.texts[next(iter(self.texts))]
        self.begin_view()
        if isinstance(self.reader, Lines):
            self.reader.share(self.session.run)
        try:
            done = await self.session.execute(text, name)
        except ScriptExit as leave:
            self.over, self.code = True, leave.code
            return True
        except LLMSpellError as error:
            self.failed(error)
            if self.session.lost and not self.over:
                await self.reset()
                self.remark("its Lua state has ended with it: globals, agents and tasks are gone")
            return False
        finally:
            self.signals.calm()
        self.show(done)
        return True

    def show(self, done: ScriptResult) -> None:
        self.close()
        if done.result:
            self.print(b"\n".join(_bytes(text) for text in done.result))
        sys.stdout.flush()
        if self.view is not None:
            self.end_line()
            self.view.summary(done)

    def print(self, text: str | bytes) -> None:
        """A result, on standard output."""
        data = _bytes(text)
        if terminal.is_terminal(sys.stdout):
            look = terminal.look(sys.stdout)
            data = terminal.harmless(data.decode("utf-8", "replace"), unicode=look.unicode).encode()
            self.end_line()
            sys.stderr.flush()
        sys.stdout.buffer.write(data if data.endswith(b"\n") else data + b"\n")
        sys.stdout.buffer.flush()

    def failed(self, error: LLMSpellError) -> None:
        """Shows an error. Raises it where it ends the session: a signal, standard output that takes no more."""
        ends = error.signal is not None and not (self.interactive and error.signal == INTERRUPT)
        if ends or (error.cause is not None and isinstance(error.cause, OSError) and error.kind == "script"):
            raise error
        self.tell(error)
        if not self.interactive:
            self.code = self.code or error.exit_code

    async def reset(self) -> None:
        """A new Lua state."""
        await self.session.reset()

    def remark(self, text: str) -> None:
        """A line about the session itself."""
        sys.stderr.write(f"note: {text}\n")
        sys.stderr.flush()

    def text_of(self, error: LLMSpellError, name: str) -> str | None:
        text = self.texts.get(name)
        return super().text_of(error, name) if text is None else text.decode("utf-8", "replace")

    # ---- on the watching thread

    def took(self, number: int, times: int) -> bool:
        """Ctrl+C or SIGTERM; whether there is something that is to stop now."""
        error = RunCancelledError(f"stopped by {'Ctrl+C' if number == INTERRUPT else 'SIGTERM'}", signal=number)
        if self.interactive and number == INTERRUPT:
            if not self.session.busy:
                if self.reader is not None:
                    self.loop.call_soon_threadsafe(self.reader.clear)
                return False
            self.line_start = False  # the terminal has echoed `^C`
            if times == 1:
                self.session.interrupt(error)
            elif self.session.leaving:
                return False
            else:
                self.session.stop_state(error)
            return True
        self.ending = error
        self.session.stop_state(error)
        self.loop.call_soon_threadsafe(self.stop_reading)
        return True

    def hush(self) -> None:
        super().hush()
        if self.running is not None:
            self.running.stand_still()

    def go_on(self) -> None:
        if self.running is not None:
            self.running.go_on()
        super().go_on()

    def give_back(self) -> None:
        super().give_back()
        if self.modes is not None:
            import termios

            termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, self.modes)

    def stop_reading(self) -> None:
        """Nothing more is read."""
        if self.reading is not None:
            self.reading.cancel()

    # ---- completion

    async def complete(self, text: str) -> tuple[str, list[str]]:
        """What is typed of the word that *text* ends with, and what it may become."""
        from llmspell.cli.repl.completion import candidates, place

        where = place(text)
        told: dict[str, Any] = {"names": [], "kind": ""}
        if where.kind in ("name", "member", "method"):
            try:
                told = await self.session.members(list(where.path))
            except LLMSpellError:  # a state that has ended is put right with the next input
                return where.prefix, []
        kind = "stream" if told.get("stream") else str(told["kind"])
        models = self.models() if where.kind == "model" else ()
        words = [word.partition(" ")[0] for word in WORDS]
        return where.prefix, candidates(where, names=told["names"], kind=kind, models=models, words=words)

    def models(self) -> list[str]:
        """`provider/model` of all that is known of those that are configured."""
        from llmspell.providers.models_data import SERVICES

        names: list[str] = []
        for name, settings in self.running.config.providers().items() if self.running is not None else ():
            known = SERVICES.get(name) or SERVICES.get(str(settings.get("type")), {})
            names += [name, *(f"{name}/{model}" for model in known)]
        return names


def _modes() -> Any:
    try:
        import termios

        return termios.tcgetattr(sys.stdin.fileno())
    except (ImportError, OSError, ValueError):
        return None


def _bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def repl(options: dict[str, Any]) -> int:
    """Holds a session and gives the exit code. Never raises."""
    command = Repl(options)
    try:
        return command.hold()
    except Exception as error:
        return command.fail(error)
    finally:
        command.close()
