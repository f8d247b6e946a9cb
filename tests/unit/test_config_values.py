"""What each setting takes, and what is said of what it does not."""

from __future__ import annotations

from typing import Any

import pytest

from llmspell.errors import ConfigError
from support.places import Place, place

pytestmark = pytest.mark.once
__all__ = ["place"]


MOCK = '[providers.m]\ntype = "mock"\n'
OPENAI = "[providers.openai]\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[runtime]\nmax_concurrency = true", "a whole number, got a boolean"),
        ("[runtime]\nmax_concurrency = 10_000_000", "expected a whole number from 0 to 100000"),
        ("[runtime]\ntimeout = nan", "expected seconds from 0 (none) to one year"),
        ("[runtime]\ninterrupts = 1", "got a whole number"),
        ('[runtime]\ninterrupts = "x"', "expected "),
        (OPENAI + "model = 1", "expected a string, got a whole number"),
        (OPENAI + 'model = ""', "expected a printable string of 1 to "),
        (OPENAI + 'model = "a\\u0007"', "expected a printable string of 1 to "),
        (OPENAI + 'base_url = "ftp://host"', "an address that begins with http:// or https://"),
        (OPENAI + 'base_url = "http://a:b@host"', "an address without a name or password in it"),
        (OPENAI + 'base_url = "http://host/?a"', "an address without ? and #"),
        (OPENAI + 'proxy = "host:80"', "expected a proxy's address"),
        (OPENAI + 'proxy = "http://a:b@host"', "without a name or password in it"),
        (OPENAI + 'http2 = "yes"', "expected true or false, got a string"),
        (OPENAI + "api_key_env = 1", "the name of an environment variable, got a whole number"),
        (OPENAI + 'api_key_env = "sk-123"', "the name of an environment variable, not the key itself"),
        (OPENAI + "api_key_keyring = 1", 'an entry of the keyring, "SERVICE/USER", got a whole number'),
        (OPENAI + 'api_key_keyring = "sk-123"', 'an entry of the keyring, "SERVICE/USER", not the key itself'),
        (OPENAI + "api_key_cmd = 1", "a command, or an array of its words, got a whole number"),
        (OPENAI + "api_key_cmd = 'pass \"show'", "a command whose quotes are closed"),
        (OPENAI + "api_key_cmd = []", "a command of 1 to 64 printable words"),
        (OPENAI + "api_key_cmd = [1]", "a command of 1 to 64 printable words"),
        (OPENAI + 'api_key_cmd = [""]', "the name of a program"),
        (OPENAI + "headers = 1", "a table of headers, got a whole number"),
        (OPENAI + 'headers = { "a b" = "x" }', "header names of letters, digits, - and _"),
        (OPENAI + 'headers = { a = "x\\ny" }', "header values that are printable ASCII strings"),
        (OPENAI + "headers = { a = 1 }", "header values that are printable ASCII strings"),
        (OPENAI + "headers = { " + ", ".join(f'a{n} = "x"' for n in range(65)) + " }", "at most 64 headers"),
        (MOCK + "replies = 1", "an array of strings and tables"),
        (MOCK + "replies = [1]", "an array of strings and tables"),
        ('[permissions]\nread = "here"', "an array of strings"),
        ("[permissions]\nread = [1]", "an array of strings"),
        ('[permissions]\nread = [" "]', "printable strings of 1 to "),
        ("[permissions]\nread = [" + '"a",' * 1001 + "]", "at most 1000 grants"),
        ("[limits]\nmax_cost_usd = true", "US dollars, got a boolean"),
        ("[limits]\nmax_cost_usd = -1", "expected US dollars from 0 to "),
        (OPENAI + "prices = 1", "a table of models, got a whole number"),
        (OPENAI + "prices = { m = 1 }", 'a table of prices for "m", got a whole number'),
        (OPENAI + "prices = { m = { input = 1 } }", 'input and output for "m"'),
        (OPENAI + 'prices = { m = { input = 1, output = "x" } }', '"m".output: expected US dollars, got a string'),
        (OPENAI + 'prices = { "" = { input = 1, output = 1 } }', "models' names of 1 to 200 printable characters"),
    ],
)
def test_what_a_setting_does_not_take_is_said_with_its_place(place: Place, text: str, said: str) -> None:
    place.user.write_text(text + "\n")
    with pytest.raises(ConfigError) as caught:
        place.load()
    assert said in caught.value.message
    assert str(place.user) in caught.value.message


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        (OPENAI + 'base_url = "HTTPS://host/v1/"', "providers.openai.base_url", "HTTPS://host/v1"),
        (OPENAI + 'proxy = "none"', "providers.openai.proxy", "none"),
        (OPENAI + 'proxy = "socks5://127.0.0.1:9"', "providers.openai.proxy", "socks5://127.0.0.1:9"),
        (OPENAI + "api_key_cmd = 'pass \"show it\"'", "providers.openai.api_key_cmd", ["pass", "show it"]),
        (OPENAI + 'api_key_keyring = "a/b/me"', "providers.openai.api_key_keyring", "a/b/me"),
        (OPENAI + 'headers = { X-A_1 = "" }', "providers.openai.headers", {"X-A_1": ""}),
        (MOCK + 'replies = "one"', "providers.m.replies", ["one"]),
        ("[limits]\nmax_cost_usd = 1", "limits.max_cost_usd", 1.0),
    ],
)
def test_what_a_setting_takes(place: Place, text: str, key: str, value: Any) -> None:
    place.user.write_text(text + "\n")
    assert place.load().get(key) == value
