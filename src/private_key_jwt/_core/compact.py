"""Step 1, size and shape: a JWS in compact serialization (RFC 7515 §7.1), in its one spelling."""

from __future__ import annotations

from typing import Any

from ..exceptions import InvalidClient, Reason
from . import strict_json
from .base64url import FOREIGN, decode_canonical, is_canonical, to_standard
from .checks import Check

_NAMES: tuple[Check, Check, Check] = ("header", "claims", "signature")
_MOST_TOLD = 5  # segments, which is what a JWE has

# Decoding 16 KiB costs more than an RSA verification: what is no object of ours is mostly seen in the first 192 bytes.
_GLANCE = 256


def _malformed(check: Check, detail: str) -> InvalidClient:
    return InvalidClient(Reason.MALFORMED, detail, check)


def split(assertion: str | bytes, max_bytes: int) -> tuple[bytes, bytes, bytes, bytes]:
    """Take an assertion of at most ``max_bytes`` apart. Raises InvalidClient: too_large or malformed.

    Answers with the segments of header, claims and signature, in the alphabet of ``base64url.decode_canonical``
    and not decoded yet, and with the bytes that the signature covers.
    """
    if not isinstance(assertion, (str, bytes)):
        raise _malformed("characters", f"expected str or bytes, got {type(assertion).__name__}")
    if len(assertion) > max_bytes:
        raise InvalidClient(Reason.TOO_LARGE, f"expected at most {max_bytes} bytes, got {len(assertion)}", "size")
    if isinstance(assertion, str):
        if not assertion.isascii():
            raise _foreign()
        assertion = assertion.encode("ascii")
    standard = to_standard(assertion)
    if FOREIGN in standard:
        raise _foreign()
    segments = standard.split(b".", _MOST_TOLD)
    if len(segments) != 3 or not all(segments):
        raise _wrong_segments(segments)
    header, claims, signature = segments
    if not is_canonical(header, claims, signature):
        raise _not_canonical(segments)
    return header, claims, signature, assertion[: -1 - len(signature)]


def _foreign() -> InvalidClient:
    return _malformed("characters", "expected only A-Z a-z 0-9 - _ . and got other characters")


def _not_canonical(segments: list[bytes]) -> InvalidClient:
    name = next(name for name, segment in zip(_NAMES, segments, strict=True) if not is_canonical(segment))
    return _malformed(name, f"the {name} segment: not canonical base64url")


def _wrong_segments(segments: list[bytes]) -> InvalidClient:
    number = len(segments)
    got = {3: "one that is empty", 5: "5 (a JWE has five)"}.get(number, str(number))
    more = " or more" * (number > _MOST_TOLD)
    return _malformed("segments", f"expected three non-empty segments, got {got}{more}")


def loads(segment: bytes, name: Check) -> dict[str, Any]:
    """The JSON object that a segment holds. Raises InvalidClient: malformed."""
    try:
        if len(segment) > _GLANCE:
            strict_json.check_beginning(decode_canonical(segment[:_GLANCE]))
        return strict_json.loads_object(decode_canonical(segment))
    except ValueError as error:
        fault = str(error)
    # Not within the except: what hangs on that error, suppressed or not, holds the whole text.
    raise _malformed(name, f"the {name}: {fault}")
