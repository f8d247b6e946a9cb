"""The configuration of one run: defaults, files, environment and flags, merged once, each value with its origin.

Later wins: defaults; the system's file; the user's; the project's, or the one that `--config` named; environment;
flags. Of each file, `[profile.NAME]` is laid over the rest of it, where that profile was asked for. What nobody
vouched for (a project's file) may lower limits and choose models, and no more: it must not decide where a user's key is
sent. Source: DESIGN.md, "Configuration".

At every start this is imported and run, so all that a file or an error needs is imported where it is needed.
"""

from __future__ import annotations

import sys

from llmspell.config import discovery
from llmspell.config.schema import (
    BUILT_IN,
    KEYS,
    OWN_VARIABLES,
    PREFIX,
    PROFILE_VARIABLE,
    VENDOR_VARIABLES,
    VENDORS,
    is_provider_name,
    lookup,
)
from llmspell.errors import ConfigError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType
    from typing import Any

    from llmspell.config.files import File

    Path = tuple[str, ...]

__all__ = ["Config", "Merger", "load", "surroundings"]

_DEFAULT = "default"

_plain: Config | None = None  # where nothing is set, all have the same: embedders make a runtime for each script
_FIXED = {key.path: key.default for key in KEYS if ".NAME." not in key.path}
_OF_PROVIDER = tuple(
    (key.path.removeprefix("providers.NAME."), key) for key in KEYS if key.path.startswith("providers.NAME.")
)


class Config:
    """What holds for one run. Made by `load`; never changes."""

    __slots__ = ("_names", "_origins", "_values", "files", "profile")

    #: The files that were read, the strongest last.
    files: tuple[str, ...]
    #: The profile that was asked for.
    profile: str | None

    def __init__(
        self,
        values: dict[str, Any],
        origins: dict[str, str | tuple[File, Path]],
        names: list[str],
        files: list[str],
        profile: str | None,
    ) -> None:
        self.profile = profile
        self._values = values
        self._origins = origins
        self._names = names
        self.files = tuple(files)

    def __repr__(self) -> str:
        return f"Config(files={self.files!r})"  # no values: headers may be secret

    def get(self, path: str) -> Any:
        """The value of a dotted path, in the unit its key documents; None where nothing set it. Of a table a dict.

        ConfigError for a path that is neither, and for a provider that is not configured.
        """
        if path in self._values:
            value = self._values[path]
            return dict(value) if isinstance(value, dict) else value
        key = lookup(path)
        parts = tuple(path.split("."))
        if key is None or (parts[0] == "providers" and len(parts) > 2 and parts[1] not in self._names):
            if (table := self._table(parts)) is not None:
                return table
            raise ConfigError(f"unknown key `{one_line(path, 80)}`", hint=_hints().nearest(parts, self._names))
        return dict(key.default) if isinstance(key.default, dict) else key.default

    def _table(self, parts: Path) -> dict[str, Any] | None:
        """What `[runtime]`, `[providers.openai.timeout]` and their like hold; None where there is no such table."""
        told: dict[str, Any] = {"tools": self.tools()}
        for path, value in self._values.items():
            first, _, rest = path.partition(".")
            if "." not in rest:
                told.setdefault(first, {})[rest] = value
        told["providers"] |= self.providers()
        found: Any = told
        for part in parts:
            found = found.get(part) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else None

    def providers(self) -> dict[str, dict[str, Any]]:
        """Each provider's settings by its name, the built-in ones first, then as the files name them.

        Every key that the provider's type reads is there, None where nothing set it; `timeout` and `retry` are tables.
        """
        told: dict[str, dict[str, Any]] = {}
        for name in self._names:
            above = f"providers.{name}."
            kind = self._values[above + "type"]
            settings: dict[str, Any] = {}
            for rest, key in _OF_PROVIDER:
                if not key.read_by(kind):
                    continue
                value = self._values.get(above + rest, key.default)
                table, _, part = rest.partition(".")
                if part:
                    settings.setdefault(table, {})[part] = value
                else:
                    settings[rest] = value.copy() if isinstance(value, (dict, list)) else value
            told[name] = settings
        return told

    def tools(self) -> dict[str, dict[str, Any]]:
        """What is set of each tool, by its name with `_`."""
        told: dict[str, dict[str, Any]] = {}
        for path, value in self._values.items():
            if path.startswith("tools."):
                _, name, word = path.split(".")
                told.setdefault(name.replace("-", "_"), {})[word] = value
        return told

    def permissions(self) -> dict[str, Any]:
        """The table `[permissions]`: lists of grants."""
        return {name: self._values[f"permissions.{name}"] for name in ("read", "write", "net", "env", "run", "tools")}

    def given(self) -> dict[str, Any]:
        """What was set by anything but the defaults, by dotted path. Headers may be secret."""
        return {path: self._values[path] for path in self._origins}

    def grants_nothing_of_its_own(self) -> bool:
        """Whether nobody has said anything of permissions."""
        return not any(path.startswith("permissions.") for path in self._origins)

    def origin(self, path: str) -> str:
        """Where the value of *path* came from: "default", "flag", "environment NAME" or "FILE:LINE"."""
        self.get(path)
        origin = self._origins.get(path, _DEFAULT)
        if isinstance(origin, str):
            return origin
        file, parts = origin
        return f"{file.name}:{file.place(parts)[0]}"

    def place(self, path: str) -> tuple[str, int, int] | None:
        """The file, line and column that the value of *path* came from; None where it was no file."""
        origin = self._origins.get(path, _DEFAULT)
        return None if isinstance(origin, str) else (origin[0].path, *origin[0].place(origin[1]))

    def items(self) -> Iterator[tuple[str, Any]]:
        """Every setting with its value, None where nothing set it: in the schema's order, of providers each in turn."""
        known = [key.path for key in KEYS if ".NAME." not in key.path]
        tools = sorted(path for path in self._values if path.startswith("tools."))
        for table in ("runtime", "limits", "providers", "permissions", "state", "logging"):
            yield from ((path, self.get(path)) for path in known if path.startswith(table + "."))
            if table == "providers":
                for name in self._names:
                    kind = self._values[f"providers.{name}.type"]
                    paths = (f"providers.{name}.{rest}" for rest, key in _OF_PROVIDER if key.read_by(kind))
                    yield from ((path, self.get(path)) for path in paths)
            elif table == "permissions":
                yield from ((path, self.get(path)) for path in tools)


class Merger:
    """The state of one `load`.

    report: is told what is wrong; where there is none, it is raised. profiles: each that a file has, with that file.
    """

    __slots__ = ("_report", "env", "names", "origins", "profile", "profiles", "values")

    def __init__(
        self, env: Mapping[str, str], profile: str | None, report: Callable[[ConfigError], None] | None = None
    ) -> None:
        self.env = env
        self.profile = profile
        self.profiles: dict[str, str] = {}
        self._report = report
        self.values: dict[str, Any] = dict(_FIXED)
        self.origins: dict[str, str | tuple[File, Path]] = {}
        self.names = list(BUILT_IN)
        for name, settings in BUILT_IN.items():
            for rest, value in settings.items():
                self.values[f"providers.{name}.{rest}"] = value

    def put(self, parts: Path, value: Any, origin: str | tuple[File, Path]) -> None:
        if parts[0] == "providers" and len(parts) > 2 and parts[1] not in self.names:
            self.names.append(parts[1])
        path = ".".join(parts)
        self.values[path] = value
        self.origins[path] = origin

    def report(self, error: ConfigError) -> None:
        """That something is wrong: raises it, or tells who wants to know of all."""
        if self._report is None:
            error.__suppress_context__ = True  # what a check said is in it
            raise error
        self._report(error)

    # Files

    def file(self, file: File) -> None:
        from llmspell.config import layers

        layers.lay(self, file)

    # Environment and flags

    def environment(self, env: Mapping[str, str], names: list[str]) -> None:
        """names: those of *env* that may concern us."""
        for name, path in VENDOR_VARIABLES.items():
            if name in names and env[name]:
                value = env[name]
                if name == "OLLAMA_HOST":  # a host will do there
                    from llmspell.config import addresses

                    value = addresses.ollama(value)
                self.text(tuple(path.split(".")), value, f"environment {name}")
        for name in names:
            if name in VENDOR_VARIABLES or name in OWN_VARIABLES:
                continue
            parts = self.variable(name)
            if lookup(".".join(parts)) is None or (len(parts) > 2 and not is_provider_name(parts[1])):
                told = f"unknown environment variable {one_line(name, 120)}"
                hint = _hints().nearest_variable(name, self.names)
                self.report(ConfigError(told, hint=hint, setting=one_line(name, 120)))
            elif env[name]:  # set to nothing is not set
                self.text(parts, env[name], f"environment {name}")

    def variable(self, name: str) -> Path:
        """The path that a variable names. A provider's `-` cannot stand in a variable: `_` is read as it."""
        parts = tuple(name.removeprefix(PREFIX).lower().split("__"))
        if len(parts) > 2 and parts[0] == "providers" and parts[1] not in self.names:
            same = [known for known in self.names if known.replace("-", "_") == parts[1]]
            parts = (*parts[:1], *(same[:1] or parts[1:2]), *parts[2:])
        return parts

    def flags(self, flags: Mapping[str, object]) -> None:
        for path, value in flags.items():
            if value is None:
                continue
            parts = tuple(path.split("."))
            if lookup(path) is None:
                told = f"unknown key `{_hints().told(parts)}`"
                self.report(ConfigError(told, hint=_hints().nearest(parts, self.names)))
                continue
            self.text(parts, value, "flag")

    def text(self, parts: Path, value: object, origin: str) -> None:
        key = lookup(".".join(parts))
        assert key is not None  # the callers looked
        try:
            checked = key.parse(value) if isinstance(value, str) else key.check(value)
        except ValueError as exc:
            told = f"{origin}: `{_hints().told(parts)}`: {exc}"
            self.report(ConfigError(told, hint=key.path + ": " + key.doc, setting=_hints().told(parts)))
            return
        self.put(parts, checked, origin)

    # The whole

    def finish(self) -> None:
        """What can be told only when all is merged."""
        if self.profile is not None and self.profile not in self.profiles:
            there = ", ".join(f"`{one_line(name, 64)}`" for name in list(self.profiles)[:20])
            self.report(
                ConfigError(
                    f"there is no profile `{one_line(self.profile, 60)}`",
                    hint=f"there are {there}" if there else "no file that was read has one: `[profile.NAME]`",
                )
            )
        if not self.origins:
            return
        for name in self.names:
            kind = self.values.get(f"providers.{name}.type")
            if kind is None and (name in VENDORS or name == "mock" or _brought(name)):
                kind = self.values[f"providers.{name}.type"] = name
            if kind is None:
                self.fail(name, "type", f"provider `{name}` has no `type`", f"set providers.{name}.type")
                continue
            for rest, key in _OF_PROVIDER:
                path = f"providers.{name}.{rest}"
                if path in self.origins and not key.read_by(kind):
                    words = " or ".join(f'"{word}"' for word in key.types)
                    self.fail(name, rest, f'`{path}` is of type {words}, the provider of type "{kind}"', "take it out")
            if kind == "openai" and self.values.get(f"providers.{name}.base_url") is None:
                self.fail(name, "type", f"provider `{name}` has no `base_url`", f"set providers.{name}.base_url")
        default = self.values["providers.default"]
        there_is = default == "auto" or default in self.names or default in VENDORS or default == "mock"
        if not there_is and not _brought(default):
            known = ", ".join(["auto", *self.names])
            self.fail_at("providers.default", f"unknown provider `{one_line(default, 80)}`", f"known are: {known}")

    def fail(self, name: str, rest: str, what: str, hint: str) -> None:
        above = f"providers.{name}."
        path = above + rest
        if path not in self.origins:
            path = next((other for other in self.origins if other.startswith(above)), path)
        self.fail_at(path, what, hint)

    def fail_at(self, path: str, what: str, hint: str) -> None:
        origin = self.origins.get(path, _DEFAULT)
        if isinstance(origin, str):
            self.report(ConfigError(f"{origin}: {what}", hint=hint, setting=path))
        else:
            self.report(origin[0].error(origin[1], what, hint))


def load(
    *,
    script_dir: str | None,
    config_file: str | None,
    env: Mapping[str, str],
    flags: Mapping[str, object],
    profile: str | None = None,
) -> Config:
    """The configuration of a run.

    script_dir: the script's folder, from which the project's file is looked for; None where there is none.
    config_file: what `--config` named. flags: dotted path to value, as text or in the key's own type; None is not
    given. profile: what `--profile` named; None leaves it to the environment. ConfigError for whatever is wrong, with
    file, line and column, or the variable's name.
    """
    global _plain
    names, places = surroundings(env)
    found = discovery.find(script_dir, config_file, places)
    plain = not (found or names or flags) and profile is None
    if plain and _plain is not None:
        return _plain
    if profile is None:
        profile = env.get(PROFILE_VARIABLE) or None
    merger = Merger(env, profile)
    read: list[str] = []
    for path, trusted in found:
        from llmspell.config import files

        merger.file(files.read(path, trusted))
        read.append(path)
        if "logging" in sys.modules:  # else nobody listens
            from llmspell.utils import logs

            logs.tell("config", 20, "configuration read", {"file": path, "trusted": trusted})
    merger.environment(env, names)
    merger.flags(flags)
    merger.finish()
    config = Config(merger.values, merger.origins, merger.names, read, profile)
    if plain:
        _plain = config
    return config


_known: tuple[object, list[str], list[str]] | None = None


def surroundings(env: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Of the environment, the names that may concern us; and where the machine's file and the user's would be.

    Reading all of `os.environ` is a third of what a look for the configuration costs, and embedders look for each of
    their scripts: while its own table (`_data`, where it has one) is the same as last time, so is what was found.
    """
    global _known
    table = getattr(env, "_data", None)
    known = _known  # once: other threads look, too
    if known is not None and known[0] == table:
        return known[1], known[2]
    names = [name for name in env if name[: len(PREFIX)] == PREFIX or name in VENDOR_VARIABLES]
    places = [path for path in (discovery.system_file(env), discovery.user_file(env)) if path]
    if isinstance(table, dict):
        _known = dict(table), names, places
    return names, places


def _hints() -> ModuleType:
    from llmspell.config import hints

    return hints


def _brought(name: str) -> bool:
    """Whether another package brings a type of provider of that name."""
    from llmspell.config import plugins

    return is_provider_name(name) and plugins.has(name)
