"""What `llmspell` alone says: the commands, a line each. Read from a table, so that it is there at once."""

from __future__ import annotations

import os
import sys

from llmspell.cli.completing.table import TREE
from llmspell.cli.render import terminal

__all__ = ["short"]

USAGE = "usage: llmspell COMMAND …"
MORE = "`llmspell run SCRIPT` runs a script\n`llmspell --help` says more"


def short() -> int:
    """Writes it to standard error, since nothing was asked for and nothing is the result; gives 2."""
    width = terminal.terminal_size(sys.stderr, os.environ)[0]
    unicode = terminal.takes_unicode(sys.stderr)
    widest = max(map(len, TREE[3]))
    lines = [USAGE, ""]
    for name, node in TREE[3].items():
        line = f"  {name:<{widest}}  {node[0]}"
        lines.append(line if len(line) <= width else f"{line[: width - 1]}…")
    text = "\n".join([*lines, "", MORE]) + "\n"
    sys.stderr.write(text if unicode else text.replace("…", "."))
    sys.stderr.flush()
    return 2
