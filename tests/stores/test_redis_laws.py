"""Law 1 in Redis and Valkey, over processes, threads and tasks: of all adds of one key, one wins."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from edges import Edge
from stores.redis_server import Cluster, RedisServer

pytestmark = pytest.mark.slow  # 300 rounds of 8 processes

PROCESSES, CALLERS = 8, 16
ROUNDS = 300
LEEWAY = 15.0
CLOCKS = [LEEWAY, -LEEWAY] * (PROCESSES // 2)

# Each process adds the keys of all rounds with 16 callers at once, by a clock of its own, and says for each round how
# many of its callers won, and how many had no answer.
_WORKER = """
import asyncio, json, os, sys, threading
import redis, redis.asyncio
from private_key_jwt import TemporarilyUnavailable
from private_key_jwt.stores import AsyncRedisReplayStore, RedisReplayStore

kind, url, prefix = sys.argv[1:4]
callers, rounds, *clocks = [float(each) for each in sys.argv[4:]]
callers, rounds = int(callers), int(rounds)
results = [[0, 0] for _ in range(rounds)]
port = int(url.rpartition(":")[2].partition("/")[0])


def keys():
    return [number.to_bytes(32, "big") for number in range(rounds)]


def count(number, added):
    results[number][0] += added is True
    results[number][1] += added is None


def of_sync():
    client = redis.RedisCluster(host="127.0.0.1", port=port, socket_timeout=10) if "cluster" in kind else None
    store = (
        RedisReplayStore(client, prefix=prefix)
        if client
        else RedisReplayStore.from_url(url, prefix=prefix, timeout=10)
    )
    lock, barrier = threading.Lock(), threading.Barrier(callers)

    def call():
        for number, key in enumerate(keys()):
            barrier.wait()
            try:
                added = store.add(key, 1_700_000_000.0 + 330, now)
            except TemporarilyUnavailable:
                added = None
            with lock:
                count(number, added)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()


async def of_async():
    client = redis.asyncio.RedisCluster(host="127.0.0.1", port=port, socket_timeout=10) if "cluster" in kind else None
    store = (
        AsyncRedisReplayStore(client, prefix=prefix, timeout=10)
        if client
        else AsyncRedisReplayStore.from_url(url, prefix=prefix, timeout=10)
    )

    async def call(number, key):
        try:
            count(number, await store.add(key, 1_700_000_000.0 + 330, now))
        except TemporarilyUnavailable:
            count(number, None)

    start()
    for number, key in enumerate(keys()):
        await asyncio.gather(*(call(number, key) for _ in range(callers)))
    await (client or store).aclose()


def start():
    os.write(ready[1], b"r")
    os.read(go[0], 1)


ready, go, answers = os.pipe(), os.pipe(), []
for ahead in clocks:  # forked, since what takes long is to import
    answer = os.pipe()
    if os.fork() == 0:
        os.close(go[1])
        now = 1_700_000_000.0 + ahead
        of_sync() if kind.startswith("sync") else asyncio.run(of_async())
        os.write(answer[1], json.dumps(results).encode())
        os._exit(0)
    os.close(answer[1])
    answers.append(answer[0])
for _ in clocks:
    os.read(ready[0], 1)
print("ready", flush=True)
sys.stdin.readline()
os.close(go[1])
print(json.dumps([json.loads(open(answer, "rb").read()) for answer in answers]), flush=True)
"""


@contextlib.contextmanager
def race(kind: str, url: str, prefix: str, rounds: int = ROUNDS) -> Iterator[list[list[tuple[int, int]]]]:
    """Let the processes run; give a list that holds their results afterwards, round by round."""
    results: list[list[tuple[int, int]]] = []
    command = [sys.executable, "-c", _WORKER, kind, url, prefix, *map(str, (CALLERS, rounds, *CLOCKS))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as workers:
        assert workers.stdout is not None
        assert workers.stdout.readline() == "ready\n"
        assert workers.stdin is not None
        workers.stdin.write("go\n")
        workers.stdin.flush()
        yield results
        results += json.loads(workers.communicate(timeout=100)[0])
    assert len(results) == PROCESSES


def totals(results: list[list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """For each round: how many won, and how many had no answer."""
    return [(sum(won for won, _ in each), sum(unsure for _, unsure in each)) for each in zip(*results, strict=True)]


def test_one_of_8_processes_with_16_callers_wins(edge: Edge, url: str, prefix: str) -> None:
    """By clocks that are wrong by the leeway, half of them ahead and half behind."""
    with race(edge.name, url, prefix) as results:
        pass
    assert totals(results) == [(1, 0)] * ROUNDS


def test_a_server_killed_and_restarted_under_8_processes_lets_nobody_in_twice(
    edge: Edge, engine: str, prefix: str
) -> None:
    server = RedisServer(engine, appendonly="yes", appendfsync="always")
    try:
        with race(edge.name, server.url, prefix, 1_000) as results:
            for _ in range(3):
                threading.Event().wait(0.4)
                server.kill()
                server.start()
        by_round = totals(results)
    finally:
        server.stop()
    assert all(won <= 1 for won, _ in by_round)
    assert all(won == 1 for won, unsure in by_round if not unsure)
    assert sum(won for won, _ in by_round) > 50
    assert any(unsure for _, unsure in by_round)


def test_in_a_cluster_one_of_8_processes_with_16_callers_wins(edge: Edge, engine: str, prefix: str) -> None:
    cluster = Cluster(engine)
    try:
        with race(f"{edge.name}-cluster", cluster.nodes[0].url, prefix, 100) as results:
            for slot in range(100):
                cluster.move(slot, cluster.nodes[0], cluster.nodes[1])
        by_round = totals(results)
    finally:
        cluster.stop()
    assert all(won <= 1 for won, _ in by_round)
    # redis-py sends a command to a Cluster again when it had no answer: an add may meet its own mark, and be refused.
    assert sum(won == 1 for won, unsure in by_round if not unsure) > 90
