"""Tasks of a script: awaited, failed, cancelled while they wait, raced, timed out, and left running at the end."""

from __future__ import annotations

from flat import flat

from llmspell import ScriptRuntime
from llmspell.config.loader import load

EACH = 350
config = load(script_dir=None, config_file=None, env={}, flags={})
runtime = ScriptRuntime(config, log=lambda *_: None)
SCRIPT = f"""
  local function waits(n) local x <close> = setmetatable({{}}, {{ __close = function() end }}) Async.sleep(n or 1e9) end
  for i = 1, {EACH // 7} do
    Async.spawn(waits, 0):await()
    local failing = Async.spawn(error, {{ "text " .. i }})
    pcall(failing.await, failing)
    local cancelled = Async.spawn(waits)
    Async.sleep(0)
    cancelled:cancel()
    Async.race{{ waits, function() waits(0) end }}
    pcall(Async.timeout, 0, waits)
    Async.spawn(waits)
  end
"""


def once() -> None:
    runtime.run(SCRIPT)


flat(once, 10_500, EACH)
