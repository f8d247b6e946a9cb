"""The recorded exchanges with providers. LLMSPELL_WIRE names their folder; else it lies beside the repository."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from llmspell.types.streaming import Control

if TYPE_CHECKING:
    from llmspell.types.streaming import ChunkContent

__all__ = ["HOME", "Record", "load", "records", "without_cost"]

HOME = Path(os.environ.get("LLMSPELL_WIRE") or Path(__file__).resolve().parents[2].parent / "shared" / "wire")


class Record(NamedTuple):
    """One exchange. name: "PROVIDER/NAME"; the body is the exact bytes after content decoding."""

    name: str
    api: str
    streamed: bool
    request: dict[str, Any]
    status: int
    headers: dict[str, str]
    body: bytes


def load(path: Path) -> Record:
    """Reads one file."""
    told = json.loads(path.read_text(encoding="utf-8"))
    answer = told["response"]
    return Record(
        f"{path.parent.name}/{path.stem}",
        told["api"],
        told["streamed"],
        told["request"],
        answer["status"],
        answer.get("headers") or {},
        answer["body"].encode("utf-8"),
    )


def records(api: str, *, streamed: bool | None = None) -> list[Any]:
    """The exchanges of one dialect, as parameters of a test; one skipped parameter where the folder is missing."""
    if not HOME.is_dir():
        reason = f"no recordings at {HOME}: set LLMSPELL_WIRE"
        return [pytest.param(None, id="no recordings", marks=pytest.mark.skip(reason=reason))]
    found = [load(path) for path in sorted(HOME.glob("*/*.json"))]
    return [
        pytest.param(record, id=record.name)
        for record in found
        if record.api == api and streamed in (None, record.streamed)
    ]


def without_cost(content: ChunkContent) -> ChunkContent:
    """A content without what it cost, which readers do not know, and a provider does."""
    if isinstance(content, Control) and content.usage is not None:
        return content._replace(usage=content.usage._replace(cost_usd=None, cache_write_tokens=None))
    return content
