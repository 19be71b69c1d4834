"""This library, set up as its README says; an older version of it likewise, under the names that it has."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Sequence
from functools import partial
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
from private_key_jwt._core.token_request import ASSERTION_TYPE
from private_key_jwt.testing import RelyingParty, Tenant

from .corpus import AUDIENCE

_OLDER_NAMES = {"fetcher": "jwks", "http_client": "http"}


def settings(of: Callable[..., Any], **named: Any) -> dict[str, Any]:
    """The keyword arguments under the names that this version has for them."""
    known = inspect.signature(of).parameters
    return {name if name in known else _OLDER_NAMES[name]: value for name, value in named.items()}


def relying_party(clock: Callable[[], float] = time.time) -> RelyingParty:
    return RelyingParty(audience=AUDIENCE, clock=clock)


def fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **rest: Any) -> JWKSFetcher:
    """A fetcher that gets the published keys without a network."""
    client = httpx.Client(transport=party.transport, trust_env=False)
    return JWKSFetcher(policy, **settings(JWKSFetcher, http_client=client), **rest)


def async_fetcher(party: RelyingParty, policy: JWKSPolicy | None = None, **rest: Any) -> AsyncJWKSFetcher:
    client = httpx.AsyncClient(transport=party.transport, trust_env=False)
    return AsyncJWKSFetcher(policy, **settings(AsyncJWKSFetcher, http_client=client), **rest)


def form(token: str, client_id: str) -> dict[str, str]:
    """A token request as a client sends it."""
    return {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
    }


class Subject:
    """A verifier whose replay store can be renewed, so that tokens may come again; its keys stay cached."""

    def __init__(
        self,
        clients: Sequence[RegisteredClient],
        fetcher: JWKSFetcher | AsyncJWKSFetcher,
        clock: Callable[[], float] = time.time,
    ) -> None:
        kind: Any = ClientAssertionVerifier if isinstance(fetcher, JWKSFetcher) else AsyncClientAssertionVerifier
        self._make = partial(
            kind,
            policy=AssertionPolicy(audience=AUDIENCE),
            clients={client.client_id: client for client in clients},
            clock=clock,
            **settings(kind, fetcher=fetcher),
        )
        self.renew()

    def renew(self) -> None:
        self.store = MemoryReplayStore(2_000_000)
        self.verifier = self._make(replay_store=self.store)


def set_up() -> tuple[Tenant, Subject]:
    """One tenant, and a verifier that knows it."""
    party = relying_party()
    tenant = party.tenant()
    return tenant, Subject([tenant.client()], fetcher(party))
