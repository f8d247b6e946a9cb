"""What can be configured: one table of keys, read by the loader, `config show`, `config init` and the documentation.

A key's path is dotted, `NAME` standing for a provider's name. Values that pass `Key.check` are in the unit that the
key's documentation names: seconds as float, sizes as bytes. Source: DESIGN.md, "Configuration". Imports nothing:
it is read at every start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = [
    "BUILT_IN",
    "INTERRUPTS",
    "KEYS",
    "KEY_SOURCES",
    "LOG_LEVELS",
    "OWN_VARIABLES",
    "PREFIX",
    "PROFILE_VARIABLE",
    "PROJECT_GRANTS",
    "PROJECT_KEYS",
    "PROJECT_LIMITS",
    "PROVIDER_TYPES",
    "TIMEOUTS",
    "VENDORS",
    "VENDOR_VARIABLES",
    "Key",
    "is_provider_name",
    "lookup",
    "size",
    "split_grants",
]

#: What `providers.NAME.type` may be. A dialect is added here by its word, and below by the keys that it reads.
PROVIDER_TYPES = ("openai", "openai-responses", "anthropic", "gemini", "ollama", "local", "mock")
#: Services that speak a dialect of another's: a type as well, and providers without being configured. A test compares
#: them with `providers/vendors.toml`, which says all else of them.
VENDORS = (
    "groq", "mistral", "deepseek", "openrouter", "xai", "cerebras", "together", "fireworks", "perplexity",
    "huggingface", "zai", "vercel", "crusoe", "azure", "snowflake", "gpustack", "llamacpp", "vllm", "lmstudio",
)  # fmt: skip
#: What `runtime.interrupts` may be: by a real-time signal and a timer, by a hook that counts instructions, not at all.
INTERRUPTS = ("tick", "hook", "none")
#: What `logging.level` and `--log-level` take.
LOG_LEVELS = ("debug", "info", "warning", "error", "off")
TIMEOUTS = ("connect", "first_token", "idle", "total")

#: Where a key may be looked for that no variable holds, in this order.
KEY_SOURCES = ("api_key_file", "api_key_keyring", "api_key_cmd")

#: What a variable of llmspell's begins with; `__` stands for the dots of a path.
PREFIX = "LLMSPELL_"
#: The variable that names a profile, where no flag does.
PROFILE_VARIABLE = "LLMSPELL_PROFILE"
#: Variables of llmspell's own that are no keys.
OWN_VARIABLES = (
    "LLMSPELL_NO_EXTENSIONS",
    "LLMSPELL_CACHE_DIR",
    "LLMSPELL_WIRE",
    "LLMSPELL_TEST_WEIGHTS",
    PROFILE_VARIABLE,
)
#: The vendors' own variables. Keys of accounts are not among them: `api_key_env` names theirs, the provider reads it.
VENDOR_VARIABLES = {
    "OPENAI_BASE_URL": "providers.openai.base_url",
    "ANTHROPIC_BASE_URL": "providers.anthropic.base_url",
    "OLLAMA_HOST": "providers.ollama.base_url",
}

#: What a project's file may set though nobody vouched for it. Whatever is in neither table, it may not: where requests
#: go and what is sent with them (base_url, headers, api_key_env), what is read from disk or fetched (api_key_file,
#: api_key_keyring), and what is run (api_key_cmd).
PROJECT_LIMITS = (
    "runtime.timeout",
    "runtime.max_cpu",
    "runtime.max_memory",
    "runtime.max_output",
    "runtime.max_concurrency",
    "limits.max_tokens_total",
    "limits.max_cost_usd",
)
#: What a project's file may narrow.
PROJECT_GRANTS = tuple(f"permissions.{name}" for name in ("read", "write", "net", "env", "run", "tools"))
PROJECT_KEYS = ("providers.default", "providers.NAME.model", *(f"providers.NAME.timeout.{part}" for part in TIMEOUTS))

# One year and 1 TiB. What is larger is a slip, and would overflow timers further down.
_MOST_SECONDS = 31_536_000
_MOST_BYTES = 1 << 40
_MOST_TEXT = 4096
_MOST_DOLLARS = 1_000_000
_MOST_TOKENS = 10**12
_UNITS = {"": 0, "b": 0, "k": 10, "kb": 10, "kib": 10, "m": 20, "mb": 20, "mib": 20, "g": 30, "gb": 30, "gib": 30}
_TOML_NAMES = {"str": "a string", "bool": "a boolean", "int": "a whole number", "float": "a number"}
_TOML_NAMES |= {"dict": "a table", "list": "an array"}


def size(value: object) -> int:
    """Bytes, from a whole number of them or a text such as "256MB"; K, M and G are powers of 1024. 0 is none.

    Raises ValueError, which says what was expected.
    """
    if isinstance(value, str):
        text = value.strip().lower()
        number = text.rstrip("bgikm")
        shift = _UNITS.get(text[len(number) :])
        digits = number.strip()
        # float() alone would take "nan", "1e3", "1_0" and digits of any script.
        if shift is None or not digits.isascii() or not digits.replace(".", "", 1).isdigit() or len(digits) > 20:
            raise ValueError('expected a size such as "256MB"')
        count = int(float(digits) * (1 << shift))
    elif isinstance(value, int) and not isinstance(value, bool):
        count = value
    else:
        raise ValueError(f'expected a size such as "256MB", got {_named(value)}')
    if not 0 <= count <= _MOST_BYTES:
        raise ValueError("expected a size from 0 (none) to 1024GB")
    return count


def _named(value: object) -> str:
    return _TOML_NAMES.get(type(value).__name__, "a date or time")


class Key:
    """One setting.

    path: dotted. kind: what its value is, a word of `_CHECKS`. default: as `check` gives it; None is unset.
    doc: one line. choices: of a word. bounds: of a count, both included. types: the types of provider that read it,
    empty for all. A type that another package brings reads what those behind an address read.
    """

    __slots__ = ("bounds", "choices", "default", "doc", "kind", "path", "types")

    def __init__(
        self,
        path: str,
        kind: str,
        default: object,
        doc: str,
        *,
        choices: tuple[str, ...] = (),
        bounds: tuple[int, int] = (1, 1),
        types: tuple[str, ...] = (),
    ) -> None:
        self.path = path
        self.kind = kind
        self.default = default
        self.doc = doc
        self.choices = choices
        self.bounds = bounds
        self.types = types

    def read_by(self, type_: str | None) -> bool:
        """Whether a provider of that type reads it."""
        types = self.types
        return not types or type_ in types or (_HTTP[0] in types and type_ not in PROVIDER_TYPES)

    def check(self, value: object) -> Any:
        """*value* in the key's unit. Raises ValueError: what was expected, and never the value, which may be secret."""
        return _CHECKS[self.kind](self, value)

    def parse(self, text: str) -> Any:
        """The same from text, as variables and flags give it."""
        value: object = text
        if self.kind in ("seconds", "count", "dollars"):
            value = _number(text)
        elif self.kind == "size" and text.strip().isdecimal():
            value = int(text) if len(text) <= 20 else text
        elif self.kind == "flag":
            value = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(
                text.strip().lower(), text
            )
        elif self.kind == "grants":
            value = split_grants(text)
        elif self.kind in ("headers", "prices") or (self.kind in ("command", "replies") and text.lstrip()[:1] == "["):
            value = _inline_table(text)
        return self.check(value)


def _number(text: str) -> object:
    text = text.strip()
    if len(text) <= 32 and text.isascii() and "_" not in text:
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text


def _inline_table(text: str) -> object:
    import tomllib

    try:
        return tomllib.loads(f"value = {text}").get("value")
    except (ValueError, RecursionError):
        return text


def _seconds(key: Key, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected a number of seconds, got {_named(value)}")
    if not 0 <= value <= _MOST_SECONDS:  # not a number is not in it either
        raise ValueError("expected seconds from 0 (none) to one year")
    return float(value)


def _count(key: Key, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"expected a whole number, got {_named(value)}")
    low, high = key.bounds
    if not low <= value <= high:
        raise ValueError(f"expected a whole number from {low} to {high}")
    return value


def _size(key: Key, value: object) -> int:
    return size(value)


def _text(key: Key, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected a string, got {_named(value)}")
    if not value or len(value) > _MOST_TEXT or not value.isprintable():
        raise ValueError(f"expected a printable string of 1 to {_MOST_TEXT} characters")
    return value


def _word(key: Key, value: object) -> str:
    known = " or ".join(f'"{word}"' for word in key.choices)
    if not isinstance(value, str):
        raise ValueError(f"expected {known}, got {_named(value)}")
    if value not in key.choices:
        raise ValueError(f"expected {known}")
    return value


def _type(key: Key, value: object) -> str:
    if isinstance(value, str) and value not in key.choices and is_provider_name(value):
        from llmspell.config import plugins  # other packages may bring types: they are looked for only here

        if plugins.has(value):
            return value
    return _word(key, value)


def _url(key: Key, value: object) -> str:
    text = _text(key, value)
    scheme, mark, rest = text.partition("://")
    host = rest.replace("?", "/").replace("#", "/").partition("/")[0]
    if scheme.lower() not in ("http", "https") or not mark or not host or " " in text:
        raise ValueError("expected an address that begins with http:// or https://")
    if "@" in host:
        raise ValueError("expected an address without a name or password in it")
    if "?" in text or "#" in text:
        raise ValueError("expected an address without ? and #")
    return text.rstrip("/")


def _proxy(key: Key, value: object) -> str:
    text = _text(key, value)
    scheme, mark, rest = text.partition("://")
    if text == "none":
        return text
    if not mark or not rest or scheme.lower() not in ("http", "https", "socks5", "socks5h") or " " in text:
        raise ValueError('expected a proxy\'s address such as "http://proxy.example.com:8080", or "none"')
    if "@" in rest:
        raise ValueError("expected a proxy's address without a name or password in it: HTTPS_PROXY may have them")
    return text


def _flag(key: Key, value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {_named(value)}")
    return value


def _variable(key: Key, value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"expected the name of an environment variable, got {_named(value)}")
    if not value.isidentifier() or not value.isascii() or len(value) > 128:
        raise ValueError("expected the name of an environment variable, not the key itself")
    return value


def _entry(key: Key, value: object) -> str:
    """An entry of the system's keyring: a service, which may have `/` in it, and behind the last one a user."""
    if not isinstance(value, str):
        raise ValueError(f'expected an entry of the keyring, "SERVICE/USER", got {_named(value)}')
    service, _, user = value.rpartition("/")
    if not service or not user or len(value) > 512 or not value.isprintable():
        raise ValueError('expected an entry of the keyring, "SERVICE/USER", not the key itself')
    return value


def _command(key: Key, value: object) -> list[str]:
    """A program and its arguments: a list of them, or a line that is cut as a shell would, and given to none."""
    words: object = value
    if isinstance(value, str):
        import shlex

        try:
            words = shlex.split(value)
        except ValueError:
            raise ValueError("expected a command whose quotes are closed") from None
    if not isinstance(words, list):
        raise ValueError(f"expected a command, or an array of its words, got {_named(value)}")
    if not words or len(words) > 64 or not all(isinstance(word, str) and word.isprintable() for word in words):
        raise ValueError("expected a command of 1 to 64 printable words")
    if not words[0] or sum(map(len, words)) > _MOST_TEXT:
        raise ValueError(f"expected the name of a program, and at most {_MOST_TEXT} characters")
    return list(words)


def _replies(key: Key, value: object) -> list[Any]:
    """The answers of a mock, as providers/mock.py reads them: what is in a table is looked at there."""
    value = [value] if isinstance(value, str) else value
    if not isinstance(value, list) or not all(isinstance(item, (str, dict)) for item in value):
        raise ValueError("expected an array of strings and tables")
    return list(value)


def split_grants(text: str) -> list[str]:
    """The grants of a list with commas between them; `,,` is a comma of one's own."""
    return [part.replace("\0", ",").strip() for part in text.replace(",,", "\0").split(",") if part.strip()]


def _grants(key: Key, value: object) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError("expected an array of strings")
    if len(value) > 1000:
        raise ValueError("expected at most 1000 grants")
    for item in value:
        if not item.strip() or len(item) > _MOST_TEXT or not item.isprintable():
            raise ValueError(f"expected printable strings of 1 to {_MOST_TEXT} characters")
    return tuple(value)


def _headers(key: Key, value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table of headers, got {_named(value)}")
    if len(value) > 64:
        raise ValueError("expected at most 64 headers")
    for name, text in value.items():
        if not name or len(name) > 128 or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError("expected header names of letters, digits, - and _")
        # A line break here would smuggle in a header of its own.
        if not isinstance(text, str) or len(text) > _MOST_TEXT or not (text.isascii() and text.isprintable()):
            raise ValueError("expected header values that are printable ASCII strings")
    return dict(value)


def _dollars(key: Key, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"expected US dollars, got {_named(value)}")
    if not 0 <= value <= _MOST_DOLLARS:  # not a number is not in it either
        raise ValueError(f"expected US dollars from 0 to {_MOST_DOLLARS}")
    return float(value)


def _prices(key: Key, value: object) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict):
        raise ValueError(f"expected a table of models, got {_named(value)}")
    if len(value) > 1000:
        raise ValueError("expected at most 1000 models")
    told: dict[str, dict[str, float]] = {}
    for model, row in value.items():
        if not model or len(model) > 200 or not model.isprintable():
            raise ValueError("expected models' names of 1 to 200 printable characters")
        if not isinstance(row, dict):
            raise ValueError(f'expected a table of prices for "{model}", got {_named(row)}')
        if not {"input", "output"} <= row.keys() <= {"input", "output", "cached", "cache_write"}:
            raise ValueError(f'expected input and output for "{model}", and at most cached and cache_write')
        told[model] = {}
        for name, price in row.items():
            try:
                told[model][name] = _dollars(key, price)
            except ValueError as error:
                raise ValueError(f'"{model}".{name}: {error}') from None
    return told


_CHECKS = {
    "seconds": _seconds,
    "count": _count,
    "size": _size,
    "text": _text,
    "word": _word,
    "type": _type,
    "command": _command,
    "grants": _grants,
    "replies": _replies,
    "entry": _entry,
    "url": _url,
    "proxy": _proxy,
    "flag": _flag,
    "variable": _variable,
    "headers": _headers,
    "dollars": _dollars,
    "prices": _prices,
}

_LOCAL = ("local",)
_MOCK = ("mock",)
_HTTP = (*(type_ for type_ in PROVIDER_TYPES if type_ not in ("local", "mock")), *VENDORS)
_N = "providers.NAME."
_T = _N + "timeout."
_R = _N + "retry."

#: Every key, in the order in which `config show` and the documentation list them.
KEYS = (
    Key("runtime.timeout", "seconds", 300.0, "seconds for the whole run; 0 = none"),
    Key("runtime.max_cpu", "seconds", 0.0, "seconds of computing by the script itself; 0 = none"),
    Key("runtime.max_memory", "size", 256 << 20, 'of the Lua heap, such as "256MB"; 0 = none'),
    Key("runtime.max_output", "size", 64 << 20, 'of what the script writes, such as "64MB"; 0 = none'),
    Key("runtime.max_concurrency", "count", 1024, "model calls at once; 0 = any", bounds=(0, 100_000)),
    Key("runtime.interrupts", "word", "tick", "how a script that computes is stopped", choices=INTERRUPTS),
    Key(
        "limits.max_tokens_total",
        "count",
        0,
        "tokens read and written by a run's model calls; 0 = any",
        bounds=(0, _MOST_TOKENS),
    ),
    Key("limits.max_cost_usd", "dollars", 0.0, "US dollars that a run's model calls may cost; 0 = any"),
    Key("providers.default", "text", "auto", '"auto" (the first that has a key or a model), or a provider\'s name'),
    Key(_N + "type", "type", None, "the dialect it speaks, or the vendor", choices=(*PROVIDER_TYPES, *VENDORS)),
    Key(_N + "base_url", "url", None, "where it answers, its version included", types=_HTTP),
    Key(_N + "api_key_env", "variable", None, "the environment variable that holds its key", types=_HTTP),
    Key(_N + "api_key_file", "text", None, "a file whose first line is its key", types=_HTTP),
    Key(_N + "api_key_cmd", "command", None, "a command whose output's first line is its key", types=_HTTP),
    Key(_N + "api_key_keyring", "entry", None, "the keyring's entry with its key: SERVICE/USER", types=_HTTP),
    Key(_N + "model", "text", None, "the model where a script names none"),
    Key(_N + "headers", "headers", {}, "headers added to each request", types=_HTTP),
    Key(_N + "proxy", "proxy", None, 'a proxy\'s address, "none"; unset = as the environment says', types=_HTTP),
    Key(_N + "ca_file", "text", None, "certificates (PEM) to trust instead of the system's", types=_HTTP),
    Key(_N + "client_cert", "text", None, "a certificate and its key (PEM) to show the service", types=_HTTP),
    Key(_N + "http2", "flag", False, "speak HTTP/2 where the service does (extra `http2`)", types=_HTTP),
    Key(_N + "prices", "prices", {}, "its models' prices: US dollars for a million tokens", types=_HTTP),
    Key(_T + "connect", "seconds", 5.0, "seconds until the connection stands; 0 = none", types=_HTTP),
    Key(_T + "first_token", "seconds", 60.0, "seconds until the answer begins; 0 = none", types=_HTTP),
    Key(_T + "idle", "seconds", 30.0, "seconds between two pieces of an answer; 0 = none", types=_HTTP),
    Key(_T + "total", "seconds", 600.0, "seconds for one call; 0 = none", types=(*_HTTP, *_LOCAL)),
    Key(_R + "attempts", "count", 4, "how often a call is tried in all; 1 = once", bounds=(1, 100), types=_HTTP),
    Key(_R + "base", "seconds", 0.5, "seconds, the most of the first wait; it doubles with each", types=_HTTP),
    Key(_R + "max", "seconds", 30.0, "seconds of one wait at most, whatever the service asks for", types=_HTTP),
    Key(_R + "budget", "seconds", 60.0, "seconds in which all attempts begin; 0 = no bound", types=_HTTP),
    Key(_N + "path", "text", None, "a GGUF file to use for the model", types=_LOCAL),
    Key(_N + "pull", "word", "auto", "whether a missing model is fetched", choices=("auto", "never"), types=_LOCAL),
    Key(_N + "threads", "count", None, "threads that compute; unset = by the machine", bounds=(1, 1024), types=_LOCAL),
    Key(_N + "context", "count", 4096, "tokens of context for each call", bounds=(256, 1 << 20), types=_LOCAL),
    Key(_N + "slots", "count", 2, "calls that run at once", bounds=(1, 256), types=_LOCAL),
    Key(_N + "replies", "replies", None, "what a mock answers, in order; unset = what it was told", types=_MOCK),
    Key(_N + "when_over", "word", "repeat", "after the last reply", choices=("repeat", "error"), types=_MOCK),
    Key("permissions.read", "grants", (), "folders and files that may be read"),
    Key("permissions.write", "grants", (), "folders and files that may be written"),
    Key("permissions.net", "grants", (), "hosts that tools may reach; models are reached always"),
    Key("permissions.env", "grants", (), "environment variables that may be read"),
    Key("permissions.run", "grants", (), "programs that may be run, with patterns of their arguments"),
    Key("permissions.tools", "grants", ("*",), "tools that may be used"),
    Key("tools.NAME.timeout", "seconds", 60.0, "seconds for one call of the tool; 0 = none"),
    Key("state.backend", "word", "memory", "where a script's State is kept", choices=("memory", "sqlite")),
    Key("state.path", "text", None, "the file of a State that is kept on disk"),
    Key("logging.level", "word", None, 'what is logged; unset = "info" in a file, else nothing', choices=LOG_LEVELS),
    Key("logging.file", "text", None, "a file that the log is added to, as JSON lines"),
)
_BY_PATH = {key.path: key for key in KEYS}

#: The providers that are there without a file, in the order in which "auto" tries them, and what differs from KEYS.
BUILT_IN: dict[str, dict[str, Any]] = {
    "openai": {
        "type": "openai",
        "base_url": "https://api.openai.com/v1",
        "api_key_env": "OPENAI_API_KEY",
        "model": "gpt-4o-mini",
    },
    "anthropic": {
        "type": "anthropic",
        "base_url": "https://api.anthropic.com",
        "api_key_env": "ANTHROPIC_API_KEY",
        "model": "claude-haiku-4-5",
    },
    "gemini": {
        "type": "gemini",
        "base_url": "https://generativelanguage.googleapis.com/v1beta",
        "api_key_env": "GEMINI_API_KEY",
        "model": "gemini-2.5-flash-lite",
    },
    "ollama": {"type": "ollama", "base_url": "http://localhost:11434"},
    "local": {"type": "local", "model": "smollm2-135m-instruct"},
}


def lookup(path: str) -> Key | None:
    """The key of a dotted *path*, with a provider's name in the place of NAME; None where there is none."""
    first, _, rest = path.partition(".")
    if first == "providers" and "." in rest:
        return _BY_PATH.get(_N + rest.partition(".")[2])
    if first == "tools" and "." in rest:
        return _BY_PATH.get("tools.NAME." + rest.partition(".")[2])
    return _BY_PATH.get(path)


def is_provider_name(text: str) -> bool:
    """Whether a provider may be called so: small letters, digits, - and _, a letter first, at most 64 characters."""
    small = text.isascii() and text == text.lower() and 0 < len(text) <= 64
    return small and text[0].isalpha() and text.replace("-", "").replace("_", "").isalnum()
