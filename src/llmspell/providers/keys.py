"""Keys of services that stand in no variable: in a file, in the system's keyring, or told by a command.

A key is asked for when the first request needs it, once a process, and never shown: of a command's output an error
tells nothing, of its complaints the last line.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE
from typing import TYPE_CHECKING

from llmspell.errors import AuthError, ConfigError, one_line
from llmspell.providers.wire_errors import masked

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TIMEOUT", "forget", "from_command", "from_file", "from_keyring"]

TIMEOUT = 60.0  # seconds that a command has: it may ask a person for a password
MOST = 16 * 1024  # bytes of a file, and of what a command writes

_told: dict[tuple[str, ...], str] = {}


def from_file(path: str, provider: str) -> str:
    """The first line of the file at *path*; `~` is the home folder. Raises AuthError."""
    try:
        with open(os.path.expanduser(path), "rb") as file:
            data = file.read(MOST)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a file's name"
        raise AuthError(
            f"the key of {provider} cannot be read from {one_line(path, 200)}: {why.lower()}",
            hint=f"check `providers.{provider}.api_key_file`",
            provider=provider,
        ) from None
    return _first_line(data) or _nothing(f"{one_line(path, 200)} holds no key of {provider}", provider, "api_key_file")


def forget(command: Sequence[str]) -> None:
    """What *command* told is asked anew the next time: the service has refused it."""
    _told.pop(tuple(command), None)


async def from_command(command: Sequence[str], provider: str, patience: float = TIMEOUT) -> str:
    """The first line of what *command* writes, which no shell sees. Cancelled, it kills the command.

    Raises AuthError: it failed, said nothing, or took more than *patience* seconds; ConfigError: there is no such
    program.
    """
    words = tuple(command)
    if (known := _told.get(words)) is not None:
        return known
    setting = f"providers.{provider}.api_key_cmd"
    try:
        child = await asyncio.create_subprocess_exec(*words, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a program's name"
        raise ConfigError(
            f"the command for the key of {provider} cannot be run: `{one_line(words[0], 100)}`: {why.lower()}",
            hint=f"check `{setting}`; no shell reads it",
            provider=provider,
        ) from None
    try:
        async with asyncio.timeout(patience):
            data, complaints = await asyncio.gather(_all_of(child.stdout), _all_of(child.stderr))
            code = await child.wait()
    except TimeoutError:
        raise AuthError(
            f"the command for the key of {provider} has not ended within {patience:g} s: `{one_line(words[0], 100)}`",
            hint=f"run it by hand to see what it waits for, or change `{setting}`",
            provider=provider,
        ) from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    key = _first_line(data)
    if code:
        lines = [line for line in complaints.decode("utf-8", "replace").splitlines() if line.strip()]
        said = one_line(masked(lines[-1], (key,)), 200) if lines else "it said nothing"
        raise AuthError(
            f"the command for the key of {provider} failed ({_ended(code)}): {said}",
            hint=f"run it by hand, or change `{setting}`: `{one_line(words[0], 100)} …`",
            provider=provider,
        )
    if not key:
        _nothing(f"the command for the key of {provider} wrote no key", provider, "api_key_cmd")
    _told[words] = key
    return key


async def from_keyring(entry: str, provider: str, patience: float = TIMEOUT) -> str:
    """The key under *entry*, SERVICE/USER, of the system's keyring, which may ask a person to unlock it.

    Raises AuthError: there is no such entry, the keyring refused, or it took more than *patience* seconds;
    ConfigError: the package that reads keyrings is not installed.
    """
    from threading import Thread

    loop = asyncio.get_running_loop()
    done: asyncio.Future[str | None] = loop.create_future()

    def settle(key: str | None, error: Exception | None) -> None:
        if not done.done():
            done.set_result(key) if error is None else done.set_exception(error)

    def work() -> None:
        key, error = None, None
        try:
            import keyring

            service, _, user = entry.rpartition("/")
            key = keyring.get_password(service, user)
        except Exception as failed:  # whatever a system's keyring raises
            error = failed
        try:
            loop.call_soon_threadsafe(settle, key, error)
        except RuntimeError:  # nobody waits any more, and the loop is closed
            pass

    # A thread of its own, that no end of a process waits for: a keyring may wait for a person.
    Thread(target=work, name="llmspell-keyring", daemon=True).start()
    setting, shown = f"providers.{provider}.api_key_keyring", one_line(entry, 200)
    try:
        async with asyncio.timeout(patience):
            key = await done
    except TimeoutError:
        raise AuthError(
            f"the keyring has not given the key of {provider} within {patience:g} s: `{shown}`",
            hint=f"unlock it, or change `{setting}`",
            provider=provider,
        ) from None
    except ImportError:
        raise ConfigError(
            f"the key of {provider} is in the keyring, and the package that reads it is not installed",
            hint="`pip install 'llmspell[keyring]'`",
            provider=provider,
        ) from None
    except Exception as error:
        raise AuthError(
            f"the keyring did not give the key of {provider}: {one_line(f'{type(error).__name__}: {error}', 200)}",
            hint=f"check `{setting}`; `keyring diagnose` shows which keyring is in use",
            provider=provider,
        ) from None
    if not key or not key.strip():
        service, _, user = entry.rpartition("/")
        raise AuthError(
            f"the keyring has no key of {provider} under `{shown}`",
            hint=f"`keyring set {one_line(service, 100)} {one_line(user, 100)}` keeps one there, or change `{setting}`",
            provider=provider,
        )
    return _first_line(key.encode())


async def _all_of(stream: asyncio.StreamReader | None) -> bytes:
    """The first MOST bytes; what comes after is read and dropped, so that nobody waits for a full pipe."""
    assert stream is not None
    kept = b""
    while data := await stream.read(MOST):
        kept = (kept + data)[:MOST]
    return kept


def _first_line(data: bytes) -> str:
    lines = data.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    return lines[0].strip() if lines else ""


def _ended(code: int) -> str:
    return f"exit code {code}" if code > 0 else f"signal {-code}"


def _nothing(message: str, provider: str, key: str) -> str:
    raise AuthError(
        message, hint=f"its first line is to be the key: check `providers.{provider}.{key}`", provider=provider
    )
