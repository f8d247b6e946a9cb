"""What the log is told of one call of a model: that it was sent, tried again, and how it ended. See utils/logs.py."""

from __future__ import annotations

import logging
import time
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any

from llmspell.utils import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping

    from llmspell.providers.base import ModelCall
    from llmspell.types.streaming import AgentChunk, Control, Room, Taker

__all__ = ["CallLog"]

LAYER = "model"


class CallLog:
    """Tells of one call. of: provider and model. What `watching` is around tells of its beginning, and of an end that
    is an error; of a good one `ended`.
    """

    def __init__(self, provider: str, model: str, stream_id: str) -> None:
        self._of = {"provider": provider, "model": model}
        self._stream_id = stream_id
        self._call = ""
        self._begun = time.monotonic()
        self._over = False
        self.attempts = 1

    def _tell(self, level: int, event: str, **fields: Any) -> None:
        logs.tell(LAYER, level, event, {**self._of, **fields}, call=self._call)

    def _ms(self) -> float:
        return round((time.monotonic() - self._begun) * 1000, 1)

    @contextmanager
    def watching(self, call: ModelCall, *, stream: bool) -> Iterator[None]:
        """Around all of the call."""
        self._begun = time.monotonic()
        self._call = logs.CALL.get() or logs.call_of(self._stream_id)  # an agent's call has several of a model
        if logs.heard(LAYER, logging.DEBUG):
            self._tell(
                logging.DEBUG,
                "call started",
                stream=stream,
                messages=len(call.messages),
                characters=sum(len(message.text) for message in call.messages),
                tools=len(call.tools),
                max_tokens=call.parameters.max_tokens,
                timeout=call.timeout,
            )
        try:
            yield
        except Exception as error:
            self._tell(
                logging.WARNING, "call failed", **logs.error_fields(error), attempts=self.attempts, ms=self._ms()
            )
            raise
        except BaseException:  # cancelled, or nobody reads on
            if not self._over:
                self._tell(logging.INFO, "call stopped", attempts=self.attempts, ms=self._ms())
            raise

    async def batches(
        self, inner: AsyncGenerator[list[AgentChunk], None], call: ModelCall
    ) -> AsyncGenerator[list[AgentChunk], None]:
        """*inner*, which is a stream's."""
        with self.watching(call, stream=True):
            async with aclosing(inner):
                async for batch in inner:
                    yield batch

    def poured(
        self, pour: Callable[[Taker, Room], Coroutine[Any, Any, None]], call: ModelCall
    ) -> Callable[[Taker, Room], Coroutine[Any, Any, None]]:
        """The same for its `pour`."""

        async def watched(take: Taker, room: Room) -> None:
            with self.watching(call, stream=True):
                await pour(take, room)

        return watched

    def retried(self, details: Mapping[str, Any]) -> None:
        """The service is asked again, after a wait."""
        self.attempts += 1
        told = {name: details.get(name) for name in ("attempt", "wait")}
        self._tell(logging.WARNING, "call retried", **told, error=details.get("kind"))

    def ended(self, end: Control, metadata: Mapping[str, Any]) -> None:
        """The answer is whole."""
        self._over = True
        usage = end.usage.to_dict() if end.usage is not None else {}
        asked = self._of["model"]
        self._tell(
            logging.INFO,
            "call ended",
            answered_by=told if (told := metadata.get("model")) != asked else None,
            **usage,
            ms=self._ms(),
            attempts=self.attempts,
            finish_reason=end.finish_reason,
            request_id=metadata.get("request_id"),
        )
