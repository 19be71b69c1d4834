"""Real Redis and Valkey servers for the tests of what is kept in them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pytest

from stores.redis_server import ENGINES, Proxy, RedisServer, shared_url


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    """Each test that takes a server runs on each engine."""
    name: str = request.param
    return name


@pytest.fixture
def url(engine: str) -> str:
    return shared_url(engine)


@pytest.fixture
def prefix() -> str:
    return f"test:{os.urandom(8).hex()}:"


@pytest.fixture
def start(engine: str) -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of the test's own."""
    servers: list[RedisServer] = []

    def start(**settings: str) -> RedisServer:
        servers.append(RedisServer(engine, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def server(start: Callable[..., RedisServer]) -> RedisServer:
    return start()


@pytest.fixture
def proxy(server: RedisServer) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()
