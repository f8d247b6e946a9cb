"""Lua 5.4's words. Source: Lua 5.4 manual, §3.1; where that is silent, llex.c.

A text is read at once, in linear time. What is wrong in it becomes a token of its own, so that the parser meets it
where Lua's compiler would.
"""

from __future__ import annotations

import re

from llmspell.bridge.lint.problems import Fault

__all__ = ["EOF", "FLOAT", "INTEGER", "KEYWORDS", "NAME", "STRING", "WRONG", "Tokens", "quoted", "tokens"]

KEYWORDS = frozenset(
    (
        *("and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local"),
        *("nil", "not", "or", "repeat", "return", "then", "true", "until", "while"),
    )
)
NAME, STRING, INTEGER, FLOAT, EOF, WRONG = "<name>", "<string>", "<integer>", "<number>", "<eof>", "<wrong>"

MOST_SHOWN = 60  # characters of a word in a message
_TOKEN = re.compile(
    r"""[ \t\v\f\r\n]+
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<string>"[^"\\\r\n]*"|'[^'\\\r\n]*')
    |--(?:\[(?P<cmark>=*)\[[\s\S]*?\](?P=cmark)\]|(?!\[=*\[)[^\r\n]*)
    |(?P<number>\.?0[xX](?:[pP][+-]?|[0-9a-fA-F.])*[A-Za-z_]?|\.?[0-9](?:[eE][+-]?|[0-9a-fA-F.])*[A-Za-z_]?)
    |\[(?P<mark>=*)\[(?P<long>[\s\S]*?)\](?P=mark)\]
    |(?P<op>\.\.\.|\.\.|==|~=|<=|>=|//|::|<<|>>|\[(?!=*\[|=)|-(?!-)|[+*/%^\#&~|<>=(){}\];:,.])
    """,
    re.VERBOSE,
)
_DECIMAL = re.compile(r"(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\Z")
_HEXADECIMAL = re.compile(r"0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)(?:[pP][+-]?[0-9]+)?\Z")
_UNFINISHED = re.compile(r"(--)?\[=*\[")
_NO_DELIMITER = re.compile(r"\[=+")
_PLAIN = {'"': re.compile(r'[^"\\\r\n]*'), "'": re.compile(r"[^'\\\r\n]*")}
_SPACE = re.compile(r"[ \t\v\f\r\n]*")
_DIGITS = re.compile(r"[0-9]{1,3}")
_HEX = re.compile(r"[0-9a-fA-F]*")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_ESCAPES |= {char: char for char in "\\'\""}
_NEWLINES = ("\r\n", "\n\r")


class Tokens:
    """A text's words, each in four lists at the same place; the last is EOF.

    kinds: NAME, STRING, INTEGER, FLOAT, EOF, WRONG; a keyword or a sign is its own kind. values: a name, what a string
    says, the text of a number, the Fault of what is wrong. starts, ends: offsets in the text.
    """

    __slots__ = ("ends", "kinds", "starts", "text", "values")

    def __init__(self, text: str) -> None:
        self.text = text
        self.kinds: list[str] = []
        self.values: list[str | Fault] = []
        self.starts: list[int] = []
        self.ends: list[int] = []

    def add(self, kind: str, value: str | Fault, start: int, end: int) -> None:
        self.kinds.append(kind)
        self.values.append(value)
        self.starts.append(start)
        self.ends.append(end)


def tokens(text: str) -> Tokens:
    """The words of *text*. A first line that begins with `#` is none, as where Lua loads a file."""
    found = Tokens(text)
    add, match, keywords = found.add, _TOKEN.match, KEYWORDS
    at, size = 0, len(text)
    if text.startswith("#"):
        while at < size and text[at] not in "\r\n":
            at += 1
    while at < size:
        token = match(text, at)
        if token is None:
            at = _hard(found, at)
            continue
        end = token.end()
        group = token.lastgroup
        if group == "name":
            word = token.group()
            add(word if word in keywords else NAME, word, at, end)
        elif group == "op":
            add(token.group(), "", at, end)
        elif group == "string":
            add(STRING, text[at + 1 : end - 1], at, end)
        elif group == "number":
            _number(found, token.group(), at, end)
        elif group == "long":
            add(STRING, _long(token.group("long")), at, end)
        at = end
    add(EOF, "", size, size)
    return found


def _long(inside: str) -> str:
    """What a long string says: its first newline is not part of it."""
    if inside[:2] in _NEWLINES:
        return inside[2:]
    return inside[1:] if inside[:1] in ("\r", "\n") else inside


def quoted(text: str, start: int, end: int) -> str:
    """What an error is near, quoted: a line at most, and not a long one."""
    shown = re.split(r"[\r\n]", text[start : min(end, start + MOST_SHOWN)], maxsplit=1)[0]
    return f"'{shown}{'…' if start + len(shown) < end else ''}'"


def _number(found: Tokens, text: str, start: int, end: int) -> None:
    if text.isdigit() and text.isascii():
        digits = text.lstrip("0")
        whole = len(digits) < 19 or (len(digits) == 19 and int(digits) < 1 << 63)
        found.add(INTEGER if whole else FLOAT, text, start, end)
    elif _HEXADECIMAL.match(text):
        found.add(FLOAT if "." in text or "p" in text.lower() else INTEGER, text, start, end)
    elif _DECIMAL.match(text):
        found.add(FLOAT, text, start, end)
    else:
        message = f"malformed number near {quoted(found.text, start, end)}"
        found.add(WRONG, Fault(message, start, end, "syntax"), start, end)


def _hard(found: Tokens, at: int) -> int:
    """What is no plain token: a string with escapes, a character of no meaning, an error. Gives where it ends."""
    text = found.text
    if text[at] in "\"'":
        return _string(found, at)
    if begun := _UNFINISHED.match(text, at):
        what = "comment" if begun.group(1) else "string"
        line = 1 + len(re.findall(r"\r\n|\n\r|\r|\n", text[:at]))
        message = f"unfinished long {what} (starting at line {line}) near <eof>"
        found.add(WRONG, Fault(message, at, begun.end(), "syntax", told=len(text)), at, len(text))
        return len(text)
    if begun := _NO_DELIMITER.match(text, at):
        message = f"invalid long string delimiter near {quoted(text, at, begun.end())}"
        found.add(WRONG, Fault(message, at, begun.end(), "syntax"), at, begun.end())
        return begun.end()
    found.add(text[at], "", at, at + 1)  # nothing begins with it: the parser says so
    return at + 1


def _string(found: Tokens, start: int) -> int:
    """A string with escapes, or one that does not end."""
    text, parts, at = found.text, [], start + 1
    quote = text[start]
    plain = _PLAIN[quote]
    wrong: Fault | None = None
    while True:
        piece = plain.match(text, at)
        assert piece is not None
        parts.append(piece.group())
        at = piece.end()
        char = text[at : at + 1]
        if char == quote:
            at += 1
            break
        if char != "\\" or at + 1 >= len(text):
            at = min(at + 1, len(text)) if char == "\\" else at
            near = quoted(text, start, at) if at < len(text) else "<eof>"
            wrong = wrong or Fault(f"unfinished string near {near}", start, at, "syntax", told=at)
            break
        try:
            value, at = _escape(text, start, at)
            parts.append(value)
        except Fault as fault:
            wrong = wrong or fault
            at += 1 if text[at + 1] in "\r\n" else 2
    found.add(WRONG if wrong else STRING, wrong or "".join(parts), start, at)
    return at


def _escape(text: str, start: int, at: int) -> tuple[str, int]:
    """What the escape at *at* says, and where it ends. Raises Fault; *start*: where its string begins."""
    char = text[at + 1]
    if char in _ESCAPES:
        return _ESCAPES[char], at + 2
    if char in "\r\n":
        return "\n", at + (3 if text[at + 1 : at + 3] in _NEWLINES else 2)
    if char == "z":
        space = _SPACE.match(text, at + 2)
        assert space is not None
        return "", space.end()
    if char == "x":
        for place in (at + 2, at + 3):
            if not _HEX.fullmatch(text, place, place + 1) or place >= len(text):
                raise _bad("hexadecimal digit expected", text, start, at, place)
        return chr(int(text[at + 2 : at + 4], 16)), at + 4
    if char == "u":
        return _utf8(text, start, at)
    digits = _DIGITS.match(text, at + 1)
    if digits is None:
        raise _bad("invalid escape sequence", text, start, at, at + 1)
    if int(digits.group()) > 255:
        raise _bad("decimal escape too large", text, start, at, digits.end())
    return chr(int(digits.group())), digits.end()


def _utf8(text: str, start: int, at: int) -> tuple[str, int]:
    if text[at + 2 : at + 3] != "{":
        raise _bad("missing '{'", text, start, at, at + 2)
    digits = _HEX.match(text, at + 3)
    assert digits is not None
    if not digits.group():
        raise _bad("hexadecimal digit expected", text, start, at, at + 3)
    significant = digits.group().lstrip("0")
    if len(significant) > 8 or int(significant or "0", 16) >= 1 << 31:
        raise _bad("UTF-8 value too large", text, start, at, digits.end() - 1)
    if text[digits.end() : digits.end() + 1] != "}":
        raise _bad("missing '}'", text, start, at, digits.end())
    number = int(digits.group(), 16)
    return chr(number) if number < 0x110000 else "\ufffd", digits.end() + 1


def _bad(message: str, text: str, start: int, at: int, last: int) -> Fault:
    """*last*: the character that was not wanted."""
    end = min(last + 1, len(text))
    return Fault(f"{message} near {quoted(text, start, last + 1)}", at, end, "syntax", told=min(last, len(text)))
