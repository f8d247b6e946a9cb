"""The command line as a table, for completion: made by scripts/completions.py of what is declared; run that,
and change nothing here.

A node is what a command does, in a line; its options, each with its kind and what it does; its arguments; and the
commands below it. A kind is empty for a flag, `a|b` for words, `=X` for a list that may be left out, else what help
calls the value.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Node: TypeAlias = tuple[str, dict[str, tuple[str, str]], tuple[str, ...], dict[str, "Node"]]

__all__ = ["TOOLS", "TREE"]

_COMMON = {
    "--config": ("FILE", "Read this configuration file, in place of the project's"),
    "--profile": ("NAME", "Lay the settings below `[profile.NAME]` over the others"),
    "--output": ("text|json|jsonl", "How results, errors and events are written"),
    "--log-level": ("debug|info|warning|error|off", "What is logged, on standard error or in the file of `--log-file`"),
    "--log-file": ("FILE", "Add the log to this file, as JSON lines; `info`, where no level is named"),
    "--no-color": ("", "Write no colours"),
    "--traceback": ("", "Show Python's own traceback with an error"),
}

TREE: Node = (
    "Runs Lua scripts that drive language models",
    {
        **_COMMON,
        "--version": ("", "Show the version and exit"),
    },
    (),
    {
        "run": (
            "Runs a Lua script",
            {
                **_COMMON,
                "--stream": ("", "Show answers as they come, and flush what the script writes"),
                "--hide-reasoning": ("", "Show of a model's reasoning only that there is some"),
                "--dry-run": ("", "Check script, configuration, grants and model, say what would hold,…"),
                "--model": ("MODEL", "The model for agents that name none"),
                "--provider": ("NAME", "The provider for agents that name none"),
                "--timeout": ("SECONDS", "Seconds for the whole run; 0 is without limit"),
                "--record": ("FILE", "Write what the run hears of models, clocks and chance to this file; no…"),
                "--replay": ("FILE", "Run with a recording in place of the world"),
                "--max-cpu": ("SECONDS", "Seconds of computing by the script itself; 0 is without limit"),
                "--max-memory": ("SIZE", "Memory of the script's values, such as 256MB; 0 is without limit"),
                "--max-tokens-total": ("N", "Tokens that all model calls may read and write; 0 is without limit"),
                "--max-cost": ("USD", "US dollars that all model calls may cost; 0 is without limit"),
                "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                "--allow-net": ("=HOST,…", "Let tools reach these hosts; without `=`, all of the open internet"),
                "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                "--allow-run": ("=PROGRAM,…", "Let it run these programs, `git status` or `ls *`; without `=`, all"),
                "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                "--ask": ("", "Ask on the terminal for what was not granted"),
            },
            ("SCRIPT", "-- ARGS…"),
            {},
        ),
        "exec": (
            "Runs CODE, a line of Lua",
            {
                **_COMMON,
                "--stream": ("", "Show answers as they come, and flush what the script writes"),
                "--hide-reasoning": ("", "Show of a model's reasoning only that there is some"),
                "--dry-run": ("", "Check script, configuration, grants and model, say what would hold,…"),
                "--model": ("MODEL", "The model for agents that name none"),
                "--provider": ("NAME", "The provider for agents that name none"),
                "--timeout": ("SECONDS", "Seconds for the whole run; 0 is without limit"),
                "--record": ("FILE", "Write what the run hears of models, clocks and chance to this file; no…"),
                "--replay": ("FILE", "Run with a recording in place of the world"),
                "--max-cpu": ("SECONDS", "Seconds of computing by the script itself; 0 is without limit"),
                "--max-memory": ("SIZE", "Memory of the script's values, such as 256MB; 0 is without limit"),
                "--max-tokens-total": ("N", "Tokens that all model calls may read and write; 0 is without limit"),
                "--max-cost": ("USD", "US dollars that all model calls may cost; 0 is without limit"),
                "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                "--allow-net": ("=HOST,…", "Let tools reach these hosts; without `=`, all of the open internet"),
                "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                "--allow-run": ("=PROGRAM,…", "Let it run these programs, `git status` or `ls *`; without `=`, all"),
                "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                "--ask": ("", "Ask on the terminal for what was not granted"),
            },
            ("CODE", "-- ARGS…"),
            {},
        ),
        "repl": (
            "Runs lines of Lua as they are typed; globals, agents and tasks stay",
            {
                **_COMMON,
                "--hide-reasoning": ("", "Show of a model's reasoning only that there is some"),
                "--model": ("MODEL", "The model for agents that name none"),
                "--provider": ("NAME", "The provider for agents that name none"),
                "--timeout": ("SECONDS", "Seconds for each input; 0 is without limit"),
                "--max-cpu": ("SECONDS", "Seconds of computing by the script itself; 0 is without limit"),
                "--max-memory": ("SIZE", "Memory of the script's values, such as 256MB; 0 is without limit"),
                "--max-tokens-total": ("N", "Tokens that all model calls may read and write; 0 is without limit"),
                "--max-cost": ("USD", "US dollars that all model calls may cost; 0 is without limit"),
                "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                "--allow-net": ("=HOST,…", "Let tools reach these hosts; without `=`, all of the open internet"),
                "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                "--allow-run": ("=PROGRAM,…", "Let it run these programs, `git status` or `ls *`; without `=`, all"),
                "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                "--ask": ("", "Ask on the terminal for what was not granted"),
            },
            (),
            {},
        ),
        "map": (
            "Runs a Lua script once over each of many rows",
            {
                **_COMMON,
                "--jobs": ("N", "Rows at once; unset"),
                "-j": ("N", "Rows at once; unset"),
                "--results": ("FILE", "Write the results here, and keep a journal beside it"),
                "--failed": ("FILE", "Write rows that failed here; unset"),
                "--journal": ("FILE", "Keep what is finished here; unset"),
                "--resume": ("", "Go on where an earlier run stopped; no finished row is done again"),
                "--retry-failed": ("", "The same, and do rows again that failed"),
                "--overwrite": ("", "Begin anew, and lose the results that are there"),
                "--format": ("jsonl|csv|tsv|json|lines", "What ROWS holds; unset"),
                "--offset": ("N", "Leave out so many rows at the beginning"),
                "--limit": ("N", "Do so many rows at most"),
                "--max-failed": ("N", "Stop once so many rows have failed; 0 is any number"),
                "--engine": ("local|ray", "Where rows run"),
                "--actors": ("N", "Processes on the cluster; unset"),
                "--ray-address": ("ADDRESS", "The cluster; unset"),
                "--timeout-total": ("SECONDS", "Seconds for all rows together; 0 is without limit"),
                "--hide-reasoning": ("", "Show of a model's reasoning only that there is some"),
                "--dry-run": ("", "Check script, configuration, grants and model, say what would hold,…"),
                "--model": ("MODEL", "The model for agents that name none"),
                "--provider": ("NAME", "The provider for agents that name none"),
                "--timeout": ("SECONDS", "Seconds for each row; 0 is without limit"),
                "--max-cpu": ("SECONDS", "Seconds of computing by the script over each row; 0 is without limit"),
                "--max-memory": ("SIZE", "Memory of the script's values, such as 256MB; 0 is without limit"),
                "--max-tokens-total": ("N", "Tokens that all model calls of all rows may read and write; 0 is…"),
                "--max-cost": ("USD", "US dollars that all model calls of all rows may cost; 0 is without limit"),
                "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                "--allow-net": ("=HOST,…", "Let tools reach these hosts; without `=`, all of the open internet"),
                "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                "--allow-run": ("=PROGRAM,…", "Let it run these programs, `git status` or `ls *`; without `=`, all"),
                "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
            },
            ("SCRIPT", "ROWS", "-- ARGS…"),
            {},
        ),
        "validate": (
            "Says what is wrong with scripts, without running them",
            {
                **_COMMON,
                "--strict": ("", "Warnings count as errors do"),
                "--stdin-name": ("FILE", "What the script on standard input is called, and where its modules are"),
            },
            ("SCRIPT…",),
            {},
        ),
        "types": (
            "Writes stubs for editors",
            {
                **_COMMON,
            },
            ("FOLDER",),
            {},
        ),
        "chat": (
            "Talks with a model",
            {
                **_COMMON,
                "--attach": ("FILE", "Goes along with the first message"),
                "--tool": ("NAME", "A tool that the model may call; no others"),
                "--resume": ("[NAME]", "Go on with the conversation NAME, or with the last one"),
                "--session": ("FILE", "Keep the conversation in this file, and go on with it"),
                "--list": ("", "List the conversations that are kept"),
                "-p": ("", "Answer once and end, on a terminal too"),
                "--print": ("", "Answer once and end, on a terminal too"),
                "--system": ("TEXT|@FILE", "What the model is told before the conversation"),
                "--schema": ("FILE", "Answers are data of the JSON Schema in this file, checked"),
                "--hide-reasoning": ("", "Do not show what a model thinks before it answers"),
                "--timeout": ("SECONDS", "Seconds for one answer, its tools included; 0 is without limit"),
                "--model": ("MODEL", "The model for agents that name none"),
                "--provider": ("NAME", "The provider for agents that name none"),
                "--max-tokens-total": ("N", "Tokens that all model calls may read and write; 0 is without limit"),
                "--max-cost": ("USD", "US dollars that all model calls may cost; 0 is without limit"),
                "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                "--allow-net": ("=HOST,…", "Let tools reach these hosts; without `=`, all of the open internet"),
                "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                "--allow-run": ("=PROGRAM,…", "Let it run these programs, `git status` or `ls *`; without `=`, all"),
                "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                "--ask": ("", "Ask on the terminal for what was not granted"),
            },
            ("PROMPT…",),
            {},
        ),
        "models": (
            "Models on this machine, and those that services have",
            {},
            (),
            {
                "list": (
                    "Lists the embedded model's files",
                    {
                        **_COMMON,
                        "--all": ("", "Ask every provider that can be asked"),
                    },
                    ("PROVIDER",),
                    {},
                ),
                "pull": (
                    "Fetches a model",
                    {
                        **_COMMON,
                    },
                    ("MODEL",),
                    {},
                ),
                "rm": (
                    "Removes a model",
                    {
                        **_COMMON,
                        "--yes": ("", "Do not ask"),
                    },
                    ("MODEL",),
                    {},
                ),
                "show": (
                    "Shows what is known of a model",
                    {
                        **_COMMON,
                    },
                    ("MODEL",),
                    {},
                ),
            },
        ),
        "providers": (
            "The services and models that answer",
            {},
            (),
            {
                "check": (
                    "Says which keys are found and where; with `--ask`, whether the…",
                    {
                        **_COMMON,
                        "--ask": ("", "Ask the services"),
                    },
                    ("NAME…",),
                    {},
                ),
                "list": (
                    "Lists the providers that are configured, and the vendors whose key is…",
                    {
                        **_COMMON,
                    },
                    (),
                    {},
                ),
                "show": (
                    "Shows what is set of the provider NAME, where its key is, and what it…",
                    {
                        **_COMMON,
                    },
                    ("NAME", "MODEL"),
                    {},
                ),
            },
        ),
        "tools": (
            "Tools for scripts and models",
            {},
            (),
            {
                "list": (
                    "Lists the tools that are built in, and those that installed packages…",
                    {
                        **_COMMON,
                        "--category": ("NAME", "Those of this category"),
                    },
                    (),
                    {},
                ),
                "run": (
                    "Runs the tool NAME once and prints what it gave",
                    {
                        **_COMMON,
                        "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                        "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                        "--allow-net": (
                            "=HOST,…",
                            "Let tools reach these hosts; without `=`, all of the open internet",
                        ),
                        "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                        "--allow-run": (
                            "=PROGRAM,…",
                            "Let it run these programs, `git status` or `ls *`; without `=`, all",
                        ),
                        "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                        "--ask": ("", "Ask on the terminal for what was not granted"),
                    },
                    ("NAME", "PARAMETERS…"),
                    {},
                ),
                "show": (
                    "Shows what the tool NAME does, what it needs, and what it takes; as…",
                    {
                        **_COMMON,
                    },
                    ("NAME",),
                    {},
                ),
            },
        ),
        "config": (
            "The configuration",
            {},
            (),
            {
                "check": (
                    "Tells all that is wrong with the configuration, or with FILE",
                    {
                        **_COMMON,
                    },
                    ("FILE",),
                    {},
                ),
                "init": (
                    "Writes a file with every setting as it is without one, each with its…",
                    {
                        **_COMMON,
                        "--project": ("", "Write `./llmspell.toml`, the project's"),
                        "--force": ("", "Write over the file that is there"),
                    },
                    (),
                    {},
                ),
                "path": (
                    "Lists the files that are looked for, the strongest last",
                    {
                        **_COMMON,
                    },
                    (),
                    {},
                ),
                "show": (
                    "Shows every setting that holds, as TOML; those below PATH where one is…",
                    {
                        **_COMMON,
                        "--origin": ("", "Say of each where it came from"),
                        "--provider": ("NAME", "The provider for agents that name none"),
                        "--timeout": ("SECONDS", "Seconds for the whole run; 0 is without limit"),
                        "--max-cpu": ("SECONDS", "Seconds of computing by the script itself; 0 is without limit"),
                        "--max-memory": ("SIZE", "Memory of the script's values, such as 256MB; 0 is without limit"),
                        "--max-tokens-total": (
                            "N",
                            "Tokens that all model calls may read and write; 0 is without limit",
                        ),
                        "--max-cost": ("USD", "US dollars that all model calls may cost; 0 is without limit"),
                        "--allow-read": ("=PATH,…", "Let it read these files and folders; without `=`, all"),
                        "--allow-write": ("=PATH,…", "Let it write these files and folders; without `=`, all"),
                        "--allow-net": (
                            "=HOST,…",
                            "Let tools reach these hosts; without `=`, all of the open internet",
                        ),
                        "--allow-env": ("=NAME,…", "Let it read these environment variables; without `=`, all"),
                        "--allow-run": (
                            "=PROGRAM,…",
                            "Let it run these programs, `git status` or `ls *`; without `=`, all",
                        ),
                        "--allow-tool": ("=TOOL,…", "Let it use these tools and no others"),
                    },
                    ("PATH",),
                    {},
                ),
                "trust": (
                    "Lets a project's `llmspell.toml` raise limits and grant, as it is now",
                    {
                        **_COMMON,
                        "--list": ("", "List the files that are trusted"),
                        "--remove": ("", "Trust it no more"),
                    },
                    ("FOLDER|FILE",),
                    {},
                ),
            },
        ),
        "doctor": (
            "Checks this installation",
            {
                **_COMMON,
            },
            (),
            {},
        ),
        "completions": (
            "Writes what a shell needs to complete llmspell's command lines",
            {},
            ("bash|zsh|fish|powershell",),
            {},
        ),
        "help": (
            "Shows the help of llmspell, or of a command",
            {},
            ("COMMAND…",),
            {},
        ),
    },
)

#: The built-in tools: category, and what each does.
TOOLS: dict[str, tuple[str, str]] = {
    "base64_encoder": ("utility", "Encode a text as base64, or decode it; standard or URL-safe"),
    "calculator": ("math", "Work out an arithmetic expression"),
    "csv_analyzer": ("data", "Analyze CSV"),
    "data_validation": ("data", "Check whether a value fits a JSON Schema, or a list of rules"),
    "datetime_handler": ("utility", "Tell the time; read, write, move and compare dates; convert time zones"),
    "environment_reader": ("system", "Read an environment variable, or list those that may be read"),
    "file_operations": ("files", "Read, write, append to, list, look for or delete files and folders"),
    "file_search": ("files", "Find files below a folder by name (glob) and by the text in them"),
    "hash_calculator": ("utility", "Calculate the hash of a text (sha256 and others; also keyed, as an…"),
    "http_request": ("network", "Send an HTTP request to a host and get its answer"),
    "json_processor": ("data", "Parse, write, query (jq or JSONPath), merge or validate JSON"),
    "process_executor": ("system", "Run a program with arguments and get its output"),
    "regex": ("text", "Find, replace and split with a regular expression"),
    "run_lua": ("script", "Run a Lua 5.4 program that calls your other tools and returns what you…"),
    "template_engine": ("text", "Fill in a template"),
    "text_manipulator": ("text", "Change a text"),
    "uuid_generator": ("utility", "Make an identifier"),
    "web_fetch": ("network", "Fetch a web page and get its text, title and links"),
}
