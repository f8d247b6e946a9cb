"""A recording's file: one JSON object a line, a head first, in the order in which things happened.

    {"recording": "llmspell", "version": 1, "llmspell": its version, "model", "provider": for agents that name none,
     "limits": those of LIMITS, by name; may be absent, "started": seconds since the epoch}
    {"do": "script", "name", "args"}                 a script is started
    {"do": "default", "provider": name}              what "auto" came to
    {"do": "provider", "name", "default_model", "keyed", "settings"}   at its first use
    {"do": "request", "call": 1, "at", "provider", "method", "target", "headers", "body" | "base64"}   over HTTP
    {"do": "request", "call": 2, "at", "provider", "ask": "stream" | "execute", "body"}                all others
    {"do": "request", "call": 3, "at", "provider": "the tool NAME", "ask": "tool", "body"}     a tool, by a digest
    {"do": "wait", "timer": 1, "at", "seconds"}      a wait that began
    {"do": "values", "of": "os.time", "values": […]} what was read of clocks, of chance, of standard input
    {"do": "head", "call", "at", "status", "headers"}
    {"do": "data", "call", "at", "text" | "base64"}  bytes of the answer, as they were read
    {"do": "chunks", "call", "at", "chunks", "metadata"}   of a provider without HTTP
    {"do": "output", "call", "at", "output"}
    {"do": "fail", "call", "at", "error"}            what the call raised
    {"do": "end", "call", "at"}                      the answer was read to its end
    {"do": "fired", "timer", "at"}                   a wait that was over
    {"do": "done", "at"}                             the run came to its end: the recording is whole

`at`: seconds since the start. Those from "head" to "fired" are events: a replay hands them out in this order.
"""

from __future__ import annotations

import base64
import os
import stat
from typing import Any

import orjson

from llmspell.errors import ConfigError, LimitError, LLMSpellError, NotFoundError, ValidationError, one_line
from llmspell.providers.tape.redaction import REDACTED, forms

__all__ = ["EVENTS", "LIMITS", "VERSION", "Entry", "Writer", "as_bytes", "bytes_entry", "read"]

VERSION = 1
EVENTS = frozenset(("head", "data", "chunks", "output", "fail", "end", "fired"))
#: What stands in an entry of each kind, besides `do`, and of which type.
_FIELDS: dict[str, dict[str, Any]] = {
    "script": {"name": str, "args": list},
    "default": {"provider": str},
    "provider": {"name": str, "default_model": str, "keyed": bool, "settings": dict},
    "request": {"call": int, "at": (int, float), "provider": str},
    "wait": {"timer": int, "at": (int, float), "seconds": (int, float)},
    "values": {"of": str, "values": list},
    "head": {"call": int, "at": (int, float), "status": int, "headers": dict},
    "data": {"call": int, "at": (int, float)},
    "chunks": {"call": int, "at": (int, float), "chunks": list, "metadata": dict},
    "output": {"call": int, "at": (int, float), "output": dict},
    "fail": {"call": int, "at": (int, float), "error": dict},
    "end": {"call": int, "at": (int, float)},
    "fired": {"timer": int, "at": (int, float)},
    "done": {"at": (int, float)},
}
#: The limits of a run on which it depends what is asked, and when; their settings.
LIMITS = {
    "max_concurrency": "runtime.max_concurrency",
    "max_tokens_total": "limits.max_tokens_total",
    "max_cost_usd": "limits.max_cost_usd",
}
LARGEST = 2 * 2**30  # bytes of a recording
START = b'{"recording":"llmspell",'

Entry = dict[str, Any]


def bytes_entry(data: bytes) -> Entry:
    """Bytes as an entry has them: `text` where they are UTF-8, else `base64`."""
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def as_bytes(entry: Entry) -> bytes:
    """Those bytes again; ValueError where there are none."""
    text = entry.get("text")
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    coded = entry.get("base64")
    if not isinstance(coded, str):
        raise ValueError("no bytes")
    return base64.b64decode(coded, validate=True)


class Writer:
    """Appends to a recording; what was written stays if the process dies.

    Only its owner may read the file: it holds what was said to models. An older recording of that name is replaced,
    any other file is not. It is replaced once there is more to write than which script was started: one that is no
    Lua costs no recording. Raises ConfigError.
    """

    def __init__(self, path: str, head: Entry) -> None:
        self.path = path
        self.size = 0
        self._hidden: set[str] = set()
        self._secrets: tuple[bytes, ...] = ()  # the forms of those
        self._older = False  # an older recording is still there
        self._held: list[bytes] = []  # what is written when it goes
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
            self._fd: int | None = os.open(path, flags | getattr(os, "O_NONBLOCK", 0), 0o600)
        except OSError as error:
            raise _unwritable(path, error) from error
        try:
            if not stat.S_ISREG(os.fstat(self._fd).st_mode):  # a pipe or a terminal would be read for ever
                raise ConfigError(f"`{path}` is no file that a recording can be kept in", hint="name another one")
            there = os.read(self._fd, len(START))
            if there and there != START:
                raise ConfigError(
                    f"`{path}` is there, and is no recording",
                    hint="an older recording is replaced, any other file is not: name another one",
                )
            self._older = there != b""
            self.write({"recording": "llmspell", "version": VERSION} | head)
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise _unwritable(path, error) from error
            raise

    def hide(self, secrets: tuple[str, ...]) -> None:
        """From now on, none of *secrets* gets into the file."""
        if not self._hidden.issuperset(secrets):
            self._hidden.update(secrets)
            self._secrets = forms(self._hidden)

    def write(self, entry: Entry) -> None:
        """One line. Raises ConfigError where the file takes no more, LimitError beyond 2 GiB; nothing once closed."""
        if self._fd is None:
            return
        line = orjson.dumps(entry, option=orjson.OPT_NON_STR_KEYS) + b"\n"
        for secret in self._secrets:
            if secret in line:
                line = line.replace(secret, REDACTED.encode())
        self.size += len(line)
        if self.size > LARGEST:
            raise LimitError(f"the recording `{self.path}` is larger than 2 GiB", hint="record a shorter run")
        try:
            if self._older:
                self._held.append(line)
                if entry.get("do", "script") == "script":
                    return
                os.ftruncate(self._fd, 0)
                os.lseek(self._fd, 0, os.SEEK_SET)
                os.chmod(self.path, 0o600)
                self._older, line = False, b"".join(self._held)
            while line:  # a disk that is nearly full takes a part
                line = line[os.write(self._fd, line) :]
        except OSError as error:
            raise _unwritable(self.path, error) from error

    def close(self) -> None:
        """Safe to call twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def _unwritable(path: str, error: OSError) -> LLMSpellError:
    why = (error.strerror or type(error).__name__).lower()
    return ConfigError(f"the recording `{path}` cannot be written: {why}", hint="free some space, or name another file")


def read(path: str) -> tuple[Entry, list[Entry]]:
    """A recording's head and its entries. A last line that was cut off is left out: the run was killed there.

    Raises NotFoundError, and ValidationError for what is no recording, or one of another version.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(1)
            if text == b"{":  # nothing else is a recording, and it may have no end
                text += file.read(LARGEST)
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no recording `{path}`", hint="make one with `--record FILE`") from error
    except OSError as error:
        raise NotFoundError(f"the recording `{path}` cannot be read: {error.strerror}") from error
    lines = text.split(b"\n")
    cut = lines.pop()  # empty, if the last line was ended
    if not lines and cut:
        lines = [cut]
    head = _parsed(path, 1, lines[0] if lines else b"")
    if head.get("recording") != "llmspell":
        raise _broken(path, 1, "this is no recording of llmspell's")
    if head.get("version") != VERSION:
        version = one_line(str(head.get("version")), 20)
        raise ValidationError(
            f"the recording `{path}` has version {version}, and version {VERSION} is read",
            hint="record again with this version of llmspell",
        )
    started = head.get("started")
    names = (head.get("model"), head.get("provider"))
    if not isinstance(started, int | float) or not all(name is None or isinstance(name, str) for name in names):
        raise _broken(path, 1, "`started`, `model` or `provider` is missing, or of the wrong kind")
    limits = head.get("limits", {})
    if not isinstance(limits, dict) or not all(_is_limit(name, value) for name, value in limits.items()):
        raise _broken(path, 1, "`limits` are no limits")
    entries = [_entry(path, number, line) for number, line in enumerate(lines[1:], 2)]
    return head, entries


def _entry(path: str, number: int, line: bytes) -> Entry:
    entry = _parsed(path, number, line)
    fields = _FIELDS.get(str(entry.get("do")))
    if fields is None:
        raise _broken(path, number, f"`do` is {one_line(str(entry.get('do')), 40)}")
    for name, kind in fields.items():
        value = entry.get(name)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise _broken(path, number, f"`{name}` is missing, or of the wrong kind")
    if entry["do"] == "data":
        try:
            as_bytes(entry)
        except ValueError:
            raise _broken(path, number, "`text` or `base64` is missing") from None
    if entry["do"] == "head" and not _is_headers(entry["headers"]):
        raise _broken(path, number, "a header is no text")
    if entry["do"] == "provider" and not _is_headers(entry["settings"].get("headers", {})):
        raise _broken(path, number, "`settings.headers` are no headers")
    if entry["do"] == "values" and not all(_is_value(entry["of"], value) for value in entry["values"]):
        raise _broken(path, number, f"a value of `{one_line(entry['of'], 40)}` is of the wrong kind")
    return entry


def _is_limit(name: str, value: Any) -> bool:
    return name in LIMITS and (type(value) is int or (type(value) is float and name == "max_cost_usd")) and value >= 0


def _is_headers(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _is_value(source: str, value: Any) -> bool:
    """Whether *value* may have been read of *source*."""
    if source == "stream_id":
        return isinstance(value, str)
    if source in ("os.time", "os.clock", "Run.clock", "chance"):
        return isinstance(value, int | float) and not isinstance(value, bool)
    if source == "seed":
        return isinstance(value, list) and len(value) == 2 and all(type(one) is int for one in value)
    if isinstance(value, dict):
        try:
            as_bytes(value)
        except ValueError:
            return False
    return not isinstance(value, list)


def _parsed(path: str, number: int, line: bytes) -> Entry:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        entry = None
    if not isinstance(entry, dict):
        raise _broken(path, number, "this is no JSON object" if number > 1 else "this is no recording of llmspell's")
    return entry


def _broken(path: str, number: int, what: str) -> ValidationError:
    return ValidationError(
        f"the recording `{path}` cannot be read, line {number}: {what}", hint="record again with `--record FILE`"
    )
