"""Step 1, size and shape: a JWS in compact serialization (RFC 7515 §7.1), in canonical base64url."""

from __future__ import annotations

import json
from operator import gt
from typing import Any

from .._text import plain_text
from ..exceptions import Detail, InvalidClient, Reason
from . import describe, strict_json
from .algorithms import shortest_signature
from .base64url import FOREIGN, LAST, TO_STANDARD, decode_canonical, is_canonical
from .checks import Check
from .stand_in import in_place_of_assertion

__all__ = ["LONGEST_CLAIMS", "largest_member", "loads", "split"]

_NAMES: tuple[Check, Check, Check] = ("header", "claims", "signature")
_EXPECTED_ASSERTION = "expected an assertion, and it is "
_MOST_SEGMENTS = 5  # which is what a JWE has

# Characters of each segment at most: a header with five certificates, ample claims, a signature of 8192 bits.
_LONGEST = (11_264, 5_120, 1_368)
LONGEST_CLAIMS = _LONGEST[1]
_LONGEST_TOGETHER = 12_288  # of header and claims: few have both many certificates and ample claims
_SHORT = min(_LONGEST)  # within this no segment is too long

_MOST_DESCRIBED = 65_536  # bytes: what is larger costs more than an RSA verification to look through

# Numbers with a fraction or an exponent: no parameter of a header is one; coordinates and times in claims are.
_MAX_FRACTIONS = {"header": 4, "claims": 16}

# Decoding a long segment costs as much as an RSA verification: its first 192 bytes mostly show that it is no object.
_BEGINNING = 256


def _malformed(check: Check, detail: Detail) -> InvalidClient:
    return InvalidClient(Reason.MALFORMED, detail, check)


def split(assertion: str | bytes, max_bytes: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Split an assertion of at most ``max_bytes`` into its segments.

    Return the segments of header, claims and signature, in the alphabet of ``base64url.decode_canonical`` and not
    decoded yet, and the bytes that the signature covers. Raises InvalidClient: too_large or malformed.
    """
    if type(assertion) is not str:
        assertion = plain_text(assertion)
        if type(assertion) not in (str, bytes):
            raise _malformed("characters", f"expected str or bytes, got {type(assertion).__name__}")
    if len(assertion) > max_bytes:
        raise InvalidClient(
            Reason.TOO_LARGE,
            lambda: _describe_size(assertion, max_bytes),
            "size",
        )
    if isinstance(assertion, str):
        if not assertion.isascii():
            raise _foreign(assertion)
        assertion = assertion.encode()
    if len(assertion) > _SHORT:  # before each character is looked at: that alone costs half an RSA verification
        _check_lengths(assertion)
    standard = assertion.translate(TO_STANDARD)
    if FOREIGN in standard:
        raise _foreign(assertion)
    segments = standard.split(b".", _MOST_SEGMENTS)
    if len(segments) != 3 or not all(segments):
        raise _wrong_segments(segments)
    header, claims, signature = segments
    # `is_canonical` of each, without a call: that is 1 % of an accepted assertion.
    if (
        header[-1] not in LAST[len(header) % 4]
        or claims[-1] not in LAST[len(claims) % 4]
        or signature[-1] not in LAST[len(signature) % 4]
    ):
        raise _not_canonical(segments)
    return header, claims, signature, assertion[: -1 - len(signature)]


def _foreign(assertion: str | bytes) -> InvalidClient:
    # Not a partial: the error's arguments would show the assertion.
    return InvalidClient(Reason.MALFORMED, lambda: _describe_foreign(assertion), "characters")


def _describe_foreign(assertion: str | bytes) -> str:
    text = assertion if isinstance(assertion, str) else assertion.decode("latin-1")
    if said := in_place_of_assertion(text):
        return _EXPECTED_ASSERTION + said
    standard = text.encode("ascii", "replace").translate(TO_STANDARD)  # "?" for what is not ASCII, and foreign, too
    return describe.foreign_character(text, standard.index(FOREIGN))


def _describe_size(assertion: str | bytes, max_bytes: int) -> str:
    detail = f"expected at most {max_bytes} bytes (AssertionPolicy.max_assertion_bytes), got {len(assertion)}"
    if len(assertion) > _MOST_DESCRIBED:
        return detail
    text = assertion if isinstance(assertion, str) else assertion.decode("latin-1")
    segments = text.split(".", _MOST_SEGMENTS)
    return detail + _lengths(segments) if len(segments) == 3 else detail


def _lengths(segments: list[str]) -> str:
    return f": {', '.join(f'{name} {len(each)}' for name, each in zip(_NAMES, segments, strict=True))}"


def _check_lengths(assertion: bytes) -> None:
    # `find` and not `split`, which takes longer than all else that is done to a long assertion.
    first, last = assertion.find(b"."), assertion.rfind(b".")
    lengths = header, claims, _ = first, last - first - 1, len(assertion) - last - 1
    has_three = 0 < first < last == assertion.find(b".", first + 1)  # whatever has not is refused for that
    if has_three and (any(map(gt, lengths, _LONGEST)) or header + claims > _LONGEST_TOGETHER):
        raise _too_long(lengths)


def _too_long(lengths: tuple[int, int, int]) -> InvalidClient:
    def detail() -> str:
        for name, length, longest in zip(_NAMES, lengths, _LONGEST, strict=True):
            if length > longest:
                return f"expected a {name} segment of at most {longest} characters, got {length}"
        together = f"header {lengths[0]} and claims {lengths[1]}"
        return f"expected header and claims of at most {_LONGEST_TOGETHER} characters together, got {together}"

    return InvalidClient(Reason.TOO_LARGE, detail, "size")


def largest_member(members: dict[str, Any]) -> tuple[str, int]:
    """Return the member of an object that takes the most JSON, and how many characters. Raises ValueError: none."""
    sizes = {name: len(json.dumps(value, separators=(",", ":"))) for name, value in members.items()}
    name = max(sizes, key=sizes.__getitem__)
    return name, sizes[name]


def _not_canonical(segments: list[bytes]) -> InvalidClient:
    def detail() -> str:
        name, segment = next(each for each in zip(_NAMES, segments, strict=True) if not is_canonical(each[1]))
        length = f"{len(segment)} characters" + ", which no base64url has" * (len(segment) % 4 == 1)
        why = (_describe_cut(segments) if name == "signature" else None) or "was the assertion cut or changed?"
        return f"the {name} segment is not canonical base64url ({length}): {why}"

    return _malformed("segments", detail)


def _describe_cut(segments: list[bytes]) -> str | None:
    """Say that a signature is shorter than any of its algorithm; None where that is not so, or not known."""
    try:
        alg = loads(segments[0], "header").get("alg")
    except InvalidClient:
        return None
    octets = shortest_signature(alg)
    shortest = 0 if octets is None else -(-octets * 4 // 3)
    return f"one of {alg} has at least {shortest}, so it was cut" if len(segments[2]) < shortest else None


def _wrong_segments(segments: list[bytes]) -> InvalidClient:
    # Not a partial: the error's arguments would show the assertion.
    return _malformed("segments", lambda: _describe_segments(segments))


def _describe_segments(segments: list[bytes]) -> str:
    number = len(segments)
    if number == 1 and (said := in_place_of_assertion(segments[0].decode("ascii"))):
        return _EXPECTED_ASSERTION + said
    got = {1: "one without a dot", 3: "one that is empty", 5: "5 (a JWE has five)"}.get(number, str(number))
    return f"expected three non-empty segments, got {got}{' or more' * (number > _MOST_SEGMENTS)}"


def loads(segment: bytes, name: Check) -> dict[str, Any]:
    """Parse the JSON object that a segment holds. Raises InvalidClient: too_large or malformed."""
    try:
        if len(segment) > _BEGINNING:
            strict_json.check_beginning(decode_canonical(segment[:_BEGINNING]))
        raw = decode_canonical(segment)
        if len(raw) > strict_json.MAX_STRUCTURE:
            strict_json.check_structure(raw)
        return strict_json.loads_object(raw, max_fractions=_MAX_FRACTIONS[name])
    except strict_json.TooMuchStructure as error:
        reason, fault = Reason.TOO_LARGE, str(error)
    except ValueError as error:
        reason, fault = Reason.MALFORMED, str(error)
    # Not within the except: what hangs on that error, suppressed or not, holds the whole text.
    raise InvalidClient(reason, f"the {name}: {fault}", name)
