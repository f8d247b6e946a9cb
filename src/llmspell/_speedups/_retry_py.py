"""The arithmetic of trying again: how long to wait, how often, and how many calls at once. Plain values, no clock.

One source for both twins: setup.py compiles it a second time as `_retry_c`.
"""

from __future__ import annotations

__all__ = ["Ceiling", "RetryTokens", "backoff", "decide"]


def backoff(attempt: int, base: float, most: float, share: float) -> float:
    """Seconds after *attempt* attempts (from 1): a *share* (0 to 1) of base · 2^(attempt - 1), at most *most*.

    The share is drawn by the caller, evenly: full jitter spreads those who failed together over the whole wait.
    """
    doublings = attempt - 1 if attempt > 1 else 0
    ceiling = base * 2.0**doublings if doublings < 64 else most
    if ceiling > most:
        ceiling = most
    return share * ceiling


def decide(
    attempt: int,
    attempts: int,
    told: float | None,
    waited: float,
    budget: float,
    base: float,
    most: float,
    share: float,
) -> tuple[float, str]:
    """What to do after *attempt* attempts of at most *attempts* failed, in a way that may pass: (seconds, why not).

    told: the seconds that the service asks for, which are obeyed up to *most*. waited: seconds that went by since the
    first attempt; together with the next wait they may not pass *budget* (0: no bound). "" is wait and try again;
    "attempts", "wait" (it asks for more than *most*) and "budget" are reasons to give up.
    """
    wait = backoff(attempt, base, most, share) if told is None else told
    if attempt >= attempts:
        return wait, "attempts"
    if wait > most:
        return wait, "wait"
    if budget > 0 and waited + wait > budget:
        return wait, "budget"
    return wait, ""


class RetryTokens:
    """A bucket that bounds what retries add to the load of a service that is down.

    Each call earns *share* of a token, each retry costs one, and there are never more than *most*: over any time, the
    retries are at most *most* and that share of the calls. It begins full.
    """

    __slots__ = ("most", "share", "tokens")

    def __init__(self, most: float = 10.0, share: float = 0.2) -> None:
        self.most = most
        self.share = share
        self.tokens = most

    def earn(self) -> None:
        """A call was made for the first time."""
        tokens = self.tokens + self.share
        self.tokens = tokens if tokens < self.most else self.most

    def spend(self) -> bool:
        """Whether a retry may be made; it is then paid."""
        if self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True


class Ceiling:
    """How many calls may be in flight: found out from what the service refuses, for it does not say.

    There is none (`limit` 0) before the first refusal. A refusal halves what was in flight, once for all calls that
    were begun before it was known; while those that were sent too many come back, it follows what is left in flight.
    Each success raises it by one, up to what the service last bore; beyond that one more is tried after a whole
    round of successes, then two, four …, so that a service whose load is known is seldom asked for too much.
    """

    __slots__ = ("_good", "_pause", "_quiet", "epoch", "in_flight", "limit")

    def __init__(self) -> None:
        self.limit = 0
        self.in_flight = 0
        self.epoch = 0  # grows with each cut: a call remembers the one that it began in
        self._good = 0  # how many it last bore
        self._pause = 1  # rounds of successes before one more is tried
        self._quiet = 0  # successes since the last trial

    def room(self) -> bool:
        """Whether one more may begin."""
        return self.limit == 0 or self.in_flight < self.limit

    def begin(self) -> int:
        """One more is in flight; gives the epoch that `refused` wants back."""
        self.in_flight += 1
        return self.epoch

    def over(self) -> None:
        """One ended of which nothing can be learnt: it failed, or was left."""
        self.in_flight -= 1

    def refused(self, epoch: int) -> None:
        """One was answered that there are too many; it began in *epoch*."""
        self.in_flight -= 1
        left = self.in_flight if self.in_flight > 1 else 1
        if epoch != self.epoch:  # it was under way when the load was cut: no news, but the rest is what is borne
            if left < self.limit:
                self.limit = self._good = left
            return
        self.epoch += 1
        self._pause = self._pause * 2 if left <= self._good else 1
        if self._pause > 64:
            self._pause = 64
        self._good = left
        self._quiet = 0
        half = (left + 1) // 2
        self.limit = half if half > 1 else 1

    def succeeded(self) -> None:
        """One was answered."""
        full = self.limit != 0 and self.in_flight >= self.limit  # what was not used was not tried
        self.in_flight -= 1
        if not full:
            return
        if self.limit < self._good:
            self.limit += 1
            return
        self._quiet += 1
        if self._quiet >= self._pause * self.limit:
            self._quiet = 0
            self.limit += 1
            if self.limit > self._good + 1:  # the last trial was borne
                self._good = self.limit - 1
                self._pause = 1
