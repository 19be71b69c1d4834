"""Hostile assertions: the known shapes of 16 KiB, and a search for dearer ones among mixtures that mutate.

Nothing here knows the library: an older version of it is sent the same.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

MAX_BYTES = 16_384
_SIGNATURE = bytes(256)

Object = Mapping[str, Any]


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")


def unb64(segment: str) -> bytes:
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def encode(value: Object) -> str:
    return b64(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _fill(unit: str, size: int, before: str = "", after: str = "") -> str:
    return before + unit * max(0, (size - len(before) - len(after)) // len(unit)) + after


def _payloads(size: int) -> dict[str, str]:
    """JSON (or nearly) of about ``size`` bytes, by the name of its shape."""
    members = ",".join(f'"m{number:04d}":1' for number in range((size - 2) // 10))
    return {
        "deep nesting": _fill("[", size, '{"a":'),
        "nesting, 10 levels, again and again": _fill("[" * 10 + "]" * 10 + ",", size, '{"a":[', "0]}"),
        "nesting, 31 levels, again and again": _fill("[" * 31 + "]" * 31 + ",", size, '{"a":', "0}"),
        "brackets in a string": _fill("[{", size, '{"a":"', '"}'),
        "quotes escaped": _fill('\\"', size, '{"a":"', '"}'),
        "tiny objects": _fill("{},", size, '{"a":[', "{}]}"),
        "tiny objects with a member": _fill('{"b":1},', size, '{"a":[', "{}]}"),
        "many members": f"{{{members}}}",
        "the same member": _fill('"a":1,', size, "{", '"a":1}'),
        "white space": _fill(" \t\n\r", size, "", "{}"),
        "a long string": _fill("x", size, '{"a":"', '"}'),
        "unicode escapes": _fill("\\u00e9", size, '{"a":"', '"}'),
        "surrogate pairs": _fill("\\ud83d\\ude00", size, '{"a":"', '"}'),
        "integers": _fill("1,", size, '{"a":[', "1]}"),
        "a long integer": _fill("1", size, '{"a":', "}"),
        "fractions": _fill("1.5e3,", size, '{"a":[', "1]}"),
        "two-byte UTF-8": _fill("é", size // 2, '{"a":"', '"}'),
        "not UTF-8": _fill("x", size, '{"a":"', '\udcff"}'),
    }


def shapes(header: Object, claims: Object) -> dict[str, str]:
    """Return assertions of nearly 16 KiB that must be refused before a key is used, by the name of their shape.

    header, claims: those of a good assertion.
    """
    size = MAX_BYTES - 8
    head, body, signature = encode(header), encode(claims), b64(_SIGNATURE)
    expired = encode({**claims, "exp": 1})
    room = (size - len(head) - len(signature) - 2) * 3 // 4
    whole = "A" * (room * 4 // 3 // 4 * 4)
    made = {
        "all dots": "." * size,
        "no dots": "a" * size,
        "bad base64 at the end": f"{head}.{whole}.{signature[:-1]}!",
        "spare bits at the end": f"{head}.{whole}B.{signature}",
        "not ASCII at the end": "a" * (size - 1) + "é",
        "zero bytes as claims": f"{head}.{b64(bytes(room))}.{signature}",
        "expired, and a long signature": f"{head}.{expired}.{'A' * ((size - len(head) - len(expired)) // 4 * 4)}",
    }
    for name, text in _payloads(room).items():
        made[f"claims: {name}"] = f"{head}.{b64(_raw(text))}.{signature}"
    for name, text in _payloads((size - len(body) - len(signature) - 2) * 3 // 4).items():
        made[f"header: {name}"] = f"{b64(_raw(text))}.{body}.{signature}"
    # The longest way to a refusal without a key: all is well, and the audience, checked late, is not.
    late = json.dumps({**claims, "aud": "https://another-op.example"})[:-1]
    for name in ("tiny objects", "many members", "unicode escapes"):
        text = f'{late},"x":{_payloads(room - 300)[name]}}}'
        made[f"wrong aud, and {name}"] = f"{head}.{b64(_raw(text))}.{signature}"
    return made


# Mixtures: fragments of JSON, each so many times, over and over until the assertion is full.

_FRAGMENTS = (
    *("[", "]", "[]", "[[", "]]", "[],", "{}", "{},", '{"a":', "}", '{"a":1},', "{", ",", ":", "0", "1,", "-1,"),
    *("1e1,", "1.5,", "-0.1E-1,", "1234567890123456789,", "null,", "true,", '"', '"",', '"a",', '"a":1,', '"a":"b",'),
    *('\\"', "\\\\", "\\/", "\\n", "\\u0041", "\\u00e9", "\\ud83d\\ude00", "\\ud83d", "é", "€", "😀", "\udcff", " "),
    *("1.7976931348623157e-300,", "1e-308,", f"1.{'8' * 23}e-308,", f"0.{'7' * 200},", "99999999999999999999,"),
    *("\t", "x", "xxxxxxxx", f'"{"n" * 200}":1,', f'"{"n" * 60}",'),
)
# What stands before and after them.
_FRAMES = (("{", '"z":1}'), ('{"a":[', "1]}"), ('{"a":"', '"}'), ('{"a":{', '"z":1}}'), ('{"a":', "}"), ("", ""))


@dataclass(frozen=True, slots=True)
class Mixture:
    """One hostile assertion.

    place: ``claims``, ``header``, or ``late``: claims that are good but for ``aud``, with the mixture as a member.
    size: bytes of the whole assertion, at most.
    """

    place: str
    frame: int
    size: int
    parts: tuple[tuple[int, int], ...]

    def describe(self) -> str:
        names = [fragment if len(fragment) <= 24 else f"{fragment[:20]}...{len(fragment)}" for fragment in _FRAGMENTS]
        parts = ", ".join(f"{names[fragment]!a} x {times}" for fragment, times in self.parts)
        return f"{self.place}, {self.size} bytes, {_FRAMES[self.frame][0]!a} … {parts}"

    def assertion(self, header: Object, claims: Object) -> str:
        signature = b64(_SIGNATURE)
        other = encode(claims if self.place == "header" else header)
        room = max(0, (self.size - len(other) - len(signature) - 2) * 3 // 4)
        late = json.dumps({**claims, "aud": "https://another-op.example"})[:-1] + ',"x":'
        before, after = (late, "}") if self.place == "late" else ("", "")
        text = _raw(before) + self._text(max(0, room - len(before) - len(after))) + _raw(after)
        segments = (b64(text), other) if self.place == "header" else (other, b64(text))
        return ".".join((*segments, signature))

    def _text(self, room: int) -> bytes:
        before, after = map(_raw, _FRAMES[self.frame])
        unit = _raw("".join(_FRAGMENTS[fragment] * times for fragment, times in self.parts))
        return before + unit * max(0, (room - len(before) - len(after)) // max(1, len(unit))) + after


def _mutate(mixture: Mixture, random: Random) -> Mixture:
    parts = list(mixture.parts)
    at = random.randrange(len(parts))
    fragment, times = parts[at]
    match random.randrange(7):
        case 0:
            return replace(mixture, place=random.choice(("claims", "header", "late")))
        case 1:
            return replace(mixture, frame=random.randrange(len(_FRAMES)))
        case 2:
            return replace(mixture, size=random.choice((MAX_BYTES, MAX_BYTES, 12_000, 7_000, 2_000)))
        case 3 if len(parts) < 6:
            parts.insert(at, (random.randrange(len(_FRAGMENTS)), random.choice((1, 1, 2, 10, 31))))
        case 4 if len(parts) > 1:
            del parts[at]
        case 5:
            parts[at] = (fragment, random.choice((1, max(1, times // 2), times * 2, times + 1)))
        case _:
            parts[at] = (random.randrange(len(_FRAGMENTS)), times)
    return replace(mixture, parts=tuple(parts))


def search(cost: Callable[[Mixture], float], rounds: int, seed: int = 0, keep: int = 24) -> list[tuple[float, Mixture]]:
    """Look for the dearest mixtures: mutate the dearest known ones, and keep those that cost more.

    cost: what one costs, in any unit.
    Return the ``keep`` dearest, with their cost, the dearest first.
    """
    random = Random(seed)
    frames, fragments = range(len(_FRAMES)), range(len(_FRAGMENTS))
    known: dict[Mixture, float] = {}
    best: list[tuple[float, Mixture]] = []
    for number in range(rounds):
        if len(best) < keep or number % 8 == 0:
            mixture = Mixture("claims", random.choice(frames), MAX_BYTES, ((random.choice(fragments), 1),))
        else:
            mixture = random.choice(best)[1]
        for _ in range(random.randint(1, 3)):
            mixture = _mutate(mixture, random)
        if mixture not in known:
            known[mixture] = cost(mixture)
            best = sorted([*best, (known[mixture], mixture)], key=lambda pair: -pair[0])[:keep]
    return best
