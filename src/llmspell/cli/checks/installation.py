"""What llmspell stands on: Python, Lua, the twins, the libraries."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING

from llmspell import _speedups
from llmspell._version import __version__
from llmspell.cli.checks import BROKEN, OFF, OK, WARNING, Check, probes, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["LIBRARIES", "libraries", "lua", "own", "python", "twins"]

#: What each twin is, for people.
TWINS = {
    "sse": "event-stream parser",
    "stream": "stream of chunks",
    "lua": "Lua engine",
    "retry": "retry and backoff",
    "media": "heads of media",
}
#: Distribution, module, and who needs it. uvloop is the one that llmspell does without.
LIBRARIES = (
    ("orjson", "orjson", "models and JSON need it"),
    ("httpx", "httpx", "models over HTTP need it"),
    ("uvloop", "uvloop", "asyncio's own loop serves in its place, slower"),
    ("rich-click", "rich_click", "help and the live view need it"),
)
Findings = dict[str, probes.Found]


def own() -> Iterator[Check]:
    """llmspell itself."""
    folder = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    yield Check("llmspell", OK, f"llmspell {__version__} in {folder}", None, {"version": __version__, "path": folder})


def python() -> Iterator[Check]:
    """The interpreter and the machine."""
    bits = 64 if sys.maxsize > 2**32 else 32
    lock = "with" if _speedups.has_global_lock() else "without"
    version, system = platform.python_version(), platform.platform()
    yield Check(
        "python",
        OK,
        f"Python {version} ({platform.python_implementation()}, {bits}-bit, {lock} its global lock) on {system}",
        None,
        {
            "version": version,
            "implementation": sys.implementation.name,
            "build": sys.version,
            "bits": bits,
            "free_threaded": not _speedups.has_global_lock(),
            "executable": sys.executable,
            "platform": system,
            "machine": platform.machine(),
        },
    )


def lua(found: Findings) -> Iterator[Check]:
    """lupa, the Lua in it, and whether scripts run and stop."""
    library, engine = found[probes.LUA], found[probes.ENGINE]
    if library.wrong is not None:
        # The compiled twin needs lupa's library alone, and may be well where lupa itself is not.
        hint, facts = f"`{versions.install('lupa')}`", {"lupa": versions.of("lupa"), "lua": None}
        if engine.wrong is not None:
            yield Check("lua", BROKEN, f"Lua cannot be loaded: {library.wrong}", hint, facts)
            return
        yield Check("lua", WARNING, f"lupa cannot be imported: {library.wrong}", hint, facts)
        yield _engine(found)
        return
    release, lupa = library.facts["lua"], library.facts["lupa"]
    wanted = versions.unmet("lupa", lupa)
    if wanted is not None:
        hint = f"`{versions.install('lupa')}`"
        yield Check("lua", WARNING, f"lupa {lupa}, where llmspell wants {wanted}", hint, library.facts)
    else:
        yield Check("lua", OK, f"Lua {release} in lupa {lupa}", None, library.facts)
    yield _engine(found)


def _engine(found: Findings) -> Check:
    engine, twin = found[probes.ENGINE], found.get(probes.twin("lua"), probes.Found({}))
    if engine.wrong is None:
        return Check("engine", OK, "a script runs, and one without end is stopped", None, engine.facts)
    hint = "see whether the pure twins do better: set LLMSPELL_NO_EXTENSIONS=1"
    if twin.facts.get("twin") == "pure":
        hint = f"`{versions.install('lupa')}`, and llmspell itself likewise"
    return Check("engine", BROKEN, f"scripts do not run: {engine.wrong}", hint)


def twins(found: Findings) -> Iterator[Check]:
    """Each hot part: which twin is in use, and why."""
    for stem in _speedups.STEMS:
        if stem == "lua" and found[probes.LUA].wrong is not None and found[probes.ENGINE].wrong is not None:
            continue  # neither has anything to stand on, and that was said
        name, part, tried = f"twin.{stem}", TWINS.get(stem, stem), found[probes.twin(stem)]
        if tried.wrong is not None:
            hint = "LLMSPELL_NO_EXTENSIONS=1 takes the pure twin"
            yield Check(name, BROKEN, f"{part}: {tried.wrong}", hint, {"twin": None, "reason": tried.wrong})
        elif tried.facts["twin"] == "compiled":
            yield Check(name, OK, f"{part}: compiled twin", None, tried.facts)
        else:
            reason = tried.facts["reason"]
            yield Check(name, WARNING, f"{part}: pure twin, slower: {reason}", _twin_hint(reason), tried.facts)


def _twin_hint(reason: str) -> str:
    if reason.startswith("LLMSPELL_NO_EXTENSIONS"):
        return "`unset LLMSPELL_NO_EXTENSIONS` to have the compiled twin"
    return "where there is a C compiler, `pip install --force-reinstall --no-deps llmspell` builds it"


def libraries(found: Findings) -> Iterator[Check]:
    """What llmspell is installed with."""
    for project, module, who in LIBRARIES:
        name, tried, version = f"library.{project}", found[probes.library(module)], versions.of(project)
        facts = {"version": version, **tried.facts}
        wanted = versions.unmet(project, version)
        if tried.wrong is not None:
            state = BROKEN if project != "uvloop" else OFF if sys.platform == "win32" else WARNING
            hint = None if state == OFF else f"`{versions.install(project)}`"
            yield Check(name, state, f"{project} cannot be loaded, and {who}: {tried.wrong}", hint, facts)
        elif wanted is not None:
            told = f"{project} {version}, where llmspell wants {wanted}"
            yield Check(name, WARNING, told, f"`{versions.install(project)}`", facts)
        else:
            yield Check(name, OK, f"{project} {version or '(its version is not told)'}", None, facts)
