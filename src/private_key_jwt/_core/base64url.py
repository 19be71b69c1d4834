"""Canonical, unpadded base64url (RFC 7515 §2, RFC 4648 §5)."""

from __future__ import annotations

from binascii import a2b_base64

_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_STANDARD = _ALPHABET.replace(b"-", b"+").replace(b"_", b"/")
_FOREIGN = b"!"

# To the standard alphabet, which is the one the C decoder knows; "+", "/" and "=" become foreign on the way.
_TO_STANDARD = bytearray(_FOREIGN * 256)
for _ours, _theirs in zip(_ALPHABET, _STANDARD, strict=True):
    _TO_STANDARD[_ours] = _theirs
_TABLE = bytes(_TO_STANDARD)

# A last character after which spare bits are zero, and the padding that the C decoder wants, by length modulo 4.
_ENDINGS: tuple[tuple[bytes, bytes], ...] = (
    (_ALPHABET, b""),
    (b"", b""),
    (_ALPHABET[::16], b"=="),
    (_ALPHABET[::4], b"="),
)


def decode(segment: bytes) -> bytes:
    """Decode one segment. Raises ValueError for anything but its one canonical spelling.

    Spare bits that are not zero are refused (RFC 4648 §3.5): with them a signature would have several
    spellings, and whoever compares tokens as text would take a second one for a new token.
    """
    last, padding = _ENDINGS[len(segment) % 4]
    if segment[-1:] not in last:
        raise ValueError("not canonical base64url")
    try:
        return a2b_base64(segment.translate(_TABLE) + padding, strict_mode=True)
    except ValueError:
        raise ValueError("not base64url") from None
