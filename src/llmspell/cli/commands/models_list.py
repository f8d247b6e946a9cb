"""`llmspell models list` and `show`: which models there are, here and at services; tables and JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.cli.asking import Asker, said, written
from llmspell.cli.events import plain_json
from llmspell.cli.render import terminal
from llmspell.cli.render.fetching import size_words
from llmspell.errors import LLMSpellError, NotSupportedError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llmspell.providers.base import ModelInfo

__all__ = ["models_list", "show"]

CELL = 200  # characters of a cell
#: What a table shows of models, where any of them has it; programs get all that is known.
COLUMNS = ("size", "parameters", "context", "quantization", "family", "owned_by", "modified", "path")
NONE_HERE = "no models are here: `llmspell models pull` fetches the built-in one"


class _Row(NamedTuple):
    """A model of a provider's."""

    provider: str
    id: str
    details: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.id}"

    def plain(self) -> dict[str, Any]:
        return {"name": self.name, "provider": self.provider, "model": self.id, "details": self.details}


class _Failure(NamedTuple):
    """A provider that did not say."""

    provider: str
    error: LLMSpellError

    def plain(self) -> dict[str, Any]:
        error = self.error
        return {"provider": self.provider, "kind": error.kind, "message": error.message, "hint": error.hint}


def models_list(provider: str | None, options: dict[str, Any]) -> int:
    """Shows the models of the models folder; those of *provider* where it is named; with `all`, of every provider
    that can be asked. Gives the exit code: with `all`, one that does not answer is told, and is no failure."""
    try:
        if options.get("all") and provider is None:
            rows, failures = Asker.of(options).run(_everyone)
        elif provider in (None, "local"):
            rows, failures = _here(), []
        else:
            assert provider is not None
            rows, failures = Asker.of(options).run(lambda asker: _one(asker, provider)), []
    except LLMSpellError as error:
        return said(error, options)
    if (options.get("output") or "text") == "text":
        _table(rows, options)
        for failure in failures:
            _note(f"{failure.provider}: {failure.error.message}")
        if not rows and not failures:
            _note(NONE_HERE if provider in (None, "local") else f"{provider} has no models")
        return 0
    told: dict[str, Any] = {"errors": [failure.plain() for failure in failures]}
    if options.get("output") == "jsonl":
        for row in rows:
            sys.stdout.buffer.write(plain_json({"event": "model", **row.plain()}) + b"\n")
    else:
        told["models"] = [row.plain() for row in rows]
    return written("", told, options)


def _here() -> list[_Row]:
    from llmspell.providers import local_files

    return [_Row("local", model.name, model.details()) for model in local_files.models()]


async def _one(asker: Asker, provider: str) -> list[_Row]:
    return _rows(provider, await asker.manager.get(provider).models())


async def _everyone(asker: Asker) -> tuple[list[_Row], list[_Failure]]:
    """All that can be asked, at once: they are apart."""
    import asyncio

    manager = asker.manager
    types = asker.types()
    # Nobody knows whether an Ollama runs: it is asked.
    names = [name for name in manager.names() if types.get(name) == "ollama" or manager.usable(name)]

    async def one(name: str) -> list[_Row] | _Failure | None:
        try:
            return await _one(asker, name)
        except NotSupportedError:
            return None
        except LLMSpellError as error:
            return _Failure(name, error)

    found = await asyncio.gather(*(one(name) for name in names))
    rows = [row for each in found if isinstance(each, list) for row in each]
    return rows, [each for each in found if isinstance(each, _Failure)]


def _rows(provider: str, models: Iterable[ModelInfo]) -> list[_Row]:
    return [_Row(provider, model.id, dict(model.details)) for model in models]


# -- one model


def show(name: str, options: dict[str, Any]) -> int:
    """Shows what is known of a model: of one of the models folder what its file says, of an Ollama server's what the
    server says, of another service's what it can do as far as is known without asking. Gives the exit code."""
    try:
        asker = Asker.of(options)
        provider, slash, model = name.partition("/")
        type_ = asker.types().get(provider) if slash and model else None
        able: dict[str, Any] = {}
        if type_ == "ollama":
            told = asker.run(lambda asker: _ollama(asker, provider, model))
        elif type_ in (None, "local") and (not slash or provider == "local"):
            from llmspell.providers import local_files

            found = local_files.find(name)
            provider, model, told = "local", found.name, found.details()
        else:
            instance, model = asker.manager.resolve(name)
            told, able = {}, instance.capabilities(model).to_dict()
    except LLMSpellError as error:
        return said(error, options)
    full = f"{provider}/{model}"
    lines = [full, *(f"  {key}: {_cell(key, value)}" for key, value in (told | able).items())]
    text = "\n".join(terminal.harmless(line, keep_newlines=False) for line in lines)
    value = {"name": full, "provider": provider, "model": model, "details": told}
    return written(text, value | ({"capabilities": able} if able else {}), options)


async def _ollama(asker: Asker, provider: str, model: str) -> dict[str, Any]:
    server: Any = asker.manager.get(provider)
    info: ModelInfo = await server.show(model)
    return dict(info.details)


# -- for people


def _cell(key: str, value: Any) -> str:
    if value is None:
        return ""
    if key == "size" and isinstance(value, int):
        return size_words(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _table(rows: Sequence[_Row], options: dict[str, Any]) -> None:
    """A line a model, in columns; a head where a person looks."""
    look = terminal.look(sys.stdout, no_color=bool(options.get("no_color")))
    columns = [key for key in COLUMNS if any(row.details.get(key) not in (None, "") for row in rows)]
    head = ["model", *columns]
    lines = [[row.name, *(_cell(key, row.details.get(key)) for key in columns)] for row in rows]
    lines = [
        [terminal.harmless(cell[:CELL], keep_newlines=False, unicode=look.unicode) for cell in line] for line in lines
    ]
    if not lines:
        return
    person = terminal.is_terminal(sys.stdout)
    shown = [head, *lines] if person else lines
    widths = [max(terminal.cell_width(line[at]) for line in shown) for at in range(len(head))]
    right = {1 + columns.index(key) for key in ("size", "context") if key in columns}
    out = []
    for number, line in enumerate(shown):
        cells = []
        for at, cell in enumerate(line):
            pad = " " * (widths[at] - terminal.cell_width(cell))
            cells.append(pad + cell if at in right else cell + pad)
        text = "  ".join(cells).rstrip()
        out.append(terminal.style(text, "dim") if person and number == 0 and look.colour else text)
    data = ("\n".join(out) + "\n").encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _note(text: str) -> None:
    sys.stderr.write(terminal.harmless(one_line(text), unicode=terminal.takes_unicode(sys.stderr)) + "\n")
