"""`llmspell providers`: who can answer, what they can do, whether their keys are there. No key is shown."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.cli.render import terminal
from llmspell.cli.settings import configuration
from llmspell.cli.telling import tell
from llmspell.errors import ConfigError, LLMSpellError, NotSupportedError
from llmspell.providers import queries
from llmspell.providers.manager import ProviderManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from llmspell.config.loader import Config
    from llmspell.providers.manager import KeySource

__all__ = ["check", "list_", "show"]

WORDS = {"none": "none needed", "missing": "missing", "settings": "given"}


def list_(options: dict[str, Any]) -> int:
    """A table of the providers. Gives the exit code."""

    def work(config: Config, manager: ProviderManager) -> int:
        rows = [_about(manager, name) for name in manager.known()]
        head = ("", "NAME", "TYPE", "KEY", "MODEL")
        table = [("*" if r["default"] else "", r["name"], r["type"], _key_words(r), _model(r)) for r in rows]
        _write(rows, options, lambda look: _table([head, *table], look), "provider")
        return 0

    return _safely(options, work)


def show(name: str, model: str | None, options: dict[str, Any]) -> int:
    """All of one provider. Gives the exit code."""

    def work(config: Config, manager: ProviderManager) -> int:
        told = _about(manager, name)
        told["timeout"] = config.providers().get(name, {}).get("timeout", {})
        if model is not None:
            told["model"] = model
            told["capabilities"] = manager.capabilities(name, model).to_dict()
        lines = [("name", name), ("type", told["type"]), ("address", told["address"] or "none")]
        lines += [("key", _key_words(told)), ("model", told.get("model") or _model(told))]
        lines += [("default", _plain(told["default"])), ("can be asked", _plain(told["enabled"]))]
        lines += [(f"timeout.{part}", f"{value:g} s") for part, value in told["timeout"].items()]
        lines += [(field, _plain(value)) for field, value in told["capabilities"].items()]
        if "error" in told:
            lines.append(("error", told["error"]))
        _write([told], options, lambda look: _table(lines, look), "provider")
        return 0

    return _safely(options, work)


def check(names: list[str], options: dict[str, Any]) -> int:
    """Whether keys are there, and with `ask` whether the services take them. Gives the exit code."""

    def work(config: Config, manager: ProviderManager) -> int:
        rows = [_about(manager, name) for name in names or manager.known()]
        for row in rows:
            row["state"] = "ok" if row["enabled"] else "missing" if row["key"]["kind"] == "missing" else "off"
            if row["key"]["kind"] == "keyring" and find_spec("keyring") is None:
                row["state"], row["enabled"] = "missing", False
                row["told"] = "the keyring cannot be read: `pip install 'llmspell[keyring]'`"
        if options.get("ask"):
            _ask([row for row in rows if row["enabled"] or (names and _askable(row))], manager)
        _write(rows, options, lambda look: _table(_checked(rows), look), "check")
        if any(row["state"] == "failed" for row in rows):
            return 4
        return 3 if names and any(row["state"] != "ok" for row in rows) else 0

    return _safely(options, work)


def _askable(row: dict[str, Any]) -> bool:
    """Whether one that is off can be asked all the same: it only lacks a model."""
    return row["state"] == "off" and "error" not in row and bool(row["address"])


def _ask(rows: list[dict[str, Any]], manager: ProviderManager) -> None:
    """Asks each for its models, all at once; what came of it stands in the rows."""
    import asyncio
    from time import monotonic

    async def one(row: dict[str, Any]) -> None:
        started = monotonic()
        try:
            row["models_found"] = len(await manager.get(row["name"]).models())
            row["state"] = "ok"
        except NotSupportedError as error:
            row["told"] = error.message
        except LLMSpellError as error:
            row["state"], row["failure"] = "failed", error.to_dict()
        row["seconds"] = round(monotonic() - started, 3)

    async def all_() -> None:
        try:
            await asyncio.gather(*map(one, rows))
        finally:
            await manager.aclose()

    asyncio.run(all_())


def _checked(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        if "failure" in row:
            told = " · ".join(filter(None, (row["failure"]["message"], row["failure"]["hint"])))
        elif "models_found" in row:
            told = f"answers in {row['seconds']:.2f} s, {row['models_found']} models"
        else:
            told = row.get("told") or row.get("error") or ""
        yield row["state"], row["name"], _key_words(row), told


def _about(manager: ProviderManager, name: str) -> dict[str, Any]:
    source: KeySource = manager.key_source(name)
    told = queries.about(manager, name)
    told["key"] = {"kind": source.kind, "what": source.what}
    told["address"] = _host(manager, name)
    return told


def _host(manager: ProviderManager, name: str) -> str:
    """Its address without a query, which may hold a secret."""
    return manager.where(name).partition("?")[0]


def _key_words(row: dict[str, Any]) -> str:
    kind, what = row["key"]["kind"], row["key"]["what"]
    if kind == "missing":
        return f"missing: {what} is not set"
    return WORDS.get(kind) or f"{kind} {what}"


def _model(row: dict[str, Any]) -> str:
    return row["models"][0] if row["models"] else "none"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _table(rows: Any, look: terminal.Look) -> str:
    """Rows in columns, the last as wide as it is. Whatever stands in them is one line, and harmless."""
    shown = [tuple(terminal.harmless(c, keep_newlines=False, unicode=look.unicode) for c in row) for row in rows]
    if not shown:
        return ""
    wide = [max(terminal.cell_width(row[column]) for row in shown) for column in range(len(shown[0]))]
    lines = (
        "  ".join(cell + " " * (width - terminal.cell_width(cell)) for cell, width in zip(row, wide, strict=True))
        for row in shown
    )
    return "".join(line.rstrip() + "\n" for line in lines)


def _write(
    rows: list[dict[str, Any]], options: dict[str, Any], text: Callable[[terminal.Look], str], event: str
) -> None:
    form = options.get("output") or "text"
    if form == "text":
        look = terminal.look(sys.stdout, no_color=bool(options.get("no_color")))
        told = text(look).encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    elif form == "json":
        told = orjson.dumps({"providers": rows}, option=orjson.OPT_SORT_KEYS) + b"\n"
    else:
        told = b"".join(orjson.dumps({"event": event, **r}, option=orjson.OPT_SORT_KEYS) + b"\n" for r in rows)
    sys.stdout.buffer.write(told)
    sys.stdout.buffer.flush()


def _safely(options: dict[str, Any], work: Callable[[Config, ProviderManager], int]) -> int:
    """Reads the configuration and does the *work*; an error is told and gives its exit code."""
    try:
        common = {name: options.get(name) for name in ("config", "profile", "log_level", "log_file")}
        config = configuration(common, os.curdir)
        return work(config, ProviderManager(config.providers(), config.get("providers.default")))
    except LLMSpellError as error:
        tell(
            error,
            options.get("output") or "text",
            no_color=bool(options.get("no_color")),
            python=bool(options.get("traceback")),
        )
        return error.exit_code if not isinstance(error, ConfigError) else 3
