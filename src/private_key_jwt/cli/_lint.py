"""Say what of a JWK Set works here and may not work with other servers, or will not work for long.

Pure: each function reads what was published and returns sentences.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import load_der_x509_certificate

from .._core.jwk import Member
from .._text import escape_name, quote

__all__ = ["lint_document", "lint_key", "lint_reuse"]

_MEDIA_TYPES = ("application/json", "application/jwk-set+json")


def lint_document(media_type: str | None, body: bytes) -> Iterator[str]:
    """Say what is odd about a document as it was fetched."""
    essence = (media_type or "").partition(";")[0].strip().lower()
    if essence not in _MEDIA_TYPES:
        named = "without a Content-Type" if media_type is None else f"as {quote(media_type)}"
        yield f"served {named}: some servers take only {' or '.join(_MEDIA_TYPES)}"
    if body.startswith(b"\xef\xbb\xbf"):
        yield "begins with a byte order mark: some servers refuse it (RFC 8259 section 8.1)"


def lint_key(jwk: object, member: Member) -> Iterator[str]:
    """Say what is odd about a key that can be used."""
    if not isinstance(jwk, Mapping) or not member.keys:
        return
    empty = sorted(str(name) for name, value in jwk.items() if value is None or value in ("", []))
    if empty:
        yield f"members without a value: {escape_name(', '.join(empty))} (taken as absent)"
    if not jwk.get("use") and not jwk.get("key_ops"):
        yield 'no use: say "use": "sig"'
    if member.alg is None:
        yield f"no alg: it may serve {', '.join(member.algs)}, and only one of them for a client"
    key_ops = jwk.get("key_ops")
    if isinstance(key_ops, list) and len(key_ops) != len({repr(each) for each in key_ops}):
        yield "key_ops holds a value twice (RFC 7517 section 4.3)"
    if jwk.get("x5c") and not _is_of(jwk["x5c"], member):
        yield "the first certificate of x5c is not of this key; n, e, x and y are what counts (RFC 7517 section 4.7)"


def lint_reuse(member: Member, members: Sequence[Member]) -> Iterator[str]:
    """Say whether a key is listed for another algorithm, too. ``members``: all of its set."""
    thumbprints = {key.thumbprint for key in member.keys}
    others = {
        key.alg
        for other in members
        for key in other.keys
        if member.alg and other.alg not in (None, member.alg) and key.thumbprint in thumbprints
    }
    if others:
        yield f"it is also listed for {', '.join(sorted(others))}: a key is for one algorithm (RFC 8725 section 3.1)"


def _is_of(x5c: Any, member: Member) -> bool:
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    try:
        certificate = load_der_x509_certificate(base64.b64decode(x5c[0], validate=True))
        return certificate.public_key().public_bytes(*form) == member.keys[0].public_key.public_bytes(*form)
    except (TypeError, LookupError, ValueError, binascii.Error):
        return False
