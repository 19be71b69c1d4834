"""Where the time of one accepted assertion goes: the stages of ``recipe.py``, and the three that wait between them.

Each is what the verifier calls, one stage over all tokens of a round and then the next; what is left of a whole
``verify`` ties them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from private_key_jwt import AssertionPolicy, ClientAssertionVerifier
from private_key_jwt.recipe import Verification

from . import corpus, ours
from .measuring import Spread, Step, calls, clock, frozen
from .report import Row, Section

_SIZE = 40


class _Work:
    """One assertion on its way, with what was found for the next stage."""

    def __init__(self, policy: AssertionPolicy, token: str) -> None:
        self.recipe, self.policy = Verification(), policy
        self.token = token
        self.found: Any = None


def _stages(verifier: ClientAssertionVerifier) -> dict[str, Callable[[_Work], Any]]:
    """Each stage by its name, as ``verify`` calls them in turn; what was found is left for the next one."""
    return {
        "1-3 read: size and shape, header, claims": lambda work: work.recipe.read(work.policy, work.token, None),
        "find the client": lambda work: verifier._find_client(work.recipe.client_id),
        "3 check_claims: rules, aud, times, jti": lambda work: work.recipe.check_claims(work.found, time.time()),
        "4 get the key": lambda work: verifier._find_key(work.recipe.client, work.recipe.header),
        "5 check_signature: base64url, RSA": lambda work: work.recipe.check_signature(work.found),
        "6 replay_mark: its key": lambda work: work.recipe.replay_mark(time.time()),
        "6 mark: the replay store": lambda work: verifier._mark(*work.found),
        "6 finish: the result": lambda work: work.recipe.finish(time.time()),
    }


def _one_round(verifier: ClientAssertionVerifier, policy: AssertionPolicy, block: list[str]) -> dict[str, float]:
    """Seconds of each stage for one assertion, less what calling a stage costs."""
    works = [_Work(policy, token) for token in block]
    seconds = {}
    for name, stage in _stages(verifier).items():
        empty = calls(lambda work: None, works)
        began = clock()
        found = [stage(work) for work in works]
        seconds[name] = (clock() - began - empty) / len(works)
        for work, each in zip(works, found, strict=True):
            work.found = each
    return seconds


def run(step: Step, *, short: bool) -> Section:
    """Each stage over all tokens of a round, one stage after the other; then whole verifications of the same."""
    tenant, subject = ours.set_up()
    policy = AssertionPolicy(audience=corpus.AUDIENCE)
    rounds = 30 if short else 300
    tokens = corpus.tokens(tenant, 10 * _SIZE)
    subject.verifier.verify(corpus.new_token(tenant))
    floor = corpus.floor(tenant.current_key, tokens)
    seconds: dict[str, list[float]] = {name: [] for name in (*_stages(subject.verifier), "rest", "whole: verify")}
    with frozen():
        for number in range(rounds):
            block = tokens[number % 10 * _SIZE :][:_SIZE]
            floor.block(_SIZE)  # the RSA code is as warm for the first stage as for the last
            subject.renew()
            found = _one_round(subject.verifier, policy, block)
            subject.renew()
            whole = calls(subject.verifier.verify, block) / _SIZE
            # A round of noise can make the rest negative.
            for name, piece in {**found, "rest": whole - sum(found.values()), "whole: verify": whole}.items():
                seconds[name].append(piece)
            step(f"round {number + 1} of {rounds}")
    section = Section("stages", "Where the time goes (one accepted assertion)", data={"stages": seconds})
    total = median(seconds["whole: verify"])
    for name, each in seconds.items():
        spread = Spread.of([value * 1e6 for value in each])
        section.rows.append(Row.of(name, spread, unit="µs", note=f"{spread.median / total / 1e4:.0f} %"))
    return section
