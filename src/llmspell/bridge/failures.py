"""How a script's failure becomes an exception: message, place, frames, hint."""

from __future__ import annotations

from llmspell.errors import InternalError, LLMSpellError, ScriptError, error_class, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["nearest", "point", "script_failure", "syntax_error"]

GLOBALS = (
    "Agent", "Async", "Config", "Debug", "File", "JSON", "Log", "Media", "Provider", "Run", "State", "Stdin",
    "Template", "Tool", "Workflow", "ARGS",
)  # fmt: skip
LUA_GLOBALS = (
    "assert", "collectgarbage", "coroutine", "dofile", "error", "getmetatable", "io", "ipairs", "load", "math", "next",
    "os", "pairs", "pcall", "print", "rawequal", "rawget", "rawlen", "rawset", "require", "select", "setmetatable",
    "string", "table", "tonumber", "tostring", "type", "utf8", "warn", "xpcall",
)  # fmt: skip
#: Globals of other llmspell versions: a script may ask for them, and they are nil.
ELSEWHERE = (
    "RAG",
    "Memory",
    "Context",
    "Event",
    "Hook",
    "Session",
    "LocalLLM",
    "Artifact",
    "Replay",
    "Streaming",
)


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of *words* that *word* was probably meant to be. A word of no sensible length is like none."""
    if len(word) > 100:
        return None
    from difflib import get_close_matches  # 1 ms: only for those who have mistyped

    choices = list(words)
    lower = {choice.lower(): choice for choice in choices}
    if word.lower() in lower:
        return lower[word.lower()]
    close = get_close_matches(word, choices, 1, 0.6)
    return close[0] if close else None


def _placed(message: str) -> tuple[str | None, int | None, str]:
    """The place at a message's start, `file:line: `, and the rest."""
    head, mark, rest = message.partition(": ")
    source, colon, line = head.rpartition(":")
    if mark and colon and line.isdigit() and source and "\n" not in head:
        return source, int(line), rest
    return None, None, message


def _global_hint(message: str) -> str | None:
    """What to say of a nil global, where the message names one."""
    _, found, rest = message.partition("(global '")
    if not found or "nil value" not in message:
        return None
    name = rest.partition("'")[0]
    near = nearest(name, [*GLOBALS, *LUA_GLOBALS])
    if name in ELSEWHERE:
        return f"llmspell has no global `{name}` here; a script can ask with `if {name} then`"
    if near is not None and near != name:
        return f"`{name}` is not set; did you mean `{near}`?"
    return f"`{name}` is not set when this line runs"


def script_failure(told: dict[str, Any], error: BaseException | None, name: str) -> BaseException:
    """The exception for an error that nobody in the script caught.

    told: what the engine knows of it. error: the exception that it stood for in Lua, given back as it was, with the
    script's place and frames added.
    """
    frames = told.pop("traceback", None) or []
    if error is not None:
        if isinstance(error, LLMSpellError):
            _locate(error, told, frames)
            return error
        if not isinstance(error, Exception):
            return error
        wrapped = InternalError(one_line(f"{type(error).__name__}: {error}"), cause=error)
        _locate(wrapped, told, frames)
        return wrapped
    if "kind" in told:
        return _rebuilt(told, frames)
    return _own(told, frames, name)


def _locate(error: LLMSpellError, told: dict[str, Any], frames: list[Any]) -> None:
    context = error.context
    if "line" not in context:
        place = told if "line" in told else frames[0] if frames else {}
        context.update({"script": place.get("script") or place.get("source"), "line": place.get("line")})
        if context["line"] is None:
            del context["line"], context["script"]
    context.setdefault("traceback", frames)


def _rebuilt(told: dict[str, Any], frames: list[Any]) -> LLMSpellError:
    """An error of llmspell's that was raised in Lua, or whose exception is no longer kept."""
    told.pop("type", None)
    cls = error_class(str(told.pop("kind")))
    message, hint = str(told.pop("message", "")), told.pop("hint", None)
    retryable = bool(told.pop("retryable", False))
    reserved = ("self", "cause", "message")  # a script may have written anything into the error's table
    known = {key: value for key, value in told.items() if isinstance(key, str) and key not in reserved}
    error = cls(message, hint=hint, retryable=retryable, **known)
    _locate(error, told, frames)
    return error


def _own(told: dict[str, Any], frames: list[Any], name: str) -> ScriptError:
    """An error value of the script's own."""
    kind, message = told.get("type"), told.get("message")
    top = frames[0] if frames else {}
    if isinstance(message, bytes):
        message = message.decode("utf-8", "replace")
    if kind == "string" and message is not None:
        script, line, rest = _placed(message)
        if script is None:
            script, line = top.get("source"), top.get("line")
        return ScriptError(
            one_line(rest, 2000) or "an empty message",
            hint=_global_hint(rest) or _hint(rest),
            script=script or name,
            line=line,
            traceback=frames,
        )
    if message is None:
        message = f"the script raised a {kind}"
        if isinstance(told.get("value"), dict) and isinstance(told["value"].get("message"), str):
            message = told["value"]["message"]
    elif kind != "table":
        message = f"the script raised {'nil' if kind == 'nil' else f'a {kind}: {message}'}"
    return ScriptError(
        one_line(message, 2000),
        script=top.get("source", name),
        line=top.get("line"),
        traceback=frames,
        value=told.get("value"),
    )


def _hint(message: str) -> str | None:
    if "attempt to yield across a C-call boundary" in message:
        return "Lua cannot wait inside a C function: make the call outside of the callback"
    if message.startswith("stack overflow"):
        return "a function calls itself without end"
    return None


def syntax_error(message: str, name: str, text: bytes) -> ScriptError:
    """What is wrong with a text that is not Lua, from Lua's own words."""
    script, line, rest = _placed(message)
    error = ScriptError(rest, syntax=True, script=script or name, line=line)
    point(error, name, text)
    return error


def point(error: LLMSpellError, name: str, text: bytes) -> None:
    """Adds the column, where the message quotes a word that stands just once in the error's line."""
    line = error.line
    if error.script != name or not isinstance(line, int) or error.column is not None:
        return
    ended = text.replace(b"\r\n", b"\n").replace(b"\n\r", b"\n").replace(b"\r", b"\n")  # as Lua counts lines
    lines = ended.decode("utf-8", "replace").split("\n")
    word = _quoted(error.message)
    if word is None or not 0 < line <= len(lines):
        return
    places = [at for at in range(len(lines[line - 1])) if _stands_at(lines[line - 1], word, at)]
    if len(places) == 1:
        error.context["column"] = places[0] + 1


def _quoted(message: str) -> str | None:
    """The word that Lua quotes: near 'x', (local 'x'), (global 'x'), (field 'x'), (method 'x')."""
    for mark in (" near '", "(local '", "(global '", "(field '", "(method '", "(upvalue '"):
        _, found, rest = message.rpartition(mark)
        if found:
            return rest.rstrip(")").rpartition("'")[0] or None
    return None


def _stands_at(line: str, word: str, at: int) -> bool:
    """Whether *word* stands at *at* as a whole word."""
    if not line.startswith(word, at):
        return False
    if not (word[0].isalnum() or word[0] == "_"):
        return True
    before, after = line[at - 1 : at] if at else "", line[at + len(word) : at + len(word) + 1]
    return not any(c.isalnum() or c == "_" for c in before + after)
