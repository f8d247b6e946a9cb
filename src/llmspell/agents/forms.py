"""The form of an answer: how it is asked for, and whether an answer has it."""

from __future__ import annotations

from json import JSONDecoder
from typing import TYPE_CHECKING, Any

import orjson

from llmspell.errors import ProviderError, ValidationError, one_line
from llmspell.tools.schema import MAX_DEPTH, Schema
from llmspell.tools.schema_words import WORDS
from llmspell.types.messages import Message
from llmspell.types.tools import ResponseSchema, ToolSpec

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmspell.providers.base import ModelCall, ProviderInstance
    from llmspell.types.usage import Usage

__all__ = ["CUT", "Form", "Unfit", "complain", "parsed", "repair_call", "spoken", "way_of"]

CUT = "length"  # the finish reason of an answer that a token limit cut
MOST_PLACES = 50  # of an answer that is no JSON as a whole, where some is looked for
MAX_NAME = 64  # characters of a tool's name, for any service

#: Words that services do not take in a schema that they hold a model to strictly.
NOT_STRICT = frozenset(
    ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties")
)

INSTRUCTION = (
    "Answer with one JSON value and nothing else: no words around it, no code fence."
    " It must be valid by this JSON Schema:\n"
)
REPAIR = "That answer does not have the form that was asked for:\n{}\nAnswer again, the whole, in that form."
TOOL_DESCRIPTION = "Gives the answer. It must be called, once, with the whole answer."


class Unfit(Exception):
    """An answer does not have its form. complaints: "place: what", the worst first; cut: by a token limit."""

    def __init__(self, complaints: list[str], *, cut: bool = False) -> None:
        super().__init__(complaints[0])
        self.complaints = complaints
        self.cut = cut

    @property
    def said(self) -> str:
        """The first complaint, on one line."""
        return one_line(self.complaints[0], 200)


class Form:
    """A ResponseSchema that was read. Raises ValidationError for a schema or a name that cannot be used.

    given: a ResponseSchema, or a JSON Schema: then it is called as its `title` says, and a service is to hold the model
    to it strictly where it can be (see `_closed`).
    """

    __slots__ = ("schema", "told")

    def __init__(self, given: ResponseSchema | Mapping[str, Any]) -> None:
        schema = dict(given.schema if isinstance(given, ResponseSchema) else given)
        self.schema = Schema(schema)
        try:
            orjson.dumps(schema)
        except TypeError as error:
            raise ValidationError(
                f"the schema is no JSON: {error}", hint="names are strings, numbers of 64 bits"
            ) from None
        if not isinstance(given, ResponseSchema):
            told = schema.get("description")
            given = ResponseSchema(
                schema, _name(schema.get("title")), told if isinstance(told, str) else "", _closed(schema)
            )
        if given.name != _name(given.name) or not given.name:
            raise ValidationError(
                f"a response schema cannot be called `{one_line(given.name, 80)}`",
                hint=f"letters, digits, `_` and `-`, at most {MAX_NAME}",
            )
        self.told = given

    @property
    def name(self) -> str:
        """What it is called where a service wants a name."""
        return self.told.name

    @property
    def is_object(self) -> bool:
        """Whether what has this form is an object: a tool's arguments have to be one."""
        kind = self.told.schema.get("type")
        return kind == "object" or (kind is None and "properties" in self.told.schema)

    @property
    def beginnings(self) -> tuple[str, ...]:
        """What JSON of this form may begin with, of brackets."""
        return ("{",) if self.is_object else ("[",) if self.told.schema.get("type") == "array" else ("{", "[")


def _name(title: Any) -> str:
    if not isinstance(title, str) or not title.strip():
        return "answer"
    name = "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in title.strip()[:MAX_NAME])
    return name if name.strip("_-") else "answer"


def _closed(schema: Any, depth: int = 0) -> bool:
    """Whether each object has all its members named, wanted, and no others: what services want of a strict schema.

    Nor do they take all words there.
    """
    if not isinstance(schema, dict):
        return isinstance(schema, bool)
    if depth > MAX_DEPTH or not NOT_STRICT.isdisjoint(schema):
        return False
    kind = schema.get("type")
    if "properties" in schema or kind == "object" or (isinstance(kind, list) and "object" in kind):
        names, wanted = schema.get("properties"), schema.get("required")
        if (
            not isinstance(names, dict)
            or not isinstance(wanted, list)
            or schema.get("additionalProperties") is not False
        ):
            return False
        if names.keys() - set(wanted):
            return False
    inside: list[Any] = []
    for name, value in schema.items():
        takes = WORDS.get(name)
        if takes == "schema":
            inside.append(value)
        elif takes == "schemas" and isinstance(value, list):
            inside += value
        elif takes == "named schemas" and isinstance(value, dict):
            inside += value.values()
    return all(_closed(one, depth + 1) for one in inside)


# ---- asking


def way_of(provider: ProviderInstance, call: ModelCall, form: Form) -> tuple[str, ModelCall]:
    """How *provider* is asked for the form, and the call that asks.

    A tool of its own cannot be forced on a model that has others to call, that is told to think first (services refuse
    that), or where the form is no object: such a model is instructed. So is one that is held to a schema only without
    tools, or to an object's alone.
    """
    able = provider.capabilities(call.model)
    way = able.structured_output
    thinks = call.parameters.reasoning not in (None, "none")
    unable = (call.tools and not able.structured_output_with_tools) or not (
        form.is_object or able.structured_output_any_root
    )
    if (way == "native" and unable) or (
        way == "tool" and (call.tools or thinks or not (form.is_object and able.supports_tool_choice))
    ):
        way = "instruct"
    if way == "native":
        return way, call._replace(schema=form.told)
    if way == "tool":
        told = form.told
        tool = ToolSpec(told.name, told.description or TOOL_DESCRIPTION, told.schema, told.strict or None)
        return way, call._replace(tools=(tool,), tool_choice=told.name, parallel_tools=False)
    return "instruct", call._replace(messages=_instructed(call.messages, form))


def _instructed(messages: tuple[Message, ...], form: Form) -> tuple[Message, ...]:
    text = INSTRUCTION + orjson.dumps(form.schema.schema).decode()
    first = messages[0]
    if first.role != "system":
        return (Message("system", text), *messages)
    if isinstance(first.content, str):
        return (first._replace(content=f"{first.content}\n\n{text}"), *messages[1:])
    return (first._replace(content=(*first.content, "\n\n" + text)), *messages[1:])


def repair_call(call: ModelCall, text: str, unfit: Unfit) -> ModelCall:
    """The call that asks once more, with what is wrong of the answer *text*."""
    wrong = "\n".join(f"- {one_line(complaint, 300)}" for complaint in unfit.complaints)
    said = (Message("assistant", text),) if text.strip() else ()
    return call._replace(messages=(*call.messages, *said, Message("user", REPAIR.format(wrong))))


# ---- reading


def parsed(form: Form, text: str, *, cut: bool = False) -> Any:
    """The value of an answer that has the form. Raises Unfit. cut: by a token limit, so it is no whole JSON."""
    wrong: list[str] | None = None
    try:
        for value in _values(text):
            complaints = form.schema.check(value)
            if not complaints:
                return value
            wrong = wrong or complaints
    except ValueError as error:
        what = "the answer is empty" if not text.strip() else f"is no JSON: {one_line(str(error), 100)}"
        wrong = wrong or [f"$: {what}"]
    raise Unfit(wrong or ["$: is no JSON"], cut=cut)


def _values(text: str) -> Iterator[Any]:
    """The values that an answer may mean: all of it, what stands in a code fence, or what begins at a bracket. None of
    them is in thinking that stands before it.

    Raises ValueError where the whole is none, after the others.
    """
    try:
        yield orjson.loads(text)
        return
    except ValueError as error:
        first = error
    text = spoken(text)
    for fenced in text.split("```", 2 * MOST_PLACES)[1::2]:
        try:
            yield orjson.loads(fenced.partition("\n")[2])
        except ValueError:
            continue
    end, decoder = 0, JSONDecoder(parse_constant=_refuse)
    for _ in range(MOST_PLACES):
        starts = [at for at in (text.find("{", end), text.find("[", end)) if at >= 0]
        if not starts:
            break
        end = min(starts)
        try:
            value, end = decoder.raw_decode(text, end)
        except (ValueError, RecursionError):
            end += 1
        else:
            yield value
    raise first


def spoken(text: str) -> str:
    """*text* without the thinking that some servers leave in front of an answer, which may hold drafts of it; nothing
    while that is not over."""
    thought, closed, rest = text.partition("</think>")
    if closed:
        return rest
    return "" if thought.lstrip().startswith("<think>") else text


def _refuse(word: str) -> Any:
    raise ValueError(f"{word} is no JSON")


def complain(provider: ProviderInstance, call: ModelCall, unfit: Unfit, text: str, usage: Usage) -> ProviderError:
    """The error of an answer that does not have its form."""
    model = one_line(call.model, 80)
    if unfit.cut:
        limit = call.parameters.max_tokens
        message = f"the answer of `{model}` was cut by its token limit before it had the form that was asked for"
        hint = f"raise `max_tokens`, which is {limit}" if limit else "set `max_tokens`, or ask for a shorter answer"
    else:
        message = f"the answer of `{model}` does not have the form that was asked for: {unfit.said}"
        hint = "say in the prompt what goes where, use a simpler schema, or another model"
    return ProviderError(
        message,
        hint=hint,
        provider=provider.name,
        model=call.model,
        partial=text,
        complaints=[one_line(one, 300) for one in unfit.complaints],
        finish_reason=CUT if unfit.cut else None,
        call_usage=usage.to_dict(),
    )
