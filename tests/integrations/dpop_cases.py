"""What makes a server ask for a DPoP proof with a nonce; two of these are called in a server's own process."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from requests_oauth2client.dpop import InvalidDPoPProof, validate_dpop_proof

NONCE = "eyJ7S_zG.eyJH0-Z.HX4w-7v"


def has_nonce(proof: str | None, url: str) -> bool:
    """Whether a DPoP proof is good and holds the nonce of this server."""
    try:
        validate_dpop_proof(proof or "", htm="POST", htu=url, nonce=NONCE, algs=["ES256"])
    except InvalidDPoPProof:
        return False
    return True


def authlib_flask() -> None:
    from authlib.oauth2 import OAuth2Error

    from private_key_jwt.integrations.authlib import register_private_key_jwt

    class UseDPoPNonceError(OAuth2Error):  # type: ignore[misc]
        error = "use_dpop_nonce"

        def get_headers(self) -> list[tuple[str, str]]:
            return [*super().get_headers(), ("DPoP-Nonce", NONCE)]

    def check_proof(_pending: object, request: Any) -> None:
        if not has_nonce(request.headers.get("DPoP"), request.uri):
            raise UseDPoPNonceError

    example = import_module("authlib_flask.client_authentication")
    register_private_key_jwt(example.server, example.verifier, before_consume=check_proof)


def oauth_toolkit() -> None:
    from oauthlib.oauth2 import OAuth2Error

    class UseDPoPNonceError(OAuth2Error):  # type: ignore[misc]
        error = "use_dpop_nonce"

        @property
        def headers(self) -> dict[str, str]:
            return {"DPoP-Nonce": NONCE}

    def before_consume(_self: object, _pending: object, request: Any) -> None:
        url = f"http://{request.headers['HTTP_HOST']}{request.uri}"
        if not has_nonce(request.headers.get("HTTP_DPOP"), url):
            raise UseDPoPNonceError

    import_module("oauth_toolkit.validators").Validator.before_consume = before_consume
