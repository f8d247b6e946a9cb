"""How mutate.py tries mutants: processes that are forked, and tests that are chosen by what they reach."""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import pickle
import re
import select
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import pytest
from mutants import Mutant, Piece, compiled, piece
from mutation_areas import AREAS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import FrameType, ModuleType

    from mutation_areas import Area

__all__ = ["Limits", "tried"]

SLACK = 3.0  # seconds beyond five times what a mutant's tests take without it
BASELINE = 400.0  # seconds for a test file without a change
MOST_MEMORY = 4 << 30
SURVIVED, KILLED, UNSWAPPED, BROKEN = 0, 1, 5, 70  # exit codes of a mutant's process


class Limits(NamedTuple):
    """until: no mutant is begun after it (monotonic); patience: seconds of tests a mutant; folder: where baselines
    are kept."""

    until: float
    patience: float
    folder: Path


class Baseline(NamedTuple):
    """A test file without a change. seconds: of each test that passes; reached: tests by line of each source."""

    seconds: dict[str, float]
    reached: dict[str, dict[int, set[str]]]


def forked(work: Callable[[], int], seconds: float) -> int | None:
    """The exit code of *work* in a process group of its own; None where it took longer than *seconds*."""
    child = os.fork()
    if child == 0:
        os.setsid()
        _silently(work)
    number = os.pidfd_open(child)
    poll = select.poll()
    poll.register(number, select.POLLIN)
    ended = bool(poll.poll(seconds * 1000))
    os.close(number)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # with it, what it started
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) if ended else None


def _silently(work: Callable[[], int]) -> NoReturn:
    """Ends this process with what *work* gives. What tests write is not seen; an error of ours is."""
    code, errors = BROKEN, os.dup(2)
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        code = work()
    except BaseException:
        os.write(errors, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _pytest(words: Sequence[str], plugin: object) -> int:
    """pytest.main with few examples, the same each time."""
    from hypothesis import HealthCheck, Phase, settings

    settings.register_profile(
        "mutants",
        max_examples=25,
        deadline=None,
        database=None,
        derandomize=True,
        phases=(Phase.explicit, Phase.generate),  # an example that fails is enough, the least one is not looked for
        suppress_health_check=list(HealthCheck),
    )
    settings.load_profile("mutants")
    root = Path(__file__).resolve().parent.parent
    os.chdir(root)
    usual = ["-q", "--rootdir", str(root), "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:benchmark"]
    usual += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of what was imported once for all
    return int(pytest.main([*usual, *words], plugins=[plugin]))


def _forget() -> None:
    """Empties caches of functions: what one test has made another would not reach, and a mutant would not be asked."""
    for name, module in list(sys.modules.items()):
        if name.startswith("llmspell"):
            for one in list(vars(module).values()):
                if isinstance(one, functools._lru_cache_wrapper):
                    one.cache_clear()


# ---- without a change


class _Tracing:
    """Runs all tests, notes what each reaches of the sources, and how long it takes."""

    def __init__(self, sources: set[str]) -> None:
        self.told = Baseline({}, {source: defaultdict(set) for source in sources})
        self._test = ""
        self._failed: set[str] = set()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        lines = self.told.reached.get(frame.f_code.co_filename)
        if lines is None or not self._test:
            return None
        test = self._test

        def inside(frame: FrameType, event: str, argument: object) -> Any:
            lines[frame.f_lineno].add(self._test or test)
            return inside

        return inside(frame, event, argument)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._test = item.nodeid
        _forget()
        threading.settrace(self._trace)
        sys.settrace(self._trace)
        yield
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]
        self._test = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        seconds = self.told.seconds
        seconds[report.nodeid] = seconds.get(report.nodeid, 0.0) + report.duration
        if not report.passed:
            self._failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        for name in self._failed:
            self.told.seconds.pop(name, None)


def _baseline(test_file: str, sources: set[str], folder: Path) -> Baseline:
    """Kept under a name that says of which texts it is."""
    texts = [Path(path).read_bytes() for path in (test_file, *sorted(sources))]
    texts.append(os.environ.get("LLMSPELL_NO_EXTENSIONS", "").encode())
    name = hashlib.sha256(b"\0".join(texts)).hexdigest()
    kept = folder / f"{Path(test_file).stem}-{name[:16]}.pickle"
    if not kept.exists():

        def work() -> int:
            tracing = _Tracing(sources)
            _pytest([test_file], tracing)
            told = Baseline(tracing.told.seconds, {path: dict(lines) for path, lines in tracing.told.reached.items()})
            kept.write_bytes(pickle.dumps(told))
            return 0

        if forked(work, BASELINE) != 0:
            raise RuntimeError(f"{test_file} did not run")
    told: Baseline = pickle.loads(kept.read_bytes())
    return told


# ---- with one


def _function_codes(code: CodeType) -> Iterator[CodeType]:
    """Those of a module's functions and of its classes' methods."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            if constant.co_flags & 2:  # CO_NEWLOCALS: a function's, and no class's
                yield constant
            else:
                yield from _function_codes(constant)


def _place(code: CodeType) -> tuple[str, int]:
    return code.co_qualname, code.co_firstlineno


class _Stop(Exception):
    """A test failed."""


class _Running:
    """Collects once; then forks a process for each mutant."""

    def __init__(self, module: str, path: str, jobs: Sequence[tuple[Mutant, list[str], float]], limits: Limits) -> None:
        self.module, self.path, self.jobs, self.limits = module, path, jobs, limits
        self.source = Path(path).read_text(encoding="utf-8")
        self.tell: Callable[[Mutant, int | None], object] = lambda mutant, code: None
        self._child = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        importlib.import_module(self.module)
        live: dict[tuple[str, int], list[FunctionType]] = defaultdict(list)
        for one in gc.get_objects():
            if type(one) is FunctionType and one.__code__.co_filename == self.path:
                live[_place(one.__code__)].append(one)
        items = {item.nodeid: item for item in session.items}
        for mutant, tests, seconds in self.jobs:
            if time.monotonic() > self.limits.until:
                break

            def work(mutant: Mutant = mutant, tests: list[str] = tests) -> int:
                self._child = True
                if mutant.function:
                    done = _swapped(compiled(self.source, mutant.number, self.path), live)
                else:
                    done = _redone(piece(self.source, mutant.number, self.path), sys.modules[self.module], live)
                if not done:
                    return UNSWAPPED
                _forget()
                return self._run([items[name] for name in tests if name in items])

            self.tell(mutant, forked(work, 5 * seconds + SLACK))
        return True

    def _run(self, items: Sequence[pytest.Item]) -> int:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
        for item, after in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=after)
        return SURVIVED

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if self._child and report.failed:
            os._exit(KILLED)


def _swapped(fresh: CodeType, live: dict[tuple[str, int], list[FunctionType]]) -> bool:
    """Puts what has changed into the functions that are there; False where none has."""
    swapped = False
    for code in _function_codes(fresh):
        for function in live.get(_place(code), ()):
            if function.__code__ != code:
                function.__code__ = code
                swapped = True
    return swapped


def _redone(part: Piece | None, module: ModuleType, live: dict[tuple[str, int], list[FunctionType]]) -> bool:
    """Makes a module's names anew, for all modules that have them, or sets a function's defaults."""
    if part is None:
        return False
    space = vars(module)
    if not part.place:
        before = {name: space[name] for name in part.names}
        exec(part.code, space)
        for other in list(sys.modules.values()):
            for name, value in before.items():
                if getattr(other, "__dict__", {}).get(name) is value:  # those of tests, too
                    setattr(other, name, space[name])
        return True
    scratch = dict(space)
    try:
        exec(part.code, scratch)
    except NameError:  # of its class
        return False
    fresh = scratch[part.names[0]]
    functions = [one for (place, _), there in live.items() for one in there if place == part.place]
    for function in functions:
        function.__defaults__, function.__kwdefaults__ = fresh.__defaults__, fresh.__kwdefaults__
    return len(functions) == 1


class _Chosen:
    """Runs tests in that order until one fails."""

    def __init__(self, tests: Sequence[str]) -> None:
        self.order = {name: at for at, name in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((one for one in items if one.nodeid in self.order), key=lambda one: self.order[one.nodeid])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(KILLED)


class _Finder:
    """Gives one module another code."""

    def __init__(self, module: str, path: str, code: CodeType) -> None:
        class Loader(importlib.machinery.SourceFileLoader):
            def get_code(self, fullname: str) -> CodeType:
                return code

        self.module, self.path, self.loader = module, path, Loader(module, path)

    def find_spec(self, name: str, path: object = None, target: ModuleType | None = None) -> Any:
        if name != self.module:
            return None
        return importlib.util.spec_from_file_location(name, self.path, loader=self.loader)


def _afresh(module: str, path: str, mutant: Mutant, tests: Sequence[str], seconds: float) -> int | None:
    """One mutant in a process that imports llmspell with it."""

    def work() -> int:
        code = compiled(Path(path).read_text(encoding="utf-8"), mutant.number, path)
        sys.meta_path.insert(0, _Finder(module, path, code))  # type: ignore[arg-type]
        files = sorted({name.partition("::")[0] for name in tests})
        return SURVIVED if _pytest(files, _Chosen(tests)) == 0 else KILLED

    return forked(work, 5 * seconds + 2 * SLACK)


# ---- all of a file


class _Choice:
    """Which tests are to notice a mutant."""

    def __init__(self, path: str, area: Area, baselines: dict[str, Baseline], patience: float) -> None:
        self.path, self.patience = path, patience
        self.seconds = {name: time for one in baselines.values() for name, time in one.seconds.items()}
        self.reached: dict[tuple[str, int], set[str]] = defaultdict(set)
        for one in baselines.values():
            for source, lines in one.reached.items():
                for line, names in lines.items():
                    self.reached[source, line] |= names & self.seconds.keys()
        self.texts = {source: Path(source).read_text(encoding="utf-8") for source in area.sources()}
        self.tests = {
            file: (Path(file).read_text(encoding="utf-8"), set(one.seconds)) for file, one in baselines.items()
        }

    def of(self, mutant: Mutant) -> tuple[list[str], float]:
        """Those that reach its statement; of what works when the module is made, those that reach a line that names
        it, then those whose file does, then those that reach the file. The quick ones first, and their seconds."""
        first, last = mutant.lines
        there = {name for line in range(first, last + 1) for name in self.reached.get((self.path, line), ())}
        if mutant.function:
            return _within(there, self.seconds, self.patience)
        word = re.compile(r"\b(" + "|".join(map(re.escape, sorted(mutant.names))) + r")\b") if mutant.names else None
        told: list[str] = []
        for names in (set() if word else there, *self._near(word)):
            left = self.patience - sum(self.seconds[name] for name in told)
            if left > 0:
                told += _within(names - {*told}, self.seconds, left)[0]
        return told, sum(self.seconds[name] for name in told)

    def _near(self, word: re.Pattern[str] | None) -> Iterator[set[str]]:
        if word is not None:
            lines = [
                (source, number)
                for source, text in self.texts.items()
                for number, line in enumerate(text.splitlines(), 1)
                if word.search(line)
            ]
            yield {name for line in lines for name in self.reached.get(line, ())}
            yield {name for text, names in self.tests.values() if word.search(text) for name in names}
        yield {name for (source, _), names in self.reached.items() if source == self.path for name in names}


def tried(path: Path, found: Sequence[Mutant], area: Area, limits: Limits) -> Iterator[tuple[Mutant, str, int]]:
    """Each mutant with what came of it (killed, timeout, survived, unreached) and the number of its tests."""
    if area.pure:
        os.environ["LLMSPELL_NO_EXTENSIONS"] = "1"
    else:
        os.environ.pop("LLMSPELL_NO_EXTENSIONS", None)
    _import_others()
    baselines = {}
    traced = {
        one for other in AREAS.values() if other.pure == area.pure for one in other.sources()
    }  # areas share tests
    for name in area.test_files():
        if time.monotonic() > limits.until:
            return
        baselines[name] = _baseline(name, traced, limits.folder)
    choice = _Choice(str(path), area, baselines, limits.patience)
    jobs: dict[int, tuple[Mutant, list[str], float]] = {}
    for mutant in found:
        tests, seconds = choice.of(mutant)
        if tests:
            jobs[mutant.number] = (mutant, tests, seconds)
        else:
            yield mutant, "unreached", 0
    module = ".".join(["llmspell", *path.with_suffix("").parts[path.parts.index("llmspell") + 1 :]])
    later = []
    for mutant, code in _in_one(module, str(path), list(jobs.values()), limits):
        if code == UNSWAPPED:
            later.append(jobs[mutant.number])
        else:
            yield mutant, _word(code), len(jobs[mutant.number][1])
    for mutant, tests, seconds in later:
        if time.monotonic() > limits.until:
            return
        yield mutant, _word(_afresh(module, str(path), mutant, tests, seconds)), len(tests)


def _word(code: int | None) -> str:
    if code is None:
        return "timeout"
    return "survived" if code == SURVIVED else "killed"


def _within(names: set[str], seconds: dict[str, float], patience: float) -> tuple[list[str], float]:
    """Tests, the quick ones first, as long as they take no more than *patience* together; and how long that is."""
    told: list[str] = []
    whole = 0.0
    for name in sorted(names, key=lambda name: (seconds[name], name)):
        if told and whole + seconds[name] > patience:
            break
        told.append(name)
        whole += seconds[name]
    return told, whole


def _in_one(
    module: str, path: str, jobs: Sequence[tuple[Mutant, list[str], float]], limits: Limits
) -> Iterator[tuple[Mutant, int | None]]:
    """The mutants of functions, from a process that has collected all tests; each as it comes out."""
    if not jobs:
        return
    reading, writing = os.pipe()
    by_number = {mutant.number: mutant for mutant, _, _ in jobs}
    server = os.fork()
    if server == 0:
        os.close(reading)
        running = _Running(module, path, jobs, limits)
        running.tell = lambda mutant, code: os.write(writing, f"{mutant.number} {code}\n".encode())
        files = sorted({name.partition("::")[0] for _, tests, _ in jobs for name in tests})
        _silently(lambda: _pytest(files, running))
    os.close(writing)
    with open(reading, encoding="ascii") as told:
        for line in told:
            number, code = line.split()
            yield by_number[int(number)], None if code == "None" else int(code)
    os.waitpid(server, 0)


def _import_others() -> None:
    """What tests import that is not llmspell's, once for all."""
    others = "asyncio uvloop httpx orjson rich.cells hypothesis pytest_asyncio jsonschema lupa"
    for name in others.split():
        with suppress(ImportError):
            importlib.import_module(name)
