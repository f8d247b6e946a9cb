"""What one grant covers: paths, hosts, variables, programs, tools."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Any

from llmspell.utils.places import is_of_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

__all__ = [
    "Exactly",
    "Grant",
    "flag_for",
    "grant_for",
    "host_and_port",
    "host_of",
    "is_address",
    "is_public",
    "read",
    "wanted",
    "with_port",
]

_NAT64 = 0x0064FF9B << 64  # 64:ff9b::/96, without its last 32 bits
LONGEST = 4096  # characters of a grant, and of what is wanted
LONGEST_FLAG = 1000  # characters of one that is told


class Grant:
    """A test of what is wanted, as `wanted` gives it."""

    def __call__(self, what: Any) -> bool:
        raise NotImplementedError

    def names_address(self, host: str, port: int | None, address: str) -> bool:
        """Whether it names a special address, or a name that stands for one."""
        return False


class All(Grant):
    """`*`."""

    def __call__(self, what: Any) -> bool:
        return True


class AllPaths(Grant):
    """`*` of paths."""

    def __call__(self, what: str) -> bool:
        return not is_of_processes(what)


class Exactly(Grant):
    """What was wanted, and nothing else: no character of it is a pattern."""

    def __init__(self, what: Any) -> None:
        self.what = what

    def __call__(self, what: Any) -> bool:
        return bool(what == self.what)


class PathGrant(Grant):
    """A folder or a file, with all below it."""

    def __init__(self, path: str) -> None:
        self.root = path

    def __call__(self, what: str) -> bool:
        root = os.path.realpath(self.root)  # each time: what it is may change
        if is_of_processes(what) and not is_of_processes(root):
            return False
        if os.name == "nt":
            root, what = os.path.normcase(root), os.path.normcase(what)
        return what == root or what.startswith(root.rstrip(os.sep) + os.sep)


class NameGrant(Grant):
    """A name, or names that begin alike: `APP_*`."""

    def __init__(self, pattern: str) -> None:
        self.begin, self.open = pattern.removesuffix("*"), pattern.endswith("*")

    def __call__(self, what: str) -> bool:
        return what.startswith(self.begin) if self.open else what == self.begin


class HostGrant(Grant):
    """A host by name, with a port of its own or any."""

    def __init__(self, host: str, port: int | None) -> None:
        self.host, self.port = host, port

    def __call__(self, what: tuple[str, int | None]) -> bool:
        host, port = what
        if self.port is not None and port is not None and port != self.port:
            return False
        if self.host.startswith("*."):
            return host.endswith(self.host[1:]) and len(host) > len(self.host) - 1
        return host == self.host

    def names_address(self, host: str, port: int | None, address: str) -> bool:
        from ipaddress import ip_address

        local = self.host == "localhost" or self.host.endswith(".localhost")
        return local and self((host_of(host), port)) and _plain(ip_address(address)).is_loopback


class AddressGrant(Grant):
    """An address, or a network of them: `10.0.0.0/8`."""

    def __init__(self, network: IPv4Network | IPv6Network, port: int | None) -> None:
        self.network, self.port = network, port

    def _has(self, address: str, port: int | None) -> bool:
        from ipaddress import ip_address

        if self.port is not None and port is not None and port != self.port:
            return False
        try:
            found = ip_address(address)
        except ValueError:
            return False
        alone = self.network.num_addresses == 1 and found == self.network.network_address
        return alone or _plain(found) in self.network

    def __call__(self, what: tuple[str, int | None]) -> bool:
        return self._has(*what)

    def names_address(self, host: str, port: int | None, address: str) -> bool:
        return self._has(address, port)


class RunGrant(Grant):
    """A program, and patterns of its arguments: none is any, a last `*` is any more, `''` alone is that it has none."""

    def __init__(self, words: list[str]) -> None:
        self.program, patterns = words[0], words[1:]
        self.more = not patterns or patterns[-1] == "*"
        if self.more or patterns == [""]:
            patterns = patterns[:-1]
        self.arguments = [_pieces(one) for one in patterns]

    def __call__(self, what: list[str]) -> bool:
        program, *arguments = what
        if program != self.program and not (os.sep in self.program and _same_file(program, self.program)):
            return False
        if self.more:
            arguments = arguments[: len(self.arguments)]
        return len(arguments) == len(self.arguments) and all(map(_fits, self.arguments, arguments))


def _pieces(pattern: str) -> list[str]:
    """What stands between the `*` of a pattern; after a backslash, `*` and the backslash stand for themselves."""
    pieces, escaped = [""], False
    for char in pattern:
        if escaped:
            pieces[-1] += char if char in "*\\" else f"\\{char}"
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == "*":
            pieces.append("")
        else:
            pieces[-1] += char
    return [*pieces[:-1], pieces[-1] + "\\" * escaped]


def _fits(pieces: list[str], text: str) -> bool:
    """Any characters may stand between two pieces, and none before the first or after the last."""
    first, *rest = pieces
    if not rest:
        return first == text
    last = rest.pop()
    if not text.startswith(first) or not text.endswith(last) or len(text) < len(first) + len(last):
        return False
    at, end = len(first), len(text) - len(last)
    for piece in rest:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _same_file(one: str, other: str) -> bool:
    """Whether both are one name in one folder; two names of a file may be two programs, as BusyBox's are."""
    return os.sep in one and _in_its_folder(one) == _in_its_folder(other)


def _in_its_folder(path: str) -> str:
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


# ---- reading


def _path(text: str, base: str) -> Grant:
    if "\0" in text:
        raise ValueError("expected a path")
    return PathGrant(os.path.join(base, os.path.expanduser(text)))


def _host(text: str, base: str) -> Grant:
    from ipaddress import ip_network

    if "://" in text:
        raise ValueError("expected a host such as example.com or example.com:8443, and no address of a page")
    if "/" in text:
        try:
            return AddressGrant(ip_network(text, strict=False), None)
        except ValueError:
            raise ValueError("expected a host, or a network such as 10.0.0.0/8") from None
    host, port = host_and_port(text)
    try:
        return AddressGrant(ip_network(host), port)
    except ValueError:
        pass
    name = host.removeprefix("*.")
    if not name or "*" in name or not all(c.isalnum() or c in "-._" for c in name):
        raise ValueError("expected a host such as example.com, *.example.com, example.com:8443 or 127.0.0.1")
    return HostGrant(host, port)


def _name(text: str, base: str) -> Grant:
    name = text.removesuffix("*")
    if not name.replace("_", "a").isalnum() or not name.isascii():
        raise ValueError("expected the name of a variable, or its beginning with a `*`")
    return NameGrant(text if os.name != "nt" else text.upper())


def _tool(text: str, base: str) -> Grant:
    name = text.removesuffix("*")
    if not name.replace("_", "a").replace("-", "a").isalnum():
        raise ValueError("expected the name of a tool, or its beginning with a `*`")
    return NameGrant(text.replace("-", "_"))


def _run(text: str, base: str) -> Grant:
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("expected a program, and arguments whose quotes are closed") from None
    if not words or not words[0] or "*" in words[0]:
        raise ValueError("expected a program, and patterns of its arguments")
    return RunGrant(_placed([os.path.expanduser(words[0]), *words[1:]], base))


def _placed(words: list[str], base: str) -> list[str]:
    """A program that is named by its path is below *base*; others are found by PATH."""
    program = words[0]
    return [os.path.normpath(os.path.join(base, program)) if os.sep in program else program, *words[1:]]


_READ: dict[str, Callable[[str, str], Grant]] = {
    "read": _path,
    "write": _path,
    "net": _host,
    "env": _name,
    "run": _run,
    "tool": _tool,
}


def read(capability: str, text: str, base: str) -> Grant:
    """The grant that *text* stands for. Raises ValueError, which says what was expected."""
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST or not text.isprintable():
        raise ValueError("expected a printable text")
    path = capability in ("read", "write")  # whose spaces are its own
    if text == "*":
        return AllPaths() if path else All()
    return _READ[capability](text if path else text.strip(), base)


def wanted(capability: str, what: str, base: str) -> Any:
    """What is wanted, as the tests of that capability take it. Raises ValueError for what can never be granted."""
    if not what or "\0" in what:
        raise ValueError("nothing is wanted")
    if len(what) > LONGEST and capability != "run":  # to follow it would take longer than all else together
        raise ValueError(f"expected at most {LONGEST} characters")
    if capability in ("read", "write"):
        try:
            return os.path.realpath(os.path.join(base, what))
        except OSError:  # it changes while it is looked at
            raise ValueError("expected a path that stays") from None
    if "*" in what and capability in ("net", "env", "tool"):
        raise ValueError("expected a name and no pattern")
    if capability == "net":
        return host_and_port(what)
    if capability == "run":
        words = shlex.split(what)
        if not words:
            raise ValueError("expected a program")
        return _placed(words, base)
    if capability == "tool":
        return what.replace("-", "_")
    return what.upper() if os.name == "nt" else what


def grant_for(capability: str, what: str, base: str) -> str:
    """The narrowest grant that covers *what*. Raises ValueError where no text is one."""
    found = wanted(capability, what, base)
    text = found if capability in ("read", "write") else _command(found) if capability == "run" else what
    if not read(capability, text, base)(found):
        raise ValueError("expected what a grant can name")
    return str(text)


def _command(words: list[str]) -> str:
    """The grant of one command with its arguments, and with no others."""
    program, *arguments = words
    plain = [one.replace("\\", "\\\\").replace("*", "\\*") for one in arguments]
    return shlex.join([program, *(plain or [""])])


def flag_for(capability: str, wanted: Iterable[str], base: str) -> str | None:
    """What `--allow-…=` has to say to grant it and no more, as a shell takes it; None where no text does."""
    try:
        texts = [grant_for(capability, what, base) for what in wanted]
    except ValueError:
        return None
    if any(text != text.strip() for text in texts):  # around a flag's commas, spaces count for nothing
        return None
    flag = _quoted(",".join(text.replace(",", ",,") for text in texts))
    return flag if len(flag) <= LONGEST_FLAG else None


def _quoted(text: str) -> str:
    """For a shell; a text with a `'` stays readable where it can."""
    return f'"{text}"' if "'" in text and not any(c in text for c in '"$`\\!') else shlex.quote(text)


# ---- hosts


def host_of(host: str) -> str:
    """A host's name as it is compared: small letters, ASCII, no dot at its end. Raises ValueError for none."""
    text = host.strip().rstrip(".").lower()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            raise ValueError("expected a host") from None
    if not text or len(text) > 253 or any(c in text for c in "/@?#\\ %\t\r\n"):
        raise ValueError("expected a host")
    if any(not 0 < len(label) < 64 for label in text.split(".")):
        raise ValueError("expected a host")
    return text


def host_and_port(text: str) -> tuple[str, int | None]:
    """`host`, `host:port`, `[::1]:80`; a bare IPv6 address has no port. Raises ValueError."""
    host, port = text.strip(), ""
    if host.startswith("["):
        host, mark, port = host[1:].partition("]")
        if not mark or (port and not port.startswith(":")):
            raise ValueError("expected a host")
        port = port[1:]
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("expected a port from 1 to 65535")
    return host_of(host), int(port) if port else None


def with_port(host: str, port: int) -> str:
    """A host and its port as `host_and_port` reads them."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _plain(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 one carries, else itself."""
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None)
    if inner is None and address.version == 6:
        teredo: Any = getattr(address, "teredo", None)
        if teredo:
            inner = teredo[1]
        elif int(address) >> 32 == _NAT64:
            from ipaddress import IPv4Address

            inner = IPv4Address(int(address) & 0xFFFFFFFF)
    return inner or address


def is_address(host: str) -> bool:
    """Whether a host is an address, and no name."""
    from ipaddress import ip_address

    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet: not private, loopback, link-local, multicast or reserved."""
    from ipaddress import ip_address

    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    plain = _plain(found)
    if plain.version == 6 and int(plain) >> 125 != 1:  # what is given out for the internet is 2000::/3
        return False
    return plain.is_global and not (plain.is_multicast or plain.is_reserved or plain.is_unspecified)
