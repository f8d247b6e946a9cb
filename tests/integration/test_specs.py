"""Whole commands with their whole output: a folder of `tests/specs` each, no code.

    command        the arguments on one line, quoted as in a shell; `NAME=value` before them is the environment's
    script.lua     what it runs, with whatever else lies in the folder
    stdin          what it is given to read; without it nothing
    expected.out   standard output, expected.err standard error: empty where there is no such file
    narrow.err     what standard error shows on a terminal of 40 columns, without colours
    exit           the exit code; 0 where there is no such file
    server         answers of the service that `openai/…` is then: JSON, a list of {status, headers, body}

What differs from run to run is written as `<seconds>`, `<address>`, `<server>` and `<here>` (the folder).
"""

from __future__ import annotations

import json
import re
import shlex
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from llmspell.cli.render.terminal import cell_width
from support.answers import asking
from support.loopback import Loopback
from support.terminal import Terminal, environment, llmspell

if TYPE_CHECKING:
    from collections.abc import Iterator

SPECS = Path(__file__).parent.parent / "specs"
NAMES = sorted(path.parent.name for path in SPECS.glob("*/command"))
NEED_ENGINE = ("model-", "weights-")
DIFFERS = [
    (rb'"seconds":[0-9.e-]+', b'"seconds":<seconds>'),
    (rb'"duration_ms":[0-9.e-]+', b'"duration_ms":<ms>'),
    (rb"0x[0-9a-f]{6,}", b"<address>"),
    (rb"http://127\.0\.0\.1:\d+(/v1)?", b"<server>"),
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


@contextmanager
def surroundings(folder: Path, spec: Spec) -> Iterator[dict[str, str]]:
    """The environment of a spec, while its service is there."""
    if not (folder / "server").exists():
        yield environment(**spec.env)
        return
    plans = []
    for told in json.loads((folder / "server").read_text(encoding="utf-8")):
        body = json.dumps(told["body"]).encode()
        lines = [f"{name}: {value}" for name, value in told.get("headers", {}).items()]
        lines = [f"HTTP/1.1 {told['status']} No", "content-type: application/json", *lines]
        plans.append(["\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode() + body])
    with Loopback(plans) as server:
        yield asking(server, **spec.env)


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
    with surroundings(folder, spec) as env:
        done = llmspell(*spec.words, stdin=spec.stdin, cwd=folder, env=env)
    assert (filtered(done.out, folder), filtered(done.err, folder), done.code) == (spec.out, spec.err, spec.code)


@pytest.mark.parametrize("name", [name for name in NAMES if (SPECS / name / "narrow.err").exists()])
def test_command_on_a_narrow_terminal(name: str, tmp_path: Path) -> None:
    folder = SPECS / name
    spec = read(folder)
    with surroundings(folder, spec) as env:
        env = {**env, "NO_COLOR": "1"}
        with Terminal(spec.words, size=(40, 60), cwd=folder, env=env, out=tmp_path / "out") as terminal:
            code = terminal.wait()
            shown = filtered(terminal.raw.replace(b"\r\n", b"\n"), folder)
    expected = (folder / "narrow.err").read_text(encoding="utf-8")
    assert (shown, code) == (expected, spec.code)
    for line in shown.splitlines():  # what is to be copied stays on its line
        assert cell_width(line) <= 40 or "--allow-" in line or "://" in line


def test_there_are_specs() -> None:
    assert len(NAMES) > 50
