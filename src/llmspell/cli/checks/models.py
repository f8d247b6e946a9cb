"""What is configured, and which models can answer."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from llmspell.cli.checks import BROKEN, OFF, OK, WARNING, Check, probes, versions
from llmspell.config import discovery
from llmspell.config.schema import KEYS, OWN_VARIABLES, PREFIX, VENDOR_VARIABLES
from llmspell.errors import ConfigError, LLMSpellError, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llmspell.config.loader import Config
    from llmspell.providers.manager import ProviderManager

__all__ = ["ENGINE", "configuration", "models"]

ENGINE = "xllamacpp"  # the module of the embedded engine
INSTALL = "`pip install 'llmspell[local]'`"


def configuration(config: Config | ConfigError, env: Mapping[str, str]) -> Iterator[Check]:
    """Where the configuration comes from, or what is wrong with it."""
    variables = sorted(name for name in env if name.startswith(PREFIX) or name in VENDOR_VARIABLES)
    facts: dict[str, Any] = {
        "environment": [one_line(name, 120) for name in variables],
        "user_file": discovery.user_file(env),
        "system_file": discovery.system_file(env),
    }
    if isinstance(config, ConfigError):
        yield Check("configuration", BROKEN, f"configuration: {config.message}", config.hint, {**facts, "files": []})
        return
    told = ", ".join(config.files) or f"the built-in defaults; a file of yours would be {facts['user_file']}"
    if config.profile is not None:
        told += f"; profile {config.profile}"
    settings = [name for name in variables if name not in OWN_VARIABLES]
    if settings:
        told += f"; environment: {', '.join(settings)}"
    yield Check(
        "configuration",
        OK,
        f"configuration: {told}",
        None,
        {**facts, "files": list(config.files), "profile": config.profile},
    )


def models(config: Config, env: Mapping[str, str], engine: probes.Found) -> Iterator[Check]:
    """Each provider, whether it can answer as far as can be told from here, and who does where none is named."""
    from llmspell.providers.manager import ProviderManager

    settings = config.providers()
    manager = ProviderManager(settings, config.get("providers.default"), env)
    default = manager.default()
    wanted = {name for name in settings if name == default or _is_set_up(config, name)}
    found: dict[str, Check] = {}
    for name in settings:
        if settings[name]["type"] == "local":
            check = _local(name, settings[name], engine, name in wanted)
        else:
            check = _service(name, settings[name], manager, name in wanted)
        found[name] = check
        yield check
    yield _default(default, settings[default], found[default], config.get("providers.default") == "auto")


def _is_set_up(config: Config, name: str) -> bool:
    """Whether somebody has set anything of the provider *name*."""
    paths = (key.path.replace(".NAME.", f".{name}.") for key in KEYS if key.path.startswith("providers.NAME."))
    return any(config.origin(path) != "default" for path in paths)


def _service(name: str, settings: dict[str, Any], manager: ProviderManager, wanted: bool) -> Check:
    """A provider behind an address: whether it has a key. Nobody is asked whether the key is any good."""
    from urllib.parse import urlsplit

    key, variable = manager.key_of(name)
    host = urlsplit(manager.address(name)).netloc
    facts = {"type": settings["type"], "host": host, "key": bool(key), "key_variable": variable}
    facts |= {"model": settings["model"], "usable": manager.usable(name)}
    check = f"provider.{name}"
    if key:
        return Check(check, OK, f"{name}: {host}, with the key in {variable}", None, facts)
    if not host:
        return Check(check, OK, f"{name}: {settings['type']}, without an address", None, facts)
    source = manager.key_source(name)
    if source.kind == "keyring" and find_spec("keyring") is None:
        message = f"{name}: {host}, its key is in the keyring, and the package that reads it is not installed"
        return Check(check, WARNING, message, "`pip install 'llmspell[keyring]'`", {**facts, "usable": False})
    if source.kind in ("file", "keyring", "command"):
        return Check(check, OK, f"{name}: {host}, with the key from the {source.kind} {source.what}", None, facts)
    if settings["type"] == "ollama":
        if settings["model"]:
            message = f"{name}: {host}, {settings['model']}; whether it runs was not asked"
            return Check(check, OK, message, None, facts)
        hint = f"name a model to use it: `--model {name}/MODEL`, or providers.{name}.model"
        return Check(check, OFF, f"{name}: {host}, no model is named", hint, facts)
    if manager.usable(name):
        return Check(check, OK, f"{name}: {host}, without a key ({variable} is not set)", None, facts)
    hint = f"`{_export(str(variable))}`, with your key in it, to use it"
    return Check(check, WARNING if wanted else OFF, f"{name}: no key in {variable}", hint, facts)


def _export(variable: str) -> str:
    return f'$env:{variable} = "..."' if sys.platform == "win32" else f"export {variable}=..."


def _local(name: str, settings: dict[str, Any], engine: probes.Found, wanted: bool) -> Check:
    """The embedded engine and its model's weights."""
    from llmspell.providers import local_weights
    from llmspell.providers.local_store import check_gguf

    check, version = f"provider.{name}", versions.of(ENGINE)
    facts: dict[str, Any] = {"type": "local", "engine": version, "usable": False, "fetched": False}
    facts["model"] = settings["model"]
    head = f"{name}: {ENGINE} {version or '(its version is not told)'}"
    if engine.wrong is not None:
        message = f"{name}: {engine.wrong}" if version is None else f"{head}: {engine.wrong}"
        return Check(check, WARNING if wanted else OFF, message, engine.hint or INSTALL, facts)
    if (least := versions.unmet(ENGINE, version)) is not None:
        hint = f"`{versions.install(ENGINE)}`"
        return Check(check, WARNING, f"{head}, where llmspell wants {least}", hint, facts)
    try:
        facts["path"] = local_weights.where(settings)
        found = local_weights.find(settings)
        if found is not None:
            check_gguf(found)
    except LLMSpellError as error:
        return Check(check, BROKEN, f"{name}: {error.message}", error.hint, facts)
    if found is not None:
        return Check(check, OK, f"{head}, the model is in {found}", None, {**facts, "fetched": True, "usable": True})
    return _without_weights(check, head, settings, wanted, facts)


def _without_weights(check: str, head: str, settings: dict[str, Any], wanted: bool, facts: dict[str, Any]) -> Check:
    from llmspell.providers import local_weights

    model = settings["path"] or settings["model"]
    if not local_weights.built_in(settings):
        hint = "name the path of one that is here, or bring it with `llmspell models pull FILE.gguf`"
        return Check(check, WARNING, f"{head}, but there is no model {model}", hint, facts)
    damaged = os.path.exists(facts["path"])
    message = f"{head}, but {facts['path']} is damaged" if damaged else f"{head}, the model {model} is not fetched yet"
    by_itself = settings["pull"] == "auto"
    hint = "`llmspell models pull` fetches it" + ("; else its first call does" if by_itself else "")
    return Check(check, WARNING if wanted or damaged else OFF, message, hint, {**facts, "usable": by_itself})


def _default(name: str, settings: dict[str, Any], provider: Check, auto: bool) -> Check:
    """Who answers where a script names no model."""
    model = os.path.basename(settings.get("path") or "") or settings["model"]
    facts = {"provider": name, "model": model, "usable": provider.facts["usable"] and bool(model)}
    head = "where a script names no model,"
    if facts["usable"]:
        return Check("default", OK, f"{head} {name}/{model} answers", None, facts)
    if not model:
        hint = f"set providers.{name}.model, or name a model in the script"
        return Check("default", WARNING, f"{head} {name} would answer, and has no model of its own", hint, facts)
    other = "or give another provider its key" if auto else "or choose another as `providers.default`"
    return Check(
        "default", WARNING, f"{head} {name}/{model} would answer, and cannot", f"see {name} above; {other}", facts
    )
