"""This library, set up as its README says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

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
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.testing import RelyingParty, Tenant

from .corpus import AUDIENCE

Verifier = TypeVar("Verifier", ClientAssertionVerifier, AsyncClientAssertionVerifier)


def relying_party(clock: Callable[[], float] = time.time) -> RelyingParty:
    return RelyingParty(audience=AUDIENCE, clock=clock)


def fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **settings: Any) -> JWKSFetcher:
    """A fetcher that gets the published keys without a network."""
    return JWKSFetcher(policy, http_client=httpx.Client(transport=party.transport, trust_env=False), **settings)


def async_fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **settings: Any) -> AsyncJWKSFetcher:
    client = httpx.AsyncClient(transport=party.transport, trust_env=False)
    return AsyncJWKSFetcher(policy, http_client=client, **settings)


def form(token: str, client_id: str) -> dict[str, str]:
    """A token request as a client sends it."""
    return {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
    }


class _Subject(Generic[Verifier]):
    """A verifier whose replay store can be renewed, so that tokens may come again; its keys stay cached."""

    _kind: Callable[..., Verifier]

    def __init__(
        self,
        clients: Sequence[RegisteredClient],
        jwks: JWKSFetcher | AsyncJWKSFetcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clients = {client.client_id: client for client in clients}
        self._jwks = jwks
        self._clock = clock
        self.renew()

    def renew(self) -> None:
        self.store = MemoryReplayStore(2_000_000)
        self.verifier: Verifier = type(self)._kind(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=self._clients,
            replay_store=self.store,
            fetcher=self._jwks,
            clock=self._clock,
        )


class Sync(_Subject[ClientAssertionVerifier]):
    _kind = ClientAssertionVerifier


class Async(_Subject[AsyncClientAssertionVerifier]):
    _kind = AsyncClientAssertionVerifier


def set_up() -> tuple[Tenant, Sync]:
    """One tenant, and a verifier that knows it."""
    party = relying_party()
    tenant = party.tenant()
    return tenant, Sync([tenant.client()], fetcher(party))
