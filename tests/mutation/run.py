"""Runs tests over a mutant, each in a process of its own, as many at once as there are cores.

A worker is forked before anything of the product was imported, so the mutant is what every module
of it imports. Generated examples are the same in each run, and time is processor time, so that a
verdict depends neither on chance nor on what else the machine does.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import CodeType

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase

from tests.mutation.mutants import Mutant, mutants_of

MEMORY_BYTES = 2 << 30
"""A mutant that takes more has failed."""

LEAST_SECONDS = 1.0
"""How long a test may take at least."""

_MISTAKEN = 99
"""The exit status of a worker that could not run its tests."""


class Verdict(Enum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMED_OUT = "timed out"
    SURVIVED = "survived"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A module whose mutants are tried, and the test files for it, the quickest to fail first."""

    module: str
    path: Path
    tests: tuple[Path, ...]

    @property
    def mutants(self) -> list[Mutant]:
        """Every mutant of the module as it is now."""
        return mutants_of(self.path.name, self.path.read_text())


class Broken(Exception):
    """The tests fail without any mistake, or could not be run."""


def verdicts(target: Target, mutants: Sequence[Mutant]) -> Iterator[tuple[Mutant, Verdict]]:
    """Try each mutant; no test of one may take twice as long as all tests take without a mistake.

    The tests are run over the module as it is before and after, for an edit meanwhile would look
    like a mistake that was noticed.
    """
    seconds = _seconds_of(target)
    waiting, running = iter(mutants), dict[int, Mutant]()
    for mutant in _first(waiting, os.cpu_count() or 1):
        running[_start(target, mutant.source, seconds)] = mutant
    while running:
        pid, status = os.waitpid(-1, 0)
        mutant = running.pop(pid)
        for following in _first(waiting, 1):
            running[_start(target, following.source, seconds)] = following
        yield mutant, _verdict(status)
    _seconds_of(target)


def _first(mutants: Iterator[Mutant], count: int) -> Iterable[Mutant]:
    return [mutant for _, mutant in zip(range(count), mutants, strict=False)]


def _seconds_of(target: Target) -> float:
    """The processor time of the tests over the module as it is."""
    pid = _start(target, target.path.read_text(), 0)
    _, status, used = os.wait4(pid, 0)
    if status != 0:
        raise Broken(f"the tests of {target.module} fail as it is: run them by pytest")
    return max(LEAST_SECONDS, 2 * (used.ru_utime + used.ru_stime))


def _verdict(status: int) -> Verdict:
    if os.WIFSIGNALED(status):
        return Verdict.TIMED_OUT if os.WTERMSIG(status) == signal.SIGPROF else Verdict.KILLED
    if os.WEXITSTATUS(status) == _MISTAKEN:
        raise Broken("a worker could not run its tests")
    return Verdict.KILLED if os.WEXITSTATUS(status) else Verdict.SURVIVED


def _start(target: Target, source: str, seconds: float) -> int:
    """Fork a worker that runs the tests over this source; its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            status = _work(target, source, seconds)
        except MemoryError:
            status = 1
        except BaseException:  # noqa: BLE001 - it must not return into the parent's loop
            status = _MISTAKEN
        os._exit(status)
    return pid


def _work(target: Target, source: str, seconds: float) -> int:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=tuple(HealthCheck),
    )
    hypothesis.settings.load_profile("mutants")
    limit = _Limit(seconds)
    limit.begin()
    program = compile(source, target.path, "exec")
    try:
        _install(target.module, program)
    except Exception:  # noqa: BLE001 - a module that can't be imported is noticed by any test
        return 1
    arguments = ["-c", os.devnull, "--rootdir=.", "--import-mode=importlib", "-x", "-q"]
    arguments += ["-p", "no:cacheprovider", "-W", "error", *map(str, target.tests)]
    status = pytest.main(arguments, plugins=[limit])
    return (
        _MISTAKEN
        if status in {pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.NO_TESTS_COLLECTED}
        else status
    )


def _install(name: str, program: CodeType) -> None:
    """Put a module that runs this program where an import looks for it."""
    spec = importlib.util.find_spec(name)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    exec(program, module.__dict__)
    package, _, last = name.rpartition(".")
    if package:
        setattr(sys.modules[package], last, module)


class _Limit:
    """Ends the process when a test takes too much processor time."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def begin(self) -> None:
        signal.setitimer(signal.ITIMER_PROF, self._seconds)

    def pytest_runtest_logstart(self) -> None:
        self.begin()
