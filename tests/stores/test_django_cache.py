"""Replay marks and JWK Sets in the caches of a Django project: Redis and Memcached for real, and the others refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import caches

from private_key_jwt import ConfigurationError, JWKSDocument, JWKSPolicy, TemporarilyUnavailable
from private_key_jwt.stores import DjangoCacheReplayStore, DjangoJWKSCache
from private_key_jwt.testing import JWKSCacheContract
from stores.django_caches import BACKENDS, Memcached, cache
from stores.redis_server import RedisServer
from support import until

NOW = 1_700_000_000.0
URI = "https://op.example/jwks.json"


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def memcached() -> Iterator[str]:
    server = Memcached()
    yield server.location
    server.stop()


def test_memcached_lets_one_in_until_the_mark_expires(memcached: str) -> None:
    with cache("memcached.PyMemcacheCache", LOCATION=memcached):
        store = DjangoCacheReplayStore("replay", margin=0)
        assert [store.add(b"k" * 32, NOW + 1, NOW) for _ in range(3)] == [True, False, False]
        assert store.add(b"l" * 32, NOW + 1, NOW) is True
        until(lambda: store.add(b"k" * 32, NOW + 1, NOW), "the mark stays")


def test_memcached_grants_no_fetch_before_the_window_is_over(memcached: str) -> None:
    """It counts in whole seconds, and lets a name go up to one too early."""
    policy, granted = JWKSPolicy(fetch_limit=1, fetch_window=1), list[tuple[float, float]]()
    with cache("memcached.PyMemcacheCache", LOCATION=memcached):
        kept = DjangoJWKSCache("replay")

        def claim() -> bool:
            before = time.monotonic()
            is_granted = kept.claim(URI, policy, 0)
            granted.extend([(before, time.monotonic())] * is_granted)
            return is_granted

        for _ in range(3):
            until(claim, "no fetch is granted")
        caches["replay"].close()
    assert all(after - before >= policy.fetch_window for (before, _), (_, after) in pairwise(granted))


def test_a_memcached_that_is_not_there_refuses() -> None:
    with cache("memcached.PyMemcacheCache", LOCATION="127.0.0.1:1"):
        store = DjangoCacheReplayStore("replay")
        with pytest.raises(TemporarilyUnavailable, match="DjangoCacheReplayStore"):
            store.add(b"k" * 32, NOW + 60, NOW)


@pytest.mark.parametrize(("added", "kept"), [(True, 1), (False, "1"), (None, 1), (False, None), (False, False)])
def test_a_cache_that_proves_nothing_refuses(redis_server: RedisServer, added: Any, kept: Any) -> None:
    with cache("redis.RedisCache", LOCATION=redis_server.url):
        store = DjangoCacheReplayStore("replay")
        caches["replay"].add = lambda *_args, **_kwargs: added
        caches["replay"].incr = lambda *_args: kept
        with pytest.raises(TemporarilyUnavailable, match="reply to another command"):
            store.add(b"k" * 32, NOW + 60, NOW)


@pytest.mark.parametrize(
    ("backend", "location"),
    [
        ("filebased.FileBasedCache", "/tmp/nothing"),
        ("locmem.LocMemCache", ""),
        ("db.DatabaseCache", "table"),
        ("dummy.DummyCache", ""),
    ],
)
def test_other_backends_are_refused_by_name(backend: str, location: Any) -> None:
    with cache(backend, LOCATION=location):
        with pytest.raises(ConfigurationError, match=f"not {BACKENDS}.{backend}.*DjangoReplayStore"):
            DjangoCacheReplayStore("replay")


def test_several_servers_of_memcached_are_refused() -> None:
    for location in ("127.0.0.1:1;127.0.0.1:2", ["127.0.0.1:1", "127.0.0.1:2"]):
        with cache("memcached.PyMemcacheCache", LOCATION=location):
            with pytest.raises(ConfigurationError, match="2 servers"):
                DjangoCacheReplayStore("replay")


@pytest.mark.parametrize("kind", [DjangoCacheReplayStore, DjangoJWKSCache])
@pytest.mark.parametrize("alias", ["nowhere", None, ["default"]])
def test_an_alias_that_is_none_is_named(kind: Any, alias: Any) -> None:
    with cache("locmem.LocMemCache"):
        with pytest.raises(ConfigurationError, match="alias must be one of CACHES"):
            kind(alias)


@pytest.mark.parametrize("margin", [-1, 86_401, "1"])
def test_the_margin_is_checked(margin: Any) -> None:
    with pytest.raises(ConfigurationError, match="margin"):
        DjangoCacheReplayStore("replay", margin=margin)


def test_that_a_cache_evicts_is_said_at_start(redis_server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    with cache("redis.RedisCache", LOCATION=redis_server.url), caplog.at_level("WARNING", "private_key_jwt"):
        DjangoCacheReplayStore("replay")
    assert [record.getMessage() for record in caplog.records] == [
        "replay marks in CACHES['replay'] are lost when the cache evicts: set maxmemory-policy noeviction"
    ]


class _JWKSCache(JWKSCacheContract):
    backend: str
    can_break = False

    @pytest.fixture(autouse=True)
    def place(self, tmp_path: Path, redis_server: RedisServer) -> Iterator[None]:
        location = redis_server.url if "redis" in self.backend else str(tmp_path)
        with cache(self.backend, LOCATION=location):
            yield
            caches["replay"].clear()

    def open_cache(self) -> Any:
        return DjangoJWKSCache("replay")


class TestJWKSInRedisCache(_JWKSCache):
    backend = "redis.RedisCache"


class TestJWKSInLocMemCache(_JWKSCache):
    """All in one process share it."""

    backend = "locmem.LocMemCache"

    def test_processes_share_one_budget(self) -> None:
        """They do not: each process has a budget of its own."""


def test_documents_survive_in_files(tmp_path: Path) -> None:
    with cache("filebased.FileBasedCache", LOCATION=str(tmp_path)):
        DjangoJWKSCache("replay").put(URI, JWKSDocument(b"{}", 90), 100)
        found = DjangoJWKSCache("replay").get(URI, 5_000)
    assert found is not None
    assert found.fetched_at == pytest.approx(4_990, abs=1)


class Wall:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def on_another_host(cache: DjangoJWKSCache) -> DjangoJWKSCache:
    """The cache as a host has it for which the time since its own boot says nothing of what others put there."""
    cache._boot = b"another"
    return cache


def test_a_clock_set_back_makes_no_document_young() -> None:
    wall = Wall()
    with cache("locmem.LocMemCache"):
        caches["replay"].clear()
        DjangoJWKSCache("replay", wall_clock=wall).put(URI, JWKSDocument(b"old", 0), 0)
        wall.now -= 100
        kept = on_another_host(DjangoJWKSCache("replay", wall_clock=wall))
        assert kept.get(URI, 0) is None
        kept.put(URI, JWKSDocument(b"new", 0), 50)
        found = kept.get(URI, 50)
        assert found is not None
        assert found.body == b"new"
        assert found.fetched_at == pytest.approx(0, abs=1)  # the time since boot runs on


@pytest.mark.parametrize(
    "value",
    ["text", 5, b"", b"{}", b"no time\n{}", b"1 no boot\n{}", b"nan 1 boot\n{}", b"inf 1 boot\n{}", b"1 nan boot\n{}"],
)
def test_a_corrupt_value_is_an_error_and_the_next_document_replaces_it(value: object) -> None:
    with cache("locmem.LocMemCache"):
        kept = DjangoJWKSCache("replay")
        kept.put(URI, JWKSDocument(b"{}", 0), 0)
        [name] = [name for name in caches["replay"]._cache if "jwks" in name]
        caches["replay"].set(name.removeprefix(":1:"), value)
        with pytest.raises(ValueError, match="document|could not convert"):
            kept.get(URI, 0)
        kept.put(URI, JWKSDocument(b"new", 0), 0)
        found = kept.get(URI, 0)
    assert found is not None
    assert found.body == b"new"


def test_a_budget_is_that_of_the_policy() -> None:
    policy = JWKSPolicy()
    with cache("locmem.LocMemCache"):
        caches["replay"].clear()
        kept = DjangoJWKSCache("replay")
        granted = [kept.claim(URI, policy, 0) for _ in range(policy.fetch_limit + 2)]
    assert granted == [True] * policy.fetch_limit + [False] * 2


def test_the_wall_clock_must_be_one() -> None:
    with pytest.raises(ConfigurationError, match="wall_clock"):
        DjangoJWKSCache("default", wall_clock=5)  # type: ignore[arg-type]


def test_an_event_loop_may_ask_in_a_thread(redis_server: RedisServer) -> None:
    with cache("redis.RedisCache", LOCATION=redis_server.url):
        store = DjangoCacheReplayStore("replay")

        def add() -> bool:
            added = store.add(b"t" * 32, NOW + 60, NOW)
            for pool in caches["replay"]._cache._pools.values():  # of this thread; Django's `close` leaves them open
                pool.disconnect()
            return added

        async def adds() -> list[bool]:
            return await asyncio.gather(*(asyncio.to_thread(add) for _ in range(8)))

        assert asyncio.run(adds()).count(True) == 1


def test_a_clock_set_back_makes_no_document_of_this_host_younger() -> None:
    """Law 3: a worker that starts then must not take a removed key for a new one."""
    wall = Wall()
    with cache("locmem.LocMemCache"):
        caches["replay"].clear()
        DjangoJWKSCache("replay", wall_clock=wall).put(URI, JWKSDocument(b"{}", 0), 299)
        wall.now -= 200
        started_then = DjangoJWKSCache("replay", wall_clock=wall)
        here, elsewhere = started_then.get(URI, 299), on_another_host(started_then).get(URI, 299)
    assert here is not None
    assert here.fetched_at == pytest.approx(0, abs=1)
    assert elsewhere is not None  # by the wall clock alone
    assert elsewhere.fetched_at == pytest.approx(200, abs=1)
