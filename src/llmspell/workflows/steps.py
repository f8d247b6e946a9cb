"""What a workflow is made of: steps, branches, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import ValidationError, one_line
from llmspell.utils.async_utils import RetryPolicy
from llmspell.workflows.templates import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from llmspell.agents.agent import Agent
    from llmspell.tools.base import Tool
    from llmspell.workflows.workflow import Workflow

__all__ = ["ON_ERROR", "Branch", "Step", "StepContext", "StepResult", "WorkflowResult", "check_condition"]

#: What a step that fails does: end the workflow; count as not having been; be tried again, and then end it; or be told
#: as failed while the workflow goes on.
ON_ERROR = ("fail", "skip", "retry", "continue")
KINDS = ("tool", "agent", "function", "workflow")
WORDS = {"true": True, "always": True, "false": False, "never": False}  # conditions that are no placeholders
AGAIN = RetryPolicy(attempts=3)  # of a step whose `on_error` is "retry" and that says no more


class StepContext(NamedTuple):
    """What a function of a workflow's is called with.

    input: the workflow's. params: the step's own `input`, filled in. state: what steps hand on; write to it, and those
    that come later see it. steps: of each that has ended, `success`, `result`, `error`, `duration_ms`, `attempts`.
    loop: `index` and `item`, inside of a loop. step: the step's name, of a condition None.
    """

    input: Any
    params: Any
    state: dict[Any, Any]
    steps: dict[str, dict[str, Any]]
    loop: dict[str, Any] | None
    step: str | None
    workflow: str

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script sees them."""
        return self._asdict()


class StepResult(NamedTuple):
    """What became of a step.

    success: whether it did what it was to do; one that was not to run did. error: a failure's, as `to_dict` tells it.
    attempts: how often it was begun. skipped: its condition did not hold. steps: of a nested workflow, its own.
    """

    success: bool
    result: Any = None
    error: dict[str, Any] | None = None
    duration_ms: float = 0.0
    attempts: int = 0
    skipped: bool = False
    steps: dict[str, StepResult] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; `skipped` and `steps` only where they say something."""
        told: dict[str, Any] = {
            "success": self.success,
            "result": self.result,
            "error": self.error,
            "duration_ms": self.duration_ms,
            "attempts": self.attempts,
        }
        if self.skipped:
            told["skipped"] = True
        if self.steps is not None:
            told["steps"] = {name: one.to_dict() for name, one in self.steps.items()}
        return told


class WorkflowResult(NamedTuple):
    """What a workflow came to.

    text: of its result. success: whether no step failed, but for those that may be skipped. steps: by name; of a loop,
    those of its last round. result: the last step's; of parallel steps a table by name; of a loop a list, one item a
    round. iterations, capped: of a loop, its rounds, and whether `max_iterations` ended it. branch: of a conditional
    one, the branch that ran. state: as the last step left it.
    """

    text: str
    success: bool
    steps: dict[str, StepResult]
    result: Any = None
    iterations: int | None = None
    capped: bool = False
    branch: str | None = None
    state: dict[Any, Any] = {}  # noqa: RUF012 (a NamedTuple's default; never written to)
    duration_ms: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a script sees them."""
        told = self._asdict()
        told["steps"] = {name: one.to_dict() for name, one in self.steps.items()}
        if not self.capped:
            del told["capped"]
        return told


def check_condition(condition: Any, where: str) -> Any:
    """A condition: true or false, a function, or a placeholder. Raises ValidationError for any other text.

    It would hold whatever it says: nothing compares what stands in it.
    """
    if isinstance(condition, str) and not is_placeholder(condition):
        word = WORDS.get(condition.strip().lower())
        if word is None:
            raise ValidationError(
                f"{where}: the condition `{one_line(condition, 60)}` is no placeholder",
                hint="write it as `{{input.name}}` alone, or as a function that compares",
            )
        return word
    return condition


class Step:
    """One thing to do. Just one of tool, agent, run and workflow says what.

    name: unique in its workflow, or branch. tool: a Tool, or its name. agent: an Agent, or what the runner knows it by.
    run: a function, of a StepContext, which may be async; what it gives is the result. workflow: another Workflow.
    input: with placeholders; without it an agent is given what the step before came to, else the workflow's input.
    condition: the step runs where it holds. timeout: seconds of one attempt. retry: attempts in all, or a table as of
    RetryPolicy. on_error: one of ON_ERROR; None is as the workflow says.
    """

    __slots__ = ("condition", "input", "kind", "name", "on_error", "retry", "target", "timeout")

    def __init__(
        self,
        name: str,
        *,
        tool: Tool | str | None = None,
        agent: Agent | Any = None,
        run: Callable[[StepContext], Any] | Any = None,
        workflow: Workflow | Any = None,
        input: Any = None,
        condition: Any = None,
        timeout: float | None = None,
        retry: Mapping[str, Any] | int | None = None,
        on_error: str | None = None,
    ) -> None:
        targets = [
            (kind, one) for kind, one in zip(KINDS, (tool, agent, run, workflow), strict=True) if one is not None
        ]
        shown = one_line(name, 60)
        if not name:
            raise ValidationError("a step needs a name")
        if len(targets) != 1:
            says = "nothing" if not targets else " and ".join(kind for kind, _ in targets)
            raise ValidationError(
                f"step `{shown}` has {says} to run",
                hint="give it just one of tool, agent, run (a function) and workflow",
            )
        self.name = name
        self.kind, self.target = targets[0]
        self.input = input
        self.condition = check_condition(condition, f"step `{shown}`")
        self.timeout = check_seconds(timeout, f"step `{shown}`")
        self.on_error = check_on_error(on_error, f"step `{shown}`")
        self.retry = None if retry is None else RetryPolicy.of(retry)

    def __repr__(self) -> str:
        return f"Step({self.name!r}, {self.kind})"

    def policy(self, on_error: str) -> RetryPolicy:
        """How often it is tried, where failing does what *on_error* says."""
        if self.retry is not None:
            return self.retry
        return AGAIN if on_error == "retry" else RetryPolicy(attempts=1)


class Branch(NamedTuple):
    """Steps that run where a condition holds. condition: None is the branch that runs where no other one does."""

    name: str
    steps: Sequence[Step]
    condition: Any = None


def check_seconds(timeout: float | None, where: str) -> float | None:
    """A timeout. Raises ValidationError."""
    if timeout is not None and not (isinstance(timeout, int | float) and timeout > 0):
        raise ValidationError(f"{where}: `timeout` must be a number of seconds above 0")
    return timeout


def check_on_error(on_error: str | None, where: str) -> str | None:
    """Raises ValidationError for a word that is none."""
    if on_error is not None and on_error not in ON_ERROR:
        raise ValidationError(
            f"{where}: `on_error` is `{one_line(str(on_error), 40)}`", hint=f"it takes {', '.join(ON_ERROR)}"
        )
    return on_error
