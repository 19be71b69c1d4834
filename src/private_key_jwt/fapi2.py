"""FAPI 2.0 Security Profile: the policy and the clients that it asks for, and how to set up for other profiles.

    verifier = ClientAssertionVerifier(
        policy=fapi2.policy("https://op.example.com"),
        clients=[fapi2.client("bank", jwks_uri="https://bank.example/jwks.json")],
        replay_store=store,
    )
    metadata = client_authentication_metadata(signing_algs=fapi2.SIGNING_ALGS)

The tables below list the modules of the OpenID Foundation's conformance suite whose outcome a client assertion
decides, by test plan. Each module is re-stated in this library's tests, with an assertion that is built as the module
builds its own: *re-stated, not certified*. ``issuer``, ``token``, ``par`` and ``backchannel`` are the URLs of the
server and its endpoints.

**OIDCC** (``oidcc-test-plan``), client_auth_type private_key_jwt: ``AssertionPolicy(audience=[issuer, token])``, and
RS256 or any other algorithm for the client.

| module                                                  | outcome  |
|---------------------------------------------------------|----------|
| ``oidcc-server``                                        | accepted |
| ``oidcc-ensure-client-assertion-with-iss-aud-succeeds`` | accepted |

**FAPI 1.0 Advanced** (``fapi1-advanced-final-test-plan``): ``AssertionPolicy(audience=[issuer, token, par],
audience_rule="all")`` and ``signing_algs=["PS256", "ES256"]``. The modules, after ``fapi1-advanced-final-``:

| module                                                                     | outcome               |
|----------------------------------------------------------------------------|-----------------------|
| ``ensure-client-assertion-with-iss-aud-succeeds``                          | accepted              |
| ``test-array-as-audience-for-client-JWT-assertion``                        | accepted              |
| ``par-test-pushed-authorization-url-as-audience-for-client-JWT-assertion`` | accepted              |
| ``par-token-endpoint-url-as-audience-for-client-JWT-assertion``            | accepted              |
| ``ensure-client-assertion-in-token-endpoint``                              | refused               |
| ``ensure-client-assertion-with-exp-is-5-minutes-in-past-fails``            | ``expired``           |
| ``ensure-client-assertion-with-no-sub-fails``                              | ``missing_claim``     |
| ``ensure-client-assertion-with-wrong-aud-fails``, ``par-…``                | ``audience_mismatch`` |
| ``ensure-client-assertion-with-wrong-iss-fails``, ``par-…``                | ``client_mismatch``   |
| ``ensure-client-assertion-with-wrong-sub-fails``, ``par-…``                | ``client_mismatch``   |
| ``ensure-signed-client-assertion-with-RS256-fails``                        | ``unsupported_alg``   |

**FAPI 2.0** (``fapi2-security-profile-final-test-plan``): ``fapi2.policy(issuer)`` and ``fapi2.client``. The modules,
after ``fapi2-security-profile-final-``:

| module                                                                       | outcome               |
|------------------------------------------------------------------------------|-----------------------|
| ``happy-flow``                                                               | accepted              |
| ``par-ensure-jwt-client-assertions-nbf-8-seconds-in-the-future-is-accepted`` | accepted              |
| ``par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails`` | ``not_yet_valid``     |
| ``ensure-client-assertion-in-token-endpoint``                                | refused               |
| ``ensure-client-assertion-with-exp-is-5-minutes-in-past-fails``              | ``expired``           |
| ``ensure-client-assertion-with-no-sub-fails``                                | ``missing_claim``     |
| ``ensure-client-assertion-with-wrong-aud-fails``                             | ``audience_mismatch`` |
| ``ensure-signed-client-assertion-with-RS256-fails``                          | ``unsupported_alg``   |

**FAPI-CIBA** (``fapi-ciba-id1-test-plan``): ``AssertionPolicy(audience=[issuer, token, backchannel])`` and
``signing_algs=["PS256", "ES256"]``. The modules, after ``fapi-ciba-id1-ensure-`` (but for the first):

| module                                                                                       | outcome             |
|----------------------------------------------------------------------------------------------|---------------------|
| ``fapi-ciba-id1``, with the audience of either endpoint, or the issuer                       | accepted            |
| ``client-assertion-with-iss-aud-to-token-endpoint-succeeds``                                 | accepted            |
| ``without-client-assertion-in-backchannel-authorization-request``                            | refused             |
| ``without-client-assertion-in-token-endpoint-request``                                       | refused             |
| ``client-assertion-signature-algorithm-in-backchannel-authorization-request-is-RS256-fails`` | ``unsupported_alg`` |
| ``client-assertion-signature-algorithm-in-token-endpoint-request-is-RS256-fails``            | ``unsupported_alg`` |

A request without an assertion is refused with ``missing_assertion`` by ``authenticate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._core.algorithms import is_allowed
from ._registration import check_signing_algs
from ._text import quote
from .clients import RegisteredClient
from .exceptions import ConfigurationError
from .policy import AssertionPolicy

__all__ = ["SIGNING_ALGS", "client", "policy"]

SIGNING_ALGS = ("PS256", "ES256", "Ed25519")
"""The algorithms that the profile allows (FAPI 2.0 Security Profile §5.4.1); ``Ed25519`` stands for ``EdDSA``, too."""

# §5.3.2.1: accept `iat` and `nbf` up to 10 seconds ahead, and refuse them from 60 seconds on.
_LEEWAY = 15


def policy(issuer: str) -> AssertionPolicy:
    """Make the policy of the profile (§5.3.2.1): the issuer as the only audience, as a string, and a leeway of 15 s.

    Raises ConfigurationError for what cannot be an audience.
    """
    if not isinstance(issuer, str):
        raise ConfigurationError(f"issuer must be a string, not {type(issuer).__name__}")
    return AssertionPolicy(audience=issuer, audience_rule="string", leeway=_LEEWAY)


def client(
    client_id: str,
    *,
    jwks_uri: str | None = None,
    jwks: Mapping[str, Any] | None = None,
    signing_algs: Sequence[str] = SIGNING_ALGS,
    require_kid: bool = False,
) -> RegisteredClient:
    """Register a client of the profile: PS256, ES256 and Ed25519 (EdDSA), or fewer of them; never RS256.

    The other arguments are those of RegisteredClient but for ``policy``, which is the verifier's. Raises
    ConfigurationError.
    """
    algs = check_signing_algs(signing_algs)
    for alg in algs:
        if not is_allowed(alg, SIGNING_ALGS):
            raise ConfigurationError(f"FAPI 2.0 allows {', '.join(SIGNING_ALGS)} and EdDSA, not {quote(alg)}")
    return RegisteredClient(client_id, jwks_uri=jwks_uri, jwks=jwks, signing_algs=algs, require_kid=require_kid)
