"""`datetime_handler`: what time it is, and reckoning with dates."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from llmspell.errors import ToolError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.times import UNITS, formatted, moved, parsed, zone

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TOOL"]

MOMENT = {"type": ["string", "number"], "maxLength": 200}
SAME = {"difference": "diff", "convert_timezone": "convert", "format_date": "format"}


class DatetimeHandler(Tool):
    name = "datetime_handler"
    description = "Tell the time; read, write, move and compare dates; convert time zones."
    category = "utility"
    timeout = 10.0
    renamed: Mapping[str, str] = {
        "date": "input", "datetime": "input", "timestamp": "input", "from": "start", "to": "end",
        "start_date": "start", "end_date": "end", "tz": "timezone",
    }  # fmt: skip
    parameters: Mapping[str, Any] = {
        "type": "object",
        "properties": {
            "operation": {
                "type": "string",
                "enum": ["now", "parse", "format", "add", "subtract", "diff", "convert", "info", *SAME],
                "description": "`now` if left out.",
            },
            "input": {**MOMENT, "description": "A time: ISO 8601 and other usual forms, or seconds since 1970."},
            "format": {
                "type": "string",
                "maxLength": 200,
                "description": "How `formatted` is written: `%Y-%m-%d`, or "
                "iso8601, rfc2822, date, time, datetime, human, unix.",
            },
            "input_format": {"type": "string", "maxLength": 200, "description": "How `input` is written."},
            "timezone": {
                "type": "string",
                "maxLength": 60,
                "description": "`Europe/Berlin`, `+02:00`, `local`; if left out that of the time, else UTC.",
            },
            "target_timezone": {"type": "string", "maxLength": 60, "description": "Of `convert`: the zone wanted."},
            "amount": {"type": "number", "description": "Of `add` and `subtract`."},
            "unit": {"type": "string", "enum": [*UNITS, *(unit[:-1] for unit in UNITS)], "description": "Of `amount`."},
            "start": {**MOMENT, "description": "Of `diff`: the earlier time; `input` will do."},
            "end": {**MOMENT, "description": "Of `diff`: the later one."},
        },
        "additionalProperties": False,
    }

    async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        try:
            return self._done(arguments, context)
        except OverflowError:  # the year 0 or 10000 of another zone
            raise ToolError("the time would be one that no calendar has", hint="years are 1 to 9999") from None

    def _done(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
        operation = arguments.get("operation", "now")
        operation = SAME.get(operation, operation)
        form = arguments.get("format")
        if operation == "now":
            seconds = context.heard("datetime", lambda: datetime.now().timestamp())
            when = datetime.fromtimestamp(seconds, zone(arguments.get("timezone", "UTC")))
            return ToolResult(_told(when, form), formatted(when, form))
        if operation == "diff":
            return self._diff(arguments)
        when = self._moment(arguments, "input")
        if operation in ("add", "subtract"):
            amount, unit = self._needed(arguments, operation, "amount"), self._needed(arguments, operation, "unit")
            when = moved(when, amount if operation == "add" else -amount, unit if unit.endswith("s") else unit + "s")
            result = {**_told(when, form), "original": arguments["input"]}
            return ToolResult({**result, "result": result["formatted"]}, result["formatted"])
        if operation == "convert":
            target = arguments.get("target_timezone") or self._needed(arguments, operation, "timezone")
            when = self._moment({**arguments, "timezone": arguments.get("timezone", "UTC")}, "input")
            result = _told(when.astimezone(zone(target)), form)
            return ToolResult({**result, "converted": result["formatted"]}, result["formatted"])
        result = _told(when, form)
        if operation == "info":
            result["info"] = _info(when)
            return ToolResult(result)
        return ToolResult(result, result["formatted"])

    def _needed(self, arguments: dict[str, Any], operation: str, name: str) -> Any:
        if name not in arguments:
            raise ValidationError(f"tool `{self.name}`: `{operation}` needs `{name}`")
        return arguments[name]

    def _moment(self, arguments: dict[str, Any], name: str) -> datetime:
        given = self._needed(arguments, arguments.get("operation", "now"), name)
        at = zone(arguments.get("timezone", "UTC"))
        when = parsed(given, name, arguments.get("input_format"), at)
        return when.astimezone(at) if "timezone" in arguments else when

    def _diff(self, arguments: dict[str, Any]) -> ToolResult:
        start = self._moment(arguments, "start" if "start" in arguments else "input")
        seconds = (self._moment(arguments, "end") - start).total_seconds()
        whole = int(seconds) if seconds.is_integer() else seconds
        size = abs(seconds)
        days, rest = divmod(int(size), 86400)
        words = [f"{days} days"] if days else []
        words += [f"{rest // 3600} h {rest % 3600 // 60} min {rest % 60} s"] if rest or not days else []
        told = ("-" if seconds < 0 else "") + " ".join(words)
        difference = {
            "seconds": whole,
            "total_seconds": whole,
            "minutes": seconds / 60,
            "hours": seconds / 3600,
            "days": seconds / 86400,
            "human_readable": told,
        }
        return ToolResult({**difference, "difference": difference}, told)


def _told(when: datetime, form: str | None) -> dict[str, Any]:
    """A time in all that a script may look for."""
    seconds = when.timestamp()
    return {
        "timestamp": int(seconds // 1),
        "datetime": when.isoformat(),
        "iso": when.isoformat(),
        "date": when.strftime("%Y-%m-%d"),
        "time": when.strftime("%H:%M:%S"),
        "timezone": str(when.tzinfo),
        "milliseconds": int(seconds * 1000),
        "formatted": formatted(when, form),
    }


def _info(when: datetime) -> dict[str, Any]:
    import calendar

    return {
        "year": when.year,
        "month": when.month,
        "day": when.day,
        "hour": when.hour,
        "minute": when.minute,
        "second": when.second,
        "weekday": when.strftime("%A"),
        "day_of_year": when.timetuple().tm_yday,
        "week_of_year": when.isocalendar().week,
        "is_leap_year": calendar.isleap(when.year),
        "days_in_month": calendar.monthrange(when.year, when.month)[1],
    }


TOOL = DatetimeHandler()
