"""Assertions with one mistake each, and the reason each must be refused for."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .._core.ec import CURVES
from ..exceptions import Reason
from ..policy import AssertionPolicy
from ._assertions import REMOVED, Signer
from ._keys import HASHES, SigningKey, compact, ecdsa_der, pss, raw, sign_as, to_json

Make = Callable[[Signer], str]

_POLICY = AssertionPolicy(audience="-")
"""The defaults, which the reasons hold for."""


@dataclass(frozen=True, slots=True)
class Defect:
    """One mistake in an otherwise valid assertion.

        for defect in defects_of(tenant.alg).values():
            with pytest.raises(InvalidClient, match=defect.reason):
                verifier.verify(defect.make(tenant))

    reason: what a verifier must answer when the tenant is registered by ``Tenant.client``, its key is known,
        and the policy is an AssertionPolicy of the tenant's audience with every default.
    make: make such an assertion of a tenant, a new one each time.
    """

    name: str
    reason: Reason
    description: str
    make: Make = field(repr=False)


# Ways to make a mistake. Values may depend on the tenant: they are then given as a function of it.


def _header(**members: Any) -> Make:
    """Change header parameters."""
    return lambda signer: signer.assertion(header=members)


def _claims(**claims: Any) -> Make:
    """Change claims; a function is called with the tenant."""
    return lambda signer: signer.assertion(
        **{name: value(signer) if callable(value) else value for name, value in claims.items()}
    )


def _times(**offsets: float) -> Make:
    """Set times, in whole seconds from now."""
    return lambda signer: _claims(**{name: int(signer.clock()) + offset for name, offset in offsets.items()})(signer)


def _header_bytes(edit: Callable[[bytes], bytes]) -> Make:
    """Edit the bytes of the header before they are signed."""
    return lambda signer: signer.current_key.sign_raw(edit(to_json(signer.header())), to_json(signer.claims()))


def _claims_bytes(edit: Callable[[bytes], bytes]) -> Make:
    """Edit the bytes of the claims before they are signed."""
    return lambda signer: signer.current_key.sign_raw(to_json(signer.header()), edit(to_json(signer.claims())))


def _text(edit: Callable[[str], str]) -> Make:
    """Edit the finished assertion."""
    return lambda signer: edit(signer.assertion())


def _signature(make: Callable[[SigningKey, bytes], bytes], **header: Any) -> Make:
    """Put another signature in place of the right one, made of the key and the signing input."""

    def assertion(signer: Signer) -> str:
        signing_input = signer.assertion(header=header).rpartition(".")[0]
        return f"{signing_input}.{compact(make(signer.current_key, signing_input.encode('ascii')))}"

    return assertion


def _inserted(member: str) -> Callable[[bytes], bytes]:
    """Put a member, as JSON text, in front of an object's own."""
    return lambda raw: b"{" + member.encode("utf-8") + b"," + raw[1:]


# Mistakes that take more than a line.


def _standard_alphabet(signer: Signer) -> str:
    # A run of "?" holds "/" in base64 wherever it starts.
    header, payload, _ = signer.assertion(note="?????").split(".")
    signing_input = f"{header}.{payload.replace('-', '+').replace('_', '/')}"
    return f"{signing_input}.{compact(signer.current_key.sign_text(signing_input))}"


def _spare_bits(assertion: str) -> str:
    # 256 and 64 octets leave four bits of the last character unused, and zero: A, Q, g or w. The next letter sets one.
    return assertion[:-1] + chr(ord(assertion[-1]) + 1)


def _other_payload(signer: Signer) -> str:
    header, _, signature = signer.assertion().split(".")
    return ".".join((header, signer.assertion().split(".")[1], signature))


def _reserialized(signer: Signer) -> str:
    # What a proxy does that parses the header and writes it again.
    _, payload, signature = signer.assertion().split(".")
    header = json.dumps(signer.header(), indent=1).encode("ascii")
    return f"{compact(header)}.{payload}.{signature}"


def _stranger(signer: Signer, kid: str | None = None) -> SigningKey:
    return SigningKey.generate(kid, signer.current_key.alg)


def _foreign_key(signer: Signer) -> str:
    return _stranger(signer, signer.current_key.kid).sign(signer.header(), signer.claims())


def _embedded_key(signer: Signer) -> str:
    stranger = _stranger(signer, signer.current_key.kid)
    return signer.assertion(key=stranger, header={"jwk": stranger.public_jwk()})


def _embedded_unknown_key(signer: Signer) -> str:
    stranger = _stranger(signer)
    return signer.assertion(key=stranger, header={"jwk": stranger.public_jwk()})


# Signatures of other kinds.


def _hs256(key: SigningKey, signing_input: bytes) -> bytes:
    pem = key.private_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return hmac.digest(pem, signing_input, "sha256")


def _other_padding_alg(key: SigningKey) -> str:
    return ("PS" if key.alg.startswith("RS") else "RS") + key.alg[2:]


def _other_padding(key: SigningKey, signing_input: bytes) -> bytes:
    return sign_as(_other_padding_alg(key), key.private_key, signing_input)


def _alg_of_other_padding(signer: Signer) -> str:
    return _signature(_other_padding, alg=_other_padding_alg(signer.current_key))(signer)


def _trailing(key: SigningKey, signing_input: bytes) -> bytes:
    # Bleichenbacher's forgery of 2006 (CVE-2006-4339) fills what stands behind the digest. Here the private key does.
    rsa: Any = key.private_key
    numbers = rsa.private_numbers()
    n, size = numbers.public_numbers.n, rsa.key_size // 8
    encoded = pow(int.from_bytes(key.sign_text(signing_input.decode("ascii"))), numbers.public_numbers.e, n)
    digest_info = encoded.to_bytes(size).lstrip(b"\0\1\xff")
    forged = (b"\0\1" + b"\xff" * 8 + b"\0" + digest_info).ljust(size, b"\0")
    signature: int = pow(int.from_bytes(forged), numbers.d, n)
    return signature.to_bytes(size)


def _cut(key: SigningKey, signing_input: bytes) -> bytes:
    return key.sign_text(signing_input.decode("ascii"))[:-1]


def _longer(key: SigningKey, signing_input: bytes) -> bytes:
    return key.sign_text(signing_input.decode("ascii")) + b"\0"


def _zeros(key: SigningKey, signing_input: bytes) -> bytes:
    return bytes(len(key.sign_text(signing_input.decode("ascii"))))


def _salt(length: int) -> Callable[[SigningKey, bytes], bytes]:
    return lambda key, data: pss(key.private_key, data, key.alg[2:], salt=length)


def _mgf1(key: SigningKey, signing_input: bytes) -> bytes:
    return pss(key.private_key, signing_input, key.alg[2:], mgf=HASHES[_other_bits(key)])


def _der(key: SigningKey, signing_input: bytes) -> bytes:
    return ecdsa_der(key.private_key, signing_input, key.alg[2:])


def _numbers(change: Callable[[int, int, int], tuple[int, int]]) -> Callable[[SigningKey, bytes], bytes]:
    """Change R and S, given the order of the curve."""

    def make(key: SigningKey, signing_input: bytes) -> bytes:
        signature = key.sign_text(signing_input.decode("ascii"))
        curve = CURVES[str(key.public_jwk()["crv"])]
        r, s = (int.from_bytes(half, "big") for half in (signature[: curve.size], signature[curve.size :]))
        return raw(key.private_key, *change(r, s, curve.n))

    return make


def _order_added(key: SigningKey, signing_input: bytes) -> bytes:
    # RFC 8032 §5.1.7 step 1: S is below the order, or each signature has a second spelling.
    signature = key.sign_text(signing_input.decode("ascii"))
    order = 2**252 + 27_742_317_777_372_353_535_851_937_790_883_648_493
    return signature[:32] + (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")


def _other_bits(key: SigningKey) -> str:
    return next(bits for bits in HASHES if bits != key.alg[2:])


def _other_hash(key: SigningKey, signing_input: bytes) -> bytes:
    return sign_as(key.alg[:2] + _other_bits(key), key.private_key, signing_input)


_TABLE = (
    # 1. Size and shape: one token has one spelling (RFC 7515 §7.1, §2).
    Defect(
        "too_large",
        Reason.TOO_LARGE,
        f"more than {_POLICY.max_assertion_bytes:,} bytes",
        _claims(note="x" * _POLICY.max_assertion_bytes),
    ),
    Defect("two_segments", Reason.MALFORMED, "the signature left off", _text(lambda text: text.rpartition(".")[0])),
    Defect("five_segments", Reason.MALFORMED, "five segments, as a JWE has", _text(lambda text: f"{text}.AAAA.AAAA")),
    Defect(
        "empty_signature", Reason.MALFORMED, "the signature is empty", _text(lambda text: text.rpartition(".")[0] + ".")
    ),
    Defect("padding", Reason.MALFORMED, "base64url with its padding (correct in length)", _text("{}==".format)),
    Defect("standard_alphabet", Reason.MALFORMED, "claims in base64 with + and /", _standard_alphabet),
    Defect("line_break", Reason.MALFORMED, "a line break at the end", _text("{}\n".format)),
    Defect("not_ascii", Reason.MALFORMED, "a letter beyond ASCII at the end", _text("{}é".format)),
    # 2. Header: strict JSON, and nothing in it that changes what the token is (RFC 7515 §4).
    Defect("header_not_json", Reason.MALFORMED, "the header is no JSON", _header_bytes(lambda _raw: b"RS256")),
    Defect("header_list", Reason.MALFORMED, "the header is a list", _header_bytes(lambda raw: b"[" + raw + b"]")),
    Defect(
        "header_twice", Reason.MALFORMED, "alg stands twice in the header", _header_bytes(_inserted('"alg":"none"'))
    ),
    Defect(
        "header_bom", Reason.MALFORMED, "a byte order mark in front", _header_bytes(lambda raw: b"\xef\xbb\xbf" + raw)
    ),
    Defect(
        "header_utf16",
        Reason.MALFORMED,
        "the header in UTF-16",
        _header_bytes(lambda raw: raw.decode().encode("utf-16")),
    ),
    Defect("zip", Reason.MALFORMED, "zip: compressed claims", _header(zip="DEF")),
    Defect("cty", Reason.MALFORMED, "cty of another kind of content", _header(cty="at+jwt")),
    Defect("alg_absent", Reason.MALFORMED, "no alg", _header(alg=REMOVED)),
    Defect("alg_list", Reason.MALFORMED, "alg is a list", _header(alg=["RS256"])),
    Defect("kid_empty", Reason.MALFORMED, "kid is empty", _header(kid="")),
    Defect("kid_number", Reason.MALFORMED, "kid is a number", _header(kid=1)),
    Defect("kid_long", Reason.MALFORMED, "kid has 257 bytes", _header(kid="k" * 257)),
    Defect("typ_null", Reason.MALFORMED, "typ is null", _header(typ=None)),
    Defect("crit", Reason.UNSUPPORTED_CRIT, "crit names an extension", _header(crit=["x"], x=1)),
    Defect("b64", Reason.UNSUPPORTED_CRIT, "b64: claims that are not encoded (RFC 7797)", _header(b64=False)),
    Defect("typ_access_token", Reason.UNSUPPORTED_TYP, "typ of an access token", _header(typ="at+jwt")),
    Defect("typ_dpop", Reason.UNSUPPORTED_TYP, "typ of a DPoP proof", _header(typ="dpop+jwt")),
    Defect("alg_none", Reason.UNSUPPORTED_ALG, "alg none", _header(alg="none")),
    Defect(
        "alg_case",
        Reason.UNSUPPORTED_ALG,
        "alg in lower case",
        lambda signer: signer.assertion(header={"alg": signer.current_key.alg.lower()}),
    ),
    Defect("alg_hs256", Reason.UNSUPPORTED_ALG, "HS256, keyed with the public key", _signature(_hs256, alg="HS256")),
    Defect("kid_absent", Reason.MISSING_KID, "no kid", _header(kid=REMOVED)),
    # 3. Claims: strict JSON again (RFC 8259).
    Defect("claims_not_json", Reason.MALFORMED, "the claims are no JSON", _claims_bytes(lambda raw: raw[:-1])),
    Defect("claims_list", Reason.MALFORMED, "the claims are a list", _claims_bytes(lambda raw: b"[" + raw + b"]")),
    Defect("claims_twice", Reason.MALFORMED, "sub stands twice", _claims_bytes(_inserted('"sub":"another"'))),
    Defect("nested_twice", Reason.MALFORMED, "a nested member twice", _claims_bytes(_inserted('"x":{"a":1,"a":1}'))),
    Defect("trailing_data", Reason.MALFORMED, "something follows the claims", _claims_bytes(lambda raw: raw + b"{}")),
    Defect("nan", Reason.MALFORMED, "NaN, which is no JSON", _claims(x=float("nan"))),
    Defect("not_finite", Reason.MALFORMED, "a number out of range", _claims_bytes(_inserted('"x":1e999'))),
    Defect("long_integer", Reason.MALFORMED, "an integer of 21 digits", _claims(x=10**20)),
    Defect("deep", Reason.MALFORMED, "nested 33 levels", _claims_bytes(_inserted(f'"x":{"[" * 32}{"]" * 32}'))),
    Defect("surrogate", Reason.MALFORMED, "a lone surrogate", _claims(x="\ud800")),
    Defect("not_utf8", Reason.MALFORMED, "claims in Latin-1", _claims_bytes(lambda raw: b'{"x":"\xe9",' + raw[1:])),
    # Who (RFC 7523 §3 items 1 and 2).
    Defect("iss_absent", Reason.MISSING_CLAIM, "no iss", _claims(iss=REMOVED)),
    Defect("sub_absent", Reason.MISSING_CLAIM, "no sub", _claims(sub=REMOVED)),
    Defect("iss_empty", Reason.INVALID_CLAIM, "iss is empty", _claims(iss="")),
    Defect("sub_list", Reason.INVALID_CLAIM, "sub is a list", _claims(sub=lambda signer: [signer.client_id])),
    Defect("iss_other", Reason.CLIENT_MISMATCH, "iss is not sub", _claims(iss="https://rp.example")),
    Defect("sub_other", Reason.CLIENT_MISMATCH, "sub is not iss: a grant, for a user", _claims(sub="alice")),
    Defect(
        "unknown_client",
        Reason.UNKNOWN_CLIENT,
        "iss and sub name nobody",
        _claims(**dict.fromkeys(("iss", "sub"), lambda signer: f"{signer.client_id}-nobody")),
    ),
    # For whom (RFC 7523 §3 item 3).
    Defect("aud_absent", Reason.MISSING_CLAIM, "no aud", _claims(aud=REMOVED)),
    Defect("aud_null", Reason.INVALID_CLAIM, "aud is null", _claims(aud=None)),
    Defect("aud_empty", Reason.INVALID_CLAIM, "aud is an empty list", _claims(aud=[])),
    Defect(
        "aud_nested", Reason.INVALID_CLAIM, "aud is a list in a list", _claims(aud=lambda signer: [[signer.audience]])
    ),
    Defect(
        "aud_slash",
        Reason.AUDIENCE_MISMATCH,
        "aud with one more slash",
        _claims(aud=lambda signer: f"{signer.audience}/"),
    ),
    Defect(
        "aud_token_endpoint",
        Reason.AUDIENCE_MISMATCH,
        "aud is the token endpoint",
        _claims(aud=lambda signer: f"{signer.audience}/token"),
    ),
    Defect(
        "aud_two",
        Reason.AUDIENCE_MISMATCH,
        "aud names two servers",
        _claims(aud=lambda signer: [signer.audience, "https://another-op.example"]),
    ),
    # When (RFC 7523 §3 items 4 to 6).
    Defect("exp_absent", Reason.MISSING_CLAIM, "no exp", _claims(exp=REMOVED)),
    Defect("exp_string", Reason.INVALID_CLAIM, "exp is a string", _claims(exp=lambda signer: str(signer.clock() + 60))),
    Defect("exp_bool", Reason.INVALID_CLAIM, "exp is true", _claims(exp=True)),
    Defect("exp_negative", Reason.INVALID_CLAIM, "exp is negative", _claims(exp=-1)),
    Defect("iat_null", Reason.INVALID_CLAIM, "iat is null", _claims(iat=None)),
    Defect("iat_after_exp", Reason.INVALID_CLAIM, "iat after exp", _times(iat=10, exp=5)),
    Defect("nbf_string", Reason.INVALID_CLAIM, "nbf is a string", _claims(nbf="0")),
    Defect("nbf_after_exp", Reason.INVALID_CLAIM, "nbf after exp", _times(nbf=10, exp=5)),
    Defect("expired", Reason.EXPIRED, "expired a minute ago", _times(iat=-120, exp=-60)),
    Defect(
        "expired_at_leeway",
        Reason.EXPIRED,
        "expired by exactly the leeway",
        _times(iat=-60 - _POLICY.leeway, exp=-_POLICY.leeway),
    ),
    Defect("iat_ahead", Reason.NOT_YET_VALID, "iat in a minute", _times(iat=60, exp=120)),
    Defect("nbf_ahead", Reason.NOT_YET_VALID, "nbf in a minute", _times(nbf=60, exp=120)),
    Defect("exp_far", Reason.LIFETIME_TOO_LONG, "lives for an hour", _times(exp=3_600)),
    Defect("iat_old", Reason.LIFETIME_TOO_LONG, "iat an hour before exp", _times(iat=-3_540, exp=60)),
    # Which one (OpenID Connect Core §9).
    Defect("jti_absent", Reason.MISSING_CLAIM, "no jti", _claims(jti=REMOVED)),
    Defect("jti_empty", Reason.INVALID_CLAIM, "jti is empty", _claims(jti="")),
    Defect("jti_number", Reason.INVALID_CLAIM, "jti is a number", _claims(jti=1)),
    Defect("jti_long", Reason.INVALID_CLAIM, "jti has 257 bytes", _claims(jti="j" * 257)),
    # 4. Key: the client's own, by its name only (RFC 8725 §3.10).
    Defect("kid_unknown", Reason.UNKNOWN_KID, "a kid that is not published", _header(kid="not-published")),
    Defect("key_embedded", Reason.UNKNOWN_KID, "signed by the key in its own header", _embedded_unknown_key),
    # 5. Signature, over the bytes received.
    Defect("claims_replaced", Reason.BAD_SIGNATURE, "the claims of another assertion", _other_payload),
    Defect("header_reserialized", Reason.BAD_SIGNATURE, "the header written anew", _reserialized),
    Defect("foreign_key", Reason.BAD_SIGNATURE, "signed by a stranger under the known kid", _foreign_key),
    Defect(
        "key_embedded_known", Reason.BAD_SIGNATURE, "a stranger's key in the header, under the known kid", _embedded_key
    ),
    Defect("signature_short", Reason.BAD_SIGNATURE, "the last octet of the signature cut off", _signature(_cut)),
    Defect("signature_long", Reason.BAD_SIGNATURE, "an octet behind the signature", _signature(_longer)),
    Defect("signature_zeros", Reason.BAD_SIGNATURE, "a signature of zeros", _signature(_zeros)),
)

_SPARE_BITS = Defect("spare_bits", Reason.MALFORMED, "a spare bit of the last character is set", _text(_spare_bits))
_OTHER_HASH = Defect("signature_hash", Reason.BAD_SIGNATURE, "made with another hash", _signature(_other_hash))

_RSA = (
    _SPARE_BITS,
    _OTHER_HASH,
    Defect("alg_padding", Reason.UNSUPPORTED_ALG, "PS for RS, or back, correctly signed", _alg_of_other_padding),
    Defect(
        "signature_padding",
        Reason.BAD_SIGNATURE,
        "PS for RS, or back, under its own name",
        _signature(_other_padding),
    ),
)
_RS = (
    *_RSA,
    Defect(
        "signature_trailing",
        Reason.BAD_SIGNATURE,
        "octets behind the digest in place of padding",
        _signature(_trailing),
    ),
)
_PS = (
    *_RSA,
    Defect("signature_no_salt", Reason.BAD_SIGNATURE, "PSS without a salt", _signature(_salt(0))),
    Defect("signature_salt_20", Reason.BAD_SIGNATURE, "PSS with a salt of 20 octets", _signature(_salt(20))),
    Defect("signature_mgf1", Reason.BAD_SIGNATURE, "PSS whose MGF1 has another hash", _signature(_mgf1)),
)
_ES = (
    _OTHER_HASH,
    Defect("signature_der", Reason.BAD_SIGNATURE, "R and S in DER", _signature(_der)),
    Defect("signature_r_zero", Reason.BAD_SIGNATURE, "R is zero", _signature(_numbers(lambda _r, s, _n: (0, s)))),
    Defect("signature_s_zero", Reason.BAD_SIGNATURE, "S is zero", _signature(_numbers(lambda r, _s, _n: (r, 0)))),
    Defect("signature_r_order", Reason.BAD_SIGNATURE, "R is the order", _signature(_numbers(lambda _r, s, n: (n, s)))),
    Defect("signature_s_order", Reason.BAD_SIGNATURE, "S is the order", _signature(_numbers(lambda r, _s, n: (r, n)))),
    Defect("signature_swapped", Reason.BAD_SIGNATURE, "S and R", _signature(_numbers(lambda r, s, _n: (s, r)))),
)
_FAMILIES = {
    "RS": _RS,
    "PS": _PS,
    "ES256": (_SPARE_BITS, *_ES),
    "ES": _ES,  # 96 and 132 octets leave no bits to spare
    "Ed": (
        _SPARE_BITS,
        Defect(
            "signature_s_order",
            Reason.BAD_SIGNATURE,
            "the order added to S: a second spelling",
            _signature(_order_added),
        ),
    ),
}


def defects_of(alg: str) -> Mapping[str, Defect]:
    """List every defect that an assertion of a tenant with this algorithm can have, by its name.

    Their reasons hold for a client as ``tenant.client()`` registers it. That requires a ``kid`` with every algorithm: a
    plain RegisteredClient does not, and accepts ``kid_absent``.
    """
    family = _FAMILIES.get(alg) or _FAMILIES[alg[:2]]
    return MappingProxyType({defect.name: defect for defect in (*_TABLE, *family)})


DEFECTS = defects_of("RS256")
"""Every defect of an RS256 assertion by its name; ``defects_of`` lists those of other algorithms, and says for which
client their reasons hold."""
