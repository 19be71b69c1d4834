"""What a provider publishes about client authentication."""

from typing import Any

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

from private_key_jwt import ConfigurationError, client_authentication_metadata
from private_key_jwt._core.algorithms import ALGORITHMS


def test_the_three_endpoints_and_the_method_alone() -> None:
    assert client_authentication_metadata() == {
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "revocation_endpoint_auth_methods_supported": ["private_key_jwt"],
        "revocation_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "introspection_endpoint_auth_methods_supported": ["private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": ["RS256"],
    }


def test_other_methods_stand_beside_it_once() -> None:
    metadata = client_authentication_metadata(
        endpoints=["token"], other_methods=("client_secret_basic", "private_key_jwt", "none")
    )
    assert metadata == {
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic", "none"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
    }


def test_another_library_takes_it_for_valid() -> None:
    """RFC 8414 §2, as Authlib checks it; it refuses the method without its algorithms."""
    issuer = "https://op.example.com"
    endpoints = {f"{name}_endpoint": f"{issuer}/{name}" for name in ("token", "revocation", "introspection")}
    other = {"issuer": issuer, "authorization_endpoint": f"{issuer}/authorize", "response_types_supported": ["code"]}
    metadata = client_authentication_metadata(other_methods=["client_secret_basic"])
    AuthorizationServerMetadata({**other, **endpoints, **metadata}).validate()
    for name in metadata:
        if name.endswith("alg_values_supported"):
            with pytest.raises(ValueError, match=name):
                AuthorizationServerMetadata({**other, **endpoints, **metadata, name: None}).validate()


def test_what_is_enabled_is_published_by_its_fully_specified_name() -> None:
    """RFC 9864 §4; each algorithm once."""
    name = "token_endpoint_auth_signing_alg_values_supported"
    enabled = ["PS256", "EdDSA", "ES256", "Ed25519", "PS256"]
    assert client_authentication_metadata(signing_algs=enabled)[name] == ["PS256", "Ed25519", "ES256"]
    everything = client_authentication_metadata(signing_algs=list(ALGORITHMS))[name]
    assert everything == [alg for alg in ALGORITHMS if alg != "EdDSA"]


def test_what_is_handed_out_cannot_change_what_comes_next() -> None:
    for values in client_authentication_metadata().values():
        values.clear()
    assert all(client_authentication_metadata().values())


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"endpoints": "token"}, "endpoints"),
        ({"endpoints": ["token", "userinfo"]}, "userinfo"),
        ({"endpoints": [1]}, "endpoints"),
        ({"other_methods": "none"}, "other_methods"),
        ({"other_methods": None}, "other_methods"),
        ({"other_methods": ["client_secret_jwt"]}, "client_secret_jwt"),
        ({"signing_algs": []}, "signing_algs"),
        ({"signing_algs": "RS256"}, "signing_algs"),
        ({"signing_algs": ["none"]}, "signing_algs"),
        ({"signing_algs": ["HS256"]}, "signing_algs"),
    ],
)
def test_what_cannot_be_published(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigurationError, match=text):
        client_authentication_metadata(**settings)
