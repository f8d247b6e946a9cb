"""How a workflow runs: its steps in their order, their attempts, what they hand on, and how all of it ends."""

from __future__ import annotations

import asyncio
import math
from contextlib import nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from llmspell.errors import (
    LimitError,
    LLMSpellError,
    NotFoundError,
    PermissionDeniedError,
    RunCancelledError,
    ValidationError,
    WorkflowError,
    one_line,
)
from llmspell.utils.async_utils import retry_async
from llmspell.workflows.frame import LARGEST, LARGEST_STATE, Bounds, Frame, merge
from llmspell.workflows.runner import as_state
from llmspell.workflows.steps import StepResult, WorkflowResult
from llmspell.workflows.templates import SAID, fill, fill_arguments, fill_said, text_of
from llmspell.workflows.workflow import MOST_ROUNDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmspell.workflows.runner import Runner
    from llmspell.workflows.steps import Branch, Step
    from llmspell.workflows.workflow import Workflow

__all__ = ["execute"]

DEEPEST = 16  # workflows within workflows
#: How many are around what runs here. A function of a step's, or a tool's, that executes a workflow is within them too.
_around: ContextVar[int] = ContextVar("workflows_around", default=0)
#: Kinds of errors that another attempt would meet again.
FOR_GOOD = frozenset(
    {"auth", "config", "content_filter", "context_length", "internal", "not_found", "not_supported"}
    | {"permission", "quota", "validation"}
)
OLDER = frozenset(("success", "output", "error", "message", "metadata"))  # what older functions' results have
#: What a step's failure cannot stand for: the run is over, or may not go on so.
FINAL = (LimitError, RunCancelledError)


def _told(error: Exception) -> dict[str, Any]:
    """A failure, for a step's `error`."""
    if isinstance(error, LLMSpellError):
        told = error.to_dict()
        told.pop("traceback", None)
        return {name: value for name, value in told.items() if value is not None}
    return {"kind": "script", "message": _message(error), "retryable": False}


def _message(error: Exception) -> str:
    if isinstance(error, LLMSpellError):
        return error.message
    return one_line(f"{type(error).__name__}: {error}", 1000)


def _may_pass(error: BaseException) -> bool:
    return not isinstance(error, FINAL) and getattr(error, "kind", "script") not in FOR_GOOD


class _Execution:
    """One run of one workflow."""

    def __init__(self, flow: Workflow, runner: Runner, bounds: Bounds) -> None:
        self.flow, self.runner, self.bounds = flow, runner, bounds
        self.failed = False  # whether a step did that the workflow goes on without
        self.iterations: int | None = None
        self.capped = False
        self.branch: str | None = None

    # ---- the shapes

    async def sequence(self, steps: Iterable[Step], frame: Frame) -> Any:
        """The last result."""
        result = None
        for step in steps:
            done = frame.steps[step.name] = await self.step(step, frame)
            if not done.skipped:
                result = done.result
                if done.error is None:
                    frame.last = done.result
        return result

    async def parallel(self, steps: Sequence[Step], frame: Frame) -> dict[str, Any]:
        """The results by name."""
        most = self.flow.max_concurrency
        places: Any = asyncio.Semaphore(most) if most else nullcontext()
        forks = [frame.fork() for _ in steps]

        async def one(step: Step, fork: Frame) -> StepResult:
            async with places:
                return await self.step(step, fork)

        tasks = [asyncio.create_task(one(*pair)) for pair in zip(steps, forks, strict=True)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done() and task.cancelled():
                    raise RunCancelledError("a step was cancelled")
                if task.done() and (error := task.exception()) is not None:
                    raise error
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self.bounds.check_states((fork.state for fork in forks), LARGEST)
        before = frame.state
        for step, task, fork in zip(steps, tasks, forks, strict=True):
            frame.steps[step.name] = task.result()
            frame.state = merge(frame.state, before, fork.state)
        return {step.name: task.result().result for step, task in zip(steps, tasks, strict=True)}

    async def conditional(self, branches: Sequence[Branch], frame: Frame) -> Any:
        """The result of the branch that ran, after steps that run in any case."""
        await self.sequence(self.flow.steps, frame)
        chosen = None
        for branch in branches:
            if branch.condition is None:
                chosen = chosen or branch
            elif await self.holds(branch.condition, frame, None):
                chosen = branch
                break
        if chosen is None:
            return None
        self.branch = chosen.name
        return await self.sequence(chosen.steps, frame)

    async def loop(self, frame: Frame) -> list[Any]:
        """The last result of each round."""
        flow, rounds = self.flow, self.flow.rounds
        assert rounds is not None
        items = None if rounds.kind == "while" else self._items(frame)
        results: list[Any] = []
        self.iterations = 0
        while items is None or self.iterations < len(items):
            frame.loop = {"index": self.iterations + 1}
            if items is not None:
                frame.loop["item"] = frame.last = items[self.iterations]
            elif not await self.holds(rounds.over, frame, None):
                break
            if self.iterations >= (flow.max_iterations or MOST_ROUNDS):
                self._check_rounds(self.iterations + 1)
                self.capped = True
                break
            self.iterations += 1
            results.append(await self.sequence(flow.steps, frame))
            if flow.break_when is not None and await self.holds(flow.break_when, frame, None):
                break
            await asyncio.sleep(0)  # steps that wait for nothing leave others no turn
        return results

    def _check_rounds(self, count: int) -> None:
        if self.flow.max_iterations is None and count > MOST_ROUNDS:
            raise LimitError(
                f"workflow `{one_line(self.flow.name, 60)}` loops more than {MOST_ROUNDS} times",
                hint="end it earlier: `max_iterations`, `break_when`",
                limit="workflow_iterations",
                value=MOST_ROUNDS,
            )

    def _items(self, frame: Frame) -> Sequence[Any]:
        rounds = self.flow.rounds
        assert rounds is not None
        where = f"workflow `{one_line(self.flow.name, 60)}`"
        found = fill(rounds.over, frame.look)
        if rounds.kind == "range":
            return self._range(found, where)
        if found == {}:
            found = []  # an empty table may be either
        if not isinstance(found, list | tuple):
            raise ValidationError(f"{where}: the collection that it loops over is no list")
        self._check_rounds(len(found))
        return found

    def _range(self, found: Any, where: str) -> list[Any]:
        first, last, step = (*found, 1)[:3] if isinstance(found, list | tuple) and len(found) > 1 else (None, None, 1)
        for number in (first, last, step):
            if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
                raise ValidationError(f"{where}: a range is a first and a last number, and a step")
        if step == 0:
            raise ValidationError(f"{where}: the step of its range is 0")
        if isinstance(first, int) and isinstance(last, int) and isinstance(step, int):
            count = max(0, (last - first) // step + 1)
        else:
            count = max(0, math.floor(min((last - first) / step, 1e9) + 1e-9) + 1)
        self._check_rounds(count)
        return [first + index * step for index in range(min(count, MOST_ROUNDS + 1))]

    # ---- a step

    async def step(self, step: Step, frame: Frame) -> StepResult:
        """What becomes of it. Raises where it fails and may not."""
        self.bounds.count_run()
        on_error = step.on_error or self.flow.on_error
        began, attempts = self.runner.clock.now(), 0
        token = self.runner.step_started(self.flow, step)
        done = StepResult(False, error={"kind": "cancelled", "message": "it was given up", "retryable": False})

        async def attempt() -> tuple[Any, Any, StepResult | None]:
            nonlocal attempts
            attempts += 1
            async with self.runner.within(step.timeout, f"step `{one_line(step.name, 60)}`"):
                return await self._do(step, frame)

        def again(number: int, wait: float, error: BaseException) -> None:
            self.runner.step_retried(token, step, number, wait, error)

        def spent() -> float:
            return round((self.runner.clock.now() - began) * 1000, 3)

        try:
            if step.condition is not None and not await self.holds(step.condition, frame, step):
                done = StepResult(True, duration_ms=spent(), skipped=True)
                return done
            policy = step.policy(on_error)
            result, state, nested = await retry_async(
                attempt, policy=policy, retryable=_may_pass, on_retry=again, clock=self.runner.clock
            )
            self.bounds.count_result(result)
            if state is not frame.state:
                self.bounds.check_states([state], LARGEST_STATE)
            frame.state = state
            done = (nested or StepResult(True))._replace(result=result, duration_ms=spent(), attempts=attempts)
            self.failed = self.failed or not done.success
        except Exception as error:
            done = StepResult(False, None, _told(error), spent(), attempts)
            if isinstance(error, FINAL) or on_error in ("fail", "retry"):
                failure = self._failure(step, error)
                if failure is error:
                    raise
                raise failure from error
            self.failed = self.failed or on_error == "continue"
        finally:
            self.runner.step_ended(token, step, done)
        return done

    async def _do(self, step: Step, frame: Frame) -> tuple[Any, Any, StepResult | None]:
        """Result, state, and of a nested workflow its success and its steps."""
        if step.kind == "tool":
            return await self._tool(step, frame), frame.state, None
        if step.kind == "agent":
            return await self.runner.agent(step.target, self._words(step, frame)), frame.state, None
        given = fill(step.input, frame.look)
        if step.kind == "function":
            where = f"step `{one_line(step.name, 60)}`"
            found, state = await self.runner.function(step.target, frame.context(self.flow, step, given))
            return _function_result(found), as_state(state, where), None
        inner = await execute(
            self.runner.workflow(step.target),
            frame.input if step.input is None else given,
            self.runner,
            state=frame.state,
            bounds=self.bounds,
        )
        return inner.result, inner.state, StepResult(inner.success, steps=inner.steps)

    async def _tool(self, step: Step, frame: Frame) -> Any:
        given = step.input
        if isinstance(given, dict):
            try:
                tool = self.runner.find_tool(step.target)
            except NotFoundError:  # running it says so, unless the runner knows more
                tool = None
            arguments = fill_arguments(given, frame.look, tool)
        else:
            arguments = fill(given, frame.look) or {}
        if not isinstance(arguments, dict):
            raise ValidationError(f"step `{one_line(step.name, 60)}`: the `input` of a tool is a table")
        return await self.runner.tool(step.target, arguments)

    def _words(self, step: Step, frame: Frame) -> Any:
        """What an agent is given."""
        given = fill_said(step.input, frame.look)
        if step.input is None:
            given = frame.last
            if not (given is frame.input and isinstance(given, dict) and given.keys() & SAID):
                given = text_of(given)
        if given is None or given == "":
            raise ValidationError(
                f"step `{one_line(step.name, 60)}` has nothing to say to its agent", hint="give it an `input`"
            )
        return given

    async def holds(self, condition: Any, frame: Frame, step: Step | None) -> bool:
        """Whether a condition does."""
        if isinstance(condition, bool):
            return condition
        if isinstance(condition, str):
            return _is_true(fill(condition, frame.look))
        return await self.runner.holds(condition, frame.context(self.flow, step))

    def _failure(self, step: Step, error: Exception) -> Exception:
        """What is raised for a step that failed with *error*."""
        path = step.name
        if isinstance(error, LLMSpellError) and isinstance(error.step, str):
            path = f"{path}/{error.step}"
        if isinstance(error, (*FINAL, PermissionDeniedError)):  # more is known by its kind than by ours
            error.context["step"] = path
            return error
        kept: dict[str, Any] = {"reason": _message(error), "reason_kind": getattr(error, "kind", "script")}
        hint, retryable = None, False
        if isinstance(error, LLMSpellError):
            hint, retryable = error.hint, error.retryable
            kept |= error.context
        kept["step"] = path
        message = f"workflow `{one_line(self.flow.name, 60)}`: step `{one_line(path, 120)}` failed: {kept['reason']}"
        return WorkflowError(one_line(message, 2000), hint=hint, retryable=retryable, **kept)


def _function_result(found: Any) -> Any:
    """A function's value, or that of `{success, output}` as older functions give it. Raises where it says it failed."""
    if not (isinstance(found, dict) and isinstance(found.get("success"), bool) and found.keys() <= OLDER):
        return found
    if not found["success"]:
        why = next((found[name] for name in ("error", "message", "output") if found.get(name)), "it says so itself")
        raise WorkflowError(one_line(text_of(why), 1000))
    return found.get("output")


def _is_true(value: Any) -> bool:
    """Whether a placeholder's value counts as true: not nil, false, 0, nothing, and the words for them."""
    if isinstance(value, str):
        return value.strip().lower() not in ("", "false", "no", "0", "nil", "null")
    return bool(value)


def _text(flow: Workflow, result: Any) -> str:
    """The text of a workflow's result: the last round's of a loop, all of parallel steps."""
    try:
        if flow.kind == "loop":
            return text_of(result[-1]) if result else ""
        if flow.kind == "parallel":
            return "\n\n".join(text for text in map(text_of, result.values()) if text)
        return text_of(result)
    except ValidationError:  # bytes
        return ""


async def execute(
    flow: Workflow,
    input: Any,
    runner: Runner,
    *,
    state: dict[Any, Any] | None = None,
    bounds: Bounds | None = None,
) -> WorkflowResult:
    """Runs a workflow; see Workflow.execute. state: what its steps find."""
    around = _around.get()
    if around >= DEEPEST:
        raise LimitError(
            f"workflows are nested more than {DEEPEST} deep",
            hint="does one contain itself, or does a step's function execute the workflow that it is in?",
            limit="workflow_depth",
        )
    token = _around.set(around + 1)
    try:
        return await _execute(flow, runner, bounds or Bounds(), Frame(input, state if state is not None else {}))
    finally:
        _around.reset(token)


async def _execute(flow: Workflow, runner: Runner, bounds: Bounds, frame: Frame) -> WorkflowResult:
    one, began = _Execution(flow, runner, bounds), runner.clock.now()
    async with runner.within(flow.timeout, f"workflow `{one_line(flow.name, 60)}`"):
        if flow.kind == "sequential":
            result = await one.sequence(flow.steps, frame)
        elif flow.kind == "parallel":
            result = await one.parallel(flow.steps, frame)
        elif flow.kind == "conditional":
            result = await one.conditional(flow.branches, frame)
        else:
            result = await one.loop(frame)
    return WorkflowResult(
        text=_text(flow, result),
        success=not one.failed,
        steps=frame.steps,
        result=result,
        iterations=one.iterations,
        capped=one.capped,
        branch=one.branch,
        state=frame.state,
        duration_ms=round((runner.clock.now() - began) * 1000, 3),
    )
