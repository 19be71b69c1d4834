"""Authlib's client, which signs for itself, with an RSA and with an EC key."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from authlib import deprecate
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc.jwk import ECKey, RSAKey

from clients.provider import ISSUER, Provider
from edges import Edge
from private_key_jwt.testing import SigningKey

with warnings.catch_warnings(action="ignore", category=deprecate.AuthlibDeprecationWarning):
    # Newer ones would rather have another HTTP library than httpx.
    from authlib.integrations.httpx_client import OAuth2Client


@pytest.fixture
def provider(edge: Edge, alg: str) -> Iterator[Provider]:
    """Its assertions live for an hour."""
    provider = Provider(edge, alg, max_lifetime=3_600)
    yield provider
    provider.close()


def get_token(provider: Provider, key: SigningKey) -> Any:
    pem = key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    secret = (RSAKey if key.alg == "RS256" else ECKey).import_key(pem)  # it takes a text for an RSA key
    method = PrivateKeyJWT(ISSUER, headers={"kid": key.kid}, alg=key.alg)  # what it is given is the audience
    settings = {"client_id": provider.tenant.client_id, "client_secret": secret, "trust_env": False}
    with OAuth2Client(token_endpoint_auth_method=method, **settings) as client:
        return client.fetch_token(provider.endpoint.url, grant_type="client_credentials")


@pytest.mark.parametrize("alg", ["RS256", "ES256"])
def test_authlib_gets_a_token_and_is_refused_after_its_key_is_replaced(provider: Provider) -> None:
    first = provider.tenant.current_key
    token = {"access_token": f"for {provider.tenant.client_id}"}
    assert get_token(provider, first).items() >= token.items()
    provider.replace_key()
    with pytest.raises(OAuthError, match="invalid_client"):
        get_token(provider, first)
    [refusal] = provider.refusals()
    assert (refusal.reason, refusal.kid) == ("unknown_kid", first.kid)
    assert get_token(provider, provider.tenant.current_key).items() >= token.items()
