"""`llmspell completions`: what each shell makes of a line and a Tab, in that shell itself."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from support.terminal import COMMAND, Terminal, environment, llmspell

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.once

BASH, ZSH, FISH, POWERSHELL = (shutil.which(name) for name in ("bash", "zsh", "fish", "pwsh"))


TRAP = "pay$(touch pwned).lua"


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
    for name in ("ev\x1b[31mil.lua", TRAP, "home/mine.lua"):
        (here / name).write_text("")
    (here / "own.toml").write_text('[providers.ollama]\nmodel = "qwen3:8b"\n')
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


def zsh_in(folder: Path, load: str = 'eval "$(llmspell completions zsh)"', columns: int = 120) -> Terminal:
    """zsh, ready; load: what comes after compinit."""
    start = folder / "home" / ".zshrc"
    start.write_text(
        "PROMPT='$ '\nunsetopt PROMPT_SP\nfpath=(~/functions $fpath)\nbindkey -e\n"
        f"autoload -Uz compinit && compinit -u -D\n{load}\n"
    )
    env = surroundings(folder, ZDOTDIR=str(folder / "home"))
    terminal = Terminal([], size=(columns, 24), env=env, cwd=folder, program=[str(ZSH), "-i"])
    terminal.until(lambda: terminal.text == "$")
    return terminal


@pytest.fixture
def zsh(folder: Path) -> Iterator[Shell]:
    with zsh_in(folder) as terminal:
        yield Shell(terminal)


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
    ("llmspell run ~/mi", "llmspell run ~/mine.lua "),
    ("llmspell run pay", r"llmspell run pay\$\(touch\ pwned\).lua "),
    ('llmspell run "pay', r'llmspell run "pay\$(touch pwned).lua" '),
    ("llmspell run 'pay", "llmspell run 'pay$(touch pwned).lua' "),
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
    ("llmspell run --config own.toml --model ollama/q", "llmspell run --config own.toml --model ollama/qwen3:8b "),
    ("llmspell run --config own.toml --model=ollama/qwen3:", "llmspell run --config own.toml --model=ollama/qwen3:8b "),
    ("llmspell run --provider gem", "llmspell run --provider gemini "),
    ("llmspell tools show calc", "llmspell tools show calculator "),
    ("llmspell tools list --category net", "llmspell tools list --category network "),
    ("llmspell nothing-like-it", "llmspell nothing-like-it"),
    ("X=1 llmspell ru", "X=1 llmspell run "),
    ("../bin/llmspell ru", "../bin/llmspell run "),
]


def check(shell: Shell, folder: Path) -> None:
    assert [shell.tab(typed) for typed, _ in LINES] == [line for _, line in LINES]
    assert not (folder / "pwned").exists()
    (folder / "llmspell.toml").write_text("[runtime\n")
    broken = ("llmspell run --provider ge", "llmspell run --model lo", "llmspell run --timeo")
    assert [shell.tab(typed) for typed in broken] == [*broken[:2], "llmspell run --timeout "]
    assert not any("error" in line for line in shell.terminal.lines)


@needs(BASH, "bash")
def test_bash(bash: Shell, folder: Path) -> None:
    check(bash, folder)


@needs(ZSH, "zsh")
def test_zsh(zsh: Shell, folder: Path) -> None:
    check(zsh, folder)


@needs(FISH, "fish")
def test_fish(fish: Shell, folder: Path) -> None:
    check(fish, folder)


@needs(BASH, "bash")
def test_bash_lists_what_there_is_at_a_second_tab(bash: Shell) -> None:
    bash.terminal.keys(b"llmspell models \t\t")
    bash.terminal.until(lambda: bash.terminal.text.count("llmspell models") == 2)
    assert bash.terminal.lines[1].split() == ["list", "pull", "rm", "show"]


@needs(ZSH, "zsh")
def test_zsh_says_what_each_is(zsh: Shell) -> None:
    zsh.terminal.keys(b"llmspell models \t")
    zsh.terminal.until("show  -- Shows what is known of a model")
    assert "pull  -- Fetches a model" in zsh.terminal.text
    assert "rm    -- Removes a model" in zsh.terminal.text, "one column"


@needs(ZSH, "zsh")
def test_zsh_keeps_each_to_its_line(folder: Path) -> None:
    with zsh_in(folder, columns=50) as terminal:
        terminal.keys(b"llmspell run --max-\t")
        terminal.until("--max-tokens-total  -- Tokens")
        assert [line.split()[0] for line in terminal.lines[1:]] == [
            "--max-cost", "--max-cpu", "--max-memory", "--max-tokens-total",
        ]  # fmt: skip


@needs(ZSH, "zsh")
def test_zsh_takes_it_from_a_folder_of_functions(folder: Path) -> None:
    home = folder / "home"
    (home / "functions").mkdir()
    (home / "functions" / "_llmspell").write_bytes(llmspell("completions", "zsh").out)
    with zsh_in(folder, load="") as terminal:
        shell = Shell(terminal)
        # The first Tab loads the file and completes at once.
        assert [shell.tab("llmspell ru"), shell.tab("llmspell run al")] == ["llmspell run ", "llmspell run alpha.lua "]


@needs(FISH, "fish")
def test_fish_says_what_each_is(folder: Path) -> None:
    code = "llmspell completions fish | source; complete -C 'llmspell models '"
    done = subprocess.run(
        [str(FISH), "--no-config", "-c", code], capture_output=True, env=surroundings(folder), cwd=folder, timeout=30
    )
    lines = done.stdout.decode().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["list", "pull", "rm", "show"]
    assert "pull\tFetches a model" in lines


@needs(POWERSHELL, "PowerShell")
def test_powershell(folder: Path) -> None:
    code = "llmspell completions powershell | Out-String | Invoke-Expression\n"
    for typed, _ in LINES[:7]:
        code += f"(TabExpansion2 '{typed}' {len(typed)}).CompletionMatches[0].CompletionText\n"
    code += "(TabExpansion2 'llmspell run pay' 16).CompletionMatches[0].CompletionText\n"
    done = subprocess.run(
        [str(POWERSHELL), "-NoProfile", "-Command", code],
        capture_output=True,
        env=surroundings(folder),
        cwd=folder,
        timeout=120,
    )
    expected = [line.split()[-1] for _, line in LINES[:7]]
    assert done.stdout.decode().split("\n")[:8] == [*expected, f"'{TRAP}'"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_is_written_is_a_script_of_that_shell(shell: str, tmp_path: Path) -> None:
    """Read by the shell, nothing run: no word of it may be wrong where no Tab came in these tests."""
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / "script"
    script.write_bytes(llmspell("completions", shell).out)
    done = subprocess.run([path, "-n", str(script)], capture_output=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, b"")
