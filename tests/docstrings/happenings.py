"""Each kind of event, as it happens: to one client of the look-alike, its fetcher and its verifier."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx

from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    RegisteredClient,
    events,
)
from private_key_jwt.stores import RedisReplayStore
from private_key_jwt.testing import Clock, RelyingParty
from stores.redis_server import RedisServer


def event_of(name: str) -> events.Event:
    """Let an event of this name happen."""
    happened: list[events.Event] = []
    _HAPPENINGS[name](happened.append)
    [*_, event] = [each for each in happened if type(each).__name__ == name]
    return event


class _Happening:
    """One client, its fetcher and its verifier, which report to one function."""

    def __init__(self, on_event: events.OnEvent, **settings: Any) -> None:
        self.clock = Clock()
        self.party = RelyingParty(clock=self.clock)
        self.tenant = self.party.tenant("acme")
        self.store: Any = MemoryReplayStore()
        http = httpx.Client(transport=self.party.transport)
        policy = JWKSPolicy(refresh_ahead=1, **settings)
        clocks: dict[str, Any] = {"clock": self.clock, "wall_clock": self.clock}
        self.fetcher = JWKSFetcher(policy, http_client=http, max_key_sets=1, on_event=on_event, **clocks)
        self.on_event = on_event

    def verify(self, **changes: Any) -> None:
        self.verify_for(lambda _client_id: self.tenant.client(), **changes)

    def verify_for(self, clients: Any, **changes: Any) -> None:
        settings = {
            "policy": AssertionPolicy(audience=self.party.audience),
            "clients": clients,
            "replay_store": self.store,
        }
        verifier = ClientAssertionVerifier(**settings, fetcher=self.fetcher, clock=self.clock, on_event=self.on_event)
        try:
            verifier.verify(self.tenant.assertion(**changes))
        except AuthenticationError:
            self.was_refused = True


def _accept(on_event: events.OnEvent) -> None:
    _Happening(on_event).verify()


def _refuse(on_event: events.OnEvent) -> None:
    _Happening(on_event).verify(exp=0)


def _skip(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    happening.tenant.break_key("key_even")
    happening.verify()


def _fail(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    happening.party.outage = 500
    happening.verify()


def _spend(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    for number in range(20):
        happening.verify(header={"kid": f"made-up-{number}"})


def _serve_stale(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event, stale_if_error=600)
    happening.verify()
    happening.party.outage = 500
    happening.clock.advance(JWKSPolicy().ttl + 1)
    happening.verify()


def _rotate(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    happening.verify()
    happening.tenant.rotate()
    happening.tenant.end_grace()
    happening.verify()


def _evict(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    happening.verify()
    happening.tenant = happening.party.tenant("other")
    happening.verify()


def _register(on_event: events.OnEvent) -> None:
    _Happening(on_event).verify_for(RegisteredClient)  # without keys


def _break_store(on_event: events.OnEvent) -> None:
    happening = _Happening(on_event)
    happening.store = BrokenStore()
    happening.verify()


def _start_unfit(on_event: events.OnEvent) -> None:
    server = RedisServer(maxmemory_policy="allkeys-lru")
    store = RedisReplayStore.from_url(server.url, on_event=on_event)
    try:
        store.add(secrets.token_bytes(32), time.time() + 60, time.time())
    finally:
        store.close()
        server.stop()


class BrokenStore:
    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        raise OSError("the disk is full")


_HAPPENINGS: dict[str, Callable[[events.OnEvent], None]] = {
    "AssertionAccepted": _accept,
    "AssertionRefused": _refuse,
    "KeysFetched": _skip,
    "KeySkipped": _skip,
    "FetchFailed": _fail,
    "FetchBudgetSpent": _spend,
    "StaleKeysServed": _serve_stale,
    "KeyAdded": _rotate,
    "KeyRemoved": _rotate,
    "KeySetEvicted": _evict,
    "RegistrationRefused": _register,
    "StoreFailed": _break_store,
    "StoreUnfit": _start_unfit,
}
