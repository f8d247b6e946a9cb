"""An extension that cannot be built never fails the install, and one that is not wanted is not built."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.unmeasured]

ROOT = Path(__file__).parents[2]


def wheel(tmp_path: Path, **env: str) -> set[str]:
    """The names in a wheel of this tree, built in a copy of it with the environment's own build tools."""
    tree = tmp_path / "tree"
    leave = shutil.ignore_patterns("*.so", "*_c.c", "__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=leave)
    shutil.copytree(ROOT / "scripts", tree / "scripts")
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index", "-q"]
    done = subprocess.run(
        [*command, "-w", str(tmp_path), str(tree)],
        capture_output=True,
        text=True,
        env={**os.environ, **env},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def compiled(names: set[str]) -> list[str]:
    return [name for name in names if name.endswith((".so", ".pyd"))]


def test_a_missing_compiler_leaves_an_install_with_pure_twins(tmp_path: Path) -> None:
    names = wheel(tmp_path, CC="no-such-compiler", LLMSPELL_NO_EXTENSIONS="")
    assert compiled(names) == []
    assert {"llmspell/_speedups/_sse_py.py", "llmspell/bridge/prelude/agent.lua", "llmspell/py.typed"} <= names


def test_the_build_obeys_the_wish_for_no_extensions(tmp_path: Path) -> None:
    assert compiled(wheel(tmp_path, LLMSPELL_NO_EXTENSIONS="1")) == []


@pytest.mark.compiled
def test_a_wheel_has_the_extensions_the_command_and_no_sources_of_c(tmp_path: Path) -> None:
    names = wheel(tmp_path, LLMSPELL_NO_EXTENSIONS="")
    assert sorted(Path(name).name.split(".")[0] for name in compiled(names)) == [
        "_lua_c",
        "_media_audio_c",
        "_media_avi_c",
        "_media_c",
        "_media_image_c",
        "_media_matroska_c",
        "_media_mp4_c",
        "_media_ogg_c",
        "_media_svg_c",
        "_media_window_c",
        "_retry_c",
        "_sse_c",
        "_stream_c",
    ]
    assert any(name.endswith(".data/scripts/llmspell") for name in names)
    assert not [name for name in names if name.endswith((".c", ".h", ".pyx", ".pxd", ".pxi"))]
