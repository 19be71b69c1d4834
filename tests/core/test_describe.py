"""What a detail says of a value, where the refusals of the steps do not show all of it."""

import math

import pytest

from private_key_jwt._core import describe

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("abcd\nefgh\nij", 4),
        ("abcd\nefgh\nijkl\nmn", 4),
        ("abcd\nefgh", None),
        ("abcd\nefghi\nj", None),
        ("abcd\n\nfgh\nij", None),
        ("\n\nabcd", None),
    ],
)
def test_text_in_lines_of_one_length_is_called_wrapped(text: str, columns: int | None) -> None:
    said = describe.foreign_character(text, text.index("\n"))
    assert said.endswith("a line break" if columns is None else f"a line break: it is wrapped at {columns} columns")


def test_a_character_that_is_no_line_break_is_never_called_one() -> None:
    assert describe.foreign_character("ab!d\nef", 2).endswith("only A-Z a-z 0-9 - _ . may stand there")


@pytest.mark.parametrize(
    ("got", "accepted"),
    [
        ("http://op.example", "https://op.example"),
        ("https://op.example", "http://op.example"),
        ("http://op.example/?of=x://y", "https://op.example/?of=x://y"),
    ],
)
def test_an_audience_that_differs_in_its_scheme_is_said_so(got: str, accepted: str) -> None:
    assert describe.difference([got], [accepted]) == "only the scheme differs, http or https"


@pytest.mark.parametrize("got", ["ftp://op.example", "http://op.example.com", "ldap://op.example"])
def test_an_audience_that_differs_in_more_than_http_and_https_is_not(got: str) -> None:
    assert "scheme" not in describe.difference([got], ["https://op.example"])


def test_seconds_are_counted_between_the_instants_that_are_shown() -> None:
    assert describe.ahead("iat", NOW + 42.1, 15, NOW + 0.9).startswith("iat is 42 s ahead")
    assert describe.expired(NOW - 42.1, 15, NOW + 0.9, NOW - 102.1).startswith("expired 43 s ago")


def test_seconds_between_instants_of_which_one_is_none_are_said_as_they_are() -> None:
    assert describe.ahead("iat", NOW, 15, -math.inf).startswith("iat is inf s ahead")
    assert describe.expired(NOW, 15, math.nan).startswith("expired nan s ago")


def test_an_assertion_that_expires_when_it_is_made_is_said_to_live_for_no_second() -> None:
    assert "; made 42 s ago for 0 s, sent late" in describe.expired(NOW - 42, 15, NOW, NOW - 42)
    assert "it lives 0 s from iat, which is 400 s ahead" in describe.too_far(NOW + 400, NOW + 400, 300, 15, NOW)
