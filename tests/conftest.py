"""What all tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from edges import AsyncEdge, Edge, SyncEdge
from loopback import Publisher
from private_key_jwt.testing import Clock

START = 1_700_000_000


@pytest.fixture(params=[SyncEdge, AsyncEdge], ids=["sync", "async"])
def edge(request: pytest.FixtureRequest) -> Iterator[Edge]:
    """Each test that takes it runs twice: sync and async."""
    edge: Edge = request.param()
    yield edge
    edge.close()


@pytest.fixture
def clock() -> Clock:
    """One clock for wall and monotonic time."""
    return Clock(START)


@pytest.fixture
def publisher() -> Iterator[Publisher]:
    publisher = Publisher()
    yield publisher
    publisher.close()
