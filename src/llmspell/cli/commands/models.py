"""`llmspell models pull`: the embedded model's weights."""

from __future__ import annotations

import sys
import threading
from typing import Any

from llmspell.cli.render import terminal
from llmspell.cli.render.fetching import Fetching
from llmspell.cli.signals import Watch
from llmspell.cli.telling import tell
from llmspell.errors import LLMSpellError, RunCancelledError

__all__ = ["pull"]


def pull(source: str | None, options: dict[str, Any]) -> int:
    """Fetches the built-in model, or takes in *source*; prints where it is. Gives the exit code."""
    from llmspell.providers import local_weights

    look = terminal.look(sys.stderr, no_color=bool(options.get("no_color")))
    shown = Fetching(bar=terminal.is_terminal(sys.stderr), colour=look.colour)
    stop = threading.Event()
    watch = Watch(lambda number: stop.set(), lambda: None, shown.close, None)
    try:
        path = local_weights.pull(source, shown.progress, notify=shown.notify, stop=stop)
    except LLMSpellError as error:
        failed = error
    except KeyboardInterrupt:
        failed = RunCancelledError("stopped")
    else:
        sys.stdout.write(path + "\n")
        return 0
    finally:
        shown.close()
        watch.finish()
    if watch.received is not None:
        failed = RunCancelledError("stopped", signal=watch.received)
    tell(
        failed,
        options.get("output") or "text",
        no_color=bool(options.get("no_color")),
        python=bool(options.get("traceback")),
    )
    return failed.exit_code
