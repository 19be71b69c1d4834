"""How the model of a client is read, whatever framework it belongs to."""

import signal
from types import SimpleNamespace
from typing import Any

import pytest

import children
from private_key_jwt import ConfigurationError, RegisteredClient
from private_key_jwt.integrations import _models
from private_key_jwt.integrations._models import registered_client, uses_private_key_jwt
from support import jwk

URI = "https://client.example/jwks.json"
KEYS = {"keys": [jwk()]}


def as_attributes(**members: Any) -> Any:
    return SimpleNamespace(**members)


def as_metadata(**members: Any) -> Any:
    """As Authlib's mixin for SQLAlchemy has it: attributes for some of them, with defaults of their own."""
    return SimpleNamespace(client_metadata=members, jwks=members.get("jwks", []))


@pytest.mark.parametrize("model", [as_attributes, as_metadata])
def test_what_a_model_tells(model: Any) -> None:
    assert registered_client("c", model(jwks_uri=URI)) == RegisteredClient("c", jwks_uri=URI)
    assert registered_client("c", model(jwks=KEYS, jwks_uri="")) == RegisteredClient("c", jwks=KEYS)
    client = registered_client("c", model(jwks_uri=URI, token_endpoint_auth_signing_alg="RS256"))
    assert client.signing_algs == ("RS256",)


def test_a_model_without_keys_has_an_empty_set() -> None:
    for model in (as_attributes(), as_attributes(jwks_uri=None, client_metadata=None), as_metadata()):
        assert registered_client("c", model).jwks == {"keys": []}


@pytest.mark.parametrize(
    "members",
    [
        {"jwks_uri": URI, "jwks": KEYS},
        {"jwks_uri": "http://client.example/jwks.json"},
        {"jwks": '{"keys": []}'},
        {"jwks_uri": URI, "token_endpoint_auth_signing_alg": "HS256"},
        {"jwks_uri": URI, "token_endpoint_auth_signing_alg": "none"},
    ],
)
def test_what_must_not_be_registered_is_no_client(members: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        registered_client("c", as_attributes(**members))


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


def test_a_model_that_says_the_same_is_read_once() -> None:
    """Importing keys takes milliseconds, and strangers may ask for a client as often as they like."""
    client = registered_client("c", as_attributes(jwks=KEYS))
    assert registered_client("c", as_attributes(jwks={"keys": [jwk()]})) is client
    assert registered_client("d", as_attributes(jwks=KEYS)) is not client
    assert registered_client("c", as_attributes(jwks={"keys": []})).jwks == {"keys": []}
    assert registered_client("c", as_attributes(jwks_uri=URI)).jwks is None


def test_a_lock_held_at_the_fork_is_free_in_the_child() -> None:
    def check() -> bool:
        signal.alarm(10)  # it ends a child that waits for good
        return registered_client("c", as_attributes(jwks_uri=URI)).jwks_uri == URI

    lock = _models._registered.get.cache_lock
    assert lock is not None
    with lock:
        assert children.holds(check)
