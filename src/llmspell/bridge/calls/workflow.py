"""Host calls behind `Workflow`, workflows, and `Template`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from llmspell.bridge.workflows import FIELDS, ScriptRunner, made
from llmspell.errors import LimitError, NotFoundError, ValidationError, one_line
from llmspell.workflows.frame import LARGEST_STATE, Bounds
from llmspell.workflows.templates import render

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.bridge.run import Run

MOST_WORKFLOWS = 10_000  # of one run; each is kept until it ends, with its functions
# Executions; as many as calls of models. A step whose function executes its own workflow would go on without end.
MOST_AT_ONCE = 1024


def _told(run: Run, number: int, name: str | None = None) -> dict[str, Any]:
    flow = run.workflows[number]
    return {"id": number, "name": name or flow.name, "type": flow.kind, "description": flow.description}


def _create(kind: str, run: Run, given: dict[str, Any]) -> dict[str, Any]:
    if len(run.workflows) >= MOST_WORKFLOWS:
        raise LimitError(
            f"the script has made more than {MOST_WORKFLOWS} workflows", hint="make a workflow once and use it again"
        )
    flow = made(run, kind, given, f"Workflow.{kind}")
    number = len(run.workflows) + 1
    run.workflows[number] = flow
    run.workflows_by_name[flow.name] = number
    return _told(run, number)


def _get(run: Run, name: str) -> dict[str, Any] | None:
    number = run.workflows_by_name.get(name)
    return None if number is None else _told(run, number)


def _register(run: Run, name: Any, number: int) -> None:
    if not isinstance(name, str) or not name or len(name) > 200:
        raise ValidationError("`Workflow.register` takes a name of 1 to 200 characters first")
    if len(run.workflows_by_name) >= 2 * MOST_WORKFLOWS:
        raise LimitError(f"the script has named more than {2 * MOST_WORKFLOWS} workflows")
    run.workflows_by_name[name] = number


def _number(run: Run, name: str) -> int:
    """Of a workflow that is named. Raises NotFoundError with near names."""
    from llmspell.bridge.failures import nearest

    number = run.workflows_by_name.get(name)
    if number is None:
        near = nearest(name, run.workflows_by_name)
        raise NotFoundError(
            f"there is no workflow `{one_line(name, 80)}`",
            hint=f"did you mean `{near}`?" if near else "`Workflow.list()` names them",
        )
    return number


def _info(run: Run, number: int) -> dict[str, Any]:
    flow = run.workflows[number]
    told = {**_told(run, number), "steps": flow.step_names(), "on_error": flow.on_error}
    del told["id"]
    more = {
        "timeout": flow.timeout,
        "max_concurrency": flow.max_concurrency,
        "max_iterations": flow.max_iterations,
        "branches": [branch.name for branch in flow.branches] or None,
    }
    return told | {name: value for name, value in more.items() if value is not None}


def _set_shared(run: Run, number: int, key: Any, value: Any = None) -> None:
    if not isinstance(key, str):
        raise ValidationError("`workflow:set_shared_data` takes a key first, a string")
    states = run.workflow_states  # of all workflows, which together may not be larger than one's state
    state = {**states.get(number, {}), key: value}  # a new one: those that run keep theirs
    Bounds().check_states([*(one for other, one in states.items() if other != number), state], LARGEST_STATE)
    states[number] = state


async def _execute(run: Run, number: int, given: Any) -> dict[str, Any]:
    if run.workflows_under_way >= MOST_AT_ONCE:
        raise LimitError(
            f"more than {MOST_AT_ONCE} workflows are under way at once",
            hint="run fewer at once; or does a step's function execute the workflow that it is in?",
            limit="workflows_at_once",
        )
    run.workflows_under_way += 1
    try:
        done = await run.workflows[number].execute(
            given, runner=ScriptRunner(run), state=run.workflow_states.get(number)
        )
    finally:
        run.workflows_under_way -= 1
    return done.to_dict()


def _render(run: Run, text: Any, values: Any) -> str:
    if isinstance(text, bytes):
        raise ValidationError("`Template.render`: the text is not UTF-8")
    table: dict[Any, Any] = values if isinstance(values, dict) else dict(enumerate(values, 1))
    return render(text, table)


ASKS: dict[str, Callable[..., Any]] = {
    **{f"Workflow.{kind}": partial(_create, kind) for kind in FIELDS},
    "Workflow.get": _get,
    "Workflow.list": lambda run: sorted(run.workflows_by_name),
    "Workflow.register": _register,
    "Workflow.number": _number,
    "workflow:get_info": _info,
    "workflow:set_shared_data": _set_shared,
    "workflow:get_shared_data": lambda run, number, key: run.workflow_states.get(number, {}).get(key),
    "Template.render": _render,
}
CALLS: dict[str, Callable[..., Any]] = {"workflow:execute": _execute}
