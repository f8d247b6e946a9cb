"""`text_manipulator`: changes a text."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import worked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["TOOL"]

MAX_INPUT = 2_000_000  # characters, of what comes out too; words of it are taken apart

OPERATIONS = (
    "uppercase", "lowercase", "title_case", "capitalize", "snake_case", "camel_case", "pascal_case", "kebab_case",
    "reverse", "trim", "replace", "substring", "split", "join", "truncate", "indent", "dedent", "word_wrap",
    "normalize_whitespace", "sanitize", "pad", "repeat", "count", "lines", "slugify",
)  # fmt: skip

#: Operation: the options that it takes.
OPTIONS: dict[str, dict[str, Any]] = {
    "from": {"type": "string", "description": "Of `replace`: what is replaced."},
    "to": {"type": "string", "description": "Of `replace`: by what."},
    "count": {"type": "integer", "minimum": 0, "description": "Of `replace`, `repeat`: how often; all if left out."},
    "start": {"type": "integer", "minimum": 0, "description": "Of `substring`: the first character, from 0."},
    "end": {"type": "integer", "minimum": 0, "description": "Of `substring`: the one after the last."},
    "delimiter": {"type": "string", "description": "Of `split` and `join`; a space if left out."},
    "max_length": {"type": "integer", "minimum": 0, "description": "Of `truncate`; 100 if left out."},
    "suffix": {"type": "string", "maxLength": 100, "description": "Of `truncate`: its end; `…` if left out."},
    "spaces": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Of `indent`; 4 if left out."},
    "width": {"type": "integer", "minimum": 1, "maximum": 10_000, "description": "Of `word_wrap` (80) and `pad`."},
    "side": {"type": "string", "enum": ["left", "right", "both"], "description": "Of `trim` and `pad`."},
    "fill": {"type": "string", "minLength": 1, "maxLength": 1, "description": "Of `pad`; a space if left out."},
    "text": {"type": "string", "minLength": 1, "description": "Of `count`: what is counted."},
}


class TextManipulator(Tool):
    name = "text_manipulator"
    description = (
        "Change a text: its case, replace, substring, split, join, trim, truncate, wrap, indent, count and more."
    )
    category = "text"
    timeout = 30.0
    renamed: Mapping[str, str] = {"text": "input"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {"type": "string", "enum": list(OPERATIONS)},
            "input": {
                "type": ["string", "array"],
                "maxLength": MAX_INPUT,
                "items": {"type": "string"},
                "description": "The text; of `join`, a list of texts.",
            },
            "options": {"type": "object", "properties": OPTIONS, "additionalProperties": False},
        },
        "required": ["operation", "input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        operation, given = arguments["operation"], arguments["input"]
        options = arguments.get("options", {})
        if operation == "join":
            texts, delimiter = self._texts(given), options.get("delimiter", " ")
            size = sum(map(len, texts))
            self._fits(size + len(delimiter) * (len(texts) - 1))
            return _told(operation, delimiter.join(texts), size)
        if isinstance(given, list):
            raise ValidationError(f"tool `{self.name}`: `input` must be a text: only `join` takes a list")
        done = await worked(len(given), self._done, operation, given, options)
        return _told(operation, done, len(given))

    def _texts(self, given: Any) -> list[str]:
        if isinstance(given, str):  # as older scripts have it: a list in JSON
            import orjson

            try:
                given = orjson.loads(given)
            except orjson.JSONDecodeError:
                given = None
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise ValidationError(f"tool `{self.name}`: `join` takes a list of texts as `input`")
        return given

    def _done(self, operation: str, text: str, options: dict[str, Any]) -> Any:
        if operation in PLAIN:
            return PLAIN[operation](text)
        return getattr(self, f"_{operation}")(text, options)

    def _needed(self, options: dict[str, Any], operation: str, *names: str) -> None:
        for name in names:
            if name not in options:
                raise ValidationError(f"tool `{self.name}`: `{operation}` needs `options.{name}`")

    def _replace(self, text: str, options: dict[str, Any]) -> str:
        self._needed(options, "replace", "from", "to")
        old, new = options["from"], options["to"]
        if not old:
            raise ValidationError(f"tool `{self.name}`: `options.from` is empty")
        times = text.count(old)
        times = min(options.get("count", times), times)
        self._fits(len(text) + times * (len(new) - len(old)))
        return text.replace(old, new, times)

    def _fits(self, size: int) -> None:
        if size > MAX_INPUT:
            raise ToolError(f"the text would be longer than {MAX_INPUT} characters")

    def _substring(self, text: str, options: dict[str, Any]) -> str:
        return text[options.get("start", 0) : options.get("end")]

    def _split(self, text: str, options: dict[str, Any]) -> list[str]:
        delimiter = options.get("delimiter", " ")
        if text.count(delimiter) > 100_000 if delimiter else len(text) > 100_000:
            raise ToolError("there would be more than 100,000 parts")
        return text.split(delimiter) if delimiter else list(text)

    def _trim(self, text: str, options: dict[str, Any]) -> str:
        side = options.get("side", "both")
        return text.strip() if side == "both" else text.lstrip() if side == "left" else text.rstrip()

    def _truncate(self, text: str, options: dict[str, Any]) -> str:
        most, suffix = options.get("max_length", 100), options.get("suffix", "…")
        return text if len(text) <= most else text[: max(most - len(suffix), 0)] + suffix[:most]

    def _indent(self, text: str, options: dict[str, Any]) -> str:
        spaces = options.get("spaces", 4)
        self._fits(len(text) + spaces * (text.count("\n") + 1))
        return textwrap.indent(text, " " * spaces)

    def _word_wrap(self, text: str, options: dict[str, Any]) -> str:
        width = options.get("width", 80)
        self._fits(len(text) + len(text) // width)
        return "\n".join(line for one in text.split("\n") for line in _wrapped(one, width))

    def _pad(self, text: str, options: dict[str, Any]) -> str:
        self._needed(options, "pad", "width")
        width, fill = options["width"], options.get("fill", " ")
        fit = {"right": text.ljust, "left": text.rjust, "both": text.center}[options.get("side", "right")]
        return fit(width, fill)

    def _repeat(self, text: str, options: dict[str, Any]) -> str:
        self._needed(options, "repeat", "count")
        self._fits(len(text) * options["count"])
        return text * options["count"] if text else ""

    def _count(self, text: str, options: dict[str, Any]) -> Any:
        if "text" in options:
            return text.count(options["text"])
        return {"characters": len(text), "words": len(text.split()), "lines": len(text.splitlines())}


def _words(text: str) -> list[str]:
    """The words of a name: of `helloWorld_from HTTPServer` hello, World, from, HTTP, Server."""
    words: list[str] = []
    now = ""
    for at, char in enumerate(text):
        before, after = text[at - 1 : at] if at else "", text[at + 1 : at + 2]
        if not char.isalnum():
            if now:
                words.append(now)
            now = ""
            continue
        if now and char.isupper() and (before.islower() or before.isdigit() or (before.isupper() and after.islower())):
            words.append(now)
            now = ""
        now += char
    if now:
        words.append(now)
    return words


def _wrapped(text: str, width: int) -> list[str]:
    """A line as lines of at most *width* characters; a word that is longer is taken apart."""
    lines: list[str] = []
    now: list[str] = []
    used = 0
    for word in text.split():
        pieces = [word[at : at + width] for at in range(0, len(word), width)]
        for piece in pieces:
            if now and used + 1 + len(piece) > width:
                lines.append(" ".join(now))
                now, used = [], 0
            used += len(piece) + bool(now)
            now.append(piece)
    return [*lines, " ".join(now)]


def _camel(text: str) -> str:
    first, *rest = _words(text) or [""]
    return first.lower() + "".join(word[:1].upper() + word[1:].lower() for word in rest)


def _slug(text: str) -> str:
    import unicodedata

    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join("".join(c if c.isalnum() else " " for c in plain).split())


def _sanitized(text: str) -> str:
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


PLAIN: dict[str, Callable[[str], Any]] = {
    "uppercase": str.upper,
    "lowercase": str.lower,
    "title_case": lambda text: " ".join(word[:1].upper() + word[1:].lower() for word in text.split(" ")),
    "capitalize": lambda text: text[:1].upper() + text[1:],
    "snake_case": lambda text: "_".join(_words(text)).lower(),
    "kebab_case": lambda text: "-".join(_words(text)).lower(),
    "camel_case": _camel,
    "pascal_case": lambda text: "".join(word[:1].upper() + word[1:].lower() for word in _words(text)),
    "reverse": lambda text: text[::-1],
    "dedent": textwrap.dedent,
    "normalize_whitespace": lambda text: " ".join(text.split()),
    "sanitize": _sanitized,
    "slugify": _slug,
    "lines": str.splitlines,
}


def _told(operation: str, done: Any, length: int) -> ToolResult:
    result: dict[str, Any] = {"result": done, "output": done, "operation": operation, "original_length": length}
    if isinstance(done, str):
        result["result_length"] = len(done)
        return ToolResult(result, done)
    import orjson

    return ToolResult(result, orjson.dumps(done).decode())


TOOL = TextManipulator()
