"""Type hints as JSON Schemas, and JSON values as the hints have them."""

from __future__ import annotations

import collections.abc
import dataclasses
import enum
import typing
from typing import Annotated, Any, Literal, NotRequired, Optional, Required, TypedDict, Union

import pytest

from llmspell.errors import ValidationError
from llmspell.tools.hints import as_hinted, schema_of
from llmspell.tools.schema import check

pytestmark = pytest.mark.once


class Colour(enum.Enum):
    RED = "red"
    TWO = 2


@dataclasses.dataclass
class Point:
    x: int
    y: Annotated[float, "upwards"] = 0.0
    names: list[str] = dataclasses.field(default_factory=list)
    hidden: int = dataclasses.field(default=5, init=False)


@dataclasses.dataclass
class Endless:
    inner: list[Endless]


class Town(TypedDict):
    name: str
    size: NotRequired[int]


class Half(TypedDict, total=False):
    name: Required[str]
    size: int


ARRAY, ANYTHING = {"type": "array"}, {"type": "object"}
TYPING: dict[str, Any] = vars(typing)  # the names that `list` and `dict` have made old


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (None, {"type": "null"}),
        (Any, {}),
        (Optional[int], {"type": ["integer", "null"]}),  # noqa: UP045
        (int | list[str], {"anyOf": [{"type": "integer"}, {**ARRAY, "items": {"type": "string"}}]}),
        (set[int], {**ARRAY, "items": {"type": "integer"}, "uniqueItems": True}),
        (collections.abc.Iterable[int], {**ARRAY, "items": {"type": "integer"}}),
        (tuple[int, ...], {**ARRAY, "items": {"type": "integer"}}),
        (tuple[int, str], {
            **ARRAY, "prefixItems": [{"type": "integer"}, {"type": "string"}], "minItems": 2, "maxItems": 2,
        }),
        (tuple[()], {**ARRAY, "prefixItems": [], "minItems": 0, "maxItems": 0}),
        (dict[str, int], {**ANYTHING, "additionalProperties": {"type": "integer"}}),
        # without what is in them
        (list, ARRAY),
        (TYPING["List"], ARRAY),
        (TYPING["Tuple"], ARRAY),
        (TYPING["Sequence"], ARRAY),
        (TYPING["Set"], {**ARRAY, "uniqueItems": True}),
        (TYPING["Dict"], ANYTHING),
        (TYPING["Mapping"], ANYTHING),
        (Literal["a", 1, Colour.RED], {"enum": ["a", 1, "red"]}),
        (Colour, {"enum": ["red", 2]}),
        (Annotated[int, "how many", {"minimum": 1}, 5], {"type": "integer", "description": "how many", "minimum": 1}),
        (Point, {
            **ANYTHING, "additionalProperties": False, "required": ["x"],
            "properties": {
                "x": {"type": "integer"},
                "y": {"type": "number", "description": "upwards"},
                "names": {**ARRAY, "items": {"type": "string"}},
            },
        }),
        (Town, {
            **ANYTHING, "additionalProperties": False, "required": ["name"],
            "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        }),
        (Half, {
            **ANYTHING, "additionalProperties": False, "required": ["name"],
            "properties": {"name": {"type": "string"}, "size": {"type": "integer"}},
        }),
    ],
)  # fmt: skip
def test_the_schema_of_a_hint(hint: Any, schema: dict[str, Any]) -> None:
    assert schema_of(hint, "x") == schema


@pytest.mark.parametrize(
    ("hint", "said"),
    [
        (complex, "the type of x is `complex`"),
        (typing.TypeVar("T"), "the type of x is `T`"),
        (collections.abc.Callable[[int], int], "the type of x is a `Callable`"),
        (list[complex], "the type of x is `complex`"),
        (Endless, "nested too deep, or in itself"),
    ],
)
def test_what_no_schema_can_say(hint: Any, said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        schema_of(hint, "x")
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("hint", "value", "made"),
    [
        (int, 1.0, 1),
        (float, 1, 1.0),
        (list[float], [1], [1.0]),
        (set[int], [1.0], {1}),
        (frozenset[int], [1], frozenset({1})),
        (tuple, [1], (1,)),
        (tuple[int, ...], [1.0, 2.0], (1, 2)),
        (tuple[Colour, str], ["red", "a"], (Colour.RED, "a")),
        (TYPING["List"], [1], [1]),
        (dict[str, Colour], {"a": 2}, {"a": Colour.TWO}),
        (Optional[Colour], "red", Colour.RED),  # noqa: UP045
        (Union[int, Colour], "red", Colour.RED),  # noqa: UP007
        (Literal[Colour.RED, "blue"], "red", Colour.RED),
        (Literal[Colour.RED, "blue"], "blue", "blue"),
        (Annotated[Colour, "which"], 2, Colour.TWO),
        (Point, {"x": 1.0, "y": 2}, Point(1, 2.0)),
        (Town, {"name": "a"}, {"name": "a"}),
    ],
)
def test_a_value_is_as_its_hint_has_it(hint: Any, value: Any, made: Any) -> None:
    assert check(value, schema_of(hint, "x")) == []
    got = as_hinted(hint, value)
    assert (got, type(got)) == (made, type(made))
