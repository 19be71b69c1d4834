"""Which other encodings of a key are recognized, and that octets of a key never are."""

import base64

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from private_key_jwt._core.encoding import recognize
from support import b64, private_key

KEY = private_key()
N = KEY.public_key().public_numbers().n.to_bytes(256)
HEX = N.hex()
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PKCS1 = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
PKCS8 = KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
SMALL = private_key(bits=1_024).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        *[(each, "hex") for each in (HEX, HEX.upper(), f"Modulus={HEX.upper()}", f"0x{HEX}", f"0X{HEX}\n")],
        *[(N.hex(sep), "hex") for sep in (":", " ", "\t")],
        (f"{HEX[:76]}\r\n{HEX[76:]}", "hex"),
        (str(int.from_bytes(N)), "decimal digits"),
        (b64(HEX.encode()), "hex in base64"),
        (base64.b64encode(HEX.encode()).decode(), "hex in base64"),
        (base64.encodebytes(HEX.encode()).decode(), "hex in base64"),
        (b64(str(int.from_bytes(N)).encode()), "decimal digits in base64"),
        *[(b64(der), "DER in base64") for der in (SPKI, PKCS1, PKCS8, SMALL)],
        *[(base64.b64encode(der).decode(), "DER in base64") for der in (SPKI, PKCS1)],
        *[(base64.encodebytes(der).decode(), "DER in base64") for der in (SPKI, PKCS1)],
        (PEM.decode(), "PEM"),
        (f"\n{PEM.decode()}", "PEM"),
        (b64(PEM), "PEM in base64"),
        (b64(PEM.replace(b"\n", b"\r\n")), "PEM in base64"),
        (b64(b64(N).encode()), "a text in base64"),
    ],
)
def test_an_encoding_is_recognized(text: str, name: str) -> None:
    assert recognize(text) == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("a" * 64, "hex"),
        ("a" * 63, None),
        ("1" * 64, "decimal digits"),
        ("1" * 63, None),
        (b64(b"+" * 64), "a text in base64"),
        (b64(b"+" * 63), None),
        (b64(b"+" * 63 + b"\x80"), None),
        (b64(b"\x7f" + b"+" * 63), None),
        (b64(b"a" * 64), "hex in base64"),
    ],
)
def test_less_than_64_characters_or_other_octets_are_not(text: str, name: str | None) -> None:
    assert recognize(text) == name


@pytest.mark.parametrize(
    ("octets", "is_der"),
    [
        (b"\x30\x81\x04\x02" + bytes(3), True),
        (b"\x30\x81\x04\x30" + bytes(3), True),
        (b"\x30\x82\x00\x04\x02" + bytes(3), True),
        (b"\x30\x82\x01\x00\x02" + bytes(255), True),
        (b"\x30\x82\x00\x04\x03" + bytes(3), False),
        (b"\x30\x82\x00\x03\x02" + bytes(3), False),
        (b"\x30\x82\x00\x05\x02" + bytes(3), False),
        (b"\x30\x83\x00\x00\x04\x02" + bytes(3), False),
        (b"\x31\x82\x00\x04\x02" + bytes(3), False),
        (b"\x30\x04\x02" + bytes(3), False),
        (b"\x30\x81\x00", False),
        (b"\x30", False),
        (b"", False),
    ],
)
def test_only_a_sequence_whose_length_fits_is_der(octets: bytes, is_der: bool) -> None:
    assert recognize(b64(octets)) == ("DER in base64" if is_der else None)


@pytest.mark.parametrize("text", ["A", "A" * 5, "\u00e9" * 64, "\ud800", "!", "-" * 64])
def test_what_is_no_base64_at_all_is_none_of_them(text: str) -> None:
    assert recognize(text) is None


@given(st.integers(256, 1_024), st.randoms(use_true_random=False))
def test_octets_of_a_modulus_are_none_of_them(size: int, random: object) -> None:
    octets = bytes([random.randrange(0x80, 0x100)]) + random.randbytes(size - 1)  # type: ignore[attr-defined]
    assert recognize(b64(octets)) is None
