"""Where the pinned wheel lies, as the user's own installer sees it: its address, and what it takes to reach it.

The installer is asked, and ended before it fetches the wheel itself: a new pip answers from the index's metadata
alone; an old one (24.0 still), or any where the index has no such metadata, is stopped at the first megabyte, and its
own log has the address. Nothing here opens a connection. Where there is no answer there is another road
(`local_fetch.py`).
"""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from llmspell.providers.local_installer import run
from llmspell.providers.local_store import grown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llmspell.providers.local_installer import Installer
    from llmspell.providers.local_store import Pin, Watch

__all__ = ["Place", "locate"]

LIMIT = 30.0  # seconds for the answer
FETCHED = 2**20  # bytes of temporary files: metadata and what pip unpacks of itself are less, so it fetches the wheel
ANSWER = 2**22  # bytes of a log or a report that are read, and that it may write
ADDRESS = 4096  # characters of an address
POLL = 0.02  # seconds: every look later costs bytes


class Place:
    """An address of the wheel, and the way there. Its parts may hold passwords: never shown, no repr of them.

    url: http, https or file, without user and password. user: both, for that server. cert: a file or folder of
    certificates to trust instead of the system's. proxy: an address, instead of the environment's.
    """

    __slots__ = ("cert", "proxy", "url", "user")

    def __init__(
        self, url: str, user: tuple[str, str] | None = None, cert: str | None = None, proxy: str | None = None
    ) -> None:
        self.url, self.user, self.cert, self.proxy = url, user, cert, proxy


def locate(pin: Pin, tool: Installer, scratch: str, watch: Watch) -> Place | None:
    """Asks *tool* where *pin*'s wheel lies. Blocks for half a minute at most; it costs a megabyte or so.

    None where it does not know, or says it in a way that is not understood. Works in a folder of its own under
    *scratch*, which it removes. Raises RunCancelledError (stopped) and OSError (the disk).
    """
    folder = os.path.join(scratch, "ask")
    os.mkdir(folder)
    try:
        url = _ask_uv(pin, tool, folder, watch) if tool.is_uv else _ask_pip(pin, tool, folder, watch)
        if url is None or url.startswith("file:"):
            return None if url is None else Place(url)
        settings = {} if tool.is_uv else _settings(tool, folder, watch)
        return _place(url, settings)
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # its log may hold keys


class _Bounds:
    """Says when the installer has said enough."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._end = time.monotonic() + LIMIT

    def __call__(self) -> bool:
        if time.monotonic() > self._end or grown(os.path.join(self._folder, "tmp")) > FETCHED:
            return True
        return grown(self._folder) > ANSWER


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.read(ANSWER).decode("utf-8", "replace")
    except OSError:
        return ""


# -- pip

#: Of the user's settings those that would hide the answer: of hashes the fetched file's is the judge.
_PLAIN = (("PIP_REQUIRE_HASHES", "0"), ("PIP_USER", "0"), ("PIP_QUIET", "0"))


def _ask_pip(pin: Pin, tool: Installer, folder: str, watch: Watch) -> str | None:
    report = os.path.join(folder, "report.json")
    options = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--no-cache-dir", "--only-binary", ":all:"]
    # One try: the other road has all of them, and a machine without a network need not wait twice.
    options += ["--retries", "0", "--no-input", "--no-color", "--disable-pip-version-check", "--progress-bar", "off"]
    options += ["-vv", "--report", report, f"{pin.project}=={pin.version}"]
    code, log = run(tool, options, folder, watch, _Bounds(folder), env=_PLAIN, poll=POLL)
    return (_reported(_read(report), pin) if code == 0 else None) or _logged(_read(log), pin)


def _reported(report: str, pin: Pin) -> str | None:
    """The address in pip's installation report."""
    import json

    try:
        info: Any = json.loads(report)["install"][0]["download_info"]
        url = info["url"]
        sums = (info.get("archive_info") or {}).get("hashes") or {}
        if sums.get("sha256", pin.wheel_sha256) != pin.wheel_sha256:
            return None
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return _usable(url, pin)


def _logged(log: str, pin: Pin) -> str | None:
    """The address in the log of a pip that was stopped, or that knows no reports."""
    for found in re.finditer(rf"Found link (\S{{1,{ADDRESS}}})", log):
        url = found[1].rstrip(",")
        digest = re.search(r"#(?:.*&)?sha256=([0-9a-f]{64})", url)
        if (digest is None or digest[1] == pin.wheel_sha256) and (usable := _usable(url, pin)):
            return usable
    return None


def _settings(tool: Installer, folder: str, watch: Watch) -> dict[str, str]:
    """What pip's files and variables say, by name; the one that counts where several say it."""
    code, log = run(tool, ["config", "list"], folder, watch, _Bounds(folder), poll=POLL, both=False)
    try:
        return _listed(_read(log)) if code == 0 else {}
    finally:
        os.remove(log)


def _listed(listing: str) -> dict[str, str]:
    """Of `pip config list`: variables count before a command's section, and that before `global`."""
    found: dict[str, str] = {}
    for section in ("global", "install", "download", ":env:"):
        for line in listing.splitlines():
            name, _, value = line.partition("=")
            if name.startswith(section + "."):
                try:
                    told = ast.literal_eval(value)
                except (ValueError, SyntaxError, MemoryError, RecursionError):
                    continue
                if isinstance(told, str):
                    found[name[len(section) + 1 :]] = told
    return found


# -- uv


def _ask_uv(pin: Pin, tool: Installer, folder: str, watch: Watch) -> str | None:
    """uv tells addresses in a lock file of the standard's form; one too old for that fails."""
    requirement, lock = os.path.join(folder, "requirements.txt"), os.path.join(folder, "pylock.toml")
    with open(requirement, "w", encoding="ascii") as file:
        file.write(f"{pin.project}=={pin.version}\n")
    options = ["pip", "compile", "--color", "never", "--no-cache", "--no-deps", "--only-binary", ":all:"]
    options += ["--no-progress", "--format", "pylock.toml", "--python", sys.executable, "-o", lock, requirement]
    code, _ = run(tool, options, folder, watch, _Bounds(folder), poll=POLL)
    return _locked(_read(lock), pin) if code == 0 else None


def _locked(lock: str, pin: Pin) -> str | None:
    import tomllib

    try:
        for package in tomllib.loads(lock)["packages"]:
            for wheel in package["wheels"]:
                if wheel["hashes"]["sha256"] == pin.wheel_sha256 and (url := _usable(wheel["url"], pin)):
                    return url
    except (ValueError, LookupError, TypeError, RecursionError):
        pass
    return None


# -- addresses


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        return parts if parts.port != 0 else None  # reading the port checks it
    except ValueError:
        return None


def _usable(url: object, pin: Pin) -> str | None:
    """The address without user, password and fragment, if it is one of the wheel that can be fetched here."""
    if not isinstance(url, str) or len(url) > ADDRESS or not url.isprintable() or (parts := _split(url)) is None:
        return None
    if unquote(parts.path).rpartition("/")[2] != pin.wheel:
        return None
    host = parts.netloc.rpartition("@")[2]
    if parts.scheme == "file":
        if host not in ("", "localhost"):
            return None
    elif parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return urlunsplit((parts.scheme, host, parts.path, parts.query, ""))


def _place(url: str, settings: Mapping[str, str]) -> Place:
    cert = settings.get("cert") or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    indexes = " ".join(settings.get(name, "") for name in ("index-url", "extra-index-url", "find-links")).split()
    return Place(url, _user(url, indexes) or _netrc(url), cert or None, settings.get("proxy") or None)


def _user(url: str, indexes: Iterable[str]) -> tuple[str, str] | None:
    """User and password of the index on the same server: pip gives them to the files there too."""
    target = _split(url)
    for index in indexes:
        parts = _split(index)
        if target is None or parts is None or parts.username is None:
            continue
        if (parts.scheme, parts.hostname, parts.port) == (target.scheme, target.hostname, target.port):
            return unquote(parts.username), unquote(parts.password or "")
    return None


def _netrc(url: str) -> tuple[str, str] | None:
    import netrc

    parts = _split(url)
    try:
        known = netrc.netrc(os.environ.get("NETRC")).authenticators((parts and parts.hostname) or "")
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        return None
    return (known[0], known[2] or "") if known is not None else None
