"""What can be installed beside llmspell, and is or is not."""

from __future__ import annotations

import re
from importlib import metadata
from typing import TYPE_CHECKING

from llmspell.cli.checks import OFF, OK, WARNING, Check, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["extras"]

#: What each is for, for people. One that is not here is told by its name.
USES = {
    "local": "the embedded model",
    "http2": "HTTP/2",
    "socks": "SOCKS proxies",
    "otel": "OpenTelemetry",
    "repl": "editing of lines in `llmspell repl` and `llmspell chat`",
    "keyring": "keys from the system's keyring",
    "ray": "`llmspell map` on a Ray cluster",
}
NOT_FOR_USERS = ("dev",)
_EXTRA = re.compile(r"""extra\s*==\s*['"]([A-Za-z0-9._-]+)['"]""")
_PROJECT = re.compile(r"\s*([A-Za-z0-9._-]+)")


def extras() -> Iterator[Check]:
    """Each extra, as the package's own metadata names it. Where nothing tells of them, nothing is told."""
    try:
        lines = metadata.requires("llmspell") or []
    except metadata.PackageNotFoundError:
        return
    wanted: dict[str, list[str]] = {}
    for line in lines:
        extra, project = _EXTRA.search(line), _PROJECT.match(line)
        if extra is not None and project is not None and extra[1] not in NOT_FOR_USERS:
            wanted.setdefault(extra[1], []).append(project[1])
    for name, projects in wanted.items():
        yield _extra(name, projects)


def _extra(extra: str, projects: list[str]) -> Check:
    name, use = f"extra.{extra}", USES.get(extra)
    head = f"extra {extra}" + (f" ({use})" if use else "")
    found = {project: versions.of(project) for project in projects}
    facts = {"installed": all(found.values()), "packages": found}
    hint = f"`pip install 'llmspell[{extra}]'`"
    missing = [project for project, version in found.items() if version is None]
    if len(missing) == len(projects):
        return Check(name, OFF, f"{head}: not installed", hint, facts)
    if missing:
        return Check(name, WARNING, f"{head}: {', '.join(missing)} is not installed", hint, facts)
    for project, version in found.items():
        if (least := versions.unmet(project, version)) is not None:
            told = f"{head}: {project} {version}, where llmspell wants {least}"
            return Check(name, WARNING, told, f"`{versions.install(project)}`", facts)
    return Check(name, OK, f"{head}: " + ", ".join(f"{one} {version}" for one, version in found.items()), None, facts)
