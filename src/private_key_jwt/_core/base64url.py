"""Canonical, unpadded base64url (RFC 7515 §2, RFC 4648 §5).

A text is brought to the standard alphabet once, as a whole: that is the one the C decoder knows. Whether it is
canonical can be seen there without decoding it.
"""

from __future__ import annotations

from binascii import a2b_base64

_STANDARD = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_OURS = _STANDARD.replace(b"+", b"-").replace(b"/", b"_")

FOREIGN = ord("!")
"""The octet that TO_STANDARD makes of a character that is none of ours, "+", "/" and "=" included."""

_table = bytearray([FOREIGN] * 256)
for _ours, _theirs in zip(_OURS + b".", _STANDARD + b".", strict=True):
    _table[_ours] = _theirs

TO_STANDARD = bytes(_table)
"""For ``bytes.translate``: segments and the dots between them in the standard alphabet, and FOREIGN."""

# With spare bits that are not zero (RFC 4648 §3.5) a signature would have several spellings, and whoever compares
# tokens as text would take a second for a new one.
LAST = (_STANDARD, b"", _STANDARD[::16], _STANDARD[::4])
"""The characters, in the standard alphabet, that a canonical segment may end with, by its length modulo 4."""
_PADDING = (b"", b"", b"==", b"=")


def is_canonical(*segments: bytes) -> bool:
    """Report whether each segment (standard alphabet, not empty, no FOREIGN) is the one spelling of its value."""
    for segment in segments:  # noqa: SIM110 - a generator would cost more than what it looks at
        if segment[-1] not in LAST[len(segment) % 4]:
            return False
    return True


def decode_canonical(segment: bytes) -> bytes:
    """Decode a segment in the standard alphabet that is canonical."""
    return a2b_base64(segment + _PADDING[len(segment) % 4], strict_mode=True)


def decode(text: bytes) -> bytes:
    """Decode a whole base64url text. Raises ValueError for anything but its one canonical spelling."""
    segment = text.translate(TO_STANDARD)
    if FOREIGN in segment or b"." in segment or (segment and not is_canonical(segment)):
        raise ValueError("not canonical base64url")
    return decode_canonical(segment)
