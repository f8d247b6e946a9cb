"""What the steps of a running workflow see, and what one execution may come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.errors import LimitError
from llmspell.workflows.steps import StepContext
from llmspell.workflows.templates import look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llmspell.workflows.steps import Step, StepResult
    from llmspell.workflows.workflow import Workflow

__all__ = ["LARGEST", "LARGEST_STATE", "Bounds", "Frame", "merge"]

MOST_RUNS = 100_000  # of steps, in one execution, nested ones counted
LARGEST_STATE = 4 * 1024 * 1024  # bytes of text in a state
LARGEST = 64 * 1024 * 1024  # bytes of text in all results of one execution
_RECORD_ALONE = 2  # words of `step.NAME`


def _size(value: Any) -> int:
    """Bytes of text in *value*, and some for each value beside."""
    if isinstance(value, str | bytes):
        return 8 + len(value)
    if isinstance(value, dict):
        return 8 + sum(_size(key) + _size(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 8 + sum(map(_size, value))
    return 8


class Bounds:
    """What one execution may come to, nested workflows included."""

    def __init__(self) -> None:
        self.runs = self.bytes = 0

    def count_run(self) -> None:
        self.runs += 1
        if self.runs > MOST_RUNS:
            raise LimitError(
                f"a workflow ran more than {MOST_RUNS} steps", hint="give its loops less to do", limit="workflow_steps"
            )

    def check_states(self, states: Iterable[dict[Any, Any]], most: int) -> None:
        """Of a step, or of steps that ran together, each once."""
        if sum(_size(state) for state in {id(one): one for one in states}.values()) > most:
            raise LimitError(
                f"the state of a workflow takes more than {most // 2**20} MB",
                hint="keep less in `ctx.state`: a name in place of a file's contents",
                limit="workflow_state",
                value=most,
            )

    def count_result(self, value: Any) -> None:
        self.bytes += _size(value)
        if self.bytes > LARGEST:
            raise LimitError(
                f"the results of a workflow's steps take more than {LARGEST // 2**20} MB",
                hint="let steps hand on less: a name in place of a file's contents",
                limit="workflow_results",
            )


class Frame:
    """What steps that run one after the other see, and leave. A state is never written to: a step gives another one.

    last: what an agent is given that has no `input`.
    """

    __slots__ = ("input", "last", "loop", "state", "steps")

    def __init__(self, input: Any, state: dict[Any, Any]) -> None:
        self.input, self.state = input, state
        self.last = input
        self.steps: dict[str, StepResult] = {}
        self.loop: dict[str, Any] | None = None

    def fork(self) -> Frame:
        """For a step that runs beside others: it sees things as they are now."""
        one = Frame(self.input, self.state)
        one.steps, one.loop, one.last = dict(self.steps), self.loop, self.last
        return one

    @property
    def look(self) -> Callable[[str], Any]:
        """What gives the value that a placeholder stands for, as things are when it is first asked."""
        values: dict[str, Any] = {}

        def look(name: str) -> Any:
            if not values:
                values.update(self._values())
            if name in ("input.text", "input.prompt") and isinstance(self.input, str):
                return self.input
            found = look_up(name, values)
            words = name.replace(":", ".").split(".", 1)
            if len(words) == _RECORD_ALONE and words[0] in ("step", "steps") and words[1] in self.steps:
                return values["step"][words[1]]["result"]
            return found

        return look

    def _values(self) -> dict[str, Any]:
        records = {
            key: {"result": one.result, "output": one.result, **one.to_dict()} for key, one in self.steps.items()
        }
        values: dict[str, Any] = {"input": self.input, "step": records, "steps": records, "state": self.state}
        if self.loop is not None:
            index, item = self.loop["index"], self.loop.get("item")
            values["loop"] = {**self.loop, "iteration": index, "current_index": index}
            values["loop"] |= {"current_item": item, "current_value": item}
        given = self.input if isinstance(self.input, dict) else {}
        if isinstance(self.input, str):  # as of an agent, it stands for a table with that text
            given = {"text": self.input, "prompt": self.input}
        for source in (given, {key: one.result for key, one in self.steps.items()}):
            values |= {key: value for key, value in source.items() if isinstance(key, str) and key not in values}
        return values

    def context(self, flow: Workflow, step: Step | None, params: Any = None) -> StepContext:
        """What a function is called with."""
        steps = {name: one.to_dict() for name, one in self.steps.items()}
        name = None if step is None else step.name
        return StepContext(self.input, params, self.state, steps, self.loop, name, flow.name)


def merge(state: dict[Any, Any], before: dict[Any, Any], after: dict[Any, Any]) -> dict[Any, Any]:
    """*state* with what a step changed that began with *before* and left *after*."""
    if after is before:
        return state
    kept = {key: value for key, value in state.items() if key in after or key not in before}
    return kept | {key: value for key, value in after.items() if key not in before or before[key] != value}
