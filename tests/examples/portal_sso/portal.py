"""LedgerBee's side: the portal as an OpenID Connect client of the partner, with Authlib's client."""

import secrets

import httpx
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import KeySet

from private_key_jwt.testing import Tenant


class Browser:
    """A user's browser: it follows no redirect by itself, and finds every name below localhost on this machine."""

    def __init__(self) -> None:
        self._http = httpx.Client(trust_env=False)
        self.portal_cookie = ""

    def get(self, url: str) -> httpx.Response:
        target = httpx.URL(url)
        headers = {"Host": target.netloc.decode(), "Cookie": self.portal_cookie}
        return self._http.get(target.copy_with(host="127.0.0.1"), headers=headers)

    def post(self, url: str, form: dict[str, str]) -> httpx.Response:
        return self._http.post(url, data=form)

    def close(self) -> None:
        self._http.close()


class LoginRefused(Exception):
    """The provider let nobody in."""


def log_in(tenant: Tenant, issuer: str, redirect_uri: str, browser: Browser, email: str, password: str) -> None:
    """Log a user of the partner's in to the portal, over the partner's OpenID Provider."""
    provider = httpx.get(f"{issuer}/.well-known/openid-configuration", trust_env=False).json()
    key = tenant.current_key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with OAuth2Client(
        tenant.client_id,
        key.decode(),
        scope="openid email",
        redirect_uri=redirect_uri,
        code_challenge_method="S256",
        # Its third choice of aud is the issuer; unless told, it sends the token endpoint.
        token_endpoint_auth_method=PrivateKeyJWT(issuer, headers={"kid": tenant.kid}),
        trust_env=False,
    ) as client:
        code_verifier, nonce = secrets.token_urlsafe(48), secrets.token_urlsafe(16)
        url, state = client.create_authorization_url(
            provider["authorization_endpoint"], code_verifier=code_verifier, nonce=nonce
        )
        browser.get(url)  # the page with the form
        answer = browser.post(url, {"email": email, "password": password})
        if answer.status_code != 303:
            raise LoginRefused(answer.text)
        token = client.fetch_token(
            provider["token_endpoint"],
            authorization_response=answer.headers["location"],
            state=state,
            code_verifier=code_verifier,
        )
    keys = KeySet.import_key_set(httpx.get(provider["jwks_uri"], trust_env=False).json())
    claims = jwt.decode(token["id_token"], keys, algorithms=["RS256"]).claims
    jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": tenant.client_id},
        exp={"essential": True},
        nonce={"essential": True, "value": nonce},
    ).validate(claims)
    browser.portal_cookie = f"portal_session={tenant.portal.log_in(sub=claims['sub'], email=claims['email'])}"
