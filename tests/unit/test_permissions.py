"""What a grant covers, by capability: granted, denied, and the edges."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmspell import ScriptRuntime
from llmspell.cli.options import RUN, parse
from llmspell.config.schema import split_grants
from llmspell.errors import CallTimeoutError, PermissionDeniedError, ValidationError
from llmspell.tools.base import Tool, ToolContext, ToolResult
from llmspell.tools.builtin import file_search
from llmspell.tools.grants import is_public
from llmspell.tools.permissions import CAPABILITIES, Permissions, Wanted
from llmspell.utils import places

pytestmark = pytest.mark.once

# capability, grant, what is wanted, whether it is granted
TABLE = [
    ("net", "example.com", "example.com", True),
    ("net", "example.com", "example.com:8443", True),
    ("net", "example.com", "EXAMPLE.com.", True),
    ("net", "example.com", "www.example.com", False),
    ("net", "example.com", "example.com.evil.test", False),
    ("net", "example.com", "evilexample.com", False),
    ("net", "example.com", "example.com@evil.test", False),
    ("net", "example.com", "example%2ecom", False),
    ("net", "example.com:443", "example.com:443", True),
    ("net", "example.com:443", "example.com:80", False),
    ("net", "*.example.com", "a.b.example.com", True),
    ("net", "*.example.com", "example.com", False),
    ("net", "*.example.com", ".example.com", False),
    ("net", "*.example.com", "badexample.com", False),
    ("net", "bücher.example", "xn--bcher-kva.example", True),
    ("net", "127.0.0.1", "127.0.0.1:8080", True),
    ("net", "127.0.0.1", "127.0.0.2", False),
    ("net", "127.0.0.1", "localhost", False),
    ("net", "10.0.0.0/8", "10.1.2.3", True),
    ("net", "10.0.0.0/8", "11.1.2.3", False),
    ("net", "10.0.0.0/8", "::ffff:10.1.2.3", True),
    ("net", "::1", "[::1]:80", True),
    ("net", "::1", "0:0:0:0:0:0:0:1", True),
    ("net", "[::1]:80", "[::1]:81", False),
    ("net", "::ffff:127.0.0.1", "::ffff:127.0.0.1", True),
    ("net", "2002:7f00:1::", "2002:7f00:1::", True),
    ("net", "2002:7f00:1::", "127.0.0.1", False),
    ("net", "*", "anything.example:1", True),
    ("net", "*", "", False),
    ("net", "*", "a b", False),
    ("net", "*", "host:99999", False),
    ("read", "*", "/etc/hosts", True),
    ("read", "/", "/etc/hosts", True),
    ("read", "*", "/proc/self/environ", False),
    ("read", "*", "/proc", False),
    ("read", "/", "/dev/../proc/1/environ", False),
    ("read", "/proc", "/proc/cpuinfo", True),
    ("read", "/", "/process", True),
    ("write", "*", "/proc/self/mem", False),
    ("env", "HOME", "HOME", True),
    ("env", "HOME", "HOME2", False),
    ("env", "HOME", "home", os.name == "nt"),
    ("env", "APP_*", "APP_KEY", True),
    ("env", "APP_*", "XAPP_KEY", False),
    ("env", "*", "PATH", True),
    ("run", "git", "git push --force", True),
    ("run", "git status", "git status", True),
    ("run", "git status", "git status --short", False),
    ("run", "git status", "git push", False),
    ("run", "git status *", "git status --short", True),
    ("run", "git log --format=*", "git log --format=%h", True),
    ("run", "git log --format=*", "git log '--format=%h' -p", False),
    ("run", "git", "git2", False),
    ("run", "git", "/tmp/git", False),
    ("run", "/bin/ls", "ls", False),
    ("run", "ls '*.txt'", "ls 'a b.txt'", True),
    ("run", "ls '*.txt'", "ls a.txt.sh", False),
    ("run", "echo a*b*c", "echo a1b2c", True),
    ("run", "echo a*b*c", "echo abbc", True),
    ("run", "echo ab*ba", "echo aba", False),
    ("run", "rm ''", "rm", True),
    ("run", "rm ''", "rm x", False),
    ("run", "rm ''", "rm ''", False),
    ("run", r"ls '\*'", "ls '*'", True),
    ("run", r"ls '\*'", "ls x", False),
    ("run", r"ls '\*'", "ls '*' x", False),
    ("run", r"grep '\d\\' *", r"grep '\d\' x", True),
    ("tool", "http_request", "http-request", True),
    ("tool", "http-request", "http_request", True),
    ("tool", "http_request", "http_requests", False),
    ("tool", "file_*", "file_operations", True),
    ("tool", "file_*", "profile_", False),
]


@pytest.mark.parametrize(("capability", "grant", "what", "granted"), TABLE)
async def test_what_a_grant_covers(capability: str, grant: str, what: str, granted: bool) -> None:
    permissions = Permissions(**{"tool": (), capability: (grant,)})
    assert permissions.allows(capability, what) is granted
    if granted:
        await permissions.need(capability, what, by="test")
        return
    with pytest.raises(PermissionDeniedError) as caught:
        await permissions.need(capability, what, by="test")
    assert f"--allow-{capability}=" in str(caught.value.hint)
    assert caught.value.exit_code == 6


@pytest.mark.parametrize("capability", [name for name in CAPABILITIES if name != "tool"])
def test_nothing_is_granted_by_default(capability: str) -> None:
    for what in ("a", "/", ".", "localhost", "127.0.0.1", "*", "ls"):
        assert not Permissions().allows(capability, what)


@pytest.mark.parametrize("capability", ["read", "write"])
def test_paths_are_compared_after_links_were_followed(capability: str, tmp_path: Path) -> None:
    granted, other = tmp_path / "granted", tmp_path / "granted-not"
    granted.mkdir()
    other.mkdir()
    (granted / "out").symlink_to(other)
    (other / "in").symlink_to(granted)
    (granted / "dangling").symlink_to(other / "not-there-yet")
    permissions = Permissions(**{capability: (str(granted),)}, base=str(tmp_path))  # type: ignore[arg-type]
    cases: list[tuple[Any, bool]] = [
        (granted, True),
        (granted / "a" / "b", True),
        ("granted/a", True),
        ("./granted/../granted/a", True),
        (other, False),
        ("granted/../granted-not", False),
        (granted / "out" / "x", False),
        (granted / "dangling", False),
        (other / "in" / "x", True),
        (tmp_path, False),
        ("/", False),
        (f"{granted}/a\0b", False),
        ("GRANTED/a", False),
    ]
    for path, expected in cases:
        assert permissions.allows(capability, str(path)) is expected, path
    assert not permissions.allows("read" if capability == "write" else "write", str(granted))


@pytest.mark.parametrize("capability", ["read", "write"])
def test_what_tells_of_processes_is_granted_by_its_name_alone(capability: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/proc")
    for grant, granted in [("*", False), ("/", False), (str(tmp_path), False), ("/proc", True), ("/proc/self", True)]:
        permissions = Permissions(**{capability: (grant,)})  # type: ignore[arg-type]
        assert permissions.allows(capability, "/proc/self/environ") is granted, grant
        assert permissions.allows(capability, str(tmp_path / "link" / "self" / "environ")) is granted, grant
    assert Permissions(read=("*",)).allows("read", "/process")


@pytest.mark.skipif(not os.path.exists("/proc/uptime"), reason="there is no /proc")
async def test_a_search_from_the_root_does_not_go_where_processes_are_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def found(grant: str, path: str) -> list[str]:
        arguments = {"path": path, "glob": "uptime", "recursive": path != "/proc"}
        done = await file_search.TOOL.execute(arguments, ToolContext(Permissions(read=(grant,))))
        return [one["path"] for one in done.result["matches"]]  # type: ignore[index, call-overload]

    assert await found("/proc", "/proc") == ["uptime"]
    entries = places.entries
    monkeypatch.setattr(  # the whole machine is a long way
        places, "entries", lambda at: [one for one in entries(at) if at.path != "/" or one.name == "proc"]
    )
    assert await found("*", "/") == []


def test_a_file_may_be_granted_alone(tmp_path: Path) -> None:
    permissions = Permissions(read=(str(tmp_path / "one"),))
    assert permissions.allows("read", str(tmp_path / "one"))
    assert not permissions.allows("read", str(tmp_path / "one2"))


def test_a_relative_grant_is_below_its_base_whatever_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    permissions = Permissions(read=("data",), base=str(tmp_path))
    monkeypatch.chdir("/")
    assert permissions.allows("read", "data/x")
    assert permissions.allows("read", str(tmp_path / "data" / "x"))
    assert not permissions.allows("read", "/data/x")


ADDRESSES = [
    ("93.184.216.34", True),
    ("2606:2800:220:1:248:1893:25c8:1946", True),
    ("127.0.0.1", False),
    ("127.8.8.8", False),
    ("0.0.0.0", False),
    ("10.0.0.1", False),
    ("172.16.0.1", False),
    ("192.168.1.1", False),
    ("169.254.169.254", False),
    ("100.64.0.1", False),
    ("198.18.0.1", False),
    ("224.0.0.1", False),
    ("255.255.255.255", False),
    ("240.0.0.1", False),
    ("::1", False),
    ("::", False),
    ("fe80::1", False),
    ("fe80::1%eth0", False),
    ("fc00::1", False),
    ("fec0::1", False),
    ("ff02::1", False),
    ("2001:db8::1", False),
    ("::ffff:127.0.0.1", False),
    ("::ffff:10.0.0.1", False),
    ("::ffff:93.184.216.34", True),
    ("::127.0.0.1", False),
    ("64:ff9b::7f00:1", False),
    ("64:ff9b::a9fe:a9fe", False),
    ("2002:7f00:1::", False),
    ("2002:0a00:0001::1", False),
    ("not an address", False),
    ("", False),
]


@pytest.mark.parametrize(("address", "public"), ADDRESSES)
def test_which_addresses_are_of_the_open_internet(address: str, public: bool) -> None:
    assert is_public(address) is public
    assert Permissions(net=("*",)).allows_address("example.com", 80, address) is public


@pytest.mark.parametrize(
    ("grant", "host", "address", "granted"),
    [
        ("localhost", "localhost", "127.0.0.1", True),
        ("localhost", "localhost", "::1", True),
        ("localhost", "localhost", "10.0.0.1", False),
        ("localhost", "evil.test", "127.0.0.1", False),
        ("evil.test", "evil.test", "127.0.0.1", False),
        ("evil.test", "evil.test", "169.254.169.254", False),
        ("127.0.0.1", "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.1", "::ffff:127.0.0.1", True),
        ("127.0.0.1:80", "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:81", "127.0.0.1", "127.0.0.1", False),
        ("10.0.0.0/8", "intranet.test", "10.3.4.5", True),
        ("10.0.0.0/8", "intranet.test", "192.168.0.1", False),
        ("::1", "::1", "::1", True),
    ],
)
def test_special_addresses_must_be_named(grant: str, host: str, address: str, granted: bool) -> None:
    assert Permissions(net=(grant,)).allows_address(host, 80, address) is granted


@pytest.mark.parametrize(
    ("grant", "what", "allowed"),
    [
        ("*", "example.com", True),
        ("*", "93.184.216.34:80", True),
        ("*", "127.0.0.1", False),
        ("*", "[::1]:80", False),
        ("*", "localhost:80", False),
        ("*", "10.0.0.1", False),
        ("localhost", "localhost:80", True),
        ("127.0.0.1:80", "127.0.0.1", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("10.0.0.0/8", "10.0.0.1:80", True),
        ("example.com", "other.com", False),
        ("*", "a b", False),
    ],
)
def test_whether_a_host_may_be_connected_to_is_told_as_it_will_be(grant: str, what: str, allowed: bool) -> None:
    assert Permissions(net=(grant,)).allows_host(what) is allowed
    script = "return Config.isNetworkAccessAllowed(ARGS[1])"
    assert ScriptRuntime(permissions=Permissions(net=(grant,))).run(script, args=[what]).result is allowed


@pytest.mark.parametrize(
    ("capability", "grant"),
    [
        ("net", "http://example.com"),
        ("net", "exa*mple.com"),
        ("net", "10.0.0.0/33"),
        ("net", "example.com:0"),
        ("net", "a b"),
        ("env", "A-B"),
        ("env", "**"),
        ("run", "'open"),
        ("run", "*sh"),
        ("tool", "a b"),
        ("read", ""),
        ("read", "a\nb"),
        ("read", "a\0b"),
    ],
)
def test_a_grant_that_is_none_is_refused(capability: str, grant: str) -> None:
    with pytest.raises(ValidationError, match="cannot be granted"):
        Permissions(**{capability: (grant,)})  # type: ignore[arg-type]


def test_a_page_s_address_is_no_host_and_that_is_told() -> None:
    with pytest.raises(ValidationError, match="no address of a page"):
        Permissions(net=("https://example.com/x",))


@given(st.sampled_from(list(CAPABILITIES)), st.text(max_size=40), st.text(max_size=40))
@example("net", "[::1", "[")
@example("net", "::ffff:1.2.3.4/200", "a")
def test_no_text_breaks_it_and_nothing_grants_what_is_no_path_or_host(capability: str, grant: str, what: str) -> None:
    try:
        permissions = Permissions(**{"tool": (), capability: (grant,)})  # type: ignore[arg-type]
    except ValidationError:
        permissions = Permissions(tool=())
    assert permissions.allows(capability, what) in (True, False)
    assert permissions.allows("net", what + "\0") is False


# ---- what a denied call says: a flag that grants it, as a shell takes it, and no more


def granted_by(hint: str, capability: str) -> Permissions:
    """What the flag of a hint grants, once a shell and the command line have read it."""
    flag = hint.removeprefix("to allow it: ").rpartition(", or `permissions.")[0]
    told = subprocess.run(["sh", "-c", f"printf '%s\\0' {flag}"], capture_output=True, check=True, text=True).stdout
    parsed = parse(told.split("\0")[:-1], RUN)
    assert parsed is not None
    (texts,) = parsed[0].values()
    return Permissions(**{"tool": (), capability: [one for text in texts for one in split_grants(text)]})


@pytest.mark.parametrize(
    ("capability", "what", "more"),
    [
        ("run", "rm", ["rm x", "rm ''"]),
        ("run", "/bin/rm -r x", ["/bin/rm -r", "/bin/rm -r x y"]),
        ("run", "ls '*'", ["ls x", "ls", "ls '*' x"]),
        ("run", "ls 'a*' b", ["ls ab b"]),
        ("run", r"grep '\*\\' a", [r"grep '*\' a", r"grep 'x\' a"]),
        ("run", """sh -c 'echo "$(id)" `id` it'"'"'s!' a,b""", ["sh", "sh -c x"]),
        ("run", "a,b c,,d ,", ["a"]),
        ("read", "/tmp/a  b/it's, $HOME;`id` \\", ["/tmp/a"]),
        ("write", "/tmp/~", ["/tmp"]),
        ("env", "HOME", ["HOME2"]),
        ("net", "example.com:8443", ["example.com:80", "www.example.com:8443"]),
        ("net", "[::1]:80", ["[::1]:81", "127.0.0.1:80"]),
        ("net", "[::ffff:127.0.0.1]:80", ["127.0.0.1:80"]),
        ("tool", "file-search", ["file_operations"]),
    ],
)
def test_the_flag_of_a_denied_call_grants_it_and_no_more(capability: str, what: str, more: list[str]) -> None:
    hint = str(Permissions(tool=()).denied(capability, what, by="t").hint)
    permissions = granted_by(hint, capability)
    assert permissions.allows(capability, what), hint
    assert not any(permissions.allows(capability, other) for other in more), hint


@pytest.mark.parametrize(
    ("capability", "what"),
    [
        ("env", "*"),
        ("env", "APP_*"),
        ("env", "A-B"),
        ("net", "*.com:80"),
        ("net", "a b"),
        ("tool", "*"),
        ("run", "rm ''"),
        ("run", "python -c 'a\nb'"),
        ("run", "'*' x"),
        ("run", f"echo {'a' * 5000}"),
        ("read", "/tmp/a\x1bb"),
        ("read", "/tmp/a "),
        ("read", f"/{'a/' * 2000}"),
    ],
)
def test_what_no_flag_can_name_is_told_so_and_no_wider_flag_is(capability: str, what: str) -> None:
    hint = str(Permissions(tool=()).denied(capability, what, by="t").hint)
    assert hint == f"no --allow-{capability}=… can name just that; with --ask a person may allow it"


def test_a_path_s_spaces_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    permissions = Permissions(read=(f"{tmp_path}/a/.. ",))
    assert not permissions.allows("read", str(tmp_path / "other"))
    assert permissions.allows("read", f"{tmp_path}/a/.. /x")


# ---- asking a person


async def test_a_person_is_asked_once_for_each_and_no_is_kept() -> None:
    asked: list[str] = []

    async def ask(wanted: Wanted) -> str:
        asked.append(f"{wanted.capability} {wanted.what}")
        return {"a": "once", "b": "always"}.get(wanted.what, "no")

    permissions = Permissions(env=(), ask=ask)
    for _ in range(2):
        await permissions.need("env", "a", by="t")
        await permissions.need("env", "b", by="t")
        with pytest.raises(PermissionDeniedError):
            await permissions.need("env", "c", by="t")
    assert asked == ["env a", "env b", "env c", "env a"]
    assert permissions.granted["env"] == ["b"]


async def test_always_grants_what_was_asked_for_and_no_more() -> None:
    async def ask(wanted: Wanted) -> str:
        return "always"

    permissions = Permissions(env=(), net=(), run=(), ask=ask)
    for capability, what in (("run", "rm"), ("run", "ls '*'"), ("env", "*"), ("net", "*"), ("net", "*.com")):
        await permissions.need(capability, what, by="t")
    assert permissions.allows("run", "rm")
    assert permissions.allows("run", "ls '*'")
    for capability, what in (
        ("run", "rm -rf x"),
        ("run", "ls x"),
        ("env", "HOME"),
        ("net", "a.test"),
        ("net", "a.com"),
    ):
        assert not permissions.allows(capability, what), what


def test_two_names_of_one_program_are_two_grants(tmp_path: Path) -> None:
    (tmp_path / "busybox").write_text("")
    (tmp_path / "bin").symlink_to(tmp_path)
    for name in ("ls", "sh"):
        (tmp_path / name).symlink_to("busybox")
    permissions = Permissions(run=(f"{tmp_path}/ls",))
    assert permissions.allows("run", f"{tmp_path}/ls -l")
    assert permissions.allows("run", f"{tmp_path}/bin/ls")  # the same one by another road
    assert not permissions.allows("run", f"{tmp_path}/sh -c x")
    assert not permissions.allows("run", f"{tmp_path}/busybox sh")


def test_nothing_is_no_program() -> None:
    assert not Permissions(run=("*",)).allows("run", " ")


async def test_questions_come_one_at_a_time_and_an_answer_serves_those_that_wait() -> None:
    import asyncio

    at_once, most, asked = 0, 0, 0

    async def ask(wanted: Wanted) -> str:
        nonlocal at_once, most, asked
        at_once, asked = at_once + 1, asked + 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return "always"

    permissions = Permissions(ask=ask)
    await asyncio.gather(*(permissions.need("env", "A", by="t") for _ in range(5)))
    assert (most, asked) == (1, 1)


def test_what_is_shown_is_one_harmless_line() -> None:
    shown = str(Wanted("read", "/tmp/a\x1b[2J\nb  c\u202e\udc80", "File.read"))
    assert shown == r"`File.read` wants to read `/tmp/a\x1b[2J\nb  c\u202e\udc80`"


def test_neither_a_long_name_nor_a_long_command_hides_what_is_asked() -> None:
    shown = str(Wanted("run", "rm x", "`good` wants to run `ls`" * 100))
    assert shown.endswith("…` wants to run `rm x`")
    assert shown.count("`") == 4
    assert len(shown) < 100
    shown = str(Wanted("run", f"echo {'a' * 5000}; rm x", "t"))
    assert shown.startswith("`t` wants to run `echo aaa")
    assert shown.endswith("aaa; rm x`")
    assert "…4011 characters more…" in shown
    assert len(shown) < 1100


async def test_time_that_a_person_takes_does_not_count_for_a_tool() -> None:
    import asyncio

    async def ask(wanted: Wanted) -> str:
        await asyncio.sleep(0.3)
        return "once"

    class Slow(Tool):
        name, timeout = "slow", 0.25

        async def run(self, arguments: dict[str, Any], context: ToolContext) -> ToolResult:
            for _ in range(2):
                await context.permissions.need("env", "A", by=self.name)
            await asyncio.sleep(arguments["seconds"])
            return ToolResult(None, "done")

    permissions = Permissions(ask=ask)
    calls = [Slow().execute({"seconds": 0.01}, ToolContext(permissions)) for _ in range(3)]
    assert [done.told() for done in await asyncio.gather(*calls)] == ["done"] * 3
    with pytest.raises(CallTimeoutError):
        await Slow().execute({"seconds": 5}, ToolContext(permissions))


def test_one_set_of_permissions_serves_one_event_loop_after_the_other() -> None:
    import asyncio

    async def ask(wanted: Wanted) -> str:
        await asyncio.sleep(0)
        return "once"

    permissions = Permissions(ask=ask)

    async def several() -> None:
        await asyncio.gather(*(permissions.need("env", "A", by="t") for _ in range(3)))

    for _ in range(2):
        asyncio.run(several())
