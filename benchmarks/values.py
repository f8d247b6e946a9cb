"""What an AgentChunk costs as a value, against a plain tuple of the same, and against a model of pydantic's.

    python benchmarks/values.py [--rounds N]

Each of COUNT chunks of a text. Subjects, in turn in each round; CPU time of this process:

    make      a chunk and its content, of fields that are there
    read      the text of its content
    compare   with an equal one that is another object
    to_dict   plain values: `to_dict`, a dict that is written out, `model_dump`
    from_dict back again, checked: `AgentChunk.from_dict`, `model_validate`; a tuple has no such thing
    memory    bytes of a chunk that is held, fields that all share not counted

pydantic is asked for frozen models with the same fields, the content one of a union told apart by `type`. Without it
its columns are empty.
"""

from __future__ import annotations

import argparse
import sys
import tracemalloc
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from harness import interleaved, of_medians, ratios, table
from llmspell.types.streaming import AgentChunk, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["OPERATIONS", "main", "measure", "memory"]

COUNT = 2000  # chunks, a round
METADATA: dict[str, Any] = {"model": "m", "provider": "p"}
WORDS = [f"word {i}" for i in range(COUNT)]
OPERATIONS = ("make", "read", "compare", "to_dict", "from_dict")


class Subject(NamedTuple):
    """One way to have a chunk. make: of an index and a text."""

    make: Callable[[int, str], Any]
    read: Callable[[Any], str]
    to_dict: Callable[[Any], dict[str, Any]]
    from_dict: Callable[[dict[str, Any]], Any] | None


def _agent_chunk(index: int, text: str) -> AgentChunk:
    return AgentChunk("stream", index, Text(text), METADATA, 1.0)


def _tuple(index: int, text: str) -> tuple[Any, ...]:
    return ("stream", index, (text,), METADATA, 1.0)


def _tuple_to_dict(one: tuple[Any, ...]) -> dict[str, Any]:
    stream_id, index, content, metadata, timestamp = one
    return {
        "stream_id": stream_id,
        "chunk_index": index,
        "content": {"type": "text", "text": content[0]},
        "metadata": metadata,
        "timestamp": timestamp,
    }


def _pydantic() -> Subject | None:
    """Models of the same fields; None where it is not installed."""
    try:
        pydantic = import_module("pydantic")
    except ImportError:
        return None
    from typing import Annotated, Literal

    frozen = pydantic.ConfigDict(frozen=True)
    words: Any = pydantic.create_model("Words", __config__=frozen, type=(Literal["text"], "text"), text=(str, ...))
    thoughts: Any = pydantic.create_model(
        "Thoughts", __config__=frozen, type=(Literal["reasoning"], "reasoning"), text=(str, ...)
    )
    model: Any = pydantic.create_model(
        "Chunk",
        __config__=frozen,
        stream_id=(str, ...),
        chunk_index=(int, ...),
        content=(Annotated[words | thoughts, pydantic.Field(discriminator="type")], ...),
        metadata=(dict[str, Any], ...),
        timestamp=(float, ...),
    )

    def make(index: int, text: str) -> Any:
        return model(stream_id="stream", chunk_index=index, content=words(text=text), metadata=METADATA, timestamp=1.0)

    return Subject(make, lambda one: one.content.text, lambda one: one.model_dump(), model.model_validate)


def subjects() -> dict[str, Subject]:
    """By name; the tuple is what the others are compared with."""
    told = {
        "tuple": Subject(_tuple, lambda one: one[2][0], _tuple_to_dict, None),
        "AgentChunk": Subject(
            _agent_chunk, lambda one: one.content.text, AgentChunk.to_dict, AgentChunk.from_dict
        ),
    }  # fmt: skip
    model = _pydantic()
    return told if model is None else {**told, "pydantic": model}


def _work(subject: Subject, operation: str) -> Callable[[], Any] | None:
    """COUNT times the operation, or None where the subject has none such."""
    make, read, to_dict, from_dict = subject
    if operation == "make":
        return lambda: [make(i, word) for i, word in enumerate(WORDS)]
    held = [make(i, word) for i, word in enumerate(WORDS)]
    if operation == "read":
        return lambda: [read(one) for one in held]
    if operation == "compare":
        pairs = list(zip(held, [make(i, word) for i, word in enumerate(WORDS)], strict=True))
        return lambda: [one == other for one, other in pairs]
    if operation == "to_dict":
        return lambda: [to_dict(one) for one in held]
    if from_dict is None:
        return None
    told = [to_dict(one) for one in held]
    return lambda: [from_dict(one) for one in told]


def measure(operation: str, rounds: int) -> list[dict[str, float]]:
    """Each round's µs a chunk, by subject."""
    works = {name: _work(one, operation) for name, one in subjects().items()}
    return interleaved({name: work for name, work in works.items() if work is not None}, rounds, items=COUNT)


def memory() -> dict[str, float]:
    """Bytes a chunk that is held, by subject."""
    told = {}
    for name, one in subjects().items():
        one.make(0, "")
        tracemalloc.start()
        held = [one.make(i, word) for i, word in enumerate(WORDS)]
        told[name] = tracemalloc.get_traced_memory()[0] / len(held)
        tracemalloc.stop()
        del held
    return told


def main(argv: Sequence[str] | None = None) -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds: int = parser.parse_args(argv).rounds
    rows = [["", "tuple, µs", "AgentChunk, µs", ": tuple", "pydantic, µs", "AgentChunk : pydantic"]]
    for operation in OPERATIONS:
        told = measure(operation, rounds)
        named = set(told[0])
        row = [operation, f"{of_medians(told, 'tuple'):.3f}" if "tuple" in named else ""]
        row += [f"{of_medians(told, 'AgentChunk'):.3f}"]
        row += [f"{ratios(told, 'AgentChunk', 'tuple').median:.2f}" if "tuple" in named else ""]
        both = "pydantic" in named
        row += [f"{of_medians(told, 'pydantic'):.3f}" if both else ""]
        row += [f"{ratios(told, 'AgentChunk', 'pydantic').median:.2f}" if both else ""]
        rows.append(row)
    held = memory()
    row = ["memory, bytes", f"{held['tuple']:.0f}", f"{held['AgentChunk']:.0f}"]
    row += [f"{held['AgentChunk'] / held['tuple']:.2f}"]
    if "pydantic" in held:
        row += [f"{held['pydantic']:.0f}", f"{held['AgentChunk'] / held['pydantic']:.2f}"]
    rows.append(row + [""] * (6 - len(row)))
    print(table(rows))
    if "pydantic" not in held:
        print("pydantic is not installed: nothing is compared with it")
    return 0


if __name__ == "__main__":
    sys.exit(main())
