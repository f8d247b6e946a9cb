"""The documents: each kind of error has its place, drawings are those of their script, every page is in the site."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from llmspell import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_each_kind_of_error_is_told_with_its_exit_code() -> None:
    text = (DOCS / "errors.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^## (\w+) \((\d+)", text, re.MULTILINE))
    kinds = {cls.kind: str(cls.default_exit_code) for cls in errors.LLMSpellError.__subclasses__()}
    kinds["timeout"] = "4"  # of a call at a provider, as nearly all are
    assert told == kinds


def test_the_drawings_are_up_to_date() -> None:
    done = subprocess.run([sys.executable, str(ROOT / "scripts" / "drawings.py"), "--check"], check=False)
    assert done.returncode == 0


def test_every_page_is_in_the_site_and_every_one_there_is_a_page() -> None:
    listed = set(re.findall(r"^\s+- ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")}
    assert listed == pages


def test_links_between_pages_and_to_pictures_lead_somewhere() -> None:
    wrong = []
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *DOCS.rglob("*.md")]:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        wrong += [f"{page.name}: {link}" for link in links if "://" not in link and not (page.parent / link).exists()]
    assert wrong == []
