"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import coverage
import pytest

from edges import AsyncEdge, Edge, SyncEdge
from loopback import Publisher
from private_key_jwt import events
from private_key_jwt.testing import Clock

START = 1_700_000_000

# The width of whoever's terminal this is (and pytest-xdist's) changes no line that a test reads.
os.environ.pop("COLUMNS", None)

# What starts servers or many processes. `pytest -m "not slow"` leaves it out; a plain `pytest` runs everything.
_SLOW = (
    "chaos/test_chaos.py",
    "fetcher/test_fleet.py",
    "fetcher/test_shares.py",
    "clients/test_node_clients.py",
    "integrations/test_authorization_servers.py",
    "integrations/test_dpop.py",
    "integrations/test_production_example.py",
    "integrations/test_refusals.py",
    "integrations/test_workers.py",
    "stores/test_django.py",
    "stores/test_django_cache_laws.py",
    "stores/test_engines.py",
    "stores/test_mariadb.py",
    "stores/test_redis_cluster.py",
    "stores/test_redis_clients.py",
    "stores/test_redis_jwks.py",
    "stores/test_redis_laws.py",
    "stores/test_redis_replay.py",
    "stores/test_redis_sentinel.py",
    "stores/test_redis_tls.py",
    "stores/test_sqlalchemy.py",
    "tests/test_benchmarks.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.as_posix().endswith(_SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the engines that are not on this machine, and whose tests were therefore not run."""
    reports = terminalreporter.stats.get("skipped", [])
    reasons = [str(report.longrepr[2]) for report in reports if isinstance(report.longrepr, tuple)]
    not_run = [reason.removeprefix("Skipped: ") for reason in reasons if "not run: " in reason]
    for reason in sorted(set(not_run)):
        terminalreporter.write_line(f"{not_run.count(reason)} tests {reason}", yellow=True)


@pytest.fixture(autouse=True)
def _lines_of_this_test() -> None:
    """Count log lines from zero: what the test before wrote within this second leaves out none of this one's."""
    for second in events._seconds.values():
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
    running = coverage.Coverage.current()
    if running is not None:
        running.stop()
    yield
    if running is not None:
        running.start()


@pytest.fixture
def clock() -> Clock:
    """One clock for wall and monotonic time."""
    return Clock(START)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()
