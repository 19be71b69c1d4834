"""Measure what each signature algorithm costs: a whole accepted assertion in units of RS256's, and one key's import.

A signature that is wrong costs as much as one that is right. So this is also what a flood under a known client and
``kid`` costs, whose claims hold: anybody can write those.
"""

from __future__ import annotations

from private_key_jwt._core.algorithms import ALGORITHMS
from private_key_jwt._core.jwk import read_member
from private_key_jwt.testing import RelyingParty, SigningKey

from . import corpus, ours
from .measuring import CodePath, Spread, Step, calls, interleave
from .report import Row, Section


def _path(alg: str, name: str, count: int) -> CodePath:
    party = RelyingParty(audience=corpus.AUDIENCE, alg=alg)
    tenant = party.tenant()
    subject = ours.Subject([tenant.client()], ours.fetcher(party))
    tokens = corpus.tokens(tenant, count)
    return CodePath(
        name, lambda block: calls(lambda token: subject.verifier.verify(token), block), tokens, subject.renew
    )


def _import_seconds(alg: str, rounds: int) -> list[float]:
    jwk = SigningKey.generate(alg=alg).public_jwk()
    assert read_member(jwk).fault is None
    return [calls(read_member, [jwk] * 20) / 20 for _ in range(rounds)]


def run(step: Step, *, short: bool) -> Section:
    """Every algorithm, with RS256 before and after each; then one key of each kind."""
    rounds, size, count = (6, 20, 60) if short else (60, 40, 400)
    names = [alg for alg in ALGORITHMS if alg != "EdDSA"]
    paths = [_path(alg, f"accept with {alg}", count) for alg in names]
    measured = interleave(paths, _path("RS256", "RS256", count), rounds, size, step)
    section = Section("algorithms", "Algorithms (1.0 is an accepted RS256 assertion)")
    for path in paths:
        section.add(path.name, measured[path.name])
    for alg in ("RS256", "ES256", "ES512", "Ed25519"):
        seconds = _import_seconds(alg, rounds)
        section.rows.append(Row.of(f"import a key for {alg}", Spread.of([each * 1e6 for each in seconds]), unit="µs"))
        section.data[f"import {alg}"] = seconds
    return section
