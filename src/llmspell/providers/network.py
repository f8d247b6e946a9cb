"""How a service is reached, where the user says so: a proxy, certificates, HTTP/2."""

from __future__ import annotations

import os
import ssl
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

from llmspell.errors import ConfigError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Network", "tls_context"]

PROXIES = ("http://", "https://", "socks5://", "socks5h://")


class Network(NamedTuple):
    """The road to one service.

    proxy: an address, "none" to take none, or None: as the environment says. ca_file: certificates (PEM) that are
    trusted in place of the system's. client_cert: a certificate and its key (PEM) that are shown to the service.
    http2: many calls on one connection, where the service speaks it; needs the extra `http2`.
    """

    proxy: str | None = None
    ca_file: str | None = None
    client_cert: str | None = None
    http2: bool = False

    @classmethod
    def of(cls, name: str, settings: Mapping[str, Any]) -> Network:
        """What a provider's settings say. Raises ConfigError for a proxy that is no address."""
        proxy = settings.get("proxy") or None
        if proxy is not None and proxy != "none" and not str(proxy).lower().startswith(PROXIES):
            raise ConfigError(
                f"`providers.{name}.proxy` is no address of a proxy",
                hint='write it like "http://proxy.example.com:8080" or "socks5://…", or "none" to take none',
                setting=f"providers.{name}.proxy",
            )
        ca_file, client_cert = (
            os.path.expanduser(settings[file]) if settings.get(file) else None for file in ("ca_file", "client_cert")
        )
        return cls(proxy, ca_file, client_cert, bool(settings.get("http2")))


def tls_context(name: str, network: Network) -> ssl.SSLContext:
    """Trusts `ca_file`, else what the system trusts, or what SSL_CERT_FILE and SSL_CERT_DIR name; certifi where there
    is neither. Raises ConfigError for a file that cannot be used."""
    try:
        context = ssl.create_default_context(cafile=network.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise _unusable(name, "ca_file", network.ca_file, error) from None
    paths = ssl.get_default_verify_paths()
    nothing = sys.platform != "win32" and not paths.cafile and not (paths.capath and os.listdir(paths.capath))
    if network.ca_file is None and nothing:
        import certifi

        context.load_verify_locations(certifi.where())
    if network.client_cert is not None:
        try:
            context.load_cert_chain(network.client_cert, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unusable(name, "client_cert", network.client_cert, error) from None
    context.set_alpn_protocols(["h2", "http/1.1"] if network.http2 else ["http/1.1"])
    return context


def _no_password() -> str:
    raise ValueError("its key has a password")  # else OpenSSL asks for it on the terminal


def _unusable(name: str, setting: str, path: str | None, error: Exception) -> ConfigError:
    reason = getattr(error, "strerror", None) or str(error)
    return ConfigError(
        f"`providers.{name}.{setting}` cannot be used: {one_line(path or '', 200)}: {one_line(reason, 120)}",
        hint="name a readable file in PEM form"
        + (" that holds a certificate and its key" if "client" in setting else ""),
        setting=f"providers.{name}.{setting}",
    )
