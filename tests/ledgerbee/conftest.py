"""A partner's backend, a browser, and the look-alike on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from edges import Edge
from private_key_jwt.testing import Clock, LoopbackServer, RelyingParty, Tenant

CUSTOMER = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}
JANE = "jane@example.com"

Portal = Callable[..., Any]


@pytest.fixture
def relying_party(clock: Clock) -> RelyingParty:
    return RelyingParty(clock=clock)


@pytest.fixture
def tenant(relying_party: RelyingParty) -> Tenant:
    return relying_party.tenant("acme")


@pytest.fixture
def server(relying_party: RelyingParty) -> Iterator[LoopbackServer]:
    with relying_party.serve() as server:
        yield server


@pytest.fixture
def portal(edge: Edge, tenant: Tenant, server: LoopbackServer) -> Any:
    """The back channel with a key that may do everything: sync, and async called without ``await``."""
    return edge.portal(api_key=tenant.api_key(), base_url=server.base_url)


class Browser:
    """Follows nothing by itself, and takes every name below localhost for this machine, as browsers do."""

    def __init__(self) -> None:
        self._http = httpx.Client(trust_env=False)

    def get(self, url: str, cookie: str | None = None) -> httpx.Response:
        target = httpx.URL(url)
        headers = {"Host": target.netloc.decode("ascii")}
        if cookie is not None:
            headers["Cookie"] = cookie
        return self._http.get(target.copy_with(host="127.0.0.1"), headers=headers)

    def redeem(self, url: str) -> str:
        """Redeem, and return the session cookie as the browser sends it from now on."""
        answer = self.get(url)
        assert answer.status_code == 302, answer.text
        return answer.headers["set-cookie"].partition(";")[0]

    def session(self, server: LoopbackServer, cookie: str, slug: str = "acme") -> httpx.Response:
        return self.get(f"http://{server.portal_api_host(slug)}/api/auth/session", cookie)

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def browser() -> Iterator[Browser]:
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture
def post(tenant: Tenant, server: LoopbackServer) -> Iterator[Callable[..., httpx.Response]]:
    """A POST by hand, of what ``PortalSSO`` would never send."""
    with httpx.Client(trust_env=False) as http:

        def post(path: str, body: object = None, *, headers: Any = None, **settings: Any) -> httpx.Response:
            headers = {"x-api-key": tenant.api_key()} if headers is None else headers
            settings = settings or {"json": body}
            return http.post(f"{server.base_url}/v1/portal-sso/{path}", headers=headers, **settings)

        yield post
