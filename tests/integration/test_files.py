"""Files from scripts: `File`, `file_operations`, `file_search`, `environment_reader`, `Config` and `os.getenv`."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError, PermissionDeniedError
from llmspell.tools.permissions import Permissions
from llmspell.utils import places


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


@pytest.fixture
def granted(tmp_path: Path) -> Permissions:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("secret")
    return Permissions(read=("in", "out"), write=("out",), env=("LLM_T*",), base=str(tmp_path))


def run(script: str, permissions: Permissions, isolation: str | None = None) -> Any:
    return ScriptRuntime(timeout=30, permissions=permissions, isolation=isolation).run(script).result


def test_file_reads_writes_appends_lists(granted: Permissions, tmp_path: Path, isolation: str | None) -> None:
    (tmp_path / "in" / "a").write_bytes(b"\xff\x00bytes")
    got = run(
        r"""
        File.write("out/deep/er/x.txt", "one\r\ntwo\n\nthree")
        File.append("out/deep/er/x.txt", "!")
        File.append("out/new", "n")
        local lines = {}
        for line in File.lines("out/deep/er/x.txt") do lines[#lines + 1] = line end
        local listed = {}
        for _, one in ipairs(File.list("out")) do listed[#listed + 1] = one.name .. ":" .. one.type end
        return { lines = lines, bytes = #File.read("in/a"), listed = listed,
          there = { File.exists("out/new"), File.exists("out/deep"), File.exists("out/none"), File.exists("in/a/b") } }
        """,
        granted,
        isolation,
    )
    assert got["lines"] == ["one", "two", "", "three!"]
    assert got["bytes"] == 7
    assert got["listed"] == ["deep:folder", "new:file"]
    assert got["there"] == [True, True, False, False]
    assert (tmp_path / "out" / "deep" / "er" / "x.txt").read_bytes() == b"one\r\ntwo\n\nthree!"
    assert sorted(os.listdir(tmp_path / "out" / "deep" / "er")) == ["x.txt"], "nothing is left beside it"


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_small_and_large_files_are_the_same_to_a_script(granted: Permissions, size: int) -> None:
    script = f'File.write("out/x", ("a"):rep({size})) return #File.read("out/x")'
    assert run(script, granted) == size


OUTSIDE = [
    "secret",
    "../secret",
    "in/../secret",
    "in/link",
    "in/linked/secret",
    "/etc/passwd",
    "in/%2e%2e/../../secret",
    "IN/a",
    "in/a\\0b",
]


@pytest.mark.parametrize("path", OUTSIDE)
@pytest.mark.parametrize("how", ["File", "tool"])
def test_what_was_not_granted_is_not_read(granted: Permissions, tmp_path: Path, path: str, how: str) -> None:
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "linked").symlink_to(tmp_path)
    call = f'File.read("{path}")'
    if how == "tool":
        call = f'Tool.execute("file_operations", {{ operation = "read", path = "{path}" }})'
    with pytest.raises(PermissionDeniedError) as caught:
        run(f"return {call}", granted)
    assert "--allow-read=" in str(caught.value.hint)


@pytest.mark.parametrize("call", ['File.write("in/x", "")', 'File.append("in/x", "")', 'File.write("out/../in/x", "")'])
def test_what_may_be_read_may_not_be_written(granted: Permissions, call: str, tmp_path: Path) -> None:
    with pytest.raises(PermissionDeniedError, match="may not write to"):
        run(call, granted)
    assert os.listdir(tmp_path / "in") == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(granted: Permissions, tmp_path: Path) -> None:
    """One that leads out is refused; one that came after the check is not followed."""
    place = granted.place_granted("write", "out/x")
    assert place is not None
    (tmp_path / "out" / "x").symlink_to(tmp_path / "secret")
    for change in (lambda: places.write(place, b"new"), lambda: places.append(place, b"new")):
        with pytest.raises(LLMSpellError):
            change()
    with pytest.raises(LLMSpellError):
        places.read(place)
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_folder_that_becomes_a_link_while_it_is_used_leads_nowhere(granted: Permissions, tmp_path: Path) -> None:
    """A race that is run many times: what was granted is read, or it is an error."""
    inside, other = tmp_path / "in" / "d", tmp_path / "other"
    for folder, text in ((inside, "granted"), (other, "secret")):
        folder.mkdir()
        (folder / "f").write_text(text)
    moved, stop = tmp_path / "in" / "moved", threading.Event()

    def swap() -> None:
        while not stop.is_set():
            inside.rename(moved)
            inside.symlink_to(other)
            inside.unlink()
            moved.rename(inside)

    thread = threading.Thread(target=swap)
    thread.start()
    seen = set()
    try:
        for _ in range(3000):
            place = granted.place_granted("read", "in/d/f")
            if place is None:
                continue
            try:
                seen.add(places.read(place))
            except LLMSpellError:
                continue
    finally:
        stop.set()
        thread.join()
    assert seen == {b"granted"}


@pytest.mark.parametrize("kind", ["fifo", "folder", "device"])
def test_only_plain_files_are_read_and_nothing_waits(granted: Permissions, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "in" / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        granted.grant("read", "/dev")
        with pytest.raises(LLMSpellError, match="not a plain file"):
            run('File.read("/dev/zero")', granted)
        return
    with pytest.raises(LLMSpellError, match=r"it is a folder|not a plain file"):
        run('File.read("in/x")', granted)


def test_a_file_that_is_too_large_is_not_read(granted: Permissions, tmp_path: Path) -> None:
    with open(tmp_path / "in" / "huge", "wb") as file:
        file.truncate(5 << 30)  # sparse: it takes no room
    with pytest.raises(LLMSpellError, match="5368709120 bytes"):
        run('File.read("in/huge")', granted)
    with pytest.raises(LLMSpellError, match="5368709120 bytes"):
        run('Tool.execute("file_operations", { operation = "read", path = "in/huge" })', granted)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("File.read()", "takes a path"),
        ("File.read(1)", "takes a path"),
        ('File.read("")', "takes a path"),
        ('File.write("out/x")', "takes a string second"),
        ('File.write("out/x", {})', "takes a string second"),
        ('File.reed("x")', "File"),
        ('File.read("in/none")', "there is no file `in/none`"),
        ('File.list("in/none")', "there is no folder `in/none`"),
        ('File.write("out", "x")', "it is a folder"),
    ],
)
def test_bad_input_is_told(granted: Permissions, call: str, message: str) -> None:
    with pytest.raises(LLMSpellError, match=message):
        run(call, granted)


def test_file_operations(granted: Permissions, tmp_path: Path) -> None:
    got = run(
        """
        local function op(t) return Tool.execute("file-operations", t) end
        op{ operation = "write", path = "out/a/b.txt", input = "hello" }
        op{ operation = "append", path = "out/a/b.txt", content = " there" }
        local read = op{ operation = "read", path = "out/a/b.txt" }
        local list = op{ operation = "list", path = "out" }
        local there = op{ operation = "exists", path = "out/a/b.txt" }.result.exists
        op{ operation = "delete", path = "out/a/b.txt" }
        return { read.text, read.result.content, read.success, list.result.entries[1].name, there,
          op{ operation = "exists", path = "out/a/b.txt" }.result.exists }
        """,
        granted,
    )
    assert got == ["hello there", "hello there", True, "a", True, False]
    for bad in (
        '{ operation = "write", path = "out/x" }',
        '{ operation = "rub", path = "out/x" }',
        '{ operation = "read" }',
        '{ operation = "delete", path = "out" }',
        '{ operation = "read", path = "out", more = 1 }',
    ):
        with pytest.raises(LLMSpellError, match=r"file_operations|stays|folder"):
            run(f'Tool.execute("file_operations", {bad})', granted)


def test_file_search(granted: Permissions, tmp_path: Path) -> None:
    for name, text in {
        "a.lua": "local x = 1\nreturn X",
        "sub/b.lua": "print(x)",
        "sub/c.txt": "x marks",
        ".hidden": "x",
        "bin": "x\0",
    }.items():
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    (tmp_path / "in" / "out").symlink_to(tmp_path)

    def search(**arguments: Any) -> list[str]:
        words = ", ".join(f"{name} = {_lua(value)}" for name, value in {"path": "in", **arguments}.items())
        text: str = run(f'return Tool.execute("file_search", {{ {words} }}).text', granted)
        return text.split("\n")

    assert search(pattern="x") == ["a.lua:1: local x = 1", "sub/b.lua:1: print(x)", "sub/c.txt:1: x marks"]
    assert search(pattern="x", case_sensitive=False, glob="*.lua")[1] == "a.lua:2: return X"
    assert search(glob="*.lua") == ["a.lua", "sub/b.lua"]
    assert search(glob="sub/*.txt") == ["sub/c.txt"]
    assert search(pattern=r"^l\\w+ x", regex=True) == ["a.lua:1: local x = 1"]
    assert search(pattern="x", recursive=False) == ["a.lua:1: local x = 1"]
    assert ".hidden:1: x" in search(pattern="x", hidden=True)
    assert search(pattern="x", max_results=1) == ["a.lua:1: local x = 1"]
    assert search(pattern="secret") == ["nothing was found"], "links are not followed"
    for bad in ({}, {"pattern": "(", "regex": True}, {"pattern": "x", "path": "secret-not"}):
        with pytest.raises(LLMSpellError):
            search(**bad)


def _lua(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | int) else f'"{value}"'


def test_variables(granted: Permissions, monkeypatch: pytest.MonkeyPatch, isolation: str | None) -> None:
    monkeypatch.setenv("LLM_TEST", "value")
    got = run(
        """
        local read = Tool.execute("environment_reader", { operation = "get", variable_name = "LLM_TEST" }).result
        local listed = Tool.execute("environment_reader", { operation = "list" }).result
        local ok, e = pcall(os.getenv, "PATH")
        local ok2, e2 = pcall(Tool.execute, "environment_reader", { variable_name = "PATH" })
        return { read.value, listed.variables, os.getenv("LLM_TEST"), os.getenv("LLM_TNONE") == nil, e.kind, e2.kind }
        """,
        granted,
        isolation,
    )
    assert got == ["value", ["LLM_TEST"], "value", True, "permission", "permission"]


def test_config_tells_settings_and_no_secrets(granted: Permissions, tmp_path: Path, isolation: str | None) -> None:
    from llmspell.config.loader import load

    file = tmp_path / "c.toml"
    file.write_text('[providers.openai]\nheaders = { X-Key = "hush" }\napi_key_cmd = "pass show hush"\n')
    config = load(script_dir=None, config_file=str(file), env={}, flags={})
    script = """
        local function get(name) return Config.get(name) end
        return { get("runtime.timeout"), get("providers.openai.model"), get("providers.openai.headers"),
          get("providers.openai.api_key_cmd"), get("providers.openai.api_key_env"), get("permissions.tools"),
          get("state.path") == nil, select(2, pcall(get, "runtime.timeoutt")).kind,
          Config.isFileAccessAllowed("in/x"), Config.isFileAccessAllowed("in/x", "write"),
          Config.isFileAccessAllowed("/etc"), Config.isNetworkAccessAllowed("example.com"),
          Config.isEnvAccessAllowed("LLM_TX"), get("permissions").tools, get("providers.openai.retry").attempts,
          get("providers").openai.headers, get("providers.openai").api_key_cmd, get("runtime").timeout,
          select(2, pcall(get, "providers.nobody")).kind }
        """
    got = ScriptRuntime(config, permissions=granted, isolation=isolation).run(script).result
    assert "hush" not in str(got)
    assert got[:2] == [300.0, "gpt-4o-mini"]
    assert got[2:6] == [{"X-Key": "***"}, "***", "OPENAI_API_KEY", ["*"]]
    assert got[6:13] == [True, "not_found", True, False, False, False, True]
    assert got[13:] == [["*"], 4, {"X-Key": "***"}, "***", 300.0, "not_found"]


async def test_a_person_may_grant_a_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("text")
    asked: list[str] = []

    async def ask(wanted: Any) -> str:
        asked.append(wanted.what)
        return "once"

    permissions = Permissions(base=str(tmp_path), ask=ask)
    async with ScriptRuntime(permissions=permissions) as runtime:
        done = await runtime.execute_script('return File.read("x")')
    assert done.result == "text"
    assert asked == [str(tmp_path / "x")]
