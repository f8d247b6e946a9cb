"""Services that speak a dialect of another's, as data: `vendors.toml` beside this file, read when one is looked for."""

from __future__ import annotations

import os
from functools import cache
from typing import Any, NamedTuple

__all__ = ["Vendor", "host_of", "register_vendor", "vendor", "vendor_at", "vendors"]


class Vendor(NamedTuple):
    """A row of `vendors.toml`, whose head says what its fields mean."""

    name: str
    type: str = "openai"
    base_url: str = ""
    api_key_env: str | None = None
    auth: str = "bearer"
    usage: bool = True
    seed: str = "seed"
    reasoning: str = "effort"
    takes: tuple[str, ...] = ("image", "audio", "file")
    files: str = "file"
    makes: tuple[str, ...] | None = None
    result_media: tuple[str, ...] = ()
    form: str = "native"
    form_with_tools: bool = True
    choice: bool = True
    required: str = "required"
    strict: bool = True
    ids: str = ""
    openais: bool = False
    keeps: str = ""
    embedding: str = ""
    embeds: bool = True
    dimensions: str = "dimensions"
    body: dict[str, Any] = {}  # noqa: RUF012 (a NamedTuple's default; never written to)


@cache
def vendors() -> dict[str, Vendor]:
    """All of them, by name."""
    import tomllib

    with open(os.path.join(os.path.dirname(__file__), "vendors.toml"), "rb") as file:
        rows = tomllib.load(file)
    return {name: Vendor(name, **{key: _fixed(value) for key, value in row.items()}) for name, row in rows.items()}


def _fixed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def register_vendor(row: Vendor) -> None:
    """Makes a vendor known that `vendors.toml` has no row of, for this process: also as a type in configurations.

    Raises ConfigError for a name that is none or taken, and for a dialect that there is not.
    """
    from llmspell.config import plugins, schema
    from llmspell.errors import ConfigError, one_line

    shown = one_line(row.name, 60)
    if not schema.is_provider_name(row.name) or row.name in schema.PROVIDER_TYPES or row.name in vendors():
        raise ConfigError(
            f"a vendor cannot be called `{shown}`",
            hint="small letters, digits, - and _, a letter first, and no name that is taken",
        )
    if row.type not in schema.PROVIDER_TYPES or row.type in ("local", "mock"):
        raise ConfigError(f"the vendor `{shown}` speaks no known dialect", hint="`type` is openai, anthropic, gemini …")
    vendors()[row.name] = row
    plugins.add(row.name)


def vendor(name: str) -> Vendor | None:
    """The one of that name."""
    return vendors().get(name)


def host_of(url: str) -> str:
    """The host of an address, in lower case."""
    return url.partition("//")[2].partition("/")[0].rpartition("@")[2].partition(":")[0].lower()


def vendor_at(host: str) -> Vendor | None:
    """The one whose address has that *host*. This machine is nobody's."""
    if host in ("localhost", "127.0.0.1", "::1"):
        return None
    azure = host.endswith((".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"))
    for one in vendors().values():
        if (one.base_url and host_of(one.base_url) == host) or (azure and one.name == "azure"):
            return one
    return None
