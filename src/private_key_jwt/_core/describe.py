"""Say in an error's detail what is wrong with a value, so that whoever reads it knows the cause.

Pure functions of what was expected and what came. They are called for refusals only.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import islice
from math import floor, inf, isfinite
from typing import NamedTuple, TypeGuard
from urllib.parse import unquote_to_bytes

from .._text import MILLISECONDS_FROM, format_time, quote, quote_json
from ..policy import LONGEST_LIFETIME
from .stand_in import in_place_of_text

__all__ = [
    "ASSERTION",
    "MEMBER",
    "Spelling",
    "ahead",
    "alike",
    "audience_mismatch",
    "difference",
    "expired",
    "foreign_character",
    "is_number",
    "is_time",
    "listed_audience",
    "no_time",
    "several_audiences",
    "time_hint",
    "too_far",
    "too_long",
]

# Beyond this a double no longer tells one second from the next.
LAST_TIME = 2**53
# A number of nanoseconds since the epoch above the first lies after 2001, and one up to the second before 5138.
_NANOSECONDS_FROM, _NANOSECONDS_UP_TO = 10**18, 10**20
# .NET counts ticks of 100 ns from the year 1: so many until the epoch. What counts as nanoseconds would be after 3169.
_TICKS_AT_EPOCH, _TICKS_PER_SECOND = 621_355_968_000_000_000, 10**7
_DURATION_UP_TO = 10**8
_ZERO_TIME = -62_135_596_800  # what Go and .NET have for a time that was never set: the year 1
# Epochs of others, in seconds since ours: a value that counts from one of them is right but for that.
_EPOCHS = ((978_307_200, "2001, as Apple's do"), (-2_208_988_800, "1900, as NTP's do"), (_ZERO_TIME, "the year 1"))
_ABOUT_NOW = 86_400
# A number whose digits are a date, and maybe a time of day: it is no time of now in any unit.
_DATE = re.compile(r"(20[0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(([01][0-9]|2[0-3])[0-5][0-9]([0-5][0-9])?)?")
_NUMBER = re.compile(r"\s*[0-9]{1,20}(\.[0-9]{1,9})?\s*")
_HALF_HOUR = 1_800
_LARGEST_ZONE = 14 * 3_600
_ZONE_TOLERANCE = 600
_CONTEXT = 24
_AUDIENCES_SHOWN = 2
_YEAR = 31_557_600  # seconds
_MANY_YEARS = 3
_LATE = 600  # seconds: an expiry that was meant to be no further ahead, and a lifetime that may be too long by no more
_FAST = "is the sender's clock fast, or ours slow?"
_LIFETIME_HINT = "make it shorter, or raise max_lifetime"
_SHORTER = f"make it shorter: max_lifetime can be {LONGEST_LIFETIME} at most"
_NEVER_SET = "was it never set?"
_OLD = "iat is old: was it computed once, or is it in another time zone?"
_UNSET = "iat is 0: unset?"
_MOST_COMPARED = 4
_MOST_SORTED = 64  # a server for many tenants may accept thousands, and a stranger have each refusal sort them
_LONGEST_COMPARED = 256


class Spelling(NamedTuple):
    """Say of a text that must be base64url what it may be, by what stands in front of it or at a place.

    otherwise: of a character that says nothing by itself.
    """

    in_front: tuple[tuple[str, str], ...]
    characters: Mapping[str, str]
    otherwise: str


_AROUND = (
    ("b'", "it is the repr of Python bytes"),
    ('b"', "it is the repr of Python bytes"),
    ("'", "it stands in quotes"),
    ('"', "it stands in quotes"),
)
# What stands in front of an assertion, or around it, when a program sends more than the assertion.
_IN_FRONT = (
    ("client_assertion=", "the name of the parameter stands in front"),
    ("assertion=", "the name of a parameter stands in front"),
    ("bearer ", "an authorization scheme stands in front"),
    *_AROUND,
    ("\xff\xfe", "it is UTF-16, as PowerShell writes files, and must be ASCII"),
    ("\xef\xbb\xbf", "a byte order mark stands in front"),
    ("\ufeff", "a byte order mark stands in front"),
    ("{", "it is JSON; only the compact serialization is taken (RFC 7519 section 1)"),
)
_ANYWHERE = {
    "+": "standard base64 in place of base64url (RFC 7515 section 2)",
    "/": "standard base64 in place of base64url (RFC 7515 section 2)",
    "%": "it was percent-encoded once too often",
    "\n": "a line break",
    "\r": "a line break",
    " ": "white space",
    "\t": "white space",
    "\\": "a backslash: is it an escape, such as \\n, that was not resolved?",
    "\0": "a NUL character: is it UTF-16?",
}

ASSERTION = Spelling(
    _IN_FRONT,
    {
        **_ANYWHERE,
        "=": "base64 padding; a JWS has none (RFC 7515 section 2)",
        "~": "an SD-JWT, and no client assertion",
    },
    "only A-Z a-z 0-9 - _ . may stand there",
)
MEMBER = Spelling(
    _AROUND,
    {**_ANYWHERE, "=": "base64 padding; a JWK has none (RFC 7518 section 2)"},
    "only A-Z a-z 0-9 - _ may stand there",
)
"""Of a member of a JWK that holds octets."""


def foreign_character(text: str, place: int, spelling: Spelling = ASSERTION) -> str:
    """Describe the character at ``place`` of a text, which must not stand there, and how it may have come."""
    character = text[place]
    lowered = text[:_CONTEXT].lower()
    hint = _character_hint(character, spelling)
    hints = [said for start, said in spelling.in_front if lowered.startswith(start)] or [hint]
    if place and character == "\n" and text.find("\n", place + 1) == 2 * place + 1:
        hints = [f"a line break: it is wrapped at {place} columns"]
    if place and not text[place:].strip():
        hints = [f"{hint} at its end"]
    name = unicodedata.name(character, "") if character.isprintable() else ""
    named = f"{character!a} ({name.lower()})" if name and not character.isascii() else ascii(character)
    return f"{named} at character {place + 1} of {len(text)}: {hints[0]}"


def _character_hint(character: str, spelling: Spelling) -> str:
    if character in spelling.characters:
        return spelling.characters[character]
    category = unicodedata.category(character)
    if category == "Pd" or character == "\u2212":
        return "a typographic dash in place of -"
    if category in ("Zs", "Cf", "Zl", "Zp"):
        return "white space or an invisible character"
    return spelling.otherwise


def is_time(value: object) -> TypeGuard[int | float]:
    """Report whether a claim is a time (RFC 7519 §2): a number of seconds since the epoch, from 0 to 2^53.

    A bool is an int to Python, and no number to JSON.
    """
    return is_number(value) and 0 <= value <= LAST_TIME


def is_number(value: object) -> TypeGuard[int | float]:
    """Report whether a claim is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def no_time(name: str, value: object) -> str:
    """Describe a time claim that is none, by ``is_time``."""
    if not is_number(value):
        fault = f"expected {name} to be a number of seconds since the epoch, got {quote_json(value)}"
        return f"{fault}, a text: write the number without quotes{_coarse_unit(value)}" if _is_numeral(value) else fault
    hint = f"it is the zero time of Go and .NET: {_NEVER_SET}" if value == _ZERO_TIME else _fine_unit(value)
    return f"expected {name} from 0 to 2^53, got {quote(value)}{'; ' * bool(hint)}{hint}"


def _is_numeral(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _NUMBER.fullmatch(value) is not None


def _coarse_unit(numeral: str) -> str:
    return ", and in seconds" if float(numeral) > MILLISECONDS_FROM else ""


def _fine_unit(value: float) -> str:
    """Say in which unit finer than microseconds a number may count a time; "" where in none."""
    if _NANOSECONDS_FROM < value <= _NANOSECONDS_UP_TO:
        return _looks_like("nanoseconds", value / 10**9)
    if _TICKS_AT_EPOCH <= value <= _NANOSECONDS_FROM:
        return _looks_like(".NET ticks", (value - _TICKS_AT_EPOCH) / _TICKS_PER_SECOND)
    return ""


def _looks_like(unit: str, seconds: float) -> str:
    return f"it looks like {unit} ({format_time(seconds)}), and must be seconds"


def time_hint(value: float, now: float, longest: float) -> str:
    """Say what a time claim that is far off looks like; "" when it may be what it says.

    value, now: seconds since the epoch. longest: seconds by which a right value may be ahead of ``now``.
    """
    if MILLISECONDS_FROM < now < inf:
        return "the time that it is judged at looks like milliseconds, and must be seconds"
    if value == 0:
        return f"it is 0: {_NEVER_SET}"
    if date := _DATE.fullmatch(str(int(value))):
        return f"its digits look like a date ({'-'.join(date.groups()[:3])}), and it must be seconds since the epoch"
    if value > MILLISECONDS_FROM:
        number, unit = (10**6, "microseconds") if value > 1_000 * MILLISECONDS_FROM else (10**3, "milliseconds")
        return _looks_like(unit, value / number)
    if value < _DURATION_UP_TO:
        return "it looks like a duration, not a point in time"
    if not isfinite(now):
        return ""
    epoch = next((name for start, name in _EPOCHS if abs(value + start - now) <= _ABOUT_NOW), None)
    if epoch is not None:
        return f"it looks like seconds since {epoch}, and must be since 1970"
    shift = round((value - now) / _HALF_HOUR) * _HALF_HOUR
    rest = value - now - shift
    if shift and abs(shift) <= _LARGEST_ZONE and -_ZONE_TOLERANCE / 10 <= rest <= min(longest, _ZONE_TOLERANCE):
        sent_again = ", or was it sent again" * (shift < 0)
        return f"it is off by {abs(shift) / 3_600:g} h: is a time zone the cause{sent_again}?"
    return ""


def expired(exp: float, leeway: float, now: float, iat: object = None) -> str:
    """Describe an assertion that has expired. ``iat``: the claim, whatever it is."""
    made = f"made {_between(iat, now)} ago for {exp - iat:.0f} s, " if is_time(iat) and iat <= exp else ""
    hint = time_hint(exp, now, _LATE) or f"{made}sent late, sent again, or is the sender's clock slow?"
    return f"expired {_between(exp, now)} ago, leeway {leeway:g} s: {_times('exp', exp, now)}; {hint}"


def too_far(exp: float, iat: object, max_lifetime: float, leeway: float, now: float) -> str:
    """Describe an ``exp`` that is further ahead than an assertion may live. ``iat``: the claim, whatever it is."""
    hint = time_hint(exp, now, max_lifetime)
    # An hour is a lifetime that libraries default to, and a zone, too: `iat` distinguishes them, and a clock.
    issued_at = iat if is_time(iat) and iat <= exp else None
    if not hint and issued_at is not None and issued_at > now + leeway and exp - issued_at <= max_lifetime + leeway:
        hint = f"it lives {exp - issued_at:.0f} s from iat, which is {_between(now, issued_at)} ahead: {_FAST}"
    elif not hint or ("time zone" in hint and issued_at is not None and abs(issued_at - now) <= _LATE):
        hint = _LIFETIME_HINT if exp - now <= LONGEST_LIFETIME else _SHORTER
    elif "time zone" in hint and iat is None:
        hint = f"{hint} Or {_LIFETIME_HINT}"
    expected = f"expected exp at most {max_lifetime:g} s ahead (leeway {leeway:g} s)"
    return f"{expected}{_got(exp, now)}: {_times('exp', exp, now)}; {hint}"


def too_long(exp: float, iat: float, max_lifetime: float, leeway: float) -> str:
    """Describe an ``exp`` that is further after ``iat`` than an assertion may live, and not too far ahead of now."""
    fault = f"expected exp at most {max_lifetime:g} s after iat (leeway {leeway:g} s), got {_duration(exp - iat)}"
    if exp - iat <= max_lifetime + _LATE:
        return f"{fault}; {_LIFETIME_HINT}"
    return f"{fault}: iat is {format_time(iat)}, and exp is {format_time(exp)}; {_OLD if iat else _UNSET}"


def ahead(name: str, value: float, leeway: float, now: float) -> str:
    """Describe an ``iat`` or ``nbf`` that lies ahead."""
    hint = time_hint(value, now, 0) or _FAST
    if value > MILLISECONDS_FROM:
        return f"{_times(name, value, now)}; {hint}"
    return f"{name} is {_between(now, value)} ahead, leeway {leeway:g} s: {_times(name, value, now)}; {hint}"


def _got(exp: float, now: float) -> str:
    # Milliseconds that are taken for seconds lie so far ahead that the difference says nothing.
    return "" if exp > MILLISECONDS_FROM else f", got {_between(now, exp)}"


def _between(earlier: float, later: float) -> str:
    """Count the seconds between two instants as ``format_time`` shows them, so that the two agree."""
    is_finite = isfinite(earlier) and isfinite(later)
    return _duration(floor(later) - floor(earlier) if is_finite else later - earlier)


def _duration(seconds: float) -> str:
    """Write seconds; so many that nobody sees what they are, in years, too."""
    years = f" ({seconds / _YEAR:.0f} years)" if _MANY_YEARS * _YEAR < abs(seconds) < inf else ""
    return f"{seconds:.0f} s{years}"


def _times(name: str, value: float, now: float) -> str:
    return f"{name} is {format_time(value)}, and it is {format_time(now)} now"


def audience_mismatch(aud: object, values: Sequence[str], accepted: Collection[str]) -> str:
    """Describe an ``aud`` of which no value is accepted."""
    names = [quote(each) for each in _first(accepted, _AUDIENCES_SHOWN)]
    more = [f"{len(accepted) - _AUDIENCES_SHOWN} more"] * (len(accepted) > _AUDIENCES_SHOWN)
    stand_in = next(filter(None, map(in_place_of_text, values[:_MOST_COMPARED])), None)
    hint = (
        f"it is {stand_in}"
        if stand_in
        else difference(values, accepted) or "it names another server: the client must name this one"
    )
    expected = " or ".join(names + more)
    return f"got aud {quote(aud)}, expected {expected}; {hint}"


def _first(accepted: Collection[str], count: int) -> list[str]:
    """Return so many accepted values, the first in order where there are few."""
    return sorted(islice(accepted, _MOST_SORTED))[:count]


def several_audiences(count: int, accepted: Sequence[str], audiences: Collection[str]) -> str:
    """Describe a list of several values, ``accepted`` among them, where one of ``audiences`` is expected."""
    fault = f"expected a single audience, got {count}"
    if len(accepted) == count:
        return f"{fault}, all accepted: audience_rule='all' takes such lists, or send {quote(accepted[0])} alone"
    if not accepted:
        return f"{fault}, of which none is accepted: send {quote(_first(audiences, 1)[0])} alone"
    return f"{fault}, of which only {quote(accepted[0])} is accepted: send that alone"


def listed_audience(accepted: Sequence[str], audiences: Collection[str]) -> str:
    """Describe a list where a string is expected: one of those ``accepted`` in it, else of ``audiences``."""
    return f"expected a string, not a list: send {quote(accepted[0] if accepted else _first(audiences, 1)[0])}"


_ALIKE: tuple[tuple[Callable[[str], str], str], ...] = (
    (str.strip, "only white space around it differs"),
    (lambda text: text.strip("\"'"), "only quotes around it differ"),
    (str.lower, "only the case differs"),
)


def alike(value: object, other: str) -> str:
    """Say in what alone two texts that should be equal differ; "" where in more."""
    if type(value) is not str:
        return ""
    return next((f": {hint}" for fold, hint in _ALIKE if fold(value) == fold(other)), "")


def difference(got: Sequence[str], accepted: Collection[str]) -> str:
    """Say how the nearest accepted value differs from one that came; "" when none is near."""
    # A stranger chooses what came: look at a few of its values, and not far into each.
    some = (got[:_MOST_COMPARED], _first(accepted, _MOST_COMPARED))
    values, others = ([each[:_LONGEST_COMPARED] for each in those] for those in some)
    pairs = [(value, each) for value in values for each in others if value != each]
    if not pairs:  # they differ behind what is looked at
        return ""
    for is_so, hint in _LIKE_AN_AUDIENCE:
        if any(is_so(value, each) for value, each in pairs):
            return hint
    value, each = max(pairs, key=lambda pair: _likeness(*pair))
    if _likeness(value, each) < min(len(value), len(each)) / 2:
        return ""
    place = _first_difference(value, each)
    return f"they differ at character {place + 1}: {_around(value, place)} is not {_around(each, place)}"


def _is_below(value: str, other: str) -> bool:
    return value.startswith(f"{other.rstrip('/')}/")


def _was_percent_encoded(value: str, other: str) -> bool:
    # Not `unquote`, which is ten times as slow on what a stranger may choose.
    return "%" in value and unquote_to_bytes(value.encode("utf-8", "replace")) == other.encode("utf-8", "replace")


def _differs_in_scheme(value: str, other: str) -> bool:
    (scheme, _, rest), (other_scheme, _, other_rest) = value.partition("://"), other.partition("://")
    return {scheme, other_scheme} == {"http", "https"} and rest == other_rest


_SEPARATORS = re.compile(r"[\s,;]+")

_LIKE_AN_AUDIENCE: tuple[tuple[Callable[[str, str], bool], str], ...] = (
    (lambda value, each: value.rstrip("/") == each.rstrip("/"), "only the slash at the end differs"),
    (lambda value, each: value.strip() == each, "white space stands around it"),
    (lambda value, each: value.lower() == each.lower(), "only the case differs"),
    (_differs_in_scheme, "only the scheme differs, http or https"),
    (_was_percent_encoded, "it was percent-encoded once too often"),
    (lambda value, each: each in _SEPARATORS.split(value), "several values stand in one text"),
    # A server has an issuer and, often below it, a token endpoint: clients send either.
    (
        lambda value, each: _is_below(value, each) or _is_below(each, value),
        "one is the beginning of the other: is the issuer meant, or the token endpoint?",
    ),
)


def _likeness(value: str, other: str) -> int:
    """Count the characters that two texts share at their beginning and at their end."""
    start = _first_difference(value, other)
    return start + _first_difference(value[start:][::-1], other[start:][::-1])


def _first_difference(value: str, other: str) -> int:
    low, high = 0, min(len(value), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if value[:middle] == other[:middle] else (low, middle - 1)
    return low


def _around(text: str, place: int) -> str:
    return quote(text[max(0, place - _CONTEXT // 2) : place + _CONTEXT // 2])
