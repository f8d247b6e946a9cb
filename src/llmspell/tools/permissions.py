"""What a script was granted: capabilities, denied by default, asked for in one place.

A path is compared after its links were followed, a host as it was named and, by whoever connects, once more with the
addresses that its name has (`allows_address`).
"""

from __future__ import annotations

import os
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from llmspell.errors import PermissionDeniedError, ValidationError, one_line
from llmspell.tools import grants
from llmspell.utils.places import Place

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

__all__ = ["CAPABILITIES", "Permissions", "Wanted"]

#: The capabilities, and how what is wanted of each is told.
CAPABILITIES = {
    "read": "read",
    "write": "write to",
    "net": "connect to",
    "env": "read the variable",
    "run": "run",
    "tool": "use the tool",
}
VERBS = {**CAPABILITIES, "call": "call"}
MOST_ASKED = 1000  # answers that are kept
MOST_SHOWN = 1000  # characters of what is wanted that a person reads


class Wanted:
    """What is asked of a person. capability: one of CAPABILITIES, or "call": a tool's call that is to be approved;
    what: the path, host, … ; by: who wants it.
    """

    __slots__ = ("by", "capability", "what")

    def __init__(self, capability: str, what: str, by: str) -> None:
        self.capability, self.what, self.by = capability, what, by

    def __str__(self) -> str:
        by = one_line(self.by, 60).replace("`", "'")  # a script names its agents, and may mean to say more by it
        return f"`{by}` wants to {VERBS[self.capability]} `{_visible(self.what)}`"


def _visible(text: str) -> str:
    """One line that hides nothing: what cannot be printed stands as its code; of a long text there are both ends."""
    if (more := len(text) - MOST_SHOWN) > 0:
        half = MOST_SHOWN // 2
        text = f"{text[:half]} …{more} characters more… {text[-half:]}"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Permissions:
    """Grants by capability.

    read, write: folders and files, with all that is below; relative ones are below *base* (default: the working
    folder). net: hosts, "example.com", "*.example.com", "example.com:8443", "127.0.0.1", "10.0.0.0/8"; private and
    loopback addresses only where they are named so, or "localhost". env: variables, "APP_*". run: programs, each with
    the arguments that it may have, in the shell's way: "git status", "ls -l *"; a program alone may have any.
    tool: tools by name. "*" is all of a capability, but for private addresses.
    ask: is asked for what is not granted, a function of Wanted to "once", "always", or anything else for no; without
    it that is denied.

    Raises ValidationError for a grant that is none.
    """

    def __init__(
        self,
        *,
        read: Iterable[str] = (),
        write: Iterable[str] = (),
        net: Iterable[str] = (),
        env: Iterable[str] = (),
        run: Iterable[str] = (),
        tool: Iterable[str] = ("*",),
        ask: Callable[[Wanted], Awaitable[str]] | None = None,
        base: str | None = None,
    ) -> None:
        self.base = os.path.abspath(base or os.getcwd())
        self.ask = ask
        self.granted: dict[str, list[str]] = {}
        self._tests: dict[str, list[grants.Grant]] = {}
        self._lock: tuple[asyncio.AbstractEventLoop, asyncio.Lock] | None = None
        self._denied: set[tuple[str, str]] = set()
        self._approved: set[str] = set()  # tools whose calls a person has let pass for good
        given = {"read": read, "write": write, "net": net, "env": env, "run": run, "tool": tool}
        for capability, found in given.items():
            self.granted[capability], self._tests[capability] = [], []
            for one in (found,) if isinstance(found, str) else found:
                self.grant(capability, one)

    @classmethod
    def of(cls, settings: Mapping[str, Any], **more: Any) -> Permissions:
        """From the table `[permissions]` of the configuration: `tools` is its word for tool."""
        known = {"tool" if name == "tools" else name: value for name, value in settings.items()}
        return cls(**known, **more)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={found}" for name, found in self.granted.items() if found)
        return f"Permissions({told})"

    def grant(self, capability: str, what: str) -> None:
        """Adds one. Raises ValidationError."""
        try:
            test = grants.read(capability, what, self.base)
        except ValueError as error:
            raise ValidationError(
                f"`{one_line(what, 100)}` cannot be granted to {capability}: {error}",
                hint="see docs/guide/permissions.md",
            ) from None
        self.granted[capability].append(what)
        self._tests[capability].append(test)

    # ---- asking

    def allows(self, capability: str, what: str) -> bool:
        """Whether it is granted; asks nobody. what: a path, "host" or "host:port", a variable, a command, a tool."""
        try:
            wanted = grants.wanted(capability, what, self.base)
        except ValueError:
            return False
        return any(test(wanted) for test in self._tests[capability])

    def allows_host(self, what: str) -> bool:
        """Whether "host" or "host:port" may be connected to, as far as that is told without looking a name up."""
        if not self.allows("net", what):
            return False
        host, port = grants.host_and_port(what)
        address = "127.0.0.1" if host == "localhost" or host.endswith(".localhost") else host
        return not grants.is_address(address) or self.allows_address(host, port, address)

    def allows_address(self, host: str, port: int | None, address: str) -> bool:
        """Whether *host*, which may be connected to, may be so at *address*, one of those that its name has.

        Private, loopback, link-local and other special addresses only where a grant names them.
        """
        if grants.is_public(address):
            return True
        return any(test.names_address(host, port, address) for test in self._tests["net"])

    async def need(self, capability: str, what: str, *, by: str) -> None:
        """Returns where it is granted, or a person says so. by: the tool or the function that wants it.

        Raises PermissionDeniedError, whose hint is the flag that would grant it.
        """
        if self.allows(capability, what):
            return
        if self.ask is not None and await self._asked(Wanted(capability, what, by)):
            return
        raise self.denied(capability, what, by=by)

    async def need_address(self, host: str, port: int, address: str, *, by: str) -> None:
        """The same for where a *host*, which may be connected to, leads: see `allows_address`."""

        def granted() -> bool:
            return self.allows_address(host, port, address)

        what = grants.with_port(address, port)
        if granted() or (self.ask is not None and await self._asked(Wanted("net", what, by), granted)):
            return
        raise self.denied(
            "net",
            what,
            by=by,
            why=f": the host `{host}` leads there, which is no public address",
            beside=() if address == host else (grants.with_port(host, port),),  # a flag stands in place of all
        )

    async def place(self, capability: str, path: str, *, by: str) -> Place:
        """Where a file is that may be read or written ("read", "write"). Raises as `need` does.

        Links are followed here, once: whoever opens the place follows none that was put there since.
        """
        place = self.place_granted(capability, path)
        if place is not None:
            return place
        real = self._real(path)
        if self.ask is None or not await self._asked(Wanted(capability, real, by)):
            raise self.denied(capability, path, by=by)
        return _below(_top(real), real, path)

    def place_granted(self, capability: str, path: str) -> Place | None:
        """The same of what is granted; asks nobody. None where it is not. Raises ValidationError for one that no system
        takes.
        """
        if len(path) > grants.LONGEST:
            raise ValidationError(f"`{one_line(path, 60)}` is longer than the {grants.LONGEST} characters of a path")
        try:
            real = grants.wanted(capability, path, self.base)
        except ValueError:
            return None
        for test in self._tests[capability]:
            if test(real):
                top = os.path.realpath(test.root) if isinstance(test, grants.PathGrant) else _top(real)
                root = top
                while not os.path.isdir(root):  # what was granted may be a file, or is yet to be made
                    root = os.path.dirname(root)
                return _below(root, real, path)
        return None

    def _real(self, path: str) -> str:
        return os.path.realpath(os.path.join(self.base, path.replace("\0", "")))

    async def approves(self, tool: str, arguments: str, *, by: str) -> bool | str:
        """Whether a person lets *by* call a tool with those arguments; where there is nobody to ask, why not.

        "always" holds for that tool, whatever it is called with.
        """
        if self.ask is None:
            return "there is nobody to ask: run it on a terminal with --ask"
        async with self._asking():
            if tool in self._approved:
                return True
            said = await self.ask(Wanted("call", f"{tool} {arguments}", by))
            if said == "always":
                self._approved.add(tool)
            return said in ("once", "always")

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[None]:
        """While a person is asked: one question at a time, as far as they come from one event loop."""
        import asyncio

        from llmspell.tools.clocks import standing_still

        loop = asyncio.get_running_loop()
        if self._lock is None or self._lock[0] is not loop:
            self._lock = loop, asyncio.Lock()
        with standing_still():
            async with self._lock[1]:
                yield

    def denied(
        self, capability: str, what: str, *, by: str, why: str = "", beside: Iterable[str] = ()
    ) -> PermissionDeniedError:
        """The error for what is not granted. beside: what else of that capability the same call needs."""
        if "logging" in sys.modules:  # else nobody listens
            from llmspell.utils import logs

            # What it was may be a tool's argument, and those are a model's words.
            logs.tell("permissions", 30, "permission denied", {"capability": capability, "by": by})
        shown = one_line(what, 200)
        flag = grants.flag_for(capability, (*beside, what), self.base)
        hint = f"to allow it: --allow-{capability}={flag}, or `permissions.{_setting(capability)}`"
        if flag is None:
            hint = f"no --allow-{capability}=… can name just that; with --ask a person may allow it"
        return PermissionDeniedError(
            f"`{one_line(by, 100)}` may not {CAPABILITIES[capability]} `{shown}`{why}", hint=hint, capability=capability
        )

    async def _asked(self, wanted: Wanted, granted: Callable[[], bool] | None = None) -> bool:
        """What a person says: one question at a time, and none twice after a no. granted: whether there is no need."""
        assert self.ask is not None
        key = wanted.capability, wanted.what
        async with self._asking():
            if self.allows(*key) if granted is None else granted():  # while it waited for another question
                return True
            if key in self._denied:
                return False
            said = await self.ask(wanted)
            if said == "always":
                self._grant_always(*key)
            elif said != "once" and len(self._denied) < MOST_ASKED:
                self._denied.add(key)
            return said in ("once", "always")

    def _grant_always(self, capability: str, what: str) -> None:
        """Grants what a person was asked for, and no more; what stands for no grant was granted that once."""
        try:
            found = grants.wanted(capability, what, self.base)
            if capability == "run":  # as a setting, a program alone stands for any arguments, and a `*` for any text
                self._tests["run"].append(grants.Exactly(found))
            else:
                self.grant(capability, grants.grant_for(capability, what, self.base))
        except (ValueError, ValidationError):
            pass


def _top(path: str) -> str:
    """The root of the file system that a path is in."""
    return os.path.splitdrive(path)[0] + os.sep


def _below(root: str, real: str, shown: str) -> Place:
    below = os.path.relpath(real, root)
    return Place(root, () if below == os.curdir else tuple(below.split(os.sep)), shown)


def _setting(capability: str) -> str:
    return "tools" if capability == "tool" else capability
