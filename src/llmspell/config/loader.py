"""The configuration of one run: defaults, files, environment and flags, merged once, each value with its origin.

Later wins: defaults; the system's file; the user's; the project's, or the one that `--config` named; environment;
flags. What nobody vouched for (a project's file) may lower limits and choose models, and no more: it must not decide
where a user's key is sent. Source: DESIGN.md, "Configuration".

At every start this is imported and run, so all that a file or an error needs is imported where it is needed.
"""

from __future__ import annotations

from llmspell.config import discovery
from llmspell.config.schema import (
    BUILT_IN,
    KEYS,
    OWN_VARIABLES,
    PREFIX,
    PROJECT_GRANTS,
    PROJECT_KEYS,
    PROJECT_LIMITS,
    VENDOR_VARIABLES,
    VENDORS,
    is_provider_name,
    lookup,
)
from llmspell.errors import ConfigError, one_line

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType
    from typing import Any, NoReturn

    from llmspell.config.files import File

    Path = tuple[str, ...]

__all__ = ["Config", "load"]

_DEFAULT = "default"

_plain: Config | None = None  # where nothing is set, all have the same: embedders make a runtime for each script
_FIXED = {key.path: key.default for key in KEYS if ".NAME." not in key.path}
_OF_PROVIDER = tuple(
    (key.path.removeprefix("providers.NAME."), key) for key in KEYS if key.path.startswith("providers.NAME.")
)


class Config:
    """What holds for one run. Made by `load`; never changes."""

    __slots__ = ("_names", "_origins", "_values", "files")

    #: The files that were read, the strongest last.
    files: tuple[str, ...]

    def __init__(
        self, values: dict[str, Any], origins: dict[str, str | tuple[File, Path]], names: list[str], files: list[str]
    ) -> None:
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


class _Merger:
    """The state of one `load`."""

    __slots__ = ("names", "origins", "values")

    def __init__(self) -> None:
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

    # Files

    def file(self, file: File) -> None:
        from llmspell.config.files import leaves

        for parts, value in leaves(file):
            key = lookup(".".join(parts))
            if key is None or any("." in part for part in parts):  # a quoted "a.b" is one word, and no key
                raise file.error(parts, f"unknown key `{_hints().told(parts)}`", _hints().nearest(parts, self.names))
            try:
                checked = key.check(value)
            except ValueError as exc:
                raise file.error(parts, f"`{_hints().told(parts)}`: {exc}", key.path + ": " + key.doc) from None
            if key.path in ("permissions.read", "permissions.write"):
                checked = beside(checked, file.path)
            elif key.path == "permissions.run":
                from llmspell.config.grants import program_beside

                checked = tuple(program_beside(one, file.path) for one in checked)
            elif key.path == "state.path":
                checked = beside((checked,), file.path)[0]
            if not file.trusted:
                self.permit(file, parts, checked)
            self.put(parts, checked, (file, parts))

    def permit(self, file: File, parts: Path, value: Any) -> None:
        """Raises where a project's file asks for more than its user granted."""
        path = ".".join(parts)
        if path in PROJECT_LIMITS:
            granted = self.values[path]
            if granted and (not value or value > granted):  # 0 is no limit
                _refuse(file, parts, "may not be raised by a project's file")
            return
        if path in PROJECT_GRANTS:
            from llmspell.config import grants

            capability = parts[1]
            if not all(grants.narrows(capability, one, self.values[path]) for one in value):
                _refuse(file, parts, "may not grant more than its user does")
            return
        general = ".".join(("providers", "NAME", *parts[2:])) if len(parts) > 2 else path
        if general not in PROJECT_KEYS:
            _refuse(file, parts, "may not be set by a project's file")
        if len(parts) > 2 and parts[1] not in self.names:
            _refuse(file, parts[:2], "may not be added by a project's file")
        # A local model may be named by the path of its file: what a stranger may not set as `path`, nor so.
        if general == "providers.NAME.model" and self.values[f"providers.{parts[1]}.type"] == "local":
            text = value.lower()
            if "/" in text or "\\" in text or text.endswith(".gguf"):
                _refuse(file, parts, "may not be set to a file by a project's file")

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
                raise ConfigError(
                    f"unknown environment variable {one_line(name, 120)}",
                    hint=_hints().nearest_variable(name, self.names),
                    setting=one_line(name, 120),
                )
            if env[name]:  # set to nothing is not set
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
                raise ConfigError(f"unknown key `{_hints().told(parts)}`", hint=_hints().nearest(parts, self.names))
            self.text(parts, value, "flag")

    def text(self, parts: Path, value: object, origin: str) -> None:
        key = lookup(".".join(parts))
        assert key is not None  # the callers looked
        try:
            checked = key.parse(value) if isinstance(value, str) else key.check(value)
        except ValueError as exc:
            told = f"{origin}: `{_hints().told(parts)}`: {exc}"
            raise ConfigError(told, hint=key.path + ": " + key.doc, setting=_hints().told(parts)) from None
        self.put(parts, checked, origin)

    # The whole

    def finish(self) -> None:
        """What can be told only when all is merged."""
        if not self.origins:
            return
        for name in self.names:
            kind = self.values.get(f"providers.{name}.type")
            if kind is None and (name in VENDORS or name == "mock" or _brought(name)):
                kind = self.values[f"providers.{name}.type"] = name
            if kind is None:
                self.fail(name, "type", f"provider `{name}` has no `type`", f"set providers.{name}.type")
            for rest, key in _OF_PROVIDER:
                path = f"providers.{name}.{rest}"
                if path in self.origins and not key.read_by(kind):
                    words = " or ".join(f'"{word}"' for word in key.types)
                    self.fail(name, rest, f'`{path}` is of type {words}, the provider of type "{kind}"', "take it out")
            if kind == "openai" and self.values.get(f"providers.{name}.base_url") is None:
                self.fail(name, "type", f"provider `{name}` has no `base_url`", f"set providers.{name}.base_url")
        default = self.values["providers.default"]
        there = default == "auto" or default in self.names or default in VENDORS or default == "mock"
        if not there and not _brought(default):
            known = ", ".join(["auto", *self.names])
            self.raise_at("providers.default", f"unknown provider `{one_line(default, 80)}`", f"known are: {known}")

    def fail(self, name: str, rest: str, what: str, hint: str) -> NoReturn:
        above = f"providers.{name}."
        path = above + rest
        if path not in self.origins:
            path = next((other for other in self.origins if other.startswith(above)), path)
        self.raise_at(path, what, hint)

    def raise_at(self, path: str, what: str, hint: str) -> NoReturn:
        origin = self.origins.get(path, _DEFAULT)
        if isinstance(origin, str):
            raise ConfigError(f"{origin}: {what}", hint=hint, setting=path)
        file, parts = origin
        raise file.error(parts, what, hint)


def load(
    *, script_dir: str | None, config_file: str | None, env: Mapping[str, str], flags: Mapping[str, object]
) -> Config:
    """The configuration of a run.

    script_dir: the script's folder, from which the project's file is looked for; None where there is none.
    config_file: what `--config` named. flags: dotted path to value, as text or in the key's own type; None is not
    given. ConfigError for whatever is wrong, with file, line and column, or the variable's name.
    """
    global _plain
    names, places = _surroundings(env)
    found = discovery.find(script_dir, config_file, places)
    plain = not (found or names or flags)
    if plain and _plain is not None:
        return _plain
    merger = _Merger()
    read: list[str] = []
    for path, trusted in found:
        from llmspell.config import files

        merger.file(files.read(path, trusted))
        read.append(path)
    merger.environment(env, names)
    merger.flags(flags)
    merger.finish()
    config = Config(merger.values, merger.origins, merger.names, read)
    if plain:
        _plain = config
    return config


def beside(paths: tuple[str, ...], file: str) -> tuple[str, ...]:
    """Grants of paths as they stand in a configuration file: relative ones are below its folder."""
    import os

    folder = os.path.dirname(os.path.abspath(file))
    return tuple(path if path == "*" else os.path.join(folder, os.path.expanduser(path)) for path in paths)


_known: tuple[object, list[str], list[str]] | None = None


def _surroundings(env: Mapping[str, str]) -> tuple[list[str], list[str]]:
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


def _refuse(file: File, parts: Path, why: str) -> NoReturn:
    import shlex

    path = shlex.quote(file.path if file.path.isprintable() else file.name)
    hint = f"name the file with --config to trust it: --config {path}"
    raise file.error(parts, f"`{_hints().told(parts)}` {why}", hint)
