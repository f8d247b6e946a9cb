"""`llmspell chat`: a conversation with a model, on a terminal or in a pipe.

`session.py` is the conversation and what is set of it, `store.py` its file, `attach.py` what goes along with a
message, `turn.py` one answer as it comes, `slash.py` the commands, `lines.py` what is typed; `talk.py` puts them
together.
"""
