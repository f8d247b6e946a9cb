"""A keyring of a test's own, for processes that it starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["keyring"]

CODE = """
import json, os, time
import keyring.backend
import keyring.errors

class Keyring(keyring.backend.KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        with open(os.path.join({folder!r}, "asked"), "a") as file:
            file.write(json.dumps([service, username]) + "\\n")
        {does}

    def set_password(self, service, username, password):
        raise AssertionError("llmspell keeps no key")
"""


def keyring(folder: Path, does: str) -> dict[str, str]:
    """The environment in which the system's keyring is one that *does* that, with `service` and `username`.

    What it was asked for stands in the file `asked` of *folder*, a line each.
    """
    (folder / "test_keyring_of_ours.py").write_text(CODE.format(folder=str(folder), does=does))
    path = os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH"))))
    return {"PYTHON_KEYRING_BACKEND": "test_keyring_of_ours.Keyring", "PYTHONPATH": path}
