"""Step 1: size and shape."""

import base64
import json
from collections.abc import Callable

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt._core import base64url, compact
from private_key_jwt._core.checks import Check
from support import raising

TOKEN = "eyJh.eyJi.c2ln"


def refused(assertion: object, max_bytes: int = 1_000) -> tuple[Reason, str | None]:
    with pytest.raises(InvalidClient) as caught:
        compact.split(assertion, max_bytes)  # type: ignore[arg-type]
    assert caught.value.detail
    return caught.value.reason, caught.value.check


@pytest.mark.parametrize(
    "token",
    [TOKEN, TOKEN.encode(), raising(str)(TOKEN), raising(bytes)(TOKEN.encode())],
    ids=["text", "bytes", "text whose methods raise", "bytes whose methods raise"],
)
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
    ("assertion", "name"),
    [("eyJ.eyJi.c2ln", "header"), ("eyJh.eyJ.c2ln", "claims"), ("eyJh.eyJi.c2l", "signature")],
)
def test_each_segment_has_one_spelling(assertion: str, name: str) -> None:
    assert refused(assertion) == (Reason.MALFORMED, "segments")
    with pytest.raises(InvalidClient, match=f"the {name} segment is not canonical base64url"):
        compact.split(assertion, 100)


@pytest.mark.parametrize("place", range(3))
def test_the_last_character_of_a_segment_says_whether_its_spare_bits_are_zero(place: int) -> None:
    segments = ["eyJh", "eyJi", "c2ln"]
    segments[place] = "eJA"  # of J they would not be
    assert compact.split(".".join(segments), 100)
    segments[place] = "eAJ"
    assert refused(".".join(segments)) == (Reason.MALFORMED, "segments")


def loaded(raw: bytes) -> object:
    return compact.loads(base64.urlsafe_b64encode(raw).rstrip(b"=").translate(base64url.TO_STANDARD), "claims")


def test_an_object_of_any_length_is_loaded() -> None:
    for length in (0, 180, 192, 193, 12_000):
        assert loaded(b'{"a": "' + b"x" * length + b'"}') == {"a": "x" * length}
        assert loaded(b" " * length + b"{}") == {}
    assert loaded(b'{"a": "' + b"[" * 250 + b'"}') == {"a": "[" * 250}


@pytest.mark.parametrize("sign", ["[", "]", "{", "}", ",", ":", "\\\\"])
def test_a_text_of_too_much_structure_is_not_parsed(sign: str) -> None:
    most = f'{{"a":"{sign * (253 // len(sign))}"}}'.encode()
    assert loaded(most)
    with pytest.raises(InvalidClient, match="backslashes, got 257$"):
        loaded(b'{"' + sign.encode()[:1] * 256)
    for raw in (most.replace(b"a", b"a," * 9), b"{" + sign.encode() * 2_000):
        with pytest.raises(InvalidClient, match="at most 256 brackets, commas, colons, backslashes") as caught:
            loaded(raw)
        assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, "claims")


def test_a_text_of_too_many_quotes_is_not_parsed() -> None:
    def text(quotes: int) -> bytes:
        return b"{" + b'"' * (quotes - 1) + b'":' + b" " * 9

    with pytest.raises(InvalidClient, match="at most 512 quotes, got 513") as caught:
        loaded(text(513))
    assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, "claims")
    with pytest.raises(InvalidClient) as caught:
        loaded(text(512))
    assert caught.value.reason is Reason.MALFORMED


def test_ample_claims_are_not_too_much() -> None:
    assert loaded(json.dumps({f"claim{number}": "value" for number in range(100)}).encode())


@pytest.mark.parametrize(
    ("place", "name", "longest"), [(0, "header", 11_264), (1, "claims", 5_120), (2, "signature", 1_368)]
)
def test_each_segment_has_a_bound_that_is_named(place: int, name: str, longest: int) -> None:
    segments = ["AAAA"] * 3
    segments[place] = "A" * longest
    compact.split(".".join(segments), 16_384)
    segments[place] += "AAAA"
    with pytest.raises(
        InvalidClient, match=f"a {name} segment of at most {longest} characters, got {longest + 4}"
    ) as caught:
        compact.split(".".join(segments), 16_384)
    assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, "size")


@pytest.mark.parametrize(("place", "longest"), [(0, 11_264), (1, 5_120), (2, 1_368)])
def test_what_is_too_long_is_refused_before_each_character_is_looked_at(place: int, longest: int) -> None:
    segments = ["AAAA"] * 3
    segments[place] = "!" * (longest + 4)
    with pytest.raises(InvalidClient, match=f"at most {longest} characters") as caught:
        compact.split(".".join(segments).encode(), 16_384)
    assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, "size")


@pytest.mark.parametrize("text", ["{0}", "{0}.", ".{0}", "{0}.AAAA", "AAAA.{0}.AAAA.AAAA", ".{0}.AAAA", "." * 12_000])
def test_a_long_text_that_has_no_three_segments_is_refused_for_that(text: str) -> None:
    with pytest.raises(InvalidClient, match="expected three non-empty segments") as caught:
        compact.split(text.format("A" * 12_000), 16_384)
    assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "segments")


def test_the_segment_that_is_too_long_is_named_beside_one_that_is_just_short_enough() -> None:
    with pytest.raises(InvalidClient, match="a claims segment of at most 5120 characters"):
        compact.split(f"{'A' * 11_264}.{'A' * 5_124}.AAAA", 20_000)


def test_header_and_claims_have_a_bound_together() -> None:
    compact.split(f"{'A' * 7_168}.{'A' * 5_120}.AAAA", 20_000)
    with pytest.raises(
        InvalidClient, match="at most 12288 characters together, got header 7172 and claims 5120"
    ) as caught:
        compact.split(f"{'A' * 7_172}.{'A' * 5_120}.AAAA", 20_000)
    assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, "size")


@pytest.mark.parametrize(("name", "most"), [("header", 4), ("claims", 16)])
def test_a_segment_has_a_bound_of_fractions_that_is_named(name: Check, most: int) -> None:
    def text(many: int) -> bytes:
        return base64.b64encode(json.dumps({"a": [1.25] * many}).encode()).rstrip(b"=")

    assert compact.loads(text(most), name)
    with pytest.raises(InvalidClient, match=f"the {name}: expected at most {most} numbers with a fraction") as caught:
        compact.loads(text(most + 1), name)
    assert (caught.value.reason, caught.value.check) == (Reason.TOO_LARGE, name)


@pytest.mark.parametrize("assertion", [1, None, ["a.b.c"]])
def test_what_is_no_text_is_named_by_its_type(assertion: object) -> None:
    with pytest.raises(InvalidClient, match=f"expected str or bytes, got {type(assertion).__name__}"):
        compact.split(assertion, 100)  # type: ignore[arg-type]


VALID = "eyJh.eyJi.c2ln"


@pytest.mark.parametrize(
    ("assertion", "words"),
    [
        (f"{VALID}\n", "'\\n' at character 15 of 15: a line break at its end"),
        (f"{VALID}\r\n", "a line break at its end"),
        (f"{VALID}=", "'=' at character 15 of 15: base64 padding"),
        (f"Bearer {VALID}", "' ' at character 7 of 21: an authorization scheme stands in front"),
        (f"b'{VALID}'", "it is the repr of Python bytes"),
        (f'"{VALID}"', "it stands in quotes"),
        (f"client_assertion={VALID}", "'=' at character 17 of 31: the name of the parameter stands in front"),
        (VALID.replace("J", "\u2013", 1), "'\\u2013' (en dash) at character 3 of 14: a typographic dash in place of -"),
        (VALID.replace("J", "\u2212", 1), "a typographic dash in place of -"),
        (VALID.replace("J", "+", 1), "'+' at character 3 of 14: standard base64 in place of base64url"),
        (VALID.replace(".", "%2E"), "'%' at character 5 of 18: it was percent-encoded once too often"),
        (VALID.replace("J", " ", 1), "' ' at character 3 of 14: white space"),
        (f"\ufeff{VALID}", "'\\ufeff' at character 1 of 15: a byte order mark stands in front"),
        (f'{{"payload": "{VALID}"}}', "'{' at character 1 of 29: it is JSON"),
        (VALID.replace("J", "\uff21", 1), "'\\uff21' (fullwidth latin capital letter a) at character 3 of 14"),
        (f"{VALID[:9]}\ud800{VALID[9:]}!", "'\\ud800' at character 10 of 16"),
        (f"{VALID}~", "an SD-JWT"),
        *((f"{each}{VALID}", "white space or an invisible character") for each in "\u00a0\u200b\u2028\u2029"),
        (VALID.replace("J", "\U00017000", 1), "'\\U00017000' at character 3 of 14: only A-Z"),  # it has no name
        (VALID.replace("J", "\0", 1), "'\\x00' at character 3 of 14: a NUL character: is it UTF-16?"),
    ],
)
def test_a_foreign_character_is_named_with_its_place_and_what_it_looks_like(assertion: str, words: str) -> None:
    forms: list[str | bytes] = [assertion, *([assertion.encode()] if assertion.isascii() else [])]
    for each in forms:
        with pytest.raises(InvalidClient) as caught:
            compact.split(each, 16_384)
        assert words in caught.value.detail
        assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "characters")


def test_what_is_no_object_is_refused_by_the_name_of_its_segment() -> None:
    with pytest.raises(InvalidClient) as caught:
        loaded(b"[]")
    assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "claims")
    assert caught.value.detail == "the claims: not a JSON object: it is an array"


@pytest.mark.parametrize("raw", [b"[" * 12_000, b"x" * 12_000, b"[" + b" " * 12_000 + b"]"])
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
        ("a", "one without a dot"),
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


def detail_of(*segments: bytes | str, max_bytes: int = 20_000) -> str:
    spelled = [
        each if isinstance(each, str) else base64.urlsafe_b64encode(each).decode().rstrip("=") for each in segments
    ]
    with pytest.raises(InvalidClient) as caught:
        compact.split(".".join(spelled), max_bytes)
    return caught.value.detail


def test_claims_that_are_too_long_are_not_looked_into() -> None:
    """To read them costs more than an RSA verification: ``explain`` does, and names the largest member."""
    claims = b'{"iss": "acme", "groups": "' + b"x" * 5_000 + b'"}'
    assert detail_of(b"{}", claims, b"sig") == "expected a claims segment of at most 5120 characters, got 6706"


def test_the_largest_member_is_the_one_of_the_most_json() -> None:
    """Its name does not count, and neither do the spaces that stand in no JSON of a library."""
    assert compact.largest_member({"zz": "ab", "a": [1, 2, 3], "a-long-name": 1}) == ("a", len("[1,2,3]"))
    assert compact.largest_member({"b": {"c": 1}, "z": "abcde"}) == ("b", len('{"c":1}'))
    with pytest.raises(ValueError, match="empty"):
        compact.largest_member({})


def test_a_signature_that_is_too_long_is_not_looked_into() -> None:
    signature = b'{"x": "' + b"x" * 1_400 + b'"}'
    assert detail_of(b"{}", b"{}", signature) == "expected a signature segment of at most 1368 characters, got 1879"


@pytest.mark.parametrize("spell", [str, str.encode])
def test_an_assertion_that_is_too_large_is_said_by_its_segments(spell: Callable[[str], str | bytes]) -> None:
    for token, ending in ((TOKEN, "got 14: header 4, claims 4, signature 4"), ("x" * 14, "got 14")):
        with pytest.raises(InvalidClient) as caught:
            compact.split(spell(token), 10)
        assert caught.value.detail == f"expected at most 10 bytes (AssertionPolicy.max_assertion_bytes), {ending}"


@pytest.mark.parametrize(
    ("header", "signature", "told"),
    [
        (
            b'{"alg":"RS256"}',
            "AAAAA",
            "(5 characters, which no base64url has): one of RS256 has at least 342, so it was",
        ),
        (b'{"alg":"ES256"}', "AB", "(2 characters): one of ES256 has at least 86, so it was cut"),
        (b'{"alg":"ES384"}', "A" * 113, "one of ES384 has at least 128, so it was cut"),
        (b'{"alg":"ES512"}', "A" * 169, "one of ES512 has at least 176, so it was cut"),
        (b'{"alg":"EdDSA"}', "A" * 85, "one of EdDSA has at least 86, so it was cut"),
        (b'{"alg":"EdDSA"}', "A" * 85 + "B", "(86 characters): was the assertion cut or changed?"),
        (b'{"alg":"none"}', "AB", "(2 characters): was the assertion cut or changed?"),
        (b'{"alg":[]}', "AB", "(2 characters): was the assertion cut or changed?"),
        (b"xy", "AB", "(2 characters): was the assertion cut or changed?"),
    ],
)
def test_a_signature_that_was_cut_is_told_by_its_length(header: bytes, signature: str, told: str) -> None:
    assert told in detail_of(header, b"{}", signature)


def test_a_signature_is_not_said_to_be_cut_for_the_claims() -> None:
    told = detail_of(b'{"alg":"RS256"}', "eyJ", b"sig")
    assert told.endswith(
        "the claims segment is not canonical base64url (3 characters): was the assertion cut or changed?"
    )


def test_what_is_far_too_large_is_not_looked_through() -> None:
    """It would cost more than an RSA verification."""
    for filled, ending in (("A" * 65_532, "header 65532, claims 1, signature 1"), ("A" * 65_533, "got 65537")):
        with pytest.raises(InvalidClient) as caught:
            compact.split(f"{filled}.A.A", 1_000)
        assert caught.value.detail.endswith(ending)
