"""Step 1: size and shape."""

import base64

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt._core import base64url, compact

TOKEN = "eyJh.eyJi.c2ln"


def refused(assertion: object, max_bytes: int = 1_000) -> tuple[Reason, str | None]:
    with pytest.raises(InvalidClient) as caught:
        compact.split(assertion, max_bytes)  # type: ignore[arg-type]
    return caught.value.reason, caught.value.check


@pytest.mark.parametrize("token", [TOKEN, TOKEN.encode()])
def test_three_segments_are_taken_apart(token: str | bytes) -> None:
    assert compact.split(token, 1_000) == (b"eyJh", b"eyJi", b"c2ln", b"eyJh.eyJi")


def test_segments_come_in_the_alphabet_that_is_decoded() -> None:
    assert compact.split("-_-_.-_-_.-_-_", 1_000) == (b"+/+/", b"+/+/", b"+/+/", b"-_-_.-_-_")


def test_the_size_is_looked_at_before_anything_else() -> None:
    assert compact.split(TOKEN, len(TOKEN))
    assert refused(TOKEN, len(TOKEN) - 1) == (Reason.TOO_LARGE, "size")
    assert refused("é" * 1_001) == (Reason.TOO_LARGE, "size")
    assert refused(b"\xff" * 1_001) == (Reason.TOO_LARGE, "size")


@pytest.mark.parametrize(
    "assertion",
    [TOKEN + "=", TOKEN + "é", "Ａ" + TOKEN, TOKEN + " ", " " + TOKEN, TOKEN + "\n", "a+/a.b.c", "\ud800.a.a",
     b"\xff.a.a", b"a.b.\\1", '{"payload":"a","signatures":[]}', None, 1, [], bytearray(b"a.b.c")],
)  # fmt: skip
def test_only_the_alphabet_is_taken(assertion: object) -> None:
    assert refused(assertion) == (Reason.MALFORMED, "characters")


@pytest.mark.parametrize(
    "assertion", ["", ".", "..", "...", "a", "a.b", "a.b.c.d", "a.b.c.d.e", ".b.c", "a..c", "a.b."]
)
def test_three_segments_that_are_not_empty(assertion: str) -> None:
    assert refused(assertion) == (Reason.MALFORMED, "segments")


@pytest.mark.parametrize(
    ("assertion", "got"),
    [("a.b.", "one that is empty"), ("a.b", "got 2"), ("a.b.c.d.e", "a JWE"), ("a.b.c.d.e.f", "got 6 or more")],
)
def test_the_detail_says_what_is_wrong_with_the_segments(assertion: str, got: str) -> None:
    with pytest.raises(InvalidClient, match=got):
        compact.split(assertion, 100)


@pytest.mark.parametrize(
    ("assertion", "check"),
    [("eyJ.eyJi.c2ln", "header"), ("eyJh.eyJ.c2ln", "claims"), ("eyJh.eyJi.c2l", "signature")],
)
def test_each_segment_has_one_spelling(assertion: str, check: str) -> None:
    assert refused(assertion) == (Reason.MALFORMED, check)


def loaded(raw: bytes) -> object:
    return compact.loads(base64url.to_standard(base64.urlsafe_b64encode(raw).rstrip(b"=")), "claims")


def test_an_object_of_any_length_is_loaded() -> None:
    for length in (0, 180, 192, 193, 12_000):
        assert loaded(b'{"a": "' + b"x" * length + b'"}') == {"a": "x" * length}
        assert loaded(b" " * length + b"{}") == {}
        assert loaded(b'{"a": "' + b"[" * length + b'"}') == {"a": "[" * length}


def test_what_is_no_object_is_refused_by_the_name_of_its_segment() -> None:
    with pytest.raises(InvalidClient) as caught:
        loaded(b"[]")
    assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "claims")


@pytest.mark.parametrize("raw", [b"[" * 12_000, b'{"a":' * 2_000, b"x" * 12_000, b"[" + b" " * 12_000 + b"]"])
def test_what_begins_wrong_is_refused_by_its_beginning(raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding the whole would cost more than an RSA verification."""
    decoded = []

    def decode(segment: bytes) -> bytes:
        decoded.append(len(segment))
        return base64url.decode_canonical(segment)

    monkeypatch.setattr(compact, "decode_canonical", decode)
    with pytest.raises(InvalidClient) as caught:
        loaded(raw)
    assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "claims")
    assert decoded == [256]


@pytest.mark.parametrize(
    ("assertion", "got"),
    [
        ("a", "1"),
        ("a.b", "2"),
        ("a..c", "one that is empty"),
        ("a.b.c.d", "4"),
        ("a.b.c.d.e", "5 (a JWE has five)"),
        ("a.b.c.d.e.f", "6 or more"),
        ("." * 999, "6 or more"),
    ],
)
def test_the_number_of_segments_is_quoted(assertion: str, got: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        compact.split(assertion, 16_384)
    assert caught.value.detail == f"expected three non-empty segments, got {got}"
