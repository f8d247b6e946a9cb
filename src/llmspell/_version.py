"""The version, in one place: the build, `--version` and `llmspell.__version__` read it here."""

__version__ = "0.1.0.dev0"
