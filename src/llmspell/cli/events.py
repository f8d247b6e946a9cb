"""`--output json` and `jsonl`: what a program reads of a run.

jsonl: one object a line, each with `event`, each flushed. `start` (version, script, args), `chunk` (call, label,
chunk), `tool` (call, label, state: "start" or "end", id, name, arguments; at its end seconds, and result or error: a
tool that an agent's model called), `step` (step, workflow, name, type, state: "start" or "end"; then also success,
duration_ms, attempts, and, where they say something, error and skipped), `output` (stream, text), `error` (error),
`result` (result, usage, calls, seconds, exit_code). The last line is a `result` or an `error`; a command line that is
wrong gives an `error` alone.

json: one object at the end, `{result, output, usage, calls, seconds, exit_code}` on standard output, or `{error,
output}` on standard error. `usage` has `cost_usd` where every call has a price; else `unpriced_calls` stands beside it,
how many have none.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.bridge.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmspell.bridge.output import Sink
    from llmspell.bridge.runtime import ScriptResult
    from llmspell.errors import LLMSpellError
    from llmspell.types.messages import ToolCall
    from llmspell.types.streaming import AgentChunk

__all__ = ["VERSION", "Events", "error_json", "plain_json", "result_json"]

VERSION = 1
_UNSAFE = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8\xa9]")  # in UTF-8


def _plain(value: Any) -> Any:
    """What orjson asks of values it does not know: bytes that are no UTF-8, and the like."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return str(value)


def _plain_all(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _plain_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_all(item) for item in value]
    return _whole(value) if isinstance(value, str) else value


def _key(key: Any) -> str:
    if isinstance(key, bytes):
        return key.decode("utf-8", "replace")
    if isinstance(key, bool):
        return str(key).lower()
    return _whole(str(key))


def _whole(text: str) -> str:
    """*text* without surrogates, which stand for the bytes of arguments and paths that are no UTF-8."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def plain_json(value: Any, *, pretty: bool = False) -> bytes:
    """JSON of anything that came out of a script; keys sorted, keys that are no strings written as strings.

    But for *pretty*, one line for whoever reads lines: some break them at U+0085 or U+2028, which JSON lets stand, as
    it does the control characters from U+007F.
    """
    options = orjson.OPT_SORT_KEYS | (orjson.OPT_INDENT_2 if pretty else 0)
    try:
        data = orjson.dumps(value, default=_plain, option=options)
    except (TypeError, orjson.JSONEncodeError):
        data = orjson.dumps(_plain_all(value), default=_plain, option=options)
    if pretty or (data.isascii() and b"\x7f" not in data):
        return data
    return _UNSAFE.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), data)


def _summary(done: ScriptResult) -> dict[str, Any]:
    told = {
        "result": done.result,
        "usage": done.usage,
        "calls": done.calls,
        "seconds": round(done.seconds, 6),
        "exit_code": done.exit_code,
    }
    return {**told, "unpriced_calls": done.unpriced_calls} if done.unpriced_calls else told


def result_json(done: ScriptResult, output: bytes) -> bytes:
    """The one object of `--output json`."""
    return plain_json({**_summary(done), "output": output.decode("utf-8", "replace")})


def _told(error: LLMSpellError, python: str | None) -> dict[str, Any]:
    told = error.to_dict()
    return told if python is None else {**told, "python": python}


def error_json(error: LLMSpellError, python: str | None = None, output: bytes = b"") -> bytes:
    """The one object of `--output json` where there is an error.

    python: Python's own traceback, under that name in `error`. output: what the script wrote before, if anything.
    """
    told: dict[str, Any] = {"error": _told(error, python)}
    if output:
        told["output"] = output.decode("utf-8", "replace")
    return plain_json(told)


class _Written:
    """A sink that makes `output` events of what the script writes. A character cut between two writes stays whole."""

    def __init__(self, events: Events, stream: str) -> None:
        import codecs

        self._events, self._stream = events, stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def write(self, data: bytes, /) -> None:
        text = self._decoder.decode(data)
        if text:
            self._events.send("output", stream=self._stream, text=text)

    def flush(self) -> None:
        return None

    def end(self) -> None:
        rest = self._decoder.decode(b"", final=True)
        if rest:
            self._events.send("output", stream=self._stream, text=rest)


class Events(Observer):
    """Writes the lines of `--output jsonl` to a binary file. on_failed: called where a chunk cannot be written."""

    def __init__(self, out: Sink) -> None:
        self._out = out
        self.on_failed: Callable[[OSError], None] = lambda error: None
        self._labels: dict[str, str] = {}
        self._steps: dict[str, dict[str, Any]] = {}
        self._written: list[_Written] = []

    def send(self, event: str, **fields: Any) -> None:
        """One line. OSError where it cannot be written."""
        self._out.write(plain_json({"event": event, **fields}) + b"\n")
        self._out.flush()

    def output(self, stream: str) -> _Written:
        """The sink of one of the script's streams."""
        written = _Written(self, stream)
        self._written.append(written)
        return written

    def start(self, script: str, args: list[str]) -> None:
        """The first line."""
        self.send("start", version=VERSION, script=script, args=args)

    def call_started(self, call: str, label: str) -> None:
        self._labels[call] = label

    def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
        label = self._labels.get(call, "")
        try:
            for chunk in batch:
                self.send("chunk", call=call, label=label, chunk=chunk.to_json())
        except OSError as error:
            self.on_failed(error)

    def tool_started(self, call: str, tool: ToolCall) -> None:
        self._tool(call, tool, "start")

    def tool_ended(self, call: str, tool: ToolCall, seconds: float) -> None:
        self._tool(call, tool, "end", seconds=round(seconds, 6))

    def _tool(self, call: str, tool: ToolCall, state: str, **more: Any) -> None:
        try:
            self.send("tool", call=call, label=self._labels.get(call, ""), state=state, **tool.to_dict(), **more)
        except OSError as error:
            self.on_failed(error)

    def call_ended(self, call: str, error: BaseException | None) -> None:
        self._labels.pop(call, None)

    def step_started(self, step: str, workflow: str, name: str, kind: str) -> None:
        told = self._steps[step] = {"step": step, "workflow": workflow, "name": name, "type": kind}
        self._tell("step", state="start", **told)

    def step_ended(self, step: str, told: Mapping[str, Any]) -> None:
        self._tell("step", state="end", **self._steps.pop(step, {}), **told)

    def _tell(self, event: str, **fields: Any) -> None:
        try:
            self.send(event, **fields)
        except OSError as error:
            self.on_failed(error)

    def _end_output(self) -> None:
        for written in self._written:
            written.end()

    def result(self, done: ScriptResult) -> None:
        """The last line of a run that ended."""
        self._end_output()
        self.send("result", **_summary(done))

    def error(self, error: LLMSpellError, python: str | None = None) -> None:
        """The last line of a run that failed; *python*: Python's own traceback."""
        self._end_output()
        self.send("error", error=_told(error, python))
