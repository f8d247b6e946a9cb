"""What a shell completes of a command line: `llmspell completions SHELL` writes the shell's half, and that asks
`llmspell __complete SHELL …` at each Tab.

A person waits for the answer, so nothing here imports rich-click: commands and options are read from `table.py`, which
`scripts/completions.py` makes of them. Nobody is asked over the network, no command that tells a key is run, and what
is broken completes nothing: at a prompt there is no place for an error.
"""
