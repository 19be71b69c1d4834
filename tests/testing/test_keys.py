"""Keys that sign whatever they are given."""

import base64
import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from private_key_jwt import RegisteredClient
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.jwk_set import VerificationKey
from private_key_jwt.testing import SigningKey
from private_key_jwt.testing._keys import _idle


def decode(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def test_publishes_public_members_only() -> None:
    key = SigningKey.generate("k1")
    jwk = key.public_jwk()
    assert set(jwk) == {"kty", "use", "alg", "kid", "n", "e"}
    assert (jwk["kty"], jwk["use"], jwk["alg"], jwk["kid"], jwk["e"]) == ("RSA", "sig", "RS256", "k1", "AQAB")
    client = RegisteredClient("client", jwks={"keys": [jwk]})
    assert client.keys is not None
    assert [(member.kid, member.fault) for member in client.keys.members] == [("k1", None)]


def test_signs_whatever_it_is_given() -> None:
    key = SigningKey.generate()
    header, payload, signature = key.sign({"alg": "none"}, {"x": [1]}).split(".")
    assert json.loads(decode(header)) == {"alg": "none"}
    assert json.loads(decode(payload)) == {"x": [1]}
    public = key.private_key.public_key()
    assert isinstance(public, RSAPublicKey)
    public.verify(decode(signature), f"{header}.{payload}".encode(), PKCS1v15(), SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(decode(signature), b"another", PKCS1v15(), SHA256())


def test_a_signing_key_signs_bytes_that_are_no_json() -> None:
    header, payload, _ = SigningKey.generate().sign_raw(b"\xff", b"").split(".")
    assert (decode(header), payload) == (b"\xff", "")


def test_keys_that_live_together_differ() -> None:
    keys = [SigningKey.generate() for _ in range(3)]
    assert len({key.kid for key in keys}) == 3
    assert len({key.public_jwk()["n"] for key in keys}) == 3


def test_a_key_that_nobody_holds_is_used_again() -> None:
    key = SigningKey.generate()
    private_key = key.private_key
    assert private_key not in _idle
    del key
    assert private_key in _idle


def test_the_repr_of_a_signing_key_does_not_show_the_private_key() -> None:
    assert repr(SigningKey.generate("k1")) == "SigningKey(kid='k1', alg='RS256')"


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_key_of_each_algorithm_publishes_and_signs_for_it(alg: str) -> None:
    key = SigningKey.generate("k1", alg)
    client = RegisteredClient("client", jwks={"keys": [key.public_jwk()]}, signing_algs=[alg])
    assert client.keys is not None
    found = client.keys.find(alg, "k1", [alg])
    assert isinstance(found, VerificationKey)
    header, payload, signature = key.sign({"alg": alg}, {}).split(".")
    assert found.verify(decode(signature), f"{header}.{payload}".encode())
    assert set(key.public_jwk()) <= {"kty", "use", "alg", "kid", "n", "e", "crv", "x", "y"}
    assert key.public_jwk()["alg"] == key.alg == alg


@pytest.mark.parametrize("alg", ["none", "HS256", "RS1", "ES256K", "Ed448", "", "RS", "rs256"])
def test_a_key_is_for_an_algorithm_that_can_be_registered(alg: str) -> None:
    with pytest.raises(ValueError, match="alg must be one"):
        SigningKey.generate(alg=alg)


def test_only_rsa_keys_are_used_again() -> None:
    key = SigningKey.generate(alg="PS256")
    private_key = key.private_key
    del key
    assert private_key in _idle
    before = len(_idle)
    SigningKey.generate(alg="ES256")
    assert len(_idle) == before
