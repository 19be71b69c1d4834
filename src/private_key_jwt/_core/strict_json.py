"""Parse one strict JSON object out of bytes (RFC 8259, and RFC 8725 §3.7 for UTF-8 only).

Python's own parser takes NaN and Infinity, keeps the last of several members of one name, detects UTF-16, and answers
deep nesting with RecursionError. Here each of these is a ValueError.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from .._text import quote

__all__ = [
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_STRUCTURE",
    "Repeated",
    "TooMuchStructure",
    "check_beginning",
    "check_structure",
    "loads_object",
]

MAX_DEPTH = 32
MAX_DIGITS = 20
MAX_STRUCTURE = 256
_SHORT = 512  # characters that cost little to parse twice

_WHITE_SPACE = " \t\n\r"
_WHITE_SPACE_BYTES = _WHITE_SPACE.encode()
# What other texts begin with; the first that fits counts. In base64 "eyJ" is {", "eyJrZXlz" {"keys, and "ew" or "eyA" a
# brace and white space.
_BEGINNINGS = (
    (b"\xef\xbb\xbf", "it begins with a byte order mark"),
    (b"<", "it looks like HTML or XML"),
    (b"[", "it is an array"),
    (b'"', "it is a text in quotes, maybe JSON within JSON"),
    (b"-----BEGIN", "it looks like PEM"),
    (b"eyJrZXlz", "it looks like JSON in base64"),
    (b"ew", "it looks like JSON in base64"),
    (b"eyA", "it looks like JSON in base64"),
    (b"eyJ", "it looks like a JWT"),
    (b"\xff\xfe", "it looks like UTF-16, and must be UTF-8"),
    (b"\xfe\xff", "it looks like UTF-16, and must be UTF-8"),
    (b"\0", "it looks like UTF-16, and must be UTF-8"),
)
# One sign for what opens a level, one for each digit, and one for what begins a fraction or an exponent.
_OUTLINE = bytes.maketrans(b"{123456789eE", b"[000000000..")
_FRACTION = b"0."
_TOO_MANY_DIGITS = b"0" * (MAX_DIGITS + 1)
_TOO_LARGE = 10**MAX_DIGITS
_SHORT_NUMBER = MAX_DIGITS + 1  # characters: the digits and a point
_LONGEST_NUMBER = 100
_LONGEST_UNREAD_NUMBER = 4_300  # characters: what Python makes no integer of, either
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{},:\\"'))


class TooMuchStructure(ValueError):
    """A text has more brackets, commas, colons, backslashes or quotes than are parsed."""


class Repeated(dict[str, Any]):
    """An object of a JWK Set in which a member stands twice."""

    def __init__(self, pairs: list[tuple[str, Any]]) -> None:
        super().__init__(pairs)
        self.fault = _describe_repeated(pairs)


def check_beginning(raw: bytes) -> None:
    """Refuse what can be seen to hold no object by its first bytes. Raises ValueError."""
    if raw.lstrip(_WHITE_SPACE_BYTES)[:1] not in (b"{", b""):
        raise ValueError(_not_an_object(raw))


def check_structure(raw: bytes, most: int = MAX_STRUCTURE) -> None:
    """Refuse a text that would cost more to parse than its size says, before it is parsed.

    most: so many of ``[ ] { } , : \\``, and twice as many quotes: a text of no more bytes need not be asked about.
    Raises TooMuchStructure.
    """
    structure = raw.translate(None, _NOT_STRUCTURE)
    quotes = structure.count(b'"')
    if quotes > 2 * most:
        raise TooMuchStructure(f"expected at most {2 * most} quotes, got {quotes}")
    if len(structure) - quotes > most:
        got = len(structure) - quotes
        raise TooMuchStructure(f"expected at most {most} brackets, commas, colons, backslashes, got {got}")


def loads_object(
    raw: bytes, *, is_key_set: bool = False, max_fractions: int | None = None, max_integers: int = 64
) -> dict[str, Any]:
    """Parse bytes that must hold one JSON object.

    Refused: other bytes than UTF-8 (a byte order mark, too), a member that stands twice at any level, NaN and Infinity,
    numbers that are not finite, of more than 20 significant digits or (with a fraction or an exponent) of more than 100
    characters, more than 32 levels, lone surrogates, and anything but white space around the object.
    is_key_set: leave to the reader of each key what may stand in a key that nobody uses: lone surrogates, a number of
        too many digits and at most 4,300 characters or out of range, which is infinite here, and a member that stands
        twice anywhere but in the outer object: the object that holds it is a ``Repeated``.
    max_fractions: numbers with a fraction or an exponent at most: one costs up to 1 µs. Not bounded unless given.
    max_integers: with that bound, integers at most in a text that holds more than 20 digits in a row.
    Raises ValueError, with a text that quotes nothing of it but the name of a member that stands twice;
    TooMuchStructure for too many numbers.
    """
    try:
        text = raw.decode().strip(_WHITE_SPACE)
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    if len(text) <= _SHORT and (simple := _simple_object(text)) is not None:
        return simple
    outline = raw.translate(_OUTLINE)
    scan = _choose_scanner(outline, max_fractions, max_integers, _OF_KEYS if is_key_set else _STRICT)
    try:
        value, end = scan(text, 0)
        if type(value) is not dict:
            raise ValueError(value.fault if type(value) is Repeated else _not_an_object(raw))
        if end != len(text):
            raise ValueError(f"something follows the JSON object, at character {end + 1}")
        if outline.count(b"[") > MAX_DEPTH:
            _check_depth(value, 1)
        if "\\" in text and "\\u" in text and not is_key_set:  # the single sign is found faster
            _check_surrogates(value)
    except RecursionError:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep") from None
    except StopIteration as stop:
        raise ValueError(_broken(text, stop.value, "Expecting value") if stop.value else _not_an_object(raw)) from None
    except json.JSONDecodeError as error:
        raise ValueError(_broken(text, error.pos, error.msg)) from None
    return value


def _choose_scanner(outline: bytes, max_fractions: int | None, max_integers: int, rules: _Rules) -> _Scan:
    """Return the scanner that asks no more often than it must about a text of this outline."""
    # To be asked about each integer costs more than to parse it: only where there is a long one.
    has_many_digits = _TOO_MANY_DIGITS in outline
    # The single sign first, which is counted faster; in strings both may stand, too.
    if max_fractions is not None and (
        has_many_digits or (outline.count(b".") > max_fractions and outline.count(_FRACTION) > max_fractions)
    ):
        return _counting_scanner(max_fractions, max_integers, rules, counts_integers=has_many_digits)
    return rules.scan_carefully if has_many_digits else rules.scan


def _not_an_object(raw: bytes) -> str:
    beginning = raw.lstrip(_WHITE_SPACE_BYTES)[:16]
    if not beginning:
        return "not a JSON object: it is empty"
    looks = next((f": {looks}" for start, looks in _BEGINNINGS if beginning.startswith(start)), "")
    return f"not a JSON object{looks}"


def _broken(text: str, place: int, why: str) -> str:
    """Describe where a text is no JSON, and how it may have come."""
    if text[place : place + 1] in ("]", "}") and text[:place].rstrip(_WHITE_SPACE).endswith(","):
        why = f"a comma stands before {text[place]}"
    elif text[1:2] == "\0":
        why = f"it looks like UTF-16, and must be UTF-8: {why}"
    return f"not JSON: {why} at character {place + 1}"


def _describe_repeated(pairs: list[tuple[str, Any]]) -> str:
    return f"a member stands twice: {quote(Counter(name for name, _ in pairs).most_common()[0][0])}"


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError(_describe_repeated(pairs))
    return members


def _members_of_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else Repeated(pairs)


def _integer(digits: str) -> int:
    if len(digits) - digits.startswith("-") > MAX_DIGITS:
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _number(digits: str) -> float:
    if len(digits) > _SHORT_NUMBER:
        mantissa = digits.lower().partition("e")[0].replace(".", "").lstrip("-0")
        if len(digits) > _LONGEST_NUMBER or len(mantissa) > MAX_DIGITS:
            raise ValueError(f"a number of more than {MAX_DIGITS} significant digits, or {_LONGEST_NUMBER} characters")
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number out of range")
    return value


def _integer_of_keys(digits: str) -> float:
    return _unread(digits) if len(digits) > MAX_DIGITS else int(digits)


def _number_of_keys(digits: str) -> float:
    return _unread(digits) if len(digits) > _SHORT_NUMBER else float(digits)


def _unread(digits: str) -> float:
    if len(digits) > _LONGEST_UNREAD_NUMBER:
        raise ValueError(f"a number of more than {_LONGEST_UNREAD_NUMBER:,} characters")
    return math.inf


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_Scan = Callable[[str, int], tuple[Any, int]]
_Pairs = list[tuple[str, Any]]


def _scanner(
    members: Callable[[_Pairs], dict[str, Any]] | None = _members,
    parse_int: Callable[[str], float] | None = None,
    parse_float: Callable[[str], float] = _number,
) -> _Scan:
    decoder: Any = json.JSONDecoder(
        object_pairs_hook=members, parse_int=parse_int, parse_float=parse_float, parse_constant=_constant
    )
    # What its `decode` adds is white space, which is stripped before.
    scan: _Scan = decoder.scan_once
    return scan


class _Rules(NamedTuple):
    """Read the members and the numbers of a text with these functions."""

    members: Callable[[_Pairs], dict[str, Any]]
    integer: Callable[[str], float]
    number: Callable[[str], float]
    scan: _Scan
    """Asks about no integer."""
    scan_carefully: _Scan


def _rules(members: Any, integer: Any, number: Any) -> _Rules:
    scan, scan_carefully = _scanner(members, None, number), _scanner(members, integer, number)
    return _Rules(members, integer, number, scan, scan_carefully)


_STRICT = _rules(_members, _integer, _number)
_OF_KEYS = _rules(_members_of_keys, _integer_of_keys, _number_of_keys)
_scan_simple = _scanner(None)


def _counting_scanner(max_fractions: int, max_integers: int, rules: _Rules, *, counts_integers: bool) -> _Scan:
    """Return a scanner, for one text, that raises TooMuchStructure at one number too many."""
    fractions = integers = 0

    def number(digits: str) -> float:
        nonlocal fractions
        fractions += 1
        if fractions > max_fractions:
            raise TooMuchStructure(f"expected at most {max_fractions} numbers with a fraction or an exponent, got more")
        return rules.number(digits)

    def integer(digits: str) -> float:
        nonlocal integers
        integers += 1
        if integers > max_integers:
            raise TooMuchStructure(f"expected at most {max_integers} integers beside so many digits, got more")
        return rules.integer(digits)

    return _scanner(rules.members, integer if counts_integers else None, number)


def _simple_object(text: str) -> dict[str, Any] | None:
    """Parse an object of texts and whole numbers, as most claims are; return None for whatever is not plainly one.

    What each rule says is seen in the result here: it takes 1.5 µs where ``loads_object`` without it takes 2.3.
    """
    # Nothing nested is parsed twice: with the C stack nearly full, RecursionError came out of that on CPython 3.14.
    if "[" in text or text.rfind("{") > 0:
        return None
    try:
        value, end = _scan_simple(text, 0)
    except (ValueError, StopIteration, RecursionError):
        return None
    # As many commas as there are between its members: none of these stood twice, and was lost.
    if type(value) is not dict or end != len(text) or text.count(",") != len(value) - 1 or "\\" in text:
        return None
    for each in value.values():
        kind = type(each)
        if kind is not str and not (kind is int and 0 <= each < _TOO_LARGE):
            return None
    return value


def _check_depth(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    for each in value.values() if type(value) is dict else value:
        if type(each) is dict or type(each) is list:
            _check_depth(each, depth + 1)


def _check_surrogates(value: dict[str, Any]) -> None:
    try:
        json.dumps(value, ensure_ascii=False, check_circular=False).encode("utf-8")
    except UnicodeEncodeError:  # it would surface in a store or a log
        raise ValueError("a lone surrogate") from None
