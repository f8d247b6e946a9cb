"""What an SVG's root tells, by a scanner of its own: no entity is ever expanded, nothing outside is fetched.

One source for both twins: this file, and the module that Cython makes of it.
"""

from __future__ import annotations

import math
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell._speedups._media_window_py import HEAD, Beyond, Window, sized
else:
    from importlib import import_module

    _window = import_module(__name__.replace("_media_svg_", "_media_window_"))  # the same twin's
    HEAD, Beyond, Window, sized = _window.HEAD, _window.Beyond, _window.Window, _window.sized

__all__ = ["is_svg", "svg"]

_NAMESPACE = "http://www.w3.org/2000/svg"
_SPACE = " \t\r\n"
#: Pixels of one, at 96 to the inch.
_UNITS = {"": 1.0, "px": 1.0, "pt": 96 / 72, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "q": 96 / 101.6}
#: What depends on where it is shown.
_RELATIVE = ("%", "em", "ex", "ch", "rem", "vw", "vh", "vmin", "vmax")
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
LARGEST = 1 << 31  # pixels of a side


class _Cut(Exception):
    """The text ends before the root's tag does."""


class _Root:
    """The root of a document. attributes: as they are written; None where they are not all there, or broken."""

    __slots__ = ("attributes", "broken", "entities", "name")

    def __init__(self, name: str, entities: bool) -> None:
        self.name = name
        self.entities = entities
        self.attributes: dict[str, str] | None = None
        self.broken = ""


def is_svg(head: bytes) -> bool:
    """Whether a document that begins so is an SVG."""
    return _svg_root(head) is not None


def svg(window: Window, facts: dict[str, Any]) -> None:
    head = window.some(0, HEAD)
    root = _svg_root(head)
    if root is None:
        raise ValueError("the root of an SVG is `svg`, and this one's is not")
    if root.entities:
        raise ValueError("an SVG that declares entities is not taken")
    if root.attributes is None:
        if root.broken:
            raise ValueError(root.broken)
        if window.size is not None and window.size <= HEAD:
            raise ValueError("the SVG is cut: its root has no end")
        raise Beyond
    width, height = _length(root.attributes, "width"), _length(root.attributes, "height")
    box = _view_box(root.attributes.get("viewBox"))
    if box is not None:
        if width is None and height is None:
            width, height = box
        elif width is None and height is not None:
            width = box[0] * height / box[1]
        elif height is None and width is not None:
            height = box[1] * width / box[0]
    if width is None or height is None:
        return
    if width > LARGEST or height > LARGEST:
        raise ValueError(f"an SVG of {width:g} by {height:g} pixels cannot be")
    sized(facts, max(1, round(width)), max(1, round(height)))


def _text(head: bytes) -> str:
    """The head as text, of which nothing but its ASCII matters."""
    if head[:3] == b"\xef\xbb\xbf":
        return head[3:].decode("latin-1")
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return head[2:].decode("utf-16-le" if head[0] == 0xFF else "utf-16-be", "replace")
    if head[:2] == b"<\0":
        return head.decode("utf-16-le", "replace")
    if head[:2] == b"\0<":
        return head.decode("utf-16-be", "replace")
    return head.decode("latin-1")


def _svg_root(head: bytes) -> _Root | None:
    """The root, if it is an SVG's."""
    text = _text(head[:HEAD])
    try:
        root, at = _find_root(text)
    except _Cut:
        return None
    if root is None:
        return None
    prefix, colon, local = root.name.rpartition(":")
    if local != "svg":
        return None
    if root.entities:  # in which even its namespace may be told
        return root
    try:
        root.attributes = _attributes(text, at)
    except _Cut:
        return root
    except ValueError as error:
        root.broken = str(error)
        return root
    space = root.attributes.get("xmlns" + colon + prefix, "" if colon else _NAMESPACE)
    return root if space == _NAMESPACE else None


def _spaces(text: str, at: int) -> int:
    """Where no more blanks are."""
    count = len(text)
    while at < count and text[at] in _SPACE:
        at += 1
    return at


def _after(text: str, what: str, at: int) -> int:
    """Behind the next *what*. Raises _Cut where there is none."""
    found = text.find(what, at)
    if found < 0:
        raise _Cut
    return found + len(what)


def _find_root(text: str) -> tuple[_Root | None, int]:
    """The root, without its attributes, and where these begin; None where something else stands before it."""
    at = 0
    doctype, entities = "", False
    while True:
        at = _spaces(text, at)
        if text.startswith("<?", at):
            at = _after(text, "?>", at + 2)
        elif text.startswith("<!--", at):
            at = _after(text, "-->", at + 4)
        elif text.startswith("<!DOCTYPE", at) and not doctype:
            doctype, entities, at = _doctype(text, at + 9)
        else:
            break
    if not text.startswith("<", at):
        return None, at
    name, at = _name(text, at + 1)
    if not name or (doctype and doctype != name):
        return None, at
    return _Root(name, entities), at


def _name(text: str, at: int) -> tuple[str, int]:
    """A name of at most 100 characters, which ends where blanks or marks begin, and where it ends."""
    begin, count = at, min(len(text), at + 101)
    while at < count and text[at] not in " \t\r\n/>=<\"'![]?&;":
        at += 1
    if at == len(text):
        raise _Cut
    return (text[begin:at] if at - begin <= 100 else ""), at


def _doctype(text: str, at: int) -> tuple[str, bool, int]:
    """The name in a DOCTYPE, whether it declares entities, and where it ends."""
    name, at = _name(text, _spaces(text, at))
    entities = inside = False
    while True:
        if at >= len(text):
            raise _Cut
        one = text[at]
        if one in "\"'":
            at = _after(text, one, at + 1)
        elif text.startswith("<!--", at):
            at = _after(text, "-->", at + 4)
        elif text.startswith("<?", at):
            at = _after(text, "?>", at + 2)
        elif one == ">" and not inside:
            return name or "?", entities, at + 1
        else:
            if one == "[":
                inside = True
            elif one == "]":
                inside = False
            elif one == "<" and text.startswith("<!ENTITY", at):
                entities = True
            at += 1


def _attributes(text: str, at: int) -> dict[str, str]:
    """Those of a tag, from *at* on. Raises _Cut, and ValueError where they are broken."""
    told: dict[str, str] = {}
    while True:
        at = _spaces(text, at)
        if at >= len(text):
            raise _Cut
        if text[at] in "/>":
            return told
        name, at = _name(text, at)
        at = _spaces(text, at)
        if at >= len(text):
            raise _Cut
        if not name or text[at] != "=":
            raise ValueError("an SVG whose root is broken")
        at = _spaces(text, at + 1)
        if at >= len(text):
            raise _Cut
        quote = text[at]
        if quote not in "\"'":
            raise ValueError("an SVG whose root is broken")
        end = _after(text, quote, at + 1)
        value = text[at + 1 : end - 1]
        if "<" in value or name in told:
            raise ValueError("an SVG whose root is broken")
        told[name] = value
        at = end


def _length(attributes: dict[str, str], name: str) -> float | None:
    """Pixels; None where it is not said, or depends on where it is shown."""
    text = attributes.get(name, "").strip(_SPACE)
    if not text or text == "auto":
        return None
    found = _NUMBER.match(text)
    unit = text[found.end() :].lower() if found is not None else "?"
    factor = _UNITS.get(unit)
    if found is None or (factor is None and unit not in _RELATIVE):
        raise ValueError(f"an SVG whose {name} is no length")
    value = float(found.group())
    if not math.isfinite(value) or value <= 0:
        raise ValueError(f"an SVG whose {name} is {value:g} cannot be")
    return None if factor is None else value * factor


def _view_box(text: str | None) -> tuple[float, float] | None:
    """Width and height of a viewBox; None where there is none."""
    if text is None:
        return None
    parts = text.replace(",", " ").split()
    if len(parts) != 4 or not all(_NUMBER.fullmatch(one) for one in parts):
        raise ValueError("an SVG whose viewBox is not four numbers")
    width, height = float(parts[2]), float(parts[3])
    if not (math.isfinite(width) and math.isfinite(height)) or width <= 0 or height <= 0:
        raise ValueError(f"an SVG whose viewBox is {width:g} by {height:g} cannot be")
    return width, height
