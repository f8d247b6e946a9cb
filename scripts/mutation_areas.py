"""What mutate.py changes, and which tests notice: files of tests without `tests/` and their ending, `*` any name."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

__all__ = ["AREAS", "Area"]

SOURCE = Path(__file__).resolve().parent.parent / "src" / "llmspell"
TESTS = Path(__file__).resolve().parent.parent / "tests"


class Area(NamedTuple):
    """patterns: files below src/llmspell; those that begin with `-` are left out. tests: test files. pure: whether the
    pure twins are what is run."""

    patterns: str
    tests: str
    pure: bool = False

    def files(self) -> list[str]:
        """Those files, below src/llmspell."""
        there = {path for word in self.patterns.split() if word[0] != "-" for path in SOURCE.glob(word)}
        there -= {path for word in self.patterns.split() if word[0] == "-" for path in SOURCE.glob(word[1:])}
        return [path.relative_to(SOURCE).as_posix() for path in sorted(there)]

    def sources(self) -> list[str]:
        """Paths of those files."""
        return [str(SOURCE / name) for name in self.files()]

    def test_files(self) -> list[str]:
        """Paths of the test files."""
        return [str(path) for word in self.tests.split() for path in sorted(TESTS.glob(f"{word}.py"))]


_READERS = (
    "unit/test_readers unit/test_readers_kept unit/test_readers_media unit/test_wire_errors "
    "conformance/test_dialects conformance/test_usage"
)
_VALUES = (
    "unit/test_chunk_values unit/test_values unit/test_agent_stream unit/test_partial_json unit/test_round_trips "
    "unit/test_media_parts unit/test_query unit/test_meter unit/test_tool_loop unit/test_structured "
    "conformance/test_usage"
)
_STREAMS = "unit/test_events_twins unit/test_stream_twins unit/test_framing unit/test_media_parts conformance/test_sse"

AREAS: dict[str, Area] = {
    "types": Area("types/*.py -types/__init__.py -types/media*.py", f"{_VALUES} {_READERS}"),
    "utils": Area(
        "utils/*.py -utils/__init__.py",
        "unit/test_async_utils unit/test_error_builders unit/test_file_utils unit/test_id_generator unit/test_logs "
        "unit/test_places unit/test_serialization unit/test_string_utils unit/test_system_info unit/test_permissions "
        "integration/test_retry integration/test_files integration/test_files_hostile",
    ),
    "_speedups": Area(
        "_speedups/_*_py.py _speedups/_lua_shared.py _speedups/_lua_values.py -_speedups/_media*.py",
        f"{_STREAMS} unit/test_lua_values unit/test_retry_arithmetic unit/test_engine unit/test_engine_soundness "
        "integration/test_retry",
        pure=True,
    ),
    "media": Area("types/media*.py _speedups/_media*.py", "unit/test_media* unit/test_readers_media", pure=True),
    "openai": Area(
        "providers/openai_chat.py providers/chat_*.py",
        f"unit/test_requests unit/test_requests_chat unit/test_chat_reader unit/test_embeddings "
        f"conformance/test_openai_chat {_READERS}",
    ),
    "responses": Area(
        "providers/openai_responses.py providers/responses_reader.py",
        f"unit/test_requests unit/test_requests_responses {_READERS}",
    ),
    "anthropic": Area(
        "providers/anthropic*.py providers/claude.py",
        f"unit/test_requests unit/test_requests_anthropic unit/test_claude {_READERS}",
    ),
    "gemini": Area("providers/gemini*.py", f"unit/test_requests unit/test_requests_gemini {_READERS}"),
    "ollama": Area(
        "providers/ollama.py", f"unit/test_requests unit/test_requests_responses unit/test_round_trips {_READERS}"
    ),
    "local": Area(
        "providers/local_request.py providers/local_forms.py",
        "unit/test_local_request unit/test_local unit/test_local_forms",
    ),
    "mock": Area("providers/mock.py", "unit/test_mock unit/test_requests"),
    "shared": Area(
        "providers/reading.py providers/turn.py providers/wire_errors.py providers/sides.py",
        "unit/test_requests unit/test_requests_chat unit/test_chat_reader unit/test_mock unit/test_embeddings "
        f"unit/test_reading unit/test_turn {_READERS}",
    ),
}
