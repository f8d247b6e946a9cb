"""A session's inputs as a person types them with prompt_toolkit: line editing, history, completion."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.filters import completion_is_selected
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.output import ColorDepth, create_output

from llmspell.cli.render.terminal import terminal_size
from llmspell.cli.repl.history import history_file, is_kept, made_ready
from llmspell.cli.repl.readers import FIRST, MORE, Cleared, wants_more

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from prompt_toolkit.document import Document
    from prompt_toolkit.output import Output

__all__ = ["Toolkit"]

INDENT = "  "


class _Kept(FileHistory):
    def store_string(self, string: str) -> None:
        if is_kept(string):
            try:
                super().store_string(string)
            except OSError:  # a disk that is full spoils no session
                pass


class _Completer(Completer):
    def __init__(self, complete: Callable[[str], Awaitable[tuple[str, list[str]]]]) -> None:
        self._complete = complete

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return ()  # the session is asked, which takes a turn of the loop: see below

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        prefix, names = await self._complete(document.text_before_cursor)
        for name in names:
            yield Completion(name, start_position=-len(prefix))


def _output() -> Output:
    """Standard error: standard output is the results'. No question of where the cursor is, whose answer comes late."""
    if sys.platform == "win32":
        return create_output(stdout=sys.stderr)
    from prompt_toolkit.data_structures import Size
    from prompt_toolkit.output.vt100 import Vt100_Output

    def size() -> Size:
        columns, rows = terminal_size(sys.stderr, {})
        return Size(rows=rows, columns=columns)

    return Vt100_Output(sys.stderr, size, term=os.environ.get("TERM"), enable_cpr=False)


def _history() -> History:
    path = history_file(os.environ)
    return _Kept(path) if made_ready(path) else InMemoryHistory()


def _bindings() -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter", filter=~completion_is_selected)
    def enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if wants_more(buffer.text) and buffer.document.is_cursor_at_the_end:
            line = buffer.document.current_line
            buffer.insert_text("\n" + line[: len(line) - len(line.lstrip())])
        else:
            buffer.validate_and_handle()

    @bindings.add("enter", filter=completion_is_selected)
    def take(event: KeyPressEvent) -> None:
        event.current_buffer.complete_state = None

    @bindings.add("escape", "enter")
    def always(event: KeyPressEvent) -> None:
        event.current_buffer.validate_and_handle()

    @bindings.add("tab", filter=~completion_is_selected)
    def tab(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if not buffer.document.current_line_before_cursor.strip():
            buffer.insert_text(INDENT)
        elif buffer.complete_state is not None:
            buffer.complete_next()
        else:
            buffer.start_completion(insert_common_part=True)

    return bindings


class Toolkit:
    """A Reader. complete: gives what is typed of a word, and what it may become, for a text that ends at the cursor."""

    interactive = True

    def __init__(self, complete: Callable[[str], Awaitable[tuple[str, list[str]]]], *, colour: bool) -> None:
        self._session: PromptSession[str] = PromptSession(
            FIRST,
            multiline=True,
            prompt_continuation=lambda width, line, wrapped: "" if wrapped else MORE,
            history=_history(),
            completer=_Completer(complete),
            complete_while_typing=False,
            enable_suspend=True,
            key_bindings=_bindings(),
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
            output=_output(),
        )

    async def read(self) -> str | None:
        try:
            return await self._session.prompt_async(handle_sigint=False, set_exception_handler=False)
        except KeyboardInterrupt:
            raise Cleared from None
        except EOFError:
            return None

    def clear(self) -> None:
        app: Any = self._session.app
        if app.is_running:
            app.exit(exception=KeyboardInterrupt())

    def close(self) -> None:
        return None
