"""The user's own installer as a child process: pip, else uv, else the pip that ensurepip carries.

Index, proxy, certificates and credentials are the user's: the child reads them where it always does.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llmspell.providers.local_store import Watch

__all__ = ["Installer", "installers", "run"]


class Installer(NamedTuple):
    """name: for messages. command: what starts it, without a subcommand. version: as far as two numbers tell it."""

    name: str
    command: tuple[str, ...]
    version: tuple[int, ...] = (0,)
    env: tuple[tuple[str, str], ...] = ()

    @property
    def is_uv(self) -> bool:
        return self.name == "uv"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])


def _bundled_pip() -> str | None:
    """The wheel that ensurepip would install; some distributions keep it elsewhere, some leave it out."""
    spec = find_spec("ensurepip")
    folders = [sysconfig.get_config_var("WHEEL_PKG_DIR")]
    if spec is not None and spec.origin:
        folders.append(os.path.join(os.path.dirname(spec.origin), "_bundled"))
    for folder in folders:
        if folder and os.path.isdir(folder):
            wheels = [name for name in os.listdir(folder) if name.startswith("pip-") and name.endswith(".whl")]
            if wheels:
                return os.path.join(str(folder), max(wheels))
    return None


def installers() -> list[Installer]:
    """Those that exist here, best first."""
    found: list[Installer] = []
    python = (sys.executable, "-m", "pip")
    if sys.executable and find_spec("pip") is not None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("pip")
        except PackageNotFoundError:
            number = "0"
        found.append(Installer("pip", python, _numbers(number)))
    uv = shutil.which("uv")
    if uv and sys.executable:
        found.append(Installer("uv", (uv,)))
    wheel = _bundled_pip() if sys.executable else None
    if wheel is not None:
        number = os.path.basename(wheel).split("-")[1]
        found.append(Installer("ensurepip's pip", python, _numbers(number), (("PYTHONPATH", wheel),)))
    return found


def _environment(more: Sequence[tuple[str, str]], tmp: str) -> dict[str, str]:
    """The user's, but for where temporary files grow and for questions that nobody would see."""
    env = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), tmp)
    # Nothing is installed into an environment, so the wish to have one first does not apply.
    env |= {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"}
    return env | dict(more)


def run(
    tool: Installer,
    arguments: Sequence[str],
    folder: str,
    watch: Watch,
    look: Callable[[], bool],
    *,
    env: Sequence[tuple[str, str]] = (),
    poll: float = 0.1,
    both: bool = True,
) -> tuple[int, str]:
    """Runs *tool* to its end in *folder*, which is ours. Gives its exit code and the path of what it wrote.

    Its temporary files grow in `tmp` there. look: called every *poll* seconds; what it raises ends the child, and
    True ends it too. both: its standard error is kept as well. A program that cannot be started has exit code 127.
    However it ends, no child is left.
    """
    tmp = os.path.join(folder, "tmp")
    os.makedirs(tmp, exist_ok=True)
    log = os.path.join(folder, "log.txt")  # a file: a pipe that nobody reads would stop the child
    with open(log, "wb") as out:
        try:
            child = subprocess.Popen(
                [*tool.command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT if both else subprocess.DEVNULL,
                env=_environment([*tool.env, *env], tmp),
                # `-m` looks for modules in the working folder first, and uv for settings: not in the script's.
                cwd=folder,
                start_new_session=True,  # Ctrl+C is ours to hear; the child is ended below
            )
        except OSError as error:
            out.write(f"{tool.command[0]}: {error.strerror}\n".encode())
            return 127, log
        try:
            while child.poll() is None:
                watch.pause(poll)
                if look():
                    break
        finally:
            _end(child)
    return child.returncode, log


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ends the child if it still runs, and waits for it."""
    if child.poll() is not None:
        return
    # Killed, with what it has started: SIGTERM may be blocked here, and a child inherits that. Its files are ours.
    if hasattr(os, "killpg"):
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.wait()
