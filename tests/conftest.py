"""What all tests share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import coverage
import hypothesis
import pytest

from edges import AsyncEdge, Edge, SyncEdge
from loopback import Publisher
from private_key_jwt import _log
from private_key_jwt.testing import Clock

START = 1_700_000_000

# The width of whoever's terminal this is (and pytest-xdist's) changes no line that a test reads.
os.environ.pop("COLUMNS", None)

# An example takes as long as the machine lets it: what may be slow is measured in processor time, by tests of its own.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")

NOT_SLOW = "not slow"


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what is slow where nothing is named: no path, no test, no marker."""
    option = config.option  # pytest-xdist gives it to its workers
    if config.args_source is pytest.Config.ArgsSource.TESTPATHS and not (option.markexpr or option.keyword):
        option.markexpr = NOT_SLOW


# In a test's name, its class or its case: eight processes (the contracts bring such tests to each store), or a server
# that takes long to start.
_SLOW = re.compile(r"^[^[]*_processes_|^Test\w*(MariaDB|MySQL)|\b(on MariaDB|on MySQL|mariadb|mysql)\b")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as slow what says so by its name; other tests have the marker where they stand."""
    for item in items:
        if _SLOW.search(item.nodeid.partition("::")[2]):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what was not run: the tests of engines that are not on this machine, and what is slow."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple)]
    not_run = [reason.removeprefix("Skipped: ") for reason in reasons if "not run: " in reason]
    for reason in sorted(set(not_run)):
        terminalreporter.write_line(f"{not_run.count(reason)} tests {reason}", yellow=True)
    if config.option.markexpr == NOT_SLOW:
        terminalreporter.write_line("slow tests were not run: pytest -m slow runs them", yellow=True)


@pytest.fixture(autouse=True)
def _lines_of_this_test() -> None:
    """Count log lines from zero: what the test before wrote within this second leaves out none of this one's."""
    for second in _log._seconds.values():
        second.end, second.lines = 0, 0


@pytest.fixture(params=[SyncEdge, AsyncEdge], ids=["sync", "async"])
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    """Each test that takes it runs twice: sync and async."""
    edge: Edge = request.param()
    yield edge
    edge.close()


@pytest.fixture
def untraced() -> Iterator[None]:
    """Trace nothing for coverage: thousands of examples, or hundreds of threads, would take minutes."""
    running = []
    # A process of pytest-xdist has two: who stops the last that was started lets the other one go on.
    while (each := coverage.Coverage.current()) is not None:
        each.stop()
        running.append(each)
    yield
    for each in reversed(running):
        each.start()


@pytest.fixture
def clock() -> Clock:
    """One clock for wall and monotonic time."""
    return Clock(START)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()
