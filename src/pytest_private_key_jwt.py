"""Fixtures for tests of an authorization server: a relying party, its HTTP server, and a clock.

pytest loads this module at its start in every project of the environment, so it imports nothing of
private_key_jwt before a fixture is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from private_key_jwt.testing import Clock, LoopbackServer, RelyingParty


@pytest.fixture
def private_key_jwt_audience() -> str:
    """The ``aud`` that the relying party writes: define a fixture of this name that gives your issuer."""
    from private_key_jwt.testing._relying_party import AUDIENCE

    return AUDIENCE


@pytest.fixture
def private_key_jwt_clock() -> Clock:
    """A clock at the real time that stands still until it is advanced: for verifier and fetcher, too."""
    from private_key_jwt.testing import Clock

    return Clock()


@pytest.fixture
def private_key_jwt_relying_party(private_key_jwt_audience: str, private_key_jwt_clock: Clock) -> RelyingParty:
    """A relying party whose tenants sign assertions for your audience, by the clock."""
    from private_key_jwt.testing import RelyingParty

    return RelyingParty(audience=private_key_jwt_audience, clock=private_key_jwt_clock)


@pytest.fixture
def private_key_jwt_server(private_key_jwt_relying_party: RelyingParty) -> Iterator[LoopbackServer]:
    """An HTTP server on loopback that publishes the relying party's keys: ``tenant.client(server.base_url)``."""
    with private_key_jwt_relying_party.serve() as server:
        yield server
