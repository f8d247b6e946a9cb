"""What a script writes and logs, kept by nobody."""

from __future__ import annotations

from flat import flat

from llmspell import ScriptRuntime
from llmspell.config.loader import load

EACH = 2000
config = load(script_dir=None, config_file=None, env={}, flags={})


class Nowhere:
    """Output that goes nowhere."""

    def write(self, data: bytes, /) -> None:
        return None

    def flush(self) -> None:
        return None


def once() -> None:
    runtime = ScriptRuntime(config, stdout=Nowhere(), stderr=Nowhere(), log=lambda *_: None)
    runtime.run(f"for i = 1, {EACH // 2} do print('text', i, {{}}) Log.info('text ' .. i, {{ i = i }}) end")


flat(once, 30_000, EACH)
