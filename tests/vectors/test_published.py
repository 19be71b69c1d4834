"""Wycheproof, the JOSE cookbook, JSONTestSuite, and the key sets of other libraries' tests."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from private_key_jwt import InvalidClient
from private_key_jwt._core import base64url, compact, header, jwk_set, strict_json
from private_key_jwt._core.jwk_set import KeySet, VerificationKey
from support import integer

VECTORS = Path(os.environ["JOSE_VECTORS"])
PROFILE = json.loads((VECTORS / "rs256-profile.json").read_text())

# Valid as a JWS, and refused here: an assertion has claims, so no segment of it is empty.
EMPTY_PAYLOAD = {259}


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in jwk_set.PRIVATE_MEMBERS or jwk["kty"] == "oct"}


def keys_of(group: dict[str, Any]) -> KeySet:
    source = group.get("public") or group["private"]
    members = source.get("keys", [source])
    return jwk_set.key_set({"keys": [public(member) for member in members]}, 64)


def verifies(token: Any, keys: KeySet) -> bool:
    """The recipe without its claims: an RS256 signature over the token, by the key that it names."""
    try:
        header_segment, _, signature, signing_input = compact.split(token, 1_000_000)
        head = header.parse(header_segment)
    except InvalidClient:
        return False
    if head.alg != "RS256":
        return False
    key = keys.find(head.alg, head.kid, (head.alg,))
    return isinstance(key, VerificationKey) and key.verify(base64url.decode_canonical(signature), signing_input)


@pytest.mark.parametrize(
    "name",
    [
        "json_web_signature_test.json",
        "json_web_key_test.json",
        "json_web_crypto_test.json",
        "json_web_encryption_test.json",
    ],
)
def test_wycheproof_jose(name: str) -> None:
    profile = PROFILE[name]
    accepted, tests = set(), 0
    for group in load(f"wycheproof/{name}")["testGroups"]:
        keys = keys_of(group)
        for test in group["tests"]:
            tests += 1
            if verifies(test.get("jws") or test.get("jwe"), keys):
                accepted.add(test["tcId"])
    assert tests == profile["tests"]
    assert accepted == set(profile["accept"]) - (EMPTY_PAYLOAD if "signature" in name else set())


SIGNATURES = [f"rsa_signature_{bits}_sha256_test.json" for bits in (2048, 3072, 4096, 8192)]
OTHERS = ["rsa_signature_2048_sha512_test.json", "rsa_pkcs1_1024_sig_gen_test.json", "rsa_pkcs1_2048_sig_gen_test.json"]


@pytest.mark.parametrize("name", SIGNATURES + OTHERS)
def test_wycheproof_rsa(name: str) -> None:
    tests = accepted = 0
    for group in load(f"wycheproof/{name}")["testGroups"]:
        key = load_pem_public_key((group.get("publicKeyPem") or group["keyPem"]).encode())
        numbers = key.public_numbers()  # type: ignore[union-attr]
        jwk = {"kty": "RSA", "n": integer(numbers.n), "e": integer(numbers.e)}  # type: ignore[union-attr]
        found = jwk_set.key_set({"keys": [jwk]}, 64).find("RS256", None, ("RS256",))
        # Pinned: an exponent under 65537 is refused, though RFC 8017 allows 3.
        usable = key.key_size >= 2_048 and numbers.e >= 65_537  # type: ignore[union-attr]
        assert isinstance(found, VerificationKey) is usable
        for test in group["tests"]:
            tests += 1
            valid = group["sha"] == "SHA-256" and test["result"] == "valid"
            # The wrong hash, to a verifier of SHA-512, is SHA-256: to this one it is the right one.
            expected = usable and (valid or "hashed with SHA-256 instead" in test["comment"])
            signature, message = bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])
            got = isinstance(found, VerificationKey) and found.verify(signature, message)
            assert got is expected, test["tcId"]
            accepted += got
    assert tests >= 33
    assert bool(accepted) is (name != OTHERS[1])


def cookbook(folder: str) -> list[Path]:
    return sorted((VECTORS / "rfc7520-cookbook").glob(folder))


def tokens(value: Any) -> list[Any]:
    """Every serialization that a cookbook file shows."""
    output = value.get("output", {})
    found = [output.get(kind) for kind in ("compact", "json", "json_flat")]
    found += [test.get(kind) for test in value.get("tests", []) for kind in ("compact", "flattened_json")]
    return [token if isinstance(token, str) else json.dumps(token) for token in found if token]


def test_cookbook_rs256() -> None:
    example = load("rfc7520-cookbook/jws/4_1.rsa_v15_signature.json")
    keys = jwk_set.key_set({"keys": [public(example["input"]["key"])]}, 64)
    assert [verifies(token, keys) for token in tokens(example)] == [True, False, False]


REFUSED = [*cookbook("jws/4_[2-8]*"), *cookbook("jwe/*"), *cookbook("6.*"), *cookbook("rfc7797/*")]


@pytest.mark.parametrize("path", [*REFUSED, VECTORS / "joserfc" / "jws_rfc7797.json"], ids=lambda path: path.stem)
def test_what_is_not_rs256_is_refused(path: Path) -> None:
    example = json.loads(path.read_text())
    key = example.get("input", {}).get("key", {"kty": "oct"})
    keys = jwk_set.key_set({"keys": key if isinstance(key, list) else [key]}, 64)
    assert not any(verifies(token, keys) for token in tokens(example))


@pytest.mark.parametrize("path", cookbook("jwk/*"), ids=lambda path: path.stem)
def test_only_the_public_rsa_key_of_the_cookbook_is_usable(path: Path) -> None:
    key = json.loads(path.read_text())
    found = jwk_set.key_set({"keys": [key]}, 64).find("RS256", key["kid"], ("RS256",))
    assert isinstance(found, VerificationKey) is (path.stem == "3_3.rsa_public_key")


@pytest.mark.parametrize(
    ("name", "usable"),
    [
        ("pyjwt/jwk_keyset_only_unknown_alg.json", 0),
        ("authlib/jwks_public.json", 2),
        ("authlib/jwks_private.json", 0),
        ("spring-security/OAuth2ResourceServerBeanDefinitionParserTests-Default.jwks", 0),
        ("spring-security/OAuth2ResourceServerBeanDefinitionParserTests-TwoKeys.jwks", 0),
        ("spring-security/OAuth2ResourceServerBeanDefinitionParserTests-Empty.jwks", 0),
    ],
)
def test_the_sets_of_others(name: str, usable: int) -> None:
    keys = jwk_set.key_set(load(name), 64)
    assert sum(member.keys != () for member in keys.members) == usable
    if "spring" in name and "Empty" not in name:
        assert all("private members" in str(member.fault) for member in keys.members)


def test_a_key_of_an_unknown_alg_costs_itself_only() -> None:
    keys = jwk_set.key_set(load("pyjwt/jwk_keyset_with_unknown_alg.json"), 64)
    assert [member.keys != () for member in keys.members].count(True) >= 1
    assert [member.fault is not None for member in keys.members].count(True) >= 1


def test_single_keys_of_others() -> None:
    usable = {"pyjwt/jwk_rsa_pub.json": True, "pyjwt/jwk_rsa_key.json": False, "pyjwt/jwk_hmac.json": False}
    for name, expected in usable.items():
        [member] = jwk_set.key_set({"keys": [load(name)]}, 64).members
        assert (member.keys != ()) is expected, name
    with pytest.raises(ValueError, match="not JSON"):
        jwk_set.loads_key_set((VECTORS / "pyjwt" / "jwk_empty.json").read_bytes(), 64)


# Two y_ files hold a member twice, which is refused here on purpose.
TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


@pytest.mark.parametrize(
    "path", sorted((VECTORS / "jsontestsuite" / "test_parsing").iterdir()), ids=lambda path: path.stem
)
def test_json(path: Path) -> None:
    """As the value of a member, because only objects are read; never another error than ValueError."""
    wrapped = b'{"value": ' + path.read_bytes() + b"}"
    kind = path.name[0]
    try:
        strict_json.loads_object(wrapped)
        accepted = True
    except ValueError as error:
        accepted = False
        if path.name in TWICE:
            assert "twice" in str(error)
    if kind == "y":
        assert accepted is (path.name not in TWICE)
    if kind == "n":
        assert not accepted
