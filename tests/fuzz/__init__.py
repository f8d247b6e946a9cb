"""Targets for a fuzzer, and what drives them; see CONTRIBUTING.md."""
