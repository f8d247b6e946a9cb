"""What ScriptRuntime takes for hosts that run many scripts: named arguments, a meter and slots in common."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmspell import Meter, ScriptRuntime
from llmspell.errors import LimitError, ValidationError
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('[]=\n\r\\"\0\u2028é', max_size=12)
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.booleans() | NUMBERS | TEXT,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.text("abc]=[", min_size=1), inner, min_size=1)
    ),
    max_leaves=8,
)


async def given_back(values: dict[str, Any], **more: Any) -> Any:
    async with ScriptRuntime(**more) as runtime:
        done = await runtime.execute_script("return ARGS.given", args=["--given", "no"], named={"given": values})
    return done.result


@settings(max_examples=50, deadline=None)
@given(value=VALUES)
async def test_named_arguments_reach_the_script_as_they_are(value: Any) -> None:
    assert await given_back(value) == value


async def test_named_arguments_go_before_those_of_the_command_line_and_into_other_processes() -> None:
    assert await given_back({"a": [1, "]==]"]}, isolation="process") == {"a": [1, "]==]"]}
    async with ScriptRuntime() as runtime:
        script = "return { ARGS[1], ARGS.x, ARGS.y, ARGS.null == nil }"
        done = await runtime.execute_script(script, args=["--x=1", "--y=2"], named={"x": {"deep": True}, "null": None})
        assert done.result == ["--x=1", {"deep": True}, "2", True]
        with pytest.raises(ValidationError, match="`named` cannot be given"):
            await runtime.execute_script("return 1", named={"x": object()})


def manager(*replies: Any) -> ProviderManager:
    made = ProviderManager({}, env={})
    made.register(MockProvider(replies))
    return made


async def test_a_meter_holds_the_scripts_of_several_runtimes_together() -> None:
    meter, shared = (
        Meter(max_tokens_total=400),
        manager({"text": "hello", "delay": 0.001, "usage": {"input_tokens": 20, "output_tokens": 10}}),
    )
    runtimes = [ScriptRuntime(meter=meter, providers=shared, model="mock") for _ in range(3)]
    ask = "return Agent.create{ max_tokens = 50 }:execute('hi').text"
    calls = [runtimes[index % 3].execute_script(ask) for index in range(60)]
    done = await asyncio.gather(*calls, return_exceptions=True)
    refused = [error for error in done if isinstance(error, LimitError)]
    assert refused
    assert len(refused) < 60
    assert all(error.limit == "tokens" for error in refused)
    assert meter.tokens <= 400
    assert meter.reserved_tokens == 0


async def test_slots_bound_the_model_calls_of_several_runtimes() -> None:
    class Counted(asyncio.Semaphore):
        inside = most = 0

        async def __aenter__(self) -> None:
            await super().__aenter__()
            self.inside += 1
            self.most = max(self.most, self.inside)

        async def __aexit__(self, *error: object) -> None:
            self.inside -= 1
            await super().__aexit__(*error)  # type: ignore[arg-type]

    slots, shared = (
        Counted(2),
        manager({"text": "hello", "delay": 0.001, "usage": {"input_tokens": 20, "output_tokens": 10}}),
    )
    runtimes = [ScriptRuntime(slots=slots, providers=shared, model="mock") for _ in range(3)]
    ask = "return Agent.create{}:execute('hi').text"
    await asyncio.gather(*(runtime.execute_script(ask) for runtime in runtimes * 4))
    assert slots.most == 2


async def test_a_script_is_checked_without_running_it() -> None:
    runtime = ScriptRuntime()
    runtime.check("error('never')")
    with pytest.raises(Exception, match="unexpected symbol"):
        runtime.check("return +")
    await runtime.aclose()
