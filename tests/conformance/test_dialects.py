"""What every dialect keeps, whatever the server does: one end or one typed error, in time, and nothing left behind."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from llmspell import ScriptRuntime
from llmspell.config.loader import load
from llmspell.errors import LLMSpellError
from llmspell.providers.base import ModelCall
from llmspell.providers.manager import ProviderManager
from llmspell.types.messages import Message
from llmspell.types.streaming import Control
from llmspell.types.usage import Usage
from support.dialects import DIALECTS, TEXT
from support.loopback import CLOSE, RESET, STALL, Loopback, chunked, head
from support.wire import without_cost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

CALL = ModelCall("m", (Message("system", "Be brief."), Message("user", "hi")))
USAGE = Usage(9, 5, None, None, 14)
LATE = 5.0  # seconds that are too many whatever else the machine does
ENDS = {"close": "stream_truncated", "reset": "stream_truncated", "stall": "timeout"}

every_dialect = pytest.mark.parametrize("dialect", DIALECTS)


@asynccontextmanager
async def service(dialect: str, server: Loopback, **settings: Any) -> AsyncIterator[Any]:
    """The dialect's provider at *server*; afterwards no task and no connection is left."""
    before = asyncio.all_tasks()
    timeout = {"idle": 0.3, "first_token": 0.5, "total": LATE}
    manager = ProviderManager(
        {
            "acme": {
                "type": dialect,
                "base_url": server.url,
                "model": "m",
                "timeout": timeout,
                "retry": {"attempts": 1},
                **settings,
            }
        },
        env={},
    )
    try:
        yield manager.resolve("acme")[0]
    finally:
        await manager.aclose()
        for connection in server.connections:
            await asyncio.to_thread(connection.wait_closed)
        assert asyncio.all_tasks() == before


async def outcome(dialect: str, plan: Any) -> tuple[str, LLMSpellError | None, list[Control]]:
    """The text, the error and the ends of one streamed answer."""
    with Loopback([plan]) as server:
        async with service(dialect, server) as provider:
            stream = provider.stream(CALL)
            ends: list[Control] = []
            error: LLMSpellError | None = None
            try:
                async with asyncio.timeout(LATE):
                    while (batch := await stream.next_batch()) is not None:
                        ends += [chunk.content for chunk in batch if isinstance(chunk.content, Control)]
            except LLMSpellError as raised:
                error = raised
            text = stream.collector.text
            await stream.aclose()
    ends = [end for end in ends if end.message != "stream_start"]
    assert bool(error) != bool(ends)  # the one or the other
    assert len(ends) <= 1
    if error is not None:
        assert error.partial == text
    return text, error, ends


def answer(dialect: str, body: bytes, *, end: Any = (), **headers: str) -> list[Any]:
    """A plan: the body in one piece of HTTP's own framing, cut where *body* is, then *end*."""
    told = {"content-type": DIALECTS[dialect].type, **headers}
    return [head(200, told), *chunked([body], end=not end), *end]


@every_dialect
async def test_a_stream_is_text_usage_and_one_end(dialect: str) -> None:
    made = DIALECTS[dialect]
    text, error, ends = await outcome(dialect, answer(dialect, made.stream + made.end))
    assert error is None
    assert (text, [without_cost(end) for end in ends]) == (TEXT, [Control("stream_end", "stop", USAGE)])


@every_dialect
async def test_an_answer_in_one_piece_is_the_same(dialect: str) -> None:
    made = DIALECTS[dialect]
    plan = [head(200, {"content-type": "application/json"}, size=len(made.whole)), made.whole]
    text, error, ends = await outcome(dialect, plan)
    assert error is None
    assert (text, [without_cost(end) for end in ends]) == (TEXT, [Control("stream_end", "stop", USAGE)])
    with Loopback([plan]) as server:
        async with service(dialect, server) as provider:
            output = await provider.execute(CALL)
    assert (output.text, output.usage._replace(cost_usd=None), output.finish_reason) == (TEXT, USAGE, "stop")
    assert output.metadata["model"] == "m"


@every_dialect
@pytest.mark.parametrize("end", [CLOSE, RESET, STALL])
@pytest.mark.parametrize("where", ["in a character", "in an event", "between two events", "before the end mark"])
async def test_an_answer_that_stops_is_never_a_short_answer(dialect: str, where: str, end: str) -> None:
    made = DIALECTS[dialect]
    at = {
        "in a character": made.stream.index("🌍".encode()) + 2,
        "in an event": made.stream.index("世".encode()) - 2,
        "between two events": made.stream.index("世".encode()) - 1,
        "before the end mark": len(made.stream),
    }[where]
    if where == "between two events":
        at = made.stream.rindex(b"\n", 0, at) + 1
    text, error, _ = await outcome(dialect, answer(dialect, made.stream[:at], end=[end]))
    assert error is not None
    assert error.kind == ENDS[end]
    assert TEXT.startswith(text)
    assert (text == TEXT) == (where == "before the end mark")


@every_dialect
@pytest.mark.parametrize("end", [CLOSE, RESET, STALL])
async def test_no_answer_is_an_error_of_the_network_or_a_timeout(dialect: str, end: str) -> None:
    _, error, _ = await outcome(dialect, [end])
    assert error is not None
    assert error.kind == ("timeout" if end == STALL else "network")
    _, error, _ = await outcome(dialect, [b"HTTP/1.1 200 OK\r\ncontent-ty", end])
    assert error is not None
    assert error.kind == ("timeout" if end == STALL else "stream_truncated")


@every_dialect
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"\x00\xff\xfe garbage \x80" * 20, ("provider", "stream_truncated")),
        (b"<html><title>Welcome</title><body>Hello</body></html>", ("provider",)),
        (b"", ("stream_truncated",)),
        (b"null", ("provider", "stream_truncated")),
        (b"[]", ("provider", "stream_truncated")),
        (b'{"what": "is this"}', ("provider", "stream_truncated")),
        (b'{"error": {"message": "slow down", "code": 429}}', ("rate_limit",)),
    ],
    ids=["garbage", "html", "nothing", "null", "list", "other", "error"],
)
async def test_what_is_no_answer_is_one_error(dialect: str, body: bytes, kind: tuple[str, ...]) -> None:
    text, error, _ = await outcome(dialect, answer(dialect, body))
    assert (text, error is not None) == ("", True)
    assert error is not None
    assert error.kind in kind
    assert error.message.isprintable()


@every_dialect
async def test_an_error_inside_an_answer_is_raised_after_its_text(dialect: str) -> None:
    made = DIALECTS[dialect]
    text, error, _ = await outcome(dialect, answer(dialect, made.stream + made.error))
    assert error is not None
    assert (error.kind, text) == ("rate_limit", TEXT)
    assert "slow down" in error.message


@every_dialect
async def test_an_endless_event_and_an_endless_head_are_refused(dialect: str) -> None:
    piece = b"x" * 65536
    endless = [b"data: " if DIALECTS[dialect].type == "text/event-stream" else b'{"x": "', *[piece] * 600]
    plan = [head(200, {"content-type": DIALECTS[dialect].type}), *chunked(endless, end=False), STALL]
    _, error, _ = await outcome(dialect, plan)
    assert error is not None
    assert error.kind == "provider"
    _, error, _ = await outcome(dialect, [b"HTTP/1.1 200 OK\r\nx: ", *[piece] * 4, STALL])
    assert error is not None
    assert error.kind == "provider"


@every_dialect
async def test_a_bomb_is_refused_and_what_is_packed_is_read(dialect: str) -> None:
    made = DIALECTS[dialect]
    packed = gzip.compress(made.stream + made.end)
    text, error, _ = await outcome(dialect, answer(dialect, packed, **{"content-encoding": "gzip"}))
    assert (text, error) == (TEXT, None)
    bomb = gzip.compress(b" " * (64 << 20))
    _, error, _ = await outcome(dialect, answer(dialect, bomb, **{"content-encoding": "gzip"}))
    assert error is not None
    assert error.kind == "provider"


@every_dialect
async def test_any_content_type_is_a_hint(dialect: str) -> None:
    made = DIALECTS[dialect]
    for type_ in ("application/octet-stream", "text/html", ""):
        plan = [head(200, {"content-type": type_}), *chunked([made.stream, made.end])]
        text, error, _ = await outcome(dialect, plan)
        assert (text, error) == (TEXT, None)


@every_dialect
@pytest.mark.parametrize("place", ["http://127.0.0.1:1/steal", "http://attacker.example/steal", "file:///etc/passwd"])
async def test_a_redirect_is_not_followed(dialect: str, place: str) -> None:
    with Loopback([[head(307, {"location": place}, size=0)]]) as server:
        async with service(dialect, server, api_key="sk-secret") as provider:
            with pytest.raises(LLMSpellError) as caught:
                await provider.stream(CALL).collect()
    assert caught.value.kind == "provider"
    assert len(server.requests) == 1
    assert "sk-secret" not in str(caught.value.to_dict())


@every_dialect
async def test_a_slow_body_is_read_and_a_body_that_is_too_slow_is_a_timeout(dialect: str) -> None:
    made = DIALECTS[dialect]
    body = made.stream + made.end
    cuts = [body[at : at + 40] for at in range(0, len(body), 40)]
    slow = [step for piece in chunked(cuts) for step in (piece, 0.002)]
    text, error, _ = await outcome(dialect, [head(200), *slow])
    assert (text, error) == (TEXT, None)


@every_dialect
async def test_leaving_closes_the_connection(dialect: str) -> None:
    made = DIALECTS[dialect]
    with Loopback([answer(dialect, made.stream, end=[STALL])]) as server:
        async with service(dialect, server) as provider:
            stream = provider.stream(CALL)
            async for chunk in stream:
                if chunk.content.type == "text":
                    break
            await stream.aclose()
            await asyncio.to_thread(server.connections[0].wait_closed)


@every_dialect
@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [(400, "provider", False), (401, "auth", False), (403, "auth", False), (404, "not_found", False),
     (429, "rate_limit", True), (500, "provider", True), (503, "provider", True), (529, "provider", True)],
)  # fmt: skip
async def test_an_error_answer_is_typed_by_its_status(dialect: str, status: int, kind: str, retryable: bool) -> None:
    for body in (b'{"error": {"message": "no"}}', b"<html>no</html>", b"", b'{"detail": "no"}', b'[{"error": "no"}]'):
        plan = [head(status, {"retry-after": "7", "content-type": "text/event-stream"}, size=len(body)), body]
        _, error, _ = await outcome(dialect, plan)
        assert error is not None
        assert (error.kind, error.status, error.retryable) == (kind, status, retryable)
        assert error.context["retry_after"] == 7


@every_dialect
async def test_the_key_goes_where_it_belongs_and_nowhere_else(dialect: str) -> None:
    made = DIALECTS[dialect]
    with Loopback([answer(dialect, made.stream + made.end)]) as server:
        async with service(dialect, server, api_key="sk-secret-123") as provider:
            await provider.stream(CALL).collect()
    (request,) = server.requests
    assert sum("sk-secret-123" in value for value in request.headers.values()) == 1
    assert "sk-secret-123" not in request.path
    assert b"sk-secret-123" not in request.body


SCRIPT = """
  local texts, last = {}, nil
  for chunk in Agent.create{ model = 'acme/m', system_prompt = 'Be brief.' }:stream_execute('hi') do
    if chunk.content.type == 'text' then texts[#texts + 1] = chunk.content.text end
    last = chunk
  end
  return { texts, last.content.usage.total_tokens, last.metadata.model, last.metadata.provider }
"""


@every_dialect
async def test_a_script_streams_from_it(dialect: str) -> None:
    made = DIALECTS[dialect]
    with Loopback([answer(dialect, made.stream + made.end)]) as server:
        env = {
            "LLMSPELL_PROVIDERS__ACME__TYPE": dialect,
            "LLMSPELL_PROVIDERS__ACME__BASE_URL": server.url,
            "LLMSPELL_PROVIDERS__ACME__RETRY__ATTEMPTS": "1",
            "LLMSPELL_PROVIDERS__ACME__MODEL": "m",
        }
        config = load(script_dir=None, config_file=None, env=env, flags={})
        async with ScriptRuntime(config) as runtime:
            done = await runtime.execute_script(SCRIPT)
    texts, total, model, provider = done.result
    assert ("".join(texts), total, model, provider) == (TEXT, 14, "m", "acme")
    assert len(texts) == 3
    done.usage.pop("cost_usd", None)  # of a service whose models have no price
    assert done.usage == {"input_tokens": 9, "output_tokens": 5, "total_tokens": 14}
    assert b"Be brief." in server.requests[0].body
