"""The embedded model's provider above an engine that is played: what it asks, what it makes of answers, its queue."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import (
    CallTimeoutError,
    ConfigError,
    ContextLengthError,
    LLMSpellError,
    NotFoundError,
    NotSupportedError,
    PermissionDeniedError,
    ProviderError,
    RunCancelledError,
    StreamTruncatedError,
    ValidationError,
)
from llmspell.providers import local, local_engine, local_weights, notices
from llmspell.providers.base import ModelCall
from llmspell.providers.local import LocalProvider
from llmspell.types.agent import Parameters
from llmspell.types.media import Media
from llmspell.types.messages import Message, ToolCall
from llmspell.types.streaming import ToolCallProgress
from llmspell.types.tools import ResponseSchema, ToolSpec
from support.weights import gguf

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

HELLO = (Message("user", "hello"),)
Put = Any  # the engine's callback


def delta(text: str) -> bytes:
    return orjson.dumps({"choices": [{"index": 0, "delta": {"content": text}}], "id": "x", "model": "/secret/path"})


PROGRESS = orjson.dumps({"choices": [{"index": 0, "delta": {}}], "prompt_progress": {"total": 9, "processed": 0}})
STOP = orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = orjson.dumps({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}})


class Played:
    """Stands for llama.cpp's server: `act` is what a call does."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.loads: list[local_engine.Options] = []
        self.threads: set[threading.Thread] = set()
        self.act: Callable[[Put], None] = lambda put: self.say(put, delta("Hi"), delta(" you"), STOP, USAGE)

    @staticmethod
    def say(put: Put, *chunks: bytes) -> None:
        for chunk in chunks:
            if put(chunk):
                return

    def load(self, options: local_engine.Options) -> Played:
        self.loads.append(options)
        return self

    def handle_chat_completions(self, request: bytes, put: Put) -> None:
        self.threads.add(threading.current_thread())
        self.asked.append(orjson.loads(request))
        self.act(put)


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Played]:
    engine = Played()
    path = tmp_path / "models" / "own.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF\x03" + bytes(30))
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(local_engine, "_load", engine.load)
    monkeypatch.setattr(local_engine, "require_engine", lambda: None)
    yield engine
    assert not local_engine._entries, "an engine was left behind"


@pytest.fixture
async def provider(played: Played) -> AsyncIterator[LocalProvider]:
    made = LocalProvider("local", {"model": "own"})
    yield made
    await made.aclose()


def call(messages: tuple[Message, ...] = HELLO, model: str = "own", **more: Any) -> ModelCall:
    return ModelCall(model, messages, **more)


# -- what is asked


async def test_defaults_are_bounded_and_streamed(provider: LocalProvider, played: Played) -> None:
    await provider.execute(call())
    assert played.asked == [
        {
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 512,
            "temperature": 0.6,
            "min_p": 0.1,
            "repeat_penalty": 1.1,
            "stream": True,
            "return_progress": True,
            "stream_options": {"include_usage": True},
        }
    ]


async def test_what_the_caller_says_wins_but_for_the_streaming(provider: LocalProvider, played: Played) -> None:
    given_ = Parameters(temperature=0.2, top_p=0.5, max_tokens=7, stop=("x",), seed=3)
    await provider.execute(call(parameters=given_, body={"min_p": 0.3, "stream": False, "messages": []}))
    asked = played.asked[0]
    wanted = {"temperature": 0.2, "top_p": 0.5, "max_tokens": 7, "stop": ["x"], "seed": 3, "min_p": 0.3, "stream": True}
    assert wanted.items() <= asked.items()
    assert asked["messages"] != []


async def test_a_schema_is_answered_at_temperature_0(provider: LocalProvider, played: Played) -> None:
    await provider.execute(call(body={"response_format": {"type": "json_object"}}))
    assert played.asked[0]["temperature"] == 0


TURNS = (
    *HELLO,
    Message("assistant", "", (ToolCall("a", "f", {"x": 1}),)),
    Message("tool", "ok", tool_call_id="a"),
)
TEMPLATE = "{% for t in tools %}{{ t }}{% endfor %}"


def own(tmp_path: Path, **keys: str | int) -> None:
    """Makes the file of `own` say *keys* (`__` for a dot)."""
    (tmp_path / "models" / "own.gguf").write_bytes(
        gguf({name.replace("__", "."): value for name, value in keys.items()})
    )


async def test_turns_with_tools_are_told_in_the_dialect_where_the_template_has_tools(
    provider: LocalProvider, played: Played, tmp_path: Path
) -> None:
    own(tmp_path, tokenizer__chat_template=TEMPLATE)
    await provider.execute(call(TURNS))
    assert played.asked[0]["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
        },
        {"role": "tool", "content": "ok", "tool_call_id": "a"},
    ]


async def test_turns_with_tools_are_told_in_words_where_it_has_none(provider: LocalProvider, played: Played) -> None:
    failed = Message("tool", "no way", tool_call_id="a", is_error=True)
    await provider.execute(call((*TURNS, failed)))
    assert played.asked[0]["messages"][1:] == [
        {"role": "assistant", "content": '{"name":"f","arguments":{"x":1}}'},
        {"role": "user", "content": "The tool f gave: ok"},
        {"role": "user", "content": "The tool f failed: no way"},
    ]


ADD = ToolSpec("add", "Adds.", {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
GO = ToolSpec("go")


async def test_a_model_whose_template_has_tools_chooses(
    provider: LocalProvider, played: Played, tmp_path: Path
) -> None:
    own(tmp_path, tokenizer__chat_template=TEMPLATE)
    await provider.execute(call(tools=(ADD,), parallel_tools=False))
    asked = played.asked[0]
    assert (asked["tool_choice"], asked["parallel_tool_calls"], asked["temperature"]) == ("auto", False, 0)
    assert [tool["function"]["name"] for tool in asked["tools"]] == ["add"]
    assert "response_format" not in asked


@pytest.mark.parametrize(("choice", "names"), [("required", ["add", "go"]), ("go", ["go"])])
async def test_a_forced_tool_is_a_form_that_any_model_fills_in(
    choice: str, names: list[str], provider: LocalProvider, played: Played
) -> None:
    text = '{\n "name": "go",\n  "arguments": {"a": {"b": 1}}\n}'
    played.act = lambda put: played.say(put, *(delta(character) for character in text), STOP, USAGE)
    messages = (Message("system", "Be quick."), *HELLO)
    async with provider.stream(call(messages, tools=(ADD, GO), tool_choice=choice)) as stream:
        contents = [chunk.content async for chunk in stream]
    asked = played.asked[0]
    form = asked["response_format"]["json_schema"]["schema"]
    assert [one["properties"]["name"]["const"] for one in form["anyOf"]] == names
    assert asked["messages"][0]["content"].startswith("Be quick.\n\n")
    assert all(f'"name":"{name}"' in asked["messages"][0]["content"] for name in names)
    assert (asked["temperature"], "tools" in asked) == (0, False)
    assert {content.type for content in contents} == {"control", "tool_call_progress", "tool_call_complete"}
    pieces = [content.partial_args for content in contents if isinstance(content, ToolCallProgress)]
    assert len(pieces) > 3
    assert "".join(pieces) == '{"a": {"b": 1}}'
    output = stream.collector.output()
    assert [(one.name, one.arguments) for one in output.tool_calls] == [("go", {"a": {"b": 1}})]
    assert (output.finish_reason, output.text) == ("tool_calls", "")


async def test_a_forced_call_that_a_limit_cut_has_no_arguments(provider: LocalProvider, played: Played) -> None:
    cut = orjson.dumps({"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]})
    played.act = lambda put: played.say(put, delta('{"name":"go","arguments":{"a":"x}'), cut, USAGE)
    output = await provider.execute(call(tools=(GO,), tool_choice="required"))
    assert [(one.name, one.arguments, one.raw) for one in output.tool_calls] == [("go", None, '{"a":"x}')]
    assert output.finish_reason == "length"


async def test_no_tool_may_be_called_and_none_is_told(provider: LocalProvider, played: Played) -> None:
    assert (await provider.execute(call(tools=(ADD,), tool_choice="none"))).text == "Hi you"
    assert not {"tools", "tool_choice", "response_format"} & played.asked[0].keys()


async def test_a_schema_goes_to_the_engine(provider: LocalProvider, played: Played) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "string", "pattern": "^\\d$"}}}
    await provider.execute(call(schema=ResponseSchema(schema)))
    asked = played.asked[0]
    assert asked["response_format"]["json_schema"]["schema"]["properties"]["n"]["pattern"] == "^[0-9]$"
    assert asked["temperature"] == 0


def test_its_abilities_are_those_of_the_file(played: Played, tmp_path: Path) -> None:
    provider = LocalProvider("local", {"model": "own", "context": 4096})
    assert provider.capabilities().max_context_tokens == 4096
    assert not provider.capabilities("own").supports_tools
    own(tmp_path, general__architecture="x", x__context_length=512, tokenizer__chat_template=TEMPLATE)
    able = provider.capabilities()
    assert (able.max_context_tokens, able.supports_tools, able.structured_output) == (512, True, "native")
    assert able.input_modalities == ("text",)
    assert provider.capabilities("../no.gguf").max_context_tokens == 4096


async def test_its_models_are_the_files_of_the_folder(provider: LocalProvider, tmp_path: Path) -> None:
    own(tmp_path, general__architecture="x", x__context_length=512, general__size_label="1\x1b[2JB")
    (tmp_path / "models" / ".fetch-x.gguf").write_bytes(b"")
    (model,) = await provider.models()
    path = tmp_path / "models" / "own.gguf"
    assert model.id == "own"
    assert model.details == {
        "path": str(path),
        "size": path.stat().st_size,
        "architecture": "x",
        "parameters": "1 [2JB",
        "context": 512,
        "tools": False,
    }


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (call(()), ValidationError),
        (call((Message("robot", "x"),)), ValidationError),
        (call((Message("user", None),)), ValidationError),  # type: ignore[arg-type]
        (call(parameters=Parameters(max_tokens=0)), ValidationError),
        (call(parameters=Parameters(seed=-1)), ValidationError),
        (call(parameters=Parameters(reasoning="high")), NotSupportedError),
        (call(body={"n": 2}), ValidationError),
        (call((Message("user", ("look", Media("image/png", b"x"))),)), NotSupportedError),
        (call(modalities=("audio",)), NotSupportedError),
        (call(tools=(ADD,)), NotSupportedError),
        (call(body={"response_format": {"schema": {"enum": list(range(5000))}}}), ValidationError),
        (call(body={"grammar": "root ::= x\n" * 10_000}), ValidationError),
        (call(schema=ResponseSchema({"enum": list(range(5000))})), ValidationError),
        (call(tools=(ADD,), tool_choice="auto"), NotSupportedError),
        (call(tools=(ADD,), tool_choice="sub"), ValidationError),
        (call(tool_choice="required"), ValidationError),
        (call(tools=(ToolSpec("bad", "", {"x": object()}),), tool_choice="bad"), ValidationError),
        (call(body={"x": object()}), ValidationError),
        (call((Message("user", "a " * 10**6),)), ContextLengthError),
        (call(model="/etc/passwd"), PermissionDeniedError),
        (call(model="../own.gguf"), PermissionDeniedError),
        (call(model="absent"), NotFoundError),
        (call(model="absent", tools=(ADD,)), NotFoundError),
    ],
)
async def test_a_bad_call_never_reaches_the_engine(
    bad: ModelCall, kind: type[LLMSpellError], provider: LocalProvider, played: Played
) -> None:
    with pytest.raises(kind) as caught:
        await provider.execute(bad)
    assert played.asked == []
    assert "\n" not in caught.value.message


async def test_tools_are_refused_where_the_model_would_not_see_them(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = LocalProvider("local", {})
    with pytest.raises(NotSupportedError, match="knows no tools"):
        await provider.execute(call(model=provider.default_model, body={"tools": [{"type": "function"}]}))


@pytest.mark.parametrize("bad", [{"threads": 0}, {"context": "4096"}, {"slots": 65}, {"slots": True}])
def test_settings_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(bad))):
        LocalProvider("local", bad)


def test_a_path_of_the_settings_has_a_name(tmp_path: Path) -> None:
    assert LocalProvider("local", {}).default_model == local_weights.DEFAULT_MODEL
    assert LocalProvider("local", {"path": str(tmp_path / "Big.gguf")}).default_model == "Big"
    assert LocalProvider("local", {"model": "./Big.gguf"}).default_model == "Big"


async def test_the_path_of_the_settings_is_loaded_by_its_name_and_by_itself(played: Played, tmp_path: Path) -> None:
    path = str(tmp_path / "models" / "own.gguf")
    provider = LocalProvider("mine", {"path": path, "slots": 1})
    for model in ("", "own", path):
        assert (await provider.execute(call(model=model))).text == "Hi you"
    assert [options.path for options in played.loads] == [path]
    await provider.aclose()


# -- what comes back


async def test_chunks_are_numbered_named_and_end_with_usage(provider: LocalProvider, played: Played) -> None:
    played.act = lambda put: played.say(put, PROGRESS, delta("Hi"), delta(" you"), STOP, USAGE)
    async with provider.stream(call()) as stream:
        chunks = [chunk async for chunk in stream]
    assert [chunk.chunk_index for chunk in chunks] == list(range(len(chunks)))
    assert [chunk.content.type for chunk in chunks] == ["control", "text", "text", "control"]
    output = stream.collector.output()
    assert (output.text, output.finish_reason) == ("Hi you", "stop")
    assert (output.usage.input_tokens, output.usage.output_tokens) == (3, 2)
    assert output.metadata["model"] == "own"
    assert output.metadata["provider"] == "local"
    assert output.metadata["latency_ms"] >= 0
    assert "/secret/path" not in repr(output)
    assert threading.main_thread() not in played.threads


@pytest.mark.parametrize(
    ("told", "kind", "words"),
    [
        (
            {"code": 400, "type": "exceed_context_size_error", "n_prompt_tokens": 5031, "n_ctx": 4096, "message": "m"},
            ContextLengthError,
            "5031 tokens, the context 4096",
        ),
        ({"code": 500, "message": "Context size has been exceeded."}, ContextLengthError, "context"),
        ({"code": 400, "message": "bad\nfield"}, ValidationError, "bad field"),
        ({"code": 500, "message": "x" * 10**5}, ProviderError, "xxx…"),
        ("nonsense", ProviderError, "no reason"),
    ],
)
async def test_the_engines_errors_keep_what_came_before(
    told: Any, kind: type[LLMSpellError], words: str, provider: LocalProvider, played: Played
) -> None:
    played.act = lambda put: played.say(put, delta("some "), delta("text"), orjson.dumps({"error": told}))
    with pytest.raises(kind, match=words) as caught:
        await provider.execute(call())
    assert caught.value.context["partial"] == "some text"
    assert len(caught.value.message) < 500


async def test_what_the_engine_does_not_take_is_a_validation_error(provider: LocalProvider, played: Played) -> None:
    def act(put: Put) -> None:
        raise ValueError("JSON schema error at #:\n unrecognized type nope")

    played.act = act
    with pytest.raises(ValidationError, match="unrecognized type nope"):
        await provider.execute(call())


async def test_an_answer_without_an_end_is_no_answer(provider: LocalProvider, played: Played) -> None:
    played.act = lambda put: played.say(put, delta("half"))
    with pytest.raises(StreamTruncatedError) as caught:
        await provider.execute(call())
    assert caught.value.context["partial"] == "half"


async def test_an_endless_answer_is_stopped(
    provider: LocalProvider, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_engine, "ANSWER", 50_000)
    played.act = lambda put: played.say(put, *[delta("more")] * 10_000)
    with pytest.raises(ProviderError, match="larger than 50000 bytes"):
        await provider.execute(call())


@given(st.lists(st.one_of(st.text(max_size=5), st.just(None)), max_size=12))
def test_any_split_of_a_text_adds_up(pieces: list[str | None]) -> None:
    """None is a progress chunk, which says nothing."""
    from llmspell.providers.chat_reader import ChatReader

    chunks = [PROGRESS if piece is None else delta(piece) for piece in pieces]
    contents, error = local._read([*chunks, STOP, USAGE], ChatReader("local", "m"), "m")
    assert error is None
    assert "".join(content.text for content in contents) == "".join(piece or "" for piece in pieces)  # type: ignore[union-attr]


# -- stopping, queueing, closing


class Held:
    """A call that writes until it is told to stop, so that a test decides when it ends."""

    def __init__(self, played: Played) -> None:
        self.running = 0
        self.most = 0
        self.go = threading.Event()
        self.lock = threading.Lock()
        played.act = self.act

    def act(self, put: Put) -> None:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
        try:
            while not self.go.wait(0.001):
                if put(delta("x")):
                    return
            Played.say(put, STOP, USAGE)
        finally:
            with self.lock:
                self.running -= 1


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 (threads change it)
            await asyncio.sleep(0.001)


async def test_calls_beyond_the_slots_wait_their_turn(provider: LocalProvider, played: Played) -> None:
    held = Held(played)
    tasks = [asyncio.create_task(provider.execute(call())) for _ in range(6)]
    await until(lambda: held.running == 2)
    held.go.set()
    outputs = await asyncio.gather(*tasks)
    assert held.most == 2
    assert len(outputs) == len(played.asked) == 6
    assert len(played.loads) == 1


@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_stopped_call_frees_its_slot(how: str, provider: LocalProvider, played: Played) -> None:
    held = Held(played)
    for _ in range(5):
        if how == "close":
            stream = provider.stream(call())
            assert (await stream.next_batch() or [])[0].content.type == "control"
            await stream.aclose()
        else:
            task = asyncio.create_task(provider.execute(call()))
            await until(lambda: held.running == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until(lambda: held.running == 0)


async def test_a_call_that_is_cancelled_in_the_queue_leaves_it(provider: LocalProvider, played: Played) -> None:
    held = Held(played)
    running = [asyncio.create_task(provider.execute(call())) for _ in range(2)]
    await until(lambda: held.running == 2)
    waiting = [asyncio.create_task(provider.execute(call())) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    held.go.set()
    await asyncio.gather(*running, *waiting[1:])
    assert waiting[0].cancelled()
    assert len(played.asked) == 4


async def test_a_timeout_stops_the_model_and_says_how_long(provider: LocalProvider, played: Played) -> None:
    held = Held(played)
    with pytest.raises(CallTimeoutError, match=r"within 0\.2 s \(answering\)") as caught:
        await provider.execute(call(timeout=0.2))
    assert set(caught.value.context["partial"]) == {"x"}
    await until(lambda: held.running == 0)


async def test_the_settings_time_holds_for_calls_that_say_none_themselves(played: Played) -> None:
    held = Held(played)
    provider = LocalProvider("local", {"model": "own", "timeout": {"total": 0.2}})
    with pytest.raises(CallTimeoutError, match=r"within 0\.2 s \(answering\)"):
        await provider.execute(call())
    await until(lambda: held.running == 0)
    with pytest.raises(ConfigError, match=r"timeout\.total"):
        LocalProvider("local", {"timeout": {"total": -1}})
    await provider.aclose()


async def test_the_last_close_stops_what_runs(played: Played) -> None:
    held = Held(played)
    one, two = (LocalProvider("local", {"model": "own"}) for _ in range(2))
    stream = one.stream(call())
    await stream.next_batch()
    other = two.stream(call())
    await other.next_batch()
    await two.aclose()
    assert held.running == 2
    assert await stream.next_batch()
    await one.aclose()
    assert held.running == 0
    with pytest.raises(RunCancelledError, match="was closed"):
        await stream.collect()
    with pytest.raises(RunCancelledError):
        await other.collect()
    assert len(played.loads) == 1


async def test_a_stopped_load_is_given_up_only_when_nobody_waits(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = threading.Event()
    stops: list[threading.Event] = []

    def ensure(settings: Any, progress: Any, *, notify: Any, stop: threading.Event) -> str:
        stops.append(stop)
        progress(1, 2)
        notify("waiting")
        begun.set()
        assert stop.wait(10)
        raise RunCancelledError("stopped")

    told: list[Any] = []
    monkeypatch.setattr(local_weights, "ensure", ensure)
    monkeypatch.setattr(notices, "progress", lambda done, total: told.append((done, total, threading.current_thread())))
    monkeypatch.setattr(notices, "notify", lambda text: told.append((text, threading.current_thread())))
    provider = LocalProvider("local", {"model": "own"})
    tasks = [asyncio.create_task(provider.execute(call())) for _ in range(2)]
    await until(lambda: begun.is_set() and len(told) == 2)
    assert told == [(1, 2, threading.main_thread()), ("waiting", threading.main_thread())]
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    assert [stop.is_set() for stop in stops] == [False]
    tasks[1].cancel()
    await asyncio.wait(tasks[1:])
    assert [stop.is_set() for stop in stops] == [True]


async def test_a_load_that_fails_tells_every_caller_and_may_be_tried_again(
    played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(options: local_engine.Options) -> Any:
        raise ValidationError("damaged")

    provider = LocalProvider("local", {"model": "own"})
    with monkeypatch.context() as patch:
        patch.setattr(local_engine, "_load", load)
        failures = await asyncio.gather(*(provider.execute(call()) for _ in range(3)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["damaged"] * 3
    assert len({id(failure) for failure in failures}) == 3
    assert (await provider.execute(call())).text == "Hi you"
    await provider.aclose()


async def test_without_the_engine_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_engine, "find_spec", lambda _: None)
    monkeypatch.setattr(local_weights, "ensure", lambda *_, **__: pytest.fail("it fetched"))
    with pytest.raises(NotSupportedError) as caught:
        await LocalProvider("local", {}).execute(call(model=""))
    assert "pip install 'llmspell[local]'" in str(caught.value.hint)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
async def test_a_forked_process_is_told_so(
    provider: LocalProvider, played: Played, monkeypatch: pytest.MonkeyPatch
) -> None:
    await provider.execute(call())
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 1)
        with pytest.raises(NotSupportedError, match="fork"):
            await provider.execute(call())
        with pytest.raises(NotSupportedError, match="fork"):
            await LocalProvider("local", {"model": "own", "slots": 1}).execute(call())


async def test_the_tiny_model_says_once_what_it_is(
    played: Played, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(notices, "notify", lines.append)
    monkeypatch.setattr(local, "_told", set())
    monkeypatch.setattr(local_weights, "ensure", lambda *_, **__: str(tmp_path))
    provider = LocalProvider("local", {})
    for _ in range(2):
        await provider.execute(call(model=""))
    await provider.aclose()
    assert len(lines) == 1
    assert "tiny model" in lines[0]
    other = LocalProvider("local", {"model": "own"})
    await other.execute(call())
    await other.aclose()
    assert len(lines) == 1
