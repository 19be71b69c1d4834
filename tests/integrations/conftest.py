"""What the tests of the integrations share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.apps import APPS, Provider
from integrations.served import Served
from private_key_jwt import MemoryReplayStore
from private_key_jwt.testing import Clock, RelyingParty, Tenant


@pytest.fixture(scope="module", params=APPS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    clock = Clock()
    party = RelyingParty(clock=clock)
    provider = Provider({}, clock, MemoryReplayStore())
    with party.serve() as keys, APPS[request.param](provider) as url, httpx.Client(trust_env=False) as http:
        yield Served(request.param, url, provider, party, keys.base_url, http)


@pytest.fixture
def tenant() -> Tenant:
    """A client for tests that need no network: see ``provider``."""
    return RelyingParty().tenant("acme")


@pytest.fixture
def provider(tenant: Tenant) -> Provider:
    """An authorization server at which the tenant's keys are registered by value: nothing is fetched."""
    client = tenant.client(jwks_uri=None, jwks=tenant.document())
    return Provider({client.client_id: client}, Clock(), MemoryReplayStore())
