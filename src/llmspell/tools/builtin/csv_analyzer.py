"""`csv_analyzer`: what is in a table of values, and parts of it."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError, one_line
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.work import MAX_INPUT, worked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["TOOL"]

MAX_CELLS = 300_000
MAX_COLUMNS = 1000
MAX_CONDITIONS = 20
SHOWN = 5  # of a column's values
OPTIONS: dict[str, Any] = {
    "delimiter": {
        "type": "string",
        "minLength": 1,
        "maxLength": 1,
        "pattern": r'[^\r\n"]',
        "description": "Found by itself if left out.",
    },
    "has_header": {"type": "boolean", "description": "Whether the first line names the columns; true if left out."},
    "filter": {"type": "string", "maxLength": 1000, "description": "Of `filter`: as `age > 30` or `city == Rome`."},
    "columns": {
        "type": "array",
        "items": {"type": "string"},
        "maxItems": MAX_COLUMNS,
        "description": "Which ones; all if left out.",
    },
    "sort": {"type": "string", "description": "The column to sort by; with `-` before it, downwards."},
    "limit": {"type": "integer", "minimum": 1, "description": "How many rows; of `head` 10 if left out."},
    "format": {"type": "string", "enum": ["json", "csv", "markdown"], "description": "Of `output`; json if left out."},
}
SIGNS = (">=", "<=", "==", "!=", "~", ">", "<", "=")


class CsvAnalyzer(Tool):
    name = "csv_analyzer"
    description = "Analyze CSV: rows, columns, their types and statistics; filter, sort, select and convert it."
    category = "data"
    timeout = 60.0
    renamed: Mapping[str, str] = {"content": "input", "data": "input", "csv": "input", "csv_data": "input"}
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "enum": ["analyze", "statistics", "filter", "convert", "head"],
                "description": "`analyze` if left out; `statistics` is the same.",
            },
            "input": {"type": "string", "maxLength": MAX_INPUT, "description": "The text of the table."},
            "options": {"type": "object", "properties": OPTIONS, "additionalProperties": False},
        },
        "required": ["input"],
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        operation, options = arguments.get("operation", "analyze"), arguments.get("options", {})
        done: ToolResult = await worked(len(arguments["input"]) * 4, self._done, operation, arguments["input"], options)
        return done

    def _done(self, operation: str, text: str, options: dict[str, Any]) -> ToolResult:
        names, rows = _table(text, options)
        if operation in ("analyze", "statistics"):
            columns = [_column(name, [row[at] for row in rows]) for at, name in enumerate(names)]
            result = {"row_count": len(rows), "rows": len(rows), "column_count": len(names), "columns": columns}
            told = ", ".join(f"{one['name']} ({one['type']})" for one in columns)
            return ToolResult(result, f"{len(rows)} rows, {len(names)} columns: {told}"[:10_000])
        if "filter" in options:
            rows = _filtered(names, rows, options["filter"])
        elif operation == "filter":
            raise ValidationError(f"tool `{self.name}`: `filter` needs `options.filter`", hint="as `age > 30`")
        if "sort" in options:
            downwards, by = options["sort"].startswith("-"), options["sort"].removeprefix("-")
            at = _place(names, by)
            rows = sorted(rows, key=lambda row: _order(row[at]), reverse=downwards)
        rows = rows[: options.get("limit", 10 if operation == "head" else len(rows))]
        if "columns" in options:
            places = [_place(names, name) for name in options["columns"]]
            if len(places) * len(rows) > MAX_CELLS:
                raise ToolError(f"there would be more than {MAX_CELLS} cells")
            names, rows = [names[at] for at in places], [[row[at] for at in places] for row in rows]
        return _converted(names, rows, options.get("format", "json"))


def _table(text: str, options: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    """The columns' names and the rows, each as long as there are columns. Raises ToolError."""
    text = text.removeprefix("\ufeff")
    first = text[:10_000].lstrip().partition("\n")[0]
    delimiter = options.get("delimiter") or max(",;\t|", key=first.count)
    rows: list[list[str]] = []
    cells = 0
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter):
            if not row or (len(row) == 1 and not row[0].strip() and len(rows) > 0 and len(rows[0]) > 1):
                continue
            cells += len(row)
            if cells > MAX_CELLS or len(row) > MAX_COLUMNS:
                raise ToolError(f"the table has more than {MAX_CELLS} cells, or {MAX_COLUMNS} columns")
            rows.append(row)
    except csv.Error as error:
        raise ToolError(f"`input` is no CSV: {one_line(str(error), 100)}") from None
    except (TypeError, ValueError):
        raise ValidationError(f"`options.delimiter` cannot be {delimiter!r}") from None
    if not rows:
        return [], []
    width = max(map(len, rows))
    if width * len(rows) > MAX_CELLS:
        raise ToolError(f"the table has more than {MAX_CELLS} cells")
    names = [name.strip() for name in rows.pop(0)] if options.get("has_header", True) else []
    names += [f"column_{number}" for number in range(len(names) + 1, width + 1)]
    return names, [row + [""] * (width - len(row)) for row in rows]


def _number(cell: str) -> int | float | None:
    word = cell.strip()
    if not word or word[-1] not in "0123456789." or "_" in word or len(word) > 40:
        return None
    try:
        value = int(word) if word.lstrip("+-").isdigit() else float(word)
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < 2**63 else None


def _value(cell: str) -> Any:
    """A cell as a number, a truth, nothing, or itself. One with zeros before it, as of a postcode, stays as it is."""
    word = cell.strip()
    if not word:
        return None
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    digits = word.lstrip("+-")
    if digits[:1] == "0" and digits[1:2].isdigit():
        return cell
    number = _number(cell)
    return cell if number is None else number


def _column(name: str, cells: list[str]) -> dict[str, Any]:
    filled = [cell for cell in cells if cell.strip()]
    values = [_value(cell) for cell in filled]
    told: dict[str, Any] = {
        "name": name,
        "type": _type(values),
        "count": len(filled),
        "missing": len(cells) - len(filled),
        "unique": len(set(filled)),
        "sample": filled[:SHOWN],
    }
    if told["type"] in ("integer", "number"):
        numbers = sorted(values)
        mean = math.fsum(numbers) / len(numbers)
        half = len(numbers) // 2
        told |= {
            "min": numbers[0],
            "max": numbers[-1],
            "sum": sum(numbers) if told["type"] == "integer" else math.fsum(numbers),
            "mean": mean,
            "median": numbers[half] if len(numbers) % 2 else (numbers[half - 1] + numbers[half]) / 2,
            "std_dev": math.sqrt(math.fsum((one - mean) ** 2 for one in numbers) / len(numbers)),
        }
    elif filled:
        lengths = [len(cell) for cell in filled]
        told |= {"min_length": min(lengths), "max_length": max(lengths)}
    return told


def _type(values: list[Any]) -> str:
    if not values:
        return "empty"
    kinds = {bool: "boolean", int: "integer", float: "number"}
    found = {kinds.get(type(value), "string") for value in values}
    if found == {"integer", "number"}:
        return "number"
    return found.pop() if len(found) == 1 else "string"


def _order(cell: str) -> tuple[int, float, str]:
    number = _number(cell)
    return (1, 0.0, cell) if number is None else (0, number, "")


def _place(names: list[str], name: str) -> int:
    if name in names:
        return names.index(name)
    raise ValidationError(
        f"there is no column `{one_line(name, 60)}`", hint=f"there are {one_line(', '.join(names[:50]), 400)}"
    )


def _filtered(names: list[str], rows: list[list[str]], told: str) -> list[list[str]]:
    """The rows for which conditions hold, of the form `column sign value`, with ` and ` between them."""
    parts = told.split(" and ")
    if len(parts) > MAX_CONDITIONS:
        raise ValidationError(f"the filter has more than {MAX_CONDITIONS} conditions")
    for part in parts:
        found = sorted((part.find(sign), -len(sign), sign) for sign in SIGNS if sign in part)
        if not found:
            raise ValidationError(
                f"the filter `{one_line(part, 60)}` cannot be read",
                hint=f"it is `column sign value`, the sign of {' '.join(SIGNS)}",
            )
        at, _, sign = found[0]
        place = _place(names, part[:at].strip().strip("`'\""))
        wanted = part[at + len(sign) :].strip().strip("'\"")
        rows = [row for row in rows if _holds(row[place], sign, wanted)]
    return rows


def _holds(cell: str, sign: str, wanted: str) -> bool:
    if sign == "~":
        return wanted.lower() in cell.lower()
    first, second = _number(cell), _number(wanted)
    left: Any = cell.strip() if first is None or second is None else first
    right: Any = wanted if first is None or second is None else second
    if sign in ("=", "=="):
        return bool(left == right)
    if sign == "!=":
        return bool(left != right)
    if second is not None and first is None:
        return False  # no number is neither more nor less than one
    return bool({">": left > right, "<": left < right, ">=": left >= right, "<=": left <= right}[sign])


def _converted(names: list[str], rows: list[list[str]], form: str) -> ToolResult:
    result: dict[str, Any] = {"row_count": len(rows), "columns": names}
    if form == "json":
        import orjson

        output = [dict(zip(names, map(_value, row), strict=True)) for row in rows]
        return ToolResult({**result, "output": output, "data": output}, orjson.dumps(output).decode())
    text = _written(names, rows) if form == "csv" else "\n".join(_markdown(names, rows))
    return ToolResult({**result, "output": text}, text)


def _written(names: list[str], rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([names, *rows])
    return out.getvalue()


def _markdown(names: list[str], rows: list[list[str]]) -> Iterator[str]:
    for number, row in enumerate([names, *rows]):
        yield "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in row) + " |"
        if number == 0:
            yield "|" + " --- |" * len(names)


TOOL = CsvAnalyzer()
