"""Which provider answers: names to instances, made when they are first used and kept."""

from __future__ import annotations

import builtins
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.config.schema import is_provider_name
from llmspell.errors import ConfigError, one_line
from llmspell.providers.vendors import vendor as known_vendor
from llmspell.providers.vendors import vendors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from llmspell.providers.base import ProviderCapabilities, ProviderInstance
    from llmspell.providers.dialect import Dialect
    from llmspell.providers.vendors import Vendor

    Factory: TypeAlias = Callable[[str, Mapping[str, Any]], ProviderInstance]

__all__ = ["TYPES", "KeySource", "ProviderManager"]

#: type: where its class is. It is made with a name and the settings.
TYPES = {
    **dict.fromkeys(("openai", "openai-responses", "anthropic", "gemini"), ("llmspell.providers.service", "Service")),
    "ollama": ("llmspell.providers.ollama_server", "OllamaServer"),
    "local": ("llmspell.providers.local", "LocalProvider"),
    "mock": ("llmspell.providers.mock", "MockProvider.configured"),
}
#: type: where its vendor's own service is, and the variable that holds its key.
OWN: dict[str, tuple[str, str | None]] = {
    "openai": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "openai-responses": ("https://api.openai.com/v1", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta", "GEMINI_API_KEY"),
    "ollama": ("http://localhost:11434", "OLLAMA_API_KEY"),
}
#: variable: another that the vendor's own programs read where that is not set.
OTHER_VARIABLES = {"GEMINI_API_KEY": "GOOGLE_API_KEY"}
#: Types without an address and a key.
HERE = ("local", "mock")
MOST_KEYS = 1000  # that others bring along


class KeySource(NamedTuple):
    """Where a provider's key is, and never the key itself.

    kind: "variable", "file", "keyring", "command", "settings" (given by a program), "none" (none is needed), or
    "missing". what: the variable's name, the file's path, the keyring's entry, or the command's program; of one that is
    missing, the variable where it was looked for.
    """

    kind: str
    what: str = ""


class ProviderManager:
    """The configured providers. `aclose` it when its event loop ends.

    providers: name to settings, in the order in which "auto" tries them; `local` and `mock` are there without being
        named, and so are the vendors. type: one of TYPES or a vendor, one that was registered or that a package brings,
        or the name if it is one. openai: base_url, api_key_env (the variable of the key), api_key_file,
        api_key_keyring, api_key_cmd (where it is looked for next), api_key (the key itself), model, headers, timeout
        {connect, first_token, idle, total} in seconds; local: see LocalProvider; mock: see MockProvider.
    default: a provider's name, or "auto": the first that can be used, local last.
    env: where keys are looked up.
    """

    def __init__(
        self,
        providers: Mapping[str, Mapping[str, Any]],
        default: str = "auto",
        env: Mapping[str, str] = os.environ,
    ) -> None:
        self._settings: dict[str, Mapping[str, Any]] = {
            name: {key: value for key, value in settings.items() if value is not None}
            for name, settings in providers.items()
        }
        self._settings.setdefault("local", {"type": "local"})
        self._default = default
        self._env = env
        self._made: dict[str, ProviderInstance] = {}
        self._registered: dict[str, ProviderInstance] = {}
        self._order = tuple(self._settings)  # "auto" looks at these; others are added when they are asked for
        self._types: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"ProviderManager({', '.join(self.names())})"  # settings may hold a key

    def names(self) -> list[str]:
        """The providers' names, in order."""
        return [*self._registered, *(name for name in self._settings if name not in self._registered)]

    def register(self, provider: ProviderInstance) -> None:
        """Makes a provider of one's own known by its name, in the place of a configured one of that name.

        "auto" takes it before those that are configured. `aclose` closes it; it stays registered.
        """
        if not is_provider_name(provider.name):
            raise ConfigError(
                f"a provider cannot be called `{one_line(provider.name, 60)}`",
                hint="small letters, digits, - and _, a letter first",
            )
        self._registered[provider.name] = provider

    def register_type(self, type_: str, made_by: type[Dialect] | Factory) -> None:
        """Makes a type of provider known, for settings of this manager that name it, and as a provider of that name.

        made_by: a `Dialect` class, which is spoken over HTTP as llmspell's own are, or what gives a ProviderInstance
        for a name and its settings. A package does the same for everybody by an entry point; see docs/providers.md.
        """
        if not is_provider_name(type_) or type_ in TYPES or known_vendor(type_) is not None:
            raise ConfigError(
                f"a type of provider cannot be called `{one_line(type_, 60)}`",
                hint="small letters, digits, - and _, a letter first, and no name that is taken",
            )
        if not callable(made_by):
            raise ConfigError(f"the type of provider `{type_}` is neither a class nor a function")
        self._types[type_] = made_by

    def resolve(self, model: str | None, provider: str | None = None) -> tuple[ProviderInstance, str]:
        """Who answers, and the model's name there.

        model: "provider/model" (only the first slash splits), a provider's name (its default model), or a model of
        *provider* or else of the default. With *provider*, any other prefix belongs to the model's own name.
        Raises ConfigError: no such provider, or no model is named anywhere.
        """
        model = model or None
        provider = provider or None
        if model is not None:
            prefix, slash, rest = model.partition("/")
            if provider is None and slash:
                provider, model = prefix, rest or None
            elif provider is None and (model in self._settings or model in self._registered or model == "mock"):
                provider, model = model, None
            elif provider is not None and prefix == provider:
                model = rest or None
        instance = self.get(provider or self.default())
        model = model or instance.default_model
        if not model:
            raise ConfigError(
                f"provider `{instance.name}` has no default model",
                hint=f"name one as `{instance.name}/MODEL`, or set `providers.{instance.name}.model`",
                provider=instance.name,
            )
        return instance, model

    def default(self) -> str:
        """The provider that answers where none is named."""
        if self._default != "auto":
            return self._default
        if self._registered:
            return next(iter(self._registered))
        locals_ = []
        for name in self._order:
            type_ = self._type(name)
            if type_ == "local":
                locals_.append(name)
            elif type_ != "mock" and self.usable(name):  # nobody means a mock who does not say so
                return name
        return locals_[0]

    def switch(self, default: str) -> None:
        """Makes *default* the provider that answers where none is named, or "auto"; what was resolved stays as it is.

        Raises ConfigError for one that there is not.
        """
        if default != "auto":
            self.get(default)
        self._default = default

    def usable(self, name: str) -> bool:
        """Whether *name* can be asked as it is configured: it needs no key, or has one."""
        if name in self._registered:
            return True
        type_ = self._type(name)
        if type_ in HERE or self._factory(type_) is not None:
            return True
        if type_ == "ollama":  # nobody looks whether a server runs: who names a model has one
            return bool(self._settings[name].get("model"))
        vendor = self._vendor(name)
        if vendor is not None and vendor.api_key_env is None:
            return True
        return not self._at_home(name) or self.key_source(name).kind != "missing"

    def address(self, name: str) -> str:
        """Where a provider behind an address is asked; empty where that is not known."""
        return str(self._settings[name].get("base_url") or self._home(name))

    def where(self, name: str) -> str:
        """The same of any provider; empty for those without an address."""
        if name in self._registered:
            return ""
        self._know(name)
        type_ = self._type(name)
        return "" if type_ in HERE or self._factory(type_) is not None else self.address(name)

    def _home(self, name: str) -> str:
        """Where its vendor's own service is; empty where everybody has an address of their own."""
        vendor = self._vendor(name)
        return vendor.base_url if vendor is not None else self._own(self._type(name))[0]

    def _own(self, type_: str) -> tuple[str, str | None]:
        """Where the vendor's own service is, and its key's variable."""
        if (own := OWN.get(type_)) is not None:
            return own
        dialect = self._spoken(type_)
        return (dialect.base_url, dialect.key_env) if dialect is not None else ("", None)

    def _vendor(self, name: str) -> Vendor | None:
        """The row of `vendors.toml` that a provider's type, or its name, is that of."""
        type_ = str(self._settings[name].get("type") or name)
        return None if type_ in TYPES or type_ in self._types else known_vendor(type_)

    def _at_home(self, name: str) -> bool:
        """Whether it is its vendor's own service."""
        own = self._home(name)
        return not own or self.address(name).rstrip("/").removesuffix("/v1") == own.removesuffix("/v1")

    def get(self, name: str) -> ProviderInstance:
        """The provider *name*, made on its first use. Raises ConfigError."""
        made = self._registered.get(name) or self._made.get(name)
        if made is None:
            self._know(name)
            type_ = self._type(name)
            settings = {**self._settings[name], "type": type_}
            if (factory := self._factory(type_)) is not None:
                made = self._made[name] = self._by_another(name, type_, factory, settings)
                return made
            if (vendor := self._vendor(name)) is not None:
                settings["vendor"] = vendor.name
            if type_ not in HERE and not settings.get("base_url"):
                settings["base_url"] = self.address(name)
                if not settings["base_url"]:
                    raise ConfigError(
                        f"provider `{one_line(name, 60)}` has no address",
                        hint=f"set `providers.{one_line(name, 60)}.base_url`: everybody has one of their own there",
                        provider=one_line(name, 60),
                    )
            if type_ not in HERE:
                settings["api_key"], settings["api_key_env"] = self.key_of(name)
            made = self._made[name] = self._make(name, type_, settings)
        return made

    def with_key(self, name: str, api_key: str) -> ProviderInstance:
        """The provider *name*, where it is, with a key that somebody brings along. It is closed with the others.

        Raises ConfigError.
        """
        if name in self._registered or self.type_of(name) in HERE:
            return self.get(name)  # there is no key
        own = f"{name}\0{api_key}"
        if (made := self._made.get(own)) is None:
            if sum("\0" in one for one in self._made) >= MOST_KEYS:
                raise ConfigError(f"more than {MOST_KEYS} keys were brought along", provider=name)
            known = {key: value for key, value in self._settings[name].items() if not key.startswith("api_key")}
            other = ProviderManager({name: {**known, "api_key": api_key}}, name, env={})
            other._types = self._types
            made = self._made[own] = other.get(name)
        return made

    def _make(self, name: str, type_: str, settings: dict[str, Any]) -> ProviderInstance:
        if (dialect := self._spoken(type_)) is not None:
            from llmspell.providers.service import Service

            return Service(name, settings, dialect)
        home, path = TYPES[type_]
        cls: Any = import_module(home)
        for part in path.split("."):
            cls = getattr(cls, part)
        made: ProviderInstance = cls(name, settings)
        return made

    def _by_another(self, name: str, type_: str, factory: Factory, settings: dict[str, Any]) -> ProviderInstance:
        """What the function of a registered type gives. Raises ConfigError where that is no provider."""
        from llmspell.errors import LLMSpellError
        from llmspell.providers.base import ProviderInstance

        settings["api_key"], settings["api_key_env"] = self.key_of(name)
        try:
            made = factory(name, settings)
        except LLMSpellError:
            raise
        except Exception as error:  # another's code
            raise ConfigError(
                f"the provider `{name}` of type `{type_}` cannot be made: {type(error).__name__}: {error}",
                hint="this is a fault of the package that brings the type, or of its settings",
                cause=error,
            ) from None
        if not isinstance(made, ProviderInstance) or made.name != name:
            raise ConfigError(f"the type `{type_}` has made no provider of the name `{name}`")
        return made

    def _know(self, name: str) -> None:
        """Settings for a name that nobody configured: a vendor's, or that of a type. Raises ConfigError."""
        if name in self._settings:
            return
        if name != "mock" and known_vendor(name) is None and self._found_type(name) is None:
            raise self._unknown(name)
        self._settings[name] = {"type": name}

    def _found_type(self, type_: str) -> Any:
        """What makes providers of a type that is none of llmspell's own; None where there is no such type."""
        found = self._types.get(type_)
        if found is None and is_provider_name(type_):
            from llmspell.config import plugins

            found = plugins.load(type_)
            if found is not None:
                self._types[type_] = found
        return found

    def _spoken(self, type_: str) -> type[Dialect] | None:
        """The dialect of a type that was registered or brought as such."""
        found = self._types.get(type_)
        if not isinstance(found, type):
            return None
        from llmspell.providers.dialect import Dialect

        return found if issubclass(found, Dialect) else None

    def _factory(self, type_: str) -> Factory | None:
        """What makes a provider of such a type, where that is no dialect."""
        found: Factory | None = self._types.get(type_)
        return found if found is not None and self._spoken(type_) is None else None

    # What there is, and what it can do

    def is_available(self, name: str) -> bool:
        """Whether there is a provider *name*, and it can be asked as it is configured. Asks nobody."""
        try:
            self.get(name)
            return self.usable(name)
        except ConfigError:
            return False

    def capabilities(self, name: str, model: str | None = None) -> ProviderCapabilities:
        """What provider *name* can do, with *model* or else its default one. Raises ConfigError. Asks nobody."""
        instance = self.get(name)
        return instance.capabilities(model or instance.default_model or None)

    def find(self, **wanted: Any) -> builtins.list[str]:
        """The names of those that can be asked and have what is *wanted*; see `queries.find`."""
        from llmspell.providers import queries

        return queries.find(self, wanted)

    def known(self) -> builtins.list[str]:
        """The names of all that are configured, and of the vendors whose key is there."""
        names = self.names()
        keys = ((name, row.api_key_env) for name, row in vendors().items() if row.base_url)
        return names + [name for name, key in keys if name not in names and key and self._env.get(key)]

    def list(self) -> builtins.list[dict[str, Any]]:
        """What there is to know of each of `known`; see `queries.about`."""
        from llmspell.providers import queries

        return [queries.about(self, name) for name in self.known()]

    async def disconnect(self) -> None:
        """Closes the connections of an event loop that is about to end, and nothing else."""
        for instance in (*self._registered.values(), *self._made.values()):
            await instance.disconnect()

    async def aclose(self) -> None:
        """Closes every provider that was made; they are made anew when they are used again."""
        made, self._made = self._made, {}
        failed: BaseException | None = None
        for instance in (*self._registered.values(), *made.values()):
            try:
                await instance.aclose()
            except BaseException as error:  # the others are closed all the same
                failed = failed or error
        if failed is not None:
            raise failed

    def type_of(self, name: str) -> str:
        """What kind of provider *name* is: its dialect, or a word of its own. Raises ConfigError."""
        if (registered := self._registered.get(name)) is not None:
            return registered.type
        self._know(name)
        return self._type(name)

    def _type(self, name: str) -> str:
        type_ = str(self._settings[name].get("type") or name)
        if type_ not in TYPES and type_ not in self._types:
            if (vendor := known_vendor(type_)) is not None:
                return vendor.type
            if self._found_type(type_) is not None:
                return type_
            raise ConfigError(
                f"`providers.{one_line(name, 60)}.type` is not a type of provider: `{one_line(type_, 60)}`",
                hint=f"there are {', '.join((*TYPES, *self._types))}, and the vendors {', '.join(vendors())}",
            )
        return type_

    def key_of(self, name: str) -> tuple[str | None, str | None]:
        """The key and the variable that holds it.

        A vendor's own key goes to the vendor, and to whatever address the provider of that name was given; no other
        service gets it unless the settings say so.
        """
        settings = self._settings[name]
        variable = settings.get("api_key_env") or self._variable(name)
        key = settings.get("api_key") or None
        if variable is None:
            return key, None
        for one in (variable, OTHER_VARIABLES.get(variable)):
            if key is None and one is not None and (key := self._env.get(one) or None) is not None:
                return key, one
        return key, variable

    def _variable(self, name: str) -> str | None:
        """The variable of the key where the settings name none; None where the vendor takes no key."""
        type_ = self._type(name)
        if type_ not in HERE and self._factory(type_) is None and self._at_home(name):
            vendor = self._vendor(name)
            return vendor.api_key_env if vendor is not None else self._own(type_)[1]
        return "".join(c if c.isalnum() else "_" for c in name).upper() + "_API_KEY"

    def key_source(self, name: str) -> KeySource:
        """Where the key of *name* is. No file is read and no command run."""
        if name in self._registered:
            return KeySource("none")
        self._know(name)
        settings, type_ = self._settings[name], self._type(name)
        if type_ in HERE:
            return KeySource("none")
        key, variable = self.key_of(name)
        if key:
            return KeySource("settings") if settings.get("api_key") else KeySource("variable", variable or "")
        if path := settings.get("api_key_file"):
            return KeySource("file", one_line(str(path), 200))
        if entry := settings.get("api_key_keyring"):
            return KeySource("keyring", one_line(str(entry), 200))
        if command := settings.get("api_key_cmd"):
            return KeySource("command", one_line(str(command[0]), 100))
        vendor = self._vendor(name)
        keyless = type_ == "ollama" or not self._at_home(name) or (vendor is not None and vendor.api_key_env is None)
        if keyless or variable is None or self._factory(type_) is not None:
            return KeySource("none", variable or "")
        return KeySource("missing", variable)

    def _unknown(self, name: str) -> ConfigError:
        from difflib import get_close_matches

        near = get_close_matches(name, [*self.names(), *vendors()], n=1)
        asked = f"did you mean `{near[0]}`? " if near else ""
        return ConfigError(
            f"there is no provider `{one_line(name, 60)}`",
            hint=f"{asked}configured: {', '.join(self.names())}; add others under `[providers.NAME]`",
        )
