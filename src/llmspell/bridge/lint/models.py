"""Providers and models that a script names in so many words, and that nobody knows."""

from __future__ import annotations

import re
from difflib import get_close_matches
from typing import TYPE_CHECKING

from llmspell.bridge.lint.calls import fields_of, listed, named, of_agent_builder, strings, tables
from llmspell.bridge.lint.problems import ERROR, WARNING, Fault
from llmspell.errors import ConfigError, LLMSpellError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Set

    from llmspell.bridge.lint.survey import Survey
    from llmspell.bridge.lint.tree import Call, Constant
    from llmspell.providers.manager import ProviderManager

__all__ = ["check_models"]

LONGEST = 100  # characters of a model's name that are compared
_NO_NUMBER = re.compile(r"[^0-9]+")


def check_models(survey: Survey, assigned: Set[str], providers: ProviderManager) -> Iterator[Fault]:
    """Providers that are named, alone or before a model, and that there are not. Nobody is asked."""
    for node, inside in survey.calls:
        severity = WARNING if survey.protected(inside) else ERROR
        for name, shown in _provider_names(node, assigned):
            try:
                type_ = providers.type_of(shown)
            except ConfigError as error:
                yield Fault(error.message, name.start, name.end, "unknown-provider", severity, error.hint)
                continue
            prefix, _, model = name.value.partition("/")
            if prefix == shown and model:
                yield from _model(name, type_, shown, model)


def _model(name: Constant, type_: str, provider: str, model: str) -> Iterator[Fault]:
    """A model that is surely a slip, or not on this machine."""
    if type_ == "local":
        from llmspell.providers import local_files
        from llmspell.providers.local_weights import DEFAULT_MODEL

        if model == DEFAULT_MODEL:
            return
        try:
            local_files.find(model)
        except NotFoundError as error:
            message = f"there is no model `{model}` on this machine"
            yield Fault(message, name.start, name.end, "unknown-model", WARNING, error.hint)
        except LLMSpellError:
            pass  # a path: the run says what to do instead
        return
    near = _meant(provider, model)
    if near is not None:
        message = f"no model `{model}` of `{provider}` is known"
        yield Fault(message, name.start, name.end, "unknown-model", WARNING, f"did you mean `{provider}/{near}`?")


def _meant(service: str, model: str) -> str | None:
    """The known model that *model* is a slip for. None where it may be one that came after this list was made: another
    number, or more of a name."""
    from llmspell.providers import catalog
    from llmspell.providers.models_data import SERVICES

    name = model.lower()
    if service not in SERVICES or len(name) > LONGEST or catalog.find(service, name) is not None:
        return None
    numbers = _NO_NUMBER.sub(" ", name).split()
    alike = [
        one
        for one in SERVICES[service]
        if _NO_NUMBER.sub(" ", one).split() == numbers and not one.startswith(name) and not name.startswith(one)
    ]
    near = get_close_matches(name, alike, 1, 0.85)
    return near[0] if near else None


def _provider_names(node: Call, assigned: Set[str]) -> Iterator[tuple[Constant, str]]:
    called = named(node, assigned)
    if called is None:
        word = node.method.value if node.method is not None and of_agent_builder(node, assigned) else ""
        for one in strings(node.arguments[0]) if node.arguments and word in ("provider", "model") else ():
            prefix, slash, _ = one.value.partition("/")
            if slash or word == "provider":
                yield one, prefix if word == "model" else one.value
        return
    for table, type_ in tables(called.signature.parameters, called.arguments):
        if type_ in ("AgentConfig", "EmbedConfig"):
            fields = {key.value: value for key, value in fields_of(table)}
            if "base_url" in fields or "custom_config" in fields:
                continue
            if "provider" in fields:  # then a prefix is the model's own
                yield from ((one, one.value) for one in strings(fields["provider"]))
            elif "model" in fields:
                for one in (*strings(fields["model"]), *listed(fields["model"])):
                    prefix, slash, _ = one.value.partition("/")
                    if slash:
                        yield one, prefix
