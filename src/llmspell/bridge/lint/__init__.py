"""What can be said of a script without running it: its syntax, and what it asks of llmspell that is not there.

`lexer` and `parser` read Lua 5.4 as Lua's own compiler does; `names` and `calls` look at what was read; `project` does
it for files with the modules that they require.
"""
