"""Where the time of one accepted assertion goes: the library's own functions, stage by stage.

The only module here that knows the inside of the library: ``_STAGES`` follows ``ClientAssertionVerifier.begin`` and
``consume``. When these change, this changes with them.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from types import MappingProxyType
from typing import Any

from private_key_jwt import AssertionPolicy, RegisteredClient
from private_key_jwt._core import claims as claims_step
from private_key_jwt._core import compact
from private_key_jwt._core import header as header_step
from private_key_jwt._core.base64url import decode_canonical
from private_key_jwt._core.jwk_set import VerificationKey
from private_key_jwt._report import Watch
from private_key_jwt.verifier import PendingAssertion, VerifiedAssertion

from . import corpus, ours
from .measuring import Spread, Step, calls, clock, frozen
from .report import Row, Section


class _Work:
    """What one verification has found out so far."""

    audience: str
    claims: dict[str, Any]
    client: RegisteredClient
    header: header_step.Header
    jti: str
    key: VerificationKey
    pending: PendingAssertion
    policy: AssertionPolicy
    segments: tuple[bytes, bytes, bytes, bytes]
    times: tuple[float | None, float]

    def __init__(self, token: str) -> None:
        self.token = token


def _stages(verifier: Any) -> dict[str, Callable[[_Work], None]]:  # noqa: C901 - a list of functions
    policy, now = verifier._policy, verifier._clock

    def split(work: _Work) -> None:
        work.segments = compact.split(work.token, policy.max_assertion_bytes)

    def header(work: _Work) -> None:
        work.header = header_step.parse(work.segments[0])

    def payload(work: _Work) -> None:
        work.claims = compact.loads(work.segments[1], "claims")

    def client(work: _Work) -> None:
        work.client = verifier._find_client(claims_step.identify(work.claims, None))
        work.policy = work.client.policy or policy

    def rules(work: _Work) -> None:
        client = work.client
        claims_step.check_client_rules(work.header, work.policy, client.signing_algs, require_kid=client.require_kid)
        work.audience = claims_step.check_audience(work.claims, work.policy)
        work.times = claims_step.check_times(work.claims, work.policy, now())
        work.jti = claims_step.check_jti(work.claims)

    def key(work: _Work) -> None:
        work.key = verifier._fetcher.get_key(work.client, work.header.alg, work.header.kid)

    def signature(work: _Work) -> None:
        if not work.key.verify(decode_canonical(work.segments[2]), work.segments[3]):
            raise AssertionError("the signature does not verify")

    def result(work: _Work) -> None:
        verified = VerifiedAssertion(
            work.client.client_id,
            work.header.kid,
            work.jti,
            work.audience,
            *work.times,
            MappingProxyType(work.claims),
        )
        work.pending = PendingAssertion(verifier._mark_used, verified, work.policy.leeway, Watch(None, work.token))

    def mark(work: _Work) -> None:
        work.pending.consume()

    return {
        "1 size and shape": split,
        "2 header (kept from the last)": header,
        "3 claims: base64url, JSON": payload,
        "3 claims: client look-up": client,
        "3 claims: rules, aud, times, jti": rules,
        "4 key look-up": key,
        "5 base64url, RSA": signature,
        "6 replay mark": mark,
        "result": result,
    }


_ORDER_OF_CALLS = (0, 1, 2, 3, 4, 5, 6, 8, 7)  # the result is made before the mark, and told after it


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
    works = [_Work(token) for token in block]
    stages = list(_stages(verifier).items())
    found = {}
    for place in _ORDER_OF_CALLS:
        name, stage = stages[place]
        empty = calls(_empty, works)
        began = clock()
        for work in works:
            stage(work)
        found[name] = (clock() - began - empty) / len(works)
    return found
