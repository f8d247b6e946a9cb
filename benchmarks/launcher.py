"""Starts processes and measures them, from a process that is itself as small as Python can be.

Not to be run by hand: processes.py starts it with `python -I -S`. The peak that the kernel keeps of a child
(ru_maxrss) counts the pages of the process that it was forked or spawned from, as they stood right before the exec;
so the process that spawns must be smaller than all that it measures. This one imports nothing but built-in modules.

A command is a line: where standard output goes, how often the program is run, and its words, with NUL between them.
The answer is a line: nanoseconds of all those runs together, microseconds of their CPU, the largest peak as the kernel
counts it, the last exit code that is not 0.
"""

import posix
import sys
from time import perf_counter_ns


def run(output, times, words):  # no annotations: typing them would need an import
    """Nanoseconds from the first spawn to the last end, microseconds of CPU, the peak, the exit code."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC
    actions = [(posix.POSIX_SPAWN_OPEN, 1, output, flags, 0o600)]
    peak = code = 0
    seconds = 0.0
    before = perf_counter_ns()
    for _ in range(times):
        child = posix.posix_spawn(words[0], words, posix.environ, file_actions=actions)
        _, status, usage = posix.wait4(child, 0)
        seconds += usage.ru_utime + usage.ru_stime
        peak = max(peak, usage.ru_maxrss)
        code = posix.waitstatus_to_exitcode(status) or code
    return perf_counter_ns() - before, round(seconds * 1e6), peak, code


def main():
    """Serves commands until standard input ends."""
    for line in sys.stdin.buffer:
        output, times, *words = line.rstrip(b"\n").split(b"\0")
        nanoseconds, cpu, peak, code = run(output, int(times), words)
        sys.stdout.write(f"{nanoseconds} {cpu} {peak} {code}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
