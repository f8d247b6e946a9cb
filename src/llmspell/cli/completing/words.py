"""A command line as far as it is typed, cut into words as a shell would."""

from __future__ import annotations

__all__ = ["Line", "plain", "split"]

#: What bash ends a word at for completion, where it does not say itself.
BREAKS = " \t\n\"'><=;|&(:"
_IN_QUOTES = '"\\$`\n'  # before which a backslash is one within double quotes


class Line:
    """words: those before the cursor, quotes taken off; the last is the one that is typed, empty after a blank.

    cut: how many characters of the last stand before what the shell replaces.
    """

    __slots__ = ("cut", "words")

    def __init__(self, words: list[str], cut: int) -> None:
        self.words, self.cut = words, cut


def split(text: str, breaks: str = BREAKS) -> Line:
    """*text*, cut at its blanks. A quote that is still open goes on to its end.

    breaks: at which of its characters, outside quotes, the shell begins what it replaces.
    """
    words: list[str] = []
    word, begun, cut, quote = "", False, 0, ""
    index, count = 0, len(text)
    while index < count:
        char = text[index]
        index += 1
        if quote == "'":
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char == "\\" and index < count and (not quote or text[index] in _IN_QUOTES):
            word, begun = word + text[index], True
            index += 1
        elif quote:
            quote, word = ("", word) if char == quote else (quote, word + char)
        elif char in "\"'":
            quote, begun = char, True
            cut = len(word)
        elif char in " \t\n":
            if begun:
                words.append(word)
            word, begun, cut = "", False, 0
        else:
            word, begun = word + char, True
            if char in breaks:
                cut = len(word)
    return Line([*words, word], cut)


def plain(token: str) -> str:
    """One word without its quotes, the last of which may be open."""
    return split(token.replace(" ", "\\ ") if not any(c in token for c in "\"'\\") else token).words[-1]
