"""How help is arranged: which commands and which options stand together, and an example of each command.

All of it is tables, and none is a list of what there is: a command or an option that no table names is shown in the
last group, and one that a table names and that is not there is left out.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.box import Box

from llmspell.cli.options import COMMON
from llmspell.cli.render import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["WIDEST", "arrange"]

COMMAND_PANELS = {
    "Scripts": ("run", "exec", "repl", "map", "validate", "types"),
    "Models and tools": ("chat", "models", "providers", "tools"),
    "This installation": ("config", "doctor", "completions", "help"),
}
OPTION_PANELS = {
    "Models": ("--model", "--provider"),
    "Conversation": ("--system", "--schema", "--attach", "--tool", "--resume", "--session", "--list", "--print"),
    "Rows": ("--jobs", "--format", "--offset", "--limit", "--max-failed"),
    "Results": ("--results", "--failed", "--journal", "--resume", "--retry-failed", "--overwrite"),
    "Cluster": ("--engine", "--actors", "--ray-address"),
    "Limits": (
        *("--timeout", "--timeout-total", "--max-cpu", "--max-memory", "--max-output", "--max-tokens-total"),
        "--max-cost",
    ),
    "Permissions": (
        *("--allow-read", "--allow-write", "--allow-net", "--allow-env", "--allow-run", "--allow-tool", "--ask"),
    ),
    "Recording": ("--record", "--replay"),
    "Output": ("--stream", "--hide-reasoning"),
}
#: By a command's path, without `llmspell`: what a person types. The first says most.
EXAMPLES = {
    "": ("llmspell run --stream examples/haiku.lua", "llmspell help run"),
    "run": (
        "llmspell run --stream script.lua",
        "llmspell run --timeout 10 --max-cost 0.50 script.lua -- name=value",
        "llmspell run --allow-read=./notes --allow-net=api.example.com script.lua",
        "echo 'return 1 + 1' | llmspell run -",
    ),
    "exec": ("llmspell exec '1 + 1'", "llmspell exec --stream 'Agent.create{}:execute(\"Say hello.\").text'"),
    "repl": ("llmspell repl", "llmspell repl --model local"),
    "map": ("llmspell map --jobs 8 --results answers.jsonl script.lua rows.csv",),
    "validate": ("llmspell validate script.lua", "llmspell validate --output json scripts/*.lua"),
    "types": ("llmspell types .llmspell",),
    "chat": (
        "llmspell chat --model openai/gpt-4o-mini",
        "llmspell chat --attach photo.png 'What is this?'",
        "echo 'What is the sea?' | llmspell chat",
    ),
    "config": ("llmspell config show --origin",),
    "config show": ("llmspell config show --origin", "llmspell config show providers.openai"),
    "config path": ("llmspell config path",),
    "config init": ("llmspell config init", "llmspell config init --project"),
    "config check": ("llmspell config check", "llmspell config check llmspell.toml"),
    "config trust": ("llmspell config trust .", "llmspell config trust --list"),
    "doctor": ("llmspell doctor", "llmspell doctor --output json"),
    "completions": (
        'eval "$(llmspell completions bash)"       # in ~/.bashrc',
        'eval "$(llmspell completions zsh)"        # in ~/.zshrc, after compinit',
        "llmspell completions fish > ~/.config/fish/completions/llmspell.fish",
        "llmspell completions powershell | Out-String | Invoke-Expression   # in $PROFILE",
    ),
    "help": ("llmspell help run", "llmspell help models pull"),
    "models": ("llmspell models list", "llmspell models pull"),
    "models list": ("llmspell models list", "llmspell models list openai"),
    "models show": ("llmspell models show openai/gpt-4o-mini",),
    "models pull": ("llmspell models pull", "llmspell models pull ollama/qwen3"),
    "models rm": ("llmspell models rm smollm2-135m-instruct",),
    "providers": ("llmspell providers check",),
    "providers list": ("llmspell providers list --output json",),
    "providers show": ("llmspell providers show openai",),
    "providers check": ("llmspell providers check", "llmspell providers check openai --ask"),
    "tools": ("llmspell tools list",),
    "tools list": ("llmspell tools list --category data",),
    "tools show": ("llmspell tools show calculator",),
    "tools run": ('llmspell tools run calculator input="2 * 21"',),
}
EXIT_CODES = (
    "Exit codes: 0 done, 1 an error, 2 usage, 3 configuration, 4 provider, 5 a limit, 6 permission, "
    "130 and 143 stopped by Ctrl+C and SIGTERM"
)
REST = "More commands"
WIDEST = 100  # columns: longer lines are hard to read

_COMMON = [option.name for option in COMMON]


def arrange(root: click.Group) -> None:
    """Puts the commands and options of *root*, and of all below it, into their groups; sets how help looks."""
    click.rich_click.THEME = "default-slim"
    click.rich_click.ENABLE_THEME_ENV_VAR = False
    click.rich_click.TEXT_MARKUP = "ansi"  # markdown's parser alone takes a fifth of help's time
    click.rich_click.SHOW_ARGUMENTS = False  # what they are is told in the text above
    click.rich_click.COMMANDS_BEFORE_OPTIONS = True
    click.rich_click.STYLE_OPTIONS_PANEL_BOX = click.rich_click.STYLE_COMMANDS_PANEL_BOX = _no_box()
    click.rich_click.STYLE_USAGE = click.rich_click.STYLE_USAGE_COMMAND = "bold"  # no yellow, which white swallows
    click.rich_click.STYLE_METAVAR = click.rich_click.STYLE_METAVAR_APPEND = "dim"
    click.rich_click.STYLE_HELPTEXT = ""
    click.rich_click.TEXT_PARAGRAPH_LINEBREAKS = "\n\n"
    click.rich_click.APPEND_METAVARS_HELP_STRING = "{}"
    click.rich_click.COMMAND_GROUPS = {"llmspell": _command_panels(root)}
    groups: dict[str, list[Any]] = {}
    for path, command in _all(root, ()):
        command.context_class = _Context
        panels = _option_panels(command, path)
        if not isinstance(command, click.Group):  # where there are commands, named panels would stand before theirs
            groups[" ".join(("llmspell", *path))] = panels
        command.epilog = _ending(command, path)  # rich-click takes rich's text for it
    click.rich_click.OPTION_GROUPS = groups


def _no_box() -> Box:
    """The theme's, which has no lines, and titles at the left edge; rich draws that one with `+` and `|` where there
    is ASCII alone."""
    box = Box("    \n" * 8, ascii=True)
    box.top = box.top_left = box.top_divider = ""
    box.top_right = " " * 800
    return box


def _all(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from _all(one, (*path, name))


def _command_panels(root: click.Group) -> list[Any]:
    panels: list[Any] = []
    for name, commands in COMMAND_PANELS.items():
        here = [command for command in commands if command in root.commands]
        if here:
            panels.append({"name": name, "commands": here})
    named = {command for commands in COMMAND_PANELS.values() for command in commands}
    rest = [name for name, command in root.commands.items() if name not in named and not command.hidden]
    return [*panels, {"name": REST, "commands": rest}] if rest else panels


def _option_panels(command: click.Command, path: tuple[str, ...]) -> list[Any]:
    """The panels of a command's options. Those that every command has are told by `llmspell --help` alone."""
    shown = []
    for param in command.params:
        if isinstance(param, click.Option):
            name = _name(param)
            if path and name in _COMMON:
                param.hidden = True
            elif not param.hidden:
                shown.append(name)
    # An option that two panels name stands in the one of which the command has more.
    there = {title: sum(name in shown for name in options) for title, options in OPTION_PANELS.items()}
    groups: dict[str, list[str]] = {}
    for title, options in OPTION_PANELS.items():
        most = {name: max(there[one] for one in OPTION_PANELS if name in OPTION_PANELS[one]) for name in options}
        groups[title] = [name for name in options if name in shown and there[title] == most[name]]
    grouped = {one for options in groups.values() for one in options}
    if len(grouped) < 6:  # of few options no panels are made
        groups, grouped = {}, set()
    rest = [one for one in shown if one not in grouped]
    panels: list[Any] = [{"name": "Options", "options": [*rest, "--help"]}]
    return [*({"name": name, "options": options} for name, options in groups.items() if options), *panels]


def _name(param: click.Parameter) -> str:
    """The long name, where there is one."""
    return next((name for name in param.opts if name.startswith("--")), param.opts[0])


def _ending(command: click.Command, path: tuple[str, ...]) -> Any:
    """What help ends with: examples, and where the common options and the exit codes are told."""
    from rich.text import Text

    text = Text()
    if told := getattr(command, "epilog", None):
        text.append(f"{told}\n\n")
    examples = EXAMPLES.get(" ".join(path), ())
    if examples:
        text.append("Examples:" if len(examples) > 1 else "Example:", "bold")
        for example in examples:
            text.append(f"\n  {example}")
        text.append("\n\n")
    if not path:
        text.append(EXIT_CODES)
    elif any(_name(param) in _COMMON for param in command.params):
        also = "" if "Exit codes:" in (command.help or "") else " and the exit codes"
        text.append(f"Also {', '.join(_COMMON[:-1])}, {_COMMON[-1]}{also}: see `llmspell --help`")
    text.rstrip()
    return text or None


class _Formatter(click.RichHelpFormatter):
    """Lines end where their text ends: rich fills them up to the width. Usage is one sentence, not three columns."""

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        from rich.text import Text

        told = Text(f"{prefix or 'Usage:'} ", self.config.style_usage)
        told.append(prog, self.config.style_usage_command)
        told.append(f" {args}", self.config.style_metavar)
        self.write(told)
        self.write("")

    def getvalue(self) -> str:
        text = "\n".join(line.rstrip(" ") for line in super().getvalue().splitlines()).strip("\n") + "\n"
        encoding = sys.stdout.encoding or "utf-8"
        if not terminal.takes_unicode(sys.stdout):
            text = text.replace("…", "...")
        return text.encode(encoding, "replace").decode(encoding)


class _Context(click.RichContext):
    formatter_class = _Formatter
