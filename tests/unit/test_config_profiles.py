"""Profiles: what `[profile.NAME]` of a file lays over it, and in whose name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.places import Place, place, refused

if TYPE_CHECKING:
    from typing import Any

pytestmark = pytest.mark.once
__all__ = ["place"]

USER = """
[runtime]
timeout = 100
max_concurrency = 7
[profile.fast]
runtime.timeout = 5
[profile.fast.providers.openai]
model = "gpt-5-nano"
[profile.empty]
"""


def test_a_profile_is_laid_over_the_file_it_stands_in(place: Place) -> None:
    place.user.write_text(USER)
    plain, fast = place.load(), place.load(profile="fast")
    assert (plain.get("runtime.timeout"), plain.profile) == (100.0, None)
    assert (fast.get("runtime.timeout"), fast.profile) == (5.0, "fast")
    assert fast.get("runtime.max_concurrency") == 7
    assert fast.get("providers.openai.model") == "gpt-5-nano"
    assert fast.origin("runtime.timeout") == f"{place.user}:6"
    assert fast.place("runtime.timeout") == (str(place.user), 6, 9)
    assert place.load(profile="empty").get("runtime.timeout") == 100.0


def test_a_profile_wins_whether_it_stands_before_the_rest_or_after(place: Place) -> None:
    place.user.write_text("profile.a.runtime.timeout = 1\n[runtime]\ntimeout = 2\n")
    assert place.load(profile="a").get("runtime.timeout") == 1.0


def test_the_next_file_wins_over_a_profile_of_the_one_before_and_adds_its_own(place: Place) -> None:
    place.system.write_text("[profile.fast.runtime]\ntimeout = 50\nmax_cpu = 9\n")
    place.user.write_text("[runtime]\ntimeout = 60\n")
    assert place.load(profile="fast").get("runtime.timeout") == 60.0
    place.user.write_text("[runtime]\ntimeout = 60\n[profile.fast.runtime]\ntimeout = 40\n")
    config = place.load(profile="fast")
    assert (config.get("runtime.timeout"), config.get("runtime.max_cpu")) == (40.0, 9.0)


def test_the_flag_wins_over_the_variable_and_nothing_is_no_profile(place: Place) -> None:
    place.user.write_text(USER)
    env = {"LLMSPELL_PROFILE": "fast"}
    assert place.load(env=env).get("runtime.timeout") == 5.0
    assert place.load(env=env, profile="empty").get("runtime.timeout") == 100.0
    assert place.load(env={"LLMSPELL_PROFILE": ""}).get("runtime.timeout") == 100.0


@pytest.mark.parametrize("how", [{"profile": "slow"}, {"env": {"LLMSPELL_PROFILE": "slow"}}, {"profile": "a\x1b[31m"}])
def test_an_unknown_profile_is_an_error_that_names_those_there_are(place: Place, how: dict[str, Any]) -> None:
    error = refused(place, **how)
    assert error.message.startswith("there is no profile `")
    assert error.message.isprintable()
    assert error.hint == "no file that was read has one: `[profile.NAME]`"
    place.user.write_text(USER)
    assert refused(place, **how).hint == "there are `fast`, `empty`"


def test_a_project_s_profile_has_a_project_s_rights_over_what_the_user_said(place: Place) -> None:
    place.user.write_text("[runtime]\ntimeout = 100\n")
    path = place.stranger("[runtime]\ntimeout = 10\n[profile.long.runtime]\ntimeout = 90\n")
    assert place.load().get("runtime.timeout") == 10.0
    assert place.load(profile="long").get("runtime.timeout") == 90.0, "up to the user's own"
    path.write_text("[profile.long.runtime]\ntimeout = 101\n")
    place.load(profile=None)
    error = refused(place, profile="long")
    assert error.message.startswith(f"{path}:2:1: `profile.long.runtime.timeout` may not be raised")
    path.write_text('[profile.long.providers.openai]\nbase_url = "http://evil/v1"\n')
    assert "may not be set by a project's file" in refused(place, profile="long").message


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("profile = 3\n", "1:1: `profile`: expected a table"),
        ("[profile]\nfast = 3\n", "2:1: `profile.fast`: expected a table"),
        ('[profile."A B"]\n', "1:10: `profile.A B` is no name for a profile"),
        ("[profile.fast]\nruntme.timeout = 3\n", "2:1: unknown key `profile.fast.runtme`"),
        ("[profile.fast.runtime]\ntimout = 3\n", "2:1: unknown key `profile.fast.runtime.timout`"),
        ("[profile.fast.profile.x.runtime]\ntimeout = 3\n", "1:15: unknown key `profile.fast.profile`"),
        ("[profile.fast]\nruntime = 3\n", "2:1: `profile.fast.runtime`: expected a table"),
        ("[profile.fast]\ntools.x = 3\n", "2:7: `profile.fast.tools.x`: expected a table"),
        ('[profile.fast.runtime]\ntimeout = "x"\n', "2:1: `profile.fast.runtime.timeout`: expected a number of"),
    ],
)
def test_what_is_wrong_in_a_profile_is_told_though_nobody_asked_for_it(place: Place, text: str, words: str) -> None:
    place.user.write_text(text)
    assert refused(place).message.startswith(f"{place.user}:{words}")


def test_the_nearest_key_is_named_in_a_profile_too(place: Place) -> None:
    place.user.write_text("[profile.fast.runtime]\ntimout = 3\n")
    assert refused(place).hint == "the nearest known key is `runtime.timeout`"
