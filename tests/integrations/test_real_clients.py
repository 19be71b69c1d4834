"""Authlib's client, which signs for itself, against every framework."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from authlib import deprecate
from authlib.integrations.base_client import OAuthError
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrations.served import Served
from private_key_jwt import AssertionPolicy
from private_key_jwt.testing import Tenant

with warnings.catch_warnings(action="ignore", category=deprecate.AuthlibDeprecationWarning):
    # Newer ones would rather have another HTTP library than httpx.
    from authlib.integrations.httpx_client import AsyncOAuth2Client, OAuth2Client

Fetch = Callable[[Served, Tenant], Any]


def settings(served: Served, tenant: Tenant) -> dict[str, Any]:
    key = tenant.current_key.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "client_id": tenant.client_id,
        "client_secret": key.decode(),
        "token_endpoint_auth_method": PrivateKeyJWT(served.url, headers={"kid": tenant.kid}),
        "trust_env": False,
    }


def fetch(served: Served, tenant: Tenant) -> Any:
    with OAuth2Client(**settings(served, tenant)) as client:
        return client.fetch_token(served.url, grant_type="client_credentials")


def fetch_async(served: Served, tenant: Tenant) -> Any:
    async def fetched() -> Any:
        async with AsyncOAuth2Client(**settings(served, tenant)) as client:
            return await client.fetch_token(served.url, grant_type="client_credentials")

    return asyncio.run(fetched())


@pytest.fixture
def tenant(served: Served) -> Tenant:
    """Registered as a client of Authlib's must be: it sends the token endpoint as audience, and an hour's lifetime."""
    tenant = served.tenant()
    policy = AssertionPolicy(audience=served.url, max_lifetime=3_600)
    served.provider.clients[tenant.client_id] = replace(served.provider.clients[tenant.client_id], policy=policy)
    return tenant


@pytest.mark.parametrize("get", [fetch, fetch_async], ids=["sync", "async"])
def test_authlib_gets_tokens(served: Served, tenant: Tenant, get: Fetch) -> None:
    for _ in range(2):
        assert get(served, tenant)["access_token"] == f"for {tenant.client_id}"
        tenant.rotate()


@pytest.mark.parametrize("get", [fetch, fetch_async], ids=["sync", "async"])
def test_authlib_understands_the_answers(served: Served, tenant: Tenant, get: Fetch) -> None:
    get(served, tenant)
    tenant.remove_keys()
    served.provider.clock.advance(301)
    with pytest.raises(OAuthError, match="invalid_client: Client authentication failed."):
        get(served, tenant)
    served.party.outage = 500
    served.provider.clock.advance(61)
    try:
        with pytest.raises(httpx.HTTPStatusError, match="503"):
            get(served, tenant)
    finally:
        served.party.outage = None
