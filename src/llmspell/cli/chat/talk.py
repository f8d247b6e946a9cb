"""A conversation on a terminal: reads, asks, shows, until the person leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from llmspell.cli.chat.lines import Interrupted, reader
from llmspell.cli.chat.slash import COMMANDS, Slash, is_command, said
from llmspell.cli.chat.turn import Turn
from llmspell.cli.render.terminal import terminal_size
from llmspell.cli.render.wrapping import Pen
from llmspell.cli.telling import tell
from llmspell.errors import LLMSpellError, RunCancelledError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llmspell.cli.chat.session import Session
    from llmspell.cli.render.chat_view import ChatView
    from llmspell.types.messages import Message

__all__ = ["Talk"]

LEAVES = "Ctrl+C again, or Ctrl+D, leaves"
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Talk:
    """One conversation. options: of the command line.

    Ctrl+C stops the answer that comes; at the prompt it takes away what is typed, and twice leaves. SIGTERM and a
    closed terminal end it: RunCancelledError. After each turn it is saved.
    """

    def __init__(self, session: Session, view: ChatView, options: dict[str, Any]) -> None:
        self._session, self._view, self._options = session, view, options
        self._slash = Slash(session, self._show)
        texts = [one.text for one in session.chat.messages if one.role == "user" and isinstance(one.content, str)]
        words = [f"/{one.name}" for one in COMMANDS]
        look = view.look
        self._reader = reader(self._write, lambda: words, texts, unicode=look.unicode, colour=look.colour)
        self._answering: asyncio.Task[Any] | None = None
        self._stopped = False  # by Ctrl+C, the answer that comes
        self._ended_by: int | None = None

    async def run(self, first: str) -> int:
        """Talks, beginning with the message *first* if there is one; gives the exit code."""
        self._welcome()
        with self._signals():
            try:
                if first:
                    await self._turn(first)
                await self._loop()
            except asyncio.CancelledError:
                if self._ended_by is None:
                    raise
                word = signal.Signals(self._ended_by).name
                raise RunCancelledError(f"stopped by {word}", signal=self._ended_by) from None
        return 0

    async def _loop(self) -> None:
        warned = False
        while not self._slash.left:
            try:
                text = await self._reader.read()
            except Interrupted as stopped:
                if warned and stopped.empty:
                    return
                warned = stopped.empty
                if warned:
                    self._show(LEAVES)
                continue
            if text is None:
                return
            warned = False
            if text.strip():
                await self._typed(text)

    async def _typed(self, text: str) -> None:
        if not is_command(text):
            await self._turn(said(text))
            return
        asked: tuple[Message, ...] = ()
        try:
            asked = self._slash.do(text.rstrip())
        except LLMSpellError as error:
            self._tell(error)
        if asked:
            await self._ask(asked)

    async def _turn(self, text: str) -> None:
        try:
            asked = self._session.message(text)
        except LLMSpellError as error:
            self._tell(error)
            return
        await self._ask(asked)

    async def _ask(self, asked: tuple[Message, ...]) -> None:
        """One answer; whatever becomes of it, the conversation goes on."""
        turn = Turn(self._session, self._view)
        self._stopped = False
        self._answering = asyncio.ensure_future(turn.run(asked))
        failed: LLMSpellError | None = None
        try:
            with _silent():
                await self._answering
        except asyncio.CancelledError:
            if not self._stopped or self._ended_by is not None:
                raise
        except LLMSpellError as error:
            failed = error
        finally:
            self._answering = None
            self._keep()
        if failed is not None:
            if self._view.live and turn.shown:
                failed.context.pop("partial", None)  # it stands above
            self._tell(failed)
        elif self._stopped:
            came = turn.output is not None and turn.output.text
            self._view.line("stopped; what came is kept" if came else "stopped; nothing came of it")
        else:
            self._view.note(turn.last_line())

    def _keep(self) -> None:
        try:
            if not self._session.save() and self._session.kept is not None:
                self._show(f"another llmspell has written to its file: kept as {self._session.kept.name}")
        except LLMSpellError as error:
            self._tell(error)

    # ---- the screen

    def _welcome(self) -> None:
        session = self._session
        count = sum(one.role == "user" for one in session.chat.messages)
        told = [session.label]
        if count:
            told.append(f"{count} question{'' if count == 1 else 's'} so far")
        told += [f"with {', '.join(session.tools)}"] if session.tools else []
        told += [str(one) for one in session.pending]
        self._show(" · ".join([*told, "/help shows what can be typed"]))

    def _write(self, text: str) -> None:
        with suppress(OSError):
            sys.stdout.write(text)
            sys.stdout.flush()

    def _show(self, text: str) -> None:
        """A line of llmspell's own, dim."""
        look = self._view.look
        pen = Pen(
            lambda: terminal_size(sys.stdout, os.environ)[0],
            steers=False,
            unicode=look.unicode,
            look="dim" if look.colour else "",
        )
        self._write(pen.write(text) + pen.finish())

    def _tell(self, error: LLMSpellError) -> None:
        self._view.end()
        with suppress(OSError):
            tell(
                error,
                "text",
                no_color=bool(self._options.get("no_color")),
                python=bool(self._options.get("traceback")),
            )

    # ---- signals

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        own = task

        def interrupted() -> None:
            if self._answering is not None:
                self._stopped = True
                self._answering.cancel()
            else:
                self._reader.interrupt()

        def ended(number: int) -> None:
            self._ended_by = number
            own.cancel()

        handlers = [(signal.SIGINT, interrupted, ())] + [(one, ended, (int(one),)) for one in ENDING]
        kept = {number: signal.getsignal(number) for number, _, _ in handlers}
        for number, act, given in handlers:
            if kept[number] == signal.SIG_IGN:
                continue
            try:
                loop.add_signal_handler(number, act, *given)
            except NotImplementedError:  # not on Windows

                def later(got: int, frame: object, act: Any = act, given: Any = given) -> None:
                    loop.call_soon_threadsafe(act, *given)

                signal.signal(number, later)
        try:
            yield
        finally:
            for number, before in kept.items():
                with suppress(NotImplementedError):
                    loop.remove_signal_handler(number)
                signal.signal(number, before)


@contextmanager
def _silent() -> Iterator[None]:
    """What is typed while an answer comes is not shown in the middle of it; it is read at the next prompt."""
    with quiet_terminal(True):
        yield


@contextmanager
def quiet_terminal(quiet: bool) -> Iterator[None]:
    """Whether the terminal shows what is typed, for a while."""
    try:
        import termios

        number = sys.stdin.fileno()
        before = termios.tcgetattr(number)
        inside = [*before[:3], before[3] & ~termios.ECHO if quiet else before[3] | termios.ECHO, *before[4:]]
        termios.tcsetattr(number, termios.TCSADRAIN, inside)
    except (ImportError, OSError, ValueError):
        yield
        return
    except termios.error:
        yield
        return
    try:
        yield
    finally:
        with suppress(termios.error):
            termios.tcsetattr(number, termios.TCSADRAIN, before)
