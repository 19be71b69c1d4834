"""Which Ed25519 keys are usable."""

import math
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from private_key_jwt._core import okp
from support import b64, okp_jwk, okp_key

P = 2**255 - 19
D = -121_665 * pow(121_666, -1, P) % P
Point = tuple[int, int]


def refused(why: str, jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=why):
        okp.import_okp(jwk)


def octets(y: int, sign: int = 0) -> str:
    return b64((y | sign << 255).to_bytes(32, "little"))


def add(one: Point, other: Point) -> Point:
    """RFC 8032 §5.1.4, affine."""
    (x1, y1), (x2, y2) = one, other
    k = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P


def x_of(y: int) -> int:
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0
    return x


def small_order_points() -> set[Point]:
    """The multiples of a point of order 8, found from one that is not."""
    order = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 100):
        try:
            point = (x_of(y), y)
        except AssertionError:
            continue
        result, power = (0, 1), point
        for bit in range(order.bit_length()):
            if order >> bit & 1:
                result = add(result, power)
            power = add(power, power)
        found, current = set[Point](), (0, 1)
        for _ in range(8):
            found.add(current)
            current = add(current, result)
        if len(found) == 8:
            return found
    raise AssertionError("no point of order 8")


def test_a_sound_key_is_imported() -> None:
    imported = okp.import_okp(okp_jwk(okp_key()))[0]
    assert isinstance(imported, Ed25519PublicKey)
    assert imported.public_bytes_raw() == okp_key().public_key().public_bytes_raw()


def test_every_point_of_small_order_is_refused() -> None:
    points = small_order_points()
    assert len(points) == 8
    assert {y for _, y in points} == okp._SMALL_ORDER
    for _, y in points:
        for sign in (0, 1):
            refused("small order", okp_jwk(okp_key(), x=octets(y, sign)))


def test_without_the_check_anybody_could_sign_for_a_point_of_small_order() -> None:
    """The identity as the key: R is the identity, S zero, whatever the message."""
    key = Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    key.verify((1).to_bytes(32, "little") + bytes(32), b"whatever")


def has_point(y: int) -> bool:
    try:
        x_of(y)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("sign", [0, 1])
def test_a_y_of_no_point_is_refused(sign: int) -> None:
    small = {y for _, y in small_order_points()}
    values = [y for each in range(2, 100) for y in (each, P - each, each << 248) if y not in small]
    on = [y for y in values if has_point(y)]
    assert len(values) / 3 < len(on) < len(values) * 2 / 3  # about half of all
    for y in values:
        jwk = okp_jwk(okp_key(), x=octets(y, sign))
        if y in on:
            assert okp.import_okp(jwk)[0].public_bytes_raw() == (y | sign << 255).to_bytes(32, "little")
        else:
            refused("^x is no point of Ed25519$", jwk)


@pytest.mark.parametrize("n", [1, 3, 5, 7, 9, 15, 21, 25, 101, 105, 9_907])
def test_the_jacobi_symbol_is_the_product_of_those_of_legendre(n: int) -> None:
    factors, left = [], n
    for prime in range(3, n + 1, 2):
        while left % prime == 0:
            factors.append(prime)
            left //= prime
    for a in range(min(n, 500)):
        legendre = [(pow(a, (prime - 1) // 2, prime) + 1) % prime - 1 for prime in factors]
        assert okp._jacobi(a, n) == math.prod(legendre)


@pytest.mark.parametrize("y", [P, P + 1, P + 18, 2**255 - 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_a_y_of_p_or_above_is_refused(y: int, sign: int) -> None:
    refused("x is not below the prime", okp_jwk(okp_key(), x=octets(y, sign)))


@pytest.mark.parametrize("size", [0, 31, 33, 48])
def test_a_key_has_exactly_32_octets(size: int) -> None:
    refused(f"x has {size} octets", okp_jwk(okp_key(), x=b64(b"\5" * size)))


@pytest.mark.parametrize(("characters", "why"), [(64, "x has 48 octets"), (65, "x is too long")])
def test_at_most_twice_the_octets_are_decoded(characters: int, why: str) -> None:
    refused(why, okp_jwk(okp_key(), x="g" * characters))


@pytest.mark.parametrize("crv", [..., None, 1, [], "ed25519", "Ed448", "X25519", "X448", "P-256"])
def test_other_curves_are_refused(crv: Any) -> None:
    refused("^crv is", okp_jwk(okp_key(), crv=crv))


@pytest.mark.parametrize("value", [..., None, 1, [], "!!!", "g" * 200, "é", "+" * 42 + "A"])
def test_x_is_canonical_base64url(value: Any) -> None:
    refused("^x is", okp_jwk(okp_key(), x=value))
