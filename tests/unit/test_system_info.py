"""The machine as a container sees it."""

from __future__ import annotations

import io
import os
import platform
from typing import TYPE_CHECKING

import pytest

from llmspell.utils import system_info
from llmspell.utils.system_info import Memory, cores, memory, system, terminal

if TYPE_CHECKING:
    from collections.abc import Callable

    Pretend = Callable[[dict[str, str]], None]

MEMINFO = "MemTotal:       16384 kB\nMemAvailable:    8192 kB\nHugePages_Total:       0\n"
MB = 1 << 20


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Pretend:
    """The kernel's files are these alone."""

    def set_(files: dict[str, str]) -> None:
        monkeypatch.setattr(system_info, "_text", lambda path: files.get(path, ""))
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)

    return set_


def test_it_says_what_runs_here() -> None:
    told = system()
    assert told.platform
    assert told.python == platform.python_version().rstrip("+")
    assert 0 < told.cores <= (os.cpu_count() or 1)
    assert told.memory.total is not None
    assert told.memory.total > 64 * MB


def test_without_a_container_all_is_there(pretend: Pretend) -> None:
    pretend({"/proc/self/cgroup": "0::/\n", "/proc/meminfo": MEMINFO})
    assert cores() == 8.0
    assert memory() == Memory(16 * MB, 8 * MB)


@pytest.mark.parametrize(
    ("group", "files", "share"),
    [
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"/sys/fs/cgroup/a/cpu.max": "50000 100000\n", "/sys/fs/cgroup/a/b/cpu.max": "max 100000"}, 0.5),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "max 100000\n"}, 8.0),
        ("0::/\n", {"/sys/fs/cgroup/cpu.max": "9900000 100000\n"}, 8.0),
        ("4:cpu,cpuacct:/\n", {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "200000",
                               "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000"}, 2.0),
        ("4:cpu:/\n", {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "1"}, 8.0),
        ("", {"/sys/fs/cgroup/cpu.max": "100000 100000"}, 1.0),
        ("odd\n0::/a//../b\n", {"/sys/fs/cgroup/a/b/cpu.max": "100000 100000", "/cpu.max": "1 1"}, 1.0),
        ("0::/../../a\n", {"/sys/fs/cgroup/a/cpu.max": "300000 100000", "/sys/a/cpu.max": "100000 100000"}, 3.0),
        ("0::/a:b\n", {"/sys/fs/cgroup/a:b/cpu.max": "100000 100000"}, 1.0),
    ],
)  # fmt: skip
def test_a_containers_share_of_processors(pretend: Pretend, group: str, files: dict[str, str], share: float) -> None:
    pretend({"/proc/self/cgroup": group, **files})
    assert cores() == share


def test_a_containers_memory(pretend: Pretend) -> None:
    files = {"/proc/self/cgroup": "0::/a\n", "/proc/meminfo": MEMINFO}
    pretend({**files, "/sys/fs/cgroup/a/memory.max": f"{4 * MB}\n", "/sys/fs/cgroup/a/memory.current": f"{MB}\n"})
    assert memory() == Memory(4 * MB, 3 * MB)
    pretend({**files, "/sys/fs/cgroup/a/memory.max": f"{4 * MB}\n", "/sys/fs/cgroup/a/memory.current": f"{5 * MB}\n"})
    assert memory() == Memory(4 * MB, 0)
    pretend({**files, "/sys/fs/cgroup/a/memory.max": "max\n"})
    assert memory() == Memory(16 * MB, 8 * MB)
    pretend({"/proc/self/cgroup": "9:memory:/\n", "/proc/meminfo": MEMINFO,
             "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(2 * MB)})  # fmt: skip
    assert memory() == Memory(2 * MB, 2 * MB)
    pretend({"/proc/self/cgroup": "9:memory:/\n", "/proc/meminfo": MEMINFO,
             "/sys/fs/cgroup/memory/memory.limit_in_bytes": str(4 * MB),
             "/sys/fs/cgroup/memory/memory.usage_in_bytes": str(3 * MB)})  # fmt: skip
    assert memory() == Memory(4 * MB, MB)
    pretend({"/proc/self/cgroup": "0::/a/b\n", "/proc/meminfo": "MemTotal: 16384 kB\n",
             "/sys/fs/cgroup/a/b/memory.max": "max", "/sys/fs/cgroup/a/memory.max": str(8 * MB),
             "/sys/fs/cgroup/a/memory.current": str(7 * MB)})  # fmt: skip
    assert memory() == Memory(8 * MB, MB)
    pretend({**files, "/sys/fs/cgroup/a/memory.max": f"{16 * MB}\n", "/sys/fs/cgroup/a/memory.current": f"{15 * MB}\n"})
    assert memory() == Memory(16 * MB, 8 * MB)  # a limit that is none


def test_where_the_kernel_has_no_such_files(pretend: Pretend, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend({})
    sizes = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 1024}
    monkeypatch.setattr(os, "sysconf", sizes.__getitem__, raising=False)
    assert memory() == Memory(4 * MB, None)
    monkeypatch.delattr(os, "sysconf")
    assert memory() == Memory(None, None)
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores() == 6.0
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1.0


def test_lines_of_the_kernel_s_that_have_no_number_are_passed_over(pretend: Pretend) -> None:
    pretend({"/proc/self/cgroup": "0::/\n", "/proc/meminfo": f"Odd\nOdder: \nOddest: many kB\n{MEMINFO}"})
    assert memory() == Memory(16 * MB, 8 * MB)


class Shown(io.StringIO):
    encoding = "UTF-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_terminal_and_what_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "77")
    monkeypatch.setenv("LINES", "11")
    monkeypatch.setenv("TERM", "xterm")
    told = terminal(Shown())
    assert told == (77, 11, True, True, True)
    monkeypatch.setenv("TERM", "dumb")
    assert not terminal(Shown()).colour
    monkeypatch.setenv("TERM", "unknown")
    assert not terminal(Shown()).colour
    monkeypatch.delenv("TERM")
    assert terminal(Shown()).colour
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert terminal(io.StringIO()).colour
    monkeypatch.setenv("NO_COLOR", "1")
    assert not terminal(Shown()).colour
    for encoding, whole in [("utf_8", True), ("UTF-16", True), ("ucs-2", True), ("latin-1", False), (None, False)]:
        monkeypatch.setattr(Shown, "encoding", encoding)
        assert terminal(Shown()).unicode is whole
    closed = io.StringIO()
    closed.close()
    assert not terminal(closed).is_terminal
    assert not terminal(io.StringIO()).unicode
