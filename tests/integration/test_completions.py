"""`llmspell completions`: what each shell makes of a line and a Tab, in that shell itself."""

from __future__ import annotations

import os
import shlex
import shutil
from typing import TYPE_CHECKING

import pytest

from support.terminal import COMMAND, Terminal, environment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASH, ZSH, FISH, POWERSHELL = (shutil.which(name) for name in ("bash", "zsh", "fish", "pwsh"))


def needs(path: str | None, name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(path is None, reason=f"{name} is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder to work in, and beside it one with the command and one with nothing of the user's."""
    here = tmp_path / "here"
    for name in ("sub", "my dir", "home"):
        (here / name).mkdir(parents=True)
    for name in ("alpha.lua", "two words.lua", "it's.lua", "own.toml", "notes.txt", "sub/inner.lua", "my dir/deep.lua"):
        (here / name).write_text("")
    (here / "ev\x1b[31mil.lua").write_text("")
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "llmspell"
    command.write_text(f'#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n')
    command.chmod(0o755)
    return here


def surroundings(folder: Path, **more: str) -> dict[str, str]:
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return environment(PATH=path, HOME=str(folder / "home"), LLMSPELL_CACHE_DIR=str(folder / "home"), **more)


class Shell:
    """A shell on a terminal, with llmspell's completion in it."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def tab(self, typed: str) -> str:
        """The line after *typed* and a Tab. A `#` is typed behind it, which is read when the shell is done."""
        self.terminal.keys(typed.encode() + b"\t")
        self.terminal.keys(b"#")
        self.terminal.until(lambda: self._line().endswith("#"))
        line = self._line().removeprefix("$ ").removesuffix("#")
        self.terminal.keys(b"\x15")  # Ctrl+U
        self.terminal.until(lambda: self._line() in ("$", "$ "))
        return line

    def _line(self) -> str:
        screen = self.terminal.screen
        return screen.display[screen.cursor.y].rstrip() if screen.cursor.x else ""


@pytest.fixture
def bash(folder: Path) -> Iterator[Shell]:
    start = folder / "home" / "start"
    start.write_text("PS1='$ '\nbind 'set enable-bracketed-paste off'\neval \"$(llmspell completions bash)\"\n")
    words = [str(BASH), "--noprofile", "--rcfile", str(start), "-i"]
    with Terminal([], size=(120, 24), env=surroundings(folder), cwd=folder, program=words) as terminal:
        terminal.until(lambda: terminal.text == "$")
        yield Shell(terminal)


@pytest.fixture
def zsh(folder: Path) -> Iterator[Shell]:
    start = folder / "home" / ".zshrc"
    start.write_text(
        "PROMPT='$ '\nunsetopt PROMPT_SP\nautoload -Uz compinit && compinit -u -D\nbindkey -e\n"
        'eval "$(llmspell completions zsh)"\n'
    )
    env = surroundings(folder, ZDOTDIR=str(folder / "home"))
    with Terminal([], size=(120, 24), env=env, cwd=folder, program=[str(ZSH), "-i"]) as terminal:
        terminal.until(lambda: terminal.text == "$")
        yield Shell(terminal)


#: Typed, and what bash and zsh make of it at a Tab.
LINES = [
    ("llmspell ru", "llmspell run "),
    ("llmspell models sh", "llmspell models show "),
    ("llmspell --no-color prov", "llmspell --no-color providers "),
    ("llmspell help model", "llmspell help models "),
    ("llmspell help models pu", "llmspell help models pull "),
    ("llmspell completions fi", "llmspell completions fish "),
    ("llmspell run al", "llmspell run alpha.lua "),
    ("llmspell run no", "llmspell run no"),
    ("llmspell run su", "llmspell run sub/"),
    ("llmspell run sub/", "llmspell run sub/inner.lua "),
    ("llmspell run tw", r"llmspell run two\ words.lua "),
    (r"llmspell run two\ w", r"llmspell run two\ words.lua "),
    ('llmspell run "two w', 'llmspell run "two words.lua" '),
    ("llmspell run 'two w", "llmspell run 'two words.lua' "),
    ("llmspell run it", r"llmspell run it\'s.lua "),
    (r"llmspell run my\ dir/d", r"llmspell run my\ dir/deep.lua "),
    ("llmspell run ev", "llmspell run ev"),
    ("llmspell run --time", "llmspell run --timeout "),
    ("llmspell run --timeout 1 al", "llmspell run --timeout 1 alpha.lua "),
    ("llmspell run --timeout al", "llmspell run --timeout al"),
    ("llmspell run alpha.lua --str", "llmspell run alpha.lua --stream "),
    ("llmspell run alpha.lua -- --str", "llmspell run alpha.lua -- --str"),
    ("llmspell run alpha.lua -- no", "llmspell run alpha.lua -- notes.txt "),
    ("llmspell --output js", "llmspell --output json"),
    ("llmspell --output=t", "llmspell --output=text "),
    ("llmspell --output t", "llmspell --output text "),
    ("llmspell run --config=o", "llmspell run --config=own.toml "),
    ("llmspell run --config o", "llmspell run --config own.toml "),
    ("llmspell run --allow-rea", "llmspell run --allow-read"),
    ("llmspell run --allow-read=no", "llmspell run --allow-read=notes.txt "),
    ("llmspell run --allow-read=notes.txt,ow", "llmspell run --allow-read=notes.txt,own.toml "),
    ("llmspell run --allow-tool=calc", "llmspell run --allow-tool=calculator "),
    ("llmspell run --allow-tool=calculator,unk", "llmspell run --allow-tool=calculator,unk"),
    ("llmspell run --allow-tool=calculator,uu", "llmspell run --allow-tool=calculator,uuid_generator "),
    ("llmspell run --model loc", "llmspell run --model local/"),
    ("llmspell run --model=anthropic/claude-haiku-4", "llmspell run --model=anthropic/claude-haiku-4-5 "),
    ("llmspell run --provider gem", "llmspell run --provider gemini "),
    ("llmspell tools show calc", "llmspell tools show calculator "),
    ("llmspell tools list --category net", "llmspell tools list --category network "),
    ("llmspell nothing-like-it", "llmspell nothing-like-it"),
    ("X=1 llmspell ru", "X=1 llmspell run "),
    ("../bin/llmspell ru", "../bin/llmspell run "),
]


@needs(BASH, "bash")
def test_bash(bash: Shell) -> None:
    assert [bash.tab(typed) for typed, _ in LINES] == [line for _, line in LINES]


@needs(ZSH, "zsh")
def test_zsh(zsh: Shell) -> None:
    assert [zsh.tab(typed) for typed, _ in LINES] == [line for _, line in LINES]


@pytest.fixture
def fish(folder: Path) -> Iterator[Shell]:
    start = folder / "home" / "start.fish"
    start.write_text(
        "function fish_prompt; echo '$ '; end\nset -g fish_greeting\nset -g fish_autosuggestion_enabled 0\n"
        "llmspell completions fish | source\n"
    )
    words = [str(FISH), "--no-config", "--init-command", f"source {start}", "-i"]
    with Terminal([], size=(120, 24), env=surroundings(folder), cwd=folder, program=words) as terminal:
        terminal.until(lambda: terminal.text == "$")
        yield Shell(terminal)


@needs(FISH, "fish")
def test_fish(fish: Shell) -> None:
    assert [fish.tab(typed) for typed, _ in LINES] == [line for _, line in LINES]
