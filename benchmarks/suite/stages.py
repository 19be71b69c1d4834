"""Where the time of one accepted assertion goes: the library's own functions, stage by stage.

They are the stages of ``private_key_jwt.recipe``, called here as a verifier calls them.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from private_key_jwt import AssertionPolicy
from private_key_jwt.recipe import Verification, VerifiedAssertion

from . import corpus, ours
from .measuring import Spread, Step, calls, clock, frozen
from .report import Row, Section

_Stage = Callable[["_Work"], None]


class _Work(Verification):
    """One verification, and the assertion that it is of."""

    __slots__ = ("found", "token", "verified")

    found: Any
    verified: VerifiedAssertion

    def __init__(self, policy: AssertionPolicy, token: str) -> None:
        super().__init__(policy)
        self.token = token


def _stages(verifier: Any) -> dict[str, _Stage]:
    """The stages of the recipe, and what it waits for in between."""

    def read(work: _Work) -> None:
        work.read(work.token, None)

    def client(work: _Work) -> None:
        work.found = verifier._find_client(work.client_id)

    def claims(work: _Work) -> None:
        work.check_claims(work.found, verifier._clock())

    def key(work: _Work) -> None:
        work.found = verifier._find_key(work.client, work.header)

    def signature(work: _Work) -> None:
        work.check_signature(work.found)

    def mark(work: _Work) -> None:
        verifier._mark(*work.replay_mark(verifier._clock()))

    def finish(work: _Work) -> None:
        work.verified = work.finish(verifier._clock())

    return {
        "1 to 3 shape, header, sender": read,
        "3 client look-up": client,
        "3 what depends on the client": claims,
        "4 key look-up": key,
        "5 base64url, RSA": signature,
        "6 replay mark": mark,
        "result": finish,
    }


def _empty(_work: _Work) -> None:
    """What calling a stage costs, without the stage."""


def run(step: Step, *, short: bool) -> Section:
    """Each stage over all tokens of a round, one stage after the other; then whole verifications of the same."""
    party = ours.relying_party()
    tenant = party.tenant()
    size, rounds = 40, 30 if short else 300
    tokens = corpus.tokens(tenant, 10 * size)
    subject = ours.Sync([tenant.client()], ours.fetcher(party))
    subject.verifier.verify(corpus.new_token(tenant))
    floor = corpus.floor(tenant.current_key, tokens)
    names = list(_stages(subject.verifier))
    seconds: dict[str, list[float]] = {name: [] for name in (*names, "rest")}
    whole: list[float] = []
    with frozen():
        for number in range(rounds):
            at = number % 10 * size
            block = tokens[at : at + size]
            subject.renew()
            floor.block(size)  # the RSA code is as warm for the first stage as for the last
            pieces = _one_round(subject.verifier, block)
            subject.renew()
            whole.append(calls(subject.verifier.verify, block) / size)
            for name, piece in pieces.items():
                seconds[name].append(piece)
            # What no stage holds: the calls that tie them together. A round of noise can make it negative.
            seconds["rest"].append(whole[-1] - sum(pieces.values()))
            step(f"round {number + 1} of {rounds}")
    section = Section("stages", "Where the time goes (one accepted assertion)")
    total = median(whole)
    for name, each in seconds.items():
        spread = Spread.of([value * 1e6 for value in each])
        section.rows.append(Row.of(name, spread, unit="µs", note=f"{spread.median / total / 1e4:.0f} %"))
    section.rows.append(Row.of("whole: verify", Spread.of([value * 1e6 for value in whole]), unit="µs", note="100 %"))
    section.data = {"stages": seconds, "whole": whole}
    section.notes.append(
        "each stage is the library's own function, over 40 tokens at a time, less the cost of calling it; the rest is"
        " what ties the stages together."
    )
    return section


def _one_round(verifier: Any, block: list[str]) -> dict[str, float]:
    works = [_Work(verifier._policy, token) for token in block]
    found = {}
    for name, stage in _stages(verifier).items():
        empty = calls(_empty, works)
        began = clock()
        for work in works:
            stage(work)
        found[name] = (clock() - began - empty) / len(works)
    return found
