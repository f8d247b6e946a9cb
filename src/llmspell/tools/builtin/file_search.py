"""`file_search`: files below a folder by their names, and by what stands in them."""

from __future__ import annotations

import asyncio
import io
import threading
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from llmspell.errors import LimitError, LLMSpellError, ToolError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.matching import Matcher
from llmspell.tools.patterns import TooLong
from llmspell.utils import places
from llmspell.utils.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["TOOL"]

MOST_FILES = 100_000  # that are looked at
MOST_BYTES = 256 * 1024 * 1024  # that are read in all
LARGEST = 8 * 1024 * 1024  # bytes of one file
DEEPEST = 64  # folders below each other
LONGEST_LINE = 400  # characters of a line that are shown
STEPS = 50_000_000  # of a regular expression, in all
LINE_STEPS = 2_000_000  # of these for one line: nothing stops a thread meanwhile


class FileSearch(Tool):
    name = "file_search"
    description = "Find files below a folder by name (glob) and by the text in them."
    category = "files"
    needs = ("read",)
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "path": {"type": "string", "minLength": 1, "description": "The folder; the working folder if left out."},
            "pattern": {"type": "string", "maxLength": 1000, "description": "Text that a line must have."},
            "regex": {"type": "boolean", "description": "Whether `pattern` is a regular expression."},
            "case_sensitive": {"type": "boolean", "description": "True if left out."},
            "glob": {"type": "string", "maxLength": 1000, "description": "Names to look at: `*.lua`, `src/*/test_*`."},
            "recursive": {"type": "boolean", "description": "Whether folders below are looked at; true if left out."},
            "hidden": {"type": "boolean", "description": "Whether names that begin with a dot are; false if left out."},
            "max_results": {"type": "integer", "minimum": 1, "maximum": 10000, "description": "100 if left out."},
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        if not arguments.get("pattern") and not arguments.get("glob"):
            raise ValidationError(f"`{self.name}` needs a `pattern` or a `glob`")
        place = await context.permissions.place("read", arguments.get("path", "."), by=self.name)
        stop = threading.Event()
        search = _Search(arguments, stop)
        try:
            return await asyncio.to_thread(search.run, place)
        except LimitError as error:  # of one folder, and not of the run: a model may do something about it
            raise ToolError(error.message, hint="search in the folders below it", cause=error) from None
        finally:
            stop.set()  # a thread is not cancelled: it looks here


class _Search:
    def __init__(self, arguments: dict[str, Any], stop: threading.Event) -> None:
        self._glob = arguments.get("glob")
        self._recursive = arguments.get("recursive", True)
        self._hidden = arguments.get("hidden", False)
        self._most = arguments.get("max_results", 100)
        self._stop = stop
        self._files = self._bytes = self._skipped = 0
        self._found: list[dict[str, Any]] = []
        self._capped = False
        self._fits = self._test(arguments)

    def _test(self, arguments: dict[str, Any]) -> Callable[[str], bool] | None:
        pattern = arguments.get("pattern")
        if not pattern:
            return None
        whole = arguments.get("case_sensitive", True)
        if not arguments.get("regex"):
            wanted = pattern if whole else pattern.lower()
            return lambda line: wanted in (line if whole else line.lower())
        matcher = Matcher(pattern, "" if whole else "i")

        def fits(line: str) -> bool:
            most = min(STEPS, matcher.steps + LINE_STEPS)
            return matcher.match_at(line[: 100 * LONGEST_LINE], 0, most) is not None

        return fits

    def run(self, place: Place) -> ToolResult:
        """Looks; in a thread."""
        try:
            for below, relative in self._walk(place, "", 0):
                if self._glob and not self._named(relative):
                    continue
                self._look(below, relative)
                if len(self._found) >= self._most:
                    self._capped = True
                    break
        except TooLong:
            raise ValidationError(f"`{TOOL.name}`: the pattern takes too long", hint="make it simpler") from None
        told = {"matches": self._found, "count": len(self._found), "searched": self._files, "capped": self._capped}
        told["skipped"] = self._skipped
        lines = [f"{one['path']}:{one['line']}: {one['text']}" if "line" in one else one["path"] for one in self._found]
        lines = lines or ["nothing was found"]
        if self._skipped:
            lines.append(f"({self._skipped} not looked at: too large, too deep, or not to be read)")
        return ToolResult(told, "\n".join(lines))

    def _named(self, relative: str) -> bool:
        name = relative.rpartition("/")[2]
        glob = str(self._glob)
        return fnmatchcase(relative if "/" in glob else name, glob)

    def _walk(self, place: Place, above: str, depth: int) -> Iterator[tuple[Place, str]]:
        for one in places.entries(place):
            if self._stop.is_set() or self._capped:
                return
            if one.name.startswith(".") and not self._hidden:
                continue
            below = Place(place.root, (*place.parts, one.name), f"{place.shown}/{one.name}")
            relative = above + places.text_of(one.name)
            if places.is_of_processes(below.path) and not places.is_of_processes(place.path):
                continue  # which what is above it does not grant
            if one.kind == "folder" and self._recursive:
                try:
                    if depth < DEEPEST:
                        yield from self._walk(below, relative + "/", depth + 1)
                    else:
                        self._skipped += 1
                except LLMSpellError:  # it cannot be read, has too much in it, or has gone
                    self._skipped += 1
            elif one.kind == "file":
                self._files += 1
                if self._files > MOST_FILES:
                    self._capped = True
                    return
                yield below, relative

    def _look(self, place: Place, relative: str) -> None:
        if self._fits is None:
            self._found.append({"path": relative})
            return
        if self._bytes > MOST_BYTES:
            self._capped = True
            return
        try:
            data = places.read(place, largest=LARGEST)
        except LLMSpellError:  # it is too large, or may not be read
            self._skipped += 1
            return
        self._bytes += len(data)
        if b"\0" in data[:4096]:
            return
        for number, line in enumerate(io.StringIO(data.decode("utf-8", "replace"), newline=None), 1):
            if self._stop.is_set():
                return
            if self._fits(line.removesuffix("\n")):
                self._found.append({"path": relative, "line": number, "text": line.strip()[:LONGEST_LINE]})
                if len(self._found) >= self._most:
                    return


TOOL = FileSearch()
