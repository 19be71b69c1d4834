"""Which clients and servers the stores in Redis take, and what they say of the others."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

from edges import Edge
from private_key_jwt import ConfigurationError, TemporarilyUnavailable
from private_key_jwt.events import Event, StoreUnfit
from private_key_jwt.stores import AsyncRedisJWKSCache, AsyncRedisReplayStore, RedisJWKSCache, RedisReplayStore
from private_key_jwt.stores._redis_check import describe_servers
from private_key_jwt.stores._replay_stores.redis import _Marks
from stores.redis_server import RedisServer
from stores.redis_support import NOW, fresh_key, refused, replay_store
from support import until

KINDS: list[tuple[Any, Any]] = [
    (RedisReplayStore, redis.Redis),
    (AsyncRedisReplayStore, redis.asyncio.Redis),
    (RedisJWKSCache, redis.Redis),
    (AsyncRedisJWKSCache, redis.asyncio.Redis),
]


@pytest.mark.parametrize(("kind", "right"), KINDS)
def test_the_wrong_kind_of_client_is_named(kind: Any, right: Any) -> None:
    wrong = redis.asyncio.Redis() if right is redis.Redis else redis.Redis()
    for client in (wrong, None, "redis://localhost", redis.ConnectionPool(), right().pipeline()):
        with pytest.raises(ConfigurationError, match=rf"{type(client).__qualname__}$"):
            kind(client)
    kind(right())
    kind(type("Instrumented", (right,), {})())


@pytest.mark.parametrize(("kind", "right"), KINDS)
def test_a_client_of_several_databases_is_refused(kind: Any, right: Any) -> None:
    multidb = pytest.importorskip(
        "redis.multidb.client" if right is redis.Redis else "redis.asyncio.multidb.client",
        reason="not run: MultiDBClient: install a redis-py that has it",
    )
    client = multidb.MultiDBClient.__new__(multidb.MultiDBClient)
    with pytest.raises(ConfigurationError, match="accepted once in each.*MultiDBClient$"):
        kind(client)


@pytest.mark.parametrize(("kind", "right"), KINDS)
def test_of_sentinel_the_masters_client_is_taken(kind: Any, right: Any) -> None:
    module: Any = redis if right is redis.Redis else redis.asyncio
    sentinel = module.Sentinel([("127.0.0.1", 1)])
    with pytest.raises(ConfigurationError, match=r"sentinel\.master_for.*Sentinel$"):
        kind(sentinel)
    with pytest.raises(ConfigurationError, match="not slave_for"):
        kind(sentinel.slave_for("marks"))
    kind(sentinel.master_for("marks"))


@pytest.mark.parametrize(("kind", "right"), KINDS)
def test_a_client_that_only_does_what_a_client_does_is_refused(kind: Any, right: Any) -> None:
    class Ring:
        """Spreads keys over servers, and leaves out those that fail."""

        def __getattr__(self, name: str) -> Any:
            return getattr(right(), name)

    with pytest.raises(ConfigurationError, match="Ring$"):
        kind(Ring())


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
    assert caught.value.__context__ is None  # whose text may quote the URL


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (" ", "it is empty"),
        ('"redis://:hush@localhost"', "quotes or white space stand around it"),
        ("'rediss://:hush@localhost'", "quotes or white space stand around it"),
        ("valkey://:hush@localhost", "it begins with something else"),
        ("redis://:hu#sh@localhost", "is / ? # or % in a password escaped?"),
    ],
)
def test_of_a_bad_url_the_cause_is_named(url: str, said: str) -> None:
    for kind, _ in KINDS:
        with pytest.raises(ConfigurationError) as caught:
            kind.from_url(url)
        assert str(caught.value).endswith(said)


@pytest.mark.parametrize(
    ("setting", "value", "kinds"),
    [
        ("timeout", 0, KINDS),
        ("timeout", None, KINDS),
        ("prefix", b"bytes", KINDS),
        ("margin", -1, KINDS[:2]),
        ("on_event", "log", KINDS[:2]),
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


@pytest.mark.parametrize("policy", ["allkeys-lru", "allkeys-random", "volatile-ttl", "volatile-lfu"])
@pytest.mark.parametrize("maxmemory", ["0", "100mb"])
def test_a_server_that_evicts_is_refused(
    edge: Edge, start: Callable[..., RedisServer], policy: str, maxmemory: str, caplog: pytest.LogCaptureFixture
) -> None:
    server = start(maxmemory=maxmemory, maxmemory_policy=policy)
    with pytest.raises(ConfigurationError, match=f"{policy} .*noeviction"):
        replay_store(edge, server.url).check()
    assert not caplog.records
    store = replay_store(edge, server.url)
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert policy in caplog.text


def test_an_unfit_server_is_an_event_once(edge: Edge, start: Callable[..., RedisServer]) -> None:
    events: list[Event] = []
    store = replay_store(edge, start(maxmemory_policy="allkeys-lru").url, on_event=events.append)
    assert all(store.add(fresh_key(), NOW + 100, NOW) for _ in range(3))
    (event,) = events
    assert isinstance(event, StoreUnfit)
    assert event.store == store_name(edge)
    assert "maxmemory-policy allkeys-lru" in event.detail


@pytest.mark.parametrize("settings", [{}, {"maxmemory": "100mb"}])
def test_a_server_that_cannot_evict_is_fit(
    edge: Edge, start: Callable[..., RedisServer], settings: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    store = replay_store(edge, start(**settings, appendonly="yes").url)
    store.check()
    assert store.add(fresh_key(), NOW + 100, NOW)
    assert not caplog.records


def test_a_server_that_forgets_marks_at_a_restart_is_a_warning(
    edge: Edge, start: Callable[..., RedisServer], caplog: pytest.LogCaptureFixture
) -> None:
    server = start(appendonly="no")
    store = replay_store(edge, server.url)
    assert store.check()
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("private_key_jwt", logging.WARNING)
    assert "appendonly no (a restart forgets marks)" in record.getMessage()
    assert replay_store(edge, server.url).add(fresh_key(), NOW + 100, NOW)  # the first add looks, too
    assert len(caplog.records) == 2


def test_what_check_saw_is_read_in_one_line_of_a_log(edge: Edge, server: RedisServer) -> None:
    seen = replay_store(edge, server.url).check()
    assert f"Redis: {seen}" == f"Redis: {seen[0]}"
    assert isinstance(seen, tuple)
    info = {"redis_version": "7.0", "role": "master", "maxmemory": 0, "maxmemory_policy": "noeviction"}
    both = describe_servers({"a:1": info, "b:2": info | {"aof_enabled": 1}}, None, is_cluster=True)
    assert str(both) == f"{both[0]}; {both[1]}"
    assert both.forgetful == [both[0]]


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
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.message.startswith(
        f'StoreUnfit: store={store_name(edge)} detail="nobody knows whether it is fit: replay_store_unavailable:'
        f" {store_name(edge)}: NoPermissionError: "
    )
    assert "no permissions to run the 'info' command" in record.message
    with pytest.raises(TemporarilyUnavailable, match="NoPermissionError"):
        store.check()


def store_name(edge: Edge) -> str:
    return "RedisReplayStore" if edge.name == "sync" else "AsyncRedisReplayStore"


FIT = {
    "redis_version": "7.2.4",
    "role": "master",
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
    "aof_enabled": 1,
    "connected_slaves": 2,
}


@pytest.mark.parametrize(
    ("info", "config", "line"),
    [
        ({}, None, "Redis 7.2.4, master, maxmemory-policy noeviction, appendonly yes, appendfsync unknown, 2 replicas"),
        ({"aof_enabled": 0}, {}, "Redis 7.2.4, master, maxmemory-policy noeviction, appendonly no"),
        ({"valkey_version": "9.1.2"}, {"appendfsync": "always"}, "Valkey 9.1.2, master.*appendfsync always"),
        ({"dragonfly_version": "df-v1.40.1"}, None, "Dragonfly df-v1.40.1, master"),
        ({"mvcc_depth": 0}, {"active-replica": "no"}, "KeyDB 7.2.4, master"),
        ({"redis_version": "6.2.0"}, None, "Redis 6.2.0"),
        ({"redis_version": "10.0"}, None, "Redis 10.0"),
        ({"redis_version": "255.255.255"}, None, "Redis 255"),
    ],
)
def test_check_says_what_it_saw(info: dict[str, Any], config: dict[str, Any] | None, line: str) -> None:
    (found,) = describe_servers(FIT | info, config, is_cluster=False)
    assert re.match(line, found)
    by_node = describe_servers(
        {"10.0.0.1:6379": FIT | info, "10.0.0.2:6379": FIT}, {"10.0.0.1:6379": config or {}}, is_cluster=True
    )
    assert [" at 10.0.0.1:6379, master" in by_node[0], " at 10.0.0.2:6379, master" in by_node[1]] == [True, True]


@pytest.mark.parametrize(
    ("info", "config", "fault"),
    [
        ({"redis_version": "5.0.14"}, None, "5.0.14.* too old"),
        ({"redis_version": "6.0.16"}, None, "too old"),
        ({"role": "slave"}, None, "slave.* must be written to the master"),
        ({"role": "replica"}, None, "must be written to the master"),
        ({"role": "sentinel"}, None, "must be written to the master"),
        ({"role": "active-replica"}, None, "an active replica takes writes beside others"),
        ({}, {"active-replica": "yes"}, "an active replica takes writes beside others"),
        ({"maxmemory_policy": "allkeys-lru"}, None, "allkeys-lru .*noeviction"),
        ({"maxmemory_policy": "eviction"}, None, "eviction .*noeviction"),
        ({"redis_mode": "cluster"}, None, "a node of a Cluster: give the store a redis.RedisCluster"),
        ({"server_mode": "cluster"}, None, "a node of a Cluster"),
    ],
)
def test_check_refuses_a_server_that_cannot_keep_marks(
    info: dict[str, Any], config: dict[str, Any] | None, fault: str
) -> None:
    with pytest.raises(ConfigurationError, match=fault):
        describe_servers(FIT | info, config, is_cluster=False)
    if "mode" not in str(info):
        with pytest.raises(ConfigurationError, match=fault):
            describe_servers({"a:1": FIT, "b:2": FIT | info}, config and {"b:2": config}, is_cluster=True)


def test_a_server_that_does_not_say_what_it_is_is_not_taken_for_fit() -> None:
    with pytest.raises(ValueError, match="INFO does not say role, maxmemory_policy"):
        describe_servers({"redis_version": "7", "maxmemory": 0}, None, is_cluster=False)
    with pytest.raises(ValueError, match="INFO does not say redis_version"):
        describe_servers({}, None, is_cluster=True)


def test_a_replica_is_refused_even_when_it_takes_writes(edge: Edge, start: Callable[..., RedisServer]) -> None:
    server = start(replicaof="127.0.0.1 1", replica_read_only="no")
    with pytest.raises(ConfigurationError, match="must be written to the master"):
        replay_store(edge, server.url).check()


def test_check_sees_durability_and_replicas_of_a_real_server(edge: Edge, start: Callable[..., RedisServer]) -> None:
    server = start(appendonly="yes", appendfsync="always")
    start(replicaof=f"127.0.0.1 {server.port}")
    store = replay_store(edge, server.url)
    until(
        lambda: store.check()[0].endswith(
            "master, maxmemory-policy noeviction, appendonly yes, appendfsync always, 1 replicas"
        ),
        "no replica",
    )


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


@pytest.mark.parametrize("odd", [b"QUEUED", "OK", True, 1, False, b""])
def test_an_odd_answer_is_no_verdict(odd: object) -> None:
    assert (_Marks.is_new(b"OK"), _Marks.is_new(None)) == (True, False)
    with pytest.raises(ValueError, match="neither OK nor nil"):
        _Marks.is_new(odd)


@pytest.mark.parametrize("expires_at", [float("nan"), float("inf"), 1e300])
def test_a_life_that_is_none_lets_nobody_in(edge: Edge, url: str, expires_at: float) -> None:
    with pytest.raises(TemporarilyUnavailable):
        replay_store(edge, url).add(fresh_key(), expires_at, NOW)
