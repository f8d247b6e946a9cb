"""The heads of media under Atheris: see `media_target.py` for what must hold of any bytes.

python tests/fuzz/media.py FOLDER [OPTIONS OF LIBFUZZER]
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

PARTS = ("audio", "avi", "image", "matroska", "mp4", "ogg", "svg", "window")

with atheris.instrument_imports(
    include=["llmspell._speedups._media_py", *(f"llmspell._speedups._media_{one}_py" for one in PARTS)]
):
    from fuzz.media_target import check


def main() -> None:
    atheris.Setup(sys.argv, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
