"""Writes docs/reference/api.md out of the API's data. `--check` only says whether it is as it would be written."""

import sys
from pathlib import Path

from llmspell.bridge.stubs import reference

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "api.md"

if "--check" in sys.argv:
    sys.exit(0 if PAGE.read_text(encoding="utf-8") == reference() else f"{PAGE} is not up to date")
PAGE.parent.mkdir(exist_ok=True)
PAGE.write_text(reference(), encoding="utf-8")
