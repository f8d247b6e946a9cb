"""Which provider answers: names to instances, made when they are first used and kept."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmspell.config.schema import is_provider_name
from llmspell.errors import ConfigError, one_line
from llmspell.providers.vendors import vendor as known_vendor
from llmspell.providers.vendors import vendors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ProviderInstance
    from llmspell.providers.vendors import Vendor

__all__ = ["TYPES", "ProviderManager"]

#: type: where its class is. It is made with a name and the settings.
TYPES = {
    **dict.fromkeys(("openai", "openai-responses", "anthropic", "gemini"), ("llmspell.providers.service", "Service")),
    "ollama": ("llmspell.providers.ollama_server", "OllamaServer"),
    "local": ("llmspell.providers.local", "LocalProvider"),
}
#: type: where its vendor's own service is, and the stem of the variable that holds its key.
OWN = {
    "openai": ("https://api.openai.com/v1", "OPENAI"),
    "openai-responses": ("https://api.openai.com/v1", "OPENAI"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC"),
    "gemini": ("https://generativelanguage.googleapis.com/v1beta", "GEMINI"),
    "ollama": ("http://localhost:11434", "OLLAMA"),
}


class ProviderManager:
    """The configured providers. `aclose` it when its event loop ends.

    providers: name to settings, in the order in which "auto" tries them; `local` is there without being named, and so
        are the vendors. type: one of TYPES or a vendor, or the name if it is one. openai: base_url, api_key_env (the
        variable of the key), api_key (the key itself), model, headers, timeout {connect, first_token, idle, total} in
        seconds; local: see LocalProvider.
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
            elif provider is None and (model in self._settings or model in self._registered):
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
        for name in self._settings:
            if self._type(name) == "local":
                locals_.append(name)
            elif self.usable(name):
                return name
        return locals_[0]

    def usable(self, name: str) -> bool:
        """Whether *name* can be asked as it is configured: it needs no key, or has one."""
        if name in self._registered:
            return True
        if self._type(name) == "local":
            return True
        if self._type(name) == "ollama":  # nobody looks whether a server runs: who names a model has one
            return bool(self._settings[name].get("model"))
        vendor = self._vendor(name)
        if vendor is not None and vendor.api_key_env is None:
            return True
        return not self._at_home(name) or bool(self.key_of(name)[0])

    def address(self, name: str) -> str:
        """Where a provider behind an address is asked; empty where that is not known."""
        return str(self._settings[name].get("base_url") or self._home(name))

    def _home(self, name: str) -> str:
        """Where its vendor's own service is; empty where everybody has an address of their own."""
        vendor = self._vendor(name)
        return vendor.base_url if vendor is not None else OWN[self._type(name)][0]

    def _vendor(self, name: str) -> Vendor | None:
        """The row of `vendors.toml` that a provider's type, or its name, is that of."""
        type_ = str(self._settings[name].get("type") or name)
        return None if type_ in TYPES else known_vendor(type_)

    def _at_home(self, name: str) -> bool:
        """Whether it is its vendor's own service."""
        own = self._home(name)
        return not own or self.address(name).rstrip("/").removesuffix("/v1") == own.removesuffix("/v1")

    def get(self, name: str) -> ProviderInstance:
        """The provider *name*, made on its first use. Raises ConfigError."""
        made = self._registered.get(name) or self._made.get(name)
        if made is None:
            if name not in self._settings:
                if known_vendor(name) is None:
                    raise self._unknown(name)
                self._settings[name] = {"type": name}
            type_ = self._type(name)
            module, cls = TYPES[type_]
            settings = {**self._settings[name], "type": type_}
            if type_ != "local" and not settings.get("base_url"):
                settings["base_url"] = self.address(name)
                if not settings["base_url"]:
                    raise ConfigError(
                        f"provider `{one_line(name, 60)}` has no address",
                        hint=f"set `providers.{one_line(name, 60)}.base_url`: everybody has one of their own there",
                        provider=one_line(name, 60),
                    )
            settings["api_key"], settings["api_key_env"] = self.key_of(name)
            made = self._made[name] = getattr(import_module(module), cls)(name, settings)
        return made

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

    def _type(self, name: str) -> str:
        type_ = str(self._settings[name].get("type") or name)
        if type_ not in TYPES:
            if (vendor := known_vendor(type_)) is not None:
                return vendor.type
            raise ConfigError(
                f"`providers.{one_line(name, 60)}.type` is not a type of provider: `{one_line(type_, 60)}`",
                hint=f"there are {', '.join(TYPES)}, and the vendors {', '.join(vendors())}",
            )
        return type_

    def key_of(self, name: str) -> tuple[str | None, str | None]:
        """The key and the variable that holds it.

        A vendor's own key goes to the vendor, and to whatever address the provider of that name was given; no other
        service gets it unless the settings say so.
        """
        settings = self._settings[name]
        variable = settings.get("api_key_env")
        if not variable:
            vendor, home = self._vendor(name), self._type(name) in OWN and self._at_home(name)
            stem = OWN[self._type(name)][1] if home else "".join(c if c.isalnum() else "_" for c in name).upper()
            variable = vendor.api_key_env if vendor is not None and home else f"{stem}_API_KEY"
            if variable is None:
                return settings.get("api_key") or None, None
        return settings.get("api_key") or self._env.get(variable) or None, variable

    def _unknown(self, name: str) -> ConfigError:
        from difflib import get_close_matches

        near = get_close_matches(name, [*self.names(), *vendors()], n=1)
        asked = f"did you mean `{near[0]}`? " if near else ""
        return ConfigError(
            f"there is no provider `{one_line(name, 60)}`",
            hint=f"{asked}configured: {', '.join(self.names())}; add others under `[providers.NAME]`",
        )
