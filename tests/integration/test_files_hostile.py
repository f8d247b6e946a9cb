"""Files, names and folders that somebody made to hurt: long, odd, many, linked."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError, NotFoundError, PermissionDeniedError, ToolError, ValidationError
from llmspell.tools.permissions import Permissions
from llmspell.utils import places


@pytest.fixture
def granted(tmp_path: Path) -> Permissions:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    return Permissions(read=("in", "out"), write=("out",), base=str(tmp_path))


def run(script: str, permissions: Permissions, **more: Any) -> Any:
    return ScriptRuntime(timeout=30, permissions=permissions, **more).run(script).result


@pytest.mark.parametrize(
    "call",
    [
        "File.exists(path)",
        'File.read("in/" .. path)',
        'Tool.execute("file_operations", { operation = "read", path = path })',
        'Tool.execute("file_search", { glob = "*", path = path })',
        "Media.from_file(path)",
    ],
)
def test_a_path_longer_than_any_is_told_at_once(granted: Permissions, call: str) -> None:
    """To follow its parts takes the square of their number: a script would hold up its host for hours."""
    begin = time.monotonic()
    with pytest.raises(ValidationError, match="longer than the 4096 characters of a path"):
        run(f'local path = ("a/"):rep(1000000) return {call}', granted)
    assert time.monotonic() - begin < 5
    assert run('return Config.isFileAccessAllowed(("a/"):rep(1000000))', granted) is False


@pytest.mark.parametrize("mode", [0o664, 0o777, 0o600, 0o640])
def test_a_file_keeps_its_mode_whatever_the_umask(granted: Permissions, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out" / "x"
    path.write_text("old")
    path.chmod(mode)
    before = os.umask(0o077)
    try:
        run('File.write("out/x", "new")', granted)
    finally:
        os.umask(before)
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", mode)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="the superuser alone gives files away")
def test_a_file_keeps_its_owner(granted: Permissions, tmp_path: Path) -> None:
    path = tmp_path / "out" / "x"
    path.write_text("old")
    os.chown(path, 65534, 65534)
    path.chmod(0o640)
    run('File.write("out/x", "new")', granted)
    found = path.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (65534, 65534, 0o640)


def test_all_files_are_not_the_variables_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hush")
    for grant in ("*", "/"):
        with pytest.raises(PermissionDeniedError) as caught:
            run('return File.read("/proc/self/environ")', Permissions(read=(grant,)))
        assert "--allow-read=/proc/" in str(caught.value.hint)
    search = 'return Tool.execute("file_search", { path = "/", glob = "proc" }).text'
    monkeypatch.setattr(places, "entries", lambda place: [places.Entry("proc", "file", 0, 0.0)])
    assert run(search, Permissions(read=("/",))) == "nothing was found"


READ_ONLY = """
import os, sys
from llmspell.errors import PermissionDeniedError
from llmspell.tools.permissions import Permissions
from llmspell.utils import places
if os.getuid() == 0:
    os.setuid(65534)
place = Permissions(write=(".",), base=sys.argv[1]).place_granted("write", "x")
try:
    places.write(place, b"new")
except PermissionDeniedError as error:
    print(error.message)
"""


def test_a_file_that_is_read_only_is_not_replaced_either(tmp_path: Path) -> None:
    """Its folder would let another be put in its place."""
    for above in [tmp_path, *tmp_path.parents][:-2]:
        above.chmod(0o777)
    (tmp_path / "x").write_text("old")
    (tmp_path / "x").chmod(0o444)
    told = subprocess.run([sys.executable, "-c", READ_ONLY, tmp_path], capture_output=True, text=True, check=True)
    assert (told.stdout, (tmp_path / "x").read_text()) == ("cannot write `x`: it is read-only\n", "old")


@pytest.mark.parametrize("name", ["a" * 255, "\u6f22" * 85, "\U0001f600" * 63], ids=["ascii", "three", "four"])
def test_a_name_may_be_as_long_as_the_system_lets_it(granted: Permissions, name: str) -> None:
    assert run(f'File.write("out/{name}", "x") return File.read("out/{name}")', granted) == "x"


def test_names_that_are_no_text(granted: Permissions, tmp_path: Path) -> None:
    (tmp_path / "in" / os.fsdecode(b"\xff\n.txt")).write_text("here")
    script = r"""
        local name = File.list("in")[1].name
        local function tool(t) t.path = "in" return Tool.execute(t.glob and "file_search" or "file_operations", t) end
        return { name == "\xff\n.txt", File.read("in/" .. name), Media.from_file("in/" .. name).filename,
          tool{ operation = "list" }.result.files[1], tool{ glob = "*.txt" }.result.matches[1].path }
    """
    assert run(script, granted) == [True, "here", *["\ufffd\n.txt"] * 3]


def test_what_has_nothing_to_read_now_is_told(granted: Permissions, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some files of the kernel's have; here a pipe stands for one."""
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    monkeypatch.setattr(places, "open_file", lambda place, **_: reading)
    place = granted.place_granted("read", "in/x")
    assert place is not None
    with pytest.raises(ValidationError, match="nothing to read now"):
        places.read(place)
    os.close(writing)


@pytest.mark.unmeasured
def test_a_large_folder_does_not_hold_up_the_host(granted: Permissions, tmp_path: Path) -> None:
    """Its entries are looked at beside the event loop; as many as there are."""
    (tmp_path / "in" / "many").mkdir()
    for number in range(20_000):
        (tmp_path / "in" / "many" / str(number)).touch()
    seen: list[int] = []

    async def main() -> int:
        async with ScriptRuntime(timeout=30, permissions=granted) as runtime:
            run = asyncio.ensure_future(runtime.execute_script('return #File.list("in/many")'))
            while not run.done():
                seen.append(1)
                await asyncio.sleep(0)
            return int((await run).result)

    assert asyncio.run(main()) == 20_000
    assert len(seen) > 100


def test_a_link_is_deleted_and_not_what_it_leads_to(granted: Permissions, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "out" / "target").write_text("target")
    (tmp_path / "out" / "near").symlink_to("target")
    (tmp_path / "out" / "far").symlink_to(tmp_path / "secret")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "out" / "target")
    delete = 'Tool.execute("file_operations", {{ operation = "delete", path = "{}" }})'
    for name in ("near", "far"):
        run(delete.format(f"out/{name}"), granted)
    with pytest.raises(LLMSpellError, match="may not write to"):
        run(delete.format("in/link"), granted)
    assert os.listdir(tmp_path / "out") == ["target"]
    assert (tmp_path / "secret").read_text() == "secret"


def test_bytes_that_are_no_text_are_written_too(granted: Permissions, tmp_path: Path) -> None:
    script = r"""
        for _, operation in ipairs{ "write", "append" } do
          Tool.execute("file_operations", { operation = operation, path = "out/x", input = "\xff\0" })
        end
    """
    run(script, granted)
    assert (tmp_path / "out" / "x").read_bytes() == b"\xff\0" * 2


@pytest.mark.parametrize(
    "call",
    [r'Config.get("\xff")', "m:bytes()", 'm:save("out/x")', 'Agent.create{ model = "mock" }:execute{ media = { m } }'],
)
def test_names_and_numbers_of_nothing_are_told(granted: Permissions, tmp_path: Path, call: str) -> None:
    (tmp_path / "in" / "x").write_text("text")
    with pytest.raises((NotFoundError, ValidationError)):
        run(f'local m = Media.from_file("in/x") m.file = {{}} return {call}', granted)


# ---- looking for files


def search(granted: Permissions, **arguments: Any) -> list[str]:
    words = ", ".join(f"{name} = {value}" for name, value in {"path": '"in"', **arguments}.items())
    text: str = run(f'return Tool.execute("file_search", {{ {words} }}).text', granted)
    return text.split("\n")


def test_the_classes_of_a_pattern_do_not_change_with_case(granted: Permissions, tmp_path: Path) -> None:
    (tmp_path / "in" / "x").write_text("Hello World\n \n1\n")
    assert search(granted, pattern=r'"^\\S+ w\\D"', regex="true", case_sensitive="false") == ["x:1: Hello World"]
    assert search(granted, pattern=r'"^\\S+ w"', regex="true") == ["nothing was found"]


def test_lines_are_counted_as_an_editor_does(granted: Permissions, tmp_path: Path) -> None:
    (tmp_path / "in" / "x").write_bytes("a\x0cb\u2028c\r\nend\n".encode())
    assert search(granted, pattern='"^end$"', regex="true") == ["x:2: end"]


def test_a_folder_of_too_many_is_the_tool_s_error(
    granted: Permissions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = places.entries
    monkeypatch.setattr(places, "entries", lambda place: entries(place, most=1))
    for name in "ab":
        (tmp_path / "in" / name).touch()
    with pytest.raises(ToolError, match="more than 1 entries"):
        search(granted, glob='"*"')


def test_what_a_search_has_not_looked_at_is_told(granted: Permissions, tmp_path: Path) -> None:
    with open(tmp_path / "in" / "huge", "wb") as file:
        file.truncate(1 << 30)
    (tmp_path / "in" / "small").write_text("here")
    deep = tmp_path / "in" / "/".join("d" * 70)
    deep.mkdir(parents=True)
    (deep / "x").write_text("here")
    told = "(2 not looked at: too large, too deep, or not to be read)"
    assert search(granted, pattern='"here"') == ["small:1: here", told]


@pytest.mark.unmeasured
def test_a_search_stops_with_its_run(granted: Permissions, tmp_path: Path) -> None:
    (tmp_path / "in" / "x").write_text(("ab" * 20_000 + "\n") * 50)
    script = 'Tool.execute("file_search", { path = "in", pattern = "(a|b|ab)*c", regex = true })'

    async def main() -> None:
        async with ScriptRuntime(timeout=0.5, permissions=granted) as runtime:
            await runtime.execute_script(script)

    begin = time.monotonic()
    with pytest.raises(LLMSpellError, match="longer than its limit"):
        asyncio.run(main())  # which waits for the threads
    assert time.monotonic() - begin < 5
