"""How the model of a client is read, whatever framework it belongs to."""

import json
from types import SimpleNamespace
from typing import Any

import pytest

from private_key_jwt import ConfigurationError, RegisteredClient
from private_key_jwt.integrations._models import registered_client, uses_private_key_jwt
from support import jwk

URI = "https://client.example/jwks.json"
KEYS = {"keys": [jwk()]}
RS256 = ("RS256",)


def as_attributes(**members: Any) -> Any:
    return SimpleNamespace(**members)


def as_metadata(**members: Any) -> Any:
    """As Authlib's mixin for SQLAlchemy has it: attributes for some of them, with defaults of their own."""
    return SimpleNamespace(client_metadata=members, jwks=members.get("jwks", []))


@pytest.mark.parametrize("model", [as_attributes, as_metadata])
def test_what_a_model_tells(model: Any) -> None:
    assert registered_client("c", model(jwks_uri=URI), RS256) == RegisteredClient("c", jwks_uri=URI)
    assert registered_client("c", model(jwks=KEYS, jwks_uri=""), RS256) == RegisteredClient("c", jwks=KEYS)
    client = registered_client("c", model(jwks_uri=URI, token_endpoint_auth_signing_alg="RS256"), RS256)
    assert client.signing_algs == ("RS256",)


def test_a_model_of_the_toolkits_next_release_is_read() -> None:
    """Its fields hold the set as text, and are empty strings when they are not set."""
    model = as_attributes(client_jwks=json.dumps(KEYS), client_jwks_uri="", token_endpoint_auth_method="")
    assert registered_client("c", model, RS256) == RegisteredClient("c", jwks=KEYS)
    assert uses_private_key_jwt(model)
    model = as_attributes(client_jwks="", client_jwks_uri=URI, token_endpoint_auth_method="private_key_jwt")
    assert registered_client("c", model, RS256) == RegisteredClient("c", jwks_uri=URI)
    assert uses_private_key_jwt(model)
    for method in ("client_secret_jwt", "client_secret_basic", "none"):
        assert not uses_private_key_jwt(as_attributes(client_jwks_uri=URI, token_endpoint_auth_method=method))


def test_a_model_without_keys_has_an_empty_set() -> None:
    for model in (as_attributes(), as_attributes(jwks_uri=None, client_metadata=None), as_metadata()):
        assert registered_client("c", model, RS256).jwks == {"keys": []}


@pytest.mark.parametrize(
    "members",
    [
        {"jwks_uri": URI, "jwks": KEYS},
        {"jwks_uri": "http://client.example/jwks.json"},
        {"jwks_uri": URI, "client_jwks": json.dumps(KEYS)},
        {"jwks": "[]"},
        {"jwks": '{"keys": [],}'},
        {"jwks": '{"keys": [], "keys": []}'},
        {"jwks": "\ud800"},
        {"jwks": json.dumps(KEYS) + " " * 65_536},
        {"jwks": {"keys": [{**jwk(), "d": "AQ"}]}},
        {"jwks_uri": URI, "token_endpoint_auth_signing_alg": "HS256"},
        {"jwks_uri": URI, "token_endpoint_auth_signing_alg": "none"},
    ],
)
def test_what_must_not_be_registered_is_no_client(members: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        registered_client("c", as_attributes(**members), RS256)


@pytest.mark.parametrize("model", [as_attributes, as_metadata])
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, False),
        ({"jwks_uri": "", "jwks": None}, False),
        ({"jwks_uri": URI}, True),
        ({"jwks": KEYS}, True),
        ({"token_endpoint_auth_method": "private_key_jwt"}, True),
        ({"token_endpoint_auth_method": "client_secret_basic", "jwks_uri": URI}, False),
        ({"token_endpoint_auth_method": "none"}, False),
        ({"token_endpoint_auth_method": "", "jwks_uri": URI}, True),
    ],
)
def test_who_must_authenticate_with_private_key_jwt(model: Any, members: dict[str, Any], expected: bool) -> None:
    assert uses_private_key_jwt(model(**members)) is expected
