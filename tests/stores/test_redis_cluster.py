"""A Cluster of three nodes: marks and documents, also while slots move and nodes die."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
import redis.asyncio
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from edges import Edge
from private_key_jwt import ConfigurationError, JWKSDocument, TemporarilyUnavailable
from private_key_jwt.stores import AsyncRedisReplayStore, RedisJWKSCache, RedisReplayStore
from stores.redis_server import ENGINES, Cluster
from stores.redis_support import NOW, POLICY, URI, cache_around, closing, fresh_key, store_around, user_client

pytestmark = [
    pytest.mark.slow,  # Clusters of their own
    # redis-py's client of a Cluster leaves connections to nodes that it replaced for the garbage collector to close.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def no_later_test_meets_what_redis_py_left() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture(scope="module", params=ENGINES)
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    cluster = Cluster(request.param)
    yield cluster
    cluster.stop()


def cluster_client(edge: Any, cluster: Cluster, **settings: Any) -> Any:
    kind: Any = redis.RedisCluster if edge.name == "sync" else redis.asyncio.RedisCluster
    return closing(edge, kind(host="127.0.0.1", port=cluster.nodes[0].port, **{"socket_timeout": 5, **settings}))


def slot_of(prefix: str, key: bytes) -> int:
    return int(key_slot(prefix.encode() + key))


@pytest.mark.parametrize("decode_responses", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_cluster_holds_marks_and_documents(
    edge: Edge, cluster: Cluster, prefix: str, decode_responses: bool, protocol: int
) -> None:
    client = cluster_client(edge, cluster, decode_responses=decode_responses, protocol=protocol)
    store = store_around(edge, client, prefix=prefix)
    keys = [fresh_key() for _ in range(50)]
    assert [store.add(key, NOW + 100, NOW) for key in keys * 2] == [True] * 50 + [False] * 50
    cache = cache_around(edge, client, prefix=prefix)
    for number in range(20):
        cache.put(f"{URI}{number}", JWKSDocument(b"\xff", 0), 0)
        assert cache.get(f"{URI}{number}", 0).body == b"\xff"
        assert [cache.claim(f"{URI}{number}", POLICY, 0) for _ in range(3)] == [True, True, False]
    assert all(cluster.ask(node, "DBSIZE") for node in cluster.nodes)


def test_more_tasks_than_connections_take_turns(cluster: Cluster, prefix: str) -> None:
    async def check() -> None:
        client = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port)
        await client.initialize()
        store = AsyncRedisReplayStore(client, prefix=prefix, timeout=10)
        assert await asyncio.gather(*(store.add(fresh_key(), NOW + 100, NOW) for _ in range(1_000))) == [True] * 1_000
        await client.aclose()

    asyncio.run(check())


def test_check_looks_at_each_node_that_takes_writes(edge: Edge, cluster: Cluster) -> None:
    store = store_around(edge, cluster_client(edge, cluster))
    lines = store.check()
    assert sorted(line.split(" at ")[1].split(", ")[0] for line in lines) == sorted(
        f"127.0.0.1:{node.port}" for node in cluster.nodes
    )
    cluster.ask(cluster.nodes[2], "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    try:
        with pytest.raises(ConfigurationError, match=f"{cluster.nodes[2].port}.*allkeys-lru"):
            store.check()
    finally:
        cluster.ask(cluster.nodes[2], "CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_a_client_of_one_node_is_refused(edge: Edge, cluster: Cluster) -> None:
    with pytest.raises(ConfigurationError, match="redis.RedisCluster"):
        store_around(edge, user_client(edge, cluster.nodes[0].url)).check()


def test_a_redirected_add_is_done_once(edge: Edge, cluster: Cluster, prefix: str) -> None:
    """Keys on both sides of a slot that moves: some are there already, some are asked for at the other node."""
    store = store_around(edge, cluster_client(edge, cluster), prefix=prefix)
    source, target = cluster.nodes[0], cluster.nodes[1]
    key, other = (next(key for key in iter(fresh_key, None) if slot_of(prefix, key) == 100) for _ in range(2))
    assert store.add(key, NOW + 100, NOW)
    ids = [cluster.ask(node, "CLUSTER", "MYID") for node in (source, target)]
    cluster.ask(target, "CLUSTER", "SETSLOT", 100, "IMPORTING", ids[0])
    cluster.ask(source, "CLUSTER", "SETSLOT", 100, "MIGRATING", ids[1])
    try:
        assert [store.add(each, NOW + 100, NOW) for each in (key, other, other, key)] == [False, True, False, False]
    finally:
        cluster.move(100, source, target)
    assert [store.add(each, NOW + 100, NOW) for each in (key, other)] == [False, False]
    cluster.move(100, target, source)


def test_while_slots_move_one_of_all_adds_wins(edge: Edge, cluster: Cluster, prefix: str) -> None:
    """Each key is added by four stores at once while its slot, and twenty others, move to another node."""
    stores = [store_around(edge, cluster_client(edge, cluster), prefix=prefix, timeout=10) for _ in range(4)]
    slots = range(200, 221)
    keys = [key for key in (fresh_key() for _ in range(200_000)) if slot_of(prefix, key) in slots][:200]
    assert len(keys) == 200
    source, target = cluster.nodes[0], cluster.nodes[2]
    moving = threading.Event()

    def adds(store: Any) -> list[object]:
        moving.wait(10)
        answers: list[object] = []
        for key in keys:
            try:
                answers.append(store.add(key, NOW + 100, NOW))
            except TemporarilyUnavailable as error:
                answers.append(error.detail)
        return answers

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(adds, store) for store in stores]
        moving.set()
        for slot in slots:
            cluster.move(slot, source, target)
        by_key = list(zip(*(each.result(60) for each in running), strict=True))
    unsure = [answers for answers in by_key if not set(answers) <= {True, False}]
    assert all(answers.count(True) == 1 for answers in by_key if answers not in unsure)
    assert all(answers.count(True) <= 1 for answers in unsure)
    assert len(unsure) < 20, unsure[0]
    assert not any(
        stores[0].add(key, NOW + 100, NOW) for key, answers in zip(keys, by_key, strict=True) if True in answers
    )
    for slot in slots:
        cluster.move(slot, target, source)


def test_a_node_that_does_not_answer_holds_up_its_own_keys_only(edge: Edge, cluster: Cluster, prefix: str) -> None:
    retry: Any = Retry if edge.name == "sync" else redis.asyncio.retry.Retry
    client = cluster_client(edge, cluster, socket_timeout=1, retry=retry(NoBackoff(), 0))
    store = store_around(edge, client, prefix=prefix, timeout=10)
    assert store.add(fresh_key(), NOW + 100, NOW)
    stopped = cluster.nodes[1]
    there = next(key for key in iter(fresh_key, None) if 5_461 <= slot_of(prefix, key) < 10_923)
    elsewhere = [key for key in (fresh_key() for _ in range(100)) if slot_of(prefix, key) < 5_461][:20]
    stopped.pause()
    try:
        calls: list[Any] = [lambda: store.add(there, NOW + 100, NOW)]
        calls += [lambda key=key: store.add(key, NOW + 100, NOW) for key in elsewhere]
        first, *others = edge.together(calls)
    finally:
        stopped.resume()
    assert isinstance(first, TemporarilyUnavailable)
    assert others == [True] * len(elsewhere)


NO_RETRIES: dict[str, Any] = {"socket_timeout": 1, "retry": Retry(NoBackoff(), 0)}


@pytest.mark.parametrize(
    ("settings", "logged"),
    [
        ({"socket_timeout": 5, "retry": Retry(NoBackoff(), 3)}, "hold up a call for 20 s, and timeout is 1 s"),
        ({"socket_timeout": None}, "hold up a call for inf s, and timeout is 1 s: give .* socket_timeout=1, .*retry="),
        (NO_RETRIES, ""),
    ],
)
def test_a_sync_client_that_may_wait_for_long_is_a_warning(
    cluster: Cluster, settings: dict[str, Any], logged: str, caplog: pytest.LogCaptureFixture
) -> None:
    with redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port, **settings) as client:
        RedisReplayStore(client, timeout=1)
        RedisJWKSCache(client, timeout=1)
    assert len(caplog.records) == 2 * bool(logged)
    assert re.search(logged, caplog.text)


def test_an_answer_to_something_else_is_refused_and_the_connections_are_closed(cluster: Cluster, prefix: str) -> None:
    client = redis.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port)
    store = RedisReplayStore(client, prefix=prefix)
    known = fresh_key()
    assert store.add(known, NOW + 100, NOW)
    node: Any = client.get_node_from_key(prefix.encode() + known)  # type: ignore[no-untyped-call]
    connection = node.redis_connection.connection_pool.get_connection()
    connection.send_command("EVAL", "return {'OK', 'OK'}", 0)
    until_answered(connection)
    node.redis_connection.connection_pool.release(connection)
    answers: list[object] = []
    for _ in range(3):
        try:
            answers.append(store.add(known, NOW + 100, NOW))
        except TemporarilyUnavailable as error:
            answers.append(error.detail)
    assert True not in answers
    assert answers[-1] is False
    client.close()


def test_an_answer_to_something_else_is_refused_in_an_event_loop(cluster: Cluster, prefix: str) -> None:
    async def check() -> None:
        client: Any = redis.asyncio.RedisCluster(host="127.0.0.1", port=cluster.nodes[0].port)
        store = AsyncRedisReplayStore(client, prefix=prefix, timeout=10)
        known = fresh_key()
        assert await store.add(known, NOW + 100, NOW)
        node = client.get_node_from_key(prefix.encode() + known)
        connection = node.acquire_connection()
        await connection.send_command("EVAL", "return {'OK', 'OK'}", 0)
        node.release(connection)
        with pytest.raises(TemporarilyUnavailable, match="WrongReplyError"):
            await store.add(known, NOW + 100, NOW)
        assert [await store.add(known, NOW + 100, NOW) for _ in range(3)] == [False] * 3
        await client.aclose()

    asyncio.run(check())


def until_answered(connection: Any) -> None:
    """Let the answer arrive, and leave it unread."""
    assert connection.can_read(5)
