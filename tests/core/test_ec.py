"""Which EC keys are usable."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec as implementation

from private_key_jwt._core import ec
from support import b64, ec_jwk, ec_key

EACH = pytest.mark.parametrize("curve", ec.CURVES.values(), ids=lambda curve: curve.name)


def refused(why: str, jwk: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=why):
        ec.import_ec(jwk)


@EACH
def test_a_sound_key_is_imported(curve: ec.Curve) -> None:
    imported = ec.import_ec(ec_jwk(ec_key(curve.name)))[0]
    assert imported.public_numbers() == ec_key(curve.name).public_key().public_numbers()


@EACH
def test_the_numbers_of_a_curve_are_those_of_the_library(curve: ec.Curve) -> None:
    """The order: its multiple of the base point is no key, and one below is; p and b: each point obeys them."""
    implementation.derive_private_key(curve.n - 1, curve.implementation)
    with pytest.raises(ValueError, match="out of range"):
        implementation.derive_private_key(curve.n, curve.implementation)
    assert (curve.p.bit_length() + 7) // 8 == (curve.n.bit_length() + 7) // 8 == curve.size
    for number in range(3):
        point = ec_key(curve.name, number).public_key().public_numbers()
        assert (point.y**2 - point.x**3 + 3 * point.x - curve.b) % curve.p == 0


@EACH
@pytest.mark.parametrize("name", ["x", "y"])
def test_a_coordinate_of_p_or_above_is_refused(curve: ec.Curve, name: str) -> None:
    jwk = ec_jwk(ec_key(curve.name), **{name: b64(curve.p.to_bytes(curve.size, "big"))})
    refused(f"{name} is not below the prime of {curve.name}", jwk)
    jwk[name] = b64((curve.p - 1).to_bytes(curve.size, "big"))
    refused("x and y are no point", jwk)


def test_a_coordinate_that_is_the_right_one_modulo_p_is_refused() -> None:
    """cryptography takes it, and one key would have two spellings, so two thumbprints."""
    curve = ec.CURVES["P-521"]
    numbers = ec_key("P-521").public_key().public_numbers()
    jwk = ec_jwk(ec_key("P-521"), x=b64((numbers.x + curve.p).to_bytes(66, "big")))
    refused("x is not below the prime", jwk)


@EACH
@pytest.mark.parametrize("name", ["x", "y"])
@pytest.mark.parametrize("change", [lambda octets: b"\0" + octets, lambda octets: octets[:-1], lambda _octets: b"\1"])
def test_a_coordinate_has_exactly_the_octets_of_its_curve(curve: ec.Curve, name: str, change: Any) -> None:
    numbers = ec_key(curve.name).public_key().public_numbers()
    octets = change(getattr(numbers, name).to_bytes(curve.size, "big"))
    refused(f"{name} has {len(octets)} octets", ec_jwk(ec_key(curve.name), **{name: b64(octets)}))


@EACH
def test_a_point_that_is_not_on_the_curve_is_refused(curve: ec.Curve) -> None:
    numbers = ec_key(curve.name).public_key().public_numbers()
    jwk = ec_jwk(ec_key(curve.name), y=b64((numbers.y ^ 1).to_bytes(curve.size, "big")))
    refused("x and y are no point", jwk)
    zero = b64(bytes(curve.size))
    # So many times "A" are hex, too, and a key of neither kind.
    refused(
        "x looks like hex" if len(zero) >= 64 else "x and y are no point", ec_jwk(ec_key(curve.name), x=zero, y=zero)
    )


@pytest.mark.parametrize(("characters", "why"), [(64, "x has 48 octets"), (65, "x is too long")])
def test_at_most_twice_the_octets_are_decoded(characters: int, why: str) -> None:
    refused(why, ec_jwk(ec_key(), x="g" * characters))


@pytest.mark.parametrize("crv", [..., None, 1, [], {}, "p-256", "P-192", "secp256k1", "brainpoolP256r1", "Ed25519"])
def test_other_curves_are_refused(crv: Any) -> None:
    refused("^crv is", ec_jwk(ec_key(), crv=crv))


def test_a_key_of_another_curve_is_no_point_of_this_one() -> None:
    refused("no point of P-256", ec_jwk(ec_key("secp256k1"), crv="P-256"))
    refused("x has 48 octets, and P-256 has 32", ec_jwk(ec_key("P-384"), crv="P-256"))


@pytest.mark.parametrize("value", [..., None, 1, [], "!!!", "g" * 200, "é"])
@pytest.mark.parametrize("name", ["x", "y"])
def test_coordinates_are_canonical_base64url(name: str, value: Any) -> None:
    refused(f"^{name} is", ec_jwk(ec_key(), **{name: value}))
