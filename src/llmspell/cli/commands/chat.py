"""`llmspell chat`: a conversation on a terminal, or one answer for a pipe."""

from __future__ import annotations

import os
import sys
from time import monotonic
from typing import TYPE_CHECKING, Any

from llmspell.agents.meter import Meter
from llmspell.cli.asking import Asker, said, written
from llmspell.cli.chat import store
from llmspell.cli.chat.session import Host, Session, schema_of, text_or_file
from llmspell.cli.chat.turn import Turn
from llmspell.cli.events import VERSION, Events, plain_json
from llmspell.cli.render import terminal
from llmspell.cli.render.chat_view import ChatView
from llmspell.cli.settings import configuration
from llmspell.cli.telling import closed_pipe, tell
from llmspell.config.schema import split_grants
from llmspell.errors import ConfigError, LLMSpellError, NotFoundError, RunCancelledError, ValidationError, one_line
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.cli.prompt import Prompt
    from llmspell.config.loader import Config
    from llmspell.types.agent import AgentOutput
    from llmspell.types.messages import Message

__all__ = ["chat", "list_"]

LARGEST_INPUT = 64 << 20  # bytes of a question from standard input


class Command:
    """One `llmspell chat`. resume: a name, "" for the last one. session: a file. attached: files. tools: names."""

    def __init__(
        self,
        words: Sequence[str],
        options: dict[str, Any],
        *,
        resume: str | None = None,
        session: str | None = None,
        attached: Sequence[str] = (),
        tools: Sequence[str] = (),
    ) -> None:
        self.words, self.options = words, options
        self.resume, self.file, self.attached = resume, session, attached
        self.tools = [name for one in tools for name in split_grants(one)]
        self.form: str = options.get("output") or "text"
        self.events: Events | None = None
        self.view: ChatView | None = None
        self.turn: Turn | None = None
        self.timeout: float | None = None
        self.misused = False  # what is wrong is the command line

    def run(self) -> int:
        """Talks, or answers once; gives the exit code. Never raises."""
        try:
            return self._run()
        except LLMSpellError as error:
            return self._fail(error)
        except BrokenPipeError:
            return closed_pipe()

    def _run(self) -> int:
        talks = self._talks()
        text = " ".join(self.words)
        if not talks:
            text = self._question(text)
        if self.form == "jsonl":
            self.events = Events(sys.stdout.buffer)
        elif self.form == "text":
            self.view = ChatView(
                no_color=bool(self.options.get("no_color")), hide_reasoning=bool(self.options.get("hide_reasoning"))
            )
        self.timeout = self.options.pop("timeout", None)  # of one answer, and not of a run
        asker = Asker(configuration(self.options, None))
        if talks:
            return self._talk(asker, text)
        began = monotonic()
        session, output = asker.run(lambda asker: self._once(asker, text), self._give_back)
        self._show(session, output, monotonic() - began)
        return 0

    def _talks(self) -> bool:
        """Whether there is a person at both ends."""
        if self.options.get("print") or self.form != "text":
            return False
        return terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stdout)

    def _question(self, text: str) -> str:
        """What is asked once: the words of the command line, and what standard input has."""
        piped = ""
        if not terminal.is_terminal(sys.stdin):
            data = sys.stdin.buffer.read(LARGEST_INPUT + 1)
            if len(data) > LARGEST_INPUT:
                raise ValidationError("what comes from standard input is larger than 64 MiB")
            piped = data.decode("utf-8", "replace").strip()
        text = "\n\n".join(one for one in (text, piped) if one)
        if not text.strip() and not self.attached:
            self.misused = True
            raise ValidationError(
                "there is no question", hint='`llmspell chat -p "…"`, or on standard input: `echo "…" | llmspell chat`'
            )
        return text

    # ---- a session

    def _session(self, asker: Asker, *, keeps: bool) -> Session:
        config, options = asker.config, self.options
        if self.view is not None:
            self._tell_of_models(self.view)
        host = Host(self._granted(config), config.tools())
        self._check_tools()
        most, cost = config.get("limits.max_tokens_total"), config.get("limits.max_cost_usd")
        over: dict[str, Any] = {}
        if options.get("system") is not None:
            over["system"] = text_or_file(options["system"]) or None
        if options.get("schema") is not None:
            over["schema"] = schema_of(options["schema"])
        session = Session(
            asker.manager,
            config,
            host=host,
            meter=Meter(max_tokens_total=most, max_cost_usd=cost) if most or cost else None,
            model=options.get("model"),
            provider=options.get("provider"),
            tools=self.tools,
            timeout=self.timeout,
            **over,
        )
        if options.get("model") is not None or options.get("provider") is not None:
            over["model"] = session.label
        path = self._path()
        if path is not None and os.path.lexists(path):
            session.load(path, **over)
        elif path is not None:
            session.kept = store.Kept(path)
        elif keeps:
            session.kept = store.Kept()
        for one in self.attached:
            session.attach(one)
        return session

    def _granted(self, config: Config) -> Permissions:
        """What tools may reach. Raises ConfigError for a grant that is none."""
        try:
            return Permissions.of(config.permissions(), ask=self._asker())
        except ValidationError as error:
            raise ConfigError(error.message, hint=error.hint, cause=error) from None

    def _check_tools(self) -> None:
        """Raises NotFoundError for a name that is no tool's, in the words of the command line."""
        registry = ToolRegistry()
        for name in self.tools:
            try:
                registry.get(name)
            except NotFoundError as error:
                hint = (error.hint or "").replace("`Tool.list()` names them", "`llmspell tools list` shows them")
                raise NotFoundError(error.message, hint=hint, cause=error) from None

    def _path(self) -> str | None:
        """The file of the conversation that is to go on."""
        if self.file is not None and self.resume is not None:
            self.misused = True
            raise ValidationError("`--session` and `--resume` exclude each other")
        if self.resume is not None:
            return store.named(self.resume) if self.resume else store.latest()
        return None if self.file is None else os.path.abspath(os.path.expanduser(self.file))

    def _asker(self) -> Prompt | None:
        if not self.options.get("ask"):
            return None
        from contextlib import ExitStack

        from llmspell.cli.chat.talk import quiet_terminal
        from llmspell.cli.prompt import Prompt

        shown = ExitStack()

        def before() -> None:
            if self.view is not None:
                self.view.hold()
            shown.enter_context(quiet_terminal(False))

        def after() -> None:
            shown.close()
            if self.view is not None:
                self.view.release()

        return Prompt(before, after)

    def _tell_of_models(self, view: ChatView) -> None:
        """Says on standard error what a model needs before it answers."""
        from llmspell.cli.render.fetching import Fetching
        from llmspell.providers import notices

        fetching = Fetching(bar=view.told, colour=view.look.colour, pause=view.hold, resume=view.release)
        notices.notify, notices.progress = fetching.notify, fetching.progress

    # ---- talking

    def _talk(self, asker: Asker, first: str) -> int:
        import asyncio

        from llmspell.cli.chat.talk import Talk

        view = self.view
        assert view is not None

        async def main() -> int:
            try:
                session = self._session(asker, keeps=True)
                return await Talk(session, view, self.options).run(first)
            finally:
                view.end()
                await asker.manager.aclose()

        try:
            return asyncio.run(main())
        except KeyboardInterrupt as error:  # before the first prompt
            raise RunCancelledError("stopped by Ctrl+C", signal=2, cause=error) from None

    # ---- answering once

    async def _once(self, asker: Asker, text: str) -> tuple[Session, AgentOutput]:
        session = self._session(asker, keeps=False)
        asked: tuple[Message, ...] = session.message(text)
        if self.events is not None:
            self.events.send("start", version=VERSION, command="chat", model=session.label)
        self.turn = Turn(session, self.view, self.events)
        try:
            output = await self.turn.run(asked)
        finally:
            session.save()
        return session, output

    def _show(self, session: Session, output: AgentOutput, seconds: float) -> None:
        """What of an answer was not shown as it came."""
        if self.view is not None:
            if self.turn is not None:
                self.view.note(self.turn.last_line())
            return
        told: dict[str, Any] = {
            "result": output.data if session.schema is not None else output.text,
            "model": session.label,
            "finish_reason": output.finish_reason,
            "usage": output.usage.to_dict(),
            "calls": output.metadata.get("rounds", 1),
            "seconds": round(seconds, 6),
        }
        if session.kept is not None:
            told["session"] = session.kept.name
        if self.events is not None:
            self.events.send("result", **told, exit_code=0)
            return
        sys.stdout.buffer.write(plain_json({**told, "output": "", "exit_code": 0}) + b"\n")
        sys.stdout.buffer.flush()

    # ---- the end

    def _give_back(self) -> None:
        if self.view is not None:
            self.view.clear()

    def _fail(self, error: LLMSpellError) -> int:
        try:
            if self.view is not None:
                self.view.end()
                if self.turn is not None and self.turn.shown:
                    error.context.pop("partial", None)  # it stands above
            tell(
                error,
                self.form,
                no_color=bool(self.options.get("no_color")),
                python=bool(self.options.get("traceback")),
                events=self.events,
            )
        except BrokenPipeError:
            return closed_pipe()
        except OSError:  # nobody can be told
            pass
        return 2 if self.misused else error.exit_code


def chat(words: Sequence[str], options: dict[str, Any], **more: Any) -> int:
    """A conversation, or one answer; see Command. Gives the exit code."""
    return Command(words, options, **more).run()


def list_(options: dict[str, Any]) -> int:
    """The conversations that are kept, the last first. Gives the exit code."""
    try:
        rows = store.rows()
    except LLMSpellError as error:
        return said(error, options)
    if options.get("output") == "jsonl":
        for row in rows:
            sys.stdout.buffer.write(plain_json({"event": "conversation", **row._asdict()}) + b"\n")
        return written("", {}, options)
    if not rows:
        return written("no conversation is kept yet", {"conversations": []}, options)
    shown = [(row.name, row.updated, str(row.turns), one_line(row.model, 40), one_line(row.title, 60)) for row in rows]
    table = [("NAME", "UPDATED", "QUESTIONS", "MODEL", "BEGINS"), *shown]
    safe = [tuple(terminal.harmless(cell, keep_newlines=False) for cell in row) for row in table]
    wide = [max(terminal.cell_width(row[column]) for row in safe) for column in range(5)]
    lines = [
        "  ".join(
            cell + " " * (width - terminal.cell_width(cell)) for cell, width in zip(row, wide, strict=True)
        ).rstrip()
        for row in safe
    ]
    return written("\n".join(lines), {"conversations": [row._asdict() for row in rows]}, options)
