"""All that is wrong with a configuration, not the first of it alone; and what is not wrong, but should not be."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.config import discovery, files, layers
from llmspell.config.effective import has_a_key_in_it, masked
from llmspell.config.hints import told
from llmspell.config.loader import Merger, surroundings
from llmspell.config.schema import PROFILE_VARIABLE, lookup
from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmspell.config.files import File
    from llmspell.config.schema import Key

    Ask = tuple[tuple[str, ...], str, Any]

__all__ = ["Findings", "beyond", "check"]

#: What in a header's name says that its value is a secret.
_SECRET = ("auth", "key", "token", "secret", "cookie", "password", "credential")


class Findings(NamedTuple):
    """What came of a check: the files that were read, and what is wrong, in the order of the files."""

    files: list[str]
    errors: list[ConfigError]
    warnings: list[ConfigError]


def check(
    file: str | None,
    *,
    folder: str,
    config_file: str | None,
    env: Mapping[str, str],
    profile: str | None = None,
) -> Findings:
    """Looks at the whole configuration, or at *file* as `--config` would take it, over the machine's and the user's.

    folder: from which the project's file is looked for. With *file*, what is wrong with others is not told.
    """
    names, places = surroundings(env)
    found = discovery.find(folder, config_file if file is None else file, places)
    if file is not None:  # it may be the user's own
        found = [one for one in found[:-1] if os.path.realpath(one[0]) != os.path.realpath(file)] + found[-1:]
    errors: list[ConfigError] = []
    warnings: list[ConfigError] = []
    read: list[str] = []
    merger = Merger(env, profile or env.get(PROFILE_VARIABLE) or None, errors.append)
    for path, trusted in found:
        own = file is None or path == file
        if not own:
            merger = _quiet(merger, path, trusted, env)
            continue
        base, providers = dict(merger.values), list(merger.names)
        try:
            looked_at = files.read(path, trusted)
            merger.file(looked_at)
            read.append(path)
            warnings += _warnings(looked_at, base, providers)
        except ConfigError as error:  # it cannot be read, or is no TOML
            errors.append(error)
    if file is None:
        merger.environment(env, names)
    merger.finish()
    if file is not None:  # what others leave open is not its fault
        errors = [error for error in errors if error.file or not error.setting]
    order = {one_line(path): number for number, (path, _) in enumerate(found)}

    def place(error: ConfigError) -> tuple[int, int, int]:
        return order.get(error.file or "", len(order)), error.line or 0, error.column or 0

    return Findings(read, sorted(errors, key=place), sorted(warnings, key=place))


def beyond(file: File, env: Mapping[str, str]) -> tuple[list[ConfigError], list[Ask]]:
    """What is wrong with a project's *file* were it trusted, and what of it holds only then, of every profile: each
    with its place, the kind of its value and that value, masked.
    """
    errors: list[ConfigError] = []
    merger = Merger(env, None, errors.append)
    for path, trusted in discovery.find(None, file.path, surroundings(env)[1])[:-1]:
        merger = _quiet(merger, path, trusted, env)
    base, providers = dict(merger.values), list(merger.names)
    as_trusted = files.File(file.path, True, file.data, file.status)
    merger.file(as_trusted)
    merger.finish()
    asks = []
    for at, key, value in _valid(as_trusted):
        parts = at[2:] if at[0] == "profile" else at
        if layers.refusal(parts, value, base, providers) is not None:
            asks.append((at, key.kind, masked(key, value)))
    return errors, asks


def _valid(file: File) -> Iterator[tuple[tuple[str, ...], Key, Any]]:
    """The settings of a file whose values can be understood."""
    for at, value in files.leaves(file, lambda error: None):
        key = lookup(".".join(at[2:] if at[0] == "profile" else at))
        if key is not None:
            try:
                yield at, key, key.check(value)
            except ValueError:
                continue


def _quiet(merger: Merger, path: str, trusted: bool, env: Mapping[str, str]) -> Merger:
    """*merger* with a file that is not looked at: only what is right of it counts."""
    unheard = Merger(env, merger.profile, lambda error: None)
    unheard.values, unheard.names = dict(merger.values), list(merger.names)
    try:
        unheard.file(files.read(path, trusted))
    except ConfigError:
        return merger
    merger.values, merger.names = unheard.values, unheard.names
    merger.profiles |= unheard.profiles
    return merger


def _warnings(file: File, base: dict[str, Any], providers: list[str]) -> Iterator[ConfigError]:
    project = os.path.basename(file.path) == discovery.PROJECT_FILE
    for at, key, value in _valid(file):
        if _is_secret(value) if key.kind == "headers" else has_a_key_in_it(value):
            hint = (
                "keep it in a variable (`api_key_env`), in the keyring (`api_key_keyring`), or where a command tells it"
            )
            yield file.error(at, f"`{told(at)}` has what looks like a key in it, in plain text", hint)
        parts = at[2:] if at[0] == "profile" else at
        if project and file.trusted and layers.refusal(parts, value, base, providers) is not None:
            hint = "`llmspell config trust` trusts the file as it is; `--config` names it for one run"
            yield file.error(at, f"`{told(at)}` is more than a project's file may say by itself", hint)
    if os.name != "nt" and not project and file.status.st_mode & 0o022:
        hint = "`chmod go-w` it: it says where your keys are sent"
        yield ConfigError(f"{file.name} may be written by others", hint=hint, file=file.name)


def _is_secret(headers: Any) -> bool:
    if not isinstance(headers, dict):
        return False
    return has_a_key_in_it(headers) or any(part in str(name).lower() for name in headers for part in _SECRET)
