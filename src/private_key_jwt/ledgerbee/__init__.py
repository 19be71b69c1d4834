"""LedgerBee Portal SSO: the profile of its assertions, and the calls a partner's backend makes to it.

As a registered client of your OpenID Provider:

    client = ledgerbee.client("portal-acme", slug="acme")

From your backend, over the back channel, for a customer whose id ``provision`` gave (``AsyncPortalSSO`` is the same,
awaited):

    with PortalSSO(api_key=os.environ["LEDGERBEE_API_KEY"]) as portal:
        jane = Membership(customer_id, Role.USER)
        handoff = portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])
        url = handoff.redeem_url("acme.portal-api.ledgerbee.com")  # redirect the browser there, within 60 seconds

Offboarding has an order: deprovision the user at your OpenID Provider first, which prevents a new login, and
then call ``revoke_sessions``.

To try it without LedgerBee, call its look-alike (``private_key_jwt.testing``) on this machine. This runs as it stands:

    from private_key_jwt.ledgerbee import Membership, PortalSSO, Role
    from private_key_jwt.testing import RelyingParty

    relying_party = RelyingParty()
    tenant = relying_party.tenant("acme")
    with relying_party.serve() as server, PortalSSO(api_key=tenant.api_key(), base_url=server.base_url) as portal:
        customer = {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}
        done = portal.provision(email="jane@example.com", customer=customer)
        jane = Membership(done.customer_id, Role.USER)
        handoff = portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])
        print(handoff.redeem_url(server.portal_api_host("acme")))  # open it in a browser, within 60 seconds
        input("Press Enter to end the session. ")
        print(portal.revoke_sessions(sub="u-1"), "memberships had a session")

The names of the back channel are imported when they are first used: a verifier never needs them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._profile import BASE_URL, client, jwks_uri

if TYPE_CHECKING:
    from ._errors import PortalSSOError
    from ._portal_sso import AsyncPortalSSO, PortalSSO
    from ._values import Handoff, Membership, Provisioned, Role
else:

    def __getattr__(name: str) -> Any:  # PEP 562; a type checker would take it for every name
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import _errors, _portal_sso, _values

        for module in (_values, _errors, _portal_sso):
            globals().update({public: getattr(module, public) for public in module.__all__})
        return globals()[name]


__all__ = [
    "BASE_URL",
    "AsyncPortalSSO",
    "Handoff",
    "Membership",
    "PortalSSO",
    "PortalSSOError",
    "Provisioned",
    "Role",
    "client",
    "jwks_uri",
]
