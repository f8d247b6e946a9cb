"""What each model of Anthropic takes, known by its name. Source: WIRE.md §6; Anthropic on thinking, November 2026."""

from __future__ import annotations

import pytest

from llmspell.providers.claude import UNBOUND, Claude, claude

OLD = {"thinks": False}
THREE_SEVEN = {"thinks": True, "answer": 8192, "limit": 64000}
FOUR_FIVE = {**THREE_SEVEN, "native": True}
FOUR_SIX = {**FOUR_FIVE, "adaptive": True}
FIVE = {**FOUR_SIX, "samples": False, "answer": 16384, "limit": 128000}


@pytest.mark.parametrize(
    ("model", "ways"),
    [
        ("claude-2.1", OLD),
        ("claude-3-opus-20240229", {**OLD, "limit": 4096}),
        ("claude-3-5-sonnet-20241022", {**OLD, "answer": 8192, "limit": 8192}),
        ("claude-3-5-haiku-latest", {**OLD, "answer": 8192, "limit": 8192}),
        ("claude-3-7-sonnet-20250219", THREE_SEVEN),
        ("claude-sonnet-4-20250514", THREE_SEVEN),
        ("claude-opus-4-1", {**THREE_SEVEN, "limit": 32000}),
        ("claude-opus-4-5", FOUR_FIVE),
        ("claude-haiku-4-5", FOUR_FIVE),
        ("claude-sonnet-4-6", FOUR_SIX),
        ("claude-opus-4-6", {**FOUR_SIX, "limit": 128000}),
        ("claude-opus-4-7", {**FOUR_SIX, "limit": 128000, "samples": False}),
        ("claude-sonnet-5", FIVE),
        ("claude-opus-5", FIVE),
        ("claude-haiku-5", FIVE),
        ("claude-sonnet-5-4", FIVE),
        ("claude-sonnet-5-5", {**FIVE, "off": "between_tools", "forced": False}),
        ("claude-opus-5-5", {**FIVE, "off": "", "forced": False}),
        ("claude-haiku-5-5", FIVE),
        ("claude-fable-5", {**FIVE, "off": ""}),
        ("claude-fable-5-1", {**FIVE, "off": "", "forced": False}),
        ("claude-mythos", {**FIVE, "off": ""}),
        ("claude-mythos-5-1", {**FIVE, "off": "", "forced": False}),
        ("us.anthropic.claude-sonnet-5-v1:0", FIVE),
        ("claude-x", {}),
        ("claude", {}),
        ("deepseek-v3", {}),
        ("opus-5", {}),
    ],
)
def test_a_model_s_ways(model: str, ways: dict[str, object]) -> None:
    assert claude(model) == Claude(**ways)  # type: ignore[arg-type]


def test_of_another_s_model_nothing_is_taken_for_granted() -> None:
    assert Claude() == (None, False, "disabled", True, True, False, 4096, UNBOUND)
