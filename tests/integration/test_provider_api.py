"""`Provider` in scripts."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell import ScriptRuntime
from llmspell.errors import ScriptError, ValidationError
from llmspell.providers.manager import ProviderManager

pytestmark = pytest.mark.once

KEY = "sk-secret-of-nobody"


def run(script: str) -> Any:
    settings = {"openai": {"type": "openai", "api_key": KEY, "model": "gpt-x"}, "mock": {"type": "mock"}}
    return ScriptRuntime(providers=ProviderManager(settings, env={})).run(script).result


def test_what_there_is_without_a_key() -> None:
    told = run("return Provider.list()")
    assert [one["name"] for one in told] == ["openai", "mock", "local"]
    assert told[0]["default"] is True
    assert told[0]["models"] == ["gpt-x"]
    assert KEY not in str(told)
    assert run("return Provider.get('mock').capabilities.supports_tools, Provider.get('x')") == [True, None]
    assert run("return Provider.getCapabilities('mock').input_modalities[2]") == "image"
    assert run("return Provider.isAvailable('mock'), Provider.isAvailable('x')") == [True, False]
    assert run("return Provider.find{ input_modalities = {'video'} }") == ["mock"]


def test_the_default_is_switched() -> None:
    script = "return Provider.default(), Provider.default('mock'), Agent.create{}:execute('hello').text"
    assert run(script) == ["openai", "mock", "hello"]
    with pytest.raises(Exception, match="there is no provider `nobody`"):
        run("Provider.default('nobody')")


def test_vectors_and_models() -> None:
    assert run("local v = Provider.embed{ model = 'mock', input = {'a', 'b'} } return #v, #v[2]") == [2, 8]
    assert run("return #Provider.embed{ provider = 'mock', input = 'a', dimensions = 3 }[1]") == 3
    assert run("return Provider.models('mock')[1].id") == "mock"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("Provider.embed{ modle = 'x' }", "has no field `modle`"),
        ("Provider.embed{ model = 'mock' }", "needs `input`"),
        ("Provider.get(7)", "takes a provider's name"),
        ("Provider.find{ flies = true }", "there is no capability `flies`"),
    ],
)
def test_mistakes(script: str, said: str) -> None:
    with pytest.raises((ValidationError, ScriptError), match=said):
        run(script)


def test_a_capability_of_the_wrong_type_is_nobody_s() -> None:
    assert run("return #Provider.find{ input_modalities = 7 }, #Provider.find{ input_modalities = {{}} }") == [0, 0]
