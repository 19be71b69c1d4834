"""One user's time at LedgerBee, from the first call to the last. Run it: python -m portal_sso.story"""

import contextlib
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn
from fastapi import FastAPI

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
)
from private_key_jwt.ledgerbee import Membership, PortalSSO, Role
from private_key_jwt.testing import RelyingParty, Tenant

from .portal import Browser, LoginRefused, log_in
from .provider import User, create_app

EMAIL, PASSWORD = "jane@example.com", "correct horse battery staple"
REDIRECT_URI = "https://api.ledgerbee.com/api/auth/sso/callback"


@dataclass
class Setup:
    """A partner and LedgerBee, running: ``host`` is where browsers redeem."""

    issuer: str
    jane: User
    portal: PortalSSO
    tenant: Tenant
    host: str
    browser: Browser

    def log_in(self) -> None:
        log_in(self.tenant, self.issuer, REDIRECT_URI, self.browser, EMAIL, PASSWORD)

    def session(self) -> int:
        """200 while the browser has a portal session."""
        return self.browser.get(f"http://{self.host}/api/auth/session").status_code


def offboard(user: User, portal: PortalSSO) -> int:
    """Let a user in nowhere any more. The order matters: whoever is deprovisioned cannot log in again."""
    user.is_active = False
    return portal.revoke_sessions(sub=user.sub)


def tell(setup: Setup) -> Iterator[str]:
    """Do it all, and tell each step."""
    jane, portal, browser = setup.jane, setup.portal, setup.browser

    customer = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}
    done = portal.provision(email=EMAIL, customer=customer, organization_display_name="Acme")
    yield f"provisioned: customer created {done.customer_created}, role {done.role}"

    membership = Membership(done.customer_id, Role.USER)
    handoff = portal.mint_handoff(sub=jane.sub, email=EMAIL, memberships=[membership])
    url = handoff.redeem_url(setup.host)  # in real life with the portal-API host of your tenant at LedgerBee
    yield f"handed off: reference until {handoff.expires_at:%H:%M:%S} UTC"

    answer = browser.get(url)
    browser.portal_cookie = answer.headers["set-cookie"].partition(";")[0]
    yield f"redeemed: {answer.status_code}, session {setup.session()}"

    browser.portal_cookie = ""
    setup.log_in()
    yield f"logged in over the provider: session {setup.session()}"

    yield f"offboarded: sessions ended in {offboard(jane, portal)} membership, session {setup.session()}"
    yield f"back with the old reference: {browser.get(url).status_code}"
    try:
        setup.log_in()
    except LoginRefused as refused:
        yield f"back over the provider: {refused}"


@contextlib.contextmanager
def running() -> Iterator[Setup]:
    """The partner's provider and the look-alike, while the context lasts."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        issuer = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ledgerbee = RelyingParty(audience=issuer)
        tenant = ledgerbee.tenant("acme")
        server = stack.enter_context(ledgerbee.serve())
        verifier = AsyncClientAssertionVerifier(
            policy=AssertionPolicy(audience=issuer, max_lifetime=3_600),  # assertions of Authlib's live an hour
            clients=[tenant.client(server.base_url)],
            replay_store=MemoryReplayStore(),  # several workers must share one
            fetcher=AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)),  # in production without this line
        )
        jane = User.new("u-1", EMAIL, PASSWORD)
        app = create_app(issuer, verifier, {EMAIL: jane}, {tenant.client_id: REDIRECT_URI})
        stack.enter_context(serving(app, listener))
        portal = stack.enter_context(PortalSSO(api_key=tenant.api_key(), base_url=server.base_url))
        browser = stack.enter_context(contextlib.closing(Browser()))
        yield Setup(issuer, jane, portal, tenant, server.portal_api_host("acme"), browser)


@contextlib.contextmanager
def serving(app: FastAPI, listener: socket.socket) -> Iterator[None]:
    """The application under uvicorn, in a thread."""
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)


if __name__ == "__main__":
    with running() as setup:
        for line in tell(setup):
            sys.stdout.write(f"{line}\n")
