"""Which RSA keys are usable."""

import math
from typing import Any

import pytest

from private_key_jwt._core import rsa
from support import b64, integer, jwk, private_key, without_small_factors

N = private_key().public_key().public_numbers().n


def refused(why: str, **changes: Any) -> None:
    with pytest.raises(ValueError, match=why):
        rsa.import_rsa(jwk(**changes))


def test_a_sound_key_is_imported() -> None:
    assert rsa.import_rsa(jwk())[0].public_numbers().n == N


def test_a_leading_zero_octet_is_tolerated_and_does_not_count() -> None:
    assert rsa.import_rsa(jwk(n=b64(b"\0" + N.to_bytes(256, "big"))))[0].key_size == 2_048
    small = private_key(bits=1_024).public_key().public_numbers().n
    refused("1024 bits", n=b64(b"\0" * 200 + small.to_bytes(128, "big")))


def test_only_zero_octets_are_taken_off_the_front() -> None:
    n = without_small_factors((ord("X") << 2_048) + (1 << 2_048) - 1)
    assert rsa.import_rsa(jwk(n=integer(n)))[0].public_numbers().n == n


@pytest.mark.parametrize("bits", [512, 1_024, 2_047, 8_193, 16_385])
def test_the_size_is_that_of_the_integer(bits: int) -> None:
    refused("too long" if bits > 16_384 else "bits", n=integer((1 << bits) - 1))


def test_8192_bits_are_the_most() -> None:
    rsa.check_modulus(without_small_factors((1 << 8_192) - 1))
    rsa.check_modulus(without_small_factors((1 << 2_048) - 1))


@pytest.mark.parametrize("n", [0, 1])
def test_trivial_moduli_are_refused(n: int) -> None:
    refused("bits", n=integer(n) or "AA")


def test_an_even_modulus_is_refused() -> None:
    refused("even", n=integer(N - 1))


@pytest.mark.parametrize("prime", [3, 5, 97, 751])
def test_a_modulus_with_a_small_factor_is_refused(prime: int) -> None:
    n = N // prime * prime
    n += prime if n % 2 == 0 else 0
    refused("small prime factor", n=integer(n))


def test_a_modulus_of_the_flawed_generator_is_refused() -> None:
    primorial = math.prod(p for p in rsa._SMALL_PRIMES if p <= 167)
    n = pow(65_537, 12_345, primorial) + primorial * (1 << (2_048 - primorial.bit_length()))
    n += primorial * (n % 2 == 0)
    while math.gcd(n, rsa._SMALL_PRODUCT) != 1:
        n += 2 * primorial
    refused("ROCA", n=integer(n))


@pytest.mark.parametrize("e", [1, 3, 17, 65_535, 65_536, 65_538, 2**32 + 1, 2**2_047 + 1])
def test_the_exponent_is_odd_and_within_bounds(e: int) -> None:
    refused("e is", e=integer(e))


@pytest.mark.parametrize("e", [65_537, 65_539, 2**32 - 1])
def test_other_odd_exponents_within_bounds_are_taken(e: int) -> None:
    assert rsa.import_rsa(jwk(e=integer(e)))[0].public_numbers().e == e


@pytest.mark.parametrize("name", ["n", "e"])
@pytest.mark.parametrize("value", [..., None, 1, [], "!!!", "AQAB=", "AQ==", "A", "é", "\ud800"])
def test_n_and_e_are_canonical_base64url(name: str, value: Any) -> None:
    refused(f"^{name} is", **{name: value})


def test_an_endless_modulus_is_not_even_decoded() -> None:
    refused("n is too long", n="A" * 1_000_000)


@pytest.mark.parametrize(
    ("spelled", "why"),
    [
        (b64(N.to_bytes(256, "big")) + "==", "n is padded with '='"),
        ("+/" * 170, "n is not base64url: '.' at character 1 of 340: standard base64"),
        (None, "n is absent"),
        ("g" * 3_000, "n is too long: 3000 characters, and at most 2730 are decoded"),
        (7, "n is the number 7, not a string"),
    ],
)
def test_a_fault_says_how_a_number_is_misspelled(spelled: Any, why: str) -> None:
    refused(f"^{why}", n=spelled)


def test_a_key_that_is_only_a_certificate_says_so() -> None:
    refused("n is absent, only a certificate", n=..., e=..., x5c=["MII"])


def test_a_small_exponent_is_named() -> None:
    refused("^e is 3, and must be", e="Aw")
    refused("^e is 4294967296, and must be", e=integer(2**32))
    refused("^e is a number of 2048 bits", e=integer(2**2_047 + 1))


def test_the_small_primes_are_all_the_odd_ones_below_752() -> None:
    sieve = [number for number in range(3, 752) if all(number % other for other in range(2, number))]
    assert list(rsa._SMALL_PRIMES) == sieve
    assert [prime for prime, _ in rsa._ROCA] == [prime for prime in sieve if prime <= 167]


@pytest.mark.parametrize("factor", range(1, 20, 2))
def test_each_modulus_of_the_flawed_generator_is_refused(factor: int) -> None:
    primorial = math.prod(prime for prime, _ in rsa._ROCA)
    n = pow(65_537, 1_000 + factor, primorial) + primorial * 2 * (2 ** (2_047 - primorial.bit_length()) + factor)
    n += primorial if n % 2 == 0 else 0
    with pytest.raises(ValueError, match=r"ROCA|small prime"):
        rsa.check_modulus(n)


@pytest.mark.parametrize(("characters", "fits"), [(2_730, True), (2_732, False)])
def test_leading_zero_octets_are_tolerated_up_to_twice_the_size(characters: int, fits: bool) -> None:
    spelled = b64(N.to_bytes(characters * 3 // 4, "big"))
    assert len(spelled) == characters
    if fits:
        assert rsa.import_rsa(jwk(n=spelled))[0].public_numbers().n == N
    else:
        refused("too long", n=spelled)


ALONE = ": it must be the modulus alone, in base64url"


@pytest.mark.parametrize(
    ("spelled", "encoding"),
    [
        (N.to_bytes(256).hex(), "hex"),  # 3072 bits in base64url, and odd more often than not
        (str(N), "decimal digits"),
        (b64(N.to_bytes(256).hex().encode()), "hex in base64"),
        (b64(b"g" * 300), "a text in base64"),
    ],
)
def test_a_modulus_in_another_encoding_is_refused_also_where_its_number_would_be_taken(
    spelled: str, encoding: str
) -> None:
    refused(f"^n looks like {encoding}{ALONE}$", n=spelled)


def test_a_number_that_would_be_a_sound_modulus_is_refused_where_it_is_der() -> None:
    bits = 8 * 260
    for second, encoding in ((0x82_0100, "DER in base64"), (0x82_0101, None)):
        start = (0x30_000000 | second) << 8 | 2
        n = without_small_factors(((start + 1) << (bits - 40)) - 1)
        assert n.bit_length() == bits - 2
        if encoding:
            refused(f"^n looks like {encoding}{ALONE}$", n=integer(n))
        else:
            assert rsa.import_rsa(jwk(n=integer(n)))[0].public_numbers().n == n
