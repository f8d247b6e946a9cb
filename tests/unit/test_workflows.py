"""Workflows from Python: orders, failures, state, bounds, and that nothing is left running."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell import Agent, Step, Workflow
from llmspell.errors import (
    CallTimeoutError,
    LimitError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ToolError,
    ValidationError,
    WorkflowError,
)
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.permissions import Permissions
from llmspell.tools.registry import ToolRegistry
from llmspell.utils.async_utils import Clock
from llmspell.workflows import engine, frame, workflow
from llmspell.workflows.runner import Runner
from llmspell.workflows.steps import Branch, StepContext, StepResult

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.once


class Time(Runner):
    """A runner whose time passes when somebody waits for it."""

    def __init__(self, **options: Any) -> None:
        self.now = 100.0
        self.waits: list[float] = []
        self.timers: list[tuple[float, Callable[[], object]]] = []
        super().__init__(clock=Clock(lambda: self.now, self.sleep, lambda: 1.0), **options)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def timer(self, seconds: float, fire: Callable[[], object]) -> Callable[[], object]:
        one = (self.now + seconds, fire)
        self.timers.append(one)
        return lambda: self.timers.remove(one) if one in self.timers else None

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        for at, fire in list(self.timers):
            if at <= self.now:
                fire()


class Double(Tool):
    name = "double"
    parameters = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}  # noqa: RUF012

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        if arguments["n"] < 0:
            return ToolResult(text="no negative ones", is_error=True)
        return ToolResult({"n": arguments["n"] * 2})


def fails(error: Exception | None = None) -> Callable[[StepContext], Any]:
    def function(ctx: StepContext) -> Any:
        raise error or ValueError("no luck")

    return function


def gives(value: Any) -> Callable[[StepContext], Any]:
    return lambda ctx: value


def sequential(*steps: Step, **options: Any) -> Workflow:
    return Workflow.sequential("w", steps, **options)


# ---- shapes


async def test_steps_run_one_after_the_other_and_hand_on_what_they_have() -> None:
    done = await sequential(
        Step("one", run=lambda ctx: {"n": ctx.params}, input="{{input.n}}"),
        Step("two", run=lambda ctx: ctx.params, input={"n": "{{step.one.result.n}}", "text": "n={{one.n}}"}),
        Step("three", run=lambda ctx: ctx.steps["two"]["result"]["n"] + 1),
    ).execute({"n": 41})
    assert done.steps["two"].result == {"n": 41, "text": "n=41"}
    assert (done.text, done.result, done.success, list(done.steps)) == ("42", 42, True, ["one", "two", "three"])
    assert done.to_dict()["steps"]["one"].keys() == {"success", "result", "error", "duration_ms", "attempts"}
    assert done.to_dict().keys() == {
        "text", "success", "steps", "result", "iterations", "branch", "state", "duration_ms",
    }  # fmt: skip


async def test_tools_agents_functions_and_workflows_are_steps() -> None:
    tools = ToolRegistry()
    tools.register(Double())
    manager = ProviderManager({})
    manager.register(MockProvider())
    agent = Agent("mock", providers=manager)
    inner = Workflow.sequential("inner", [Step("twice", tool="double", input={"n": "{{input.n}}"})])
    done = await sequential(
        Step("flow", workflow=inner),
        Step("tool", tool=Double(), input={"n": "{{step.flow.result.n}}"}),
        Step("asked", agent=agent, input="It is {{step:tool:output}}"),
        Step("again", agent="writer"),
    ).execute({"n": 3}, runner=Runner(tools=tools, agents={"writer": agent}))
    assert done.steps["tool"].result == {"n": 12}
    assert done.text == 'It is {"n":12}'
    assert done.steps["flow"].steps is not None
    assert done.to_dict()["steps"]["flow"]["steps"]["twice"]["result"] == {"n": 6}


async def test_parallel_steps_run_together_up_to_a_number() -> None:
    running = most = 0

    async def work(ctx: StepContext) -> str | None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return ctx.step

    steps = [Step(f"s{n}", run=work) for n in range(6)]
    done = await Workflow.parallel("p", steps, max_concurrency=2).execute()
    assert (most, done.text) == (2, "s0\n\ns1\n\ns2\n\ns3\n\ns4\n\ns5")
    assert done.result == {f"s{n}": f"s{n}" for n in range(6)}
    most = 0
    await Workflow.parallel("p", steps).execute()
    assert most == 6


async def test_the_first_branch_that_holds_runs_else_the_default() -> None:
    flow = Workflow.conditional(
        "c",
        [
            Branch("other", [Step("a", run=gives("other"))]),
            Branch("big", [Step("b", run=gives("big"))], lambda ctx: ctx.input["n"] > 10),
            Branch("said", [Step("c", run=gives("said"))], "{{input.said}}"),
        ],
    )
    runs = [await flow.execute(given) for given in ({"n": 11}, {"n": 1, "said": "yes"}, {"n": 1, "said": " No "})]
    assert [(done.branch, done.text, list(done.steps)) for done in runs] == [
        ("big", "big", ["b"]), ("said", "said", ["c"]), ("other", "other", ["a"]),
    ]  # fmt: skip
    none = Workflow.conditional("c", [Branch("never", [Step("a", run=gives(1))], False)])
    assert (await none.execute()).to_dict()["branch"] is None


@pytest.mark.parametrize(
    ("over", "items"),
    [
        ({"range": (1, 5, 2)}, [1, 3, 5]),
        ({"range": (3, 1, -1)}, [3, 2, 1]),
        ({"range": (1, 0)}, []),
        ({"range": (0.0, 1.0, 0.5)}, [0.0, 0.5, 1.0]),
        ({"range": (1, "{{input.last}}")}, [1, 2]),
        ({"collection": ["a", {"b": 1}]}, ["a", {"b": 1}]),
        ({"collection": "{{input.list}}"}, ["x"]),
        ({"collection": {}}, []),
    ],
)
async def test_a_loop_runs_its_steps_for_each(over: dict[str, Any], items: list[Any]) -> None:
    step = Step("s", run=lambda ctx: (ctx.loop["index"], ctx.params), input="{{loop.item}}")
    done = await Workflow.loop("l", [step], **over).execute({"last": 2, "list": ["x"]})
    assert done.result == list(enumerate(items, 1))
    assert (done.iterations, done.capped) == (len(items), False)


async def test_a_loop_runs_while_a_condition_holds_and_may_end_earlier() -> None:
    def count(ctx: StepContext) -> int:
        ctx.state["n"] = ctx.state.get("n", 0) + 1
        return int(ctx.state["n"])

    def below(n: int) -> Callable[[StepContext], bool]:
        return lambda ctx: ctx.state.get("n", 0) < n

    steps = [Step("s", run=count)]
    done = await Workflow.loop("l", steps, while_=below(3)).execute()
    assert (done.result, done.iterations, done.capped, done.state) == ([1, 2, 3], 3, False, {"n": 3})
    done = await Workflow.loop("l", steps, while_=below(9), max_iterations=2).execute()
    assert (done.iterations, done.capped, done.to_dict()["capped"]) == (2, True, True)
    done = await Workflow.loop("l", steps, while_=below(2), max_iterations=2).execute()
    assert (done.iterations, done.capped) == (2, False)
    done = await Workflow.loop("l", steps, range=(1, 5), break_when="{{state.n}}").execute()
    assert done.iterations == 1
    done = await Workflow.loop("l", steps, range=(1, 5), max_iterations=5).execute()
    assert (done.iterations, done.capped) == (5, False)


async def test_a_loop_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MOST_ROUNDS", 20)
    steps = [Step("s", run=gives(1))]
    for over in ({"while_": True}, {"range": (1, 21)}, {"collection": [0] * 21}):
        with pytest.raises(LimitError, match="loops more than 20 times"):
            await Workflow.loop("l", steps, **over).execute()
    with pytest.raises(LimitError):
        await Workflow.loop("l", steps, range=(1, 10**18)).execute()
    assert (await Workflow.loop("l", steps, range=(1, 10**18), max_iterations=3).execute()).iterations == 3


@pytest.mark.parametrize("over", [{"range": (1, 5, 0)}, {"range": (1,)}, {"range": ("a", 2)}, {"collection": "{{x}}"}])
async def test_a_loop_over_what_is_none_is_an_error(over: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        await Workflow.loop("l", [Step("s", run=gives(1))], **over).execute({"x": 3})


# ---- failures


async def test_a_failure_ends_the_workflow_and_says_where() -> None:
    inner = Workflow.sequential("inner", [Step("bad", tool=Double(), input={"n": -1})])
    with pytest.raises(WorkflowError) as caught:
        await sequential(Step("first", run=gives(1)), Step("nested", workflow=inner)).execute()
    error = caught.value
    assert error.message == "workflow `w`: step `nested/bad` failed: tool `double` failed: no negative ones"
    assert (error.kind, error.step, error.tool) == ("workflow", "nested/bad", "double")
    assert isinstance(error.__cause__, WorkflowError)
    assert isinstance(error.__cause__.__cause__, ToolError)
    with pytest.raises(WorkflowError, match="step `a` failed: ValueError: no luck"):
        await sequential(Step("a", run=fails())).execute()


async def test_a_step_may_fail_and_be_told_or_be_skipped() -> None:
    steps = [Step("a", run=fails()), Step("b", run=lambda ctx: f"<{ctx.params}>", input="{{step.a.result}}!")]
    done = await sequential(*steps, on_error="continue").execute()
    assert (done.success, done.text, done.steps["a"].success) == (False, "<!>", False)
    assert done.steps["a"].error == {"kind": "script", "message": "ValueError: no luck", "retryable": False}
    done = await sequential(*steps, on_error="skip").execute()
    assert (done.success, done.text, done.steps["a"].success) == (True, "<!>", False)


async def test_a_step_is_tried_again() -> None:
    time, tries = Time(), []

    def third(ctx: StepContext) -> int:
        tries.append(ctx.state.get("n", 0))
        ctx.state["n"] = len(tries)
        if len(tries) < 3:
            raise NetworkError("gone")
        return len(tries)

    done = await sequential(Step("a", run=third, on_error="retry")).execute(runner=time)
    assert (done.result, done.steps["a"].attempts, tries, done.state) == (3, 3, [0, 0, 0], {"n": 3})
    assert time.waits == [0.5, 1.0]
    assert done.duration_ms == done.steps["a"].duration_ms == 1500.0
    tries.clear()
    done = await sequential(Step("a", run=third, retry=2, on_error="continue")).execute(runner=time)
    assert (done.steps["a"].attempts, done.success, done.state) == (2, False, {})


@pytest.mark.parametrize("error", [ValidationError("no"), NotFoundError("no"), PermissionDeniedError("no")])
async def test_what_would_fail_again_is_not_tried_again(error: Exception) -> None:
    done = await sequential(Step("a", run=fails(error), retry=5, on_error="continue")).execute()
    assert done.steps["a"].attempts == 1


async def test_a_limit_of_the_run_cannot_be_gone_on_without() -> None:
    for on_error in ("skip", "continue", "retry"):
        with pytest.raises(LimitError) as caught:
            await sequential(Step("a", run=fails(LimitError("too much"))), on_error=on_error).execute()
        assert caught.value.step == "a"
    with pytest.raises(PermissionDeniedError) as denied:
        await sequential(Step("a", tool=Double(), input={"n": 1})).execute(
            runner=Runner(context=ToolContext(Permissions(tool=())))
        )
    assert denied.value.step == "a"


async def test_older_functions_say_whether_they_succeeded() -> None:
    done = await sequential(Step("a", run=gives({"success": True, "output": {"n": 1}}))).execute()
    assert done.result == {"n": 1}
    with pytest.raises(WorkflowError, match="step `a` failed: out of paper"):
        await sequential(Step("a", run=gives({"success": False, "error": "out of paper"}))).execute()
    done = await sequential(Step("a", run=gives({"success": False, "mine": 1}))).execute()
    assert done.result == {"success": False, "mine": 1}


async def test_a_step_whose_condition_does_not_hold_is_left_out() -> None:
    done = await sequential(
        Step("a", run=gives(1)),
        Step("b", run=fails(), condition="{{input.b}}"),
        Step("c", run=fails(), condition=lambda ctx: ctx.steps["a"]["result"] == 2),
    ).execute({"b": False})
    assert (done.result, done.success) == (1, True)
    assert done.to_dict()["steps"]["b"] == {
        "success": True, "result": None, "error": None, "duration_ms": done.steps["b"].duration_ms, "attempts": 0,
        "skipped": True,
    }  # fmt: skip


# ---- time, and what is left


async def test_a_step_that_takes_too_long_is_ended() -> None:
    time, ended = Time(), []

    async def slow(ctx: StepContext) -> None:
        try:
            time.pass_time(3)
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.step)

    with pytest.raises(WorkflowError, match="step `a` took longer than 2 s") as caught:
        await sequential(Step("a", run=slow, timeout=2)).execute(runner=time)
    assert isinstance(caught.value.__cause__, CallTimeoutError)
    done = await sequential(Step("a", run=slow, timeout=2, retry=2, on_error="continue")).execute(runner=time)
    assert done.steps["a"].error is not None
    assert (done.steps["a"].attempts, done.steps["a"].error["kind"], ended) == (2, "timeout", ["a"] * 3)
    with pytest.raises(CallTimeoutError, match="workflow `w` took longer than 1 s"):
        await sequential(Step("a", run=slow), timeout=1).execute(runner=time)
    assert time.timers == []
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]


async def test_the_first_failure_ends_the_other_steps() -> None:
    ended = []

    async def waits(ctx: StepContext) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.step)

    async def late(ctx: StepContext) -> None:
        await asyncio.sleep(0)
        raise ToolError("broken")

    steps = [Step("a", run=waits), Step("b", run=waits), Step("c", run=late)]
    with pytest.raises(WorkflowError, match="step `c` failed: broken"):
        await Workflow.parallel("p", steps).execute()
    assert ended == ["a", "b"]
    done = await Workflow.parallel("p", [steps[2], Step("d", run=gives(1))], on_error="continue").execute()
    assert (done.result, done.success) == ({"c": None, "d": 1}, False)


async def test_cancelled_it_leaves_nothing() -> None:
    started, ended = asyncio.Event(), []

    async def waits(ctx: StepContext) -> None:
        try:
            if ctx.step == "b":
                started.set()
            await asyncio.Event().wait()
        finally:
            ended.append(ctx.step)

    inner = Workflow.parallel("p", [Step("a", run=waits), Step("b", run=waits)])
    before = asyncio.all_tasks()
    task = asyncio.create_task(sequential(Step("nested", workflow=inner, timeout=60)).execute())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["a", "b"]
    assert asyncio.all_tasks() <= before


# ---- state


async def test_state_goes_from_step_to_step_and_parallel_writes_are_merged_in_step_order() -> None:
    def write(ctx: StepContext) -> dict[Any, Any]:
        seen = dict(ctx.state)
        ctx.state[ctx.step] = True
        ctx.state["who"] = ctx.step
        ctx.state.pop("gone", None)
        return seen

    inner = Workflow.parallel("p", [Step("a", run=write), Step("b", run=write)])
    first = Step("first", run=lambda ctx: ctx.state.update(gone=1, kept={"n": [1]}))
    done = await sequential(first, Step("both", workflow=inner), Step("c", run=write)).execute()
    assert done.steps["both"].result == {"a": {"gone": 1, "kept": {"n": [1]}}, "b": {"gone": 1, "kept": {"n": [1]}}}
    assert done.result == {"kept": {"n": [1]}, "a": True, "b": True, "who": "b"}
    assert done.state == {"kept": {"n": [1]}, "a": True, "b": True, "c": True, "who": "c"}


STATES = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2), max_size=4)


@given(before=STATES, afters=st.lists(STATES, max_size=4))
@settings(max_examples=60, deadline=None)
def test_merged_states_are_as_if_each_change_had_been_made_in_turn(
    before: dict[Any, Any], afters: list[dict[Any, Any]]
) -> None:
    merged, expected = before, dict(before)
    for after in afters:
        merged = frame.merge(merged, before, after)
        for key in "abcd":
            if before.get(key) != after.get(key):
                expected.pop(key, None)
                if key in after:
                    expected[key] = after[key]
    assert merged == expected


async def test_a_condition_writes_no_state() -> None:
    step = Step("a", run=gives(1), condition=lambda ctx: ctx.state.update(x=1) is None)
    assert (await sequential(step).execute()).state == {}


# ---- what is refused


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Step("a"), "has nothing to run"),
        (lambda: Step("a", run=gives(1), tool="x"), "has tool and function to run"),
        (lambda: Step("a", run=gives(1), on_error="explode"), "`on_error` is `explode`"),
        (lambda: Step("a", run=gives(1), condition="{{input.x}} > 3"), "is no placeholder"),
        (lambda: Step("a", run=gives(1), timeout=0), "`timeout` must be"),
        (lambda: Step("a", run=gives(1), retry=0), "retry.attempts"),
        (lambda: sequential(), "has no steps"),
        (lambda: sequential(Step("a", run=gives(1)), Step("a", run=gives(1))), "two steps of the name `a`"),
        (lambda: Workflow.conditional("c", []), "has no branches"),
        (lambda: Workflow.loop("l", [Step("a", run=gives(1))]), "loops over nothing"),
        (lambda: Workflow.loop("l", [Step("a", run=gives(1))], range=(1, 2), while_=True), "over range and while"),
        (lambda: Workflow("w", "circular"), "`circular` is no kind"),
        (lambda: sequential(*(Step(str(n), run=gives(1)) for n in range(1001))), "more than 1000 steps"),
        (lambda: Workflow.conditional("c", [Branch("b", [], True), Branch("b", [])]), "two branches of the name `b`"),
    ],
)
def test_what_cannot_be_run_is_refused_when_it_is_made(make: Callable[[], object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        make()


async def test_an_agent_without_anything_to_say_is_an_error() -> None:
    with pytest.raises(WorkflowError, match="has nothing to say to its agent"):
        await sequential(Step("a", agent=Agent("mock", providers=ProviderManager({})))).execute()


async def test_names_that_nobody_knows_are_errors_with_near_ones() -> None:
    runner = Runner(workflows={"report": sequential(Step("a", run=gives(1)))})
    with pytest.raises(WorkflowError) as caught:
        await sequential(Step("a", workflow="reprot")).execute(runner=runner)
    assert caught.value.hint == "did you mean `report`?"


async def test_a_workflow_that_contains_itself_is_an_error() -> None:
    known: dict[str, Workflow] = {}
    known["w"] = sequential(Step("again", workflow="w"))
    with pytest.raises(LimitError, match="nested more than 16 deep"):
        await known["w"].execute(runner=Runner(workflows=known))


async def test_a_text_with_many_names_looks_at_each_step_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    told = StepResult.to_dict

    def to_dict(one: StepResult) -> dict[str, Any]:
        looked.append(one.result)
        return told(one)

    monkeypatch.setattr(StepResult, "to_dict", to_dict)
    echo = Runner(workflows={"echo": sequential(Step("x", run=lambda ctx: ctx.input))})
    steps = [Step(f"s{n}", run=gives(n), input={}) for n in range(20)]
    text = " ".join(f"{{{{s{n}}}}}" for n in range(20)) * 50
    done = await sequential(*steps, Step("all", workflow="echo", input=text)).execute(runner=echo)
    assert str(done.result).count("19") == 50
    assert len(looked) == sum(range(20)) + 20  # a function is told of those before it


async def test_steps_and_results_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frame, "MOST_RUNS", 10)
    with pytest.raises(LimitError, match="ran more than 10 steps"):
        await Workflow.loop("l", [Step("s", run=gives(1))], range=(1, 11)).execute()
    monkeypatch.setattr(frame, "MOST_RUNS", 100)
    monkeypatch.setattr(frame, "LARGEST", 1000)
    with pytest.raises(LimitError, match="results of a workflow's steps"):
        await Workflow.loop("l", [Step("s", run=gives(["x" * 100]))], range=(1, 11)).execute()


async def test_a_state_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(ctx: StepContext) -> None:
        ctx.state[ctx.step] = "x" * 600

    monkeypatch.setattr(engine, "LARGEST_STATE", 1000)
    steps = [Step("a", run=write), Step("b", run=write)]
    with pytest.raises(LimitError, match="state of a workflow"):
        await sequential(*steps).execute()
    monkeypatch.setattr(engine, "LARGEST", 1000)
    with pytest.raises(LimitError, match="state of a workflow"):
        await Workflow.parallel("p", steps).execute()


def test_a_loop_s_bound_is_told() -> None:
    with pytest.raises(ValidationError, match=f"from 1 to {workflow.MOST_ROUNDS}"):
        Workflow.loop("l", [Step("s", run=gives(1))], while_=True, max_iterations=workflow.MOST_ROUNDS + 1)
