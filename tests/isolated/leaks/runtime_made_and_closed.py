"""Runtimes: made, used for a script that computes and for one that fails, and done with."""

from __future__ import annotations

from flat import flat

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import ScriptError

config = load(script_dir=None, config_file=None, env={}, flags={})


def once() -> None:
    assert ScriptRuntime(config).run("print('x') return { 1 + 1, 'text' }").result == [2, "text"]
    try:
        ScriptRuntime(config).run("local t = {} t[1] = t error(t)")
    except ScriptError:
        pass


flat(once, 3000, 2)
