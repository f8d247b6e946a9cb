"""What a host may watch of a run. All calls come on the run's thread, between two pieces of the script's work."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from llmspell.types.streaming import AgentChunk

__all__ = ["Observer"]


class Observer:
    """Does nothing; a host overrides what it wants to see. With an observer, every model call is streamed."""

    def call_started(self, call: str, label: str) -> None:
        """A model call was sent. *call*: its number, as text; *label*: the agent or model, for a person."""

    def chunks(self, call: str, batch: Sequence[AgentChunk], owned: bool) -> None:
        """Chunks came. *owned*: the script reads this stream itself, so what it shows is its own affair."""

    def call_ended(self, call: str, error: BaseException | None) -> None:
        """The call is over."""

    def before_write(self, fd: int) -> None:
        """The script is about to write to standard output (1) or error (2)."""

    def after_write(self, fd: int, data: bytes) -> None:
        """It has written *data*, or failed to."""
