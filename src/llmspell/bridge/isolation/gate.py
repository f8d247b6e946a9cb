"""What a host takes from a worker: outcomes of the right shape, and no more questions than a script has.

The handlers of questions (`calls/`) check what a script can get wrong. What the prelude cannot get wrong, but a worker
that was taken over can, is checked here.
"""

from __future__ import annotations

from llmspell.bridge.engine import CALL, DONE, ERROR, GONE, PREEMPTED, REFUSED, STOPPED, UNFIT
from llmspell.bridge.isolation.codec import FrameError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["outcome_of", "question_of"]

#: Answered by the worker itself: its handler here would open whatever file it is told.
OWN = "prelude"
MOST_NAMES, LONGEST_NAME = 1000, 200  # of what a misspelt member is compared with: that takes long
FRAMES = 20  # an engine tells no more

#: Outcomes: the code to the kinds of what follows it.
SHAPES: dict[int, tuple[type | tuple[type, ...], ...]] = {
    DONE: (object,),
    CALL: (str, list),
    ERROR: (dict, object),
    STOPPED: (str,),
    UNFIT: (str,),
    GONE: (),
    PREEMPTED: (),
    REFUSED: (str, int),
}
#: Of an error: what the host makes sentences of.
TOLD: dict[str, tuple[type, ...]] = {
    "type": (str,),
    "message": (str, bytes),
    "kind": (str,),
    "hint": (str,),
    "script": (str, bytes),
    "line": (int,),
    "column": (int,),
    "retryable": (bool,),
}
PLACE: dict[str, tuple[type, ...]] = {"source": (str, bytes), "line": (int,), "what": (str, bytes)}


def question_of(value: Any) -> tuple[str, list[Any]]:
    """An operation and its arguments. Raises FrameError."""
    if type(value) is not list or len(value) != 2 or type(value[0]) is not str or type(value[1]) is not list:
        raise FrameError("a question that is none")
    op, args = value
    if op == OWN or (op == "api.missing" and not _are_names(args)):
        raise FrameError(f"a question that no script asks: `{op}`")
    return op, args


def _are_names(args: list[Any]) -> bool:
    """Whether the last of *args* is a list of names that is soon gone through."""
    names = args[-1] if args else None
    if type(names) is not list or len(names) > MOST_NAMES:
        return False
    return all(type(name) is str and len(name) <= LONGEST_NAME for name in names)


def outcome_of(value: Any) -> tuple[Any, ...]:
    """An outcome as engines give it, but for its exception: that is still what the worker says of it.

    Raises FrameError.
    """
    if type(value) is not list or not value or type(value[0]) is not int:
        raise FrameError("an outcome that is none")
    shape = SHAPES.get(value[0])
    if shape is None or len(shape) != len(value) - 1:
        raise FrameError("an outcome of no known kind")
    if not all(isinstance(item, kind) for item, kind in zip(value[1:], shape, strict=True)):
        raise FrameError("an outcome of the wrong shape")
    if value[0] == ERROR:
        value[1] = _told(value[1])
    return tuple(value)


def _told(told: dict[Any, Any]) -> dict[str, Any]:
    """What is told of an error, without what is not of its kind."""
    kept = {
        name: item
        for name, item in told.items()
        if type(name) is str and name != "traceback" and (name not in TOLD or type(item) in TOLD[name])
    }
    kept.pop("id", None)
    frames = told.get("traceback")
    kept["traceback"] = [_place(frame) for frame in frames[:FRAMES]] if type(frames) is list else []
    return kept


def _place(frame: Any) -> dict[str, Any]:
    if type(frame) is not dict:
        return {}
    return {name: frame[name] for name, kinds in PLACE.items() if type(frame.get(name)) in kinds}
