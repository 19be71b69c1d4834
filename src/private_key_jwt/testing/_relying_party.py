"""The LedgerBee look-alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from .. import ledgerbee
from ._publisher import Outage, Publisher
from ._server import LoopbackServer, serve
from ._tenant import Tenant
from ._transport import Transport


class RelyingParty:
    """LedgerBee as an OpenID Provider sees it: tenants that sign assertions, and their published keys.

    audience: the ``aud`` of its assertions: the provider's issuer.
    clock: seconds since the epoch; a ``Clock`` to set the time.
    base_url: the root of its API. Raises ConfigurationError when it may not be fetched.

    ``transport`` serves its key sets to ``httpx.Client`` and ``httpx.AsyncClient``, and ``serve`` over a real
    socket; both give the same answers.
    """

    def __init__(
        self,
        *,
        audience: str = "https://op.example.com",
        clock: Callable[[], float] = time.time,
        base_url: str = ledgerbee.BASE_URL,
    ) -> None:
        self.audience = audience
        self.clock = clock
        self.base_url = base_url
        self._publisher = Publisher(base_url)
        self.transport = Transport(self._publisher)

    def tenant(self, slug: str = "acme", client_id: str | None = None) -> Tenant:
        """The tenant of this slug; a new one, with a signing key, when there is none.

        client_id: what a new one is registered as, ``portal-{slug}`` unless given.
        Raises ConfigurationError for a slug that is no plain path segment, ValueError for a second client_id.
        """
        tenants = self._publisher.tenants
        if slug not in tenants:
            tenants[slug] = Tenant(
                slug,
                client_id or f"portal-{slug}",
                audience=self.audience,
                clock=self.clock,
                base_url=self.base_url,
            )
        tenant = tenants[slug]
        if client_id not in (None, tenant.client_id):
            raise ValueError(f"tenant {slug!r} has the client_id {tenant.client_id!r} already")
        return tenant

    def assertion(self, **changes: Any) -> str:
        """An assertion of the tenant ``acme``: see ``Tenant.assertion``."""
        return self.tenant().assertion(**changes)

    def document(self, slug: str) -> dict[str, Any]:
        """The JWK Set published for a slug: empty for one that nobody has, and for a tenant without keys."""
        return self._publisher.document(slug)

    @property
    def outage(self) -> Outage:
        """What goes wrong with every request: nothing (None), an HTTP status from 400, or an httpx error.

        The transport raises the error; the server ends the connection without an answer.
        """
        return self._publisher.outage

    @outage.setter
    def outage(self, outage: Outage) -> None:
        self._publisher.outage = outage

    def serve(self, port: int = 0) -> AbstractContextManager[LoopbackServer]:
        """A context with a real HTTP server on 127.0.0.1: ``.base_url`` to register clients with, ``.count``.

        A fetcher takes its plain http only with ``JWKSPolicy(allow_http_loopback=True)``.
        """
        return serve(self._publisher, port)
