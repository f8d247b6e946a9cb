"""Help as a person meets it: its width, its groups, and where it is asked for. Whole pages are in tests/specs."""

from __future__ import annotations

import subprocess
import sys

import pytest

from llmspell.cli.completing.table import TREE
from support.terminal import Terminal, environment, llmspell

pytestmark = pytest.mark.once

COMMANDS = [[], *([name] for name in TREE[3]), *([name, below] for name, node in TREE[3].items() for below in node[3])]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help_that_says_what_it_does_with_an_example(words: list[str]) -> None:
    done = llmspell(*words, "--help")
    assert (done.code, done.err) == (0, b"")
    text = done.out.decode()
    assert text.startswith(" ".join(["Usage: llmspell", *words]))
    assert "Example" in text
    assert all(line == line.rstrip() and len(line) <= 80 for line in text.splitlines())
    assert llmspell("help", *words) == done


@pytest.mark.parametrize(("columns", "term"), [(40, "xterm"), (80, "xterm"), (200, "xterm"), (40, "dumb")])
def test_help_on_a_terminal_fits_it(columns: int, term: str) -> None:
    with Terminal(["run", "--help"], size=(columns, 150), term=term, env=environment()) as terminal:
        assert terminal.wait() == 0
        shown = terminal.lines
        terminal.assert_as_before()
        assert (b"\x1b[" in terminal.raw) == (term == "xterm")
    env = environment(COLUMNS=str(columns))
    assert [line for line in shown if line] == [
        line for line in llmspell("run", "--help", env=env).out.decode().splitlines() if line
    ]


@pytest.mark.parametrize("columns", [1, 5, 12, 499])
def test_help_bears_any_width(columns: int) -> None:
    env = environment(COLUMNS=str(columns))
    for words in (["--help"], ["run", "--help"], []):
        done = llmspell(*words, env=env)
        assert (done.code, b"Traceback" in done.err) == (0 if words else 2, False)


@pytest.mark.parametrize("variable", ["GITHUB_ACTIONS", "CI", "PY_COLORS"])
def test_a_ci_is_no_terminal(variable: str) -> None:
    assert b"\x1b" not in llmspell("--help", env=environment(**{variable: "1"})).out


def test_colours_in_a_pipe_where_they_are_asked_for() -> None:
    assert b"\x1b[" in llmspell("--help", env=environment(FORCE_COLOR="1")).out
    for refused in ({"NO_COLOR": "1"}, {}):
        words = ["--help"] if refused else ["--no-color", "--help"]
        assert b"\x1b" not in llmspell(*words, env=environment(FORCE_COLOR="1", **refused)).out


def test_a_command_and_an_option_that_no_table_names_are_shown_all_the_same() -> None:
    code = """
import rich_click as click
from llmspell.cli.help import cli, full
from llmspell.cli.panels import arrange

@click.command("brand-new")
@click.option("--never-heard", help="Of no panel.")
def command(never_heard):
    "Of no group."

cli.add_command(command)
arrange(cli)
full(["--help"])
full(["brand-new", "--help"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), timeout=30)
    assert done.stderr == ""
    assert "More commands:\n  brand-new  Of no group." in done.stdout
    assert "--never-heard TEXT  Of no panel." in done.stdout


def test_a_run_s_options_stand_in_groups_and_those_of_all_commands_once() -> None:
    told = llmspell("run", "--help").out.decode()
    titles = [line.removesuffix(":") for line in told.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert titles == ["Models", "Limits", "Permissions", "Recording", "Output", "Options", "Examples"]
    assert "  --config" not in told
    assert "Also --config" in told
    assert "  --config FILE" in llmspell("--help").out.decode().replace("      --config", "  --config")
    assert llmspell("run", "--config", "nowhere.toml", "x.lua").code != 0, "it is taken though it is not shown"


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rnu"], "did you mean `llmspell run`?"),
        (["docter"], "did you mean `llmspell doctor`?"),
        (["models", "lst"], "did you mean `llmspell models list`?"),
        (["help", "tols"], "did you mean `llmspell tools`?"),
        (["run", "--strem", "a.lua"], "did you mean `--stream`?"),
        (["run", "--alow-read", "a.lua"], "did you mean `--allow-read`?"),
        (["doctor", "--ouput", "json"], "did you mean `--output`?"),
        (["script.lua"], "did you mean `llmspell run script.lua`?"),
        (["script.lua", "--stream"], "did you mean `llmspell run script.lua`?"),
        (["--stream", "script.lua"], "it is an option of a command: `llmspell run --stream …`"),
    ],
    ids=" ".join,
)
def test_a_mistake_names_what_was_meant(words: list[str], hint: str) -> None:
    done = llmspell(*words)
    assert (done.code, done.out) == (2, b"")
    assert f"hint: {hint}" in done.err.decode()
