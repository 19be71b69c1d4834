"""What the tests of the integrations share."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from integrations.apps import APPS, Provider
from integrations.served import Served
from private_key_jwt import MemoryReplayStore
from private_key_jwt.testing import Clock, RelyingParty


@pytest.fixture(scope="module", params=APPS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    clock = Clock()
    party = RelyingParty(clock=clock)
    provider = Provider({}, clock, MemoryReplayStore())
    with party.serve() as keys, APPS[request.param](provider) as url, httpx.Client(trust_env=False) as http:
        yield Served(url, provider, party, keys.base_url, http)
