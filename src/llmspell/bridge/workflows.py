"""Workflows of scripts: made from what a script says, run with what its run has."""

from __future__ import annotations

import asyncio
from logging import DEBUG, WARNING
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.bridge.api import BRANCH, CONDITIONAL, LOOP, PARALLEL, SEQUENTIAL, STEP, check
from llmspell.errors import ValidationError, one_line
from llmspell.utils import logs
from llmspell.utils.async_utils import Clock
from llmspell.workflows.runner import Runner, plain_result
from llmspell.workflows.steps import Branch, Step
from llmspell.workflows.workflow import Workflow

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run
    from llmspell.tools.base import Tool
    from llmspell.workflows.steps import StepContext, StepResult

__all__ = ["FIELDS", "ScriptRunner", "made"]

#: What `Workflow.sequential{…}` and its like take.
FIELDS = {"sequential": SEQUENTIAL, "parallel": PARALLEL, "conditional": CONDITIONAL, "loop": LOOP}
TYPES = {"custom": "function"}  # older words
STRATEGIES = {"fail_fast": "fail", "stop": "fail", "ignore": "continue"}
TARGETS = ("tool", "agent", "function", "workflow")


class Lent(NamedTuple):
    """A function of the script's, by its number."""

    function: int


class Handle(NamedTuple):
    """An agent or a workflow of the script's, by its number."""

    number: int


class Kept(NamedTuple):
    """An older condition: whether the workflow's state, else `State`, has that under a key."""

    key: str
    expected: Any


# ---- from tables


def _first(told: dict[str, Any], *names: str) -> Any:
    return next((told[name] for name in names if told.get(name) is not None), None)


def _seconds(told: dict[str, Any]) -> float | None:
    if told.get("timeout") is None and told.get("timeout_ms") is not None:
        return float(told["timeout_ms"]) / 1000
    timeout: float | None = told.get("timeout")
    return timeout


def _on_error(told: dict[str, Any]) -> str | None:
    word: str | None = _first(told, "on_error", "error_strategy")
    return None if word is None else STRATEGIES.get(word, word)


def _condition(given: Any, function: str, where: str) -> Any:
    if not isinstance(given, dict):
        return given
    if "lent" in given:
        return Lent(given["lent"])
    kind = given.get("type")
    if kind in ("always", "never"):
        return kind == "always"
    if kind == "shared_data_equals" and isinstance(given.get("key"), str):
        return Kept(given["key"], _first(given, "expected", "expected_value", "value"))
    raise ValidationError(
        f"`{function}`: `{where}` is no condition", hint="write it as a function, or as `{{input.name}}`"
    )


def _target(told: dict[str, Any], function: str, where: str) -> dict[str, Any]:
    """What a step runs, as Step takes it."""
    kind = TYPES.get(told.get("type", ""), told.get("type"))
    if kind is not None and kind not in TARGETS:
        raise ValidationError(
            f"`{function}`: `{where}.type` is `{one_line(kind, 40)}`", hint=f"it takes {', '.join(TARGETS)}, custom"
        )
    found: dict[str, Any] = {}
    if kind == "tool" and told.get("tool") is None and told.get("name") is not None:
        found["tool"] = told["name"]  # as older scripts name it
    for name in ("tool", "agent", "workflow"):
        given = told.get(name)
        if given is not None:
            found[name] = Handle(given[name]) if isinstance(given, dict) else given
    run = _first(told, "run", "execute")
    if run is not None:
        found["run"] = Lent(run["lent"])
    if kind is not None and list(found) != ["run" if kind == "function" else kind]:
        field = "run" if kind == "function" else kind
        raise ValidationError(f"`{function}`: `{where}` of type `{kind}` takes `{field}`", hint=STEP[field][1])
    return found


def _step(given: Any, function: str, where: str) -> Step:
    told = check(function, STEP, given, where)
    name = told.get("name")
    if name is None:
        raise ValidationError(f"`{function}`: `{where}.name` is missing", hint=STEP["name"][1])
    condition = told.get("condition")
    return Step(
        name,
        **_target(told, function, where),
        input=_first(told, "input", "parameters", "params"),
        condition=None if condition is None else _condition(condition, function, f"{where}.condition"),
        timeout=_seconds(told),
        retry=told.get("retry"),
        on_error=_on_error(told),
    )


def _steps(given: Any, function: str, where: str) -> list[Step]:
    if given is None or given == {}:
        return []
    if isinstance(given, dict):  # one step alone, as older scripts have it in branches
        if isinstance(given.get("steps"), list):
            return _steps(given["steps"], function, f"{where}.steps")
        given = [given]
    if not isinstance(given, list):
        raise ValidationError(f"`{function}`: `{where}` must be a list of steps")
    return [_step(one, function, f"{where}[{index}]") for index, one in enumerate(given, 1)]


def _branches(told: dict[str, Any], function: str) -> list[Branch]:
    found: list[Branch] = []
    then, other = _first(told, "then_steps", "then_branch"), _first(told, "else_steps", "else_branch")
    condition = told.get("condition")
    if (condition is None) != (then is None and other is None):
        missing = "condition" if condition is None else "then_steps"
        raise ValidationError(f"`{function}`: `{missing}` is missing", hint=CONDITIONAL[missing][1])
    if condition is not None:
        found.append(Branch("then", _steps(then, function, "then_steps"), _condition(condition, function, "condition")))
    for index, given in enumerate(told.get("branches") or (), 1):
        where = f"branches[{index}]"
        one = check(function, BRANCH, given, where)
        condition = one.get("condition")
        if (condition is None) != bool(one.get("default")):
            raise ValidationError(
                f"`{function}`: `{where}` needs a condition, or `default = true`", hint=BRANCH["condition"][1]
            )
        holds = None if condition is None else _condition(condition, function, f"{where}.condition")
        name = one.get("name", "default" if holds is None else f"branch-{index}")
        found.append(Branch(name, _steps(one.get("steps"), function, f"{where}.steps"), holds))
    if other is not None:
        found.append(Branch("else", _steps(other, function, "else_steps")))
    default = told.get("default_branch")
    if default is not None:
        name = default.get("name", "default") if isinstance(default, dict) and "steps" in default else "default"
        found.append(Branch(name, _steps(default, function, "default_branch")))
    return found


def _rounds(told: dict[str, Any], function: str) -> dict[str, Any]:
    iterator = told.get("iterator") or {}
    unknown = iterator.keys() - {"range", "collection", "while_condition"}
    if unknown:
        check(function, {name: LOOP[name] for name in ("range", "collection", "while_condition")}, iterator, "iterator")
    told = {**told, **iterator}
    found: dict[str, Any] = {"range": told.get("range"), "collection": told.get("collection")}
    if isinstance(found["range"], dict):
        by_name = found["range"]
        numbers = [_first(by_name, *names) for names in (("start", "first"), ("end", "last"), ("step",))]
        found["range"] = numbers if numbers[2] is not None else numbers[:2]
    condition = _first(told, "while", "while_condition")
    found["while_"] = None if condition is None else _condition(condition, function, "while")
    if told.get("break_when") is not None:
        found["break_when"] = _condition(told["break_when"], function, "break_when")
    return found


def made(run: Run, kind: str, given: dict[str, Any], function: str) -> Workflow:
    """The workflow that a script describes. Raises ValidationError, which names *function* and the field."""
    told = check(function, FIELDS[kind], given)
    name = told.get("name", f"workflow-{len(run.workflows) + 1}")
    options = {
        "description": told.get("description", ""),
        "timeout": _seconds(told),
        "on_error": _on_error(told),
    }
    if kind == "conditional":
        before = _steps(told.get("steps"), function, "steps")
        return Workflow.conditional(name, _branches(told, function), steps=before, **options)
    steps = _steps(_first(told, "steps", "body"), function, "steps")
    if kind == "loop":
        options["max_iterations"] = told.get("max_iterations")
        return Workflow.loop(name, steps, **_rounds(told, function), **options)
    if kind == "parallel":
        return Workflow.parallel(name, steps, max_concurrency=told.get("max_concurrency"), **options)
    return Workflow.sequential(name, steps, **options)


# ---- running them


class ScriptRunner(Runner):
    """Runs steps with the agents, tools and functions of a script's run."""

    def __init__(self, run: Run) -> None:
        super().__init__(clock=Clock() if run.tape is None else run.tape.clock())
        self.run = run

    async def tool(self, target: Any, arguments: Any) -> Any:
        run, tool = self.run, self.find_tool(target)
        task, driver = asyncio.current_task(), run.driver
        if run.tape is None or driver is None or task is None:
            return plain_result(await tool.execute(arguments, run.tool_context()), tool.name)
        driver.real_work.add(task)  # a replay waits for what it has nothing of
        try:
            return plain_result(await tool.execute(arguments, run.tool_context()), tool.name)
        finally:
            driver.real_work.discard(task)

    def find_tool(self, target: Any) -> Tool:
        return self.run.tools.get(target)

    async def agent(self, target: Any, given: Any) -> Any:
        if isinstance(target, str):
            self._named(self.run.agents_by_name, target, "agent")
            target = Handle(self.run.agents_by_name[target])
        done = await self.run.call("agent:execute", [target.number, given])
        return done["text"] if done.get("data") is None else done["data"]

    async def function(self, target: Any, context: StepContext) -> tuple[Any, Any]:
        values = [*await self.run.upcalls.call(target.function, context.to_dict()), None, None]
        return values[0], values[1]

    async def holds(self, condition: Any, context: StepContext) -> bool:
        if isinstance(condition, Kept):
            if condition.key in context.state:
                return bool(context.state[condition.key] == condition.expected)
            found = await asyncio.to_thread(self.run.state.get, "global", condition.key)
            return bool(found.value == condition.expected)
        found, _ = await self.function(condition, context)
        return bool(found)

    def workflow(self, target: Any) -> Workflow:
        if isinstance(target, str):
            self._named(self.run.workflows_by_name, target, "workflow")
            target = Handle(self.run.workflows_by_name[target])
        return self.run.workflows[target.number]

    def step_started(self, workflow: Workflow, step: Step) -> str:
        self.run.steps += 1
        number = str(self.run.steps)
        if self.run.observer is not None:
            self.run.observer.step_started(number, workflow.name, step.name, step.kind)
        return number

    def step_retried(self, token: Any, step: Step, attempt: int, wait: float, error: BaseException) -> None:
        told = f"step {one_line(step.name, 60)}: {one_line(str(error), 500)}; attempt {attempt} in {wait:.3g} s"
        self.run.note("warn", told, None)
        about = {"step": step.name, "attempt": attempt, "wait": wait}
        logs.tell("workflows", WARNING, "step retried", {**about, **logs.error_fields(error)})

    def step_ended(self, token: Any, step: Step, done: StepResult) -> None:
        logs.tell(
            "workflows", DEBUG, "step ended", {"step": step.name, "success": done.success, "ms": done.duration_ms}
        )
        if self.run.observer is not None:
            told = done._replace(result=None, steps=None).to_dict()
            self.run.observer.step_ended(token, {name: value for name, value in told.items() if value is not None})

    def timer(self, seconds: float, fire: Callable[[], object]) -> Callable[[], object]:
        if self.run.tape is not None:
            return self.run.tape.timer(seconds, fire)
        return super().timer(seconds, fire)
