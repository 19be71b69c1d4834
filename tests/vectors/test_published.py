"""Wycheproof, the JOSE cookbook, JSONTestSuite, and the key sets of other libraries' tests."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from private_key_jwt import InvalidClient
from private_key_jwt._core import base64url, compact, header, jwk_set, strict_json
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.jwk_set import KeySet, VerificationKey
from support import b64, integer

VECTORS = Path(os.environ["JOSE_VECTORS"])
PROFILE = json.loads((VECTORS / "rs256-profile.json").read_text())

# Valid as a JWS, and refused here: an assertion has claims, so no segment of it is empty.
EMPTY_PAYLOAD = {259, 264, 268, 272, 320, 325}
# Marked valid, and not: the profile says why of each.
DEFECTIVE = {"json_web_signature_test.json": {346, 347, 350, 351, 372, 373}}

# How many tests each file holds: a key or a key set is one, and each serialization of a token is.
# The 318 JSON texts are counted as their folder.
FILES = {
    "authlib/jwks_private.json": 1,
    "authlib/jwks_public.json": 1,
    "authlib/thumbprint_example.json": 1,
    "joserfc/jws_rfc7797.json": 8,
    "pyjwt/jwk_empty.json": 1,
    "pyjwt/jwk_hmac.json": 1,
    "pyjwt/jwk_keyset_only_unknown_alg.json": 1,
    "pyjwt/jwk_keyset_with_unknown_alg.json": 1,
    "pyjwt/jwk_rsa_key.json": 1,
    "pyjwt/jwk_rsa_pub.json": 1,
    "rfc7520-cookbook/jwk/3_1.ec_public_key.json": 1,
    "rfc7520-cookbook/jwk/3_2.ec_private_key.json": 1,
    "rfc7520-cookbook/jwk/3_3.rsa_public_key.json": 1,
    "rfc7520-cookbook/jwk/3_4.rsa_private_key.json": 1,
    "rfc7520-cookbook/jwk/3_5.symmetric_key_mac_computation.json": 1,
    "rfc7520-cookbook/6.nesting_signatures_and_encryption.json": 4,
    "rfc7520-cookbook/jwe/5_1.key_encryption_using_rsa_v15_and_aes-hmac-sha2.json": 3,
    "rfc7520-cookbook/jwe/5_6.direct_encryption_using_aes-gcm.json": 3,
    "rfc7520-cookbook/jwe/5_9.compressed_content.json": 3,
    "rfc7520-cookbook/jws/4_1.rsa_v15_signature.json": 3,
    "rfc7520-cookbook/jws/4_2.rsa-pss_signature.json": 3,
    "rfc7520-cookbook/jws/4_3.ecdsa_signature.json": 3,
    "rfc7520-cookbook/jws/4_4.hmac-sha2_integrity_protection.json": 3,
    "rfc7520-cookbook/jws/4_5.signature_with_detached_content.json": 3,
    "rfc7520-cookbook/jws/4_6.protecting_specific_header_fields.json": 2,
    "rfc7520-cookbook/jws/4_7.protecting_content_only.json": 2,
    "rfc7520-cookbook/jws/4_8.multiple_signatures.json": 1,
    "rfc7520-cookbook/rfc7797/4.2.hmac-sha2_b64_false.json": 2,
    "rfc7520-cookbook/rfc7797/hmac-sha2_b64_false.json": 3,
    "spring-security/OAuth2ResourceServerBeanDefinitionParserTests-Default.jwks": 1,
    "spring-security/OAuth2ResourceServerBeanDefinitionParserTests-Empty.jwks": 1,
    "spring-security/OAuth2ResourceServerBeanDefinitionParserTests-TwoKeys.jwks": 1,
    "wycheproof/ecdsa_secp256r1_sha256_p1363_test.json": 262,
    "wycheproof/ecdsa_secp384r1_sha384_p1363_test.json": 280,
    "wycheproof/ecdsa_secp521r1_sha512_p1363_test.json": 318,
    "wycheproof/ed25519_test.json": 151,
    "wycheproof/json_web_crypto_test.json": 83,
    "wycheproof/json_web_encryption_test.json": 139,
    "wycheproof/json_web_key_test.json": 26,
    "wycheproof/json_web_signature_test.json": 401,
    "wycheproof/rsa_pkcs1_1024_sig_gen_test.json": 33,
    "wycheproof/rsa_pkcs1_2048_sig_gen_test.json": 43,
    "wycheproof/rsa_pss_2048_sha256_mgf1_0_test.json": 103,
    "wycheproof/rsa_pss_2048_sha256_mgf1_32_test.json": 108,
    "wycheproof/rsa_pss_2048_sha256_mgf1sha1_20_test.json": 108,
    "wycheproof/rsa_pss_2048_sha384_mgf1_48_test.json": 141,
    "wycheproof/rsa_pss_3072_sha256_mgf1_32_test.json": 108,
    "wycheproof/rsa_pss_4096_sha256_mgf1_32_test.json": 108,
    "wycheproof/rsa_pss_4096_sha384_mgf1_48_test.json": 141,
    "wycheproof/rsa_pss_4096_sha512_mgf1_64_test.json": 179,
    "wycheproof/rsa_signature_2048_sha256_test.json": 259,
    "wycheproof/rsa_signature_2048_sha384_test.json": 258,
    "wycheproof/rsa_signature_2048_sha512_test.json": 259,
    "wycheproof/rsa_signature_3072_sha256_test.json": 259,
    "wycheproof/rsa_signature_3072_sha384_test.json": 259,
    "wycheproof/rsa_signature_3072_sha512_test.json": 260,
    "wycheproof/rsa_signature_4096_sha256_test.json": 258,
    "wycheproof/rsa_signature_4096_sha512_test.json": 259,
    "wycheproof/rsa_signature_8192_sha256_test.json": 258,
    "jsontestsuite/test_parsing": 318,
}


Count = Callable[[str, int], None]


@pytest.fixture
def count(record_property: Callable[[str, object], None]) -> Count:
    """Tell how many tests of a file ran: as many as ``FILES`` says, so that none is read with no test in it."""

    def ran(name: str, tests: int) -> None:
        record_property("vectors", (name, tests))
        assert tests == FILES[name], name

    return ran


def load(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


def wycheproof(beginning: str) -> list[str]:
    return [name for name in FILES if name.startswith(f"wycheproof/{beginning}")]


def public(jwk: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if name not in jwk_set.PRIVATE_MEMBERS or jwk["kty"] == "oct"}


def test_every_file_is_listed() -> None:
    """What is there and not listed would be run by nobody; what is listed and not there fails its own test."""
    there = {path.relative_to(VECTORS).as_posix() for path in VECTORS.rglob("*.j*") if "LICENSES" not in path.parts}
    assert there - {"rs256-profile.json"} == {
        *(set(FILES) - {"jsontestsuite/test_parsing"}),
        *(name for name in there if name.startswith("jsontestsuite/test_parsing/")),
    }


# Tokens


def keys_of(group: dict[str, Any]) -> KeySet:
    source = group.get("public") or group["private"]
    members = source.get("keys", [source])
    return jwk_set.key_set({"keys": [public(member) for member in members]}, 64)


def verifies(token: Any, keys: KeySet, *allowed: str) -> bool:
    """The recipe without its claims: a signature over the token, by the key and the algorithm that it names."""
    try:
        header_segment, _, signature, signing_input = compact.split(token, 1_000_000)
        head = header.parse(header_segment)
    except InvalidClient:
        return False
    if head.alg not in allowed:
        return False
    key = keys.find(head.alg, head.kid, (head.alg,))
    return isinstance(key, VerificationKey) and key.verify(base64url.decode_canonical(signature), signing_input)


@pytest.mark.parametrize("name", wycheproof("json_web"))
def test_wycheproof_jose(name: str, count: Count) -> None:
    """With RS256 alone, what the profile accepts; with all algorithms, what is valid and not an HMAC or a JWE."""
    file = name.removeprefix("wycheproof/")
    rs256, accepted, valid, tests = set(), set(), set(), 0
    for group in load(name)["testGroups"]:
        keys = keys_of(group)
        for test in group["tests"]:
            tests += 1
            token = test.get("jws") or test.get("jwe")
            if verifies(token, keys, "RS256"):
                rs256.add(test["tcId"])
            if verifies(token, keys, *ALGORITHMS):
                accepted.add(test["tcId"])
            if test["result"] == "valid" and names_signature(token):
                valid.add(test["tcId"])
    empty = EMPTY_PAYLOAD if "signature" in file else set()
    assert rs256 == set(PROFILE[file]["accept"]) - empty
    assert accepted == valid - empty - DEFECTIVE.get(file, set())
    count(name, tests)


def names_signature(token: str) -> bool:
    """Whether a token is a JWS, and its header names one of our algorithms."""
    segments = token.split(".")
    try:
        head = json.loads(base64url.decode(segments[0].encode()))
    except ValueError:
        return True  # marked valid all the same: it is among the defective
    return len(segments) == 3 and head.get("alg") in ALGORITHMS


# Signatures


def one_key(jwk: dict[str, Any], alg: str) -> VerificationKey | None:
    found = jwk_set.key_set({"keys": [jwk]}, 64).find(alg, None, (alg,))
    return found if isinstance(found, VerificationKey) else None


def rsa_jwk(group: dict[str, Any]) -> dict[str, Any]:
    """From the numbers: some groups have no JWK, and none has one for another algorithm."""
    key = load_pem_public_key((group.get("publicKeyPem") or group["keyPem"]).encode())
    assert isinstance(key, RSAPublicKey)
    numbers = key.public_numbers()
    return {"kty": "RSA", "n": integer(numbers.n), "e": integer(numbers.e)}


def is_usable(jwk: dict[str, Any]) -> bool:
    """Pinned: an exponent under 65537 is refused, though RFC 8017 allows 3; and less than 2048 bits are."""
    n, e = (int.from_bytes(base64url.decode(jwk[name].encode()), "big") for name in "ne")
    return n.bit_length() >= 2_048 and e >= 65_537


def cases_of(group: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bytes, bytes]]:
    for test in group["tests"]:
        yield test, bytes.fromhex(test["sig"]), bytes.fromhex(test["msg"])


def says_hashed_with(comment: str) -> str | None:
    """The hash that a forgery was made with: to a verifier of that hash it is a signature."""
    return comment.partition("hashed with ")[2].partition(" instead")[0] or None


@pytest.mark.parametrize("name", [*wycheproof("rsa_signature"), *wycheproof("rsa_pkcs1")])
def test_wycheproof_pkcs1(name: str, count: Count) -> None:
    """Each signature verifies under the algorithm of its hash, and under neither of the other two."""
    tests = accepted = 0
    for group in load(name)["testGroups"]:
        jwk = rsa_jwk(group)
        keys = {alg: one_key(jwk, alg) for alg in ("RS256", "RS384", "RS512")}
        assert all((key is not None) is is_usable(jwk) for key in keys.values())
        for test, signature, message in cases_of(group):
            tests += 1
            for alg, key in keys.items():
                hash_name = f"SHA-{alg[2:]}"
                # "acceptable" is a DigestInfo without NULL, and signatures of 1024 bits and of SHA-1: refused.
                valid = group["sha"] == hash_name and test["result"] == "valid"
                forged = says_hashed_with(test["comment"]) == hash_name
                expected = key is not None and (valid or forged)
                assert (key is not None and key.verify(signature, message)) is expected, (test["tcId"], alg)
                accepted += expected
    assert bool(accepted) is ("1024" not in name)
    count(name, tests)


@pytest.mark.parametrize("name", wycheproof("rsa_pss"))
def test_wycheproof_pss(name: str, count: Count) -> None:
    """A signature verifies only with a salt as long as the hash, and MGF1 with that hash."""
    tests = accepted = 0
    for group in load(name)["testGroups"]:
        jwk = rsa_jwk(group)
        bits = group["sha"].removeprefix("SHA-")
        size, own_mgf = int(bits) // 8, group["mgfSha"] == group["sha"]
        keys = {alg: one_key(jwk, alg) for alg in ("PS256", "PS384", "PS512")}
        assert all((key is not None) is is_usable(jwk) for key in keys.values())
        for test, signature, message in cases_of(group):
            tests += 1
            for alg, key in keys.items():
                # A salt changed to the size of the hash is a forgery of another scheme, and a signature of this one.
                valid = group["sLen"] == size and test["result"] == "valid"
                fits = own_mgf and (valid or test["comment"] == f"s_len changed to {size}")
                expected = key is not None and fits and alg == f"PS{bits}"
                assert (key is not None and key.verify(signature, message)) is expected, (test["tcId"], alg)
                accepted += expected
    assert accepted == 0 if "sha1" in name else accepted == 1 if "mgf1_0" in name else accepted > 60
    count(name, tests)


CURVES = {"ecdsa_secp256r1": "ES256", "ecdsa_secp384r1": "ES384", "ecdsa_secp521r1": "ES512", "ed25519": "Ed25519"}


def curve_jwk(group: dict[str, Any]) -> dict[str, Any]:
    key = load_pem_public_key(group["publicKeyPem"].encode())
    if isinstance(key, Ed25519PublicKey):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(key.public_bytes_raw())}
    assert isinstance(key, EllipticCurvePublicKey)
    point, size = key.public_numbers(), (key.key_size + 7) // 8
    x, y = (b64(coordinate.to_bytes(size, "big")) for coordinate in (point.x, point.y))
    return {"kty": "EC", "crv": {256: "P-256", 384: "P-384", 521: "P-521"}[key.key_size], "x": x, "y": y}


@pytest.mark.parametrize("name", [*wycheproof("ecdsa"), *wycheproof("ed25519")])
def test_wycheproof_curves(name: str, count: Count) -> None:
    alg = next(alg for curve, alg in CURVES.items() if curve in name)
    tests = accepted = 0
    for group in load(name)["testGroups"]:
        jwk = curve_jwk(group)
        key = one_key(jwk, alg)
        assert key is not None
        assert all(one_key(jwk, other) is None for other in CURVES.values() if other != alg)
        for test, signature, message in cases_of(group):
            tests += 1
            assert key.verify(signature, message) is (test["result"] == "valid"), test["tcId"]
            accepted += test["result"] == "valid"
    assert accepted > 80
    count(name, tests)


# The cookbook (RFC 7520)


def tokens(value: Any) -> list[Any]:
    """Every serialization that a cookbook file shows."""
    parts = [value.get("output"), value.get("sign", {}).get("output"), value.get("encrypt", {}).get("output")]
    found = [output.get(kind) for output in parts if output for kind in ("compact", "json", "json_flat")]
    found += [test.get(kind) for test in value.get("tests", []) for kind in ("compact", "flattened_json")]
    return [token if isinstance(token, str) else json.dumps(token) for token in found if token]


SIGNED = {"4_1.rsa_v15_signature": "RS256", "4_2.rsa-pss_signature": "PS384", "4_3.ecdsa_signature": "ES512"}
TOKENS = [name for name in FILES if name.startswith(("rfc7520-cookbook", "joserfc")) and "/jwk/" not in name]


@pytest.mark.parametrize("name", TOKENS)
def test_only_the_compact_signatures_of_the_cookbook_are_accepted(name: str, count: Count) -> None:
    """Refused: HMAC, JSON serializations, detached, nested and unencoded payloads, and everything encrypted."""
    example = load(name)
    key = example.get("input", {}).get("key") or example.get("sign", {}).get("input", {}).get("key", {"kty": "oct"})
    keys = jwk_set.key_set({"keys": list(map(public, key)) if isinstance(key, list) else [public(key)]}, 64)
    shown = tokens(example)
    accepted = [verifies(token, keys, *ALGORITHMS) for token in shown]
    alg = SIGNED.get(Path(name).stem)
    if alg is not None or "nesting" in name:
        assert accepted == [True] + [False] * (len(shown) - 1)
    else:
        assert not any(accepted)
    assert [verifies(token, keys, "RS256") for token in shown].count(True) == (alg == "RS256")
    count(name, len(shown))


@pytest.mark.parametrize("name", [name for name in FILES if "/jwk/" in name])
def test_only_the_public_keys_of_the_cookbook_are_usable(name: str, count: Count) -> None:
    [member] = jwk_set.key_set({"keys": [load(name)]}, 64).members
    expected = {"3_1.ec_public_key": ("ES512",), "3_3.rsa_public_key": tuple(list(ALGORITHMS)[:6])}
    assert member.algs == expected.get(Path(name).stem, ())
    count(name, 1)


# The keys of other libraries' tests


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
def test_the_sets_of_others(name: str, usable: int, count: Count) -> None:
    keys = jwk_set.key_set(load(name), 64)
    assert len(keys.usable) == usable
    if "spring" in name and "Empty" not in name:
        assert all("private members" in str(member.fault) for member in keys.members)
    count(name, 1)


def test_a_key_of_an_unknown_alg_costs_itself_only(count: Count) -> None:
    name = "pyjwt/jwk_keyset_with_unknown_alg.json"
    keys = jwk_set.key_set(load(name), 64)
    assert 1 <= len(keys.usable) < len(keys.members)
    count(name, 1)


def test_single_keys_of_others(count: Count) -> None:
    usable = {"pyjwt/jwk_rsa_pub.json": True, "pyjwt/jwk_rsa_key.json": False, "pyjwt/jwk_hmac.json": False}
    for name, expected in usable.items():
        [member] = jwk_set.key_set({"keys": [load(name)]}, 64).members
        assert (member.keys != ()) is expected, name
        count(name, 1)
    empty = "pyjwt/jwk_empty.json"
    with pytest.raises(ValueError, match="JSON"):
        jwk_set.loads_key_set((VECTORS / empty).read_bytes(), 64)
    count(empty, 1)


def test_the_thumbprint_of_rfc_7638(count: Count) -> None:
    """RFC 7638 §3.1."""
    name = "authlib/thumbprint_example.json"
    [member] = jwk_set.key_set({"keys": [load(name)]}, 64).members
    assert [key.thumbprint for key in member.keys] == ["NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"]
    count(name, 1)


# JSON

# Two y_ files hold a member twice, which is refused here on purpose.
TWICE = {"y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"}


def test_json(count: Count) -> None:
    """As the value of a member, because only objects are read; never another error than ValueError."""
    paths = sorted((VECTORS / "jsontestsuite" / "test_parsing").iterdir())
    for path in paths:
        wrapped = b'{"value": ' + path.read_bytes() + b"}"
        try:
            strict_json.loads_object(wrapped)
            accepted = True
        except ValueError as error:
            accepted = False
            assert ("twice" in str(error)) is (path.name in TWICE), path.name
        if path.name.startswith("y"):
            assert accepted is (path.name not in TWICE), path.name
        if path.name.startswith("n"):
            assert not accepted, path.name
    count("jsontestsuite/test_parsing", len(paths))
