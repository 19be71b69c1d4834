"""One spelling for each value."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_key_jwt._core import base64url


def spell(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


@given(st.binary(max_size=200))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    assert base64url.decode(spell(data)) == data


@given(st.binary(max_size=12))
def test_only_the_canonical_spelling_decodes(text: bytes) -> None:
    try:
        data = base64url.decode(text)
    except ValueError:
        return
    assert spell(data) == text


@pytest.mark.parametrize(
    "text",
    [
        b"A",
        b"AAAAA",
        b"AB",  # spare bits that are not zero
        b"AAB",
        b"AA==",
        b"AAA=",
        b"AA=A",
        b"A A",
        b"AA\n",
        b"A+AA",
        b"A/AA",
        b"A!AA",
        b"A.AA",
        b"A\x00AA",
        "AÄ".encode(),
    ],
)
def test_other_spellings_are_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="base64url"):
        base64url.decode(text)


@given(st.binary(min_size=1, max_size=40))
def test_a_canonical_segment_is_seen_without_decoding_it(data: bytes) -> None:
    segment = spell(data).translate(base64url.TO_STANDARD)
    assert base64url.is_canonical(segment)
    assert base64url.decode_canonical(segment) == data
    assert not base64url.is_canonical(segment + b"A" * (1 - len(segment) % 4 + 4))


@pytest.mark.parametrize("segment", [b"A!AA", b"AA\nAA", b"AA==AA", b"A-_A"])
def test_what_is_not_of_the_standard_alphabet_is_never_decoded_without_it(segment: bytes) -> None:
    """Whoever decodes has looked before. Should one forget it, nothing is left out silently."""
    with pytest.raises(ValueError, match="base64|data"):
        base64url.decode_canonical(segment)


def test_each_last_character_is_seen() -> None:
    alphabet = base64.b64encode(bytes(range(256)) * 3).rstrip(b"=")
    for length in range(1, 9):
        for last in set(alphabet):
            segment = b"A" * (length - 1) + bytes([last])
            value = base64.b64decode(segment + b"=" * (-length % 4)) if length % 4 != 1 else b""
            assert base64url.is_canonical(segment) is (base64.b64encode(value).rstrip(b"=") == segment), segment


def test_what_is_foreign_is_marked() -> None:
    every = bytes(range(256))
    ours = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."
    marked = {
        byte
        for byte, made in zip(every, every.translate(base64url.TO_STANDARD), strict=True)
        if made == base64url.FOREIGN
    }
    assert marked == set(every) - set(ours)
    assert base64url.FOREIGN not in ours.translate(base64url.TO_STANDARD)
