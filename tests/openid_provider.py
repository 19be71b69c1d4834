"""An OpenID Provider with one client, whose keys are served over real HTTP."""

from __future__ import annotations

from typing import Any, Self

from edges import LOOPBACK, Edge
from private_key_jwt import AssertionPolicy, JWKSPolicy, MemoryReplayStore
from private_key_jwt.testing import Clock, RelyingParty, Tenant
from support import OP

POLICY = AssertionPolicy(audience=OP)


class OpenIDProvider:
    """An OP with one LedgerBee tenant, over sync or async, by one clock."""

    def __init__(
        self, edge: Edge, clock: Clock, policy: AssertionPolicy = POLICY, jwks_policy: JWKSPolicy = LOOPBACK
    ) -> None:
        self.edge, self.clock = edge, clock
        self._policy, self._jwks_policy = policy, jwks_policy
        self.relying_party = RelyingParty(audience=str(policy.audience), clock=clock)
        self.tenant: Tenant = self.relying_party.tenant()
        self._serving = self.relying_party.serve()
        self.server = self._serving.__enter__()
        self.store = MemoryReplayStore()

    def make(self, **settings: Any) -> Any:
        """Make a verifier of its client, with these settings changed."""
        defaults = {
            "policy": self._policy,
            "clients": [self.tenant.client(self.server.base_url)],
            "replay_store": self.store,
            "fetcher": self.edge.fetcher(self._jwks_policy, clock=self.clock, wall_clock=self.clock),
            "clock": self.clock,
        }
        return self.edge.verifier(**(defaults | settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._serving.__exit__(None, None, None)
