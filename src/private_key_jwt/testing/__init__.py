"""A LedgerBee look-alike for tests and demonstrations: no network, a clock you set, faults you choose.

    relying_party = RelyingParty(audience="https://op.example.com")
    tenant = relying_party.tenant("acme")
    with httpx.Client(transport=relying_party.transport) as http:
        verifier = ClientAssertionVerifier(..., clients=[tenant.client()], fetcher=JWKSFetcher(http_client=http))
        verifier.verify(tenant.assertion())
        verifier.verify(tenant.defective("expired"))  # raises InvalidClient: DEFECTS["expired"].reason

To pytest all of it is at hand in fixtures: ``private_key_jwt_relying_party``, ``private_key_jwt_server``,
``private_key_jwt_clock`` and ``private_key_jwt_audience``.

``ReplayStoreContract`` and ``JWKSCacheContract`` are what stores and caches of your own must pass.

It holds private keys and signs whatever it is asked to: nothing here belongs into a server.
"""

from ._assertions import REMOVED
from ._clock import Clock
from ._contracts import JWKSCacheContract, ReplayStoreContract
from ._defects import DEFECTS, Defect
from ._keys import SigningKey
from ._relying_party import RelyingParty
from ._server import LoopbackServer
from ._tenant import Tenant

__all__ = [
    "DEFECTS",
    "REMOVED",
    "Clock",
    "Defect",
    "JWKSCacheContract",
    "LoopbackServer",
    "RelyingParty",
    "ReplayStoreContract",
    "SigningKey",
    "Tenant",
]
