"""The configuration of a command: files, environment, and the flags of its command line."""

from __future__ import annotations

import os

from llmspell.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from llmspell.config.loader import Config

__all__ = ["configuration"]

#: Which setting a flag stands for.
SETTINGS = {
    "timeout": "runtime.timeout",
    "max_cpu": "runtime.max_cpu",
    "max_memory": "runtime.max_memory",
    "max_tokens_total": "limits.max_tokens_total",
    "max_cost": "limits.max_cost_usd",
    "provider": "providers.default",
    "log_level": "logging.level",
    "log_file": "logging.file",
}
#: Which grants a flag stands for.
GRANTED = {f"allow_{name}": f"permissions.{name}" for name in ("read", "write", "net", "env", "run")}
GRANTED["allow_tool"] = "permissions.tools"


def configuration(options: dict[str, Any], folder: str | None) -> Config:
    """The effective configuration. options: of the command line, by their keys; a model's file becomes `local`.

    folder: from which the project's file is looked for; None where there is none. Raises ConfigError, which names the
    flag where one is wrong.
    """
    from llmspell.config.loader import load  # help comes to this file for its tables alone
    from llmspell.config.schema import split_grants

    flags = {path: options[flag] for flag, path in SETTINGS.items() if options.get(flag) is not None}
    for flag, path in GRANTED.items():
        if (given := options.get(flag)) is not None:
            flags[path] = tuple(one for text in given for one in split_grants(text))
    model = options.get("model")
    if model is not None and model.endswith(".gguf"):  # a file of the user's own, for the embedded engine
        flags["providers.local.model"] = os.path.abspath(model.removeprefix("local/"))
        options["model"] = "local"
    try:
        config = load(
            script_dir=folder,
            config_file=options.get("config"),
            env=os.environ,
            flags=flags,
            profile=options.get("profile"),
        )
        if config.get("logging.level") or config.get("logging.file"):
            from llmspell.cli import logs

            logs.start(config)
        return config
    except ConfigError as error:
        what = error.message.removeprefix("flag: ")
        if what == error.message:
            raise
        settings = (SETTINGS | GRANTED).items()
        flag = next((flag for flag, path in settings if path == error.setting), "provider")
        raise ConfigError(f"--{flag.replace('_', '-')}: {what}", hint=error.hint, cause=error) from None
