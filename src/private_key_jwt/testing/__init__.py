"""A LedgerBee look-alike for tests and demonstrations: no network, a clock you set, faults you choose.

    relying_party = RelyingParty(audience="https://op.example.com")
    tenant = relying_party.tenant("acme")
    with httpx.Client(transport=relying_party.transport) as http:
        verifier = ClientAssertionVerifier(..., clients=[tenant.client()], fetcher=JWKSFetcher(http_client=http))
        verifier.verify(tenant.assertion())
        verifier.verify(tenant.defective("expired"))  # raises InvalidClient: DEFECTS["expired"].reason

``RelyingParty(alg="ES256")`` signs with another algorithm than LedgerBee's RS256, ``defects_of("ES256")`` lists what an
assertion of it can have wrong, and ``tenant.break_key("key_above_p")`` publishes a key that must not be used.

It also answers the calls of LedgerBee's back channel, and redeems what they mint. ``serve`` puts all of it behind a
real socket:

    with relying_party.serve() as server, PortalSSO(api_key=tenant.api_key(), base_url=server.base_url) as portal:
        done = portal.provision(email="jane@example.com", customer=customer, mint_handoff=True, sub="u-1")
        done.handoff.redeem_url(server.portal_api_host("acme"))  # for a browser: it finds *.localhost by itself
        tenant.portal.users, tenant.portal.customers             # what LedgerBee has now
        relying_party.lose_responses(1)                          # the next call is performed, and its response is lost

In any other language, start ``private-key-jwt simulate --port 8085``, and call it with the API key that it prints:

    curl -s http://127.0.0.1:8085/api/v1/portal-sso/provision -H "x-api-key: $LEDGERBEE_API_KEY" \\
        -H "content-type: application/json" -d '{"email": "jane@example.com", "role": "USER",
        "customer": {"customerNumber": "C001", "vatZone": "DOMESTIC", "countryCode": "DK"}}'
    curl -s http://127.0.0.1:8085/api/v1/portal-sso/handoff/mint -H "x-api-key: $LEDGERBEE_API_KEY" \\
        -H "content-type: application/json" -d '{"email": "jane@example.com", "sub": "u-1",
        "memberships": [{"customerId": "'$CUSTOMER_ID'", "role": "USER"}]}'
    curl -si "http://acme.portal-api.localhost:8085/api/auth/sso/handoff/redeem?ref=$REF"
    curl -s http://127.0.0.1:8085/api/v1/portal-sso/sessions/revoke -H "x-api-key: $LEDGERBEE_API_KEY" \\
        -H "content-type: application/json" -d '{"sub": "u-1"}'

What LedgerBee's page leaves open (the codes of errors, among others) is marked *assumed* in
``private_key_jwt.testing._back_channel``, ``_portal``, ``_browser`` and ``_credentials``.

pytest finds fixtures of it: ``private_key_jwt_relying_party``, ``private_key_jwt_server``, ``private_key_jwt_clock``
and ``private_key_jwt_audience``.

``ReplayStoreContract`` and ``JWKSCacheContract`` are what stores and caches of your own must pass.

It holds private keys and signs whatever it is asked to: nothing here belongs in production.
"""

from ._assertions import REMOVED
from ._clock import Clock
from ._contracts import JWKSCacheContract, ReplayStoreContract
from ._defects import DEFECTS, Defect, defects_of
from ._key_defects import KeyDefect, key_defects_of
from ._keys import SigningKey
from ._portal import CheckoutBinding, Portal, PortalMembership, PortalUser
from ._relying_party import RelyingParty
from ._server import LoopbackServer
from ._tenant import Tenant

__all__ = [
    "DEFECTS",
    "REMOVED",
    "CheckoutBinding",
    "Clock",
    "Defect",
    "JWKSCacheContract",
    "KeyDefect",
    "LoopbackServer",
    "Portal",
    "PortalMembership",
    "PortalUser",
    "RelyingParty",
    "ReplayStoreContract",
    "SigningKey",
    "Tenant",
    "defects_of",
    "key_defects_of",
]
