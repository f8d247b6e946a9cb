"""What a service's error answer means."""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError
from llmspell.providers.base import WireReply
from llmspell.providers.wire_errors import from_error, from_reply, masked, retry_after

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["error", "message", "detail", "code", "status", "type", "details", "metadata", "raw", "param",
                         "reason", "retryDelay", "innererror", "status_code", "loc", "msg"]) | st.text(),
        inner,
        max_size=5,
    ),
)  # fmt: skip


def error_of(status: int, body: Any, headers: dict[str, str] | None = None, **options: Any) -> LLMSpellError:
    wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    return from_reply(WireReply(status, headers or {}, wire), provider="acme", model="m", **options)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"error": {"message": "M", "type": "t", "param": None, "code": None}}, "M"),
        ({"error": {"code": "c", "message": "M"}}, "M"),
        ({"code": "invalid-argument", "error": "M"}, "M"),
        ({"error": "M"}, "M"),
        ({"message": "M", "error_type": "t"}, "M"),
        ({"detail": "M"}, "M"),
        ({"detail": [{"loc": ["body", "top_k"], "msg": "not allowed", "type": "x"}]}, "body.top_k: not allowed"),
        ({"detail": [{"loc": "top_k", "msg": "not so"}, {"loc": 5, "msg": "nor this"}]}, "top_k: not so; nor this"),
        ({"object": "error", "message": "M", "code": 3}, "M"),
        ({"type": "error", "error": {"type": "invalid_request_error", "message": "M"}}, "M"),
        ([{"error": {"code": 400, "message": "M", "status": "INVALID_ARGUMENT"}}], "M"),
        ({"error": {"code": 400, "message": "M", "metadata": {"provider_name": "P", "raw": "R"}}}, "M (P): R"),
        ({"error": {"message": "M", "metadata": {"raw": '{"error":{"message":"R"}}'}}}, "M: R"),
        ({"error": {"message": "M", "metadata": {"raw": {"message": "R"}}}}, "M: R"),
        ({"fault": "x"}, '{"fault":"x"}'),
        (b"plain words\nin two lines", "plain words in two lines"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ([], "[]"),
    ],
)
def test_every_shape_of_a_body_is_read(body: Any, says: str) -> None:
    error = error_of(400, body)
    assert error.message == f"acme answered 400: {says}"
    assert (error.kind, error.status, error.provider, error.model) == ("provider", 400, "acme", "m")


@pytest.mark.parametrize("body", [b"", b"null"])
def test_an_empty_body_leaves_the_status(body: bytes) -> None:
    assert error_of(503, body).message == "acme answered 503"


@pytest.mark.parametrize(
    ("status", "body", "kind", "retryable"),
    [
        (400, {}, "provider", False),
        (400, {"error": {"code": "context_length_exceeded"}}, "context_length", False),
        (400, {"error": {"message": "The input token count (5) exceeds the maximum"}}, "context_length", False),
        (413, {"error": {"message": "prompt is too long: 9 tokens"}}, "context_length", False),
        (400, {"error": {"code": "content_filter"}}, "content_filter", False),
        (
            400,
            {"error": {"code": "x", "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
            "content_filter",
            False,
        ),
        (400, {"error": {"status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}}, "auth", False),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided: x"}, "auth", False),
        (400, {"error": {"code": "model_not_found"}}, "not_found", False),
        (400, {"error": {"message": "input length and `max_tokens` exceed context limit: 9"}}, "context_length", False),
        (400, {"error": {"message": "Your credit balance is too low to access the API"}}, "quota", False),
        (401, {}, "auth", False),
        (402, {}, "quota", False),
        (403, {}, "auth", False),
        (404, {}, "not_found", False),
        (405, {}, "provider", False),
        (408, {}, "provider", True),
        (409, {}, "provider", True),
        (422, {}, "provider", False),
        (429, {}, "rate_limit", True),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "quota"}}, "rate_limit", True),
        (429, {"error": {"code": "insufficient_quota"}}, "quota", False),
        (429, {"error": {"type": "insufficient_quota"}}, "quota", False),
        (500, {}, "provider", True),
        (502, {}, "provider", True),
        (503, {}, "provider", True),
        (504, {}, "provider", True),
        (529, {"error": {"type": "overloaded_error"}}, "provider", True),
    ],
)
def test_kinds(status: int, body: Any, kind: str, retryable: bool) -> None:
    error = error_of(status, body)
    assert (error.kind, error.retryable, error.status) == (kind, retryable, status)
    assert error.exit_code == 4


@pytest.mark.parametrize(
    ("body", "kind", "status", "retryable"),
    [
        ({"error": {"type": "overloaded_error", "message": "M"}}, "provider", None, True),
        ({"error": {"code": 429, "message": "M"}}, "rate_limit", 429, True),
        ({"error": {"code": "rate_limit_exceeded"}}, "rate_limit", None, True),
        ({"error": {"code": "502"}}, "provider", 502, True),
        ({"error": {"code": "tool_use_failed", "status_code": 400}}, "provider", 400, False),
        ({"error": {"type": "authentication_error"}}, "auth", None, False),
        ({"error": {"type": "permission_error"}}, "auth", None, False),
        ({"error": {"type": "not_found_error"}}, "not_found", None, False),
        ({"error": {"message": "maximum context length is 5"}}, "context_length", None, False),
        ("words", "provider", None, False),
    ],
)
def test_kinds_of_errors_within_an_answer(body: Any, kind: str, status: int | None, retryable: bool) -> None:
    error = from_error(body, status=None, headers={}, provider="acme", model="m")
    assert (error.kind, error.status, error.retryable) == (kind, status, retryable)
    assert error.message.startswith("acme failed while it answered")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "0", "retry-after": "1"}, 0.0),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 99 Oct 2015"}, None),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
    assert error_of(429, {}, headers).retry_after == seconds


def test_a_date_is_a_wait_until_it() -> None:
    wait = retry_after({"retry-after": formatdate(time.time() + 60, usegmt=True)})
    assert wait is not None
    assert 57 < wait <= 60


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone is the system's")
def test_a_date_without_a_zone_is_one_of_greenwich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XST+5")
    time.tzset()
    try:
        wait = retry_after({"retry-after": time.strftime("%a %b %d %H:%M:%S %Y", time.gmtime(time.time() + 60))})
    finally:
        monkeypatch.undo()
        time.tzset()
    assert wait is not None
    assert 57 < wait <= 60


def test_geminis_delay_is_a_wait_and_a_header_goes_before_it() -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "48.5s"}
    body = [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "M", "details": [info]}}]
    assert error_of(429, body).retry_after == 48.5
    assert error_of(429, body, {"retry-after": "2"}).retry_after == 2.0


@pytest.mark.parametrize(("word", "retryable"), [("true", True), ("false", False), ("TRUE", True), ("maybe", True)])
def test_the_services_own_word_on_retrying_counts(word: str, retryable: bool) -> None:
    assert error_of(500, {}, {"x-should-retry": word}).retryable is retryable
    assert error_of(400, {}, {"x-should-retry": word}).retryable is (word.lower() == "true")


def test_a_web_page_is_told_by_its_title() -> None:
    page = b"<!DOCTYPE html><html><head><title>502 Bad\nGateway</title></head><body>x</body></html>"
    error = error_of(502, page, {"content-type": "text/html"})
    assert error.message == "acme answered 502 with a web page: 502 Bad Gateway"
    assert (error.kind, error.retryable) == ("provider", True)
    error = error_of(404, b"<h1>Not <b>here</b></h1>")
    assert error.message == "acme answered 404 with a web page: Not here"
    assert "providers.acme.base_url" in (error.hint or "")


@pytest.mark.parametrize(
    ("status", "body", "headers", "has"),
    [
        (401, {}, {}, "`ACME_KEY`"),
        (429, {}, {"retry-after": "7"}, "wait 7 s"),
        (429, {}, {"retry-after": "600"}, "wait 10 min"),
        (404, {}, {}, "`acme/MODEL`"),
        (503, {}, {}, "try again"),
        (500, {}, {}, "trouble of its own"),
        (408, {}, {}, "trouble of its own"),
        (500, b"<html>x</html>", {}, "trouble of its own"),
        (499, b"<html>x</html>", {}, "a proxy"),
        (400, {}, {}, "does not take the request"),
        (400, {"error": {"code": "content_policy_violation"}}, {}, "word it in another way"),
        (400, {"error": {"message": "M", "param": "top_k"}}, {}, "`top_k`"),
        (400, {"error": {"code": "context_length_exceeded"}}, {}, "shorten"),
        (402, {}, {}, "billing"),
        (302, b"", {"location": "https://elsewhere"}, "redirects are not followed"),
    ],
)
def test_hints_say_what_to_do(status: int, body: Any, headers: dict[str, str], has: str) -> None:
    hint = error_of(status, body, headers, key_env="ACME_KEY").hint
    assert hint is not None
    assert has in hint
    assert hint.isprintable()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *((code, "context_length") for code in (
            "context_length_exceeded", "exceed_context_size", "too_many_prompt_tokens", "prompt is too long",
            "prompt too long", "maximum context length", "exceeds the context window", "input token count",
            "exceed context limit",
        )),
        *((code, "auth") for code in (
            "api_key_invalid", "invalid_api_key", "authentication_error", "permission_error", "incorrect api key",
            "invalid api key",
        )),
        *((code, "quota") for code in (
            "insufficient_quota", "billing_hard_limit", "billing_error", "billing_not_active",
        )),
        *((code, "content_filter") for code in (
            "content_filter", "responsibleaipolicyviolation", "content_policy_violation",
        )),
    ],
)  # fmt: skip
def test_words_that_services_have_for_a_kind(code: str, kind: str) -> None:
    for body in ({"error": {"code": code.upper()}}, {"error": {"type": code}}, {"error": {}, "code": code}):
        assert error_of(400, body).kind == kind


@pytest.mark.parametrize(
    "code", ["overloaded_error", "server_error", "api_error", "timeout_error", "internal", "unavailable"]
)
def test_what_may_pass_though_the_answer_had_begun(code: str) -> None:
    assert from_error({"error": {"type": code}}, status=None, headers={}, provider="p", model="m").retryable
    assert "`partial`" in str(from_error("words", status=None, headers={}, provider="p", model="m").hint)


def test_what_a_validator_found_is_told_of_the_first_five() -> None:
    detail = [{"loc": ["body", "n", place], "msg": "bad"} for place in range(6)]
    told = error_of(422, {"detail": detail}).message
    assert told == "acme answered 422: " + "; ".join(f"body.n.{place}: bad" for place in range(5))


def test_secrets_that_a_service_echoes_are_masked() -> None:
    key = "very/secret+key=="
    error = error_of(401, {"error": {"message": f"bad key {key} in 'Bearer {key}'"}}, secrets=(key,))
    assert "secret" not in str(error.to_dict())
    error = error_of(401, {"error": {"message": "Incorrect API key provided: sk-proj-abc***XYZ9. See the docs."}})
    assert error.message == "acme answered 401: Incorrect API key provided: *** See the docs."


@pytest.mark.parametrize("word", ["sk-abcdef123456", "gsk_abcdef123456", "xai-abcdefghijk", "AIza" + "x" * 35])
def test_what_has_a_keys_shape_is_masked(word: str) -> None:
    assert masked(f"the key {word} is wrong") == "the key *** is wrong"


def test_a_short_secret_is_masked_as_a_word_only() -> None:
    assert masked("x is not in box", ("x",)) == "*** is not in box"
    assert masked("as is", ("",)) == "as is"


def test_messages_are_bounded() -> None:
    error = error_of(400, {"error": {"message": "long " * 100_000, "param": "p" * 10_000}})
    assert len(error.message) <= 500
    assert len(error.hint or "") < 300


def test_the_request_id_is_kept() -> None:
    assert error_of(500, {}, {"x-request-id": "r1"}).request_id == "r1"
    assert error_of(500, {"request_id": "r2"}).request_id == "r2"
    assert error_of(500, {}).request_id is None


@given(body=JSON, status=st.integers(300, 599))
def test_no_body_hides_the_status(body: Any, status: int) -> None:
    error = error_of(status, body)
    assert error.status == status
    assert error.message.startswith(f"acme answered {status}")
    assert error.message.isprintable()
    assert len(error.message) <= 500


@pytest.mark.parametrize("deep", [60, 300, 900])
def test_nor_does_one_that_is_nested_deep(deep: int) -> None:
    error = error_of(500, b'{"error":{"x":' + b"[" * deep + b"]" * deep + b"}}")
    assert (error.status, error.retryable) == (500, True)


@given(body=st.binary())
def test_nor_do_any_bytes(body: bytes) -> None:
    assert error_of(500, body).status == 500
