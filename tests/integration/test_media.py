"""`Media` from scripts: what bytes and files are, in messages to a model and out of its answers."""

from __future__ import annotations

import base64
import struct
import subprocess
import sys
import textwrap
import zlib
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmspell import ScriptRuntime
from llmspell.errors import LLMSpellError
from llmspell.providers.base import ModelCall, ProviderCapabilities
from llmspell.providers.manager import ProviderManager
from llmspell.providers.mock import MockProvider
from llmspell.tools.permissions import Permissions
from llmspell.types.media import LIMITS


def png(width: int = 3, height: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + b"\0\0\0" * width for _ in range(height)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg(width: int = 300, height: int = 200, before: bytes = b"\xff\xe0\x00\x10JFIF\0\1\1\0\0\1\0\1\0\0") -> bytes:
    return b"\xff\xd8" + before + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", height, width) + b"\x03" + b"\0" * 9


def wav(seconds: int = 2) -> bytes:
    data = b"\0\0" * 8000 * seconds
    form = struct.pack("<HHIIHH", 1, 1, 8000, 16000, 2, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif() -> bytes:
    return b"GIF89a" + struct.pack("<HH", 7, 5) + b"\0\0\0;"


def webp(kind: bytes) -> bytes:
    if kind == b"VP8 ":
        body = b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 40, 30)
    elif kind == b"VP8L":
        body = b"\x2f" + struct.pack("<I", (40 - 1) | ((30 - 1) << 14))
    else:
        body = b"\0\0\0\0" + (40 - 1).to_bytes(3, "little") + (30 - 1).to_bytes(3, "little")
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", len(body)) + body


MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0" * 100
MOVIE = struct.pack(">I4sI4s", 116, b"moov", 108, b"mvhd") + bytes(12) + struct.pack(">II", 1000, 3000) + bytes(80)
BMP = b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<Iii", 40, 9, -8)
PDF = b"%PDF-1.7\n" + b"x" * 100
RGB = {"bit_depth": 8, "color": "rgb", "alpha": False}
PCM = {"channels": 1, "sample_rate": 8000, "audio_codec": "pcm", "bit_depth": 16}

HEADS = [
    (png(), "image/png", {"width": 3, "height": 2, **RGB}),
    (jpeg(), "image/jpeg", {"width": 300, "height": 200, **RGB}),
    (jpeg(before=b"\xff\xe1\x00\x04ab\xff\xff\xfe\x00\x02"), "image/jpeg", {"width": 300, "height": 200, **RGB}),
    (gif(), "image/gif", {"width": 7, "height": 5}),
    (webp(b"VP8 "), "image/webp", {"width": 40, "height": 30, **RGB}),
    (webp(b"VP8L"), "image/webp", {"width": 40, "height": 30, **RGB}),
    (webp(b"VP8X"), "image/webp", {"width": 40, "height": 30, **RGB}),
    (wav(), "audio/wav", {**PCM, "duration": 2.0}),
    (MP4, "video/mp4", {}),
    (b"\0\0\0\x18ftypM4A \0\0\0\0", "audio/mp4", {}),
    (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime", {}),
    (b"\0\0\0\x18ftypavif\0\0\0\0", "image/avif", {}),
    (b"\x1a\x45\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm", "video/webm", {}),
    (b"OggS\0\x02" + b"\0" * 20, "audio/ogg", {}),
    (b"fLaC\0\0\0\x22", "audio/flac", {}),
    (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg", {}),
    (b"\xff\xfb\x90\x64" + b"\0" * 20, "audio/mpeg", {"channels": 2, "sample_rate": 44100, "audio_codec": "mp3"}),
    (b"\xff\xf1\x50\x80" + b"\0" * 20, "audio/aac", {"channels": 2, "sample_rate": 44100, "audio_codec": "aac"}),
    (PDF, "application/pdf", {}),
    (b"II*\0\x08\0\0\0", "image/tiff", {}),
    (
        b"BM" + struct.pack("<IHHI", 100, 0, 0, 54) + struct.pack("<Iii", 40, 9, -8),
        "image/bmp",
        {"width": 9, "height": 8},
    ),
]


@pytest.mark.parametrize(("data", "mime_type", "told"), HEADS)
def test_what_bytes_are(media: ModuleType, data: bytes, mime_type: str, told: dict[str, Any]) -> None:
    assert media.sniff(data) == mime_type
    assert media.media_facts(data, mime_type) == told


@pytest.mark.parametrize("data", [b"", b"\x89PN", b"\xff\xff\xff\xff", b"RIFF\0\0\0\0XXXX", b"BMthese are words"])
def test_bytes_that_tell_nothing(media: ModuleType, data: bytes) -> None:
    assert media.sniff(data) is None


BROKEN = [
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\x0dIDAT" + b"\0" * 20, "image/png"),
    (png(0, 5), "image/png"),
    (b"GIF89a\x01", "image/gif"),
    (b"\xff\xd8\xff\xe0\x00\x00" + b"\0" * 50, "image/jpeg"),
    (b"\xff\xd8\xff\xda" + b"\0" * 50, "image/jpeg"),
    (b"\xff\xd8\x00\x00\x00\x00", "image/jpeg"),
    (b"\xff\xd8" + b"\xff\x01" * 5000, "image/jpeg"),
    (jpeg(0, 10), "image/jpeg"),
    (webp(b"VP8 ").replace(b"\x9d\x01\x2a", b"abc"), "image/webp"),
    (b"RIFF\0\0\0\0WEBPNONE" + b"\0" * 30, "image/webp"),
    (wav().replace(b"fmt ", b"fmtx"), "audio/wav"),
    (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0" + b"\0" * 16, "audio/wav"),
]


@pytest.mark.parametrize(("data", "mime_type"), BROKEN)
def test_a_broken_head_is_told(media: ModuleType, data: bytes, mime_type: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        media.media_facts(data, mime_type)


@pytest.mark.compiled
@given(st.sampled_from([one[:2] for one in HEADS]), st.integers(0, 80), st.binary(max_size=40))
def test_no_bytes_break_it_and_the_twins_agree(one: tuple[bytes, str], cut: int, more: bytes) -> None:
    from importlib import import_module

    data, told = one[0][:cut] + more, []
    for twin in ("c", "py"):
        module = import_module(f"llmspell._speedups._media_{twin}")
        try:
            told.append((module.sniff(data), module.media_facts(data, one[1])))
        except ValueError as error:
            told.append((module.sniff(data), str(error)))
    assert told[0] == told[1]


# ---- from scripts


@pytest.fixture(params=["here", "process"])
def isolation(request: pytest.FixtureRequest) -> str | None:
    return None if request.param == "here" else "process"


def film(size: int) -> bytes:
    """The beginning of one of so many bytes."""
    head = MP4[:24] + MOVIE
    return head + struct.pack(">I4sQ", 1, b"mdat", size - len(head))


def lua(data: bytes) -> str:
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"'


def run(script: str, permissions: Permissions | None = None, isolation: str | None = None, **more: Any) -> Any:
    return ScriptRuntime(timeout=30, permissions=permissions, isolation=isolation, **more).run(script).result


def test_the_fields_of_a_medium(isolation: str | None) -> None:
    got = run(
        f"""
        local image, sound = Media.image({lua(png())}), Media.audio({lua(wav(1))}, "wav")
        local b64 = Media.from_base64("{base64.b64encode(gif()).decode()}")
        local doc = Media.binary("plain text", "text/plain", "a.txt")
        local function told(m) return {{ m.type, m.format, m.mime_type, m.size, m.metadata.width or 0, #m:bytes() }} end
        return {{ told(image), told(sound), told(b64), told(doc),
          doc.filename, tostring(image), sound.metadata.duration }}
        """,
        isolation=isolation,
    )
    assert got[0] == ["image", "png", "image/png", len(png()), 3, len(png())]
    assert got[1] == ["audio", "wav", "audio/wav", len(wav(1)), 0, len(wav(1))]
    assert got[2][:5] == ["image", "gif", "image/gif", len(gif()), 7]
    assert got[3] == ["file", "plain", "text/plain", 10, 0, 10]
    assert got[4:] == ["a.txt", f"image/png, {len(png())} bytes", 1.0]


def test_a_drawing_is_an_image_of_its_own_size(isolation: str | None) -> None:
    drawing = '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="1in" viewBox="0 0 4 3"/>'
    got = run(
        f"""
        local m, said = Media.image([[{drawing}]]), Media.image([[{drawing}]], "svg")
        return {{ m.mime_type, m.format, said.mime_type, m.metadata.width, m.metadata.height }}
        """,
        isolation=isolation,
    )
    assert got == ["image/svg+xml", "svg", "image/svg+xml", 96, 72]


def test_what_a_film_and_a_song_tell(isolation: str | None) -> None:
    from support import films, sounds

    movie = films.moov(
        films.track(b"vide", films.video_entry()), films.track(b"soun", films.audio_entry(), scale=44100)
    )
    film, song = films.mp4(movie, first=True), sounds.flac(4096)
    got = run(
        f"""
        local m, s = Media.video({lua(film)}).metadata, Media.audio({lua(song)}, "flac").metadata
        return {{
          m.width, m.height, m.duration, m.frame_rate, m.codec, m.audio_codec, s.codec, s.sample_rate, s.bit_depth }}
        """,
        isolation=isolation,
    )
    assert got == [320, 180, 2.0, 25.0, "h264", "aac", "flac", 44100, 16]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (f"Media.image({lua(png())}, 'jpeg')", "said to be image/jpeg, and its bytes are image/png"),
        (f"Media.image({lua(png())}, 'audio/wav')", "is no image's format"),
        (f"Media.image({lua(wav(1)[:60])})", "the bytes are audio/wav, and no image"),
        (f"Media.audio({lua(png())})", "the bytes are image/png, and no audio"),
        ("Media.image('no image')", "no image that is known"),
        ("Media.image('no image', 'png')", "said to be image/png, and its bytes are not"),
        ("Media.image('\\x89PN', 'image/png')", "said to be image/png, and its bytes are not"),
        ("Media.image('')", "it is empty"),
        ("Media.image()", "takes the bytes first"),
        (f"Media.image({lua(png(0, 1))})", "the image is broken"),
        (f"Media.binary({lua(PDF)}, 'text/plain')", "its bytes are application/pdf"),
        ("Media.from_base64('%%%')", "not base64"),
        ("Media.from_file('')", "takes a path"),
        ("Media.from_file('/etc/passwd')", "may not read"),
        (f"Media.image({lua(png())}).bytes()", "with a colon"),
        (f"Media.image({lua(png())}):save('/tmp/x')", "may not write to"),
        ("Media.imag('x')", "Media"),
    ],
)
def test_what_is_wrong_is_told(call: str, message: str) -> None:
    with pytest.raises(LLMSpellError, match=message):
        run(f"return {call}")


def test_files_are_read_and_written_where_that_was_granted(tmp_path: Path, isolation: str | None) -> None:
    (tmp_path / "in.png").write_bytes(png())
    (tmp_path / "words").write_text("words")
    permissions = Permissions(read=("in.png", "words"), write=("out",), base=str(tmp_path))
    got = run(
        f"""
        local image = Media.from_file("in.png")
        image:save("out/a.png")
        Media.image({lua(gif())}):save("out/b.gif")
        local words = Media.from_file("words")
        return {{ image.type, image.size, image.metadata.height, image.filename,
          image:bytes() == {lua(png())}, words.mime_type }}
        """,
        permissions,
        isolation,
    )
    assert got == ["image", len(png()), 2, "in.png", True, "text/plain"]
    assert (tmp_path / "out" / "a.png").read_bytes() == png()
    assert (tmp_path / "out" / "b.gif").read_bytes() == gif()


def test_a_file_s_size_is_looked_at_before_its_bytes(tmp_path: Path) -> None:
    large = LIMITS["video"]
    for name, head, size in (("v.mp4", film(large), large), ("w.mp4", b"", large + 1), ("i.png", png(), 101 << 20)):
        with open(tmp_path / name, "wb") as file:
            file.write(head)
            file.truncate(size)  # sparse: it takes no room
    permissions = Permissions(read=(".",), base=str(tmp_path))
    got = run('local m = Media.from_file("v.mp4") return { m.type, m.size, m.metadata.duration }', permissions)
    assert got == ["video", LIMITS["video"], 3]
    for call, message in (
        ('Media.from_file("w.mp4")', "it has 5368709121 bytes; of video at most"),
        ('Media.from_file("i.png")', "of image at most"),
        ('Media.from_file("v.mp4"):bytes()', "more than"),
    ):
        with pytest.raises(LLMSpellError, match=message):
            run(call, permissions)


MEMORY = textwrap.dedent("""
    import resource, sys
    from llmspell import ScriptRuntime
    from llmspell.tools.permissions import Permissions
    runtime = ScriptRuntime(permissions=Permissions(read=(sys.argv[1],)), model="mock")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    runtime.run('''
        local m = Media.from_file(ARGS[1])
        assert(m.size == 5 * 1024 * 1024 * 1024)
        local ok = pcall(function() return Agent.create{ model = "mock" }:execute{ text = "see", media = { m } } end)
        assert(not ok)
    ''', args=[sys.argv[1]])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
""")


@pytest.mark.once
@pytest.mark.skipif(sys.platform != "linux", reason="kilobytes there")
def test_five_gigabytes_are_never_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    with open(path, "wb") as file:
        file.write(film(5 << 30))
        file.truncate(5 << 30)
    done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000, "kilobytes, asyncio and the providers included"


class Small(MockProvider):
    def capabilities(self, model: str | None = None) -> ProviderCapabilities:
        return super().capabilities(model)._replace(max_media_size=200)


def kept(script: str, provider: MockProvider, **more: Any) -> tuple[Any, list[ModelCall]]:
    manager = ProviderManager({}, env={})
    manager.register(provider)
    return run(script, providers=manager, model="mock", **more), provider.calls


def test_media_go_to_a_model_as_they_are(tmp_path: Path, isolation: str | None) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF)
    script = f"""
        local image = Media.image({lua(png())})
        local doc = Media.from_file("a.pdf")
        local agent = Agent.create{{}}
        agent:execute{{ text = "look", media = {{ image, doc }} }}
        local content = {{ "see", doc, {{ type = "text", text = "!" }} }}
        return agent:execute{{ messages = {{ {{ role = "user", content = content }} }} }}.text
    """
    permissions = Permissions(read=(".",), base=str(tmp_path))
    _, calls = kept(script, MockProvider(["ok"]), permissions=permissions, isolation=isolation)
    first, second = calls[0].messages[-1], calls[1].messages[-1]
    assert [(one.mime_type, one.data, one.filename) for one in first.media] == [
        ("image/png", png(), None),
        ("application/pdf", PDF, "a.pdf"),
    ]
    assert (second.parts[0], second.media[0].data, second.parts[2]) == ("see", PDF, "!")


def test_a_provider_s_own_limit_is_looked_at_before_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.pdf").write_bytes(PDF + b"x" * 500)
    script = 'return Agent.create{}:execute{ text = "look", media = { Media.from_file("a.pdf") } }'
    with pytest.raises(LLMSpellError, match="more than the 200"):
        kept(script, Small(["ok"]), permissions=Permissions(read=(".",), base=str(tmp_path)))


def test_media_of_one_call_are_bounded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A medium of a file takes no room of Lua's: a short script could name one a thousand times."""
    for module in ("bridge.calls.media", "agents.attachments"):
        monkeypatch.setattr(f"llmspell.{module}.LARGEST_CALL", 500)
    (tmp_path / "a.pdf").write_bytes(PDF + b"x" * 100)
    script = """
        local file, told = Media.from_file("a.pdf"), {}
        local chat = Agent.create{}:chat()
        for i, count in ipairs{ 2, 3, 1 } do
          local media = {}
          for n = 1, count do media[n] = file end
          local ok, e = pcall(chat.send, chat, { text = "see", media = media })
          told[i] = ok or e.message
        end
        return told
    """
    permissions = Permissions(read=(".",), base=str(tmp_path))
    told, calls = kept(script, MockProvider(["ok"]), permissions=permissions)
    assert told == [
        True,
        "`chat:send`: `media[3]`: the files of one call have more than 500 bytes",
        "the media up to part 2 of message 3 (application/pdf) have 627 bytes; one call takes at most 500",
    ]
    first, second = calls[0].messages[-1].media
    assert first.data is second.data, "and it is read once"


def test_a_stranger_s_number_is_no_file(tmp_path: Path) -> None:
    script = 'return Agent.create{}:execute{ text = "look", media = { { type = "file", file = 1 } } }'
    with pytest.raises(LLMSpellError, match="no longer known"):
        kept(script, MockProvider(["ok"]))
