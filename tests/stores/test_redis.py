"""Replay marks and JWK Sets in a real Redis, and what becomes of them when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import ssl
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
import redis.asyncio

from edges import AsyncEdge, Edge
from loopback import Publisher
from private_key_jwt import (
    ConfigurationError,
    InvalidClient,
    JWKSDocument,
    JWKSPolicy,
    Reason,
    TemporarilyUnavailable,
)
from private_key_jwt.stores import AsyncRedisJWKSCache, AsyncRedisReplayStore, RedisJWKSCache, RedisReplayStore
from private_key_jwt.stores._replay_stores.redis import _check_servers
from stores.redis_server import Proxy, RedisServer, connect, shared_url
from support import jwk, private_key

NOW = 1_700_000_000.0
URI = "https://rp.example/jwks.json"
POLICY = JWKSPolicy(allow_http_loopback=True)
OLD, NEW = jwk(kid="old"), jwk(private_key(1), kid="new")

_numbers = itertools.count(int.from_bytes(os.urandom(8), "big"))


def fresh_key() -> bytes:
    return next(_numbers).to_bytes(32, "big")


@pytest.fixture
def url() -> str:
    return shared_url()


@pytest.fixture
def prefix() -> str:
    return f"test:{os.urandom(8).hex()}:"


@pytest.fixture
def start() -> Iterator[Callable[..., RedisServer]]:
    """Starts servers of the test's own."""
    servers: list[RedisServer] = []

    def start(**settings: str) -> RedisServer:
        servers.append(RedisServer(**settings))
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


def replay_store(edge: Any, url: str, **settings: Any) -> Any:
    kind: Any = RedisReplayStore if edge.name == "sync" else AsyncRedisReplayStore
    return edge._keep(kind.from_url(url, **settings))


def jwks_cache(edge: Any, url: str, **settings: Any) -> Any:
    kind: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    return edge._keep(kind.from_url(url, **{"timeout": 5, **settings}))


def user_client(edge: Any, url: str, **settings: Any) -> Any:
    """A client of the edge's kind, as a user would make it; the edge closes it."""
    kind: Any = redis.Redis if edge.name == "sync" else redis.asyncio.Redis
    return closing(edge, kind.from_url(url, **settings))


def closing(edge: Any, client: Any) -> Any:
    edge._opened.append(client)
    return client


def store_around(edge: Any, client: Any, **settings: Any) -> Any:
    kind: Any = RedisReplayStore if edge.name == "sync" else AsyncRedisReplayStore
    return edge._keep(kind(client, **settings))


def cache_around(edge: Any, client: Any, **settings: Any) -> Any:
    kind: Any = RedisJWKSCache if edge.name == "sync" else AsyncRedisJWKSCache
    return edge._keep(kind(client, **settings))


def refused(store: Any, key: bytes | None = None) -> float:
    """Has the store refuse; answers how many seconds that took."""
    began = time.monotonic()
    with pytest.raises(TemporarilyUnavailable) as caught:
        store.add(key or fresh_key(), NOW + 100, NOW)
    assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE
    return time.monotonic() - began


# Marks


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
        await store.close()

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
    connections = list(client.connection_pool._available_connections)
    store.close()
    assert not store.add(key, NOW + 100, NOW)
    assert client.connection_pool._available_connections == connections


def test_what_from_url_opened_is_closed(edge: Edge, server: RedisServer) -> None:
    store = replay_store(edge, server.url)
    cache = jwks_cache(edge, server.url)
    store.add(fresh_key(), NOW + 100, NOW)
    cache.get(URI, 0)
    with server.client() as client:
        assert len(client.client_list()) == 3
        store.close()
        cache.close()
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


# Settings


KINDS: list[tuple[Any, Any]] = [
    (RedisReplayStore, redis.Redis),
    (AsyncRedisReplayStore, redis.asyncio.Redis),
    (RedisJWKSCache, redis.Redis),
    (AsyncRedisJWKSCache, redis.asyncio.Redis),
]


@pytest.mark.parametrize(("kind", "right"), KINDS)
def test_the_wrong_kind_of_client_is_named(kind: Any, right: Any) -> None:
    wrong = redis.asyncio.Redis() if right is redis.Redis else redis.Redis()
    for client in (wrong, None, "redis://localhost", redis.ConnectionPool()):
        with pytest.raises(ConfigurationError, match=rf"{type(client).__qualname__}$"):
            kind(client)
    kind(right())


@pytest.mark.parametrize(("kind", "_right"), KINDS)
@pytest.mark.parametrize(
    "url",
    [
        "http://user:hush@localhost",
        "localhost:6379",
        "redis://:hush@localhost:hush",
        "redis://:hush@localhost/0?socket_timeout=hush",
        "redis://:hush@localhost/0?hush=1",
        "rediss://:hush@localhost/0?ssl_cert_reqs=hush",
        "",
        None,
        b"redis://:hush@localhost",
    ],
)
def test_a_bad_url_is_refused_and_not_shown(kind: Any, _right: Any, url: Any) -> None:
    with pytest.raises(ConfigurationError, match="url must be") as caught:
        kind.from_url(url)
    assert "hush" not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("setting", "value", "kinds"),
    [
        ("timeout", 0, KINDS),
        ("timeout", None, KINDS),
        ("prefix", b"bytes", KINDS),
        ("margin", -1, KINDS[:2]),
        ("margin", "60", KINDS[:2]),
        ("wall_clock", 1, KINDS[2:]),
    ],
)
def test_a_bad_setting_is_named(setting: str, value: Any, kinds: list[tuple[Any, Any]]) -> None:
    for kind, _ in kinds:
        with pytest.raises(ConfigurationError, match=setting):
            kind.from_url("redis://localhost", **{setting: value})


def test_from_url_retries_nothing_and_verifies_tls() -> None:
    for kind, _ in KINDS:
        pool = kind.from_url("rediss://localhost/3?retry_on_timeout=yes", timeout=0.5)._client.connection_pool
        connection = pool.connection_class(**pool.connection_kwargs)
        assert connection.retry._retries == 0
        assert (connection.socket_timeout, connection.socket_connect_timeout, connection.db) == (0.5, 0.5, 3)
        # Sync, they stand on the connection itself.
        tls = getattr(connection, "ssl_context", connection)
        assert tls.check_hostname
        assert tls.cert_reqs is ssl.CERT_REQUIRED


# Servers that are unfit


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-lfu"])
def test_a_server_that_evicts_is_refused(
    edge: Edge, start: Callable[..., RedisServer], policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(maxmemory="100mb", maxmemory_policy=policy)
    with pytest.raises(ConfigurationError, match=f"{policy} .*noeviction"):
        replay_store(edge, server.url).check()
    assert not caplog.records
    store = replay_store(edge, server.url)
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert policy in caplog.text


@pytest.mark.parametrize("settings", [{}, {"maxmemory": "100mb"}, {"maxmemory_policy": "allkeys-lru"}])
def test_a_server_that_cannot_evict_is_fit(
    edge: Edge, start: Callable[..., RedisServer], settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = replay_store(edge, start(**settings).url)
    store.check()
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert not caplog.records


def test_config_may_be_forbidden_and_info_too(
    edge: Edge, server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with server.client() as client:
        for name, forbidden in {"a": "-config", "b": "-info"}.items():
            client.execute_command("ACL", "SETUSER", name, "on", ">pw", "~*", "+@all", forbidden)
    replay_store(edge, server.url.replace("//", "//a:pw@")).check()
    store = replay_store(edge, server.url.replace("//", "//b:pw@"))
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert [record.message for record in caplog.records] == [
        f"the Redis of the replay store may be unfit: replay_store_unavailable: {store_name(edge)}: NoPermissionError"
    ]
    with pytest.raises(TemporarilyUnavailable, match="NoPermissionError"):
        store.check()


def store_name(edge: Edge) -> str:
    return "RedisReplayStore" if edge.name == "sync" else "AsyncRedisReplayStore"


@pytest.mark.parametrize(("version", "is_fit"), [("5.0.14", False), ("6.0.16", False), ("6.2.0", True), ("10.0", True)])
def test_an_old_server_is_refused(version: str, is_fit: bool) -> None:
    info = {"redis_version": version, "maxmemory": 0, "maxmemory_policy": "noeviction"}
    for answer in (info, {"10.0.0.1:6379": info}):
        with contextlib.nullcontext() if is_fit else pytest.raises(ConfigurationError, match="too old"):
            _check_servers(answer)


@pytest.mark.parametrize(
    "settings",
    [
        {"replicaof": "127.0.0.1 1"},
        {"maxmemory": "1", "maxmemory_policy": "noeviction"},
        {"min_replicas_to_write": "1"},
        {"requirepass": "hush"},
    ],
    ids=["read-only replica", "out of memory", "too few replicas", "no password"],
)
def test_a_server_that_refuses_to_write_lets_nobody_in(
    edge: Edge, start: Callable[..., RedisServer], settings: dict[str, str]
) -> None:
    store = replay_store(edge, start(**settings).url)
    key = fresh_key()
    refused(store, key)
    refused(store, key)


def test_an_odd_answer_lets_nobody_in(edge: Edge, url: str, prefix: str) -> None:
    client = user_client(edge, url)
    store = store_around(edge, client, prefix=prefix)
    for odd in ("OK", 1, False, b"QUEUED"):
        client.set_response_callback("SET", lambda _answer, odd=odd, **_options: odd)
        refused(store)


@pytest.mark.parametrize("expires_at", [float("nan"), float("inf"), 1e300])
def test_a_life_that_is_none_lets_nobody_in(edge: Edge, url: str, expires_at: float) -> None:
    with pytest.raises(TemporarilyUnavailable):
        replay_store(edge, url).add(fresh_key(), expires_at, NOW)


# Faults


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


def test_the_answer_to_a_cancelled_add_is_nobody_elses(proxy: Proxy) -> None:
    async def check() -> None:
        store = AsyncRedisReplayStore.from_url(proxy.url + "?max_connections=1", timeout=1)
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
        await store.close()

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
        await store.close()

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


# Cluster


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisServer]:
    """A Cluster of one node that has all slots."""
    server = RedisServer(cluster_enabled="yes", cluster_announce_ip="127.0.0.1")
    with server.client() as client:
        client.execute_command("CLUSTER", "ADDSLOTS", *range(16_384))
        deadline = time.monotonic() + 10
        while b"cluster_state:ok" not in client.execute_command("CLUSTER", "INFO"):  # takes it two seconds
            assert time.monotonic() < deadline
            time.sleep(0.05)
    yield server
    server.stop()


@pytest.mark.parametrize("decode_responses", [True, False])
def test_a_cluster_holds_marks_and_documents(
    edge: Edge, cluster: RedisServer, prefix: str, decode_responses: bool
) -> None:
    kind: Any = redis.RedisCluster if edge.name == "sync" else redis.asyncio.RedisCluster
    client = closing(edge, kind(host="127.0.0.1", port=cluster.port, decode_responses=decode_responses))
    store = store_around(edge, client)
    store.check()
    keys = [fresh_key() for _ in range(50)]
    assert [store.add(key, NOW + 100, NOW) for key in keys * 2] == [True] * 50 + [False] * 50
    with cluster.client() as own:
        own.config_set("maxmemory-policy", "allkeys-lru")
        own.config_set("maxmemory", "100mb")
        with pytest.raises(ConfigurationError, match="allkeys-lru"):
            store.check()
        own.config_set("maxmemory", "0")
    cache = cache_around(edge, client, prefix=prefix)
    for number in range(20):
        cache.put(f"{URI}{number}", JWKSDocument(b"\xff", 0), 0)
        assert cache.get(f"{URI}{number}", 0).body == b"\xff"
        assert [cache.claim(f"{URI}{number}", POLICY, 0) for _ in range(3)] == [True, True, False]


# Documents


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
    cache.close()
    assert cache.get(URI, 0).body == b"\xff\n1"


def test_the_newer_document_stays(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    for body, age in [(b"a", 100), (b"b", 50), (b"c", 80), (b"d", 0), (b"e", 0), (b"f", 1)]:
        cache.put(URI, JWKSDocument(body, 1_000 - age), 1_000)
        assert cache.get(URI, 0).body == {b"c": b"b", b"f": b"e"}.get(body, body)


@pytest.mark.parametrize(("ahead", "seems"), [(10, 60), (-10, 60), (-3_600, 3_650)])
def test_a_host_with_a_wrong_clock_makes_no_document_younger(
    edge: Edge, url: str, prefix: str, ahead: float, seems: float
) -> None:
    cache = jwks_cache(edge, url, prefix=prefix, wall_clock=lambda: time.time() + ahead)
    cache.put(URI, JWKSDocument(b"{}", 950), 1_000)
    assert seems - 0.1 < 1_000 - cache.get(URI, 1_000).fetched_at < seems + 5


def test_a_document_from_the_servers_future_is_none(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    with connect(url) as client:
        client.set(f"{prefix}document:{URI}", b"%d\n{}" % (time.time_ns() // 1_000_000 + 3_600_000))
    assert cache.get(URI, 0) is None
    cache.put(URI, JWKSDocument(b"new", 0), 0)
    assert cache.get(URI, 0).body == b"new"


def test_a_servers_clock_set_back_a_little_makes_no_document_younger(edge: Edge, url: str, prefix: str) -> None:
    """Seen from a host with the right time, which is then ahead of the server's."""
    jwks_cache(edge, url, prefix=prefix).put(URI, JWKSDocument(b"old", 0), 150)
    seen = jwks_cache(edge, url, prefix=prefix, wall_clock=lambda: time.time() + 200).get(URI, 1_000)
    assert 640 < seen.fetched_at <= 650


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
        assert 25_000 < client.pttl(f"{prefix}fetches:{URI}") <= 30_000
        assert len(client.keys(f"{prefix}*")) == 2


@pytest.mark.parametrize("value", [b"", b"{}", b"\n{}", b"x\n{}", b"1.5\n{}", b"-1\n{}", b"9" * 5_000 + b"\n"])
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


def test_an_odd_answer_to_a_claim_is_an_error(edge: Edge, url: str, prefix: str) -> None:
    client = user_client(edge, url)
    client.set_response_callback("EVAL", lambda _answer, **_options: b"odd")
    with pytest.raises(ValueError, match="neither"):
        cache_around(edge, client, prefix=prefix).claim(URI, POLICY, 0)


# The budget


def test_all_claim_one_budget(edge: Edge, url: str, prefix: str) -> None:
    caches = [jwks_cache(edge, url, prefix=prefix) for _ in range(8)]
    answers = edge.together([lambda cache=cache: cache.claim(URI, POLICY, 0) for cache in caches * 4])  # type: ignore[misc]
    assert answers.count(True) == 2
    assert caches[0].claim(URI + "2", POLICY, 0)
    assert not jwks_cache(edge, url, prefix=prefix).claim(URI, POLICY, 10_000)
    assert jwks_cache(edge, url, prefix=prefix + "other:").claim(URI, POLICY, 0)


def test_the_window_slides(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    assert [cache.claim(URI, POLICY, 0) for _ in range(3)] == [True, True, False]
    now = time.time_ns() // 1_000_000
    with connect(url) as client:
        key = f"{prefix}fetches:{URI}"
        client.lset(key, 1, now - 29_000)
        assert not cache.claim(URI, POLICY, 0)
        client.lset(key, 1, now - 30_001)
        assert [cache.claim(URI, POLICY, 0) for _ in range(2)] == [True, False]
        assert client.llen(key) == 2


def test_a_servers_clock_set_back_stops_no_fetch(edge: Edge, url: str, prefix: str) -> None:
    cache = jwks_cache(edge, url, prefix=prefix)
    assert [cache.claim(URI, POLICY, 0) for _ in range(2)] == [True, True]
    with connect(url) as client:
        for index in (0, 1):
            client.lset(f"{prefix}fetches:{URI}", index, time.time_ns() // 1_000_000 + 3_600_000)
    assert [cache.claim(URI, POLICY, 0) for _ in range(3)] == [True, True, False]


# Fetchers that share


def fetchers(edge: Edge, number: int, url: str, **settings: Any) -> list[Any]:
    """As many workers: each with a cache and connections of its own."""
    caches = [jwks_cache(edge, url, **settings) for _ in range(number)]
    return [edge.fetcher(POLICY, cache=getattr(cache, "subject", cache)) for cache in caches]


def ask(fetcher: Any, uri: str, kid: str) -> Any:
    try:
        return fetcher.get_key(uri, "RS256", kid).kid
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
    server.pause()
    began = time.monotonic()
    assert ask(worker, publisher.uri(), "old") == "old"
    assert ask(worker, publisher.uri("/other"), "old") == "old"
    assert time.monotonic() - began < 3 * 0.1 + 1
    assert worker.cache_failures == 3
    server.resume()


def test_a_corrupt_document_costs_a_fetch_and_is_counted(
    edge: Edge, url: str, prefix: str, publisher: Publisher
) -> None:
    publisher.keys = [OLD]
    one, other = fetchers(edge, 2, url, prefix=prefix)
    for count, value in enumerate([b"nonsense", b"%d\nnonsense" % (time.time_ns() // 1_000_000 - 1_000)], 1):
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
