"""JWK Sets in a real Redis and a real Valkey, and fetchers that share them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis

from edges import AsyncEdge, Edge
from loopback import Publisher
from private_key_jwt import (
    ConfigurationError,
    InvalidClient,
    JWKSDocument,
    Reason,
    RegisteredClient,
    TemporarilyUnavailable,
)
from private_key_jwt.stores import RedisJWKSCache, RedisReplayStore
from private_key_jwt.stores._jwks_caches.redis import _Documents
from stores.redis_server import Proxy, RedisServer, connect
from stores.redis_support import POLICY, URI, cache_around, close, jwks_cache, replay_store, user_client
from support import jwk, private_key

ALL = [True] * POLICY.fetch_limit
WINDOW_MS = int(POLICY.fetch_window * 1_000)
OLD, NEW = jwk(kid="old"), jwk(private_key(1), kid="new")


def test_a_document_comes_back_with_its_age_on_the_readers_clock(edge: Edge, url: str, prefix: str) -> None:
    writer, reader = (jwks_cache(edge, url, prefix=prefix) for _ in range(2))
    assert reader.get(URI, 5_000) is None
    writer.put(URI, JWKSDocument(b'{"keys": []}\n\xff', 900), 1_000)
    document = reader.get(URI, 5_000)
    assert document.body == b'{"keys": []}\n\xff'
    assert 4_895 < document.fetched_at <= 4_900


@pytest.mark.parametrize("decode_responses", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_document_is_bytes_whatever_the_client_makes_of_answers(
    edge: Edge, url: str, prefix: str, decode_responses: bool, protocol: int
) -> None:
    client = user_client(edge, url, decode_responses=decode_responses, protocol=protocol)
    cache = cache_around(edge, client, prefix=prefix)
    cache.put(URI, JWKSDocument(b"\xff\n1", 0), 0)
    assert cache.get(URI, 0).body == b"\xff\n1"
    assert cache.claim(URI, POLICY, 0) is True
    close(cache)
    assert cache.get(URI, 0).body == b"\xff\n1"


def test_the_newer_document_stays(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    for body, age in [(b"a", 100), (b"b", 50), (b"c", 80), (b"d", 20), (b"e", 0), (b"f", 10)]:
        cache.put(URI, JWKSDocument(body, 1_000 - age), 1_000)
        assert cache.get(URI, 0).body == {b"c": b"b", b"f": b"e"}.get(body, body)


@pytest.mark.parametrize("ahead", [-3_600, -10, 0, 10, 600, 3_600])
def test_ages_are_the_servers_whatever_the_clocks_of_hosts_say(edge: Edge, url: str, prefix: str, ahead: float) -> None:
    right = jwks_cache(edge, url, prefix=prefix)
    wrong = jwks_cache(edge, url, prefix=prefix, wall_clock=lambda: time.time() + ahead)
    for writer in (right, wrong):
        writer.put(URI, JWKSDocument(b"{}", 950), 1_000)
        for reader in (right, wrong):
            assert 949 < reader.get(URI, 1_000).fetched_at <= 950


@pytest.mark.slow
@pytest.mark.parametrize("ahead", [-3_600, 0, 600])
@pytest.mark.parametrize("what", ["the question for the time", "the document"])
def test_a_document_that_lay_in_a_stopped_server_is_no_younger_for_it(
    edge: Edge, server: RedisServer, proxy: Proxy, ahead: float, what: str
) -> None:
    cache = jwks_cache(edge, proxy.url, wall_clock=lambda: time.time() + ahead)
    cache.get(URI, 0)

    def stop(number: int) -> None:
        if number == (what == "the document"):
            server.pause()
            threading.Timer(0.6, server.resume).start()

    proxy.on_command = stop
    cache.put(URI, JWKSDocument(b"{}", 999.5), 1_000)
    age = 1_000 - jwks_cache(edge, server.url).get(URI, 1_000).fetched_at
    assert 1.1 <= age < 5


def test_a_document_from_the_servers_future_is_none(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    with connect(url) as client:
        client.set(f"{prefix}document:{URI}", b"%d 0\n{}" % (time.time_ns() // 1_000_000 + 3_600_000))
    assert cache.get(URI, 0) is None
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    assert cache.get(URI, 0).body == b"new"


def test_a_servers_clock_that_is_set_back_makes_no_document_younger(edge: Edge, url: str, prefix: str) -> None:
    """Seen from a host that asked before: its own clock is then ahead by more than it was."""
    now = time.time()
    cache = jwks_cache(edge, url, prefix=prefix, wall_clock=lambda: now)
    cache.put(URI, JWKSDocument(b"old", 0), 50)
    assert 945 < cache.get(URI, 1_000).fetched_at <= 950
    now += 200
    assert 745 < cache.get(URI, 1_000).fetched_at <= 750
    now += 0.5  # which is no step: an answer may be late
    assert 745 < cache.get(URI, 1_000).fetched_at <= 750
    now += 0.5
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    assert 995 < cache.get(URI, 1_000).fetched_at <= 1_000
    now += 100
    assert 895 < cache.get(URI, 1_000).fetched_at <= 900
    now -= 1_000
    assert 895 < cache.get(URI, 1_000).fetched_at <= 1_000


@pytest.mark.parametrize("is_cluster", [True, False])
def test_nodes_of_a_cluster_whose_clocks_differ_make_no_document_older(is_cluster: bool) -> None:
    """The clock of one server went back each time; two nodes of a Cluster may always differ so."""
    documents = _Documents("", lambda: 1_000, is_cluster=is_cluster)
    ages = []
    for uri in (URI, f"{URI}/other") * 4:
        server_now = 1_000_000 - 40_000 * (uri != URI)
        document = documents.read(uri, (server_now, b"%d 990000\n{}" % (server_now - 10_000)), 0)
        assert document is not None
        ages.append(-document.fetched_at)
    assert (set(ages) == {10}) is is_cluster


def test_in_a_cluster_a_nodes_clock_that_is_set_back_makes_no_document_younger() -> None:
    documents = _Documents("", lambda: 1_000, is_cluster=True)
    assert documents.read(URI, (1_000_000, None), 0) is None
    document = documents.read(URI, (960_000, b"950000 990000\n{}"), 0)
    assert document is not None
    assert document.fetched_at == -10 - 40


@pytest.mark.parametrize("prefix", [5, b"x", "\ud800", "a\0", "a\n"])
def test_a_prefix_that_cannot_stand_in_a_key_is_refused(url: str, prefix: Any) -> None:
    for kind in (RedisReplayStore, RedisJWKSCache):
        with pytest.raises(ConfigurationError, match="prefix"):
            kind.from_url(url, prefix=prefix)


def test_a_document_from_this_hosts_future_is_from_now(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    cache.put(URI, JWKSDocument(b"new", 100), 0)
    assert -5 < cache.get(URI, 0).fetched_at <= 0


def test_documents_and_budgets_leave_by_themselves(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    cache.put(URI, JWKSDocument(b"{}", 0), 0)
    cache.claim(URI, POLICY, 0)
    with connect(url) as client:
        assert 86_300_000 < client.pttl(f"{prefix}document:{URI}") <= 86_400_000
        assert WINDOW_MS - 5_000 < client.pttl(f"{prefix}fetches:{URI}") <= WINDOW_MS
        assert len(client.keys(f"{prefix}*")) == 2


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"{}",
        b"\n{}",
        b"1\n{}",
        b"1 \n{}",
        b"x 1\n{}",
        b"1 x\n{}",
        b"1.5 1\n{}",
        b"-1 1\n{}",
        b"9" * 5_000 + b" 1\n",
    ],
)
def test_a_corrupt_value_is_an_error_and_the_next_document_replaces_it(
    edge: Edge, url: str, prefix: str, value: bytes
) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    with connect(url) as client:
        client.set(f"{prefix}document:{URI}", value)
    with pytest.raises(ValueError, match=r"something else than a document|Exceeds the limit"):
        cache.get(URI, 0)
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    assert cache.get(URI, 0).body == b"new"


def test_a_value_of_another_type_is_an_error_and_the_next_document_replaces_it(
    edge: Edge, url: str, prefix: str
) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    with connect(url) as client:
        client.lpush(f"{prefix}document:{URI}", "x")
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        cache.get(URI, 0)
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    assert cache.get(URI, 0).body == b"new"


@pytest.mark.parametrize("odd", [b"odd", None, 2, b"1"])
def test_an_odd_answer_to_a_take_is_an_error(odd: object) -> None:
    assert (_Documents.granted(1), _Documents.granted(0)) == (True, False)
    with pytest.raises(ValueError, match="neither"):
        _Documents.granted(odd)


def test_all_take_from_one_budget(edge: Edge, url: str, prefix: str) -> None:
    caches = [jwks_cache(edge, url, prefix=prefix) for _ in range(8)]
    answers = edge.together([lambda cache=cache: cache.claim(URI, POLICY, 0) for cache in caches * 4])  # type: ignore[misc]
    assert answers.count(True) == POLICY.fetch_limit
    assert caches[0].claim(URI + "2", POLICY, 0)
    assert not jwks_cache(edge, url, prefix=prefix).claim(URI, POLICY, 10_000)
    assert jwks_cache(edge, url, prefix=prefix + "other:").claim(URI, POLICY, 0)


def test_looking_costs_no_fetch(edge: Edge, url: str, prefix: str) -> None:
    caches = [jwks_cache(edge, url, prefix=prefix) for _ in range(3)]
    caches[0].put(URI, JWKSDocument(b"{}", 0), 0)
    for cache in caches * 10:
        assert cache.get(URI, 0) is not None
    assert [caches[0].claim(URI, POLICY, 0) for _ in [*ALL, False]] == [*ALL, False]
    assert all(cache.get(URI, 0) is not None for cache in caches)


def test_the_window_slides(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    assert [cache.claim(URI, POLICY, 0) for _ in [*ALL, False]] == [*ALL, False]
    now = time.time_ns() // 1_000_000
    with connect(url) as client:
        key = f"{prefix}fetches:{URI}"
        client.lset(key, -1, now - WINDOW_MS + 1_000)
        assert not cache.claim(URI, POLICY, 0)
        client.lset(key, -1, now - WINDOW_MS - 1)
        assert [cache.claim(URI, POLICY, 0) for _ in range(2)] == [True, False]
        assert client.llen(key) == POLICY.fetch_limit


def test_a_servers_clock_set_back_stops_no_fetch(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    assert [cache.claim(URI, POLICY, 0) for _ in ALL] == ALL
    with connect(url) as client:
        for index in range(POLICY.fetch_limit):
            client.lset(f"{prefix}fetches:{URI}", index, time.time_ns() // 1_000_000 + 3_600_000)
    assert [cache.claim(URI, POLICY, 0) for _ in [*ALL, False]] == [*ALL, False]


def fetchers(edge: Edge, number: int, url: str, **settings: Any) -> list[Any]:
    """As many workers: each with a cache and connections of its own."""
    caches = [jwks_cache(edge, url, **settings) for _ in range(number)]
    return [edge.fetcher(POLICY, cache=getattr(cache, "subject", cache)) for cache in caches]


def ask(fetcher: Any, uri: str, kid: str) -> Any:
    try:
        return fetcher.get_key(RegisteredClient("client", jwks_uri=uri), "RS256", kid).kid
    except (InvalidClient, TemporarilyUnavailable) as error:
        return error.reason


def test_a_shared_document_saves_the_others_their_fetch(
    edge: Edge, url: str, prefix: str, publisher: Publisher
) -> None:
    publisher.keys = [OLD]
    workers = fetchers(edge, 4, url, prefix=prefix)
    assert [ask(worker, publisher.uri(), "old") for worker in workers] == ["old"] * 4
    assert publisher.count == 1
    assert [worker.cache_failures for worker in workers] == [0] * 4


@pytest.mark.slow
def test_a_fleet_that_meets_an_unknown_kid_costs_the_budget_in_all(
    edge: Edge, url: str, prefix: str, publisher: Publisher
) -> None:
    publisher.keys = [OLD]
    workers = fetchers(edge, 8, url, prefix=prefix)
    assert [ask(worker, publisher.uri(), "old") for worker in workers] == ["old"] * 8
    for kid in ("nope", "neither"):
        answers = edge.together([lambda w=w, kid=kid: ask(w, publisher.uri(), kid) for w in workers])  # type: ignore[misc]
        assert answers == [Reason.UNKNOWN_KID] * 8
    assert publisher.count == POLICY.fetch_limit


def test_a_new_key_that_one_fetched_serves_all(edge: Edge, url: str, prefix: str, publisher: Publisher) -> None:
    publisher.keys = [OLD]
    workers = fetchers(edge, 4, url, prefix=prefix)
    assert [ask(worker, publisher.uri(), "old") for worker in workers] == ["old"] * 4
    publisher.keys = [OLD, NEW]
    assert [ask(worker, publisher.uri(), "new") for worker in workers] == ["new"] * 4
    assert publisher.count == 2


def test_a_killed_server_costs_fetches_and_no_more(edge: Edge, server: RedisServer, publisher: Publisher) -> None:
    publisher.keys = [OLD]
    (worker,) = fetchers(edge, 1, server.url)
    assert ask(worker, publisher.uri(), "old") == "old"
    server.kill()
    assert ask(worker, publisher.uri(), "old") == "old"
    assert worker.cache_failures == 0
    assert ask(worker, publisher.uri("/other"), "old") == "old"
    assert worker.cache_failures == 3
    server.start()
    assert ask(worker, publisher.uri("/third"), "old") == "old"
    assert worker.cache_failures == 3


def test_a_silent_server_is_waited_for_no_longer_than_its_timeout(
    edge: Edge, server: RedisServer, publisher: Publisher
) -> None:
    publisher.keys = [OLD]
    (worker,) = fetchers(edge, 1, server.url, timeout=0.1)
    assert ask(worker, publisher.uri(), "old") == "old"
    before = worker.cache_failures  # on a machine that is busy, 0.1 s can pass before
    server.pause()
    began = time.monotonic()
    assert ask(worker, publisher.uri(), "old") == "old"
    assert ask(worker, publisher.uri("/other"), "old") == "old"
    assert time.monotonic() - began < 3 * 0.1 + 1
    assert worker.cache_failures - before == 3
    server.resume()


def test_a_corrupt_document_costs_a_fetch_and_is_counted(
    edge: Edge, url: str, prefix: str, publisher: Publisher
) -> None:
    publisher.keys = [OLD]
    one, other = fetchers(edge, 2, url, prefix=prefix)
    for count, value in enumerate([b"nonsense", b"%d 0\nnonsense" % (time.time_ns() // 1_000_000 - 1_000)], 1):
        uri = publisher.uri(f"/{count}")
        with connect(url) as client:
            client.set(f"{prefix}document:{uri}", value)
        assert ask(one, uri, "old") == "old"
        assert (one.cache_failures, publisher.count) == (count, count)
        assert ask(other, uri, "old") == "old"
        assert (other.cache_failures, publisher.count) == (0, count)
        with connect(url) as client:
            body = client.get(f"{prefix}document:{uri}")
        assert isinstance(body, bytes)
        assert json.loads(body.partition(b"\n")[2]) == {"keys": [OLD]}


def test_the_edges_are_both_real(edge: Edge, url: str) -> None:
    assert isinstance(edge, AsyncEdge) == hasattr(replay_store(edge, url), "subject")


# Memory


def test_a_document_that_was_evicted_costs_a_fetch(
    edge: Edge, start: Callable[..., RedisServer], publisher: Publisher
) -> None:
    server = start(maxmemory="3mb", maxmemory_policy="allkeys-lru")
    publisher.keys = [OLD]
    one, other, third = fetchers(edge, 3, server.url)
    assert [ask(worker, publisher.uri(), "old") for worker in (one, other)] == ["old", "old"]
    assert publisher.count == 1
    cache = jwks_cache(edge, server.url)
    for number in range(10_000):
        cache.put(f"{URI}{number}", JWKSDocument(b"x" * 8_192, 0), 0)
        # Redis takes the oldest of a few, and all of one second are as old: it may take some time until ours is.
        if number % 500 == 499 and cache.get(publisher.uri(), 0) is None:
            break
    assert cache.get(publisher.uri(), 0) is None
    assert ask(third, publisher.uri(), "old") == "old"
    assert (publisher.count, third.cache_failures) == (2, 0)
    assert cache.get(publisher.uri(), 0) is not None


def test_a_full_server_that_evicts_nothing_costs_fetches_and_no_more(
    edge: Edge, start: Callable[..., RedisServer], publisher: Publisher
) -> None:
    server = start(maxmemory="1", maxmemory_policy="noeviction")
    publisher.keys = [OLD]
    for worker in fetchers(edge, 2, server.url):
        assert ask(worker, publisher.uri(), "old") == "old"
        assert worker.cache_failures > 0
    assert publisher.count == 2
