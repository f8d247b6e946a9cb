"""The embedded model for real: llama.cpp and the built-in weights."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from llmspell.errors import ContextLengthError, ValidationError
from llmspell.providers import local_engine, local_weights
from llmspell.providers.base import ModelCall
from llmspell.providers.local import LocalProvider
from llmspell.types.agent import Parameters
from llmspell.types.messages import Message
from llmspell.types.streaming import Text
from support.weights import needs_engine, real_weights

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = needs_engine

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


async def test_a_schema_the_engine_cannot_take_is_refused(provider: LocalProvider) -> None:
    schema = {"type": "json_schema", "json_schema": {"schema": {"type": "nope"}}}
    with pytest.raises(ValidationError, match="refused the request"):
        await provider.execute(ask("hi")._replace(body={"response_format": schema}))


BEGIN = """
import asyncio, sys
from llmspell.providers.base import ModelCall
from llmspell.providers.local import LocalProvider
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


def test_the_interpreter_ends_cleanly_in_the_middle_of_a_stream(cache: str) -> None:
    with start(LEAVES, cache) as child:
        out, err = child.communicate(timeout=60)
    assert (child.returncode, out, err) == (7, "leaving\n", "")


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
