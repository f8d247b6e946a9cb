"""Writes docs/reference/api.md and cli.md out of the data that the API and the command line are made from.

`--check` only says whether they are as they would be written.
"""

import sys
from pathlib import Path

from llmspell.bridge.stubs import reference
from llmspell.cli.manual import manual

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

stale = []
for name, text in (("api.md", reference()), ("cli.md", manual())):
    page = FOLDER / name
    if "--check" not in sys.argv:
        FOLDER.mkdir(exist_ok=True)
        page.write_text(text, encoding="utf-8")
    elif not page.exists() or page.read_text(encoding="utf-8") != text:
        stale.append(name)
sys.exit(f"not up to date: {', '.join(stale)}; run scripts/reference.py" if stale else 0)
