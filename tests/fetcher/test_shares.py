"""Hundreds of registered clients whose publishers hang, beside honest ones: who gets how much of the process."""

from __future__ import annotations

import copy
import logging
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import httpx
import pytest

from edges import Edge
from loopback import Publisher, http
from private_key_jwt import JWKSPolicy, TemporarilyUnavailable
from private_key_jwt.fetcher._pool import take_own_pool
from private_key_jwt.fetcher._slots import fetch_slots
from private_key_jwt.testing import Clock
from support import jwk, registered, until

HOSTILE, HONEST, PASSES = 300, 50, 4
POLICY = JWKSPolicy(allow_http_loopback=True, timeout=30)


class Hostile:
    """Publishers of every kind that does not answer."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._free = threading.Event()
        self.tarpit, self.slow, self.reset = (Publisher([jwk()]) for _ in range(3))
        self.tarpit.answer = self._wait
        self.slow.answer = self._trickle
        self.reset.answer = b""
        getaddrinfo = socket.getaddrinfo

        def hang(host: Any, *args: Any, **settings: Any) -> Any:
            if str(host).startswith("hangs-"):
                self._free.wait(40)
                raise socket.gaierror("no such name")
            return getaddrinfo(host, *args, **settings)

        monkeypatch.setattr(socket, "getaddrinfo", hang)

    def _wait(self, _connection: socket.socket) -> None:
        self._free.wait(40)

    def _trickle(self, connection: socket.socket) -> None:
        connection.sendall(http(b"{", length=60_000))
        while not self._free.wait(0.5):
            connection.sendall(b" ")

    def clients(self) -> list[Any]:
        def uri(number: int) -> str:
            kind = number % 4
            if kind == 0:
                return f"https://hangs-{number}.example/"
            return (self.tarpit, self.slow, self.reset)[kind - 1].uri(f"/{number}")

        return [registered(uri(number)) for number in range(HOSTILE)]

    def close(self) -> None:
        self._free.set()
        for publisher in (self.tarpit, self.slow, self.reset):
            publisher.close()


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hostile]:
    hostile = Hostile(monkeypatch)
    yield hostile
    hostile.close()


def refused(fetcher: Any, client: Any) -> None:
    with pytest.raises(TemporarilyUnavailable):
        fetcher.get_key(client, "RS256", "k1")


def latency(fetcher: Any, clients: list[Any]) -> float:
    """Seconds that one of them waits for its key, in the median, a few at a time; a refusal is an error."""

    def ask(client: Any) -> float:
        started = time.perf_counter()
        assert fetcher.get_key(client, "RS256", "k1").kid == "k1"
        return time.perf_counter() - started

    with ThreadPoolExecutor(4) as pool:
        return median(pool.map(ask, clients))


@pytest.mark.slow
@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_hostile_publishers_keep_no_honest_client_out(
    edge: Edge, publisher: Publisher, clock: Clock, hostile: Hostile, whose: str
) -> None:
    publisher.keys = [jwk()]
    settings = {"http_client": edge.http_client()} if whose == "the user's client" else {}
    fetcher = edge.fetcher(POLICY, clock=clock, **settings)

    def honest(name: str) -> list[Any]:
        return [registered(publisher.uri(f"/{name}/{number}")) for number in range(HONEST)]

    # What a machine does beside this may stop anyone for a while: of several passes the fastest says what is our doing.
    def fastest(passes: list[list[Any]]) -> float:
        return min(latency(fetcher, clients) for clients in passes)

    before, cold, warm, after = (
        [honest(f"{name}-{turn}") for turn in range(PASSES)] for name in ("before", "cold", "warm", "after")
    )
    alone = {"cold": [fastest(before)], "warm": []}
    fastest(warm)
    clock.advance(POLICY.ttl)  # the keys of those that answered before are gone
    alone["warm"].append(fastest(before))
    with ThreadPoolExecutor(HOSTILE) as pool:
        attacks = [pool.submit(refused, fetcher, client) for client in hostile.clients()]
        hanging = HOSTILE * 3 // 4  # a reset is over at once
        until(lambda: len(fetch_slots) >= hanging, "they do not hang", 20)
        beside = {"cold": fastest(cold), "warm": fastest(warm)}
        assert len(fetch_slots) == hanging, "it was over before it was measured"
        hostile.close()
        for attack in attacks:
            attack.result(40)
    # Again, since the machine may be busier, or less so, than before.
    alone["cold"].append(fastest(after))
    clock.advance(POLICY.ttl)
    alone["warm"].append(fastest(after))
    times = {kind: beside[kind] / max(alone[kind]) for kind in beside}
    logging.getLogger(__name__).info("times as without them: %s; seconds: %s, alone %s", times, beside, alone)
    assert max(times.values()) <= 2, times


@pytest.mark.parametrize("missing", ["_requests", None])
def test_a_client_whose_pool_is_not_as_it_was_keeps_it(missing: str | None) -> None:
    with httpx.Client(trust_env=False) as client:
        if missing is None:
            client._transport._pool = object()  # type: ignore[attr-defined]
        else:
            delattr(client._transport._pool, missing)  # type: ignore[attr-defined]
        before = client._transport
        assert take_own_pool(client, httpx.URL("https://publisher.example/")) is None
        assert client._transport is before
        client._transport = httpx.HTTPTransport()


def test_a_pool_of_its_own_has_the_settings_of_the_users() -> None:
    limits = httpx.Limits(max_connections=1)
    with httpx.Client(trust_env=False, limits=limits, proxy="http://127.0.0.1:9") as users:
        client = copy.copy(users)
        own = take_own_pool(client, httpx.URL("https://publisher.example/"))
        pool = own._pool
        assert client._transport is own
        assert pool._max_connections == sys.maxsize
        assert pool._proxy_url.port == 9
        theirs = users._transport_for_url(httpx.URL("https://publisher.example/"))._pool  # type: ignore[attr-defined]
        assert pool._connections is not theirs._connections
        assert pool._ssl_context is theirs._ssl_context
        assert theirs._max_connections == 1
