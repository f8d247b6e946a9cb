"""Files and the modules that they require, looked at together: what one sets, another may use."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from llmspell.bridge import sandbox
from llmspell.bridge.lint.calls import check_calls
from llmspell.bridge.lint.compiled import agreed
from llmspell.bridge.lint.hints import add_hints
from llmspell.bridge.lint.known import LIBRARIES
from llmspell.bridge.lint.models import check_models
from llmspell.bridge.lint.names import check_globals, check_members
from llmspell.bridge.lint.parser import Chunk, parse
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault, Problem
from llmspell.bridge.lint.survey import Survey
from llmspell.bridge.lint.tools import Tools, check_tools
from llmspell.bridge.lint.tree import Return
from llmspell.errors import LLMSpellError
from llmspell.tools.registry import ToolRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llmspell.bridge.lint.survey import Required
    from llmspell.providers.manager import ProviderManager

__all__ = ["MOST_FILES", "Project", "Script"]

MOST_FILES = 10_000
MOST_PROBLEMS = 5_000  # of one file by one check: whoever has so many begins with these
BYTECODE = b"\x1bLua"


class Script:
    """One file. path: as it is shown. folder: where its modules are; None where it has none."""

    def __init__(self, path: str, text: bytes, folder: str | None) -> None:
        self.path, self.folder = path, folder
        self.plain = text.removeprefix(b"\xef\xbb\xbf")
        self.text = self.plain.decode("utf-8", "replace")
        self.chunk = Chunk(self.text)
        self.survey: Survey | None = None  # of one that is Lua
        self.required = False  # by another one
        self.group = self  # one of those that share globals with it
        self._read()

    def _read(self) -> None:
        refused = "is Lua bytecode" if self.plain.startswith(BYTECODE) else ""
        refused = refused or ("is a binary file, not a Lua script" if b"\0" in self.plain[:4096] else "")
        if refused:
            self.chunk.faults.append(Fault(f"it {refused}", 0, 0, "not-text", hint="scripts are text"))
            return
        self.chunk = parse(self.text)
        add_hints(self.chunk)
        agreed(self.chunk, b"--" + self.plain if self.plain.startswith(b"#") else self.plain)
        if not self.chunk.broken:
            self.survey = Survey(self.chunk.body)

    @property
    def returns(self) -> bool:
        """Whether it gives something back at its end, as modules do."""
        return bool(self.chunk.body) and isinstance(self.chunk.body[-1], Return)

    def root(self) -> Script:
        """The same one of all that share globals."""
        at = self
        while at.group is not at:
            at.group = at.group.group
            at = at.group
        return at

    def unreadable(self, why: LLMSpellError) -> None:
        """It cannot be read at all."""
        self.chunk.faults.append(Fault(why.message, 0, 0, "unreadable", hint=why.hint))

    def problems(self) -> list[Problem]:
        """What was found, by its place."""
        found = [Problem.of(fault, self.path, self.chunk.lines) for fault in self.chunk.faults]
        return sorted(set(found), key=lambda one: (one.line, one.column, one.severity, one.message))


class Project:
    """Scripts that are looked at in one go.

    providers: of the configuration that holds for a folder, None: for no folder.
    """

    def __init__(self, providers: Callable[[str | None], ProviderManager]) -> None:
        self.scripts: list[Script] = []
        self._providers = providers
        self._by_path: dict[str, Script] = {}
        self._registry = ToolRegistry()

    def add(self, path: str, text: bytes, folder: str | None, roots: tuple[str, ...] = ()) -> Script:
        """A script, and the modules that it requires. roots: other folders in which those may be."""
        real = os.path.realpath(path) if folder is not None else ""
        known = self._by_path.get(real)
        if known is not None:
            return known
        script = Script(path, text, folder)
        self.scripts.append(script)
        if real:
            self._by_path[real] = script
        waiting = [script]
        while waiting:
            self._add_modules(waiting.pop(), roots, waiting)
        return script

    def _add_modules(self, script: Script, roots: tuple[str, ...], waiting: list[Script]) -> None:
        if script.survey is None:
            return
        for one in script.survey.required:
            module = self._module(script, one, roots, waiting)
            if module is not None:
                module.required = True
                module.root().group = script.root()

    def _module(self, script: Script, wanted: Required, roots: tuple[str, ...], waiting: list[Script]) -> Script | None:
        """The module that is required there; None where there is none, which is told, or nothing can be said."""
        survey = script.survey
        assert survey is not None
        if wanted.name in LIBRARIES or wanted.name == "_G" or wanted.name in survey.set_members:
            return None  # Lua's own, or of `package.preload`
        find = sandbox.find_module if wanted.function == "require" else sandbox.dofile
        first: LLMSpellError | None = None
        for folder in dict.fromkeys((script.folder, *roots)):
            shown = os.path.dirname(script.path) if folder == script.folder else folder or ""
            try:
                text, path, real = find(folder, shown, wanted.name)
            except LLMSpellError as error:
                first = first or error
                continue
            module = self._by_path.get(real)
            if module is None and len(self.scripts) < MOST_FILES:
                module = self._by_path[real] = Script(path, text, folder)
                self.scripts.append(module)
                waiting.append(module)
            return module
        if first is not None:
            severity = WARNING if survey.protected(wanted.inside) else ERROR
            node = wanted.node
            script.chunk.faults.append(Fault(first.message, node.start, node.end, "module", severity, first.hint))
            survey.open = True  # what it would have set is not known
        return None

    def check(self) -> Iterator[Script]:
        """Looks at all of them; gives each when it is done."""
        groups: dict[int, list[Script]] = {}
        for script in self.scripts:
            groups.setdefault(id(script.root()), []).append(script)
        shared: dict[int, tuple[set[str], Tools]] = {}
        for key, scripts in groups.items():
            shared[key] = self._shared(scripts)
        for script in self.scripts:
            self._check(script, *shared[id(script.root())])
            yield script

    def _shared(self, scripts: list[Script]) -> tuple[set[str], Tools]:
        """The globals that any of *scripts* sets, and the tools that any makes."""
        surveys = [script.survey for script in scripts if script.survey is not None]
        assigned: set[str] = set().union(*(survey.assigned for survey in surveys))
        tools = Tools()
        unseen = any(survey.open for survey in surveys) or len(surveys) < len(scripts)
        for survey in surveys:
            tools.add(survey, assigned)
            survey.open = unseen
        return assigned, tools

    def _check(self, script: Script, assigned: set[str], tools: Tools) -> None:
        survey = script.survey
        if survey is None:
            return
        alone = script.returns and not script.required
        checks = [
            check_globals(survey, assigned, names=script.chunk.names, alone=alone),
            check_members(survey, assigned),
            check_calls(survey, assigned),
            check_tools(survey, assigned, tools, self._registry),
        ]
        if survey.calls:
            checks.append(check_models(survey, assigned, self._providers(script.folder)))
        for check in checks:
            script.chunk.faults += islice(check, MOST_PROBLEMS)
