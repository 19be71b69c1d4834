"""How members of a JWK that hold octets are read and written."""

from typing import Any

import pytest

from private_key_jwt._core.octets import decode_member, encode

STANDARD = "standard base64 in place of base64url (RFC 7515 section 2)"


@pytest.mark.parametrize(
    ("text", "octets"),
    [("", b""), ("AA", b"\0"), ("-_-_", b"\xfb\xff\xbf"), ("AQAB", b"\1\0\1"), ("AAAX", b"\0\0\x17")],
)
def test_what_is_canonical_is_read_and_written_alike(text: str, octets: bytes) -> None:
    assert decode_member({"n": text}, "n", 4) == octets
    assert encode(octets) == text


def test_what_is_longer_than_asked_for_is_not_decoded() -> None:
    assert decode_member({"n": "AAAA"}, "n", 4) == bytes(3)
    with pytest.raises(ValueError, match="^n is too long: 5 characters, and at most 4 are decoded$"):
        decode_member({"n": "AAAAA"}, "n", 4)


@pytest.mark.parametrize(
    ("members", "fault"),
    [
        ({}, "n is absent"),
        ({"n": None}, "n is absent"),
        ({"x5c": ["MII"]}, "n is absent, only a certificate (x5c), which is not looked at"),
        ({"n": 7}, "n is the number 7, not a string"),
        ({"n": 1.5}, "n is the number 1.5, not a string"),
        ({"n": 65_537}, "n is the number 65537, not a string (65537 is AQAB)"),
        ({"n": True}, "n is true, not a string"),
        *[
            ({"n": text}, "n is not base64url of octets: it looks like hex (65537 is AQAB)")
            for text in ("0x10001", "0X1")
        ],
        ({"n": b"AA"}, "n is b'AA', not a string"),
        ({"n": "AQ=="}, "n is padded with '=', and base64url in a JWK has no padding (RFC 7518 section 2)"),
        ({"n": "AQ===="}, "n is padded with '=', and base64url in a JWK has no padding (RFC 7518 section 2)"),
        (
            {"n": "A=X"},
            "n is not base64url: '=' at character 2 of 3: base64 padding; a JWK has none (RFC 7518 section 2)",
        ),
        (
            {"n": "A=Q"},
            "n is not base64url: '=' at character 2 of 3: base64 padding; a JWK has none (RFC 7518 section 2)",
        ),
        *[({"n": f"AQ{sign}B"}, f"n is not base64url: '{sign}' at character 3 of 4: {STANDARD}") for sign in "+/"],
        ({"n": "AQ+B=="}, f"n is not base64url: '+' at character 3 of 6: {STANDARD}"),
        ({"n": "az09-_,"}, "n is not base64url: ',' at character 7 of 7: only A-Z a-z 0-9 - _ may stand there"),
        ({"n": "AZ.A"}, "n is not base64url: '.' at character 3 of 4: only A-Z a-z 0-9 - _ may stand there"),
        ({"n": "A~"}, "n is not base64url: '~' at character 2 of 2: only A-Z a-z 0-9 - _ may stand there"),
        ({"n": "AQAB\n"}, r"n is not base64url: '\n' at character 5 of 5: a line break at its end"),
        ({"n": " AQAB"}, "n is not base64url: ' ' at character 1 of 5: white space"),
        ({"n": '"AQAB"'}, "n is not base64url: '\"' at character 1 of 6: it stands in quotes"),
        ({"n": "b'AQAB'"}, 'n is not base64url: "\'" at character 2 of 7: it is the repr of Python bytes'),
        ({"n": "bearer A"}, "n is not base64url: ' ' at character 7 of 8: white space"),
        ({"n": "AQ\nAB\nA"}, r"n is not base64url: '\n' at character 3 of 7: a line break: it is wrapped at 2 columns"),
        (
            {"n": "é"},
            r"n is not base64url: '\xe9' (latin small letter e with acute) at character 1 of 1:"
            " only A-Z a-z 0-9 - _ may stand there",
        ),
        ({"n": "\ud800"}, r"n is not base64url: '\ud800' at character 1 of 1: only A-Z a-z 0-9 - _ may stand there"),
        ({"n": "65537"}, "n is not base64url of octets: it looks decimal (65537 is AQAB)"),
        ({"n": "65537a"}, "n is not canonical base64url: its last character, 'a', has spare bits that are not zero"),
        ({"n": "AB"}, "n is not canonical base64url: its last character, 'B', has spare bits that are not zero"),
        ({"n": "A"}, "n is not canonical base64url: no octets have 1 characters, was it cut?"),
        ({"n": "AQABA"}, "n is not canonical base64url: no octets have 5 characters, was it cut?"),
    ],
)
def test_a_fault_says_what_is_wrong_with_the_spelling(members: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match="^n is") as caught:
        decode_member(members, "n", 10)
    assert str(caught.value) == fault


def test_another_encoding_is_named_before_the_length_of_what_is_not_endless() -> None:
    fault = "^n looks like hex: it must be the modulus alone, in base64url$"
    with pytest.raises(ValueError, match=fault):
        decode_member({"n": "A" * 4_096}, "n", 4)
    with pytest.raises(ValueError, match="^n is too long: 4097 characters"):
        decode_member({"n": "A" * 4_097}, "n", 4)
    with pytest.raises(ValueError, match="^x looks like hex: it must be the number alone, in base64url$"):
        decode_member({"x": "A" * 64}, "x", 64)
