"""Messages typed with prompt_toolkit: editing, several lines, history, completion. Needs the extra `repl`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.defaults import create_output

from llmspell.cli.chat.lines import BLOCK, MORE, PROMPT, Interrupted, goes_on, unblocked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from prompt_toolkit.key_binding import KeyPressEvent

__all__ = ["Editor"]

MOST_SAID = 1000
TAKES_PATH = ("/attach", "/schema", "/load", "/save")


class _Words(Completer):
    """Commands, and paths after those that take one."""

    def __init__(self, words: Callable[[], Sequence[str]]) -> None:
        self._words, self._paths = words, PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: Any) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/") or "\n" in text:
            return
        word, space, rest = text.partition(" ")
        if not space:
            yield from (Completion(one, -len(word)) for one in self._words() if one.startswith(word))
        elif word in TAKES_PATH:
            yield from self._paths.get_completions(Document(rest, len(rest)), complete_event)


class Editor:
    """Enter sends, Alt+Enter begins a new line, Tab completes."""

    def __init__(
        self, words: Callable[[], Sequence[str]], said: Sequence[str], *, unicode: bool = True, colour: bool = True
    ) -> None:
        history = InMemoryHistory()
        for text in said[-MOST_SAID:]:
            history.append_string(text)
        output = create_output(sys.stdout)
        if hasattr(output, "enable_cpr"):
            output.enable_cpr = False  # some terminals never say where the cursor is, and are waited for
        more = MORE if unicode else ". "
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=lambda width, number, wraps: "" if wraps else more,
            completer=_Words(words),
            complete_while_typing=False,
            history=history,
            key_bindings=self._keys(),
            enable_open_in_editor=False,
            output=output,
            color_depth=None if colour else ColorDepth.DEPTH_1_BIT,
        )

    def _keys(self) -> KeyBindings:
        keys = KeyBindings()

        @keys.add("enter")
        def _(event: KeyPressEvent) -> None:
            buffer = event.current_buffer
            if not goes_on(buffer.text):
                buffer.validate_and_handle()
                return
            if not buffer.text.lstrip().startswith(BLOCK):
                buffer.cursor_position = len(buffer.text)
                buffer.delete_before_cursor(1)
            buffer.insert_text("\n")

        @keys.add("escape", "enter")
        def _(event: KeyPressEvent) -> None:
            event.current_buffer.insert_text("\n")

        @keys.add("c-c")
        def _(event: KeyPressEvent) -> None:
            event.app.exit(exception=Interrupted(empty=not event.current_buffer.text))

        return keys

    async def read(self) -> str | None:
        try:
            return unblocked(await self._session.prompt_async(handle_sigint=False))
        except EOFError:
            return None

    def interrupt(self) -> None:
        app = self._session.app
        if app.is_running:
            app.exit(exception=Interrupted(empty=not app.current_buffer.text))
