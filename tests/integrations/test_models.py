"""How the model of a client is read, whatever framework it belongs to."""

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from integrations.timing import TRIES, cost_at_most, costs_at_most_times
from private_key_jwt import ConfigurationError, RegisteredClient
from private_key_jwt.integrations._models import registered_client, uses_private_key_jwt, why_not_registered
from support import jwk, large_jwk

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


KEY = large_jwk()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (as_attributes(jwks_uri="", jwks=None), "has no jwks_uri and no jwks"),
        (as_attributes(jwks_uri=""), "has no jwks_uri"),
        (as_attributes(client_jwks="", client_jwks_uri=""), "has no client_jwks_uri and no client_jwks"),
        (as_attributes(), "has no jwks_uri and no jwks"),
        (
            as_attributes(jwks_uri=URI, token_endpoint_auth_method="client_secret_basic"),
            "its token_endpoint_auth_method is 'client_secret_basic'",
        ),
    ],
    ids=str,
)
def test_what_a_model_that_is_not_registered_lacks_is_said(model: Any, said: str) -> None:
    assert why_not_registered(model) == said


def many_keys(count: int, **members: Any) -> dict[str, Any]:
    return {"keys": [KEY | {"kid": f"k{number}"} | members for number in range(count)]}


MODELS = {
    "64 keys": as_attributes(jwks=many_keys(64)),
    "64 keys as text": as_attributes(client_jwks=json.dumps(many_keys(40))),
    "64 unusable keys": as_attributes(jwks=many_keys(64, use="enc")),
    "64 broken keys": as_attributes(jwks=many_keys(64, n="A" * 10_000)),
    "64 private keys": as_attributes(jwks=many_keys(64, d="AQ")),
    "a private key behind others": as_attributes(jwks={"keys": [*many_keys(63)["keys"], KEY | {"d": "AQ"}]}),
    "65 keys": as_attributes(jwks=many_keys(65)),
    "two sources": as_attributes(jwks=many_keys(64), jwks_uri=URI),
    "another algorithm": as_attributes(jwks=many_keys(64), token_endpoint_auth_signing_alg="HS256"),
    "a megabyte of text": as_attributes(client_jwks="[" * 1_000_000),
    "nested text": as_attributes(client_jwks='{"keys": ' + "[" * 65_000),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_read_again_costs_at_most_100_rsa_verifications(name: str) -> None:
    """A stranger needs to know a client_id only: keys are imported once, and what must be refused is not."""

    def read() -> None:
        with suppress(ConfigurationError):
            registered_client("c", MODELS[name], RS256)

    read()
    assert cost_at_most(100, read) <= 100


SMALL = json.dumps({"keys": [jwk()]})[:-1]
TEXTS = {
    "40 keys": MODELS["64 keys as text"].client_jwks,
    "what is dear to parse": SMALL + ', "x": ["123456789012345678901"' + ", {}" * 1_200 + "]}",
    "a member twice behind it": SMALL + ', "x": [1' + ", {}" * 1_200 + '], "x": 1}',
    "a private key": json.dumps(many_keys(30, d="AQ")),
    "another algorithm": json.dumps(many_keys(40, alg="HS256")),
    "brackets": SMALL + ', "x": [' + "[1], " * 12_000 + "1]}",
    "numbers": SMALL + ', "x": [' + "1.5, " * 4_000 + "1]}",
    "long numbers": SMALL + ', "x": [12345678901234567890123' + ", 1" * 4_000 + "]}",
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_is_parsed_once_and_so_is_one_that_is_refused(name: str) -> None:
    def read() -> None:
        with suppress(ConfigurationError):
            registered_client("c", as_attributes(client_jwks="".join([TEXTS[name]])), RS256)

    read()
    # The rest is the digest, which is linear in the text: 64 KiB.
    assert cost_at_most(10, read) <= 10


@pytest.mark.parametrize("name", [name for name in TEXTS if name != "40 keys"])
def test_a_text_that_is_read_first_costs_at_most_100_rsa_verifications(name: str) -> None:
    numbers = itertools.count()

    def read() -> None:
        with suppress(ConfigurationError):
            registered_client("c", as_attributes(client_jwks=f"{TEXTS[name]}{' ' * next(numbers)}"), RS256)

    read()
    assert cost_at_most(100, read) <= 100


def test_a_text_that_is_refused_is_refused_again_with_the_same_words() -> None:
    model = as_attributes(client_jwks='{"keys": 1}')
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="^jwks: not a JWK Set: keys is a number, and must be a list$"):
            registered_client("c", model, RS256)
    model = as_attributes(client_jwks='{"keys": [],}')
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="^jwks must be a JWK Set in JSON: not JSON: "):
            registered_client("c", model, RS256)


def test_a_text_that_changes_is_read_anew_for_each_client_and_its_algorithms() -> None:
    texts = [json.dumps({"keys": [jwk(kid=kid)]}) for kid in "ab"]
    for algs in (RS256, ("RS256", "ES256")):
        for client_id in "cd":
            for text, kid in zip(texts, "ab", strict=True):
                client = registered_client(client_id, as_attributes(client_jwks=text), algs)
                assert (client.client_id, client.signing_algs) == (client_id, algs)
                assert client.keys is not None
                assert [member.kid for member in client.keys.members] == [kid]


def test_twice_the_keys_cost_at_most_two_and_a_half_times() -> None:
    numbers = itertools.count()

    def register(count: int) -> Callable[[], object]:
        # Each with a member of its own, so that it was not imported before.
        models = [as_attributes(jwks=many_keys(count, x=next(numbers))) for _ in range(5 * TRIES)]
        return lambda: registered_client("c", models.pop(), RS256)

    for count in (16, 32):
        assert costs_at_most_times(2.5, register(2 * count), register(count), rounds=5)
