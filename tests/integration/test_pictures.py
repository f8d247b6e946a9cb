"""The pictures of the documentation are what runs show: drawn by a script, and compared with new runs here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PICTURES = sorted((ROOT / "docs" / "pictures").glob("*.svg"))


def test_the_pictures_say_what_runs_show() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "pictures.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_picture_stands_alone_and_ends_with_a_whole_screen(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    picture = ElementTree.fromstring(text)
    assert picture.get("aria-label")
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")  # it loads nothing
    assert not re.search(r"/(home|root|tmp|work)/", text)
    groups = picture.findall("{http://www.w3.org/2000/svg}g")
    assert [group.get("class") for group in groups] == ["m"] * (len(groups) - 1) + ["last"]
    assert len(groups[-1]) >= 2


def test_each_picture_is_shown_somewhere() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    assert PICTURES
    assert [path.name for path in PICTURES if f"pictures/{path.name}" not in pages] == []
