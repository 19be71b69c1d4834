"""One strict JSON object out of bytes (RFC 8259, and RFC 8725 §3.7 for UTF-8 only).

Python's own parser takes NaN and Infinity, keeps the last of several members of one name, guesses UTF-16,
and answers deep nesting with RecursionError. Here each of these is a ValueError.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NoReturn

MAX_DEPTH = 32
MAX_DIGITS = 20

_WHITE_SPACE = " \t\n\r"
_WHITE_SPACE_BYTES = _WHITE_SPACE.encode()
_BACKSLASH = ord("\\")
# A string, closed or not: were an open one no match, the search would begin again at each quote within it.
_STRINGS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STEPS = bytes.maketrans(b"[]", b"\x01\xff")  # as signed bytes: one level in, one level out
_BLOCK = 256


def _integer(digits: str) -> int:
    if len(digits) - digits.startswith("-") > MAX_DIGITS:
        raise ValueError(f"an integer of more than {MAX_DIGITS} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number out of range")
    return value


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _scanner(
    parse_int: Callable[[str], int] | None = None, object_hook: Callable[[dict[str, Any]], object] | None = None
) -> Callable[[str, int], tuple[Any, int]]:
    decoder: Any = json.JSONDecoder(
        parse_int=parse_int, parse_float=_number, parse_constant=_constant, object_hook=object_hook
    )
    scan: Callable[[str, int], tuple[Any, int]] = decoder.scan_once
    return scan


# Asking a function of ours about each integer costs more than the rest of a number: only where there are long ones.
_scan, _scan_carefully = _scanner(), _scanner(_integer)
_encoder = json.JSONEncoder(ensure_ascii=False, check_circular=False)
_TOO_MANY_DIGITS = b"0" * (MAX_DIGITS + 1)
_OUTLINE = bytes.maketrans(b"{123456789", b"[000000000")  # one sign for what opens a level, one for each digit


def _outside_strings(raw: bytes) -> bytes:
    # Without an escape in it, a text is outside of its strings before the first quote, and after every second one.
    return _STRINGS.sub(b"", raw) if _BACKSLASH in raw else b"".join(raw.split(b'"')[::2])


def _check_depth(raw: bytes, deepest: int) -> None:
    brackets = _outside_strings(raw).translate(_ONE_KIND, _NOT_BRACKETS)
    # Without its innermost pairs, which are the most of a wide text, it is less deep by exactly one level.
    steps = memoryview(brackets.replace(b"[]", b"").translate(_STEPS)).cast("b")
    depth = 1
    for start in range(0, len(steps), _BLOCK):
        levels = list(accumulate(steps[start : start + _BLOCK], initial=depth))
        if max(levels) > deepest:
            raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
        depth = levels[-1]


def check_beginning(raw: bytes) -> None:
    """Refuse what can be seen to hold no object of ours by its first bytes. Raises ValueError."""
    if raw.lstrip(_WHITE_SPACE_BYTES)[:1] not in (b"{", b""):
        raise ValueError("not a JSON object")
    # The pair that is innermost may not be closed yet: that one level is left to the whole text.
    _check_depth(raw, MAX_DEPTH + 1)


def loads_object(raw: bytes, *, allow_surrogates: bool = False) -> dict[str, Any]:
    """Parse bytes that must hold one JSON object. Raises ValueError, with a text that quotes none of it.

    Refused: other bytes than UTF-8 (a byte order mark, too), a member that stands twice at any level, NaN
    and Infinity, numbers that are not finite, integers of more than 20 digits, more than 32 levels, lone
    surrogates unless ``allow_surrogates``, and anything but white space around the object.
    """
    try:
        text = raw.decode().strip(_WHITE_SPACE)
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    outline = raw.translate(_OUTLINE)
    # With few brackets, in strings or not, there is no level to count; with too many left open nothing to parse.
    if outline.count(b"[") > MAX_DEPTH:
        _check_depth(raw, MAX_DEPTH)
    scan = _scan_carefully if _TOO_MANY_DIGITS in outline else _scan
    try:
        value, end = scan(text, 0)
        if end != len(text):
            raise ValueError("something follows the JSON object")
        if type(value) is not dict:
            raise ValueError("not a JSON object")
        # As many commas as there are between its members: then none was lost, and nothing within has two of them.
        if text.count(",") != len(value) - 1:
            _check_members(raw, text, value)
        if not allow_surrogates and _BACKSLASH in raw and "\\u" in text:
            _check_surrogates(value)
    except RecursionError:  # whoever called was deep down already
        raise ValueError("nested too deep for the stack that is left") from None
    except StopIteration:
        raise ValueError("not JSON: it begins with no value") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} at character {error.pos}") from None
    return value


def _check_members(raw: bytes, text: str, value: dict[str, Any]) -> None:
    # Python's parser keeps the last of several members of one name: fewer than the colons that were there. Where some
    # of the colons stand in objects within, those are asked for, each as it is closed.
    colons = _outside_strings(raw).count(b":")
    if colons != len(value):
        objects: list[dict[str, Any]] = []
        _scanner(object_hook=objects.append)(text, 0)
        if colons != sum(map(len, objects)):
            raise ValueError("a member stands twice")


def _check_surrogates(value: dict[str, Any]) -> None:
    try:
        _encoder.encode(value).encode("utf-8")
    except UnicodeEncodeError:  # it would surface in a store or a log
        raise ValueError("a lone surrogate") from None
