"""A machine of a test's own: the places where configuration files are, and what comes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from llmspell.config import discovery
from llmspell.config.loader import Config, load
from llmspell.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Place", "place", "refused"]


class Place:
    """A machine of the test's own: a system file, a user, a project and a working folder."""

    def __init__(self, root: Path) -> None:
        self.system = root / "etc" / "config.toml"
        self.user = root / "xdg" / "llmspell" / "config.toml"
        self.project = root / "project" / "deep"
        self.cwd = root / "work" / "here"
        for folder in (self.system.parent, self.user.parent, self.project, self.cwd):
            folder.mkdir(parents=True)
        self.env = {"XDG_CONFIG_HOME": str(root / "xdg"), "HOME": str(root / "home"), "PATH": "/bin"}
        self.env["XDG_DATA_HOME"] = str(root / "data")

    def load(
        self,
        *,
        script: bool = True,
        config: object = None,
        env: dict[str, str] | None = None,
        flags: dict[str, object] | None = None,
        profile: str | None = None,
    ) -> Config:
        return load(
            script_dir=str(self.project) if script else None,
            config_file=None if config is None else str(config),
            env=self.env | (env or {}),
            flags=flags or {},
            profile=profile,
        )

    def stranger(self, text: str) -> Path:
        """Writes the file that comes with the script."""
        path = self.project.parent / "llmspell.toml"
        path.write_text(text)
        return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    place = Place(tmp_path)
    monkeypatch.chdir(place.cwd)
    monkeypatch.setattr(discovery, "system_file", lambda env: str(place.system))
    return place


def refused(place: Place, **how: Any) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        place.load(**how)
    error = caught.value
    assert error.hint
    assert "\n" not in error.message + error.hint
    return error
