"""The command line's options, as one table: the short parser and rich-click are both made from it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

__all__ = ["COMMON", "GRANTS", "RUN", "VALUES", "YEAR", "Option", "count", "dollars", "parse", "seconds"]

#: As `logging.level` has them; not taken from there, since `--version` needs no schema.
LEVELS = ("debug", "info", "warning", "error", "off")
YEAR = 365 * 24 * 3600.0  # seconds


class Option:
    """One option. kind: flag, text, number (of seconds), count, size, dollars, or a tuple of the words it takes; or
    grants, which stands alone for all, or has them after a `=`, with commas between, and may be given again.
    """

    __slots__ = ("help", "kind", "metavar", "name", "short")

    def __init__(self, name: str, kind: str | tuple[str, ...], help: str, metavar: str = "", short: str = "") -> None:
        self.name, self.kind, self.help, self.metavar, self.short = name, kind, help, metavar, short

    @property
    def key(self) -> str:
        """The name of its value: `no_color` for `--no-color`."""
        return self.name[2:].replace("-", "_")


COMMON = (
    Option("--config", "text", "Read this configuration file, in place of the project's.", "FILE"),
    Option("--profile", "text", "Lay the settings below `[profile.NAME]` over the others.", "NAME"),
    Option("--output", ("text", "json", "jsonl"), "How results, errors and events are written."),
    Option("--log-level", LEVELS, "What is logged, on standard error or in the file of `--log-file`."),
    Option("--log-file", "text", "Add the log to this file, as JSON lines; `info`, where no level is named.", "FILE"),
    Option("--no-color", "flag", "Write no colours."),
    Option("--traceback", "flag", "Show Python's own traceback with an error."),
)

RUN = (
    Option("--stream", "flag", "Show answers as they come, and flush what the script writes."),
    Option("--hide-reasoning", "flag", "Show of a model's reasoning only that there is some."),
    Option("--dry-run", "flag", "Check script, configuration, grants and model, say what would hold, and run nothing."),
    Option("--model", "text", "The model for agents that name none: `provider/model`, or a provider's name.", "MODEL"),
    Option("--provider", "text", "The provider for agents that name none.", "NAME"),
    Option("--timeout", "number", "Seconds for the whole run; 0 is without limit.", "SECONDS"),
    Option("--record", "text", "Write what the run hears of models, clocks and chance to this file; no keys.", "FILE"),
    Option("--replay", "text", "Run with a recording in place of the world: no network, no keys.", "FILE"),
    Option("--max-cpu", "number", "Seconds of computing by the script itself; 0 is without limit.", "SECONDS"),
    Option("--max-memory", "size", "Memory of the script's values, such as 256MB; 0 is without limit.", "SIZE"),
    Option("--max-tokens-total", "count", "Tokens that all model calls may read and write; 0 is without limit.", "N"),
    Option("--max-cost", "dollars", "US dollars that all model calls may cost; 0 is without limit.", "USD"),
    Option("--allow-read", "grants", "Let it read these files and folders; without `=`, all.", "=PATH,…"),
    Option("--allow-write", "grants", "Let it write these files and folders; without `=`, all.", "=PATH,…"),
    Option("--allow-net", "grants", "Let tools reach these hosts; without `=`, all of the open internet.", "=HOST,…"),
    Option("--allow-env", "grants", "Let it read these environment variables; without `=`, all.", "=NAME,…"),
    Option(
        "--allow-run", "grants", "Let it run these programs, `git status` or `ls *`; without `=`, all.", "=PROGRAM,…"
    ),
    Option("--allow-tool", "grants", "Let it use these tools and no others.", "=TOOL,…"),
    Option("--ask", "flag", "Ask on the terminal for what was not granted."),
)

#: Options that may stand without a value, which is then `*`.
GRANTS = tuple(option.name for option in RUN if option.kind == "grants")


def seconds(text: str) -> float | None:
    """A number of seconds from 0 to a year, as the configuration takes it; None where *text* is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number <= YEAR else None


def count(text: str) -> int | None:
    """A whole number from 0 to a million millions, as the configuration takes it; None where *text* is none."""
    plain = text.replace(",", "").replace("_", "")
    number = int(plain) if plain.isascii() and plain.isdigit() and len(plain) <= 13 else -1
    return number if 0 <= number <= 10**12 else None


def dollars(text: str) -> float | None:
    """US dollars from 0 to a million; None where *text* is none."""
    try:
        number = float(text.removeprefix("$"))
    except ValueError:
        return None
    return number if 0 <= number <= 1_000_000 else None


def size(text: str) -> int | None:
    """Bytes, as the configuration takes them; None where *text* is none."""
    from llmspell.config.schema import size as bytes_of

    try:
        return bytes_of(int(text) if text.isascii() and text.isdigit() else text)
    except ValueError:
        return None


#: What a kind of option takes of its text.
VALUES: dict[str, Callable[[str], float | None]] = {
    "number": seconds,
    "count": count,
    "size": size,
    "dollars": dollars,
}


def _value(option: Option, text: str) -> Any:
    """The value, or None where *text* is none."""
    if isinstance(option.kind, str) and option.kind in VALUES:
        return VALUES[option.kind](text)
    if isinstance(option.kind, tuple):
        return text if text in option.kind else None
    return text


def parse(words: Sequence[str], options: Sequence[Option]) -> tuple[dict[str, Any], list[str], list[str]] | None:
    """Values by key, the words that are no options, what stands after `--`; None where rich-click has to say more."""
    by_name = {option.name: option for option in options}
    values: dict[str, Any] = {}
    plain: list[str] = []
    index, count = 0, len(words)
    while index < count:
        word = words[index]
        index += 1
        if word == "--":
            return values, plain, list(words[index:])
        if not word.startswith("-") or word == "-":
            plain.append(word)
            continue
        name, equals, text = word.partition("=")
        option = by_name.get(name)
        if option is None or (option.kind == "flag" and equals):
            return None
        if option.kind == "flag":
            values[option.key] = True
            continue
        if option.kind == "grants":
            values.setdefault(option.key, []).append(text if equals else "*")
            continue
        if not equals:
            if index == count:
                return None
            text = words[index]
            index += 1
        value = _value(option, text)
        if value is None:
            return None
        values[option.key] = value
    return values, plain, []
