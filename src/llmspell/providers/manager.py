"""Which provider answers: names to instances, made when they are first used and kept."""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmspell.providers.base import ProviderInstance

__all__ = ["TYPES", "ProviderManager"]

#: type: where its class is. It is made with a name and the settings.
TYPES = {
    **dict.fromkeys(
        ("openai", "openai-responses", "anthropic", "gemini", "ollama"), ("llmspell.providers.service", "Service")
    ),
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

    providers: name to settings, in the order in which "auto" tries them; `local` is there without being named.
        type: one of TYPES, or the name if it is one. openai: base_url, api_key_env (the variable of the key),
        api_key (the key itself), model, headers, timeout {connect, first_token, idle, total} in seconds; local: see
        LocalProvider.
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

    def __repr__(self) -> str:
        return f"ProviderManager({', '.join(self._settings)})"  # settings may hold a key

    def names(self) -> list[str]:
        """The providers' names, in order."""
        return list(self._settings)

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
            elif provider is None and model in self._settings:
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
        locals_ = []
        for name in self._settings:
            if self._type(name) == "local":
                locals_.append(name)
            elif self.usable(name):
                return name
        return locals_[0]

    def usable(self, name: str) -> bool:
        """Whether *name* can be asked as it is configured: it needs no key, or has one."""
        if self._type(name) == "local":
            return True
        if self._type(name) == "ollama":
            return bool(
                self._settings[name].get("model")
            )  # nobody looks whether a server runs: who names a model has one
        return not self._at_home(name) or bool(self.key_of(name)[0])

    def address(self, name: str) -> str:
        """Where a provider behind an address is asked."""
        return str(self._settings[name].get("base_url") or OWN[self._type(name)][0])

    def _at_home(self, name: str) -> bool:
        """Whether it is its vendor's own service."""
        own = OWN[self._type(name)][0]
        return self.address(name).rstrip("/").removesuffix("/v1") == own.removesuffix("/v1")

    def get(self, name: str) -> ProviderInstance:
        """The provider *name*, made on its first use. Raises ConfigError."""
        made = self._made.get(name)
        if made is None:
            if name not in self._settings:
                raise self._unknown(name)
            module, cls = TYPES[self._type(name)]
            settings = {**self._settings[name], "type": self._type(name)}
            settings["api_key"], settings["api_key_env"] = self.key_of(name)
            made = self._made[name] = getattr(import_module(module), cls)(name, settings)
        return made

    async def aclose(self) -> None:
        """Closes every provider that was made; they are made anew when they are used again."""
        made, self._made = self._made, {}
        failed: BaseException | None = None
        for instance in made.values():
            try:
                await instance.aclose()
            except BaseException as error:  # the others are closed all the same
                failed = failed or error
        if failed is not None:
            raise failed

    def _type(self, name: str) -> str:
        type_ = str(self._settings[name].get("type") or name)
        if type_ not in TYPES:
            raise ConfigError(
                f"`providers.{one_line(name, 60)}.type` is not a type of provider: `{one_line(type_, 60)}`",
                hint=f"there are {', '.join(TYPES)}",
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
            known = self._type(name) in OWN and self._at_home(name)
            stem = OWN[self._type(name)][1] if known else "".join(c if c.isalnum() else "_" for c in name).upper()
            variable = f"{stem}_API_KEY"
        return settings.get("api_key") or self._env.get(variable) or None, variable

    def _unknown(self, name: str) -> ConfigError:
        from difflib import get_close_matches

        near = get_close_matches(name, self._settings, n=1)
        asked = f"did you mean `{near[0]}`? " if near else ""
        return ConfigError(
            f"there is no provider `{one_line(name, 60)}`",
            hint=f"{asked}configured: {', '.join(self._settings)}; add others under `[providers.NAME]`",
        )
