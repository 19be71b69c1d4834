"""Replay marks in Django's caches keep the laws on real servers of Redis and Memcached."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from django.core.cache import caches

import children
from interrupts import interrupt_everywhere
from private_key_jwt import Reason, TemporarilyUnavailable
from private_key_jwt.stores import DjangoCacheReplayStore
from private_key_jwt.testing import ReplayStoreContract
from stores.django_caches import MEMCACHED, REDIS, Memcached, cache
from stores.redis_server import Proxy, RedisServer
from support import until

NOW = 1_700_000_000.0

# A thread that ends, or is interrupted, leaves its connection to the collector. (Django closes it when a request ends.)
forgiving = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def redis_server() -> Iterator[RedisServer]:
    server = RedisServer(appendonly="yes", appendfsync="always")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def memcached() -> Iterator[Memcached]:
    server = Memcached()
    yield server
    server.stop()


@pytest.fixture(params=[REDIS, MEMCACHED])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def server(backend: str, request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue("redis_server" if backend == REDIS else "memcached")


@pytest.fixture
def proxy(server: Any) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


def location(backend: str, address: Any) -> Any:
    """Where a server or a proxy is, as the backend wants it said."""
    port = address.port if hasattr(address, "port") else int(address.url.split(":")[2].split("/")[0])
    return f"redis://127.0.0.1:{port}/0" if backend == REDIS else f"127.0.0.1:{port}"


def new_key() -> bytes:
    return secrets.token_bytes(32)


def response(store: Any, key: bytes, now: float = NOW) -> object:
    """What an add returns, or why it refuses."""
    try:
        return store.add(key, NOW + 60, now)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.REPLAY_STORE_UNAVAILABLE
        return error.detail


def settled(store: Any, key: bytes) -> object:
    """What an add returns once it reaches the server again: pymemcache asks none for a second after a failure."""
    results: list[object] = []

    def is_settled() -> bool:
        results.append(response(store, key))
        return isinstance(results[-1], bool)

    until(is_settled, "it does not reach the server again")
    return results[-1]


class _OverCache(ReplayStoreContract):
    """``margin=0``, because the engine expires by its own clock, in whole seconds."""

    has_prefix = False
    many = 300
    rounds = int(os.environ.get("ROUNDS", "3"))
    backend: str
    margin = 0

    @pytest.fixture(autouse=True)
    def place(self, redis_server: RedisServer, memcached: Memcached, request: pytest.FixtureRequest) -> Iterator[None]:
        server = redis_server if self.backend == REDIS else memcached
        self.proxy = Proxy(server.port)
        # Each thread has connections of its own, too many for a proxy where thousands of threads come.
        is_cut_off = request.function.__name__ == "test_an_engine_that_fails_accepts_nothing"
        with cache(self.backend, LOCATION=location(self.backend, self.proxy if is_cut_off else server)):
            yield
        self.proxy.close()

    def open_store(self) -> Any:
        return DjangoCacheReplayStore("replay", margin=self.margin)

    def test_a_clock_that_runs_ahead_revives_nothing_for_the_others(self) -> None:
        """With a margin: a busy machine takes longer than the 5 s for which the mark would be kept."""
        self.margin = 60
        super().test_a_clock_that_runs_ahead_revives_nothing_for_the_others()

    def break_store(self, store: Any) -> None:
        self.proxy.close()

    def let_pass(self, store: Any, key: bytes) -> None:
        name = f"private-key-jwt:replay:{key.hex()}"
        until(lambda: caches["replay"].get(name) is None, "the engine keeps the mark")


class TestRedisCache(_OverCache):
    backend = REDIS


@forgiving
class TestMemcachedCache(_OverCache):
    backend = MEMCACHED


def leave_unread(backend: str, replies: int) -> None:
    """Send commands whose replies are those of an add that wrote, and leave their replies unread on the connection."""
    if backend == REDIS:
        pool = caches["replay"]._cache.get_client(write=True).connection_pool
        connection = pool.get_connection()
        for number in range(replies):
            connection.send_command("SET", f"left unread {number}", "1")
        assert connection.can_read(5)
        pool.release(connection)
    else:
        [client] = caches["replay"]._cache.clients.values()
        waiting: socket.socket = client.sock
        for _ in range(replies):
            waiting.sendall(b"set left_unread 0 0 1\r\n1\r\n")


@pytest.mark.parametrize("replies", [1, 2, 3, 4])
def test_replies_that_others_left_unread_are_nobody_elses(backend: str, server: Any, replies: int) -> None:
    """As the client leaves one, when a signal handler raises in other code that shares the cache."""
    with cache(backend, LOCATION=location(backend, server)):
        store = DjangoCacheReplayStore("replay")
        known = new_key()
        assert store.add(known, NOW + 60, NOW) is True
        leave_unread(backend, replies)
        assert response(store, known) is not True
        assert [response(store, key) for key in (known, new_key(), known)] == [False, True, False]


@pytest.mark.slow
@forgiving
def test_after_an_interrupt_anywhere_the_next_adds_get_replies_of_their_own(backend: str, server: Any) -> None:
    with cache(backend, LOCATION=location(backend, server)):
        store = DjangoCacheReplayStore("replay")
        known = new_key()
        assert store.add(known, NOW + 60, NOW) is True
        instant = 0
        for instant in interrupt_everywhere(lambda: store.add(new_key(), NOW + 60, NOW)):
            responses = [response(store, key) for key in (known, known, new_key(), known)]
            assert responses[0] is not True, instant
            assert responses[1:] == [False, True, False], (instant, responses)
        assert instant > 50


def test_a_time_out_refuses_and_leaves_no_reply_behind(backend: str, proxy: Proxy) -> None:
    options = {"socket_timeout": 0.2} if backend == REDIS else {"timeout": 0.2}
    with cache(backend, LOCATION=location(backend, proxy), OPTIONS=options):
        store = DjangoCacheReplayStore("replay")
        known, late = new_key(), new_key()
        assert store.add(known, NOW + 60, NOW) is True
        proxy.free.clear()
        assert isinstance(response(store, late), str)
        proxy.free.set()
        assert [settled(store, key) for key in (known, late, new_key())] == [False, False, True]


@forgiving
def test_a_call_that_an_async_view_gives_up_leaves_no_reply_behind(backend: str, proxy: Proxy) -> None:
    """The thread of the call goes on by itself, and reads its replies."""
    with cache(backend, LOCATION=location(backend, proxy)):
        store = DjangoCacheReplayStore("replay")
        known = new_key()
        assert store.add(known, NOW + 60, NOW) is True

        async def run() -> list[object]:
            proxy.free.clear()
            while proxy.sent.acquire(blocking=False):
                pass
            given_up = [asyncio.create_task(asyncio.to_thread(store.add, new_key(), NOW + 60, NOW)) for _ in range(3)]
            for _ in given_up:  # each has sent something, and waits for the reply
                assert await asyncio.to_thread(proxy.sent.acquire, timeout=10)
            for task in given_up:
                task.cancel()
            proxy.free.set()
            return [await asyncio.to_thread(response, store, key) for key in (known, new_key(), known)]

        assert asyncio.run(run()) == [False, True, False]


def test_a_reply_that_is_lost_lets_nobody_in_twice(backend: str, server: Any) -> None:
    """Lost after each number of packets in turn, until none is."""
    with cache(backend, LOCATION=location(backend, server)):
        direct = DjangoCacheReplayStore("replay")
        for packets in range(1, 30):
            proxy, key = Proxy(server.port), new_key()

            def lose(number: int, proxy: Proxy = proxy, packets: int = packets) -> None:
                proxy.lose = number >= packets

            with cache(backend, LOCATION=location(backend, proxy)):
                store = DjangoCacheReplayStore("replay")
                proxy.on_command = lose
                responses = [response(store, key)]
            proxy.close()
            responses += [response(direct, key), response(direct, key)]
            assert responses.count(True) <= 1, (packets, responses)
            assert responses[2] is False, (packets, responses)
            if responses[0] is True:
                return
    raise AssertionError("an add lost a reply each time")


@pytest.mark.slow
def test_a_server_that_is_killed_refuses_and_redis_loses_no_mark(backend: str, server: Any) -> None:
    with cache(backend, LOCATION=location(backend, server)):
        store = DjangoCacheReplayStore("replay")
        keys = [new_key() for _ in range(30)]
        assert all(store.add(key, NOW + 60, NOW) for key in keys)
        server.kill()
        assert isinstance(response(store, keys[0]), str)
        assert isinstance(response(store, new_key()), str)
        server.start()
        # Memcached keeps nothing, as the docstring says.
        assert [settled(store, key) for key in keys] == [backend == MEMCACHED] * 30


@pytest.mark.parametrize("ahead", [-60, -10, 0, 10, 60])
def test_clocks_that_differ_by_the_leeway_make_one_winner_until_the_mark_expires(
    backend: str, server: Any, ahead: float
) -> None:
    with cache(backend, LOCATION=location(backend, server)):
        store, other, key = DjangoCacheReplayStore("replay"), DjangoCacheReplayStore("replay"), new_key()
        assert store.add(key, NOW + 60, NOW + ahead) is True
        assert response(other, key) is False
        assert lives_for(backend, server.port, key) >= 59  # by a right clock it expires in 60 s


def lives_for(backend: str, port: int, key: bytes) -> int:
    """Return how many seconds more the engine keeps a mark."""
    name = f":1:private-key-jwt:replay:{key.hex()}"
    if backend == REDIS:
        with redis.Redis(port=port) as client:
            seconds: Any = client.ttl(name)
            return int(seconds)
    with contextlib.closing(socket.create_connection(("127.0.0.1", port))) as connection:
        connection.sendall(f"mg {name} t\r\n".encode())
        return int(connection.recv(100).decode().split("t")[1])


def test_children_of_a_fork_read_no_replies_of_each_other(backend: str, server: Any) -> None:
    with cache(backend, LOCATION=location(backend, server)):
        store = DjangoCacheReplayStore("replay")
        keys = [new_key() for _ in range(200)]
        assert store.add(new_key(), NOW + 60, NOW) is True

        def work(own: list[bytes]) -> Callable[[], bool]:
            return lambda: [store.add(key, NOW + 60, NOW) for key in own] == [True] * len(own)

        pids = [children.fork(work(keys[number::4])) for number in range(4)]
        assert [children.wait(pid) for pid in pids] == [1] * 4
        assert not any(store.add(key, NOW + 60, NOW) for key in keys)
