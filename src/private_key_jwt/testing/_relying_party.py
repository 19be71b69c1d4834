"""The LedgerBee look-alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx

from .. import ledgerbee
from .._validation import check_clock
from ._back_channel import BackChannel
from ._browser import Browser
from ._control import Control
from ._publisher import Publisher
from ._server import LoopbackServer, serve
from ._service import Outage, Service
from ._tenant import Tenant
from ._transport import Transport

AUDIENCE = "https://op.example.com"
"""The issuer of a provider, unless another is given."""


class RelyingParty:
    """LedgerBee as a partner meets it: tenants that sign assertions, their published keys, and the back channel.

        relying_party = RelyingParty(audience="https://op.example.com")
        tenant = relying_party.tenant("acme")
        client, client_assertion = tenant.client(), tenant.assertion()

    audience: the ``aud`` of its assertions: the provider's issuer.
    clock: seconds since the epoch; a ``Clock`` to set the time.
    base_url: the root of its API.
    alg: what new tenants sign with, unless they are given another; LedgerBee's sign with RS256.

    Raises ConfigurationError: ``clock`` gives no seconds, or ``base_url`` may not be fetched.

    ``transport`` answers to ``httpx.Client`` and ``httpx.AsyncClient`` in this process, and ``serve`` over a real
    socket; both give the same responses.
    """

    def __init__(
        self,
        *,
        audience: str = AUDIENCE,
        clock: Callable[[], float] = time.time,
        base_url: str = ledgerbee.BASE_URL,
        alg: str = "RS256",
    ) -> None:
        check_clock("clock", clock)
        self.audience = audience
        self.clock = clock
        self.alg = alg
        self.base_url = base_url
        self._tenants: dict[str, Tenant] = {}
        self._publisher = Publisher(base_url, self._tenants)
        base_path = httpx.URL(base_url).raw_path.decode("ascii").rstrip("/")
        self._back_channel = BackChannel(base_path, self._tenants)
        self._service = Service([self._publisher.respond, self._back_channel.respond, Browser(self._tenants).respond])
        self._base_path = base_path
        self.transport = Transport(self._service.respond)

    def tenant(self, slug: str = "acme", client_id: str | None = None, *, alg: str | None = None) -> Tenant:
        """Return the tenant of this slug; a new one, with a signing key, when there is none.

        client_id: what a new one is registered as, ``portal-{slug}`` unless given.
        alg: what a new one signs with, that of the relying party unless given.
        Raises ConfigurationError for a slug that is no plain path segment, ValueError for a second client_id or alg.
        """
        tenants = self._tenants
        if slug not in tenants:
            tenants[slug] = Tenant(
                slug,
                client_id or f"portal-{slug}",
                audience=self.audience,
                clock=self.clock,
                base_url=self.base_url,
                alg=alg or self.alg,
            )
        tenant = tenants[slug]
        if client_id not in (None, tenant.client_id):
            raise ValueError(f"tenant {slug!r} has the client_id {tenant.client_id!r} already")
        if alg not in (None, tenant.alg):
            raise ValueError(f"tenant {slug!r} has the alg {tenant.alg!r} already")
        return tenant

    def assertion(self, **changes: Any) -> str:
        """Sign an assertion of the tenant ``acme``: see ``Tenant.assertion``."""
        return self.tenant().assertion(**changes)

    def document(self, slug: str) -> dict[str, Any]:
        """Return the JWK Set published for a slug: empty for one that nobody has, and for a tenant without keys."""
        return self._publisher.document(slug)

    @property
    def outage(self) -> Outage:
        """Return what each request meets: nothing (None), an HTTP status from 400, or an httpx error.

        The transport raises the error; the server ends the connection without a response.
        """
        return self._service.outage

    @outage.setter
    def outage(self, outage: Outage) -> None:
        self._service.outage = outage

    def fail_requests(self, number: int, status: int = 503, *, retry_after: int | None = None) -> None:
        """Answer the next calls of the back channel with an error, and perform none of them.

        Faults that are asked for one after the other come in that order.

        status: from 400 to 599; else ValueError.
        retry_after: seconds, for a ``Retry-After`` header.
        """
        self._back_channel.fail_requests(number, status, retry_after)

    def lose_responses(self, number: int) -> None:
        """Perform the next calls of the back channel, and lose their responses: done, but the caller cannot know."""
        self._back_channel.lose_responses(number)

    def serve(self, port: int = 0, *, control: bool = False) -> AbstractContextManager[LoopbackServer]:
        """Return a context with a real HTTP server on 127.0.0.1: ``.base_url`` to register clients with, ``.count``.

        A fetcher takes its plain http only with ``JWKSPolicy(allow_http_loopback=True)``.

        control: whether it can be driven over HTTP, too (``GET /_control`` lists how): rotate, fail, mint assertions.
        """
        respond = (
            Control(self._tenants, self._service, self._back_channel).respond if control else self._service.respond
        )
        return serve(respond, self._base_path, port)
