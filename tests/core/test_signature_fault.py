"""What a signature that is not right shows of its cause."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15

from integrations.timing import cost_at_most
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.signature_fault import CHANGED, EITHER, OTHER_KEY, signature_fault
from support import ec_key, okp_key, private_key, without_small_factors

SENT, SIGNED = b"header.claims", b"header.other"
HASHES: dict[str, Any] = {"1": hashes.SHA1(), "256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA = [name for name, row in ALGORITHMS.items() if row.kty == "RSA"]
OTHERS = [name for name in ALGORITHMS if name not in RSA]


def key_of(alg: str) -> Any:
    row = ALGORITHMS[alg]
    if row.kty == "EC":
        return ec_key(str(row.crv))
    return okp_key() if row.kty == "OKP" else private_key()


def key_of_2049_bits() -> Any:
    """OpenSSL makes no such key: its primes are as long as each other."""
    p, q = private_key(0, 2_050).private_numbers().p, private_key().private_numbers().p
    d = pow(65_537, -1, (p - 1) * (q - 1))
    crt = (rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
    key = rsa.RSAPrivateNumbers(p, q, d, *crt, rsa.RSAPublicNumbers(65_537, p * q)).private_key()
    assert key.key_size == 2_049
    return key


def sign(alg: str, message: bytes, key: Any = None) -> bytes:
    key, digest = key or private_key(), HASHES[alg[2:]]
    padding: Any = PKCS1v15() if alg.startswith("RS") else PSS(MGF1(digest), digest.digest_size)
    return bytes(key.sign(message, padding, digest))


def fault(alg: str, signature: bytes, *, is_thorough: bool = True) -> str:
    return signature_fault(alg, key_of(alg).public_key(), signature, SENT, is_thorough=is_thorough)


@pytest.mark.parametrize("alg", RSA)
def test_with_rsa_changed_content_and_another_key_are_told_apart(alg: str) -> None:
    assert fault(alg, sign(alg, SIGNED)) == CHANGED
    assert fault(alg, sign(alg, SENT, private_key(1))) == OTHER_KEY
    assert fault(alg, b"\xff" * 256) == OTHER_KEY  # no number below the modulus
    assert fault(alg, bytes(256)) == OTHER_KEY


def test_a_key_whose_size_is_no_multiple_of_eight_is_read_the_same() -> None:
    for bits, key in ((2_049, key_of_2049_bits()), (2_054, private_key(1, 2_054)), (2_056, private_key(1, 2_056))):
        for alg in RSA:
            public: Any = key.public_key()
            assert signature_fault(alg, public, sign(alg, SIGNED, key), SENT, is_thorough=True) == CHANGED
            other = (int.from_bytes(sign(alg, SIGNED, key)) ^ 1).to_bytes((bits + 7) // 8)
            assert signature_fault(alg, public, other, SENT, is_thorough=True) == OTHER_KEY


def test_what_is_no_signature_by_its_number_or_its_ends_has_no_form_of_pss() -> None:
    key = key_of_2049_bits()
    numbers, public = key.private_numbers(), key.public_key()
    n = numbers.public_numbers.n

    def told(number: int) -> str:
        return signature_fault("PS384", public, number.to_bytes(257), SENT, is_thorough=True)

    def sign_octets(encoded: int) -> int:
        return int(pow(encoded, numbers.d, n))

    number = int.from_bytes(sign("PS256", SENT, key))
    encoded = pow(number, 65_537, n)
    assert told(sign_octets(encoded)).startswith("it is a right PS256 signature")
    assert told(number + n) == OTHER_KEY
    assert told(sign_octets(encoded ^ 1)) == OTHER_KEY  # it ends in 0xBD
    beyond = (
        encoded + (1 << 2_048) for encoded in iter(lambda: pow(int.from_bytes(sign("PS256", SENT, key)), 65_537, n), 0)
    )
    assert told(sign_octets(next(each for each in beyond if each < n))) == OTHER_KEY


@pytest.mark.parametrize("alg", RSA)
def test_a_line_of_the_log_costs_one_more_verification_at_most(alg: str) -> None:
    is_pkcs1 = alg.startswith("RS")
    assert fault(alg, sign(alg, SIGNED), is_thorough=False) == (CHANGED if is_pkcs1 else EITHER)
    assert fault(alg, sign(alg, SENT, private_key(1)), is_thorough=False) == (OTHER_KEY if is_pkcs1 else EITHER)
    told = signature_fault(alg, private_key().public_key(), sign(alg, SIGNED), SENT)
    assert told == fault(alg, sign(alg, SIGNED), is_thorough=False)


@pytest.mark.parametrize(("alg", "other"), list(itertools.permutations(RSA, 2)))
def test_a_right_signature_by_another_algorithm_is_named(alg: str, other: str) -> None:
    text = f"it is a right {other} signature of this key, and the header says {alg}"
    assert fault(alg, sign(other, SENT)) == text
    assert fault(alg, sign(other, SIGNED)) == CHANGED
    assert fault(alg, sign(other, SENT, private_key(1))) == OTHER_KEY


@pytest.mark.parametrize(
    ("digest", "mask", "salt"),
    [
        ("256", "256", 222),
        ("256", "256", 214),
        ("256", "256", 215),
        ("256", "384", 0),
        ("256", "1", 32),
        ("1", "1", 20),
        ("1", "256", 20),
        ("512", "384", 64),
    ],
)
def test_other_parameters_of_pss_are_named(digest: str, mask: str, salt: int) -> None:
    padding = PSS(MGF1(HASHES[mask]), salt)
    text = fault("PS256", private_key().sign(SENT, padding, HASHES[digest]))
    assert text.startswith(f"made with this key, as PSS of sha{digest}, MGF1 of sha{mask}, a salt of {salt} octets:")
    # A salt of nearly the greatest length leaves fewer than 8 zeros to recognize it by.
    changed = CHANGED if salt <= 214 else OTHER_KEY
    assert fault("PS256", private_key().sign(SIGNED, padding, HASHES[digest])) == changed


@pytest.mark.parametrize("is_thorough", [False, True])
def test_a_digest_of_no_algorithm_is_named(is_thorough: bool) -> None:
    signature = private_key().sign(SENT, PKCS1v15(), hashes.SHA1())
    text = fault("RS256", signature, is_thorough=is_thorough)
    assert text.startswith("made with this key, and no RS256: it signs no digest of SHA-256")


@pytest.mark.parametrize("alg", OTHERS)
def test_without_a_form_both_causes_are_named(alg: str) -> None:
    size = ALGORITHMS[alg].size
    assert size is not None
    assert fault(alg, b"\1" * size) == EITHER


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_of_another_length_is_described(alg: str) -> None:
    size = ALGORITHMS[alg].size or 256
    text = f"the signature has {size - 1} octets, and one of this key has {size}: was it cut, or"
    assert fault(alg, b"\1" * (size - 1)).startswith(text)


@pytest.mark.parametrize("alg", ["ES256", "ES384", "ES512"])
def test_der_in_place_of_the_two_numbers_is_described(alg: str) -> None:
    der = key_of(alg).sign(SENT, ec.ECDSA(HASHES[alg[2:]]))
    text = fault(alg, der)
    assert f"has {len(der)} octets" in text
    assert "it is DER, and must be R and S side by side" in text
    # What of another kind begins as DER does is none.
    assert "DER" not in fault("RS256", der)


def public_key(bits: int, e: int) -> rsa.RSAPublicKey:
    return rsa.RSAPublicNumbers(e, without_small_factors((1 << bits) - 1)).public_key()


@pytest.mark.parametrize(
    ("bits", "e", "told"),
    [
        (2_048, 2**32 - 1, OTHER_KEY),
        (4_096, 65_537, OTHER_KEY),
        (4_096, 2**17 + 1, EITHER),
        (4_097, 65_537, EITHER),
        (8_192, 65_537, EITHER),
    ],
)
def test_a_key_that_is_dear_to_use_is_used_again_only_where_somebody_asks(bits: int, e: int, told: str) -> None:
    key, signature = public_key(bits, e), bytes((bits + 7) // 8)
    assert signature_fault("RS256", key, signature, SENT) == told
    assert signature_fault("RS256", key, signature, SENT, is_thorough=True) == OTHER_KEY


@pytest.mark.usefixtures("untraced")
def test_what_is_said_of_a_wrong_signature_costs_a_few_verifications_whatever_key_its_client_chose() -> None:
    for bits, e in ((4_096, 65_537), (2_048, 2**32 - 1), (2_816, 2**32 - 1), (8_192, 2**32 - 1)):
        key, signature = public_key(bits, e), bytes([0, *[255] * (bits // 8 - 1)])
        assert cost_at_most(6.0, partial(signature_fault, "RS256", key, signature, SENT)) <= 6.0, bits
