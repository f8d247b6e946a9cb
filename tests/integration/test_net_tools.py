"""`http_request`, `web_fetch` and `process_executor`: what they may reach, and what they do with what comes back."""

from __future__ import annotations

import asyncio
import gzip
import sys
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import uvloop

from llmspell import ScriptRuntime
from llmspell.errors import (
    CallTimeoutError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    PermissionDeniedError,
    ValidationError,
)
from llmspell.tools import net
from llmspell.tools.base import ToolContext
from llmspell.tools.builtin import http_request, process_executor, web_fetch
from llmspell.tools.permissions import Permissions, Wanted
from support.loopback import CLOSE, STALL, Loopback, head, reply
from support.processes import eventually, is_alive

pytestmark = pytest.mark.once
HERE = ("127.0.0.1",)


async def ask(url: str, permissions: Permissions, **more: Any) -> dict[str, Any]:
    done = await http_request.TOOL.execute({"url": url, **more}, ToolContext(permissions))
    assert isinstance(done.result, dict)
    return done.result


def root(server: Loopback) -> str:
    return server.url.removesuffix("/v1")


def named(monkeypatch: pytest.MonkeyPatch, **names: list[str]) -> list[str]:
    """Names that lead to addresses; each further look gives what was said last. The looks are counted."""
    looks: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        looks.append(host)
        key = host.replace(".", "_")
        if key not in names:
            return [host]
        found = names[key]
        return [found.pop(0) if len(found) > 1 else found[0]]

    monkeypatch.setattr(net, "resolve", resolve)
    return looks


async def test_a_request_and_its_answer() -> None:
    with Loopback(
        [reply(b"hello \xc3\xbc", headers={"content-type": "text/plain; charset=utf-8", "x-a": "1"})]
    ) as server:
        got = await ask(
            f"{root(server)}/a%20b/ü?q=1 2".replace(" ", "%20"),
            Permissions(net=HERE),
            method="post",
            headers={"X-Own": "yes", "Accept": "text/plain"},
            body={"n": [1, 2]},
        )
        request = server.requests[0]
    assert (got["status"], got["body"], got["headers"]["x-a"], got["truncated"]) == (200, "hello ü", "1", False)
    assert (request.method, request.path) == ("POST", "/a%20b/%C3%BC?q=1%202")
    assert request.headers["x-own"] == "yes"
    assert request.headers["content-type"] == "application/json"
    assert request.body == b'{"n":[1,2]}'


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://127.1:{port}/",
        "http://2130706433:{port}/",
        "http://0x7f000001:{port}/",
        "http://0177.0.0.1:{port}/",
        "http://0:{port}/",
        "http://127.0.0.1.:{port}/",
        "http://LOCALHOST:{port}/",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
        "http://[fe80::1]/",
        "http://[64:ff9b::7f00:1]/",
    ],
)
@pytest.mark.parametrize("grant", [(), ("*",), ("example.com",)])
async def test_nothing_private_is_reached_unless_it_was_named(url: str, grant: tuple[str, ...]) -> None:
    with Loopback([reply(b"secret")]) as server:
        with pytest.raises((PermissionDeniedError, NetworkError)) as caught:
            await ask(url.format(port=server.url.split(":")[2].split("/")[0]), Permissions(net=grant))
        assert server.requests == []
    if grant != ("*",):
        assert isinstance(caught.value, PermissionDeniedError)


@pytest.mark.parametrize(
    ("host", "flag"), [("evil.test", "evil.test:{0},127.0.0.1:{0}"), ("127.0.0.1", "127.0.0.1:{0}")]
)
async def test_the_flag_of_a_refused_address_names_all_that_the_request_needs(
    host: str, flag: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, evil_test=["127.0.0.1"])
    with Loopback([reply(b"secret")]) as server:
        port = root(server).rpartition(":")[2]
        with pytest.raises(PermissionDeniedError) as caught:
            await ask(f"http://{host}:{port}/", Permissions(net=("*",)))
        assert f"--allow-net={flag.format(port)}, or" in str(caught.value.hint)
        assert (await ask(f"http://{host}:{port}/", Permissions(net=flag.format(port).split(","))))["body"] == "secret"


@pytest.mark.parametrize("grant", [(), ("*",)])
@pytest.mark.parametrize(
    ("host", "says", "asked", "reached"),
    [
        ("127.0.0.1", ["once"], ["127.0.0.1"], True),
        ("127.0.0.1", ["always"], ["127.0.0.1"], True),
        ("127.0.0.1", ["no"], ["127.0.0.1"], False),
        ("evil.test", ["once", "once"], ["evil.test", "127.0.0.1"], True),
        ("evil.test", ["always", "always"], ["evil.test", "127.0.0.1"], True),
        ("evil.test", ["always", "no"], ["evil.test", "127.0.0.1"], False),
    ],
)
async def test_a_person_is_asked_for_a_private_address_once(
    grant: tuple[str, ...],
    host: str,
    says: list[str],
    asked: list[str],
    reached: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named(monkeypatch, evil_test=["127.0.0.1"])
    if grant and host != "127.0.0.1":  # the name itself is granted
        says, asked = says[1:], asked[1:]
    answers, questions = list(says), []

    async def person(wanted: Wanted) -> str:
        questions.append(wanted.what)
        return answers.pop(0)

    permissions = Permissions(net=grant, ask=person)
    with Loopback([reply(b"hello")]) as server:
        port = root(server).rpartition(":")[2]
        with nullcontext() if reached else pytest.raises(PermissionDeniedError):
            assert (await ask(f"http://{host}:{port}/", permissions))["body"] == "hello"
        assert bool(server.requests) is reached
        assert questions == [f"{one}:{port}" for one in asked]
        if says[-1] == "always":  # and never again
            assert (await ask(f"http://{host}:{port}/", permissions))["body"] == "hello"


async def test_a_name_that_leads_to_a_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, evil_test=["127.0.0.1"])
    with Loopback([reply(b"secret")]) as server:
        port = root(server).rpartition(":")[2]
        for grant in ("*", "evil.test", "*.test"):
            with pytest.raises(PermissionDeniedError, match="leads there"):
                await ask(f"http://evil.test:{port}/", Permissions(net=(grant,)))
        assert server.requests == []
        got = await ask(f"http://evil.test:{port}/", Permissions(net=("evil.test", "127.0.0.1")))
        assert got["body"] == "secret"
        assert server.requests[0].headers["host"] == f"evil.test:{port}"


async def test_a_name_that_changes_its_mind_is_asked_once_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = named(monkeypatch, evil_test=["127.0.0.1", "10.0.0.1"])
    with Loopback([reply(b"yes", sized=True)]) as server:
        port = root(server).rpartition(":")[2]
        got = await ask(f"http://evil.test:{port}/", Permissions(net=("evil.test", "127.0.0.1")))
    assert (got["body"], looks) == ("yes", ["evil.test"])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_asked_for_like_the_first_request(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    named(monkeypatch, one_test=["127.0.0.1"], two_test=["127.0.0.1"])
    with Loopback([reply(b"inside")]) as second:
        place = f"http://two.test:{root(second).rpartition(':')[2]}/x"
        with Loopback([reply(b"", status, {"location": place})]) as first:
            url = f"http://one.test:{root(first).rpartition(':')[2]}/"
            with pytest.raises(PermissionDeniedError, match=r"two\.test"):
                await ask(url, Permissions(net=("one.test", "127.0.0.1")))
            assert second.requests == []
            granted = Permissions(net=("*.test", "127.0.0.1"))
            got = await ask(
                url,
                granted,
                method="POST",
                body="b",
                headers={"Authorization": "k", "X-Goog-Api-Key": "o", "Accept": "a/b"},
            )
            request = second.requests[0]
            assert (got["body"], got["url"]) == ("inside", place)
            assert "authorization" not in request.headers
            assert "x-goog-api-key" not in request.headers  # nor any that may be a key for the first host
            assert request.headers["accept"] == "a/b"
            assert (request.method, request.body) == (("POST", b"b") if status > 303 else ("GET", b""))
            assert (await ask(url, granted, follow_redirects=False))["status"] == status


async def test_redirects_have_an_end() -> None:
    with Loopback([reply(b"", 302, {"location": "/again"})]) as server:
        with pytest.raises(NetworkError, match="more than 5 times"):
            await ask(root(server), Permissions(net=HERE))
        assert len(server.requests) == 6


@pytest.mark.parametrize(
    "place",
    [
        "file:///etc/passwd",
        "ftp://a/",
        "http://a b/",
        "//user:pw@host/",
        "http:///x",
        "\x00",
        "http://[x",
        "http://a..b/",
    ],
)
async def test_a_redirect_to_no_address_is_an_error(place: str) -> None:
    with Loopback([reply(b"", 302, {"location": place})]) as server, pytest.raises(LLMSpellError):
        await ask(root(server), Permissions(net=(*HERE, "*")))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x",
        "file:///etc/passwd",
        "http://",
        "http://a@b/",
        "http://a\\@b/",
        "http://a b/",
        "http://a:0/",
        "gopher://a/",
        "http://a..b/",
        f"http://{'a' * 64}.test/",
    ],
)
async def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(ValidationError):
        await ask(url, Permissions(net=("*",)))


@pytest.mark.parametrize("url", ["http://user:hunter2@host/", "http://user:hunter2@h:x/", "http://u:hunter2@a b/"])
async def test_a_password_in_an_address_is_not_repeated(url: str) -> None:
    with pytest.raises(ValidationError, match="user's name") as caught:
        await ask(url, Permissions(net=("*",)))
    assert "hunter2" not in f"{caught.value} {caught.value.hint} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "headers", [{"Host": "evil"}, {"Content-Length": "5"}, {"a b": "c"}, {"a": "b\r\nc: d"}, {"Transfer-Encoding": "x"}]
)
async def test_headers_that_are_not_a_callers_to_say(headers: dict[str, str]) -> None:
    with Loopback([reply(b"")]) as server:
        with pytest.raises(ValidationError):
            await ask(root(server), Permissions(net=HERE), headers=headers)
        assert server.requests == []


@pytest.mark.parametrize("coding", ["", "gzip", "deflate"])
async def test_a_large_answer_is_cut_however_it_is_packed(coding: str) -> None:
    data = b"a" * (net.LARGEST * 4)
    body = {"": data, "gzip": gzip.compress(data), "deflate": zlib.compress(data)}[coding]
    headers = {"content-encoding": coding} if coding else {}
    with Loopback([reply(body, headers=headers)]) as server:
        got = await ask(root(server), Permissions(net=HERE))
    assert got["truncated"] is True
    assert len(got["body"]) == net.LARGEST


async def test_what_is_packed_may_have_several_members_and_padding() -> None:
    body = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(700)
    with Loopback([reply(body, headers={"content-encoding": "gzip"})]) as server:
        got = await ask(root(server), Permissions(net=HERE))
    assert (got["body"], got["truncated"]) == ("one two", False)


async def test_members_after_the_first_count_as_well() -> None:
    body = gzip.compress(b"a" * net.LARGEST) + gzip.compress(b"b")
    with Loopback([reply(body, headers={"content-encoding": "gzip"})]) as server:
        got = await ask(root(server), Permissions(net=HERE))
    assert (got["truncated"], len(got["body"])) == (True, net.LARGEST)


@pytest.mark.parametrize(
    "plan",
    [
        [CLOSE],
        [b"nonsense\r\n\r\n", CLOSE],
        [head(200, {}, size=10), b"abc", CLOSE],
        reply(b"x", headers={"content-encoding": "br"}),
        reply(b"no gzip", headers={"content-encoding": "gzip"}),
        reply(gzip.compress(b"cut short" * 9)[:-9], headers={"content-encoding": "gzip"}),
        reply(gzip.compress(b"whole") + b"no more gzip", headers={"content-encoding": "gzip"}),
    ],
)
async def test_a_broken_answer_is_one_error(plan: Any) -> None:
    with Loopback([plan]) as server, pytest.raises(LLMSpellError):
        await ask(root(server), Permissions(net=HERE))


async def test_a_silent_server_is_waited_for_only_so_long() -> None:
    with Loopback([[STALL]]) as server, pytest.raises(CallTimeoutError, match=r"within 0\.1 s"):
        await ask(root(server), Permissions(net=HERE), timeout=0.1)


async def test_cancelled_it_closes_its_connection() -> None:
    with Loopback([[STALL]]) as server:
        task = asyncio.ensure_future(ask(root(server), Permissions(net=HERE)))
        await asyncio.to_thread(server.wait_requests, 1)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(server.requests[0].connection.wait_closed)


PAGE = """<!doctype html><html><head><title> A &amp; B </title><script>var x = "no";</script><style>p{}</style></head>
<body><h1>Head</h1><p>One <b>two</b>   three.</p><ul><li>item <a href="/x?a=1&amp;b=2">a link</a></ul>
<script>alert("no")</script><pre>  kept
 as is</pre><a href="javascript:alert(1)">no</a></body></html>"""


async def test_a_page_is_read_as_a_person_would() -> None:
    with Loopback([reply(PAGE.encode(), headers={"content-type": "text/html; charset=utf-8"})]) as server:
        done = await web_fetch.TOOL.execute({"url": root(server)}, ToolContext(Permissions(net=HERE)))
        url = root(server)
    result: Any = done.result
    assert result["title"] == "A & B"
    assert result["links"] == [{"url": f"{url}/x?a=1&b=2", "text": "a link"}]
    assert "# Head" in result["text"]
    assert "One two three." in result["text"]
    assert "  kept\n as is" in result["text"]
    assert "alert" not in result["text"]
    assert done.told().startswith("# A & B")


@pytest.mark.parametrize(
    "page", ["<a href='" * 1000, "<" * 100_000, "</title>" * 1000, "<script>" * 5000, "&#x" * 1000, "\0"]
)
async def test_a_page_that_is_none_is_read_all_the_same(page: str) -> None:
    assert isinstance(web_fetch.read_page("http://a/", page).text(), str)


@pytest.mark.parametrize(
    ("status", "type_"), [(404, "text/html"), (200, "image/png"), (200, "application/octet-stream")]
)
async def test_what_is_no_page_is_an_error(status: int, type_: str) -> None:
    with Loopback([reply(b"x", status, {"content-type": type_})]) as server, pytest.raises(NetworkError):
        await web_fetch.TOOL.execute({"url": root(server)}, ToolContext(Permissions(net=HERE)))


# ---- programs


async def execute(permissions: Permissions, *words: str, **more: Any) -> Any:
    arguments = {"executable": words[0], "arguments": list(words[1:]), **more}
    return await process_executor.TOOL.execute(arguments, ToolContext(permissions))


async def test_a_program_and_what_it_says() -> None:
    code = "import sys; print(sys.stdin.read().upper(), sys.argv[1:]); print('e', file=sys.stderr); sys.exit(3)"
    done = await execute(
        Permissions(run=(sys.executable,)), sys.executable, "-c", code, "a b", "$HOME", "; ls", input="hi"
    )
    assert done.result["output"] == "HI ['a b', '$HOME', '; ls']\n", "no shell has read it"
    assert (done.result["stderr"], done.result["exit_code"], done.result["success"]) == ("e\n", 3, False)


async def test_programs_and_arguments_that_were_not_granted_are_not_run(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho ran\n")
    (tmp_path / "tool").chmod(0o755)
    (tmp_path / "sub").mkdir()
    permissions = Permissions(run=("echo ok *", "./tool"), read=(str(tmp_path),), base=str(tmp_path))
    assert (await execute(permissions, "echo", "ok", "more")).result["output"] == "ok more\n"
    assert (await execute(permissions, "./tool")).result["output"] == "ran\n"
    assert (await execute(permissions, str(tmp_path / "tool"))).result["output"] == "ran\n"
    assert (await execute(permissions, "./tool", working_directory="sub")).result["output"] == "ran\n"
    for words in (["echo", "no"], ["ls"], ["sh", "-c", "echo ok"], ["./sub/../tool2"], ["/bin/echo", "ok"], ["tool"]):
        with pytest.raises(PermissionDeniedError, match="may not run"):
            await execute(permissions, *words)
    with pytest.raises(PermissionDeniedError, match="may not read"):
        await execute(permissions, "./tool", working_directory="/")


async def test_a_program_sees_only_variables_that_were_granted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("APP_X", "x")
    code = "import os; print(sorted(n for n in os.environ if n in ('OPENAI_API_KEY', 'APP_X', 'PATH')))"
    plain = Permissions(run=(sys.executable,))
    assert (await execute(plain, sys.executable, "-c", code)).result["output"] == "['PATH']\n"
    more = Permissions(run=(sys.executable,), env=("APP_*",))
    assert (await execute(more, sys.executable, "-c", code)).result["output"] == "['APP_X', 'PATH']\n"


async def test_endless_output_is_cut_and_the_program_is_not_stuck() -> None:
    code = "import sys; [sys.stdout.write('x' * 65536) for _ in range(64)]"
    done = await execute(Permissions(run=(sys.executable,)), sys.executable, "-c", code)
    assert len(done.result["output"]) == process_executor.LARGEST
    assert (done.result["truncated"], done.result["exit_code"]) == (True, 0)


FORKS = """
import subprocess, sys, time
child = subprocess.Popen(["sleep", "600"])
with open(sys.argv[1] + "~", "w") as file:
    file.write(str(child.pid))
import os
os.rename(sys.argv[1] + "~", sys.argv[1])
time.sleep(600)
"""


@pytest.mark.parametrize("how", ["timeout", "cancel"])
async def test_what_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, how: str) -> None:
    path, permissions = tmp_path / "pid", Permissions(run=(sys.executable,))
    words = (sys.executable, "-c", FORKS, str(path))
    if how == "timeout":
        with pytest.raises(CallTimeoutError, match="has not ended within 1 s"):
            await execute(permissions, *words, timeout_ms=1000)
    else:
        task = asyncio.ensure_future(execute(permissions, *words))
        await asyncio.to_thread(eventually, lambda: path.exists() and path.read_text())
        task.cancel()
        await asyncio.wait([task])
    pid = int(path.read_text())
    await asyncio.to_thread(eventually, lambda: not is_alive(pid))


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_input_to_a_program_that_has_ended_already(loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def late() -> None:
        transport, program = await asyncio.get_running_loop().subprocess_exec(process_executor._Program, "true")
        await program.exited
        stdin: Any = transport.get_pipe_transport(0)
        for _ in range(1000):  # the loop closes the pipe before the first write
            if stdin.is_closing():
                break
            await asyncio.sleep(0.001)
        process_executor._feed(transport, b"too late")
        transport.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(late())


async def test_input_reaches_a_program_and_without_one_it_reads_its_end() -> None:
    permissions = Permissions(run=("cat", "true"))
    assert (await execute(permissions, "cat", input="in")).result["output"] == "in"
    assert (await execute(permissions, "cat")).result["output"] == ""
    assert (await execute(permissions, "true", input="x" * 10_000_000)).result["exit_code"] == 0


async def test_a_program_that_is_not_there() -> None:
    with pytest.raises(NotFoundError, match="there is no program"):
        await execute(Permissions(run=("*",)), "no-such-program-here")
    with pytest.raises(ValidationError):
        await execute(Permissions(run=("*",)), "echo", "a\0b")


def test_from_a_script() -> None:
    script = """
        local page = Tool.execute("http-request", { url = ARGS[1] })
        local run = Tool.execute("process_executor", { executable = "echo", arguments = { "hi" } })
        local ok, e = pcall(Tool.execute, "web_fetch", { url = "http://10.0.0.1/" })
        return { page.result.status, page.result.body, run.result.output, run.result.exit_code, e.kind, e.tool }
    """
    with Loopback([reply(b"body")]) as server:
        runtime = ScriptRuntime(permissions=Permissions(net=HERE, run=("echo",)))
        assert runtime.run(script, args=[root(server)]).result == [200, "body", "hi\n", 0, "permission", "web_fetch"]
