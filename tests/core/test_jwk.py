"""One JWK: the keys it can serve as, or its fault."""

import json
from hashlib import sha256
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512
from joserfc.jwk import RSAKey

from private_key_jwt._core import jwk as jwk_module
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.jwk import READ_MEMBERS, Member, holds_surrogate, private_members, read_member
from support import b64, ec_jwk, ec_key, integer, jwk, okp_jwk, okp_key, private_key

RSA_ALGS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

# What the IANA registry "JSON Web Key Parameters" calls private.
PRIVATE = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")

# What libraries write for a member that was never set.
ABSENT = pytest.mark.parametrize("value", [None, "", [], ()])


def fault(member: object) -> str:
    read = read_member(member)
    assert read.keys == ()
    assert read.algs == ()
    assert read.alg is None
    assert read.fault is not None
    assert len(read.fault) < 300
    assert read.fault.isascii()
    return read.fault


@pytest.mark.parametrize(
    ("member", "algs", "kind"),
    [
        (jwk(alg=...), RSA_ALGS, "RSA, 2048 bits"),
        (jwk(alg="PS384"), ("PS384",), "RSA, 2048 bits"),
        (ec_jwk(ec_key("P-256")), ("ES256",), "EC, P-256"),
        (ec_jwk(ec_key("P-384")), ("ES384",), "EC, P-384"),
        (ec_jwk(ec_key("P-521"), alg="ES512"), ("ES512",), "EC, P-521"),
        (okp_jwk(okp_key()), ("Ed25519",), "OKP, Ed25519"),
        (okp_jwk(okp_key(), alg="EdDSA"), ("Ed25519",), "OKP, Ed25519"),
        (okp_jwk(okp_key(), alg="Ed25519"), ("Ed25519",), "OKP, Ed25519"),
    ],
)
def test_a_key_fits_the_algorithms_of_its_type_and_curve_or_the_one_it_names(
    member: dict[str, Any], algs: tuple[str, ...], kind: str
) -> None:
    read = read_member(member)
    assert (read.algs, read.kind, read.fault, read.kid) == (algs, kind, None, "k1")
    assert all(read.fault_for(alg, [alg]) is None for alg in algs)
    assert all(key.kid == read.kid for key in read.keys)


@pytest.mark.parametrize(
    "changes",
    [
        {"use": ..., "alg": ...},
        {"key_ops": ["verify"]},
        {"key_ops": ["sign", "verify"]},
        {"x5c": ["not a certificate"], "x5u": "http://169.254.169.254/", "x5t": 1},
        {"exp": 1, "revoked": {"revoked_at": 1}, "foo": None},
        {"kid": "é" * 128},
        {"crv": "P-256"},  # a member of another type of key says nothing
    ],
)
def test_a_key_that_says_nothing_against_it_is_usable(changes: dict[str, Any]) -> None:
    assert read_member(jwk(**changes)).fault is None


@ABSENT
@pytest.mark.parametrize("name", ["use", "alg", "key_ops", *PRIVATE, "x5c", "x5t", "crv"])
def test_a_member_without_a_value_counts_as_absent(name: str, value: Any) -> None:
    changes: dict[str, Any] = {name: value}
    read = read_member(jwk(**changes))
    assert read.fault is None
    assert private_members(jwk(**changes)) == []
    assert read == read_member(jwk(**{name: ...}))


@pytest.mark.parametrize("value", [None, ""])
def test_a_kid_without_a_value_counts_as_absent(value: Any) -> None:
    read = read_member(jwk(kid=value))
    assert (read.kid, read.fault) == (None, None)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"use": "enc"}, "its use is 'enc', not sig"),
        ({"use": "Sig"}, "its use is 'Sig', not sig"),
        ({"use": 0}, "its use is 0, not sig"),
        ({"use": False}, "its use is false, not sig"),
        ({"use": {}}, "its use is {}, not sig"),
        ({"alg": "RSA-OAEP"}, "its alg is 'RSA-OAEP', not one of RS256"),
        ({"alg": 0}, "its alg is 0, not one of RS256"),
        ({"alg": ["RS256"]}, "its alg is ['RS256'], not one of RS256"),
        ({"alg": "none"}, "its alg is 'none', not one of RS256"),
        ({"alg": "HS256"}, "its alg is 'HS256', not one of RS256, RS384"),
        ({"key_ops": ["sign"]}, "its key_ops is ['sign'], and must hold verify"),
        ({"key_ops": "verify"}, "its key_ops is 'verify', and must hold verify"),
        ({"key_ops": [None]}, "its key_ops is [null], and must hold verify"),
        ({"key_ops": {}}, "its key_ops is {}, and must hold verify"),
        ({"kid": 1}, "its kid is the number 1, not a string (RFC 7517 section 4.5)"),
        ({"kid": 1.5}, "its kid is the number 1.5, not a string (RFC 7517 section 4.5)"),
        ({"kid": True}, "its kid is true, not a string (RFC 7517 section 4.5)"),
        ({"kid": []}, "its kid is [], not a string (RFC 7517 section 4.5)"),
        ({"kid": "k" * 257}, "its kid has 257 bytes, and at most 256 are taken"),
        ({"kid": "é" * 129}, "its kid has 258 bytes, and at most 256 are taken"),
        ({"kid": "\ud800"}, r"its kid '\ud800' holds a lone surrogate"),
        ({"kty": None}, "its kty is absent, not one of RSA, EC, OKP"),
        ({"kty": "rsa"}, "its kty is 'rsa', not one of RSA, EC, OKP"),
        ({"kty": 1}, "its kty is 1, not one of RSA, EC, OKP"),
        ({"kty": "EC"}, "its alg is 'RS256', which takes kty RSA, and its kty is EC"),
        ({"kty": "EC", "alg": None}, "crv is absent, not one of P-256, P-384, P-521"),
        ({"n": None}, "n is absent"),
        ({"n": ""}, "n is absent"),
        ({"n": None, "e": None, "x5c": ["MII"]}, "n is absent, only a certificate (x5c), which is not looked at"),
        ({"e": "Aw"}, "e is 3, and must be an odd number from 65537 to 2^32"),
        ({"n": "AQAB,"}, "n is not base64url: ',' at character 5 of 5: only A-Z a-z 0-9 - _ may stand there"),
        ({"n": "\ud800"}, "it holds a lone surrogate"),
        ({"x": ["a", {"b": "\ud800"}]}, "it holds a lone surrogate"),
        ({"d": "AQAB"}, "it holds private members: d (whoever reads them can sign: replace the key)"),
    ],
)
def test_a_fault_says_what_is_wrong(changes: dict[str, Any], why: str) -> None:
    assert fault(jwk(**changes)).startswith(why)


@pytest.mark.parametrize(
    ("member", "why"),
    [
        (ec_jwk(ec_key("P-384"), alg="ES256"), "its alg is 'ES256', which takes crv P-256, and its crv is 'P-384'"),
        (ec_jwk(ec_key("secp256k1"), crv="secp256k1", alg="ES256K"), "its alg is 'ES256K', not one of"),
        (ec_jwk(ec_key("secp256k1"), crv="secp256k1"), "crv is 'secp256k1', not one of P-256, P-384, P-521"),
        (okp_jwk(okp_key(), crv="X25519"), "crv is 'X25519', not Ed25519"),
        (okp_jwk(okp_key(), crv="Ed448", alg="EdDSA"), "its alg is 'EdDSA', which takes crv Ed25519"),
        ({"kty": "oct", "k": "AAAA"}, "it holds private members: k"),
        ({"kty": "oct", "k": ""}, "its kty is 'oct', not one of"),
        ({}, "its kty is absent, not one of"),
        (None, "it is no JSON object"),
        ("\n-----BEGIN PUBLIC KEY-----", "it is PEM, and must be a JWK"),
        ('{"kty": "RSA"}', "it is JSON within a text, and must be an object"),
        ({"Kty": "RSA", "N": "AQAB", 7: 8}, "it has 'Kty': the names of members are written in lower case"),
        ({7: 8}, "its kty is absent, not one of RSA, EC, OKP"),
        (1, "it is no JSON object"),
        ([], "it is no JSON object"),
        ("x", "it is no JSON object"),
    ],
)
def test_a_fault_of_another_type_of_key_says_what_is_wrong(member: object, why: str) -> None:
    assert fault(member).startswith(why)


@pytest.mark.parametrize("name", PRIVATE)
@pytest.mark.parametrize("value", ["AQAB", 0, 1, False, [{}], {}, " "])
def test_a_private_member_with_any_value_makes_a_key_unusable(name: str, value: Any) -> None:
    changes: dict[str, Any] = {name: value}
    assert private_members(jwk(**changes)) == [name]
    assert fault(jwk(**changes)).startswith(f"it holds private members: {name} ")


@pytest.mark.parametrize("odd", [None, 1, "d", ["d"], [1]])
def test_what_is_no_object_has_no_private_members(odd: Any) -> None:
    assert private_members(odd) == []


def test_a_fault_quotes_nothing_secret_and_no_control_characters() -> None:
    assert "c2VjcmV0" not in fault(jwk(d="c2VjcmV0", kid="\x1b[31mred"))
    assert fault(jwk(use="\x1b[31m\nred")) == r"its use is '\x1b[31m\nred', not sig"
    assert read_member(jwk(kty="\x1b[31m\n")).kind == r"\x1b[31m\n"


@pytest.mark.parametrize(
    ("member", "kind"),
    [
        ({"kty": "OKP", "crv": "X448"}, "OKP, X448"),
        ({"kty": "PQC", "crv": 7}, "PQC"),
        ({"kty": "", "crv": "P-256"}, "P-256"),
        ({}, "without kty"),
        ([], "an array"),
        (None, "null"),
        ("x", "a text"),
        (True, "a boolean"),
        (7, "a number"),
    ],
)
def test_a_faulty_member_says_of_what_kind_it_calls_itself(member: object, kind: str) -> None:
    assert read_member(member).kind == kind


def test_every_private_member_is_named() -> None:
    assert fault(jwk(d="AA", p="AA", qi="")).startswith("it holds private members: d, p (")


@pytest.mark.parametrize(
    "value", ["\ud800", ["\ud800", {"a": 1}], [["\ud800"], 1], {"\ud800": 1}, {"a": "\ud800", "b": {}}]
)
def test_a_lone_surrogate_is_found_wherever_it_stands(value: object) -> None:
    assert holds_surrogate(value)
    assert not holds_surrogate([{"é": ["\U0001f600", 1, None, True]}])


def test_what_must_be_refused_for_what_it_says_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    def count(_members: object) -> Any:
        imported.append(1)
        raise KeyError

    imported: list[int] = []
    monkeypatch.setattr(jwk_module, "_IMPORTERS", {"RSA": count, "EC": count})
    for changes in (
        {"d": "AQAB"},
        {"use": "enc"},
        {"alg": "none"},
        {"key_ops": ["sign"]},
        {"kid": 1},
        {"alg": "ES256"},
    ):
        fault(jwk(**changes))
    assert not imported
    assert fault(jwk()) == "it cannot be imported: KeyError"  # whatever the library raises, it is that key's fault
    assert imported == [1]


def test_why_a_key_does_not_serve_an_algorithm() -> None:
    unpinned, pinned, ec, broken = (
        read_member(jwk(alg=...)),
        read_member(jwk(alg="RS384")),
        read_member(ec_jwk(ec_key())),
        read_member(jwk(use="enc")),
    )
    assert pinned.fault_for("RS256", ["RS256"]) == "its alg is RS384, not RS256"
    assert pinned.fault_for("RS384", ["RS256", "RS384"]) is None
    assert ec.fault_for("RS256", ["RS256"]) == "it is a key of another kind (EC, P-256) than RS256 takes"
    assert ec.fault_for("ES256", list(ALGORITHMS)) is None
    assert broken.fault_for("RS256", ["RS256"]) == "its use is 'enc', not sig"
    assert unpinned.fault_for("PS256", ["PS256", "ES256"]) is None
    assert unpinned.fault_for("PS256", ["PS256", "RS256"]) == (
        "it names no alg, and the client may use PS256 and RS256:"
        ' add "alg": "PS256" to the JWK, or register one of them'
    )
    assert unpinned.fault_for("x\ny", ["RS256"]) == r"it is a key of another kind (RSA, 2048 bits) than 'x\ny' takes"


# The key itself


def test_a_key_verifies_its_signatures_only() -> None:
    [key] = read_member(jwk()).keys
    signature = private_key().sign(b"x", PKCS1v15(), SHA256())
    assert key.verify(signature, b"x") is True
    assert key.verify(signature, b"y") is False
    assert not key.verify(private_key().sign(b"x", PKCS1v15(), SHA512()), b"x")
    assert not key.verify(private_key(1).sign(b"x", PKCS1v15(), SHA256()), b"x")


@pytest.mark.parametrize("member", [jwk(), ec_jwk(ec_key("P-521")), okp_jwk(okp_key())], ids=lambda each: each["kty"])
def test_a_thumbprint_is_that_of_rfc_7638(member: dict[str, Any]) -> None:
    required = {name: member[name] for name in ("crv", "e", "kty", "n", "x", "y") if name in member}
    expected = b64(sha256(json.dumps(required, sort_keys=True, separators=(",", ":")).encode()).digest())
    assert [key.thumbprint for key in read_member(member).keys] == [expected]
    renamed = read_member({**member, "kid": "another", "use": "sig", "x5t": "AAAA"})
    assert [key.thumbprint for key in renamed.keys] == [expected]


def test_a_thumbprint_does_not_depend_on_leading_zero_octets() -> None:
    n = private_key().public_key().public_numbers().n
    spelled = read_member(jwk(n=b64(n.to_bytes(260, "big")), e="AAEAAQ"))
    assert spelled.keys == read_member(jwk()).keys


def test_keys_are_equal_when_what_is_published_is() -> None:
    one, other = read_member(jwk()), read_member(jwk())
    assert one is not other
    assert one == other  # a refreshed set reports no key that came or went
    assert one != read_member(jwk(kid="k2"))
    assert one != read_member(jwk(private_key(1)))
    assert one != read_member(jwk(alg=...))
    assert not any(name in repr(one) for name in ("verify", "public_key"))
    assert len({*one.keys, *other.keys}) == 1


def test_the_size_of_an_rsa_key_is_that_of_its_modulus() -> None:
    n = (1 << 3_000) | 1
    while True:
        n += 2
        member = read_member(jwk(n=integer(n)))
        if member.fault is None:
            break
    assert member.kind == "RSA, 3001 bits"


def test_what_libraries_import_is_what_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are decoded once: no second parser sees the text."""
    seen: list[Any] = []
    real = RSAKey.import_key
    monkeypatch.setattr(RSAKey, "import_key", lambda key: seen.append(key) or real(key))  # type: ignore[func-returns-value]
    read_member(jwk())
    assert [type(each).__name__ for each in seen] == ["RSAPublicKey"]


def test_a_member_is_frozen() -> None:
    member: Any = Member("k", "RSA")
    with pytest.raises(AttributeError):
        member.kid = "other"


# For each member that is looked at, a JWK that reads another way without it.
LOOKED_AT: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("kid", "kty", "n", "e"), jwk()),
    **dict.fromkeys(("crv", "x", "y"), ec_jwk(ec_key())),
    "use": jwk(use="enc"),
    "key_ops": jwk(key_ops=["sign"]),
    "alg": jwk(alg="PS384"),
    "x5c": {"kty": "RSA", "x5c": ["AA"]},
    **{name: jwk() | {name: "AQAB"} for name in PRIVATE},
}


def test_each_member_that_is_looked_at_is_named() -> None:
    """Whoever keeps a copy of a JWK keeps these."""
    assert sorted(READ_MEMBERS) == sorted(LOOKED_AT)
    for name, member in LOOKED_AT.items():
        others = {each: value for each, value in member.items() if each != name}
        assert read_member(others) != read_member(member), name


def test_the_thumbprint_of_a_certificate_makes_no_other_key_and_is_not_shown() -> None:
    """It is for a detail only."""
    with_x5t, without = read_member(jwk(x5t="dGh1bWJwcmludA")), read_member(jwk())
    assert (with_x5t.x5t, without.x5t) == ("dGh1bWJwcmludA", None)
    assert with_x5t == without
    assert "dGh1bWJwcmludA" not in repr(with_x5t)
