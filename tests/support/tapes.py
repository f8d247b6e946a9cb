"""Recordings made against a loopback server, and their replays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.dialects import DIALECTS
from support.loopback import Loopback, reply
from support.terminal import environment, llmspell

KEY = "sk-never-to-be-written-0123456789"


CONFIG = """
[providers]
default = "acme"
[providers.acme]
type = "{type}"
base_url = "{url}"
model = "m"
api_key_env = "ACME_KEY"
retry = {{ base = 0.01, attempts = 3 }}
"""


SCRIPT = """
print(os.time(), os.clock(), os.date(), math.random(), math.random(1000000), Run.clock())
for chunk in Agent.create{ model = 'acme' }:stream('hi') do
    io.write(chunk.content.text or '', '|', tostring(chunk.timestamp), '\\n')
end
print(Agent.create{ model = 'acme' }:execute('again').text)
Async.sleep(0.01)
print(Run.clock(), Run.usage().seconds)
"""


class Tapes:
    """A folder with a script, a configuration and recordings."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "tape.jsonl"

    def record(self, plans: list[Any], script: str = SCRIPT, kind: str = "openai", **env: str) -> Any:
        """The run against a server that answers by *plans*; gives how it ended."""
        (self.folder / "s.lua").write_text(script)
        with Loopback(plans) as server:
            (self.folder / "c.toml").write_text(CONFIG.format(type=kind, url=server.url))
            done = self.run("--config", "c.toml", "--record", str(self.file), ACME_KEY=KEY, **env)
            self.requests = len(server.requests)
        return done

    def replay(self) -> Any:
        """The run out of the recording; the server is gone, and there is neither key nor configuration."""
        return self.run("--replay", str(self.file))

    def run(self, *flags: str, **env: str) -> Any:
        return llmspell("run", "s.lua", "--output", "jsonl", *flags, cwd=self.folder, env=environment(**env))


def streamed(kind: str) -> list[Any]:
    made = DIALECTS[kind]
    body = made.stream + made.end
    return reply([body[at : at + 97] for at in range(0, len(body), 97)], headers={"content-type": made.type})
