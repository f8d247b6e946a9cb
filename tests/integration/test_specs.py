"""Whole commands with their whole output: a folder of `tests/specs` each, no code.

    command        the arguments on one line, quoted as in a shell; `NAME=value` before them is the environment's
    script.lua     what it runs, with whatever else lies in the folder
    stdin          what it is given to read; without it nothing
    expected.out   standard output, expected.err standard error: empty where there is no such file
    exit           the exit code; 0 where there is no such file

What differs from run to run is written as `<seconds>`, `<address>` and `<here>` (the folder).
"""

from __future__ import annotations

import re
import shlex
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

from support.terminal import environment, llmspell

SPECS = Path(__file__).parent.parent / "specs"
NAMES = sorted(path.parent.name for path in SPECS.glob("*/command"))
NEED_ENGINE = ("model-", "weights-")
DIFFERS = [
    (rb'"seconds":[0-9.e-]+', b'"seconds":<seconds>'),
    (rb'"duration_ms":[0-9.e-]+', b'"duration_ms":<ms>'),
    (rb"0x[0-9a-f]{6,}", b"<address>"),
]


class Spec(NamedTuple):
    """One folder, read."""

    env: dict[str, str]
    words: list[str]
    stdin: bytes
    out: str
    err: str
    code: int


def read(folder: Path) -> Spec:
    def held(name: str) -> bytes:
        path = folder / name
        return path.read_bytes() if path.exists() else b""

    words = shlex.split(held("command").decode())
    env: dict[str, str] = {}
    while words and re.match(r"[A-Z_]+=", words[0]):
        name, _, value = words.pop(0).partition("=")
        env[name] = value
    texts = [held(name).decode("utf-8", "backslashreplace") for name in ("expected.out", "expected.err")]
    return Spec(env, words, held("stdin"), *texts, int(held("exit") or 0))


def filtered(text: bytes, folder: Path) -> str:
    text = text.replace(str(folder).encode(), b"<here>")
    for pattern, shown in DIFFERS:
        text = re.sub(pattern, shown, text)
    return text.decode("utf-8", "backslashreplace")


@pytest.mark.parametrize("name", NAMES)
def test_command(name: str) -> None:
    if name.startswith(NEED_ENGINE) and find_spec("xllamacpp") is None:
        pytest.skip("xllamacpp is not installed: pip install 'llmspell[local]'")
    folder = SPECS / name
    spec = read(folder)
    done = llmspell(*spec.words, stdin=spec.stdin, cwd=folder, env=environment(**spec.env))
    assert (filtered(done.out, folder), filtered(done.err, folder), done.code) == (spec.out, spec.err, spec.code)


def test_there_are_specs() -> None:
    assert len(NAMES) > 50
