"""What is sent in place of a value, when a program or a template had none."""

import pytest

from private_key_jwt import InvalidClient
from private_key_jwt._core.compact import split
from private_key_jwt._core.describe import audience_mismatch
from private_key_jwt._core.stand_in import in_place_of_assertion, in_place_of_text

PLACEHOLDER = "a placeholder that was not filled in"
OP = "https://op.example"

BOTH = [
    ("{{client_assertion}}", PLACEHOLDER),
    ("${CLIENT_ASSERTION}", PLACEHOLDER),
    ("<client_assertion>", PLACEHOLDER),
    ("Bearer {{ jwt }}", PLACEHOLDER),
    ("{{" + "x" * 64 + "}}", PLACEHOLDER),
    ("${" + "x" * 64 + "}", PLACEHOLDER),
    ("<" + "x" * 64 + ">", PLACEHOLDER),
    ("undefined", "what JavaScript writes for a missing value"),
    ("null", "what JavaScript and Java write for a missing value"),
    ("None", "what Python writes for a missing value"),
    ("<nil>", "what Go writes for a missing value"),
    ("[object Promise]", "what JavaScript writes for a promise that was not awaited"),
    ("[object Object]", "what JavaScript writes for an object, of which one member may be meant"),
]


@pytest.mark.parametrize(("text", "said"), BOTH)
def test_a_value_that_is_missing_is_said_to_be(text: str, said: str) -> None:
    assert in_place_of_assertion(text) == said
    assert in_place_of_text(text) == said
    for sent in (text, text.encode()):
        with pytest.raises(InvalidClient) as caught:
            split(sent, 16_384)
        assert caught.value.detail == f"expected an assertion, and it is {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-----BEGIN PRIVATE KEY-----\nMIIE", "a PEM key, not an assertion: it was sent over the wire, replace it"),
        (" -----BEGIN RSA PRIVATE KEY-----\r\n", "a PEM key, not an assertion: it was sent over the wire, replace it"),
        ("-----BEGIN PUBLIC KEY-----\nMIIB", "PEM, not an assertion"),
        (" null\n", "what JavaScript and Java write for a missing value"),
    ],
)
def test_what_is_pem_or_stands_in_white_space_is_named_in_place_of_an_assertion(text: str, said: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        split(text, 16_384)
    assert caught.value.detail == f"expected an assertion, and it is {said}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nullx",
        "x{{" + "x" * 65 + "}}",
        "${" + "x" * 65 + "}",
        "<" + "x" * 65 + ">",
        "x{{}}",
        "${}",
        "<>",
        "<https://op.example>",
        "x" * 254 + "<x>",
        "BEGIN PRIVATE KEY-----",
        "null.null",
    ],
)
def test_of_another_text_nothing_is_said(text: str) -> None:
    assert in_place_of_assertion(text) == ""
    assert in_place_of_text(text) == ""


def test_a_text_is_looked_at_up_to_256_characters() -> None:
    assert in_place_of_assertion("x" * 253 + "<x>") == PLACEHOLDER
    assert in_place_of_text("x" * 253 + "<x>") == PLACEHOLDER


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'["{OP}"]', "a JSON text within a text"),
        (f'["{OP}", "{"x" * 256}"]', "a JSON text within a text"),
        (f'{{"aud": "{OP}"}}', "a JSON text within a text"),
        (f'"{OP}"', "a text in quotes"),
        (f"'{OP}'", "a text in quotes"),
        ("${ISSUER}/token", PLACEHOLDER),
        ("undefined", "what JavaScript writes for a missing value"),
    ],
)
def test_an_audience_that_is_none_is_said_to_be(text: str, said: str) -> None:
    assert in_place_of_text(text) == said
    detail = audience_mismatch(text, [text], [OP])
    assert detail.endswith(f", expected '{OP}'; it is {said}")


@pytest.mark.parametrize("text", [f"[{OP}", f"{OP}]", f"{{{OP}", f"{OP}}}", f'"{OP}', f'{OP}"', f"'{OP}", f"{OP}'"])
def test_an_audience_with_half_of_a_pair_around_it_is_compared(text: str) -> None:
    assert in_place_of_text(text) == ""
    assert "it is " not in audience_mismatch(text, [text], [OP])


def test_four_audiences_are_looked_at() -> None:
    others = [f"urn:{letter}" for letter in "abcd"]
    for values, is_seen in (([*others[:3], "null"], True), ([*others, "null"], False)):
        assert audience_mismatch(values, values, [OP]).endswith("for a missing value") is is_seen


def test_one_segment_that_is_none_of_these_is_one_without_a_dot() -> None:
    with pytest.raises(InvalidClient, match="^malformed: expected three non-empty segments, got one without a dot$"):
        split("undefined1", 16_384)
    with pytest.raises(InvalidClient, match="^malformed: expected three non-empty segments, got 2$"):
        split("null.x", 16_384)
