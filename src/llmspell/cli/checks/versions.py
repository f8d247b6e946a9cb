"""Which releases are installed, and which llmspell asks for, both as the package's metadata tells."""

from __future__ import annotations

import re
from importlib import metadata

__all__ = ["install", "of", "unmet"]

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9._-]+)\s*([^;\[(]*)")
_BOUND = re.compile(r"\s*(>=|<=|>|<)\s*(\d+(?:\.\d+)*)\s*")


def of(project: str) -> str | None:
    """The release of *project* that is installed; None where none is, or nothing tells."""
    try:
        return metadata.version(project)
    except metadata.PackageNotFoundError:
        return None


def _wanted(project: str) -> str:
    """What llmspell asks of *project*, such as ">=2.5,<3"; nothing where nothing tells."""
    try:
        lines = metadata.requires("llmspell") or []
    except metadata.PackageNotFoundError:
        return ""
    for line in lines:
        found = _REQUIREMENT.match(line)
        if found is not None and found[1].lower() == project:
            return ",".join(sorted((bound.strip() for bound in found[2].split(",")), reverse=True))
    return ""


def _numbers(version: str) -> list[int]:
    """The numbers of a release, so that they compare: 2.8, 2.8.0 and 2.8rc1 are the same."""
    leading = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(number) for number in leading[0].split(".")] if leading else []
    while numbers and not numbers[-1]:
        numbers.pop()
    return numbers


def unmet(project: str, version: str | None) -> str | None:
    """What llmspell asks of *project*, if *version* is not that. What cannot be compared is taken to be right."""
    wanted = _wanted(project)
    if version is None:
        return None
    have = _numbers(version)
    for bound in wanted.split(","):
        told = _BOUND.fullmatch(bound)
        if told is None:
            continue
        limit = _numbers(told[2])
        met = {">=": have >= limit, "<=": have <= limit, ">": have > limit, "<": have < limit}
        if not met[told[1]]:
            return wanted
    return None


def install(project: str) -> str:
    """The command that installs *project* anew, as llmspell wants it."""
    wanted = _wanted(project)
    return "pip install --force-reinstall " + (f'"{project}{wanted}"' if wanted else project)
