"""``python -m pytest tests/hostile --hostile-table`` prints what was tried and what came of it."""

from __future__ import annotations

import pytest

from hostile.counts import Counts

_COUNTS = pytest.StashKey[Counts]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hostile-table", action="store_true", help="print a table of the attacks that were tried")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_COUNTS] = Counts()


@pytest.fixture(scope="session")
def counts(pytestconfig: pytest.Config) -> Counts:
    # A run of all tests finds this file too late to be configured by it.
    return pytestconfig.stash.setdefault(_COUNTS, Counts())


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--hostile-table", default=False):
        terminalreporter.section("hostile inputs")
        for line in config.stash[_COUNTS].lines():
            terminalreporter.write_line(line)
