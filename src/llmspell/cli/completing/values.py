"""What can stand for a script, a model, a tool and the rest: what is here, and what is configured."""

from __future__ import annotations

import os

from llmspell.cli.completing.candidates import Candidate

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    Given = Mapping[str, str]

__all__ = ["files", "of"]

MOST = 1000  # candidates: no person reads more
_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._:/@+-")
MOST_BYTES = 256 * 1024  # of a configuration file


def of(path: tuple[str, ...], kind: str, current: str, given: Given) -> list[Candidate]:
    """What may stand for an argument, or an option's value, and begins with *current*.

    path: the command's. kind: as the table has it, behind the option's name for an option's value. given: the values of
    the options that stand before it.
    """
    option, _, metavar = kind.rpartition(" ")
    word = metavar.strip("[]=…,").rstrip(",…").upper()
    make = _BY_OPTION.get(option) or _BY_COMMAND.get((*path[:2], word)) or _BY_COMMAND.get((*path[:1], word))
    make = make or _BY_METAVAR.get(word)
    return make(current, given) if make is not None else []


# -- files


def files(current: str, *ends: str, folders: bool = False) -> list[Candidate]:
    """Files whose names end in one of *ends* (any, where there are none), and the folders that lead on to others.

    A folder ends in `/` and goes on. Names that a terminal cannot show are left out.
    """
    head, slash, begin = current.rpartition("/")
    folder = os.path.expanduser(head + slash) or os.curdir
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if not name.startswith(begin) or not name.isprintable() or (name.startswith(".") and not begin):
                continue
            if entry.is_dir():
                found.append(Candidate(f"{head}{slash}{name}/", goes_on=True, file=True))
            elif not folders and (not ends or name.endswith(ends)):
                found.append(Candidate(head + slash + name, file=True))
    return sorted(found, key=lambda one: one.word)[:MOST]


def _files_of(*ends: str, folders: bool = False) -> Callable[[str, Given], list[Candidate]]:
    return lambda current, given: files(current, *ends, folders=folders)


def _programs(current: str, given: Given) -> list[Candidate]:
    if "/" in current:
        return files(current)
    names: set[str] = set()
    for folder in os.get_exec_path():
        try:
            names.update(name for name in os.listdir(folder) if name.startswith(current))
        except OSError:
            continue
    return _begun(current, [Candidate(name) for name in sorted(names)])


# -- what is configured


def _config(given: Given) -> Any:
    from llmspell.config.loader import load

    return load(script_dir=None, config_file=_named(given), env=os.environ, flags={}, profile=given.get("--profile"))


def _named(given: Given) -> str | None:
    """The file that `--config` names; the shell has not put a home in the place of `~`.

    FileNotFoundError for what is no file: a pipe would be waited for.
    """
    if not (name := given.get("--config")):
        return None
    path = os.path.expanduser(name)
    if not os.path.isfile(path):
        raise FileNotFoundError(path)
    return path


def _providers(current: str, given: Given) -> list[Candidate]:
    from llmspell.config.schema import VENDORS

    configured = _config(given).providers()
    found = [
        Candidate(name, "" if settings["type"] == name else str(settings["type"]))
        for name, settings in configured.items()
    ]
    with_key = [name for name in VENDORS if name not in configured and os.environ.get(f"{name.upper()}_API_KEY")]
    return _begun(current, [*found, *(Candidate(name) for name in with_key)])


def _models(current: str, given: Given) -> list[Candidate]:
    """`provider/` first, then its models: those that are here, that are configured, and that are known."""
    provider, slash, _ = current.partition("/")
    if current.startswith(("/", ".", "~")):
        return files(current, ".gguf")
    if not slash:
        return [Candidate(f"{one.word}/", one.about, goes_on=True) for one in _providers(current, given)]
    settings = _config(given).providers().get(provider) or {"type": provider, "model": None}
    names = {str(settings["model"])} if settings["model"] else set()
    if settings["type"] == "local":
        names |= _here()
    else:
        from llmspell.providers.models_data import SERVICES

        names |= SERVICES.get(provider, SERVICES.get(settings["type"], {})).keys()
    return _begun(current, [Candidate(f"{provider}/{name}") for name in sorted(names)])


def _here() -> set[str]:
    """The models of the models folder."""
    from llmspell.providers.local_store import models_folder

    try:
        return {name.removesuffix(".gguf") for name in os.listdir(models_folder()) if name.endswith(".gguf")}
    except OSError:
        return set()


def _models_here(current: str, given: Given) -> list[Candidate]:
    return _begun(current, [Candidate(name) for name in sorted(_here())])


def _models_to_pull(current: str, given: Given) -> list[Candidate]:
    return _begun(current, [Candidate("ollama/", "a model of your Ollama", goes_on=True)]) + files(
        current, ".gguf", ".whl"
    )


def _tools(current: str, given: Given) -> list[Candidate]:
    from llmspell.cli.completing.table import TOOLS

    return _begun(current, [Candidate(name, about) for name, (_, about) in TOOLS.items()])


def _categories(current: str, given: Given) -> list[Candidate]:
    from llmspell.cli.completing.table import TOOLS

    return _begun(current, [Candidate(name) for name in sorted({category for category, _ in TOOLS.values()})])


def _profiles(current: str, given: Given) -> list[Candidate]:
    """The profiles of the files that would be read, which are looked into and not checked."""
    import tomllib

    from llmspell.config import discovery

    places = [place for place in (discovery.system_file(os.environ), discovery.user_file(os.environ)) if place]
    names: set[str] = set()
    for path, _ in discovery.find(None, _named(given), places):
        with open(path, "rb") as file:
            table = tomllib.loads(file.read(MOST_BYTES).decode()).get("profile")
        names.update(table if isinstance(table, dict) else ())
    return _begun(current, [Candidate(name) for name in sorted(names)])


def _keys(current: str, given: Given) -> list[Candidate]:
    from llmspell.config.schema import KEYS

    names = _config(given).providers()
    found = []
    for key in KEYS:
        if ".NAME." not in key.path:
            found.append(Candidate(key.path, key.doc))
        elif key.path.startswith("providers."):
            found += [Candidate(key.path.replace("NAME", name), key.doc) for name in names]
    return _begun(current, found)


def _variables(current: str, given: Given) -> list[Candidate]:
    return _begun(current, [Candidate(name) for name in sorted(os.environ)])


def _begun(current: str, found: Iterable[Candidate]) -> list[Candidate]:
    """Those of *found* that go on from *current*; none that a shell could take for more than a word, since a model's
    name may be of a project's file, and bash quotes the names of files alone.
    """
    return [one for one in found if one.word.startswith(current) and _SAFE.issuperset(one.word)][:MOST]


_SCRIPTS = _files_of(".lua")
_ANY_FILE = _files_of()
_FOLDERS = _files_of(folders=True)

_BY_OPTION: dict[str, Callable[[str, Given], list[Candidate]]] = {
    "--model": _models,
    "--provider": _providers,
    "--profile": _profiles,
    "--category": _categories,
    "--tool": _tools,
    "--allow-tool": _tools,
    "--allow-env": _variables,
    "--allow-run": _programs,
    "--config": _files_of(".toml"),
}
#: By command and what help calls the argument.
_BY_COMMAND: dict[tuple[str, ...], Callable[[str, Given], list[Candidate]]] = {
    ("models", "rm", "MODEL"): _models_here,
    ("models", "pull", "MODEL"): _models_to_pull,
    ("providers", "NAME"): _providers,
    ("tools", "NAME"): _tools,
    ("config", "show", "PATH"): _keys,
}
_BY_METAVAR: dict[str, Callable[[str, Given], list[Candidate]]] = {
    "SCRIPT": _SCRIPTS,
    "MODEL": _models,
    "PROVIDER": _providers,
    "TOOL": _tools,
    "FILE": _ANY_FILE,
    "PATH": _ANY_FILE,
    "ROWS": _ANY_FILE,
    "FOLDER": _FOLDERS,
    "KEY": _keys,
}
