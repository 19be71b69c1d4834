"""What workers that share a cache tell each other of fetches that failed."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edges import Edge
from loopback import Publisher
from private_key_jwt import JWKSDocument, JWKSPolicy, MemoryJWKSCache, Reason, TemporarilyUnavailable
from private_key_jwt.events import Event, FetchFailed, StoreFailed, log_events
from private_key_jwt.fetcher import _failures, _flow
from private_key_jwt.fetcher._cache import AskCache
from private_key_jwt.fetcher._failures import SharedFailures
from private_key_jwt.fetcher._fetches import Fetch, RefreshRequest, Status
from private_key_jwt.fetcher._flow import Pause
from private_key_jwt.fetcher._state import FetcherState
from private_key_jwt.stores import AsyncRedisJWKSCache, RedisJWKSCache, SQLiteJWKSCache
from private_key_jwt.testing import Clock
from stores.redis_server import shared_url
from support import jwk, registered

POLICY = JWKSPolicy(allow_http_loopback=True, timeout=0.5)
WINDOW, LIMIT = POLICY.fetch_window, POLICY.fetch_limit
DOWN = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


class Shared:
    """A cache that workers share, with one fetch budget."""

    def __init__(self) -> None:
        self.documents: dict[str, JWKSDocument] = {}
        self.taken: list[float] = []
        self.looks: list[str] = []

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        self.looks.append(jwks_uri)
        return self.documents.get(jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        self.documents[jwks_uri] = document

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        self.taken = [each for each in self.taken if now - each < policy.fetch_window]
        granted = len(self.taken) < policy.fetch_limit
        self.taken += [now] * granted
        return granted


class Fleet:
    """Two workers, one publisher that is down."""

    def __init__(self, edge: Edge, publisher: Publisher, clock: Clock) -> None:
        self.edge, self.publisher, self.clock = edge, publisher, clock
        self.cache, self.events = Shared(), list[Event]()
        self.uri = publisher.uri()
        self.first, self.second = (self._worker() for _ in range(2))
        publisher.answer = DOWN

    def _worker(self) -> Any:
        return self.edge.fetcher(POLICY, clock=self.clock, cache=self.cache, on_event=self.events.append)

    def refused(self, worker: Any) -> TemporarilyUnavailable:
        with pytest.raises(TemporarilyUnavailable) as raised:
            worker.get_key(registered(self.uri), "RS256", "kid")
        self.edge.settle()  # what is told to others is told when those who wait have gone on
        if worker is self.first:
            self.cache.looks.clear()
        return raised.value


@pytest.fixture
def fleet(edge: Edge, publisher: Publisher, clock: Clock) -> Fleet:
    return Fleet(edge, publisher, clock)


def test_nobody_waits_for_fetches_that_others_made_in_vain(fleet: Fleet) -> None:
    for _ in range(LIMIT):
        fleet.refused(fleet.first)
        fleet.clock.advance(2)
    error = fleet.refused(fleet.second)
    assert fleet.publisher.count == LIMIT
    assert fleet.cache.looks == [fleet.uri, _failures.name_of(fleet.uri)]
    assert "503" in error.detail
    assert "met 2 s ago by another who shares the cache" in error.detail
    assert error.retry_after == pytest.approx(WINDOW - 2 * LIMIT, abs=0.01)
    assert "next try at" in error.detail
    assert ["503" in each.detail for each in fleet.events if isinstance(each, FetchFailed)] == [True] * LIMIT
    fleet.publisher.answer = None
    fleet.publisher.keys = [jwk(kid="kid")]
    fleet.clock.advance(error.retry_after)
    assert fleet.second.get_key(registered(fleet.uri), "RS256", "kid").kid == "kid"


def test_a_fetch_that_others_refused_is_not_reported_as_a_fetch_that_failed(fleet: Fleet) -> None:
    """Whoever pages on that event is paged once for each fetch that is sent."""
    fleet.cache.taken += [fleet.clock()] * LIMIT
    for _ in range(3):
        assert "others who share the cache have spent the fetch budget" in fleet.refused(fleet.first).detail
        fleet.clock.advance(1)
    assert fleet.publisher.count == 0
    assert [each for each in fleet.events if isinstance(each, FetchFailed)] == []


def test_a_fetch_that_may_be_under_way_is_waited_for_and_its_forerunners_fault_is_told(fleet: Fleet) -> None:
    fleet.refused(fleet.first)
    others = [fleet.clock()] * (LIMIT - 1)
    fleet.cache.taken += others  # they have taken what was left, and have not ended it
    error = fleet.refused(fleet.second)
    assert fleet.cache.looks.count(fleet.uri) > 1
    assert "503" in error.detail


def test_a_fetch_that_nothing_is_known_of_is_waited_for_through_all_pauses() -> None:
    clock = Clock()
    state: FetcherState[None] = FetcherState(JWKSPolicy(timeout=60), clock, clock, 10, log_events, shares_cache=True)
    uri = "https://op.example/jwks.json"
    flow = _flow.refresh(state, Fetch(RefreshRequest(uri, None, forced=False, known=None), time.monotonic() + 60, None))
    step, waited, outcome = next(flow), 0.0, None
    while outcome is None:
        waited += step.seconds if isinstance(step, Pause) else 0
        try:
            step = flow.send(False if isinstance(step, AskCache) and step.method == "claim" else None)
        except StopIteration as ended:
            outcome = ended.value
    assert outcome.status is Status.FAILED
    assert waited == pytest.approx(2.4)


def test_a_failure_is_told_no_longer_than_its_fetch_counts(fleet: Fleet) -> None:
    fleet.refused(fleet.first)
    fleet.clock.advance(WINDOW)
    fleet.cache.taken += [fleet.clock()] * LIMIT
    assert "503" not in fleet.refused(fleet.second).detail


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize("engine", ["redis", "sqlite"])
def test_a_real_cache_tells_it_from_worker_to_worker(
    edge: Any, publisher: Publisher, tmp_path: Path, engine: str, opened: ExitStack
) -> None:
    """In real time, for Redis counts its own."""
    publisher.answer = DOWN
    policy, events = replace(POLICY, timeout=3), list[Event]()
    redis_cache: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    prefix = f"failures:{os.urandom(8).hex()}:"
    client = registered(publisher.uri())

    def worker() -> Any:
        if engine == "sqlite":
            cache: Any = SQLiteJWKSCache(tmp_path / "jwks.db")
            opened.callback(cache.close)
        else:
            cache = edge._keep(redis_cache.from_url(shared_url(), timeout=3, prefix=prefix))
            cache = getattr(cache, "subject", cache)
        return edge.fetcher(policy, cache=cache, on_event=events.append)

    first, second = worker(), worker()
    for _ in range(LIMIT):
        with pytest.raises(TemporarilyUnavailable):
            first.get_key(client, "RS256", "kid")
        edge.settle()
    started = time.monotonic()
    with pytest.raises(TemporarilyUnavailable, match="503.* by another who shares the cache") as raised:
        second.get_key(client, "RS256", "kid")
    assert time.monotonic() - started < policy.timeout / 2
    assert WINDOW - 10 < (raised.value.retry_after or 0) <= WINDOW
    assert not [each for each in events if isinstance(each, StoreFailed)]


@pytest.mark.parametrize("make", [lambda: None, MemoryJWKSCache], ids=["its own", "in memory"])
def test_a_cache_that_nobody_shares_is_told_nothing(
    make: Callable[[], Any], edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    publisher.answer = DOWN
    fetcher = edge.fetcher(POLICY, clock=clock, cache=make())
    with pytest.raises(TemporarilyUnavailable) as raised:
        fetcher.get_key(registered(publisher.uri()), "RS256", "kid")
    assert raised.value.reason is Reason.JWKS_UNAVAILABLE
    assert "at the latest" not in raised.value.detail
    edge.settle()
    cache = getattr(fetcher, "subject", fetcher)._cache
    assert isinstance(cache, MemoryJWKSCache)
    assert cache.get(_failures.name_of(publisher.uri()), clock()) is None


def test_what_is_told_is_read_back() -> None:
    policy = replace(POLICY, fetch_limit=2)
    first = _failures.read(_failures.write(None, 100.0, 101.5, "refused", 3), 103, policy)
    assert first == SharedFailures((100.0,), 101.5, "refused")
    assert first is not None
    assert first.next_fetch_at(policy) is None
    second = _failures.read(_failures.write(first, 110.0, 110.25, "reset\nby peer", 3), 111, policy)
    assert second == SharedFailures((110.0, 100.0), 110.25, "reset\\nby peer")
    assert second is not None
    assert second.next_fetch_at(policy) == 100 + WINDOW
    assert second.next_fetch_at(replace(policy, fetch_limit=1)) == 110 + WINDOW
    third = _failures.read(_failures.write(second, 120.0, 120.5, "", 2), 121, policy)
    assert third == SharedFailures((120.0, 110.0), 120.5, "?")


def test_the_longest_that_is_told_is_read_back() -> None:
    policy = JWKSPolicy(fetch_limit=100, fetch_window=3_600)
    told = None
    for number in range(120):
        document = _failures.write(told, number, number, "\u20ac" * 500, policy.fetch_limit)
        told = _failures.read(document, 119, policy)
    assert told is not None
    assert len(told.taken_at) == policy.fetch_limit
    assert len(told.detail) == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n",
        b"refused",
        b"1.000\n",
        b"nan\nrefused",
        b"-1.000\nrefused",
        b"1.000\nrefused\n",
        b"1.000\n\x1b[2J",
        b"1.000\n\xff",
        b"1.000 " * 101 + b"\nrefused",
        b"1.000\n" + b"x" * 3_000,
        b'{"keys": []}',
    ],
)
def test_what_is_no_word_of_failures_is_none(body: bytes) -> None:
    assert _failures.read(JWKSDocument(body, 100), 100, POLICY) is None


def test_a_word_from_the_future_is_from_now() -> None:
    assert _failures.read(JWKSDocument(b"1.000\nrefused", 500), 100, POLICY) == SharedFailures((99.0,), 100, "refused")
