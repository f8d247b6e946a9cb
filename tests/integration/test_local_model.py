"""The embedded model for real: llama.cpp and the built-in weights."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import Agent
from llmspell.errors import ContextLengthError, NotSupportedError, ValidationError
from llmspell.providers import local_engine, local_weights
from llmspell.providers.base import ModelCall
from llmspell.providers.local import LocalProvider
from llmspell.providers.manager import ProviderManager
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message
from llmspell.types.streaming import Text, ToolCallProgress
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.tools import Does
from support.weights import needs_engine, real_weights, with_template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [needs_engine, pytest.mark.once]

#: One thread: the machine that runs the tests has other work.
SETTINGS: dict[str, Any] = {"threads": 1}


def ask(text: str, **parameters: Any) -> ModelCall:
    """At temperature 0: what is written is the machine's own, but the same each time."""
    return ModelCall("", (Message("user", text),), Parameters(**{"max_tokens": 16, "temperature": 0, **parameters}))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A cache folder that has the built-in model, whatever else the user's has."""
    weights = real_weights()
    folder = tmp_path_factory.mktemp("cache")
    place = folder / "models" / f"{local_weights.DEFAULT_MODEL}.gguf"
    place.parent.mkdir()
    try:
        os.link(weights, place)
    except OSError:
        shutil.copyfile(weights, place)
    return str(folder)


@pytest.fixture(scope="module")
def loaded(cache: str) -> Iterator[None]:
    """Holds the model, so that each test does not load it anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LLMSPELL_CACHE_DIR", cache)
        holder = LocalProvider("local", SETTINGS)
        asyncio.run(holder.execute(ask("hi", max_tokens=1)))
        yield
        asyncio.run(holder.aclose())
    assert not local_engine._entries


@pytest.fixture
async def provider(loaded: None, cache: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LocalProvider]:
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", cache)
    made = LocalProvider("local", SETTINGS)
    yield made
    await made.aclose()


def calls_in_flight() -> int:
    return sum(len(entry.made.result()._calls) for entry in local_engine._entries.values())


async def test_real_text_streams_in_pieces(provider: LocalProvider) -> None:
    async with provider.stream(ask("What is the capital of France?")) as stream:
        pieces = [chunk.content async for chunk in stream if isinstance(chunk.content, Text)]
    output = stream.collector.output()
    assert len(pieces) > 3
    assert "Paris" in output.text
    assert output.usage.input_tokens
    assert output.usage.output_tokens
    assert output.usage.output_tokens <= 16
    assert output.finish_reason in ("stop", "length")
    assert output.metadata["model"] == local_weights.DEFAULT_MODEL


async def test_a_token_limit_ends_with_length(provider: LocalProvider) -> None:
    output = await provider.execute(ask("Count from one to ninety.", max_tokens=4))
    assert (output.finish_reason, output.usage.output_tokens) == ("length", 4)


@pytest.mark.parametrize("how", [{"seed": 11, "temperature": 0.8}, {"temperature": 0}])
async def test_a_seed_or_temperature_0_gives_the_same_text_again(how: dict[str, Any], provider: LocalProvider) -> None:
    first = await provider.execute(ask("Name an animal and say why.", **how))
    await provider.execute(ask("Something else between.", max_tokens=3))
    again = await provider.execute(ask("Name an animal and say why.", **how))
    assert first.text
    assert first.text == again.text


async def test_two_streams_run_at_once(provider: LocalProvider) -> None:
    order: list[int] = []

    async def read(number: int) -> str:
        async with provider.stream(ask(f"Write a story about the number {number}.", max_tokens=24)) as stream:
            while await stream.next_batch() is not None:
                order.append(number)
            return stream.collector.text

    texts = await asyncio.gather(read(0), read(1))
    assert all(texts)
    first = order[0]
    assert order.index(1 - first) < len(order) - 1 - order[::-1].index(first)


async def test_more_calls_than_slots_all_end(provider: LocalProvider) -> None:
    outputs = await asyncio.gather(*(provider.execute(ask(f"Say {n}.", max_tokens=3)) for n in range(5)))
    assert all(output.usage.output_tokens in (1, 2, 3) for output in outputs)


async def test_closing_a_stream_stops_the_model_and_frees_the_slot(provider: LocalProvider) -> None:
    for _ in range(3):  # more often than there are slots
        stream = provider.stream(ask("Write a very long story.", max_tokens=2000))
        while not stream.collector.text:
            assert await stream.next_batch()
        await stream.aclose()
        began = time.monotonic()
        while calls_in_flight():
            assert time.monotonic() - began < 2, "the model writes on"
            await asyncio.sleep(0.002)
    assert (await provider.execute(ask("Say hi.", max_tokens=2))).usage.output_tokens


async def test_a_prompt_that_is_too_long_tells_both_numbers(provider: LocalProvider) -> None:
    with pytest.raises(ContextLengthError, match=r"has 5\d{3} tokens, the context 4096") as caught:
        await provider.execute(ask("hi " * 5000))
    assert caught.value.context["limit"] == 4096
    assert caught.value.context["value"] > 5000
    assert caught.value.context["provider"] == "local"


@pytest.mark.parametrize("size", [24, 5_000, 1_000_000, 98_000_000])
def test_a_model_that_was_cut_is_an_error_in_words(size: int, cache: str, tmp_path: Path) -> None:
    with Path(cache, "models", f"{local_weights.DEFAULT_MODEL}.gguf").open("rb") as whole:
        (tmp_path / "cut.gguf").write_bytes(whole.read(size))
    with pytest.raises(ValidationError, match=r"cut\.gguf cannot be loaded"):
        asyncio.run(LocalProvider("local", {"path": str(tmp_path / "cut.gguf")}).execute(ask("hi")))


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 1, "maximum": 99},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city now",
    {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/city"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
        "$defs": {"city": {"type": "string", "maxLength": 20}},
    },
)
ADD = ToolSpec("add", "Adds two numbers", {"type": "object", "properties": {"a": {"type": "integer", "maximum": 99}}})


async def test_a_schema_holds_the_answer_to_its_form(provider: LocalProvider) -> None:
    call = ask("Tell me of a person, as JSON.", max_tokens=80, temperature=None)
    output = await provider.execute(call._replace(schema=ResponseSchema(PERSON)))
    told = json.loads(output.text)
    assert output.finish_reason == "stop"
    assert list(told) == ["name", "age"]
    assert 1 <= told["age"] <= 99
    again = await provider.execute(call._replace(schema=ResponseSchema(PERSON)))  # at temperature 0, unasked
    assert again.text == output.text


async def test_a_form_may_hold_itself(provider: LocalProvider) -> None:
    tree = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 9}, "kids": {"items": {"$ref": "#"}}},
        "required": ["n", "kids"],
        "additionalProperties": False,
    }
    tree["properties"]["kids"] |= {"type": "array", "maxItems": 1}  # type: ignore[index]
    output = await provider.execute(ask("Grow a tree.", max_tokens=60)._replace(schema=ResponseSchema(tree)))
    assert re.match(r'\s*\{\s*"n"\s*:\s*\d\s*,\s*"kids"\s*:\s*\[\s*(\{\s*"n"|\])', output.text)


async def test_a_pattern_holds_in_words_that_the_grammar_knows(
    provider: LocalProvider, capfd: pytest.CaptureFixture[str]
) -> None:
    call = ask("Give a time.", max_tokens=20)
    for form in (
        {"type": "string", "pattern": "^\\d\\d:\\d\\d$"},
        {"type": "string", "pattern": "x\\b", "maxLength": 4},
    ):
        output = await provider.execute(call._replace(schema=ResponseSchema(form)))
        assert re.fullmatch(r"\d\d:\d\d|.{0,4}", json.loads(output.text))
    assert capfd.readouterr().err == ""  # the engine complains there of patterns that it does not know


async def test_a_tool_that_must_be_called_is_called(provider: LocalProvider) -> None:
    call = ask("What is the weather in Tokyo?", max_tokens=80, temperature=None)
    call = call._replace(tools=(WEATHER, ADD), tool_choice="get_weather")
    async with provider.stream(call) as stream:
        pieces = [chunk.content async for chunk in stream if isinstance(chunk.content, ToolCallProgress)]
    output = stream.collector.output()
    (made,) = output.tool_calls
    assert (output.finish_reason, output.text, made.name) == ("tool_calls", "", "get_weather")
    assert made.arguments is not None
    assert set(made.arguments) == {"city", "unit"}
    assert made.arguments["unit"] in ("C", "F")
    assert len(pieces) > 2
    assert "".join(piece.partial_args for piece in pieces) == made.raw
    either = await provider.execute(call._replace(tool_choice="required"))
    assert [one.name for one in either.tool_calls] in (["get_weather"], ["add"])
    # And what it gave is told in words that the model's template carries.
    turns = (*call.messages, output.message(), Message("tool", "11 degrees, rain", tool_call_id=made.id))
    answered = await provider.execute(ModelCall("", turns, Parameters(max_tokens=3, temperature=0)))
    bare = await provider.execute(ModelCall("", call.messages, Parameters(max_tokens=1, temperature=0)))
    assert answered.text
    assert (answered.usage.input_tokens or 0) > (bare.usage.input_tokens or 0) + 20


@pytest.mark.parametrize("streamed", [False, True])
async def test_an_agent_runs_the_tool_that_must_be_called_and_answers(provider: LocalProvider, streamed: bool) -> None:
    manager = ProviderManager({})
    manager.register(provider)
    weather = Does("get_weather", lambda given: "11 degrees, rain", city="string")
    options: dict[str, Any] = {"tools": [weather], "tool_choice": "get_weather", "max_tokens": 60, "temperature": 0}
    agent = Agent("local", providers=manager, **options)
    said = "What is the weather in Tokyo?"
    output = await (agent.stream(said).collect() if streamed else agent.execute(said))
    (call,) = output.tool_calls
    assert (call.result, output.metadata["rounds"], output.finish_reason) == ("11 degrees, rain", 2, "stop")
    assert isinstance(weather.calls[0]["city"], str)
    assert output.text


async def test_to_choose_among_tools_is_refused_with_what_to_do(provider: LocalProvider) -> None:
    with pytest.raises(NotSupportedError, match="cannot choose") as caught:
        await provider.execute(ask("hi")._replace(tools=(ADD,)))
    assert '"required"' in str(caught.value.hint)
    able = provider.capabilities()
    assert (able.supports_tools, able.max_context_tokens, able.structured_output) == (False, 4096, "native")


TEMPLATE = """{%- if tools %}<|im_start|>system
Tools:{% for tool in tools %} {{ tool | tojson }}{% endfor %}<|im_end|>
{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}
{% for call in message.tool_calls %}<tool_call>{"name": "{{ call.function.name }}", "arguments":
{{ call.function.arguments | tojson }}}</tool_call>{% endfor %}{{ message.content }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""


async def test_a_model_whose_template_has_tools_is_shown_them(cache: str, tmp_path: Path) -> None:
    path = str(tmp_path / "own.gguf")
    with_template(os.path.join(cache, "models", f"{local_weights.DEFAULT_MODEL}.gguf"), TEMPLATE, path)
    provider = LocalProvider("local", SETTINGS | {"path": path, "context": 1024, "slots": 1})
    assert provider.capabilities().supports_tools
    call = ask("hi", max_tokens=1)
    plain, told, none, forced = [
        await provider.execute(
            call._replace(tools=(WEATHER, ADD), tool_choice=choice, parameters=Parameters(max_tokens=n))
        )
        for choice, n in (("none", 1), ("auto", 1), (None, 1), ("add", 60))
    ]
    assert (told.usage.input_tokens or 0) > (plain.usage.input_tokens or 0) + 50
    assert none.usage.input_tokens == told.usage.input_tokens
    (made,) = forced.tool_calls
    assert made.name == "add"
    turns = (*call.messages, forced.message(), Message("tool", "11", tool_call_id=made.id))
    assert (await provider.execute(call._replace(messages=turns, tools=(ADD,)))).usage.output_tokens == 1
    with pytest.raises(NotSupportedError, match="tools and a schema"):
        await provider.execute(call._replace(tools=(ADD,), schema=ResponseSchema(PERSON)))
    await provider.aclose()


async def test_a_call_that_is_cancelled_while_the_prompt_is_read_frees_its_slot(provider: LocalProvider) -> None:
    long = ask("word " * 3000, max_tokens=3000)
    for _ in range(3):  # more often than there are slots
        task = asyncio.create_task(provider.execute(long))
        while not calls_in_flight():  # noqa: ASYNC110 (a thread works)
            await asyncio.sleep(0.002)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        began = time.monotonic()
        while calls_in_flight():
            assert time.monotonic() - began < 5, "the model reads on"  # all of it takes 15 s and more
            await asyncio.sleep(0.002)
    assert (await provider.execute(ask("Say hi.", max_tokens=2))).usage.output_tokens


async def test_a_schema_the_engine_cannot_take_is_refused(provider: LocalProvider) -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}}
    with pytest.raises(ValidationError, match="refused the request"):
        await provider.execute(ask("hi")._replace(body={"response_format": schema}))


BEGIN = """
import asyncio, sys
from llmspell.errors import RunCancelledError
from llmspell.providers.base import ModelCall
from llmspell.providers.local import LocalProvider
from llmspell.providers.manager import ProviderManager
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message

provider = LocalProvider("local", {"threads": 1})
call = ModelCall("", (Message("user", "Write a very long story."),), Parameters(max_tokens=3000, temperature=0))
stream = provider.stream(call)
"""
LEAVES = """
async def some():
    while len(stream.collector.text) < 5:
        await stream.next_batch()

loop = asyncio.new_event_loop()
loop.run_until_complete(some())
print("leaving", flush=True)
sys.exit(7)
"""
READS = """
async def all():
    async for chunk in stream:
        print(chunk.content, flush=True)

try:
    asyncio.run(all())
except KeyboardInterrupt:
    sys.exit(130)
"""
IN_THREADS = """
import threading

def work():
    async def some():
        async with provider.stream(call) as mine:
            async for chunk in mine:
                if len(mine.collector.text) > 5:
                    begun.release()
    try:
        asyncio.run(some())
    except RunCancelledError:  # it was stopped under it
        pass

begun = threading.Semaphore(0)
for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
begun.acquire(), begun.acquire()
print("leaving", flush=True)
sys.exit(0)
"""
CANCELS = """
async def main():
    async def read():
        async for chunk in stream:
            pass
    task = asyncio.create_task(read())
    while len(stream.collector.text) < 5:
        await asyncio.sleep(0.01)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("leaving", flush=True)

asyncio.run(main())
"""
FORKS = """
import os

async def one():
    await provider.execute(call._replace(parameters=Parameters(max_tokens=1)))

asyncio.run(one())
child = os.fork()
if child == 0:
    try:
        asyncio.run(one())
    except Exception as error:
        print(error, flush=True)
    os._exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def start(script: str, cache: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", textwrap.dedent(BEGIN + script)]
    env = os.environ | {"LLMSPELL_CACHE_DIR": cache}
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("how", "code"), [(LEAVES, 7), (IN_THREADS, 0), (CANCELS, 0)])
def test_the_interpreter_ends_cleanly_in_the_middle_of_a_stream(how: str, code: int, cache: str) -> None:
    with start(how, cache) as child:
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (code, "leaving\n", "")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_in_the_middle_of_a_stream_ends_it(cache: str) -> None:
    with start(READS, cache) as child:
        assert child.stdout is not None
        for _ in range(4):
            assert child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (130, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_is_refused_and_ends(cache: str) -> None:
    with start(FORKS, cache) as child:
        try:
            out, _ = child.communicate(timeout=30)
        finally:
            child.kill()
    assert out == "the local model does not survive a fork\n5\n"
