"""The table of algorithms, and what each takes for a signature."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS, PKCS1v15
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from private_key_jwt._core import algorithms
from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.ec import CURVES
from support import ec_key, okp_key, private_key

MESSAGE = b"header.claims"
HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
RSA_PKCS1 = ("RS256", "RS384", "RS512")
RSA_PSS = ("PS256", "PS384", "PS512")
ECDSA = ("ES256", "ES384", "ES512")


def key_of(alg: str) -> Any:
    row = ALGORITHMS[alg]
    if row.kty == "EC":
        return ec_key(str(row.crv))
    return okp_key() if row.kty == "OKP" else private_key()


def sign(alg: str, message: bytes = MESSAGE) -> bytes:
    """A signature as another implementation of the algorithm makes it."""
    key = key_of(alg)
    if alg in RSA_PKCS1:
        return bytes(key.sign(message, PKCS1v15(), HASHES[alg[2:]]))
    if alg in RSA_PSS:
        digest = HASHES[alg[2:]]
        return bytes(key.sign(message, PSS(MGF1(digest), digest.digest_size), digest))
    if alg in ECDSA:
        return raw(alg, *decode_dss_signature(key.sign(message, ec.ECDSA(HASHES[alg[2:]]))))
    return bytes(key.sign(message))


def raw(alg: str, r: int, s: int) -> bytes:
    size = CURVES[str(ALGORITHMS[alg].crv)].size
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def verifies(alg: str, signature: bytes, message: bytes = MESSAGE) -> bool:
    return ALGORITHMS[alg].bind(key_of(alg).public_key())(signature, message)


def test_the_table_has_these_algorithms_and_nobody_adds_another() -> None:
    table: Any = ALGORITHMS
    with pytest.raises(TypeError):
        table["none"] = table["RS256"]
    assert list(table) == [*RSA_PKCS1, *RSA_PSS, *ECDSA, "Ed25519", "EdDSA"]
    assert {name: (row.kty, row.crv) for name, row in table.items() if row.kty != "RSA"} == {
        "ES256": ("EC", "P-256"),
        "ES384": ("EC", "P-384"),
        "ES512": ("EC", "P-521"),
        "Ed25519": ("OKP", "Ed25519"),
        "EdDSA": ("OKP", "Ed25519"),
    }


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_signature_verifies_for_its_message_and_key_only(alg: str) -> None:
    signature = sign(alg)
    assert verifies(alg, signature) is True
    assert verifies(alg, signature, MESSAGE + b"x") is False
    assert verifies(alg, bytes(len(signature))) is False
    changed = bytearray(signature)
    changed[len(signature) // 2] ^= 1
    assert verifies(alg, bytes(changed)) is False


@pytest.mark.parametrize("alg", ALGORITHMS)
@pytest.mark.parametrize(
    "change", [lambda s: b"", lambda s: s[:-1], lambda s: s[1:], lambda s: s + b"\0", lambda s: b"\0" + s]
)
def test_a_signature_of_another_length_is_refused(alg: str, change: Callable[[bytes], bytes]) -> None:
    assert verifies(alg, change(sign(alg))) is False


@pytest.mark.parametrize("alg", RSA_PKCS1 + RSA_PSS)
def test_a_signature_with_its_leading_zero_left_out_is_refused(alg: str) -> None:
    """It is the same number: whoever compares tokens as text would take it for a second one."""
    number = 0
    while (signature := sign(alg, message := b"%d" % number))[0]:
        number += 1
    assert verifies(alg, signature, message) is True
    assert verifies(alg, signature[1:], message) is False


@pytest.mark.parametrize("alg", RSA_PKCS1 + RSA_PSS + ECDSA)
def test_a_signature_of_another_algorithm_of_its_key_is_refused(alg: str) -> None:
    others = [other for other in RSA_PKCS1 + RSA_PSS if other != alg] if alg not in ECDSA else []
    for other in others:
        assert verifies(alg, sign(other)) is False
    for digest in HASHES.values():
        if alg in ECDSA and digest is not HASHES[alg[2:]]:
            assert verifies(alg, raw(alg, *decode_dss_signature(key_of(alg).sign(MESSAGE, ec.ECDSA(digest))))) is False


# RSASSA-PKCS1-v1_5: encoded messages that are not the one of RFC 8017 §9.2, raised with the private key

NUMBERS = private_key().private_numbers()
N, D, SIZE = NUMBERS.public_numbers.n, NUMBERS.d, 256


def raised(encoded: bytes) -> bytes:
    assert len(encoded) == SIZE
    return pow(int.from_bytes(encoded, "big"), D, N).to_bytes(SIZE, "big")


def digest_of(alg: str) -> bytes:
    digest = hashes.Hash(HASHES[alg[2:]])
    digest.update(MESSAGE)
    return digest.finalize()


INFO = {
    "RS256": algorithms._SHA256_INFO,
    "RS384": algorithms._SHA384_INFO,
    "RS512": algorithms._SHA512_INFO,
}


def encoded(alg: str, info: bytes, *, block: int = 1, padding: bytes | None = None, behind: bytes = b"") -> bytes:
    length = SIZE - 3 - len(info) - len(behind)
    return b"\0" + bytes([block]) + (b"\xff" * length if padding is None else padding) + b"\0" + info + behind


def without_null(info: bytes) -> bytes:
    # SEQUENCE { SEQUENCE { OID } OCTET STRING }: both lengths are less by the two octets of NULL.
    oid = info[4:15]
    return bytes([0x30, info[1] - 2, 0x30, info[3] - 2]) + oid + info[17:]


def ber_length(info: bytes) -> bytes:
    # The outer length in two octets where one would do (X.690 §10.1).
    return b"\x30\x81" + info[1:]


@cache
def forgeries(alg: str) -> dict[str, bytes]:
    good = INFO[alg] + digest_of(alg)
    fill = SIZE - 3 - len(good)
    signature = int.from_bytes(sign(alg), "big")
    sha1 = bytes.fromhex("3021300906052b0e03021a05000414") + bytes(20)
    return {
        "short padding with trailing bytes": raised(encoded(alg, good, padding=b"\xff" * 8, behind=b"\0" * (fill - 8))),
        "padding of seven": raised(encoded(alg, good, padding=b"\xff" * 7, behind=b"\0" * (fill - 7))),
        "one trailing byte": raised(encoded(alg, good, behind=b"\0")),
        "no NULL": raised(encoded(alg, without_null(good))),
        "a bare digest": raised(encoded(alg, digest_of(alg))),
        "a DigestInfo of SHA-1": raised(encoded(alg, sha1)),
        "a DigestInfo of another digest": raised(encoded(alg, INFO[alg] + bytes(len(digest_of(alg))))),
        "block type 2": raised(encoded(alg, good, block=2)),
        "block type 0": raised(encoded(alg, good, block=0)),
        "a padding byte changed": raised(encoded(alg, good, padding=b"\xff" * 9 + b"\xfe" + b"\xff" * (fill - 10))),
        "an early separator": raised(encoded(alg, good, padding=b"\xff" * 9 + b"\0" + b"\xff" * (fill - 10))),
        "no separator": raised(b"\0\1" + b"\xff" * (fill + 1) + good),
        "a first byte that is not zero": raised(b"\1" + encoded(alg, good)[1:]) if N > (1 << 2_041) else b"",
        "a BER length": raised(encoded(alg, ber_length(good))),
        "empty": b"",
        "short": sign(alg)[:-1],
        "long": sign(alg) + b"\0",
        "s + n": (signature + N).to_bytes(SIZE + 1, "big"),
        "s = n": N.to_bytes(SIZE, "big"),
        "s above n": b"\xff" * SIZE,
        "zero": bytes(SIZE),
        "one": (1).to_bytes(SIZE, "big"),
        "n - 1": (N - 1).to_bytes(SIZE, "big"),
        "n - s": (N - signature).to_bytes(SIZE, "big"),
    }


def test_what_is_encoded_here_is_what_verifies() -> None:
    for alg in RSA_PKCS1:
        assert raised(encoded(alg, INFO[alg] + digest_of(alg))) == sign(alg)


@pytest.mark.parametrize("alg", RSA_PKCS1)
@pytest.mark.parametrize("name", forgeries("RS256"))
def test_a_forgery_of_pkcs1_is_refused(alg: str, name: str) -> None:
    assert verifies(alg, forgeries(alg)[name]) is False


def test_s_plus_n_is_refused_where_it_has_the_length_of_n() -> None:
    number = 0
    while (s := int.from_bytes(sign("RS256", message := b"%d" % number), "big")) + N >= 1 << 8 * SIZE:
        number += 1
    assert verifies("RS256", s.to_bytes(SIZE, "big"), message) is True
    assert verifies("RS256", (s + N).to_bytes(SIZE, "big"), message) is False


# RSASSA-PSS


@pytest.mark.parametrize("alg", RSA_PSS)
@pytest.mark.parametrize("salt", [0, 20, 31, 33, 47, 63, 65, PSS.MAX_LENGTH])
def test_another_length_of_the_salt_is_refused(alg: str, salt: Any) -> None:
    digest = HASHES[alg[2:]]
    assert verifies(alg, private_key().sign(MESSAGE, PSS(MGF1(digest), salt), digest)) is False


@pytest.mark.parametrize("alg", RSA_PSS)
@pytest.mark.parametrize("other", [hashes.SHA1(), *HASHES.values()], ids=lambda each: each.name)
def test_mgf1_with_another_hash_is_refused(alg: str, other: hashes.HashAlgorithm) -> None:
    digest = HASHES[alg[2:]]
    signature = private_key().sign(MESSAGE, PSS(MGF1(other), digest.digest_size), digest)
    assert verifies(alg, signature) is (other is digest)


# ECDSA


@pytest.mark.parametrize("alg", ECDSA)
def test_r_and_s_lie_between_zero_and_n(alg: str) -> None:
    curve = CURVES[str(ALGORITHMS[alg].crv)]
    half = 8 * curve.size
    r, s = divmod(int.from_bytes(sign(alg), "big"), 1 << half)
    assert verifies(alg, raw(alg, r, s)) is True
    for wrong in (0, curve.n, (1 << half) - 1):
        assert verifies(alg, raw(alg, wrong, s)) is False
        assert verifies(alg, raw(alg, r, wrong)) is False
        assert verifies(alg, raw(alg, wrong, wrong)) is False
    for wrong in (r + curve.n, s + curve.n):
        if wrong < 1 << half:
            assert verifies(alg, raw(alg, wrong, s)) is False
            assert verifies(alg, raw(alg, r, wrong)) is False


@pytest.mark.parametrize("alg", ECDSA)
def test_a_high_s_is_accepted_since_the_standard_has_no_rule(alg: str) -> None:
    curve = CURVES[str(ALGORITHMS[alg].crv)]
    r, s = divmod(int.from_bytes(sign(alg), "big"), 1 << 8 * curve.size)
    assert verifies(alg, raw(alg, r, curve.n - s)) is True


@pytest.mark.parametrize("alg", ECDSA)
def test_der_in_place_of_the_two_numbers_is_refused(alg: str) -> None:
    size = CURVES[str(ALGORITHMS[alg].crv)].size
    der = encode_dss_signature(*divmod(int.from_bytes(sign(alg), "big"), 1 << 8 * size))
    assert verifies(alg, der) is False
    assert verifies(alg, der[: 2 * size].ljust(2 * size, b"\0")) is False


# Ed25519


def test_an_s_of_the_order_or_above_is_refused() -> None:
    """RFC 8032 §5.1.7 step 1: else a signature has a second spelling."""
    order = 2**252 + 27742317777372353535851937790883648493
    signature = sign("Ed25519")
    s = int.from_bytes(signature[32:], "little")
    assert verifies("Ed25519", signature[:32] + (s + order).to_bytes(32, "little")) is False


# Whatever the library takes


class TakesAll:
    """A key of a library that takes every signature."""

    key_size = 2_048

    def verify(self, *_arguments: object) -> None:
        """Raise nothing."""

    def recover_data_from_signature(self, *_arguments: object) -> bytes:
        return INFO["RS256"] + digest_of("RS256")


def taken(alg: str, signature: bytes) -> bool:
    return ALGORITHMS[alg].bind(TakesAll())(signature, MESSAGE)


@pytest.mark.parametrize(("alg", "size"), [("RS256", 256), ("PS256", 256), ("Ed25519", 64)])
def test_the_length_is_checked_before_the_library_is_asked(alg: str, size: int) -> None:
    assert [taken(alg, bytes(length)) for length in (0, size - 1, size, size + 1)] == [False, False, True, False]


def test_the_octets_of_a_modulus_are_rounded_up() -> None:
    class Odd(TakesAll):
        key_size = 2_049

    verify = ALGORITHMS["RS256"].bind(Odd())
    assert [verify(bytes(length), MESSAGE) for length in (256, 257, 258)] == [False, True, False]
    verify = ALGORITHMS["PS256"].bind(Odd())
    assert [verify(bytes(length), MESSAGE) for length in (256, 257, 258)] == [False, True, False]


@pytest.mark.parametrize("alg", ECDSA)
def test_r_and_s_are_checked_before_the_library_is_asked(alg: str) -> None:
    curve = CURVES[str(ALGORITHMS[alg].crv)]
    for value, expected in ((0, False), (1, True), (curve.n - 1, True), (curve.n, False), (curve.n + 1, False)):
        assert taken(alg, raw(alg, value, 1)) is expected
        assert taken(alg, raw(alg, 1, value)) is expected
    assert [taken(alg, bytes([1]) * length) for length in (2 * curve.size - 1, 2 * curve.size + 1)] == [False, False]


# Names


def test_eddsa_and_ed25519_name_one_algorithm() -> None:
    assert ALGORITHMS["EdDSA"] is ALGORITHMS["Ed25519"]
    assert algorithms.published_names(["EdDSA", "RS256", "Ed25519"]) == ["Ed25519", "RS256"]
    for registered in (["EdDSA"], ["Ed25519"], ["RS256", "EdDSA"]):
        assert algorithms.is_allowed("EdDSA", registered)
        assert algorithms.is_allowed("Ed25519", registered)
        assert algorithms.is_only_choice("EdDSA", ["EdDSA", "Ed25519"])


@pytest.mark.parametrize(
    "alg", ["none", "None", "", "HS256", "rs256", "RS256 ", "ES256K", "Ed448", "RS1", "PS256", "ES512"]
)
def test_what_is_not_registered_is_not_allowed(alg: str) -> None:
    assert not algorithms.is_allowed(alg, ["RS256", "ES256", "EdDSA"])
    assert algorithms.is_allowed("RS256", ["RS256", "ES256", "EdDSA"])


def test_only_rsa_keys_fit_several_algorithms() -> None:
    everything = list(ALGORITHMS)
    assert [alg for alg in everything if algorithms.is_only_choice(alg, everything)] == [*ECDSA, "Ed25519", "EdDSA"]
    for alg in everything:
        assert algorithms.is_only_choice(alg, [alg])
    assert algorithms.is_only_choice("RS256", ["RS256", "ES256", "EdDSA"])
    assert not algorithms.is_only_choice("RS256", ["RS256", "PS512"])
