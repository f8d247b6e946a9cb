"""What holds for every test: no socket leaves this machine, and no setting of the user's reaches a test."""

from __future__ import annotations

import ipaddress
import os
import shutil
import signal
import socket
import sys
import sysconfig
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

PURE = bool(os.environ.get("LLMSPELL_NO_EXTENSIONS"))


def can_compile() -> bool:
    """Whether this machine could have built the extensions: a compiler, and nobody forbade it."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    return not PURE and sys.implementation.name == "cpython" and shutil.which(compiler) is not None


def pytest_configure() -> None:
    """A shell starts its background with Ctrl+C ignored, and every process that a test starts would inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_report_header() -> str:
    from llmspell import _speedups

    return "twins: " + ", ".join(f"{stem} {_speedups.choice(stem)}" for stem in _speedups.STEMS)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if can_compile():
        return
    left_out = [item for item in items if item.get_closest_marker("compiled")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("compiled")]


TWINS = [pytest.param("c", marks=pytest.mark.compiled), "py"]


@pytest.fixture(scope="module", params=TWINS)
def sse(request: pytest.FixtureRequest) -> ModuleType:
    """The event-stream parser, each twin in turn."""
    return import_module(f"llmspell._speedups._sse_{request.param}")


@pytest.fixture(scope="module", params=TWINS)
def wire(request: pytest.FixtureRequest) -> ModuleType:
    """What an answer's bytes and chunks pass, each twin in turn."""
    return import_module(f"llmspell._speedups._stream_{request.param}")


@pytest.fixture(scope="module", params=TWINS)
def media(request: pytest.FixtureRequest) -> ModuleType:
    """What looks at media, each twin in turn."""
    return import_module(f"llmspell._speedups._media_{request.param}")


@pytest.fixture(scope="module", params=TWINS)
def lua(request: pytest.FixtureRequest) -> ModuleType:
    """The Lua engine, each twin in turn."""
    return import_module(f"llmspell._speedups._lua_{request.param}")


def _is_local(address: Any) -> bool:
    if not isinstance(address, tuple):
        return True  # a Unix socket
    host = address[0]
    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _no_socket_off_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection to another machine fails the test that tries it."""

    def guard(method: Callable[..., Any]) -> Callable[..., Any]:
        def connect(self: socket.socket, address: Any) -> Any:
            if not _is_local(address):
                pytest.fail(f"a test tried to connect to {address!r}")
            return method(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guard(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guard(socket.socket.connect_ex))


@pytest.fixture(autouse=True)
def _no_user_settings(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, proxies, folders and colours of the person who runs the tests do not reach them. Gives the home folder."""
    keep = {"LLMSPELL_NO_EXTENSIONS", "LLMSPELL_WIRE", "LLMSPELL_TEST_WEIGHTS"}
    for name in list(os.environ):
        upper = name.upper()
        if (
            (upper.startswith("LLMSPELL_") and upper not in keep)
            or upper.endswith(("_API_KEY", "_BASE_URL", "_PROXY"))
            or upper in {"NO_COLOR", "FORCE_COLOR", "CLICOLOR", "COLUMNS", "LINES", "OLLAMA_HOST"}
        ):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    for name, place in {"XDG_CONFIG_HOME": ".config", "XDG_CACHE_HOME": ".cache", "XDG_DATA_HOME": ".data"}.items():
        monkeypatch.setenv(name, str(home / place))
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def _unmeasured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where the tests run under coverage, it looks away from those that are marked so, and from their processes."""
    measuring = None
    if request.node.get_closest_marker("unmeasured"):
        for name in ("COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG"):
            monkeypatch.delenv(name, raising=False)
        if "coverage" in sys.modules:
            measuring = sys.modules["coverage"].Coverage.current()
    if measuring is not None:
        measuring.stop()
    yield
    if measuring is not None:
        measuring.start()
