"""The tokens: signed in bulk before any clock starts; each with a ``jti`` of its own."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from private_key_jwt.testing import SigningKey, Tenant

from .measuring import Path, clock, cores

AUDIENCE = "https://op.example.com"
LIFETIME = 300
"""Seconds: the longest that the default policy takes. A LedgerBee assertion lives for 60; its cost is the same."""

MAX_BYTES = 16_384


def in_bulk(make: Callable[[int], str], count: int) -> list[str]:
    """``count`` tokens, made on all cores: signing releases the interpreter's lock."""
    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(make, range(count)))


def new_token(tenant: Tenant, **claims: Any) -> str:
    """An assertion as LedgerBee sends it (``alg`` and ``kid``; no ``typ``), with a UUID as its ``jti``."""
    return tenant.assertion(**{**lasting(tenant.clock()), **claims})


def lasting(now: float) -> dict[str, Any]:
    """The claims that make an assertion of this moment last, and unlike any other."""
    return {"iat": int(now), "exp": int(now) + LIFETIME, "jti": str(uuid4())}


def tokens(tenant: Tenant, count: int, **claims: Any) -> list[str]:
    """New assertions of one tenant, all valid unless changed."""
    return in_bulk(lambda _number: new_token(tenant, **claims), count)


def forged(token: str) -> str:
    """A token whose signature is wrong and well-formed: it costs an RSA operation like a good one."""
    head, _, signature = token.rpartition(".")
    first = "A" if signature[0] != "A" else "B"
    return f"{head}.{first}{signature[1:]}"


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def floor(key: SigningKey, assertions: list[str]) -> Path:
    """The floor: the bare RSA operation of ``cryptography`` over the same tokens, its arguments made beforehand."""
    verify = key.private_key.public_key().verify
    padding, digest = PKCS1v15(), SHA256()
    items = [(unb64(sig), head.encode("ascii")) for head, _, sig in (token.rpartition(".") for token in assertions)]

    def run(block: Any) -> float:
        began = clock()
        for signature, signing_input in block:
            verify(signature, signing_input, padding, digest)
        return clock() - began

    return Path("public_key.verify", run, items)


# 16 KiB of garbage


def _filled(unit: str, size: int, before: str = "", after: str = "") -> str:
    return before + unit * max(0, (size - len(before) - len(after)) // len(unit)) + after


def _members(size: int) -> str:
    return "{" + ",".join(f'"m{number:04d}":1' for number in range((size - 2) // 10)) + "}"


def _payloads(size: int) -> dict[str, str]:
    """JSON (or nearly) of about ``size`` bytes, by the name of its shape."""
    group = "[" * 31 + "]" * 31 + ","
    return {
        "deep nesting": "{" + '"a":' + _filled("[", size - 6),
        "nesting, 10 levels, again and again": _filled("[" * 10 + "]" * 10 + ",", size, '{"a":[', "0]}"),
        "nesting, 31 levels, again and again": _filled(group, size, '{"a":', "0}"),
        "brackets in a string": _filled("[{", size, '{"a":"', '"}'),
        "quotes escaped": _filled('\\"', size, '{"a":"', '"}'),
        "tiny objects": _filled("{},", size, '{"a":[', "{}]}"),
        "tiny objects with a member": _filled('{"b":1},', size, '{"a":[', "{}]}"),
        "many members": _members(size),
        "the same member": _filled('"a":1,', size, "{", '"a":1}'),
        "white space": _filled(" \t\n\r", size, "", "{}"),
        "a long string": _filled("x", size, '{"a":"', '"}'),
        "unicode escapes": _filled("\\u00e9", size, '{"a":"', '"}'),
        "surrogate pairs": _filled("\\ud83d\\ude00", size, '{"a":"', '"}'),
        "integers": _filled("1,", size, '{"a":[', "1]}"),
        "a long integer": _filled("1", size, '{"a":', "}"),
        "fractions": _filled("1.5e3,", size, '{"a":[', "1]}"),
        "two-byte UTF-8": _filled("é", size // 2, '{"a":"', '"}'),
        "not UTF-8": _filled("x", size, '{"a":"', '\udcff"}'),
    }


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def garbage(tenant: Tenant) -> dict[str, str]:
    """Tokens of nearly 16 KiB that must be refused before a key is used, by the name of their shape."""
    size = MAX_BYTES - 8
    header = b64(json.dumps(tenant.header(), separators=(",", ":")).encode("ascii"))
    small = b64(json.dumps(tenant.claims(), separators=(",", ":")).encode("ascii"))
    expired = b64(json.dumps(tenant.claims() | {"exp": 1}).encode("ascii"))
    signature = b64(bytes(256))
    room = (size - len(header) - len(signature) - 2) * 3 // 4
    shapes = {
        "all dots": "." * size,
        "no dots": "a" * size,
        "bad base64 at the end": f"{header}.{'A' * (room * 4 // 3 // 4 * 4)}.{signature[:-1]}!",
        "spare bits at the end": f"{header}.{'A' * (room * 4 // 3 // 4 * 4)}B.{signature}",
        "not ASCII at the end": "a" * (size - 1) + "é",
        "zero bytes as claims": f"{header}.{b64(bytes(room))}.{signature}",
        "expired, and a long signature": f"{header}.{expired}.{'A' * ((size - len(header) - len(expired)) // 4 * 4)}",
    }
    for name, text in _payloads(room).items():
        shapes[f"claims: {name}"] = f"{header}.{b64(_raw(text))}.{signature}"
    room = (size - len(small) - len(signature) - 2) * 3 // 4
    for name, text in _payloads(room).items():
        shapes[f"header: {name}"] = f"{b64(_raw(text))}.{small}.{signature}"
    # The longest way to a refusal without a key: all is well, and the audience, checked late, is not.
    claims = tenant.claims() | {"aud": "https://another-op.example"}
    for name in ("tiny objects", "many members", "unicode escapes"):
        text = _payloads((size - len(header) - len(signature) - 2) * 3 // 4 - 300)[name]
        whole = json.dumps(claims)[:-1] + ',"x":' + text + "}"
        shapes[f"wrong aud, and {name}"] = f"{header}.{b64(_raw(whole))}.{signature}"
    too_long = [name for name, shape in shapes.items() if len(shape) > MAX_BYTES or len(shape) < MAX_BYTES * 0.9]
    if too_long:
        raise AssertionError(f"not of 16 KiB: {[(name, len(shapes[name])) for name in too_long]}")
    return shapes
