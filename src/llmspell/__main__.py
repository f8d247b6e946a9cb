"""`python -m llmspell` is `llmspell`."""

from llmspell.cli.main import entry

entry()
