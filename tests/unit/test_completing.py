"""What completes a command line: lines cut into words, and what may stand at their end."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.cli.completing.candidates import candidates
from llmspell.cli.completing.table import TREE
from llmspell.cli.completing.words import plain, split
from llmspell.cli.options import RUN
from llmspell.errors import ConfigError

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=5)


def offered(line: str) -> list[str]:
    return [one.word for one in candidates(line.split(" ")[1:])]


# ---- words


@given(words=WORDS)
def test_what_a_shell_quotes_is_cut_into_the_same_words(words: list[str]) -> None:
    assert split(" ".join(map(shlex.quote, words)) + " ").words[:-1] == words


@given(text=st.text())
def test_any_line_is_cut(text: str) -> None:
    line = split(text)
    assert 0 <= line.cut <= len(line.words[-1])


@given(words=WORDS, quote=st.sampled_from("\"'"))
def test_an_open_quote_goes_on_to_the_end(words: list[str], quote: str) -> None:
    inner = " ".join(words).replace(quote, "").replace("\\", "")
    assert split(f"a {quote}{inner}").words == ["a", inner]


@pytest.mark.parametrize(
    ("token", "word"),
    [("two\\ wo", "two wo"), ("'two wo", "two wo"), ('"two \\" wo', 'two " wo'), ("a'b'c", "abc"), ("", "")],
)
def test_a_token_loses_its_quotes(token: str, word: str) -> None:
    assert plain(token) == word


@pytest.mark.parametrize(
    ("line", "replaced"), [("l --output=js", "js"), ("l ollama/a:b", "b"), ('l "a=b', "a=b"), ("l a,b", "a,b")]
)
def test_what_the_shell_replaces_begins_where_it_breaks_words(line: str, replaced: str) -> None:
    cut = split(line)
    assert cut.words[-1][cut.cut :] == replaced


def test_the_shell_says_itself_where_it_breaks_words() -> None:
    assert split("l --output=js", " ").cut == 0
    assert split("l a:b=c", " :").cut == 2


# ---- candidates


PIECES = st.one_of(
    st.text(st.characters(exclude_characters="\0")),
    st.sampled_from(["run", "models", "--model", "--config", "--", "-", "help", "--output=", "--allow-tool=a,"]),
)


@given(words=st.lists(PIECES, min_size=1))
def test_any_words_complete_to_what_begins_with_the_last(words: list[str]) -> None:
    try:
        found = candidates(words)
    except (OSError, ConfigError):  # of folders that are not there, and of a `--config` that is not
        return
    for one in found:
        assert one.word.startswith(words[-1])
        assert one.word.isprintable()


def test_every_option_of_run_is_completed() -> None:
    assert {option.name for option in RUN} <= set(offered("llmspell run --"))
    assert {"--help", "--", "--output", "--config"} <= set(offered("llmspell run --"))


def test_what_stands_already_is_not_offered_again_unless_it_may_be() -> None:
    told = offered("llmspell run --stream --allow-read=a --")
    assert "--stream" not in told
    assert {"--allow-read", "--allow-read="} <= set(told)


def test_after_two_dashes_there_are_no_options() -> None:
    assert not [word for word in offered("llmspell run a.lua -- --") if word.startswith("--")]


def test_a_value_is_no_argument() -> None:
    assert offered("llmspell run --output json --output ") == ["text", "json", "jsonl"]
    assert offered("llmspell --output json mod") == ["models"]
    assert offered("llmspell --output=json mod") == ["models"]


def test_where_nothing_can_stand_nothing_is_offered() -> None:
    for line in (
        "llmspell run --timeout ",
        "llmspell tools run calculator x",
        "llmspell frobnicate x",
        "llmspell -x=y",
    ):
        assert offered(line) == []


# ---- values, in a process of its own


def complete(line: str, cwd: Path, shell: str = "bash", **env: str) -> list[str]:
    given = [line] if shell == "bash" else line.split(" ")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "llmspell", "__complete", shell, *given],
        capture_output=True,
        cwd=cwd,
        env={**os.environ, "LLMSPELL_CACHE_DIR": str(cwd), **env},
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout.decode().splitlines()[1 if shell == "bash" else 0 :]


OWN = """
[providers]
default = "mine"
[providers.mine]
type = "openai"
base_url = "http://127.0.0.1:9/v1"
model = "great-7b"
api_key_cmd = ["touch", "asked"]
"""


def test_providers_and_models_are_those_configured_and_here(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text(OWN)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.gguf").write_text("")
    assert "mine/" in complete("llmspell run --config own.toml --model ", tmp_path)
    assert complete("llmspell run --config own.toml --model mine/great", tmp_path) == ["mine/great-7b"]
    assert complete("llmspell providers show --config own.toml mi", tmp_path) == ["mine"]
    assert complete("llmspell run --model local/t", tmp_path) == ["local/tiny"]
    assert complete("llmspell models rm ", tmp_path) == ["tiny"]
    assert "groq" not in complete("llmspell run --provider ", tmp_path)
    assert "groq" in complete("llmspell run --provider ", tmp_path, GROQ_API_KEY="k")
    assert not (tmp_path / "asked").exists(), "the command that tells a key was run"


def test_a_broken_configuration_completes_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text("[runtime\n")
    for shell in ("bash", "zsh", "fish", "powershell"):
        assert (
            complete("llmspell run --provider " if shell == "bash" else "llmspell run --provider", tmp_path, shell)[1:]
            == []
        )
    assert complete("llmspell run --model ", tmp_path) == []
    assert complete("llmspell run --str", tmp_path) == ["--stream"], "what needs no configuration is there"


@pytest.mark.skipif(os.name == "nt", reason="there are no named pipes in folders")
def test_a_pipe_in_a_configuration_s_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "c.toml")
    os.mkfifo(tmp_path / "llmspell.toml")
    assert complete("llmspell run --config c.toml --model lo", tmp_path) == []
    assert complete("llmspell run --model lo", tmp_path) == ["local/"]


def test_profiles_are_those_of_the_files(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text("[profile.fast]\n[profile.fair]\n[profile.slow]\n")
    code = (
        "import json, sys; from llmspell.cli.completing import values; "
        "print(json.dumps([one.word for one in values.of((), '--profile NAME', 'fa', {})]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout) == ["fair", "fast"]


def test_a_project_s_file_puts_no_command_into_a_command_line(tmp_path: Path) -> None:
    (tmp_path / "llmspell.toml").write_text('[providers.openai]\nmodel = "x$(touch pwned);`id`"\n')
    for shell in ("bash", "fish"):
        told = complete("llmspell run --model openai/", tmp_path, shell)
        assert "openai/gpt-5-mini" in told
        assert not [word for word in told if "$" in word or "`" in word]


def test_a_name_that_steers_a_terminal_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a\x1b[2Jb.lua").write_text("")
    (tmp_path / "a\nb.lua").write_text("")
    (tmp_path / "ab.lua").write_text("")
    assert complete("llmspell run a", tmp_path) == ["ab.lua"]


def test_a_shell_of_another_name_completes_nothing(tmp_path: Path) -> None:
    assert complete("llmspell ru", tmp_path, "tcsh") == []


def test_each_shell_is_told_what_a_word_is(tmp_path: Path) -> None:
    assert complete("llmspell ru", tmp_path, "zsh") == [" run\tRuns a Lua script"]
    assert complete("llmspell ru", tmp_path, "fish") == ["run\tRuns a Lua script"]
    assert complete(":llmspell :ru", tmp_path, "powershell") == ["run\tRuns a Lua script"]
    (tmp_path / "sub").mkdir()
    assert complete("llmspell run su", tmp_path, "zsh") == ["+sub/\t"]


def test_an_argument_may_be_of_several_kinds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.lua").write_text("")
    monkeypatch.chdir(tmp_path)
    node = ("x", {}, ("SCRIPT|PROVIDER",), {})
    monkeypatch.setitem(TREE[3], "trial", node)
    assert [one.word for one in candidates(["trial", ""])][:3] == ["a.lua", "sub/", "openai"]


# ---- the table


@pytest.mark.once
def test_the_table_is_what_is_declared() -> None:
    path = Path(__file__).parents[2] / "scripts" / "completions.py"
    spec = spec_from_file_location("completions", path)
    assert spec is not None
    assert spec.loader is not None
    script: Any = module_from_spec(spec)
    spec.loader.exec_module(script)
    assert script.TABLE.read_text(encoding="utf-8") == script.module(), "run `python scripts/completions.py`"


def test_every_command_says_what_it_does() -> None:
    def nodes(node: Any) -> Any:
        yield node
        for below in node[3].values():
            yield from nodes(below)

    for about, options, _, _ in nodes(TREE):
        assert about
        assert all(told for _, told in options.values())
