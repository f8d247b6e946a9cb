"""`llmspell exec`: a line of Lua, as `run` runs a file."""

from __future__ import annotations

import os

from llmspell.bridge.runtime import LARGEST_SCRIPT, ScriptResult, ScriptRuntime
from llmspell.cli.commands.run import Command, finished
from llmspell.cli.settings import configuration
from llmspell.errors import ScriptError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell.config.loader import Config

__all__ = ["run"]

NAME = "exec"  # in messages


class Line(Command):
    """One `llmspell exec`. Its modules are beside the working folder's files."""

    def __init__(self, code: str, args: list[str], options: dict[str, Any]) -> None:
        super().__init__(NAME, args, options)
        self.code = os.fsencode(code)

    def configuration(self) -> Config:
        return configuration(self.options, os.getcwd())

    def read(self) -> bytes:
        if len(self.code) > LARGEST_SCRIPT:  # no system takes such an argument
            raise ScriptError("the code is larger than 8 MiB")
        return self.code

    def check(self, runtime: ScriptRuntime) -> None:
        runtime.check(self.source, path=NAME, name=NAME, expression=True)

    def run_in(self, runtime: ScriptRuntime) -> ScriptResult:
        return runtime.run(self.source, args=self.args, path=NAME, name=NAME, expression=True)


def run(script: str, args: list[str], options: dict[str, Any]) -> int:
    """Runs *script*, an expression or a chunk, and gives the exit code. Never raises."""
    return finished(Line(script, args, options))
