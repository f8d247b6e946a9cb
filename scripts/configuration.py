"""Writes docs/reference/configuration.md out of the schema. `--check` only says whether it is as it would be."""

import sys
from collections.abc import Iterator
from pathlib import Path

from llmspell.cli.settings import GRANTED, SETTINGS
from llmspell.config import schema, toml

PAGE = Path(__file__).parents[1] / "docs" / "reference" / "configuration.md"
FLAGS = {setting: "--" + flag.replace("_", "-") for flag, setting in (SETTINGS | GRANTED).items()}
HEAD = """# Every setting

Made from the schema by `scripts/configuration.py`; how they are set, and what wins, is in
[configuration](../configuration.md). The variable of a setting is its path in capitals, `__` for each dot, behind
`LLMSPELL_`: `LLMSPELL_RUNTIME__TIMEOUT`. A *project's* file may lower the settings that say "lower", narrow those that
say "narrow" and set those that say "yes"; all else only where it is named or trusted.
"""


def reference() -> str:
    return "\n".join([HEAD, *lines()]) + "\n"


def lines() -> Iterator[str]:
    table = ""
    for key in schema.KEYS:
        first = key.path.partition(".")[0]
        if first != table:
            yield from ([""] if table else [])
            yield f"## {first}\n\n| setting | unless set | what | project's | flag |\n| --- | --- | --- | --- | --- |"
            table = first
        cells = (f"`{key.path}`", default(key), what(key), project(key), flag(key))
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
    yield "\n## Providers that are there\n\n| name | settings of its own |\n| --- | --- |"
    for name, own in schema.BUILT_IN.items():
        yield f"| `{name}` | {', '.join(f'`{rest} = {toml.value(value)}`' for rest, value in own.items())} |"


def default(key: schema.Key) -> str:
    return "" if key.default is None else f"`{toml.value(key.default, key.kind)}`"


def what(key: schema.Key) -> str:
    words = f": {', '.join(f'`{word}`' for word in key.choices)}" if key.kind == "word" else ""
    kinds = {("local",): " (type `local`)", ("mock",): " (type `mock`)"}
    return key.doc + words + kinds.get(key.types, "")


def project(key: schema.Key) -> str:
    if key.path in schema.PROJECT_LIMITS:
        return "lower"
    return "narrow" if key.path in schema.PROJECT_GRANTS else "yes" if key.path in schema.PROJECT_KEYS else ""


def flag(key: schema.Key) -> str:
    name = FLAGS.get(key.path)
    return f"`{name}`" if name else ""


if "--check" in sys.argv:
    sys.exit(0 if PAGE.read_text(encoding="utf-8") == reference() else f"{PAGE} is not up to date")
PAGE.write_text(reference(), encoding="utf-8")
