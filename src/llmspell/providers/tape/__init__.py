"""Record and replay: what a run hears of the world, written to a file, and a run that hears it from there.

tape.py says how it works. Nothing here is imported by a run that neither records nor replays.
"""
