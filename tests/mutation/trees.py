"""Copies of the source in which one thing is changed, and the tests that are run against them.

Each run is a fork of one process that has imported everything but this project: a mutant costs its tests, and no start.
"""

from __future__ import annotations

import compileall
import contextlib
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LAST_WORDS = 2_000


@dataclass(frozen=True)
class Outcome:
    """How the tests ended: ``green``, ``red`` (``test`` is the first that failed), or ``timeout``."""

    colour: str
    test: str = ""

    @property
    def killed(self) -> bool:
        return self.colour != "green"


class _FirstFailure:
    """Tells which test failed first."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os.write(self._pipe, f"{report.nodeid}\n".encode())

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            os.write(self._pipe, f"collecting {report.nodeid}\n".encode())


def warm_up() -> None:
    """Import what the tests need, and make their keys: the children inherit both."""
    sys.dont_write_bytecode = True  # two mutants of one second and one size would share a cached module
    for name in ("cryptography.hazmat.primitives.asymmetric.rsa", "joserfc.jwk", "httpx", "cachetools", "hypothesis"):
        import_module(name)
    support = import_module("support")
    for number in range(3):
        support.private_key(number)


class Tree:
    """A copy of src/ and tests/, one for each worker."""

    def __init__(self, place: Path) -> None:
        self.place = place
        ignore = shutil.ignore_patterns("__pycache__", "corpus")
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, place / name, ignore=ignore)
        for name in ("pyproject.toml", "README.md"):
            shutil.copy(ROOT / name, place)
        # What is not mutated is compiled once. A mutant has a later time than this, and is compiled anew.
        compileall.compile_dir(place, quiet=1)

    @contextlib.contextmanager
    def changed(self, path: str, text: str) -> Iterator[None]:
        """The tree with one file changed."""
        file = self.place / path
        before = file.read_bytes()
        file.write_text(text)
        try:
            yield
        finally:
            file.write_bytes(before)

    def run(self, tests: Sequence[str], timeout: float) -> Outcome:
        """Run tests in a fork, up to the first that fails."""
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._become_pytest(tests, theirs)
        os.close(theirs)
        status = _wait(pid, timeout)
        with os.fdopen(ours, "rb") as pipe:
            failed = pipe.read(_LAST_WORDS).decode().split("\n")[0] if status is not None else ""
        if status is None:
            return Outcome("timeout")
        if status == pytest.ExitCode.USAGE_ERROR:  # what tests/conftest.py imports cannot be imported
            return Outcome("red", "importing")
        assert status == 0 or failed, f"pytest ended with {status}, and no test has failed"
        return Outcome("red" if status else "green", failed)

    def _become_pytest(self, tests: Sequence[str], pipe: int) -> None:
        status = 99
        try:
            os.setpgid(0, 0)
            os.chdir(self.place)
            sys.path[:0] = [str(self.place / "src"), str(self.place / "tests")]
            sink = os.open(os.devnull, os.O_WRONLY)
            os.dup2(sink, 1)
            os.dup2(sink, 2)
            settings = [
                "-x",
                "-q",
                "--assert=plain",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:cov",
                "-o",
                "addopts=--import-mode=importlib",
            ]
            settings += ["-W", "ignore:Module already imported"]  # by warm_up
            status = pytest.main([*settings, *tests], plugins=[_FirstFailure(pipe)])
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)


def _wait(pid: int, timeout: float) -> int | None:
    """The exit status of a child; None when its time was up."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None
