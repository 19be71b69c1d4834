"""oauth4webapi and openid-client for Node, which sign for themselves."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clients.provider import ISSUER, Provider
from edges import Edge
from private_key_jwt.testing import SigningKey, Tenant

pytestmark = pytest.mark.slow  # a process of Node for each token

CLIENTS = Path(os.environ["NODE_CLIENTS"])


@pytest.fixture
def provider(edge: Edge, alg: str) -> Iterator[Provider]:
    provider = Provider(edge, alg)
    yield provider
    provider.close()


def get_token(library: str, tenant: Tenant, key: SigningKey, url: str) -> dict[str, Any]:
    pkcs8 = key.private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    question = {
        "library": library,
        "alg": key.alg,
        "kid": key.kid,
        "pkcs8": b64encode(pkcs8).decode(),
        "issuer": ISSUER,
        "token_endpoint": url,
        "client_id": tenant.client_id,
    }
    answer = subprocess.run(
        ["node", "clients.mjs"],
        cwd=CLIENTS,
        input=json.dumps(question),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    told: dict[str, Any] = json.loads(answer.stdout)
    return told


@pytest.mark.parametrize("library", ["oauth4webapi", "openid-client"])
@pytest.mark.parametrize("alg", ["RS256", "PS256", "ES256", "Ed25519"])
def test_a_client_gets_a_token_and_is_refused_after_its_key_is_replaced(library: str, provider: Provider) -> None:
    tenant, url = provider.tenant, provider.endpoint.url
    first = tenant.current_key
    assert get_token(library, tenant, first, url) == {"access_token": f"for {tenant.client_id}"}
    provider.replace_key()
    refused = get_token(library, tenant, first, url)
    assert (refused["error"], refused["status"]) == ("invalid_client", 401), refused
    [refusal] = provider.refusals()
    assert (refusal.reason, refusal.kid) == ("unknown_kid", first.kid)
    assert get_token(library, tenant, tenant.current_key, url) == {"access_token": f"for {tenant.client_id}"}
