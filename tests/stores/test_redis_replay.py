"""Replay marks in a real Redis and a real Valkey, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis

from edges import Edge
from interrupts import interrupt_everywhere
from private_key_jwt import Reason, TemporarilyUnavailable
from private_key_jwt.events import Event, StoreUnfit
from private_key_jwt.stores import AsyncRedisReplayStore, RedisReplayStore
from stores.redis_server import Proxy, RedisServer, connect
from stores.redis_support import (
    NOW,
    POLICY,
    URI,
    cache_around,
    close,
    closing,
    fresh_key,
    jwks_cache,
    refused,
    replay_store,
    store_around,
    user_client,
)


def test_a_key_is_new_once(edge: Edge, url: str, prefix: str) -> None:
    store = replay_store(edge, url, prefix=prefix)
    key, other = fresh_key(), fresh_key()
    assert store.add(key, NOW + 100, NOW) is True
    assert store.add(key, NOW + 100, NOW) is False
    assert store.add(key, NOW + 300, NOW + 99.9) is False
    assert store.add(other, NOW + 100, NOW) is True


def test_a_mark_leaves_after_its_margin(edge: Edge, url: str, prefix: str) -> None:
    store = replay_store(edge, url, prefix=prefix, margin=0)
    key = fresh_key()
    assert store.add(key, NOW + 0.02, NOW)
    deadline = time.monotonic() + 5
    while not store.add(key, NOW + 100, NOW + 1):
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("expires_in", "margin", "expected"),
    [(331, 60, 391_000), (0.25, 0, 250), (0.0001, 0, 1), (-1_000, 60, 1), (-10, 60, 50_000)],
)
def test_redis_keeps_a_mark_for_its_life_and_the_margin(
    edge: Edge, url: str, prefix: str, expires_in: float, margin: float, expected: int
) -> None:
    key = bytes(32)  # redis-py takes a backslash at the end of what it monitors for the escape of a quote
    with connect(url) as client, client.monitor() as monitor:
        assert replay_store(edge, url, prefix=prefix, margin=margin).add(key, NOW + expires_in, NOW)
        command = next(each["command"] for each in monitor.listen() if prefix in each["command"])
    assert expected <= int(command.split()[-1]) <= expected + 1
    assert command.split()[-3] == "NX"


@pytest.mark.parametrize("ahead", [10, -10])
def test_hosts_whose_clocks_differ_agree_on_what_is_live(edge: Edge, url: str, prefix: str, ahead: float) -> None:
    one, other = (replay_store(edge, url, prefix=prefix) for _ in range(2))
    key = fresh_key()
    assert one.add(key, NOW + 30, NOW + ahead)
    assert not other.add(key, NOW + 30, NOW)
    with connect(url) as client:
        # By a right clock the mark stays for 30 s and more, whichever host made it.
        assert client.pttl(prefix.encode() + key) > 30_000


def test_one_of_64_callers_wins(edge: Edge, url: str, prefix: str) -> None:
    store = replay_store(edge, url, prefix=prefix, timeout=10)  # who wins is asked, not how fast
    for _ in range(5):
        key = fresh_key()
        answers = edge.together([lambda key=key: store.add(key, NOW + 100, NOW)] * 64)  # type: ignore[misc]
        assert sorted(answers) == [False] * 63 + [True]


def test_more_callers_than_connections_take_turns(edge: Edge, url: str, prefix: str) -> None:
    store = replay_store(edge, url + "?max_connections=2", prefix=prefix, timeout=10)
    assert edge.together([lambda: store.add(fresh_key(), NOW + 100, NOW)] * 32) == [True] * 32


def test_no_task_waits_for_ever_behind_newcomers(url: str, prefix: str) -> None:
    async def check() -> None:
        store = AsyncRedisReplayStore.from_url(url + "?max_connections=2", prefix=prefix)
        ended = 0

        async def adds() -> None:
            nonlocal ended
            for number in range(20):
                assert await store.add(fresh_key(), NOW + 100, NOW)
                # Served in turn, nobody is a round ahead of the others.
                assert ended == 0 or number >= 18
            ended += 1

        await asyncio.gather(*(adds() for _ in range(100)))
        await store.aclose()

    asyncio.run(check())


_WORKER = """
import sys
from private_key_jwt.stores import RedisReplayStore
store = RedisReplayStore.from_url(sys.argv[1], prefix=sys.argv[2], timeout=10)
store.check()
print("ready", flush=True)
sys.stdin.readline()
print(sum(store.add(number.to_bytes(32, "big"), 100, 0) for number in range(500)), flush=True)
store.close()
"""


def test_one_of_8_processes_wins(url: str, prefix: str) -> None:
    with contextlib.ExitStack() as stack:
        workers = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WORKER, url, prefix],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for _ in range(8)
        ]
        assert [worker.stdout and worker.stdout.readline() for worker in workers] == ["ready\n"] * 8
        wins = [int(worker.communicate("go\n", timeout=30)[0]) for worker in workers]
    assert sum(wins) == 500


def test_prefixes_know_nothing_of_each_other(edge: Edge, url: str, prefix: str) -> None:
    key = fresh_key()
    stores = [replay_store(edge, url, prefix=f"{prefix}{name}:") for name in "ab"]
    assert [store.add(key, NOW + 100, NOW) for store in stores * 2] == [True, True, False, False]


@pytest.mark.parametrize("decode_responses", [True, False])
@pytest.mark.parametrize("protocol", [2, 3])
def test_a_users_client_is_taken_as_it_is_and_left_open(
    edge: Edge, url: str, prefix: str, decode_responses: bool, protocol: int
) -> None:
    client = user_client(edge, url, decode_responses=decode_responses, protocol=protocol)
    store = store_around(edge, client, prefix=prefix)
    store.check()
    key = fresh_key()
    assert [store.add(key, NOW + 100, NOW) for _ in range(3)] == [True, False, False]
    users: Any = edge._keep(client)  # type: ignore[attr-defined]
    assert users.ping()
    connections = list(client.connection_pool._available_connections)
    close(store)
    assert users.ping()
    assert client.connection_pool._available_connections == connections
    assert not store.add(key, NOW + 100, NOW)  # and what is closed opens again
    close(store)


def test_what_from_url_opened_is_closed(edge: Edge, server: RedisServer) -> None:
    store = replay_store(edge, server.url)
    cache = jwks_cache(edge, server.url)
    store.add(fresh_key(), NOW + 100, NOW)
    cache.get(URI, 0)
    with server.client() as client:
        assert len(client.client_list()) == 3
        close(store)
        close(cache)
        deadline = time.monotonic() + 5
        while len(client.client_list()) > 1:
            assert time.monotonic() < deadline


def test_a_store_works_on_in_a_child(url: str, prefix: str) -> None:
    store = RedisReplayStore.from_url(url, prefix=prefix)
    key = fresh_key()
    assert store.add(key, NOW + 100, NOW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
        pid = os.fork()
    if pid == 0:
        os._exit(0 if not store.add(key, NOW + 100, NOW) and store.add(fresh_key(), NOW + 100, NOW) else 1)
    assert not store.add(key, NOW + 100, NOW)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.close()


def test_nobody_listens(edge: Edge, server: RedisServer) -> None:
    store = replay_store(edge, server.url)
    server.kill()
    assert refused(store) < 1
    with pytest.raises(TemporarilyUnavailable):
        store.check()


def test_a_lost_answer_is_a_refusal_and_the_mark_stays(edge: Edge, proxy: Proxy) -> None:
    store = replay_store(edge, proxy.url)
    assert store.add(fresh_key(), NOW + 100, NOW)
    key = fresh_key()
    proxy.lose = True
    refused(store, key)
    proxy.lose = False
    assert store.add(key, NOW + 100, NOW) is False
    assert store.add(fresh_key(), NOW + 100, NOW) is True


def test_a_lost_answer_refuses_all_who_were_sent_with_it(edge: Edge, proxy: Proxy) -> None:
    store = replay_store(edge, proxy.url, timeout=5)
    assert store.add(fresh_key(), NOW + 100, NOW)
    keys = [fresh_key() for _ in range(16)]
    calls: list[Callable[[], object]] = [lambda key=key: store.add(key, NOW + 100, NOW) for key in keys]  # type: ignore[misc]
    proxy.free.clear()
    finish = edge.begin(calls)
    proxy.sent.acquire(timeout=10)
    proxy.lose = True
    proxy.free.set()
    assert {type(each) for each in finish()} == {TemporarilyUnavailable}
    proxy.lose = False
    # Of those that were sent the mark stays; nobody is new twice.
    assert set(edge.together(calls)) <= {True, False}
    assert edge.together(calls) == [False] * 16


def test_a_server_that_never_answers_is_given_up_in_time(edge: Edge, server: RedisServer) -> None:
    warm, cold = (replay_store(edge, server.url, timeout=0.2) for _ in range(2))
    assert warm.add(fresh_key(), NOW + 100, NOW)
    key = fresh_key()
    server.pause()
    for store in (warm, cold):
        assert 0.15 < refused(store, key) < 1
    server.resume()
    # The command lay in a socket: the server may have obeyed when it woke, and then the mark stays.
    answers = [warm.add(key, NOW + 100, NOW) for _ in range(3)]
    assert answers[1:] == [False, False]


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a server that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def redis_of(edge: Edge) -> Any:
    return redis if edge.name == "sync" else redis.asyncio


def default_client(edge: Edge, port: int) -> Any:
    return redis_of(edge).Redis(port=port)


def endless_client(edge: Edge, port: int) -> Any:
    return redis_of(edge).Redis(port=port, socket_timeout=None, socket_connect_timeout=None)


def client_of_a_blocking_pool(edge: Edge, port: int) -> Any:
    return redis_of(edge).Redis(connection_pool=redis_of(edge).BlockingConnectionPool(port=port))


def client_of_sentinel(edge: Edge, port: int) -> Any:
    sentinel = redis_of(edge).Sentinel([("127.0.0.1", port)])
    closing(edge, sentinel.sentinels[0])
    return sentinel.master_for("marks")


USERS_CLIENTS = [default_client, endless_client, client_of_a_blocking_pool, client_of_sentinel]


@pytest.mark.parametrize("make", USERS_CLIENTS)
def test_a_users_client_whose_server_never_answers_is_given_up_in_time(
    edge: Edge, silent: int, make: Callable[[Edge, int], Any]
) -> None:
    """By itself it may wait for a minute, or for ever, and each login with it."""
    client = closing(edge, make(edge, silent))
    assert refused(store_around(edge, client, timeout=0.2)) < 2
    cache = cache_around(edge, client, timeout=0.2)
    calls: list[Callable[[], object]] = [lambda: cache.get(URI, 0), lambda: cache.claim(URI, POLICY, 0)]
    for call in calls:
        began = time.monotonic()
        with pytest.raises((redis.RedisError, TimeoutError)):
            call()
        assert time.monotonic() - began < 2


def test_a_check_of_a_server_that_never_answers_ends_in_time(edge: Edge, silent: int) -> None:
    store = store_around(edge, closing(edge, default_client(edge, silent)), timeout=0.2)
    began = time.monotonic()
    with pytest.raises(TemporarilyUnavailable):
        store.check()
    assert time.monotonic() - began < 2


def test_shorter_timeouts_of_a_users_client_hold(edge: Edge, silent: int) -> None:
    client = closing(edge, redis_of(edge).Redis(port=silent, socket_timeout=0.1))
    assert refused(store_around(edge, client, timeout=60)) < 2


def test_who_waits_behind_a_server_that_never_answers_is_refused_in_time(edge: Edge, server: RedisServer) -> None:
    client = closing(edge, endless_client(edge, server.port))
    store = store_around(edge, client, timeout=0.2)
    assert store.add(fresh_key(), NOW + 100, NOW)
    server.pause()
    began = time.monotonic()
    for _ in range(2):
        answers = edge.together([lambda: store.add(fresh_key(), NOW + 100, NOW)] * 5)
        assert {type(each) for each in answers} == {TemporarilyUnavailable}
    assert time.monotonic() - began < 3
    server.resume()
    patient = store_around(edge, client, timeout=10)
    assert patient.add(fresh_key(), NOW + 100, NOW)


def test_a_pool_of_a_users_class_is_used_as_it_is(edge: Edge, server: RedisServer, prefix: str) -> None:
    """What its class does otherwise is not known."""
    pool: Any = type("Pool", (redis_of(edge).ConnectionPool,), {})(port=server.port)
    store = store_around(edge, closing(edge, redis_of(edge).Redis.from_pool(pool)), prefix=prefix)
    key = fresh_key()
    assert [store.add(key, NOW + 100, NOW) for _ in range(2)] == [True, False]
    close(store)
    assert len(pool._available_connections) == 1  # and left open


def test_a_pool_of_a_users_class_is_given_up_in_time(silent: int) -> None:
    """Async only: nothing ends what a thread does in the user's code."""

    async def check() -> None:
        pool: Any = type("Pool", (redis.asyncio.ConnectionPool,), {})
        async with redis.asyncio.Redis.from_pool(pool(port=silent)) as own:
            began = time.monotonic()
            with pytest.raises(TemporarilyUnavailable, match="no reply in time"):
                await AsyncRedisReplayStore(own, timeout=0.2).add(fresh_key(), NOW + 100, NOW)
            assert time.monotonic() - began < 2

    asyncio.run(check())


def test_a_look_over_a_pool_of_a_users_class_is_given_up_in_time(proxy: Proxy) -> None:
    """Async only, for the same reason."""
    events: list[Event] = []

    def hold_back(number: int) -> None:
        if number:  # only the add gets a reply
            proxy.free.clear()

    async def check() -> None:
        pool: Any = type("Pool", (redis.asyncio.ConnectionPool,), {})
        async with redis.asyncio.Redis.from_pool(pool.from_url(proxy.url)) as own:
            await own.ping()
            proxy.on_command = hold_back
            began = time.monotonic()
            assert await AsyncRedisReplayStore(own, timeout=0.2, on_event=events.append).add(fresh_key(), NOW + 9, NOW)
            assert time.monotonic() - began < 2

    asyncio.run(check())
    assert [type(event) for event in events] == [StoreUnfit]


def test_a_late_answer_is_nobody_elses(edge: Edge, proxy: Proxy) -> None:
    store = replay_store(edge, proxy.url, timeout=0.2)
    known = fresh_key()
    assert store.add(known, NOW + 100, NOW)
    proxy.free.clear()
    late = fresh_key()
    refused(store, late)
    proxy.free.set()
    # The answer under way says OK; it must not be read as an answer about a known key.
    assert [store.add(key, NOW + 100, NOW) for key in (known, late, fresh_key())] == [False, False, True]


@pytest.mark.slow  # on Python 3.11 half of its rounds wait for a time-out
def test_the_answer_to_a_cancelled_add_is_nobody_elses(proxy: Proxy) -> None:
    async def check() -> None:
        store = AsyncRedisReplayStore.from_url(proxy.url + "?max_connections=1", timeout=0.5)
        known = fresh_key()
        assert await store.add(known, NOW + 100, NOW)
        for _ in range(20):
            while proxy.sent.acquire(blocking=False):
                pass
            proxy.free.clear()
            task = asyncio.create_task(store.add(fresh_key(), NOW + 100, NOW))
            await asyncio.to_thread(proxy.sent.acquire)
            task.cancel()
            # asyncio.wait_for of Python 3.11, in redis-py, may miss a cancellation: then it ends by its timeout.
            with pytest.raises((asyncio.CancelledError, TemporarilyUnavailable)):
                await task
            proxy.free.set()
            assert not await store.add(known, NOW + 100, NOW)
        await store.aclose()

    asyncio.run(check())


def test_a_storm_of_cancelled_adds_uses_up_no_connection(url: str, prefix: str) -> None:
    async def check() -> None:
        store = AsyncRedisReplayStore.from_url(url + "?max_connections=4", prefix=prefix)
        for number in range(80):
            tasks = [asyncio.create_task(store.add(fresh_key(), NOW + 100, NOW)) for _ in range(16)]
            for _ in range(number % 40):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
            answers = await asyncio.gather(*tasks, return_exceptions=True)
            assert answers[1::2] == [True] * 8
        await store.aclose()

    asyncio.run(check())


def test_without_persistence_marks_go_with_the_server(edge: Edge, server: RedisServer) -> None:
    store = replay_store(edge, server.url)
    key = fresh_key()
    assert store.add(key, NOW + 100, NOW)
    server.kill()
    refused(store, key)
    server.start()
    # As documented: this is what `appendonly yes` is for.
    assert store.add(key, NOW + 100, NOW)


def test_with_an_append_only_file_marks_survive(edge: Edge, start: Callable[..., RedisServer]) -> None:
    server = start(appendonly="yes", appendfsync="always")
    store = replay_store(edge, server.url)
    key = fresh_key()
    assert store.add(key, NOW + 100, NOW)
    server.kill()
    refused(store, key)
    server.start()
    assert store.add(key, NOW + 100, NOW) is False


@pytest.mark.slow
def test_a_server_killed_under_load_lets_nobody_in_twice(edge: Edge, start: Callable[..., RedisServer]) -> None:
    server = start(appendonly="yes", appendfsync="always")
    store = replay_store(edge, server.url)
    keys = [fresh_key() for _ in range(200)]
    begun = threading.Semaphore(0)
    restarted = threading.Event()

    def add(key: bytes) -> object:
        try:
            return store.add(key, NOW + 100, NOW)
        except TemporarilyUnavailable as error:
            return error.reason

    def adds(_: int) -> list[object]:
        answers = []
        for number, key in enumerate(keys):
            if number == 50:
                begun.release()
            if number == 120:
                restarted.wait(10)
            answers.append(add(key))
        return answers

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(adds, number) for number in range(8)]
        begun.acquire()
        server.kill()
        server.start()
        restarted.set()
        by_key = list(zip(*(each.result(60) for each in running), strict=True))
    for answers in by_key:
        assert set(answers) <= {True, False, Reason.REPLAY_STORE_UNAVAILABLE}
        assert answers.count(True) <= 1
        if Reason.REPLAY_STORE_UNAVAILABLE not in answers:
            assert answers.count(True) == 1
    assert any(Reason.REPLAY_STORE_UNAVAILABLE in answers for answers in by_key)
    assert all(not store.add(key, NOW + 100, NOW) for key, answers in zip(keys, by_key, strict=True) if True in answers)


# Answers left unread

LEFT = "SET", "left unread", "1"  # its answer, OK, is also that to an add of a new key


def test_an_answer_that_others_left_unread_is_nobody_elses(server: RedisServer, prefix: str) -> None:
    """As redis-py leaves one, when a signal handler raises in other code that shares the client."""
    pool: Any = type("Pool", (redis.ConnectionPool,), {})  # one that is shared
    with redis.Redis.from_pool(pool.from_url(server.url, protocol=3)) as client:
        store = RedisReplayStore(client, prefix=prefix)
        known = fresh_key()
        assert store.add(known, NOW + 100, NOW)
        connection: Any = client.connection_pool.get_connection()
        connection.send_command(*LEFT)
        assert connection.can_read(5)
        client.connection_pool.release(connection)
        assert answer(store, known) is not True
        assert [store.add(key, NOW + 100, NOW) for key in (known, fresh_key())] == [False, True]


def test_an_answer_that_other_tasks_left_unread_is_nobody_elses(server: RedisServer, prefix: str) -> None:
    async def check() -> None:
        pool: Any = type("Pool", (redis.asyncio.ConnectionPool,), {})  # one that is shared
        client: Any = redis.asyncio.Redis.from_pool(pool.from_url(server.url, protocol=3))
        store = AsyncRedisReplayStore(client, prefix=prefix)
        known = fresh_key()
        assert await store.add(known, NOW + 100, NOW)
        connection = await client.connection_pool.get_connection()
        await connection.send_command(*LEFT)
        await client.connection_pool.release(connection)
        with contextlib.suppress(TemporarilyUnavailable):
            assert await store.add(known, NOW + 100, NOW) is False
        assert [await store.add(key, NOW + 100, NOW) for key in (known, fresh_key())] == [False, True]
        await client.aclose()

    asyncio.run(check())


# Exceptions of signal handlers


# The collector closes what redis-py was just opening, and may be interrupted itself.
forgiving = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@forgiving
@pytest.mark.parametrize("protocol", [2, 3])
def test_after_an_interrupt_anywhere_the_next_adds_get_answers_of_their_own(
    server: RedisServer, prefix: str, protocol: int
) -> None:
    """With RESP 3, redis-py hands out connections that still hold an answer."""
    pool: Any = type("Pool", (redis.ConnectionPool,), {})  # one that is shared
    with redis.Redis.from_pool(pool.from_url(server.url, protocol=protocol)) as client:
        store = RedisReplayStore(client, prefix=prefix)
        known = fresh_key()
        assert store.add(known, NOW + 100, NOW)
        instant = 0
        for instant in interrupt_everywhere(lambda: store.add(fresh_key(), NOW + 100, NOW)):
            answers = [answer(store, key) for key in (known, known, fresh_key(), known)]
            assert answers.count(True) <= (answers[2] is True), (instant, answers)
            assert answers[1:] == [False, True, False], (instant, answers)
        assert instant > 100


def answer(store: Any, key: bytes) -> object:
    try:
        return store.add(key, NOW + 100, NOW)
    except TemporarilyUnavailable as error:
        return error.detail


@forgiving
def test_interrupts_use_up_no_connection(server: RedisServer, prefix: str) -> None:
    store = RedisReplayStore.from_url(f"{server.url}?max_connections=2", prefix=prefix)
    known = fresh_key()
    assert store.add(known, NOW + 100, NOW)
    for instant in interrupt_everywhere(lambda: store.add(fresh_key(), NOW + 100, NOW)):
        assert [answer(store, key) for key in (known, known, fresh_key())][1:] == [False, True], instant
    store.close()
