"""Addresses in the forms that other programs' variables have them."""

from __future__ import annotations

__all__ = ["ollama"]

PORT = 11434


def ollama(text: str) -> str:
    """The base address that `OLLAMA_HOST` means to Ollama's own clients: a host, host:port, :port, or a URL.

    Without a scheme it is http at Ollama's port; with one, at the scheme's own port. `0.0.0.0` and `::` are where a
    server listens, on all that the machine has: a client finds it on the machine itself. What makes no sense is given
    as it is, for the check of a base_url to say so.
    """
    scheme, mark, rest = text.strip().strip("\"'").strip().partition("://")
    if not mark:
        scheme, rest = "http", scheme
    authority, slash, path = rest.partition("/")
    if authority.count(":") > 1 and not authority.startswith("["):  # IPv6, bare
        authority = f"[{authority}]"
    host, colon, port = authority.rpartition(":")
    if not colon or authority.endswith("]"):
        host, port = authority, ""
    host = {"": "localhost", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
    if not mark and host == "ollama.com" and not port:
        scheme = "https"
    elif not mark and not port:
        port = str(PORT)
    return f"{scheme}://{host}{':' if port else ''}{port}{slash}{path}".rstrip("/")
