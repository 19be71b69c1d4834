"""Clients by their registration: RegisteredClient.from_metadata."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from private_key_jwt import AssertionPolicy, ConfigurationError, RegisteredClient
from support import ec_jwk, ec_key, integer, jwk, okp_jwk, okp_key, private_key

URI = "https://client.example/jwks.json"
BY_VALUE = {"keys": [jwk()]}
METADATA = {"client_id": "c", "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": URI}


def metadata(**changes: Any) -> dict[str, Any]:
    """Client metadata with changes; a change to ``...`` removes the member."""
    return {name: value for name, value in {**METADATA, **changes}.items() if value is not ...}


def test_a_client_that_publishes_its_keys() -> None:
    assert RegisteredClient.from_metadata(METADATA) == RegisteredClient("c", jwks_uri=URI)


def test_a_client_with_its_keys_by_value() -> None:
    client = RegisteredClient.from_metadata(metadata(jwks_uri=..., jwks=BY_VALUE))
    assert (client.jwks_uri, client.jwks) == (None, BY_VALUE)
    assert client.keys is not None


def test_the_registered_algorithm_is_the_only_one() -> None:
    client = RegisteredClient.from_metadata(metadata(token_endpoint_auth_signing_alg="RS256"))
    assert client.signing_algs == ("RS256",)


def test_what_registrations_do_not_hold_is_said_beside_them() -> None:
    policy = AssertionPolicy(audience="https://op.example/token", max_lifetime=3_600)
    client = RegisteredClient.from_metadata(METADATA, require_kid=True, policy=policy)
    assert (client.require_kid, client.policy) == (True, policy)


def test_members_that_say_nothing_of_it_are_ignored() -> None:
    others = {
        "client_name": "A client",
        "redirect_uris": ["https://client.example/cb"],
        "id_token_signed_response_alg": "none",
        "request_object_signing_alg": "HS256",
        "software_statement": "x",
        "signing_algs": ["none"],
        "policy": "x",
        "": None,
    }
    assert RegisteredClient.from_metadata({**METADATA, **others}) == RegisteredClient.from_metadata(METADATA)


@pytest.mark.parametrize("name", ["jwks", "token_endpoint_auth_signing_alg"])
def test_null_counts_as_omitted(name: str) -> None:
    assert RegisteredClient.from_metadata(metadata(**{name: None})) == RegisteredClient.from_metadata(METADATA)


EVEN = jwk(n=integer(private_key().public_key().public_numbers().n + 1))

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "both jwks and jwks_uri": ({"jwks": BY_VALUE}, "exactly one of jwks_uri and jwks"),
    "an empty jwks_uri beside jwks": ({"jwks": BY_VALUE, "jwks_uri": ""}, "exactly one of jwks_uri and jwks"),
    "neither": ({"jwks_uri": ...}, "exactly one of jwks_uri and jwks"),
    "both null": ({"jwks_uri": None, "jwks": None}, "exactly one of jwks_uri and jwks"),
    "no client_id": ({"client_id": ...}, "client_id"),
    "an empty client_id": ({"client_id": ""}, "client_id"),
    "a number as client_id": ({"client_id": 7}, "client_id"),
    "no method: client_secret_basic": ({"token_endpoint_auth_method": ...}, "token_endpoint_auth_method"),
    "a null method": ({"token_endpoint_auth_method": None}, "token_endpoint_auth_method"),
    "a public client": ({"token_endpoint_auth_method": "none"}, "token_endpoint_auth_method"),
    "another method": ({"token_endpoint_auth_method": "client_secret_jwt"}, "token_endpoint_auth_method"),
    "another case": ({"token_endpoint_auth_method": "PRIVATE_KEY_JWT"}, "token_endpoint_auth_method"),
    "a list of methods": ({"token_endpoint_auth_method": ["private_key_jwt"]}, "token_endpoint_auth_method"),
    "an algorithm that is not supported": ({"token_endpoint_auth_signing_alg": "ES512"}, "signing_alg"),
    "HMAC": ({"token_endpoint_auth_signing_alg": "HS256"}, "token_endpoint_auth_signing_alg"),
    "no signature": ({"token_endpoint_auth_signing_alg": "none"}, "token_endpoint_auth_signing_alg"),
    "an empty algorithm": ({"token_endpoint_auth_signing_alg": ""}, "token_endpoint_auth_signing_alg"),
    "a list of algorithms": ({"token_endpoint_auth_signing_alg": ["RS256"]}, "token_endpoint_auth_signing_alg"),
    "plain http": ({"jwks_uri": "http://client.example/jwks.json"}, "https"),
    "a jwks_uri that is no string": ({"jwks_uri": [URI]}, "jwks_uri"),
    "a jwks that is no object": ({"jwks_uri": ..., "jwks": [jwk()]}, "jwks"),
    "a jwks as text": ({"jwks_uri": ..., "jwks": '{"keys": []}'}, "jwks"),
    "a jwks without keys": ({"jwks_uri": ..., "jwks": {}}, "jwks"),
    "a private key": ({"jwks_uri": ..., "jwks": {"keys": [jwk(d="AQAB")]}}, "private"),
    "an empty set": ({"jwks_uri": ..., "jwks": {"keys": []}}, "no key that can be used"),
    "no usable key": ({"jwks_uri": ..., "jwks": {"keys": [EVEN]}}, "no key that can be used"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_must_not_be_registered(name: str) -> None:
    changes, text = REFUSED[name]
    with pytest.raises(ConfigurationError, match=text):
        RegisteredClient.from_metadata(metadata(**changes))


class Broken(Mapping[str, Any]):
    """A mapping that cannot be read."""

    def __getitem__(self, name: str) -> Any:
        raise OSError("lost")

    def __iter__(self) -> Iterator[str]:
        return iter(METADATA)

    def __len__(self) -> int:
        return len(METADATA)


@pytest.mark.parametrize("value", [None, [], "{}", 1, Broken()], ids=lambda value: type(value).__name__)
def test_what_is_no_registration_at_all(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="client metadata"):
        RegisteredClient.from_metadata(value)


# Algorithms


def test_without_an_algorithm_a_client_may_use_what_the_server_enabled() -> None:
    assert RegisteredClient.from_metadata(METADATA).signing_algs == ("RS256",)
    client = RegisteredClient.from_metadata(METADATA, signing_algs=["PS256", "EdDSA"])
    assert client.signing_algs == ("PS256", "EdDSA")


@pytest.mark.parametrize("alg", ["PS256", "ES256", "Ed25519", "EdDSA"])
def test_a_registered_algorithm_must_be_enabled(alg: str) -> None:
    asks = metadata(token_endpoint_auth_signing_alg=alg)
    enabled = ("PS256", "ES256", "Ed25519")
    assert RegisteredClient.from_metadata(asks, signing_algs=enabled).signing_algs == (alg,)
    for source in ({}, {"jwks_uri": ..., "jwks": {"keys": [ec_jwk(ec_key())]}}):
        with pytest.raises(
            ConfigurationError, match=f"must be one of RS256, not '{alg}': it is known, and not enabled"
        ):
            RegisteredClient.from_metadata({**asks, **metadata(**source, token_endpoint_auth_signing_alg=alg)})


@pytest.mark.parametrize("enabled", [(), [], "RS256", None, ["none"], ["HS256"], [1]])
def test_what_a_server_enables_is_checked(enabled: Any) -> None:
    with pytest.raises(ConfigurationError, match="signing_algs"):
        RegisteredClient.from_metadata(METADATA, signing_algs=enabled)


def test_keys_by_value_that_cannot_serve_the_algorithm_are_refused_with_the_fault_of_each() -> None:
    keys = {"keys": [ec_jwk(ec_key()), jwk(kid="k2", use="enc"), okp_jwk(okp_key(), kid=...)]}
    with pytest.raises(ConfigurationError) as refused:
        RegisteredClient.from_metadata(metadata(jwks_uri=..., jwks=keys))
    text = str(refused.value)
    assert "jwks of client 'c' holds no key that can be used with RS256: 'k1': it is a key of another kind" in text
    assert "(EC, P-256) than RS256 takes; 'k2': its use is 'enc', not sig; and 1 more" in text
    asks = metadata(jwks_uri=..., jwks=keys, token_endpoint_auth_signing_alg="ES256")
    assert RegisteredClient.from_metadata(asks, signing_algs=["ES256"]).signing_algs == ("ES256",)


def test_a_key_by_value_that_names_no_alg_is_refused_where_it_could_serve_several() -> None:
    asks = metadata(jwks_uri=..., jwks={"keys": [jwk(alg=...)]})
    assert RegisteredClient.from_metadata(asks, signing_algs=["PS256", "ES256"]).keys
    with pytest.raises(ConfigurationError, match='add "alg": "RS256" to the JWK'):
        RegisteredClient.from_metadata(asks, signing_algs=["RS256", "PS256"])


def test_a_method_that_is_absent_is_said_to_stand_for_another() -> None:
    for changes in ({"token_endpoint_auth_method": ...}, {"token_endpoint_auth_method": None}):
        with pytest.raises(ConfigurationError, match="and it is absent, which means client_secret_basic"):
            RegisteredClient.from_metadata(metadata(**changes))


def test_metadata_in_a_text_must_be_parsed_first() -> None:
    with pytest.raises(ConfigurationError, match="^client metadata must be a mapping, not str: json.loads makes one"):
        RegisteredClient.from_metadata("{}")  # type: ignore[arg-type]
