"""Step 1, size and shape: a JWS in compact serialization (RFC 7515 §7.1), in its one spelling."""

from __future__ import annotations

from typing import NamedTuple

from ..exceptions import InvalidClient, Reason
from . import base64url
from .checks import Check

_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."


class CompactJWS(NamedTuple):
    """The header segment as received, payload and signature decoded, and the bytes that the signature covers."""

    header: bytes
    payload: bytes
    signature: bytes
    signing_input: bytes


def _malformed(check: Check, detail: str) -> InvalidClient:
    return InvalidClient(Reason.MALFORMED, detail, check)


def split(assertion: str | bytes, max_bytes: int) -> CompactJWS:
    """Take an assertion of at most ``max_bytes`` apart. Raises InvalidClient: too_large or malformed.

    The header segment stays encoded: step 2 decodes it, or knows it already.
    """
    if not isinstance(assertion, str | bytes):
        raise _malformed("characters", f"expected str or bytes, got {type(assertion).__name__}")
    if len(assertion) > max_bytes:
        raise InvalidClient(Reason.TOO_LARGE, f"expected at most {max_bytes} bytes, got {len(assertion)}", "size")
    if isinstance(assertion, str):
        if not assertion.isascii():
            raise _malformed("characters", "expected only A-Z a-z 0-9 - _ . and got other characters")
        assertion = assertion.encode("ascii")
    if assertion.translate(None, _CHARACTERS):
        raise _malformed("characters", "expected only A-Z a-z 0-9 - _ . and got other characters")
    segments = assertion.split(b".", 3)
    if len(segments) != 3 or not all(segments):
        number = assertion.count(b".") + 1
        got = "one that is empty" if number == 3 else f"{number}{' (a JWE has five)' * (number == 5)}"
        raise _malformed("segments", f"expected three non-empty segments, got {got}")
    header, payload, signature = segments
    return CompactJWS(
        header,
        decode_segment(payload, "claims"),
        decode_segment(signature, "signature"),
        assertion[: len(header) + 1 + len(payload)],
    )


def decode_segment(segment: bytes, check: Check) -> bytes:
    """Decode one segment. Raises InvalidClient: malformed."""
    try:
        return base64url.decode(segment)
    except ValueError as error:
        raise _malformed(check, f"the {check} segment: {error}") from None
