"""`python tests/soak --minutes 60`: mixed work against a hostile server; exits with 1 if anything was wrong."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys

if not __package__:  # run as a folder: what is beside it are its siblings
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from soak.leaks import LEAKS
from soak.run import JOBS, Options, soak

__all__ = ["main"]


def main(words: list[str] | None = None) -> int:
    """Gives the exit code: 0, 1 if anything was wrong, 130 if it was stopped before its time."""
    parser = argparse.ArgumentParser(prog="soak", description="mixed work for a long time, with faults injected")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--load", type=float, default=0.4, help="share of one processor, its server's included")
    parser.add_argument("--seed", type=int, help="of the choice of jobs; drawn and printed without")
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two counts of what is held")
    parser.add_argument("--warm", type=float, default=0.15, help="share of the time that does not count yet")
    parser.add_argument("--memory", type=float, default=4.0, help="MB that are no growth")
    parser.add_argument("--hang", type=float, default=60.0, help="seconds after which a job hangs")
    parser.add_argument("--weights", help="a GGUF file: then the embedded model has a small share, too")
    parser.add_argument("--job", action="append", default=[], choices=list(JOBS), help="only this one, or these")
    parser.add_argument("--leak", action="append", default=[], choices=list(LEAKS), help="made with each job")
    parser.add_argument("--trace", action="store_true", help="say where memory grew, at twice the time")
    parser.add_argument("--json", metavar="FILE", help="where the numbers go")
    given = parser.parse_args(words)
    if not os.path.isdir("/proc/self/fd") or shutil.which("openssl") is None:
        parser.error("it counts what Linux's /proc tells, and needs openssl for a certificate")
    seed = random.randrange(1 << 31) if given.seed is None else given.seed
    print(f"soak: seed {seed}, {given.minutes:g} min, load {given.load:g}", flush=True)
    report = soak(
        Options(
            given.minutes * 60, given.load, seed, given.every, given.warm, given.memory, given.hang, given.weights,
            tuple(given.job), tuple(given.leak), given.trace,
        )
    )  # fmt: skip
    print(report.summary())
    if given.json:
        with open(given.json, "w", encoding="utf-8") as file:
            json.dump(report.to_dict(), file, indent=1, ensure_ascii=False)
    return 1 if report.failed else 130 if report.stopped_by else 0


if __name__ == "__main__":
    sys.exit(main())
