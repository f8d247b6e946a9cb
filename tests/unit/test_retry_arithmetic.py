"""The arithmetic of trying again: bounds that hold for any values, and both twins agree."""

from __future__ import annotations

import heapq
import random
from importlib import import_module
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TWINS = ["py", "c"]
PROPERTY = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
SECONDS = st.floats(0, 1e6)
SHARES = st.floats(0, 1)


@pytest.fixture(params=[pytest.param(half, marks=pytest.mark.compiled if half == "c" else ()) for half in TWINS])
def twin(request: pytest.FixtureRequest) -> Any:
    return import_module(f"llmspell._speedups._retry_{request.param}")


def test_the_waits_double_up_to_the_most(twin: Any) -> None:
    assert [twin.backoff(attempt, 0.5, 30.0, 1.0) for attempt in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert [twin.backoff(attempt, 0.5, 30.0, 0.5) for attempt in (0, 1, 3, 5000)] == [0.25, 0.25, 1, 15]


@PROPERTY
@given(st.integers(1, 10**6), SECONDS, SECONDS, SHARES, SHARES)
def test_a_wait_is_never_negative_nor_beyond_the_most_and_grows_with_its_share(
    twin: Any, attempt: int, base: float, most: float, share: float, other: float
) -> None:
    low, high = sorted((share, other))
    assert 0 <= twin.backoff(attempt, base, most, low) <= twin.backoff(attempt, base, most, high) <= most
    assert twin.backoff(attempt, base, most, share) <= twin.backoff(attempt + 1, base, most, share)


@PROPERTY
@given(
    st.integers(1, 20), st.integers(1, 20), st.none() | SECONDS, SECONDS, SECONDS, SECONDS, SECONDS, SHARES
)  # fmt: skip
def test_what_is_decided_keeps_every_bound(
    twin: Any,
    attempt: int,
    attempts: int,
    told: float | None,
    waited: float,
    budget: float,
    base: float,
    most: float,
    share: float,
) -> None:
    wait, why = twin.decide(attempt, attempts, told, waited, budget, base, most, share)
    assert why in ("", "attempts", "wait", "budget")
    if not why:
        assert attempt < attempts
        assert 0 <= wait <= most
        assert not budget or waited + wait <= budget
        assert told is None or wait == told
    elif why == "wait":
        assert told is not None
        assert told > most
    elif why == "attempts":
        assert attempt >= attempts
    else:
        assert waited + wait > budget > 0


@pytest.mark.parametrize(
    ("values", "decided"),
    [
        ((1, 4, None, 0.0, 60.0, 0.5, 30.0, 1.0), (0.5, "")),
        ((3, 4, None, 1.0, 60.0, 0.5, 30.0, 0.5), (1.0, "")),
        ((4, 4, None, 1.0, 60.0, 0.5, 30.0, 1.0), (4.0, "attempts")),
        ((1, 4, 7.0, 0.0, 60.0, 0.5, 30.0, 1.0), (7.0, "")),
        ((1, 4, 0.0, 0.0, 60.0, 0.5, 30.0, 1.0), (0.0, "")),
        ((1, 4, 30.0, 0.0, 60.0, 0.5, 30.0, 1.0), (30.0, "")),
        ((1, 4, 31.0, 0.0, 60.0, 0.5, 30.0, 1.0), (31.0, "wait")),
        ((1, 4, 30.0, 30.0, 60.0, 0.5, 30.0, 1.0), (30.0, "")),
        ((1, 4, 30.0, 31.0, 60.0, 0.5, 30.0, 1.0), (30.0, "budget")),
        ((1, 4, 30.0, 1e9, 0.0, 0.5, 30.0, 1.0), (30.0, "")),
        ((1, 4, 0.5, 0.75, 1.0, 0.5, 30.0, 1.0), (0.5, "budget")),
        ((4, 4, 31.0, 99.0, 60.0, 0.5, 30.0, 1.0), (31.0, "attempts")),
        ((1, 4, 31.0, 99.0, 60.0, 0.5, 30.0, 1.0), (31.0, "wait")),
    ],
)
def test_what_is_decided(twin: Any, values: tuple[Any, ...], decided: tuple[float, str]) -> None:
    assert twin.decide(*values) == decided


def test_a_bucket_is_full_at_first_is_emptied_by_retries_and_filled_by_calls(twin: Any) -> None:
    tokens = twin.RetryTokens()
    assert (tokens.most, tokens.share, tokens.tokens) == (10.0, 0.2, 10.0)
    tokens.earn()
    assert tokens.tokens == 10.0
    tokens = twin.RetryTokens(3.0, 0.5)
    assert [tokens.spend() for _ in range(5)] == [True, True, True, False, False]
    told = []
    for _ in range(4):
        tokens.earn()
        told.append(tokens.spend())
    assert told == [False, True, False, True]
    for _ in range(20):
        tokens.earn()
    assert tokens.tokens == 3.0


def in_flight(twin: Any, count: int) -> tuple[Any, list[int]]:
    ceiling = twin.Ceiling()
    return ceiling, [ceiling.begin() for _ in range(count)]


def test_a_refusal_halves_what_was_in_flight_once(twin: Any) -> None:
    ceiling, epochs = in_flight(twin, 9)
    ceiling.refused(epochs.pop())
    assert (ceiling.limit, ceiling.in_flight) == (4, 8)
    for left in range(7, 3, -1):  # of those that were begun before: no news
        ceiling.refused(epochs.pop())
        assert (ceiling.limit, ceiling.in_flight) == (4, left)
    ceiling.refused(epochs.pop())
    assert (ceiling.limit, ceiling.in_flight) == (3, 3)  # but the rest is what is borne
    assert not ceiling.room()
    ceiling.over()
    assert ceiling.room()
    assert ceiling.begin() == 1


@pytest.mark.parametrize(("count", "limit"), [(1, 1), (2, 1), (3, 1), (4, 2), (5, 2), (6, 3), (101, 50)])
def test_a_limit_is_half_rounded_up_and_one_at_least(twin: Any, count: int, limit: int) -> None:
    ceiling, epochs = in_flight(twin, count)
    ceiling.refused(epochs[0])
    assert ceiling.limit == limit


def rounds_to_raise(ceiling: Any) -> int:
    """How many successes of a full load it takes until one more is allowed."""
    before, count = ceiling.limit, 0
    while ceiling.limit == before:
        while ceiling.room():
            ceiling.begin()
        ceiling.succeeded()
        count += 1
    return count


def test_successes_raise_it_by_one_up_to_what_was_borne_then_seldomer(twin: Any) -> None:
    ceiling, epochs = in_flight(twin, 9)
    ceiling.refused(epochs.pop())
    for _ in range(8):
        ceiling.over()
    assert [rounds_to_raise(ceiling) for _ in range(4)] == [1, 1, 1, 1]
    assert ceiling.limit == 8
    assert rounds_to_raise(ceiling) == 8  # a whole round: it last bore eight
    while ceiling.room():
        ceiling.begin()
    ceiling.refused(ceiling.epoch)  # the ninth again
    while ceiling.in_flight:
        ceiling.over()
    assert ceiling.limit == 4
    assert [rounds_to_raise(ceiling) for _ in range(4)] == [1, 1, 1, 1]
    assert rounds_to_raise(ceiling) == 16  # two rounds


def test_what_was_not_used_was_not_tried(twin: Any) -> None:
    ceiling, epochs = in_flight(twin, 9)
    ceiling.refused(epochs.pop())
    for _ in range(8):
        ceiling.over()
    for _ in range(100):
        ceiling.begin()
        ceiling.succeeded()
    assert ceiling.limit == 4


@pytest.mark.compiled
@PROPERTY
@given(st.tuples(st.integers(0, 80), st.integers(1, 80), st.none() | SECONDS, *[SECONDS] * 4, SHARES))
def test_the_twins_decide_alike(values: tuple[Any, ...]) -> None:
    py, c = (import_module(f"llmspell._speedups._retry_{half}") for half in TWINS)
    assert py.decide(*values) == c.decide(*values)


@PROPERTY
@given(st.lists(st.booleans(), max_size=300), st.floats(1, 20), st.floats(0, 1))
def test_retries_are_at_most_the_bucket_and_a_share_of_the_calls(
    twin: Any, events: list[bool], most: float, share: float
) -> None:
    tokens = twin.RetryTokens(most, share)
    calls = retries = 0
    for is_call in events:
        if is_call:
            calls += 1
            tokens.earn()
        else:
            retries += tokens.spend()
        assert retries <= most + share * calls + 1e-6
        assert 0 <= tokens.tokens <= most


@PROPERTY
@given(
    st.lists(st.tuples(st.sampled_from(["begin", "refused", "succeeded", "over"]), st.integers(0, 50)), max_size=300)
)
def test_the_ceiling_counts_rightly_whatever_happens(twin: Any, events: list[tuple[str, int]]) -> None:
    ceiling = twin.Ceiling()
    flying: list[int] = []
    refused = False
    for what, which in events:
        if what == "begin":
            if ceiling.room():
                flying.append(ceiling.begin())
        elif flying:
            epoch = flying.pop(which % len(flying))
            if what == "refused":
                refused = True
                ceiling.refused(epoch)
            else:
                getattr(ceiling, what)()
        assert ceiling.in_flight == len(flying)
        assert (ceiling.limit == 0) is (not refused)
        assert ceiling.limit >= 0
        if not flying:
            assert ceiling.room()  # nobody waits for nothing


class Service:
    """Answers up to *bears* calls at once, each in about a second; refuses the others at once. Virtual time."""

    def __init__(self, twin: Any, bears: int, clients: int, *, rng: random.Random) -> None:
        self.ceiling = twin.Ceiling()
        self.backoff = twin.backoff
        self.bears, self.clients, self.rng = bears, clients, rng
        self.busy = 0
        self.done: list[float] = []
        self.by_client = [0] * clients
        self.refusals = 0

    def run(self, until: float, later: tuple[float, int] = (1e9, 0)) -> None:
        """Each client makes one call after the other; who was refused waits as `backoff` says, then its turn.

        later: from when it bears how many.
        """
        now, number = 0.0, 0
        events: list[tuple[float, int, str, int, int]] = []
        queue: list[tuple[float, int, int]] = []
        tries = [0] * self.clients

        def at(time: float, what: str, client: int, epoch: int = 0) -> None:
            nonlocal number
            number += 1
            heapq.heappush(events, (time, number, what, client, epoch))

        def serve() -> None:
            while queue and self.ceiling.room():
                _, _, client = heapq.heappop(queue)
                epoch = self.ceiling.begin()
                if self.busy < self.bears:
                    self.busy += 1
                    at(now + self.rng.uniform(0.8, 1.2), "answered", client, epoch)
                else:
                    at(now + 0.01, "refused", client, epoch)

        asked = [0.0] * self.clients
        for client in range(self.clients):
            at(0.0, "asks", client)
        while events and events[0][0] < until:
            now, number_, what, client, epoch = heapq.heappop(events)
            if now > later[0]:
                self.bears = later[1]
            if what == "asks":
                heapq.heappush(queue, (asked[client], number_, client))
            elif what == "answered":
                self.busy -= 1
                self.ceiling.succeeded()
                self.done.append(now)
                self.by_client[client] += 1
                tries[client], asked[client] = 0, now
                at(now, "asks", client)
            else:
                self.refusals += 1
                self.ceiling.refused(epoch)
                tries[client] += 1
                at(now + self.backoff(tries[client], 0.5, 30.0, self.rng.random()), "asks", client)
            serve()


@pytest.mark.parametrize("bears", [1, 3, 8, 40])
@pytest.mark.parametrize("clients", [4, 50, 300])
def test_it_settles_near_the_best_rate_and_starves_nobody(twin: Any, bears: int, clients: int) -> None:
    service = Service(twin, bears, clients, rng=random.Random(bears * 1000 + clients))
    service.run(400.0)
    best = min(bears, clients)  # answers a second
    late = [time for time in service.done if time > 100]
    assert len(late) / 300 >= 0.8 * best
    assert max(service.by_client) - min(service.by_client) <= 2 + 0.5 * max(service.by_client)
    assert service.refusals <= clients + 0.1 * len(service.done) + 60


def test_a_service_that_bears_more_later_is_asked_for_more(twin: Any) -> None:
    service = Service(twin, 4, 100, rng=random.Random(7))
    service.run(600.0, later=(100.0, 20))
    assert len([time for time in service.done if time > 400]) / 200 >= 0.8 * 20


def test_one_that_bears_less_later_is_asked_for_less(twin: Any) -> None:
    service = Service(twin, 40, 100, rng=random.Random(8))
    service.run(400.0, later=(100.0, 5))
    assert len([time for time in service.done if time > 200]) / 200 >= 0.8 * 5
    assert service.refusals < 400
