"""Draws docs/drawings/*.svg: the house, and the way of a chunk. `--check` only says whether they are up to date."""

import sys
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "drawings"
INK, GROUND, LINE = "#1f2937", "#f8fafc", "#64748b"
FILLS = {"lua": "#dbeafe", "python": "#dcfce7", "compiled": "#fef3c7", "outside": "#e5e7eb"}

#: From the roof to the ground: a layer may import those below it.
HOUSE = (
    ("cli", "the command line, what is drawn", "python"),
    ("bridge", "Lua: the engine, fibers, what scripts may call, limits", "lua"),
    ("workflows", "steps, branches, loops", "python"),
    ("agents", "a model with tools: the loop, conversations, fallbacks", "python"),
    ("providers", "dialects, vendors, the one door to the network", "python"),
    ("config · tools", "settings with their origin; tools and what they may reach", "python"),
    ("types · utils", "values without I/O; small helpers", "python"),
    ("errors · _speedups", "leaves: one class a kind; compiled twins with pure ones", "compiled"),
)

#: What a chunk passes from the socket to the script's `for`, and by what.
WAY = (
    ("the service", "bytes on a socket", "outside"),
    ("Receiving", "the loop's own callback", "compiled"),
    ("Chunked", "HTTP's chunks come off", "compiled"),
    ("Events", "event stream to JSON values", "compiled"),
    ("the dialect's reader", "values to contents: text, calls, usage", "python"),
    ("Stamp · Gathering", "numbered and timed; added up", "compiled"),
    ("Handing", "to the fiber that waits", "compiled"),
    ("the engine", "a table in Lua, the fiber goes on", "compiled"),
    ("for chunk in … do", "the script", "lua"),
)


def box(x: int, y: int, width: int, height: int, title: str, text: str, fill: str) -> str:
    middle = y + height // 2
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{FILLS[fill]}" stroke="{LINE}"/>'
        f'<text x="{x + 14}" y="{middle + 5}" font-weight="bold">{escape(title)}</text>'
        f'<text x="{x + 210}" y="{middle + 5}">{escape(text)}</text>'
    )


def drawing(title: str, width: int, height: int, body: str) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title><style>text{{font:14px system-ui,sans-serif;fill:{INK}}}</style>"
        f'<rect width="{width}" height="{height}" rx="8" fill="{GROUND}"/>{body}</svg>\n'
    )


def house() -> str:
    rows = [box(20, 20 + 48 * n, 640, 40, *layer) for n, layer in enumerate(HOUSE)]
    return drawing("The house: a layer imports those below it", 680, 28 + 48 * len(HOUSE), "".join(rows))


def way() -> str:
    parts = []
    for n, step in enumerate(WAY):
        y = 20 + 60 * n
        parts.append(box(20, y, 640, 40, *step))
        if n:
            parts.append(
                f'<path d="M340 {y - 20} v14 m-5 -6 l5 6 l5 -6" fill="none" stroke="{LINE}" stroke-width="2"/>'
            )
    return drawing("The way of a chunk, from the socket to the script", 680, 20 + 60 * len(WAY), "".join(parts))


stale = []
for name, text in (("house.svg", house()), ("chunk.svg", way())):
    path = FOLDER / name
    if "--check" not in sys.argv:
        path.write_text(text, encoding="utf-8")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        stale.append(name)
sys.exit(f"not up to date: {', '.join(stale)}; run scripts/drawings.py" if stale else 0)
