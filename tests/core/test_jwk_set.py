"""Step 4: from a document to one key."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512

from private_key_jwt import InvalidClient, Reason
from private_key_jwt._core import jwk_set
from private_key_jwt._core.jwk_set import KeySet, VerificationKey
from support import integer, jwk, private_key

GOOD = jwk(kid="good")


def keys(*members: Any) -> KeySet:
    return jwk_set.key_set({"keys": list(members)}, 64)


def found(key_set: KeySet, kid: str | None) -> VerificationKey | Reason:
    return key_set.find("RS256", kid)


def nested(levels: int) -> Any:
    return {"deep": nested(levels - 1)} if levels else 1


ODD_MEMBERS: dict[str, Any] = {
    "no object": 1,
    "null": None,
    "a list": [],
    "empty": {},
    "kty a number": jwk(kty=1),
    "kty absent": jwk(kty=...),
    "n not base64url": jwk(n="!!!"),
    "n a number": jwk(n=5),
    "n absent": jwk(n=...),
    "use a number": jwk(use=1),
    "use enc": jwk(use="enc"),
    "use null": jwk(use=None),
    "alg a number": jwk(alg=1),
    "alg PS256": jwk(alg="PS256"),
    "alg RS512": jwk(alg="RS512"),
    "alg RSA-OAEP": jwk(alg="RSA-OAEP"),
    "key_ops a string": jwk(key_ops="verify"),
    "key_ops encrypt": jwk(key_ops=["encrypt"]),
    "key_ops odd": jwk(key_ops=[{"verify": 1}, ["verify"], None]),
    "oct": {"kty": "oct", "kid": "k1", "k": "AAAA"},
    "oct, empty": {"kty": "oct", "kid": "k1", "k": ""},
    "EC": {"kty": "EC", "kid": "k1", "crv": "P-256", "x": "AA", "y": "AA"},
    "unknown curve": {"kty": "OKP", "kid": "k1", "crv": "brainpool", "x": "AA"},
    "e of 2048 bits": jwk(e=integer(2**2_047 + 1)),
    "e = 3": jwk(e="Aw"),
    "1024 bits": jwk(private_key(bits=1_024)),
    "nested": jwk(n=nested(20)),
    "kid a number": jwk(kid=1),
    "kid null": jwk(kid=None),
    "kid empty": jwk(kid=""),
    "kid of 257 bytes": jwk(kid="k" * 257),
    "kid of 129 characters and 258 bytes": jwk(kid="é" * 129),
    "kid a lone surrogate": jwk(kid="\ud800"),
} | {f"private {name}": jwk(**{name: "AA"}) for name in jwk_set.PRIVATE_MEMBERS}


@pytest.mark.parametrize("name", ODD_MEMBERS)
def test_an_odd_member_costs_itself_only(name: str) -> None:
    odd = ODD_MEMBERS[name]
    for key_set in (keys(odd, GOOD), keys(GOOD, odd)):
        key = found(key_set, "good")
        assert isinstance(key, VerificationKey)
        assert found(key_set, None) is key
        assert [member.fault is None for member in key_set.members].count(True) == 1
    assert found(keys(odd), None) is Reason.UNUSABLE_KEY
    if isinstance(odd, dict) and odd.get("kid") == "k1":
        assert found(keys(odd, GOOD), "k1") is Reason.UNUSABLE_KEY


@pytest.mark.parametrize(
    "changes",
    [
        {"use": ..., "alg": ...},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"x5c": ["not a certificate"], "x5u": "http://169.254.169.254/", "x5t": 1},
        {"exp": 1, "revoked": {"revoked_at": 1}, "foo": None},
        {"kid": "é" * 128},
    ],
)
def test_a_key_that_says_nothing_against_it_is_usable(changes: dict[str, Any]) -> None:
    member = jwk(**changes)
    assert isinstance(found(keys(member), member["kid"]), VerificationKey)


def test_a_kid_names_one_key_exactly() -> None:
    key_set = keys(jwk(kid="a"), jwk(private_key(1), kid="A"))
    first, second = found(key_set, "a"), found(key_set, "A")
    assert isinstance(first, VerificationKey)
    assert isinstance(second, VerificationKey)
    assert first.public_key != second.public_key
    for kid in ("b", "a ", "", "k1' OR '1'='1", "../../../dev/null", "__proto__"):
        assert found(key_set, kid) is Reason.UNKNOWN_KID


def test_two_different_keys_under_one_kid_are_nobodys() -> None:
    pair = [jwk(), jwk(private_key(1))]
    assert found(keys(*pair), "k1") is Reason.AMBIGUOUS_KEY
    assert found(keys(*reversed(pair)), "k1") is Reason.AMBIGUOUS_KEY


def test_the_same_key_listed_twice_is_one_key() -> None:
    key_set = keys(jwk(), jwk(alg=...))
    assert isinstance(found(key_set, "k1"), VerificationKey)
    assert isinstance(found(key_set, None), VerificationKey)


def test_an_unusable_namesake_is_passed_over() -> None:
    for odd in (jwk(private_key(1), use="enc"), ODD_MEMBERS["EC"]):
        assert isinstance(found(keys(odd, jwk()), "k1"), VerificationKey)
        assert isinstance(found(keys(jwk(), odd), "k1"), VerificationKey)


def test_without_a_kid_there_must_be_one_usable_key() -> None:
    assert isinstance(found(keys(jwk(kid=...)), None), VerificationKey)
    assert isinstance(found(keys(jwk()), None), VerificationKey)
    assert found(keys(jwk(), jwk(private_key(1), kid="k2")), None) is Reason.AMBIGUOUS_KEY
    assert found(keys(jwk(use="enc")), None) is Reason.UNUSABLE_KEY
    assert found(keys(), None) is Reason.NO_KEYS


def test_a_key_without_a_kid_has_no_name() -> None:
    assert found(keys(jwk(kid=...)), "k1") is Reason.UNKNOWN_KID


def test_a_set_says_how_many_keys_are_usable() -> None:
    assert repr(keys(jwk(), jwk(use="enc"))) == "<KeySet: 1 of 2 usable>"


def test_a_set_does_not_change_with_what_it_was_made_of() -> None:
    members = jwk_set.read_member(jwk())
    key_set = KeySet(members)
    members.clear()
    assert len(key_set.members) == len(key_set.usable) == 1


def test_an_empty_set_has_no_keys() -> None:
    assert found(keys(), "k1") is Reason.NO_KEYS


def test_a_key_verifies_its_signatures_only() -> None:

    key = found(keys(jwk()), "k1")
    assert isinstance(key, VerificationKey)
    signature = private_key().sign(b"x", PKCS1v15(), SHA256())
    assert key.verify(signature, b"x") is True
    assert key.verify(signature, b"y") is False
    assert not key.verify(signature[:-1], b"x")
    assert not key.verify(b"", b"x")
    assert not key.verify(private_key().sign(b"x", PKCS1v15(), SHA512()), b"x")
    assert not key.verify(private_key(1).sign(b"x", PKCS1v15(), SHA256()), b"x")


@pytest.mark.parametrize(
    "document",
    [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"Keys": []}, jwk(), {"keys": 1}],
)
def test_a_document_that_is_no_jwk_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a JWK Set"):
        jwk_set.loads_key_set(json.dumps(document).encode(), 64)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"x", b"<html>", b'{"keys": [], "keys": []}', b'{"keys": []}x'])
def test_a_body_that_is_no_strict_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON|twice"):
        jwk_set.loads_key_set(body, 64)


def test_other_members_of_a_document_are_ignored() -> None:
    assert len(jwk_set.loads_key_set(json.dumps({"keys": [jwk()], "x": 1}).encode(), 64).members) == 1


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_members_of_a_document_are_a_list_of_their_own(kind: Any) -> None:
    document = {"keys": kind([1])}
    jwk_set.read_document(document, 64).append(2)
    assert jwk_set.read_document(document, 64) == [1]


def test_too_many_keys_refuse_the_document() -> None:
    assert len(keys(*[1] * 64).members) == 64
    with pytest.raises(ValueError, match="at most 64 keys"):
        keys(*[1] * 65)


def test_faults_say_what_is_wrong_and_quote_nothing_secret() -> None:
    [member] = keys(jwk(d="c2VjcmV0", kid="\x1b[31mred")).members
    assert member.fault is not None
    assert "PRIVATE" in member.fault
    assert "c2VjcmV0" not in member.fault
    [member] = keys(jwk(use="\x1b[31m\nred")).members
    assert member.fault == r"use is '\x1b[31m\nred', not sig"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"kty": "EC"}, "kty is 'EC', not RSA"),
        ({"alg": "PS256"}, "alg is 'PS256', not RS256"),
        ({"key_ops": ["sign"]}, "key_ops does not hold verify"),
        ({"kid": ""}, "kid is no string, or empty"),
        ({"kid": "k" * 257}, "kid has more than 256 bytes"),
    ],
)
def test_a_fault_says_what_was_expected(changes: dict[str, Any], fault: str) -> None:
    assert [member.fault for member in keys(jwk(**changes)).members] == [fault]


@pytest.mark.parametrize("reason", [Reason.UNKNOWN_KID, Reason.NO_KEYS, Reason.UNUSABLE_KEY, Reason.AMBIGUOUS_KEY])
def test_a_refusal_names_the_kid_for_the_log(reason: Reason) -> None:
    refusal = jwk_set.refusal(reason, "k\n1")
    assert isinstance(refusal, InvalidClient)
    assert refusal.reason is reason
    assert r"'k\n1'" in refusal.detail
    assert "without kid" in jwk_set.refusal(reason, None).detail


@pytest.mark.parametrize("name", ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"])
def test_each_private_member_makes_a_key_unusable(name: str) -> None:
    (member,) = keys(jwk(**{name: "AQAB"})).members
    assert member.key is None
    assert member.fault == f"PRIVATE members are published: {name}"


def test_keys_are_the_same_when_what_is_published_is() -> None:
    one, other = (found(keys(jwk()), "k1") for _ in range(2))
    assert one is not other
    assert one == other  # a refreshed set tells of no key that came or went
    assert "verify" not in repr(one)


@pytest.mark.parametrize("odd", [None, 1, "d", ["d"], [1]])
def test_what_is_no_object_has_no_private_members(odd: Any) -> None:
    assert jwk_set.private_members(odd) == []


def test_a_member_that_is_no_object_says_so() -> None:
    assert [member.fault for member in keys(1, None, "x", []).members] == ["no JSON object"] * 4


@pytest.mark.parametrize(
    ("reason", "kid", "detail"),
    [
        (Reason.UNKNOWN_KID, "k", "kid 'k': not in the client's key set"),
        (Reason.AMBIGUOUS_KEY, None, "an assertion without kid: several keys fit, and exactly one must"),
        (
            Reason.NO_KEYS,
            "k",
            "kid 'k': the client's key set is empty (LedgerBee: is its slug right, has it a signing key?)",
        ),
        (Reason.UNUSABLE_KEY, "k", "kid 'k': no usable key of that name (`private-key-jwt jwks` shows the faults)"),
    ],
)
def test_a_refusal_says_what_to_look_at(reason: Reason, kid: str | None, detail: str) -> None:
    error = jwk_set.refusal(reason, kid)
    assert (error.reason, error.detail, error.check) == (reason, detail, "key")
