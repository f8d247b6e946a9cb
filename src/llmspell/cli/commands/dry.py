"""`llmspell run --dry-run`: all that can be looked at without running the script, and what a run would be given.

The script is loaded and no line of it runs. What a run does depends on what it is answered, so nobody is asked, and no
answer is made up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from llmspell.cli.asking import written
from llmspell.cli.render.terminal import harmless
from llmspell.errors import ConfigError, LLMSpellError, ValidationError

if TYPE_CHECKING:
    from llmspell.cli.commands.run import Command
    from llmspell.config.loader import Config

__all__ = ["dry_run"]

GRANTS = ("read", "write", "net", "env", "run", "tools")
LIMITS = {
    "timeout": ("runtime.timeout", "{:g} s"),
    "max_cpu": ("runtime.max_cpu", "{:g} s of computing"),
    "max_memory": ("runtime.max_memory", "memory"),
    "max_tokens_total": ("limits.max_tokens_total", "{:,} tokens"),
    "max_cost_usd": ("limits.max_cost_usd", "${:g}"),
}


def dry_run(command: Command) -> int:
    """Checks and tells; gives the exit code. Raises LLMSpellError for what would end a run before its first call."""
    options = command.options
    if options.get("record") is not None or options.get("replay") is not None:
        command.unread = True  # a mistake of usage
        raise ValidationError(
            "--dry-run runs nothing, so there is nothing to record or to replay",
            hint="leave out `--dry-run`, or `--record` and `--replay`",
        )
    config = command.configuration()
    runtime = command.loaded(config)
    command.check(runtime)
    plan: dict[str, Any] = {
        "script": command.name,
        "lines": command.source.count(b"\n") + (not command.source.endswith(b"\n") and command.source != b""),
        "args": command.args,
        "configuration": list(config.files),
        "model": _model(config, options),
        "limits": {name: config.get(path) for name, (path, _) in LIMITS.items()},
        "grants": {name: list(config.permissions()[name]) for name in GRANTS},
    }
    if plan["model"]["key"] == "missing" and _named(config, options):
        raise ConfigError(
            f"{plan['model']['provider']} has no key: {plan['model']['key_variable']} is not set",
            hint=f"set {plan['model']['key_variable']}, or name another model",
            provider=plan["model"]["provider"],
        )
    return written(_words(plan), {"plan": plan, "exit_code": 0}, options)


def _named(config: Config, options: dict[str, Any]) -> bool:
    """Whether somebody has said who is to answer where the script does not."""
    return bool(options.get("model")) or config.get("providers.default") != "auto"


def _model(config: Config, options: dict[str, Any]) -> dict[str, Any]:
    """Who answers where the script names no model, and whether it can, as far as can be told without asking it."""
    from llmspell.providers.manager import ProviderManager

    manager = ProviderManager(config.providers(), config.get("providers.default"))
    provider, model = manager.resolve(options.get("model"), options.get("provider"))
    source = manager.key_source(provider.name)
    told: dict[str, Any] = {"provider": provider.name, "model": model, "key": source.kind}
    if source.kind in ("variable", "missing"):
        told["key_variable"] = source.what
    if manager.type_of(provider.name) == "local":
        settings = config.providers().get(provider.name, {})
        named = {} if model == provider.default_model else {"model": model, "path": None}
        told["fetched"] = _is_here({**settings, **named}, provider.name)
    return told


def _is_here(settings: dict[str, Any], provider: str) -> bool:
    """Whether an embedded model is on this machine. Raises LLMSpellError where it neither is nor will be fetched."""
    from llmspell.providers import local_weights

    if local_weights.find(settings) is None and local_weights.built_in(settings) and settings.get("pull") != "never":
        return False
    try:
        local_weights.ensure({**settings, "pull": "never"})
    except LLMSpellError as error:
        error.context["provider"] = provider
        raise
    return True


KEYS = {
    "variable": "with the key in {key_variable}",
    "file": "with the key from a file",
    "command": "with the key from a command",
    "settings": "with a key",
    "none": "which needs no key",
    "missing": "without a key: {key_variable} is not set",
}


def _words(plan: dict[str, Any]) -> str:
    """The plan, for a person."""
    model = plan["model"]
    answers = f"{model['provider']}/{model['model']}, {KEYS[model['key']].format(**model)}"
    if model.get("fetched") is False:
        answers += "; it is fetched first"
    limits = [
        _size(value) if words == "memory" else words.format(value)
        for (_, words), value in zip(LIMITS.values(), plan["limits"].values(), strict=True)
        if value
    ]
    rows = [
        ("script", f"{plan['script']}, {plan['lines']} line{'s' * (plan['lines'] != 1)} of Lua"),
        ("arguments", " ".join(plan["args"]) or "none"),
        ("configuration", ", ".join(plan["configuration"]) or "the built-in defaults"),
        ("model", f"{answers} (for agents that name none)"),
        ("limits", ", ".join(limits) or "none"),
        *((f"may {_MAY[name]}", ", ".join(granted) or "none") for name, granted in plan["grants"].items()),
        ("", "Nothing was run. `llmspell validate` looks at what the script names."),
    ]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:{width if name else 0}}{harmless(value, keep_newlines=False)}" for name, value in rows)


_MAY = {
    "read": "read",
    "write": "write",
    "net": "reach",
    "env": "read variables",
    "run": "run",
    "tools": "use tools",
}


def _size(size: int) -> str:
    return f"{size / (1 << 20):g} MB of memory"
