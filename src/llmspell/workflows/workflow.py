"""A workflow: steps, and the order in which they run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import ValidationError, one_line
from llmspell.workflows.steps import Branch, Step, check_condition, check_on_error, check_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmspell.workflows.runner import Runner
    from llmspell.workflows.steps import WorkflowResult

__all__ = ["KINDS", "MOST_ROUNDS", "MOST_STEPS", "Rounds", "Workflow"]

KINDS = ("sequential", "parallel", "conditional", "loop")
MOST_STEPS = 1000  # of one workflow
MOST_ROUNDS = 10_000  # of a loop that names no `max_iterations`, and the most that it may name


class Rounds(NamedTuple):
    """How often a loop's body runs: once for each of a range or a collection, or while a condition holds.

    kind: "range" (first, last and step), "collection" (a list, or a placeholder that stands for one), or "while".
    """

    kind: str
    over: Any


class Workflow:
    """Steps that run one after the other, at once, where a condition holds, or again and again.

        flow = Workflow.sequential("report", [
            Step("draft", agent=writer, input="Write about {{input.topic}}"),
            Step("polish", agent=editor, input="Polish: {{step.draft.result}}"),
        ])
        done = await flow.execute({"topic": "rivers"})

    A workflow is not changed by being run, and may run many times at once. timeout: seconds for the whole of it.
    on_error: of steps that say nothing of their own, see steps.ON_ERROR. max_concurrency: parallel steps at once, None
    without bound. Raises ValidationError for what cannot be run: no steps, two of one name, a condition that is none.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        *,
        steps: Iterable[Step] = (),
        branches: Iterable[Branch] = (),
        rounds: Rounds | None = None,
        description: str = "",
        max_concurrency: int | None = None,
        timeout: float | None = None,
        on_error: str | None = None,
        max_iterations: int | None = None,
        break_when: Any = None,
    ) -> None:
        shown = f"workflow `{one_line(name, 60)}`"
        if kind not in KINDS:
            raise ValidationError(f"{shown}: `{one_line(kind, 40)}` is no kind", hint=f"there are {', '.join(KINDS)}")
        self.name, self.kind, self.description = name, kind, description
        self.steps, self.rounds = tuple(steps), rounds
        self.branches = tuple(
            one if one.condition is None else one._replace(condition=check_condition(one.condition, shown))
            for one in branches
        )
        self.max_concurrency, self.max_iterations = max_concurrency, max_iterations
        self.timeout = check_seconds(timeout, shown)
        self.on_error = check_on_error(on_error, shown) or "fail"
        self.break_when = None if break_when is None else check_condition(break_when, shown)
        for what, count, most in (
            ("max_concurrency", max_concurrency, MOST_STEPS),
            ("max_iterations", max_iterations, MOST_ROUNDS),
        ):
            if count is not None and not (type(count) is int and 0 < count <= most):
                raise ValidationError(f"{shown}: `{what}` must be a whole number from 1 to {most}")
        self._check_shape(shown)
        self._check_names(shown)

    def _check_shape(self, shown: str) -> None:
        if self.kind == "conditional":
            if not self.branches:
                raise ValidationError(f"{shown} has no branches", hint="add steps to run where its condition holds")
            if sum(branch.condition is None for branch in self.branches) > 1:
                raise ValidationError(f"{shown} has two branches without a condition", hint="one is the default")
        elif not self.steps:
            raise ValidationError(f"{shown} has no steps", hint="add some: `:add_step{ name = …, … }`")
        if (self.kind == "loop") != (self.rounds is not None):
            raise ValidationError(
                f"{shown} does not say how often its steps run" if self.kind == "loop" else f"{shown} is no loop",
                hint="a loop takes just one of a range, a collection and a condition",
            )

    def _check_names(self, shown: str) -> None:
        groups = [[step.name for step in steps] for steps in (self.steps, *(one.steps for one in self.branches))]
        named = [("steps", names) for names in groups] + [("branches", [branch.name for branch in self.branches])]
        for what, names in named:
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValidationError(f"{shown} has two {what} of the name `{one_line(twice, 60)}`")
        if sum(map(len, groups)) > MOST_STEPS or len(self.branches) > MOST_STEPS:
            raise ValidationError(f"{shown} has more than {MOST_STEPS} steps or branches")

    def __repr__(self) -> str:
        return f"<{self.kind} workflow {self.name}>"

    def step_names(self) -> list[str]:
        """Of all its steps, each once, in the order in which they were added."""
        groups = (self.steps, *(branch.steps for branch in self.branches))
        return list(dict.fromkeys(step.name for steps in groups for step in steps))

    # ---- making one

    @classmethod
    def sequential(cls, name: str, steps: Sequence[Step], **options: Any) -> Workflow:
        """One after the other."""
        return cls(name, "sequential", steps=steps, **options)

    @classmethod
    def parallel(cls, name: str, steps: Sequence[Step], **options: Any) -> Workflow:
        """At once, at most `max_concurrency`. The first that fails ends the others, unless its `on_error` says else."""
        return cls(name, "parallel", steps=steps, **options)

    @classmethod
    def conditional(cls, name: str, branches: Sequence[Branch], **options: Any) -> Workflow:
        """The first branch whose condition holds; the one without a condition where none does.

        options: also steps, which run before a condition is looked at.
        """
        return cls(name, "conditional", branches=branches, **options)

    @classmethod
    def loop(
        cls, name: str, steps: Sequence[Step], *, range: Any = None, collection: Any = None, while_: Any = None,
        **options: Any,
    ) -> Workflow:  # fmt: skip
        """Again and again. Takes just one of range (first, last[, step]), collection (a list) and while_ (a condition).

        options: also max_iterations, at which it ends, and break_when, a condition that ends it after a round.
        """
        found = [(k, v) for k, v in (("range", range), ("collection", collection), ("while", while_)) if v is not None]
        if len(found) != 1:
            says = "nothing" if not found else " and ".join(kind for kind, _ in found)
            raise ValidationError(
                f"workflow `{one_line(name, 60)}` loops over {says}",
                hint="a loop takes just one of a range, a collection and a condition (while)",
            )
        kind, over = found[0]
        if kind == "while":
            over = check_condition(over, f"workflow `{one_line(name, 60)}`")
        return cls(name, "loop", steps=steps, rounds=Rounds(kind, over), **options)

    # ---- running it

    async def execute(
        self, input: Any = None, *, runner: Runner | None = None, state: dict[Any, Any] | None = None
    ) -> WorkflowResult:
        """Runs it. input: plain data, for `{{input.x}}`. runner: how steps are run; see Runner. state: what they find.

        Raises WorkflowError, with `step`, for a step that fails and may not; LimitError, CallTimeoutError. Cancelled,
        it ends what runs, and leaves nothing.
        """
        from llmspell.workflows.engine import execute
        from llmspell.workflows.runner import Runner

        return await execute(self, input, runner or Runner(), state=state)
