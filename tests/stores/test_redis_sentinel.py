"""A master, its replica and three Sentinels: what a failover keeps, and what it loses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
import redis.asyncio

from edges import Edge
from private_key_jwt import TemporarilyUnavailable
from stores.redis_server import Sentinels
from stores.redis_support import NOW, closing, fresh_key, replay_store, store_around
from support import until

pytestmark = pytest.mark.slow  # Sentinels that fail over


@pytest.fixture
def sentinels(engine: str) -> Iterator[Sentinels]:
    sentinels = Sentinels(engine)
    yield sentinels
    sentinels.stop()


def master_client(edge: Any, sentinels: Sentinels) -> Any:
    """As a user makes it; its Sentinels' clients are closed with it."""
    module: Any = redis if edge.name == "sync" else redis.asyncio
    sentinel = module.Sentinel(sentinels.addresses, socket_timeout=1)
    for each in sentinel.sentinels:
        closing(edge, each)
    return closing(edge, sentinel.master_for(sentinels.name, socket_timeout=1))


def test_after_a_failover_what_reached_the_replica_is_still_known(edge: Edge, sentinels: Sentinels) -> None:
    """And while there is no master, nobody is let in."""
    store = store_around(edge, master_client(edge, sentinels), timeout=5)
    assert store.check()[0].endswith("1 replicas")
    keys = [fresh_key() for _ in range(50)]
    assert all(store.add(key, NOW + 100, NOW) for key in keys)
    with sentinels.master.client() as master:
        assert master.wait(1, 5_000) == 1
    sentinels.master.kill()
    answers: list[object] = []

    def ask() -> bool:
        try:
            answers.append(store.add(keys[0], NOW + 100, NOW))
        except TemporarilyUnavailable as error:
            answers.append(error.reason)
        return answers[-1] is False

    until(ask, "no replica took over", 30)
    assert True not in answers
    assert len(answers) > 1
    assert [store.add(key, NOW + 100, NOW) for key in keys] == [False] * 50
    new = fresh_key()
    assert [store.add(new, NOW + 100, NOW) for _ in range(2)] == [True, False]


def test_a_failover_loses_what_had_not_reached_the_replica(edge: Edge, sentinels: Sentinels) -> None:
    """As documented: no setting of Redis makes it none."""
    store = store_around(edge, master_client(edge, sentinels), timeout=5)
    assert store.add(fresh_key(), NOW + 100, NOW)
    sentinels.replica.pause()
    key = fresh_key()
    assert store.add(key, NOW + 100, NOW)
    sentinels.master.kill()
    sentinels.replica.resume()

    def added() -> object:
        try:
            return store.add(key, NOW + 100, NOW)
        except TemporarilyUnavailable:
            return None

    assert until(lambda: added() is not None, "no failover", 30)
    assert added() is False


def test_a_master_that_was_demoted_is_left_at_once(edge: Edge, sentinels: Sentinels) -> None:
    """It answers READONLY, to Sentinel's clients and to those that only know its name."""
    by_sentinel = store_around(edge, master_client(edge, sentinels), timeout=5)
    by_name = replay_store(edge, sentinels.master.url, timeout=5)
    key = fresh_key()
    assert [store.add(key, NOW + 100, NOW) for store in (by_sentinel, by_name)] == [True, False]
    with sentinels.master.client() as master:
        master.wait(1, 5_000)
    with sentinels.sentinels[0].client() as sentinel:
        until(lambda: _failover(sentinel, sentinels.name), "no failover")
    with sentinels.master.client() as old, sentinels.replica.client() as new:
        until(lambda: _is_master(new), "the replica stays one", 30)
        old.replicaof("127.0.0.1", sentinels.replica.port)  # as Sentinel does, within ten seconds
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable, match="ReadOnlyError"):
            by_name.add(fresh_key(), NOW + 100, NOW)

    def works() -> bool:
        try:
            return bool(by_sentinel.add(fresh_key(), NOW + 100, NOW))
        except TemporarilyUnavailable:
            return False

    until(works, "Sentinel's client does not find the new master", 10)
    assert by_sentinel.add(key, NOW + 100, NOW) is False


def _is_master(client: Any) -> bool:
    try:
        return bool(client.info("replication")["role"] == "master")
    except redis.ConnectionError:  # a server that is promoted drops those who are connected
        return False


def _failover(sentinel: Any, name: str) -> bool:
    try:
        sentinel.execute_command("SENTINEL", "FAILOVER", name)
    except redis.ResponseError:
        return False  # INPROG, or no good replica yet
    return True
