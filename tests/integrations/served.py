"""A token endpoint that is running, and what a test needs around it."""

from __future__ import annotations

import itertools

import httpx

from integrations.apps import Provider
from integrations.scenarios import Wire, token_request, wire
from private_key_jwt.testing import RelyingParty, Tenant


class Served:
    """A running token endpoint, LedgerBee's look-alike, and an HTTP client between them."""

    def __init__(
        self, app: str, url: str, provider: Provider, party: RelyingParty, base_url: str, http: httpx.Client
    ) -> None:
        self.app = app
        self.url = url
        self.provider = provider
        self.party = party
        self.http = http
        self._base_url = base_url
        self._numbers = itertools.count()
        self.usual = self.tenant()

    def tenant(self) -> Tenant:
        """A new tenant, registered."""
        tenant = self.party.tenant(f"tenant-{next(self._numbers)}")
        self.provider.clients[tenant.client_id] = tenant.client(self._base_url)
        return tenant

    def post(self, assertion: str) -> Wire:
        return wire(self.http.post(self.url, data=token_request(assertion)))
