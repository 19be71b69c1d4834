"""What a detail says of a value, where the refusals of the steps do not show all of it."""

import math

import pytest

from integrations.timing import cost_at_most
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


YEARS = 3 * 31_557_600
MOST = 10**11  # seconds: what is above is taken for milliseconds


@pytest.mark.parametrize(
    ("seconds", "said"), [(YEARS, "94672800 s:"), (YEARS + 1, "94672801 s (3 years):"), (math.inf, "inf s:")]
)
def test_more_seconds_than_those_of_3_years_are_said_in_years_too(seconds: float, said: str) -> None:
    assert f"got {said}" in describe.too_long(NOW, NOW - seconds, 300, 15)


OLD = "; iat is old: was it computed once, or is it in another time zone?"
SHORTER = "make it shorter, or raise max_lifetime"


@pytest.mark.parametrize(
    ("iat", "said"),
    [
        (NOW - 840, f"got 900 s; {SHORTER}"),
        (NOW - 841, f"got 901 s: iat is 2023-11-14T21:59:19Z, and exp is 2023-11-14T22:14:20Z{OLD}"),
        (
            1,
            "got 1700000059 s (54 years): iat is 1970-01-01T00:00:01Z, and exp is 2023-11-14T22:14:20Z" + OLD,
        ),
        (
            0,
            "got 1700000060 s (54 years): iat is 1970-01-01T00:00:00Z, and exp is 2023-11-14T22:14:20Z"
            "; iat is 0: unset?",
        ),
    ],
)
def test_an_iat_that_is_old_is_distinguished_from_a_lifetime_that_is_too_long(iat: float, said: str) -> None:
    expected = "expected exp at most 300 s after iat (leeway 15 s), "
    assert describe.too_long(NOW + 60, iat, 300, 15) == expected + said


def test_a_time_that_is_taken_for_milliseconds_is_not_counted_in_seconds() -> None:
    assert ", got " in describe.too_far(MOST, None, 300, 15, NOW)
    said = describe.too_far(MOST + 1, None, 300, 15, NOW)
    assert said.startswith("expected exp at most 300 s ahead (leeway 15 s): exp is 5138-11-16T09:46:41Z, and")
    assert " ahead" in describe.ahead("iat", MOST, 15, NOW)
    assert describe.ahead("iat", MOST + 1, 15, NOW).startswith("iat is 5138-11-16T09:46:41Z, and")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (1_000 * MOST, "it looks like milliseconds (5138-11-16T09:46:40Z), and must be seconds"),
        (1_000 * MOST + 1, "it looks like microseconds (1973-03-03T09:46:40Z), and must be seconds"),
    ],
)
def test_a_time_that_is_1000_times_as_large_is_taken_for_microseconds(value: float, said: str) -> None:
    assert describe.time_hint(value, NOW, 300) == said


TICKS = 621_355_968_000_000_000  # of the epoch


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1_796_028_160_966_685_996, "; it looks like nanoseconds (2026-11-30T08:42:40Z), and must be seconds"),
        (10**18 + 1, "; it looks like nanoseconds (2001-09-09T01:46:40Z), and must be seconds"),
        (10**20, "; it looks like nanoseconds (5138-11-16T09:46:40Z), and must be seconds"),
        (10**20 + 1, ""),
        (TICKS + 1_796_028_160 * 10**7, "; it looks like .NET ticks (2026-11-30T08:42:40Z), and must be seconds"),
        (TICKS, "; it looks like .NET ticks (1970-01-01T00:00:00Z), and must be seconds"),
        (10**18, "; it looks like .NET ticks (3169-11-16T09:46:40Z), and must be seconds"),
        (TICKS - 1, ""),
        (2**53 + 1, ""),
        (-1, ""),
        (-62_135_596_800, "; it is the zero time of Go and .NET: was it never set?"),
    ],
)
def test_a_number_that_is_no_time_is_taken_for_nanoseconds_or_ticks(value: int, hint: str) -> None:
    assert describe.no_time("exp", value) == f"expected exp from 0 to 2^53, got {value}{hint}"


@pytest.mark.parametrize(("made_before", "hint"), [(600, "raise max_lifetime"), (601, "is a time zone the cause?")])
def test_an_assertion_that_was_made_now_lives_too_long_and_is_of_no_other_time_zone(
    made_before: float, hint: str
) -> None:
    """To within 10 minutes."""
    assert describe.too_far(NOW + 3_660, NOW - made_before, 300, 15, NOW).endswith(hint)


OP = "https://op.example"
SLASH = "only the slash at the end differs"


def test_four_values_are_compared_on_either_side() -> None:
    others = [f"urn:{letter}" for letter in "abcd"]
    assert describe.difference([*others[:3], f"{OP}/"], [OP]) == SLASH
    assert describe.difference([*others, f"{OP}/"], [OP]) == ""
    assert describe.difference([f"{OP}/"], [*(f"a{each}" for each in others[:3]), OP]) == SLASH
    assert describe.difference([f"{OP}/"], [*(f"a{each}" for each in others), OP]) == ""


@pytest.mark.parametrize("ends", [("X", ""), ("", "X")])
def test_another_letter_at_the_end_is_no_slash(ends: tuple[str, str]) -> None:
    got, accepted = (f"{OP}{end}" for end in ends)
    assert "slash" not in describe.difference([got], [accepted])


def test_of_two_values_that_differ_behind_256_characters_nothing_is_said() -> None:
    same = OP + "x" * (255 - len(OP))
    assert describe.difference([f"{same}1"], [f"{same}2"]).startswith("they differ at character 256: ")
    assert describe.difference([f"{same}x1"], [f"{same}x2"]) == ""


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("client_assertion=a", "the name of the parameter stands in front"),
        ("assertion=a", "the name of a parameter stands in front"),
        ("Bearer a", "an authorization scheme stands in front"),
        ("b'a'", "it is the repr of Python bytes"),
        ('b"a"', "it is the repr of Python bytes"),
        ("'a'", "it stands in quotes"),
        ('"a"', "it stands in quotes"),
        ("{a", "it is JSON; only the compact serialization is taken (RFC 7519 section 1)"),
        ("a=b", "base64 padding; a JWS has none (RFC 7515 section 2)"),
        ("a+b", "standard base64 in place of base64url (RFC 7515 section 2)"),
        ("a/b", "standard base64 in place of base64url (RFC 7515 section 2)"),
        ("a%b", "it was percent-encoded once too often"),
        ("a\nb", "a line break"),
        ("a\rb", "a line break"),
        ("a b", "white space"),
        ("a\tb", "white space"),
        ("a~b", "an SD-JWT, and no client assertion"),
        ("a\\nb", "a backslash: is it an escape, such as \\n, that was not resolved?"),
        ("a\0b", "a NUL character: is it UTF-16?"),
        ("\xff\xfea", "it is UTF-16, as PowerShell writes files, and must be ASCII"),
        ("\xef\xbb\xbfa", "a byte order mark stands in front"),
        ("\ufeffa", "a byte order mark stands in front"),
    ],
)
def test_what_stands_in_front_or_between_is_told_by_its_look(text: str, hint: str) -> None:
    place = next(place for place, each in enumerate(text) if not (each.isalnum() and each.isascii()) and each != "_")
    assert describe.foreign_character(text, place).endswith(f"of {len(text)}: {hint}")


def test_a_numeral_in_a_text_is_said_to_be_one() -> None:
    expected = "expected exp to be a number of seconds since the epoch, got "
    for text in ("1796000060", " 1796000060", "1796000060.5", "0"):
        assert describe.no_time("exp", text) == f"{expected}{text!r}, a text: write the number without quotes"
    milliseconds = describe.no_time("exp", "1796000060000")
    assert milliseconds == f"{expected}'1796000060000', a text: write the number without quotes, and in seconds"
    for text in ("", "5m", "+300", "2026-11-29", "1e9", "9" * 21, "NaN"):
        assert describe.no_time("exp", text) == f"{expected}{text!r}"


@pytest.mark.parametrize(
    ("value", "date"),
    [
        (20261129, "2026-11-29"),
        (202611291813, "2026-11-29"),
        (20261129181300, "2026-11-29"),
        (20261329181300, None),
        (25261129181300, None),
        (2026112918, None),
    ],
)
def test_a_number_whose_digits_are_a_date_is_said_to_be_one(value: int, date: str | None) -> None:
    said = f"its digits look like a date ({date}), and it must be seconds since the epoch"
    assert (describe.time_hint(value, NOW, 300) == said) is (date is not None)


@pytest.mark.parametrize(
    ("start", "name"),
    [(978_307_200, "2001, as Apple's do"), (-2_208_988_800, "1900, as NTP's do"), (-62_135_596_800, "the year 1")],
)
def test_a_time_that_counts_from_another_epoch_is_said_to(start: int, name: str) -> None:
    said = f"it looks like seconds since {name}, and must be since 1970"
    for offset in (-86_400, 60, 86_400):
        assert describe.time_hint(NOW + offset - start, NOW, 300) == said
    for offset in (-86_401, 86_401):
        assert describe.time_hint(NOW + offset - start, NOW, 300) != said


def test_a_time_is_not_judged_by_a_clock_of_milliseconds() -> None:
    said = "the time that it is judged at looks like milliseconds, and must be seconds"
    assert describe.expired(NOW + 60, 15, NOW * 1_000).endswith(f"; {said}")
    assert describe.time_hint(NOW + 60, 10**11, 300) != said
    assert describe.time_hint(NOW, math.inf, 300) == ""


def test_a_time_of_0_was_never_set() -> None:
    assert describe.time_hint(0, NOW, 300) == "it is 0: was it never set?"


def test_a_lifetime_that_no_setting_allows_must_be_shorter() -> None:
    assert describe.too_far(NOW + 86_400, None, 300, 15, NOW).endswith("; make it shorter, or raise max_lifetime")
    shorter = "; make it shorter: max_lifetime can be 86400 at most"
    assert describe.too_far(NOW + 86_401, None, 300, 15, NOW).endswith(shorter)


@pytest.mark.parametrize(
    ("got", "hint"),
    [
        ("https%3A%2F%2Fop.example", "it was percent-encoded once too often"),
        ("https://op.example,https://op.example/token", "several values stand in one text"),
        ("https://other.example https://op.example", "several values stand in one text"),
    ],
)
def test_an_audience_in_another_form_is_said_to_be(got: str, hint: str) -> None:
    assert describe.difference([got], ["https://op.example"]) == hint


def test_an_audience_is_compared_with_a_few_however_many_are_accepted() -> None:
    accepted = frozenset(f"https://op.example.com/tenants/{number}" for number in range(10_000))
    assert cost_at_most(8, lambda: describe.audience_mismatch("https://x", ["https://x"], accepted)) <= 8
    text = describe.audience_mismatch("https://x", ["https://x"], accepted)
    assert text.count("https://op.example.com/tenants/") == 2
    assert " or 9998 more; " in text
