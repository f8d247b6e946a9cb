"""Draws docs/pictures/*.svg: what a person's terminal shows of llmspell, recorded from real runs.

    python scripts/pictures.py            # all of them, anew
    python scripts/pictures.py --check    # only whether they still say what runs show; 1 where one does not

Each session runs the installed command on a pseudo-terminal, against a server on this machine that plays an answer at
the pace of a service's. A picture is an animated SVG: a screen for each moment at which something changed.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from support.loopback import Loopback, chunked, head, sse  # noqa: E402
from support.terminal import Terminal  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.loopback import Plan, Request

FOLDER = ROOT / "docs" / "pictures"
EVERY = 0.1  # seconds between two screens, at least
HOLD = 4.0  # seconds that the last screen stands
CELL, LINE, PAD, BAR = 8.4, 19.0, 16.0, 30.0  # in the picture's own units

#: A terminal's colours on a dark ground, by the names that the emulator gives them.
COLOURS = {
    "default": "#d5d9e0", "black": "#3b4252", "red": "#f07178", "green": "#a3d977", "brown": "#ffcb6b",
    "blue": "#82aaff", "magenta": "#c792ea", "cyan": "#7fdbca", "white": "#e5e9f0", "brightblack": "#7f8ba3",
    "brightred": "#ff8b92", "brightgreen": "#b9f27c", "brightbrown": "#ffd98a", "brightblue": "#9cc4ff",
    "brightmagenta": "#ddb3ff", "brightcyan": "#9ff0e0", "brightwhite": "#ffffff",
}  # fmt: skip
GROUND = "#1f2430"

STREAM = """\
local poet = Agent.create{ model = "demo/poet" }

for chunk in poet:stream_execute("Three lines on the sea at night.") do
  if chunk.content.type == "text" then
    io.write(chunk.content.text)
  end
end
print()
"""
TWO = """\
local small = Agent.create{ name = "small", model = "demo/small" }
local large = Agent.create{ name = "large", model = "demo/large" }

local answers = Async.map({ small, large }, function(agent)
  return agent:execute("Why is the sea salt?").text
end)
print("asked two, and took the longer:", math.max(#answers[1], #answers[2]), "letters")
"""
ERROR = """\
local agent = Agent.create{ model = "demo/poet" }

local function verse(subject)
  return agent:execute{ txt = "A verse on " .. subject }.text
end

print(verse("the sea"))
"""
#: What each model says, in pieces of about a token, and the seconds before the first and between two.
SAYS: dict[str, tuple[str, float, float]] = {
    "poet": ("Black water breathing,\nthe moon laid down in pieces:\na gull, and no shore.", 0.9, 0.09),
    "small": (
        "Rain wears salt out of the rocks, rivers carry it down, and the sun takes only the water back.", 0.5, 0.07
    ),
    "large": (
        "Rivers bring a little salt each day, dissolved out of stone; vents in the sea's own floor bring more. "
        "Water leaves again as vapour, and salt cannot: so over four billion years it has stayed behind.", 1.2, 0.05
    ),
}  # fmt: skip


class Session(NamedTuple):
    """One picture: what it is called, the script that runs, its arguments, and the size of the terminal."""

    name: str
    title: str
    script: str
    flags: tuple[str, ...]
    size: tuple[int, int]


SESSIONS = (
    Session("streaming", "A script that streams", STREAM, ("--stream",), (72, 9)),
    Session("two-models", "Two models at once", TWO, ("--stream",), (72, 15)),
    Session("error", "An error", ERROR, (), (72, 14)),
)


def plan(request: Request) -> Plan:
    """The answer of the model that was asked, at its pace."""
    text, first, pause = SAYS[json.loads(request.body)["model"]]
    pieces = re.findall(r"\s*\S{1,6}|\s+", text)
    steps: list[Any] = [head(), first]
    for event in chunked(sse(pieces)):
        steps += [event, pause]
    return steps


class Moment(NamedTuple):
    """What the screen shows from *at* on, in seconds: for each line its runs of cells of one look."""

    at: float
    lines: tuple[tuple[Run, ...], ...]


class Run(NamedTuple):
    """Cells side by side that look the same. at: the first one's column; look: colour, bold, dim and so on."""

    at: int
    text: str
    look: tuple[Any, ...]


def moments(session: Session) -> list[Moment]:
    """The screens of one run."""
    with tempfile.TemporaryDirectory() as folder, Loopback([plan]) as server:
        (Path(folder) / "script.lua").write_text(session.script, encoding="utf-8")
        env = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH") if name in os.environ}
        env |= {
            "HOME": folder, "LC_ALL": "C.UTF-8", "COLORTERM": "",
            "LLMSPELL_PROVIDERS__DEMO__TYPE": "openai", "LLMSPELL_PROVIDERS__DEMO__BASE_URL": server.url,
        }  # fmt: skip
        with Terminal(["run", *session.flags, "script.lua"], size=session.size, env=env, cwd=folder) as terminal:
            emulate = terminal.emulator.feed
            # The emulator knows no faint text: it stands as grey, which is what terminals make of it.
            terminal.emulator.feed = lambda data: emulate(data.replace(b"\x1b[2m", b"\x1b[90m"))
            begun = time.monotonic()
            told = [Moment(0.0, ())]

            def look() -> None:
                now = Moment(time.monotonic() - begun, _screen(terminal))
                if now.lines != told[-1].lines:
                    if now.at - told[-1].at < EVERY and len(told) > 1:
                        told[-1] = Moment(told[-1].at, now.lines)
                    else:
                        told.append(now)

            terminal.watch(look, 60.0)
    return told


def _screen(terminal: Terminal) -> tuple[tuple[Run, ...], ...]:
    screen = terminal.screen
    lines = []
    for row in range(screen.lines):
        runs: list[Run] = []
        for column in range(screen.columns):
            cell = screen.buffer[row][column]
            if not cell.data:  # the right half of a wide character
                continue
            look = (cell.fg, cell.bold, cell.italics, cell.underscore, cell.reverse)
            if runs and runs[-1].look == look and runs[-1].at + len(runs[-1].text) == column:
                runs[-1] = runs[-1]._replace(text=runs[-1].text + cell.data)
            else:
                runs.append(Run(column, cell.data, look))
        lines.append(tuple(_trimmed(run) for run in runs if run.text.strip()))
    while lines and not lines[-1]:
        lines.pop()
    return tuple(lines)


def _trimmed(run: Run) -> Run:
    """Without the blank cells at its ends, which drawing programs treat each in its own way."""
    text = run.text.lstrip()
    return Run(run.at + len(run.text) - len(text), text.rstrip(), run.look)


# ---- a picture of it


def svg(session: Session, told: list[Moment]) -> str:
    """The animated picture. Who wants no movement, or has none, sees the last screen."""
    columns = session.size[0]
    rows = max(len(moment.lines) for moment in told) + 1
    width, height = columns * CELL + 2 * PAD, rows * LINE + BAR + PAD
    length = told[-1].at + HOLD
    command = f"llmspell run {' '.join([*session.flags, 'script.lua'])}"
    frames, rules = [], []
    for number, moment in enumerate(told):
        begins = moment.at / length * 100
        ends = told[number + 1].at / length * 100 if number + 1 < len(told) else 100.0
        last = number + 1 == len(told)
        frames.append(f'<g id="m{number}" class="{"last" if last else "m"}">{"".join(_lines(moment))}</g>')
        rules.append(
            f"@keyframes k{number}{{0%,{begins:.2f}%{{visibility:hidden}}{begins + 0.01:.2f}%,{ends:.2f}%"
            f"{{visibility:visible}}{'' if last else f'{ends + 0.01:.2f}%,100%{{visibility:hidden}}'}}}"
            f"#m{number}{{animation:k{number} {length:.1f}s step-end infinite}}"
        )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'aria-label="{escape(session.title)}: {escape(command)}">\n'
        f"<title>{escape(session.title)}</title>\n<style>text{{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,"
        f"'DejaVu Sans Mono',monospace;white-space:pre}}.m{{visibility:hidden}}\n"
        f"@media (prefers-reduced-motion:no-preference){{{''.join(rules)}}}</style>\n"
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="{GROUND}"/>\n'
        f'<text x="{PAD}" y="21" fill="{COLOURS["brightblack"]}">$ {escape(command)}</text>\n'
        + "\n".join(frames)
        + "\n</svg>\n"
    )


def _lines(moment: Moment) -> Iterator[str]:
    for row, runs in enumerate(moment.lines):
        for run in runs:
            fg, bold, italic, underlined, _reverse = run.look
            colour = COLOURS.get(fg) or (f"#{fg}" if re.fullmatch("[0-9a-f]{6}", fg) else COLOURS["default"])
            style = ' font-weight="bold"' if bold else ""
            style += ' font-style="italic"' if italic else ""
            style += ' text-decoration="underline"' if underlined else ""
            yield (
                f'<text x="{PAD + run.at * CELL:.1f}" y="{BAR + (row + 1) * LINE - 5:.1f}" '
                f'textLength="{len(run.text) * CELL:.1f}" fill="{colour}"{style}>{escape(run.text)}</text>'
            )


def words(picture: str) -> list[str]:
    """What a picture's last screen says, without what differs from run to run: times, rates."""
    last = picture[picture.index('class="last"') :]
    return [re.sub(r"[\d.]+", "0", one) for one in re.findall(r">([^<>]+)</text>", last)]


def main() -> int:
    """Draws all, or with `--check` compares. Gives the exit code."""
    stale = []
    FOLDER.mkdir(exist_ok=True)
    for session in SESSIONS:
        path = FOLDER / f"{session.name}.svg"
        picture = svg(session, moments(session))
        if "--check" not in sys.argv:
            path.write_text(picture, encoding="utf-8")
        elif not path.exists() or words(path.read_text(encoding="utf-8")) != words(picture):
            stale.append(path.name)
    if stale:
        print(f"not what runs show any more: {', '.join(stale)}; draw them anew: python scripts/pictures.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
