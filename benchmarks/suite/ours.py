"""This library, set up as its README says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import httpx

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    RegisteredClient,
)
from private_key_jwt.testing import RelyingParty

from .corpus import AUDIENCE

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def relying_party(clock: Callable[[], float] = time.time) -> RelyingParty:
    return RelyingParty(audience=AUDIENCE, clock=clock)


def fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **settings: Any) -> JWKSFetcher:
    """A fetcher that gets the published keys without a network."""
    return JWKSFetcher(policy, http_client=httpx.Client(transport=party.transport, trust_env=False), **settings)


def async_fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **settings: Any) -> AsyncJWKSFetcher:
    return AsyncJWKSFetcher(
        policy, http_client=httpx.AsyncClient(transport=party.transport, trust_env=False), **settings
    )


def form(token: str, client_id: str) -> dict[str, str]:
    """A token request as a client sends it."""
    return {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
    }


class Sync:
    """A verifier whose replay store can be renewed, so that tokens may come again; its keys stay cached."""

    def __init__(
        self,
        clients: Sequence[RegisteredClient],
        jwks: JWKSFetcher,
        clock: Callable[[], float] = time.time,
        max_entries: int = 2_000_000,
    ) -> None:
        self._clients = {client.client_id: client for client in clients}
        self._jwks = jwks
        self._clock = clock
        self._max_entries = max_entries
        self.renew()

    def renew(self) -> None:
        self.store = MemoryReplayStore(self._max_entries)
        self.verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=self._clients,
            replay_store=self.store,
            fetcher=self._jwks,
            clock=self._clock,
        )


class Async:
    """The same for asyncio."""

    def __init__(
        self,
        clients: Sequence[RegisteredClient],
        jwks: AsyncJWKSFetcher | JWKSFetcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clients = {client.client_id: client for client in clients}
        self._jwks = jwks
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        self.store = MemoryReplayStore()
        self.verifier = AsyncClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=self._clients,
            replay_store=self.store,
            fetcher=self._jwks,
            clock=self._clock,
        )
