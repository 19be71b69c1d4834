"""The same rules written a second time, slowly and without a thought of speed, to compare with."""

from __future__ import annotations

import base64
import json
import math
import re
from typing import Any

_SEGMENT = re.compile(rb"[A-Za-z0-9_-]+")
_SMALL_PRIMES = [p for p in range(3, 752) if all(p % q for q in range(2, p))]


class Refused(Exception):
    """The reference refuses."""


def decode(segment: bytes) -> bytes:
    """Canonical base64url: the one that encoding gives back."""
    if not _SEGMENT.fullmatch(segment) or len(segment) % 4 == 1:
        raise Refused("alphabet or length")
    raw = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != segment:
        raise Refused("another spelling")
    return raw


def split(token: bytes, max_bytes: int) -> list[bytes]:
    """Header, claims and signature, decoded."""
    if len(token) > max_bytes:
        raise Refused("size")
    segments = token.split(b".")
    if len(segments) != 3:
        raise Refused("segments")
    return [decode(segment) for segment in segments]


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise Refused("a member twice")
    return dict(pairs)


class _Twice(dict[str, Any]):
    """An object of a JWK Set in which a member stands twice."""


def _members_of_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return (_Twice if len({name for name, _ in pairs}) != len(pairs) else dict)(pairs)


def _constant(name: str) -> None:
    raise Refused(name)


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > 20:
        raise Refused("digits")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise Refused("range")
    return value


def _number_of_keys(text: str) -> float:
    """A number that no key is made of: a long one may be anything."""
    if len(text) > 4_300:
        raise Refused("digits")
    if set("eE.") & set(text):
        return float(text) if len(text) <= 21 else math.inf
    return int(text)


def _check(value: object, level: int, text: str = "strict") -> None:
    if isinstance(value, str):
        value.encode("utf-8", text)
        return
    if isinstance(value, dict | list):
        if level > 32:
            raise Refused("levels")
        for each in value if isinstance(value, list) else [*value.keys(), *value.values()]:
            _check(each, level + 1, text)


def loads_object(raw: bytes, text: str = "strict") -> dict[str, Any]:
    """One strict JSON object; with ``surrogatepass`` as ``text`` it is a JWK Set, and its keys may hold anything."""
    of_keys = text == "surrogatepass"
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_members_of_keys if of_keys else _members,
            parse_constant=_constant,
            parse_int=_number_of_keys if of_keys else _integer,
            parse_float=_number_of_keys if of_keys else _number,
        )
        _check(value, 1, text)
    except (ValueError, RecursionError) as error:
        raise Refused(str(error)) from None
    if not isinstance(value, dict) or isinstance(value, _Twice):
        raise Refused("no object")
    return value


def rsa_numbers(jwk: dict[str, Any]) -> tuple[int, int]:
    """``n`` and ``e`` of a key that may be used for RS256."""
    numbers = []
    for name in ("n", "e"):
        text = jwk.get(name)
        if not isinstance(text, str) or len(text) > 2_730:
            raise Refused(name)
        numbers.append(int.from_bytes(decode(text.encode("utf-8")), "big"))
    n, e = numbers
    if not 2_048 <= n.bit_length() <= 8_192 or not n % 2 or any(n % prime == 0 for prime in _SMALL_PRIMES):
        raise Refused("n")
    if not e % 2 or not 65_537 <= e <= 2**32:
        raise Refused("e")
    return n, e


def usable_key(jwk: Any) -> tuple[str | None, int, int]:
    """``kid``, ``n`` and ``e`` of a member of a JWK Set that may be used for RS256."""
    if not isinstance(jwk, dict) or isinstance(jwk, _Twice):
        raise Refused("no object")
    try:
        _check(jwk, 1)
    except UnicodeEncodeError:
        raise Refused("a lone surrogate") from None
    if jwk.get("kid") == []:
        raise Refused("kid")
    jwk = {name: value for name, value in jwk.items() if value is not None and value != "" and value != []}
    if jwk.get("kty") != "RSA":
        raise Refused("kty")
    if "kid" in jwk and (not isinstance(jwk["kid"], str) or len(jwk["kid"].encode()) > 256):
        raise Refused("kid")
    if {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"} & jwk.keys():
        raise Refused("private")
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", "RS256") != "RS256":
        raise Refused("use or alg")
    if "key_ops" in jwk and not (isinstance(jwk["key_ops"], list) and "verify" in jwk["key_ops"]):
        raise Refused("key_ops")
    return jwk.get("kid"), *rsa_numbers(jwk)


def key_set(body: bytes, max_keys: int) -> list[tuple[str | None, int, int] | None]:
    """Each member of a JWK Set: its key, or None when it may not be used."""
    document = loads_object(body.removeprefix(b"\xef\xbb\xbf"), "surrogatepass")
    keys = document.pop("keys", None)
    try:
        _check(document, 1)
    except UnicodeEncodeError:
        raise Refused("a lone surrogate") from None
    if not isinstance(keys, list) or len(keys) > max_keys:
        raise Refused("no JWK Set")
    members: list[tuple[str | None, int, int] | None] = []
    for jwk in keys:
        try:
            members.append(usable_key(jwk))
        except Refused:
            members.append(None)
    return members


def client_of(claims: dict[str, Any], client_ids: set[str], audience: str, now: float) -> str:
    """Whom claims authenticate under the default policy, were they signed."""
    iss, aud = claims.get("iss"), claims.get("aud")
    if not isinstance(iss, str) or claims.get("sub") != iss or iss not in client_ids:
        raise Refused("iss, sub")
    if not (aud == audience or (isinstance(aud, list) and aud == [audience])):
        raise Refused("aud")
    times = {name: claims[name] for name in ("exp", "iat", "nbf") if name in claims}
    for value in times.values():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 2**53:
            raise Refused("a time")
    exp = times.get("exp", -1)
    if not now - 15 < exp <= now + 315 or exp - times.get("iat", exp) > 300:
        raise Refused("exp")
    if any(times.get(name, 0) > min(now + 15, exp) for name in ("iat", "nbf")):
        raise Refused("iat, nbf")
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti.encode("utf-8")) <= 256:
        raise Refused("jti")
    return iss


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


def token_request(pairs: list[tuple[str, str]], authorization: str | None) -> tuple[str, str | None] | None:
    """Assertion and ``client_id`` of a parsed form."""
    # A parameter without a value counts as omitted (RFC 6749 section 3.2).
    found = {name: [value for each, value in pairs if each == name and value] for name, value in pairs if value}
    if not found.get("client_assertion") and not found.get("client_assertion_type"):
        return None
    names = ("client_assertion", "client_assertion_type", "client_id", "client_secret")
    if any(len(found.get(name, [])) > 1 for name in names):
        raise Refused("twice")
    if "client_secret" in found or authorization is not None:
        raise Refused("two ways")
    if found.get("client_assertion_type") != [ASSERTION_TYPE] or "client_assertion" not in found:
        raise Refused("half")
    return found["client_assertion"][0], found.get("client_id", [None])[0]
