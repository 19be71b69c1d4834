"""What each signature algorithm costs: a whole accepted assertion in units of RS256's, and the import of one key.

A signature that is wrong costs as much as one that is right. So this is also what a flood under a known client and
``kid`` costs, whose claims hold: anybody can write those.
"""

from __future__ import annotations

import math
from statistics import median
from typing import Any

from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.jwk import read_member
from private_key_jwt.testing import RelyingParty, SigningKey

from . import corpus, hostile, ours
from .measuring import CodePath, Spread, Step, calls, clock, interleave
from .report import Row, Section


def _path(alg: str, name: str, count: int) -> CodePath:
    party = RelyingParty(audience=corpus.AUDIENCE, alg=alg)
    tenant = party.tenant()
    subject = ours.Sync([tenant.client()], ours.fetcher(party))
    tokens = corpus.tokens(tenant, count)
    return CodePath(
        name, lambda block: calls(lambda token: subject.verifier.verify(token), block), tokens, subject.renew
    )


def _keys() -> dict[str, dict[str, Any]]:
    """The sizes that are usual, and the largest that is taken (its modulus is no product of two primes)."""
    keys = {alg: SigningKey.generate(alg=alg).public_jwk() for alg in ("RS256", "ES256", "ES512", "Ed25519")}
    largest = (1 << 8_192) - 1
    small_primes = math.prod(prime for prime in range(3, 752, 2))
    while math.gcd(largest, small_primes) != 1:
        largest -= 2
    keys["RS256, 8192 bits"] = {**keys["RS256"], "n": hostile.b64(largest.to_bytes(1_024, "big"))}
    assert all(read_member(jwk).fault is None for jwk in keys.values())
    return keys


def _import_seconds(jwk: dict[str, Any], rounds: int) -> list[float]:
    seconds = []
    for _ in range(rounds):
        began = clock()
        for _ in range(20):
            read_member(jwk)
        seconds.append((clock() - began) / 20)
    return seconds


def run(step: Step, *, short: bool) -> Section:
    """Every algorithm, with RS256 before and after each; then one key of each kind."""
    rounds, size, count = (6, 20, 60) if short else (60, 40, 400)
    names = [alg for alg in ALGORITHMS if alg != "EdDSA"]
    paths = [_path(alg, f"accept with {alg}", count) for alg in names]
    measured = interleave(paths, _path("RS256", "RS256", count), rounds, size, step)
    section = Section("algorithms", "Algorithms (1.0 is an accepted RS256 assertion)")
    for path in paths:
        section.add(path.name, measured[path.name])
    for name, jwk in _keys().items():
        seconds = _import_seconds(jwk, rounds)
        spread = Spread.of([each * 1e6 for each in seconds])
        section.rows.append(Row.of(f"import a key for {name}", spread, unit="µs"))
        section.data[f"import {name}"] = {"seconds": seconds, "median": median(seconds)}
    return section
