"""Several hosts that share a cache: what a look costs, and when each of them knows a new key."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from edges import Edge
from loopback import Publisher
from private_key_jwt import InvalidClient, JWKSDocument, JWKSPolicy, Reason, TemporarilyUnavailable, events
from private_key_jwt._text import format_time
from private_key_jwt.stores import AsyncRedisJWKSCache, RedisJWKSCache, SQLiteJWKSCache
from private_key_jwt.testing import Clock
from stores.redis_server import shared_url
from support import jwk, private_key, registered

OLD, NEW = jwk(kid="old"), jwk(private_key(1), kid="new")
HOSTS = 3


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call().kid
    except (InvalidClient, TemporarilyUnavailable) as error:
        return error.reason


class Host:
    """One host of a fleet."""

    def __init__(self, fetcher: Any, uri: str) -> None:
        self.fetcher = fetcher
        self.client = registered(uri)

    def ask(self, kid: str) -> Any:
        return outcome(lambda: self.fetcher.get_key(self.client, "RS256", kid))


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.slow
def test_law_4_holds_on_each_host_under_a_flood_over_sqlite(
    edge: Edge, publisher: Publisher, clock: Clock, tmp_path: Path, opened: ExitStack
) -> None:
    """A host that looks into the cache has as much budget as before, and knows a new key when any other does."""
    policy = JWKSPolicy(allow_http_loopback=True, timeout=0.5, fetch_limit=2, fetch_window=30)
    publisher.keys = [OLD]
    hosts = []
    for _ in range(HOSTS):
        cache = SQLiteJWKSCache(tmp_path / "cache.sqlite", wall_clock=clock, timeout=3)
        opened.callback(cache.close)
        hosts.append(Host(edge.fetcher(policy, clock=clock, wall_clock=clock, cache=cache), publisher.uri()))
    assert [host.ask("old") for host in hosts] == ["old"] * HOSTS
    started = clock()
    published, known = 32, [0.0] * HOSTS
    for second in range(65):
        if second == published:
            publisher.keys = [OLD, NEW]
        for number, host in enumerate(hosts):
            assert host.ask(f"flood-{second}-{number}") is Reason.UNKNOWN_KID
        if second > published:
            for number, host in enumerate(hosts):
                if not known[number] and host.ask("new") == "new":
                    known[number] = second - published
        clock.advance(1)
    assert all(0 < each <= policy.fetch_window for each in known), known
    windows = (clock() - started) / policy.fetch_window
    assert publisher.count <= policy.fetch_limit * (windows + 1)


@pytest.fixture
def prefix() -> str:
    return f"fleet:{os.urandom(8).hex()}:"


def redis_cache(edge: Any, prefix: str) -> Any:
    kind: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    cache = edge._keep(kind.from_url(shared_url(), timeout=3, prefix=prefix))
    return getattr(cache, "subject", cache)


@pytest.mark.slow
def test_law_4_holds_on_each_host_under_a_flood_over_redis(edge: Edge, publisher: Publisher, prefix: str) -> None:
    """In real time, for Redis counts its own: with a window of 3 s."""
    policy = JWKSPolicy(allow_http_loopback=True, fetch_limit=2, fetch_window=3, timeout=1.5)
    publisher.keys = [OLD]
    hosts = [Host(edge.fetcher(policy, cache=redis_cache(edge, f"{prefix}")), publisher.uri()) for _ in range(HOSTS)]
    assert [host.ask("old") for host in hosts] == ["old"] * HOSTS
    started, published, known = time.monotonic(), 0.0, [0.0] * HOSTS
    while time.monotonic() < started + 12 and not all(known):
        now = time.monotonic()
        if not published and now > started + 3.5:
            publisher.keys, published = [OLD, NEW], time.monotonic()
        for number, host in enumerate(hosts):
            assert host.ask(f"flood-{now}-{number}") is Reason.UNKNOWN_KID
            if published and not known[number] and host.ask("new") == "new":
                known[number] = time.monotonic() - published
    # A window until somebody may fetch, a second until the next look, and what a fetch takes on a busy machine.
    assert all(0 < each <= policy.fetch_window + 1 + policy.timeout for each in known), known
    windows = (time.monotonic() - started) / policy.fetch_window
    assert publisher.count <= policy.fetch_limit * (windows + 1)


class Counted:
    """A shared cache that counts how often it is read and asked for a fetch."""

    def __init__(self) -> None:
        self.document: JWKSDocument | None = None
        self.looks = self.asked = 0
        self.grants = True

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        self.looks += 1
        return self.document

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        self.document = document

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        self.asked += 1
        return self.grants


@pytest.fixture
def policy() -> JWKSPolicy:
    return JWKSPolicy(allow_http_loopback=True, timeout=1, fetch_limit=2, fetch_window=30)


def test_a_flood_looks_and_asks_about_once_a_second(
    edge: Edge, publisher: Publisher, clock: Clock, policy: JWKSPolicy
) -> None:
    publisher.keys = [OLD]
    cache = Counted()
    host = Host(edge.fetcher(policy, clock=clock, cache=cache), publisher.uri())
    assert host.ask("old") == "old"
    cache.grants = False  # others spend what all have
    seconds = int(policy.fetch_window)
    for second in range(seconds):
        assert {host.ask(f"flood-{second}-{number}") for number in range(20)} == {Reason.UNKNOWN_KID}
        clock.advance(1)
    # For each fetch that others can make it waits a while for what they bring, and looks more often.
    assert cache.looks <= seconds + 1 + policy.fetch_limit * 6
    assert cache.asked <= seconds + 1
    assert publisher.count == 1


def test_a_cold_flood_looks_about_once_a_second(
    edge: Edge, publisher: Publisher, clock: Clock, policy: JWKSPolicy
) -> None:
    publisher.answer = b""
    cache = Counted()
    host = Host(edge.fetcher(policy, clock=clock, cache=cache), publisher.uri())
    for second in range(20):
        assert {host.ask(f"flood-{second}-{number}") for number in range(20)} == {Reason.JWKS_UNAVAILABLE}
        clock.advance(1)
    assert cache.looks <= 20 + 2
    assert publisher.count == policy.fetch_limit


def test_a_fetch_that_others_refuse_is_given_back(
    edge: Edge, publisher: Publisher, clock: Clock, policy: JWKSPolicy
) -> None:
    publisher.keys = [OLD]
    cache = Counted()
    host = Host(edge.fetcher(policy, clock=clock, cache=cache), publisher.uri())
    assert host.ask("old") == "old"
    cache.grants = False
    for number in range(10):
        assert host.ask(f"flood-{number}") is Reason.UNKNOWN_KID
        clock.advance(1)
    cache.grants = True
    publisher.keys = [OLD, NEW]
    assert host.ask("new") == "new"
    assert publisher.count == 2


def test_a_look_serves_a_host_whose_budget_is_spent(
    edge: Edge, publisher: Publisher, clock: Clock, policy: JWKSPolicy
) -> None:
    publisher.keys = [OLD]
    cache = Counted()
    first, second = (Host(edge.fetcher(policy, clock=clock, cache=cache), publisher.uri()) for _ in range(2))
    assert [first.ask(kid) for kid in ("old", "a", "b")] == ["old", Reason.UNKNOWN_KID, Reason.UNKNOWN_KID]
    publisher.keys = [OLD, NEW]
    clock.advance(1)
    assert second.ask("new") == "new"
    clock.advance(1)
    assert first.ask("new") == "new"
    assert publisher.count == 3


def test_a_refusal_says_when_those_who_share_the_cache_allow_a_fetch_again(
    edge: Edge, publisher: Publisher, clock: Clock, policy: JWKSPolicy
) -> None:
    """The same instant each time, by which the last fetch that is known has left the window."""
    publisher.keys = [OLD]
    cache, seen = Counted(), list[events.Event]()
    fetcher = edge.fetcher(policy, clock=clock, wall_clock=clock, cache=cache, on_event=seen.append)
    host = Host(fetcher, publisher.uri())
    assert host.ask("old") == "old"
    again = format_time(clock() + policy.fetch_window)
    cache.grants = False
    for _ in range(5):
        clock.advance(4)
        with pytest.raises(InvalidClient, match=f"the fetch budget is spent.*; next try at {again} at the latest"):
            fetcher.get_key(host.client, "RS256", "new")
    assert host.ask("another") is Reason.UNKNOWN_KID
    spent = [event.retry_after for event in seen if isinstance(event, events.FetchBudgetSpent)]
    assert spent == [policy.fetch_window - 20]


def test_a_cache_that_answers_late_makes_no_outage_of_a_spent_budget(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    publisher.keys = [OLD]
    released = threading.Event()

    class Late(Counted):
        def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
            self.is_late = not self.grants
            return super().claim(jwks_uri, policy, now)

        is_late = False

        def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
            if self.is_late:
                released.wait(10)
            return super().get(jwks_uri, now)

    cache = Late()
    policy = JWKSPolicy(allow_http_loopback=True, timeout=0.3)
    host = Host(edge.fetcher(policy, clock=clock, cache=cache), publisher.uri())
    assert host.ask("old") == "old"
    cache.grants = False
    clock.advance(2)
    assert host.ask("new") is Reason.UNKNOWN_KID
    released.set()
