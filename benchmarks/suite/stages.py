"""Measure where the time of an accepted assertion goes: the stages of ``recipe.py``, and the three that wait between.

Each is what the verifier calls, one stage over all tokens of a round and then the next; what is left of a whole
``verify`` ties them together.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from types import SimpleNamespace
from typing import Any

from private_key_jwt.recipe import Verification

from . import corpus, ours
from .measuring import Spread, Step, calls, clock, frozen
from .report import Row, Section

_SIZE = 40


def _stages(verifier: Any) -> dict[str, Callable[[Any], Any]]:
    """Each stage by its name, as ``verify`` calls them in turn for an assertion; ``found`` is of the stage before."""
    return {
        "1-3 read: size and shape, header, claims": lambda work: work.recipe.read(verifier._policy, work.token, None),
        "find the client": lambda work: verifier._find_client(work.recipe.client_id),
        "3 check_claims: rules, aud, times, jti": lambda work: work.recipe.check_claims(work.found, time.time()),
        "4 get the key": lambda work: verifier._find_key(work.recipe.client, work.recipe.header),
        "5 check_signature: base64url, RSA": lambda work: work.recipe.check_signature(work.found),
        "6 replay_mark: its key": lambda work: work.recipe.replay_mark(time.time()),
        "6 mark: the replay store": lambda work: verifier._mark(*work.found),
        "6 finish: the result": lambda work: work.recipe.finish(time.time()),
    }


def _one_round(verifier: Any, block: list[str]) -> dict[str, float]:
    """Seconds of each stage for one assertion, less what calling a stage costs."""
    works = [SimpleNamespace(recipe=Verification(), token=token, found=None) for token in block]
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
    rounds = 30 if short else 300
    tokens = corpus.tokens(tenant, 10 * _SIZE)
    subject.verifier.verify(corpus.new_token(tenant))
    floor = corpus.floor(tenant.current_key, tokens)
    found: list[dict[str, float]] = []
    with frozen():
        for number in range(rounds):
            block = tokens[number % 10 * _SIZE :][:_SIZE]
            floor.block(_SIZE)  # the RSA code is as warm for the first stage as for the last
            subject.renew()
            pieces = _one_round(subject.verifier, block)
            subject.renew()
            whole = calls(subject.verifier.verify, block) / _SIZE
            found.append(pieces | {"rest": whole - sum(pieces.values()), "whole: verify": whole})
            step(f"round {number + 1} of {rounds}")
    section = Section("stages", "Where the time goes (one accepted assertion)", data={"stages": found})
    total = median(each["whole: verify"] for each in found)
    for name in found[0]:
        spread = Spread.of([each[name] * 1e6 for each in found])
        section.rows.append(Row.of(name, spread, unit="µs", note=f"{spread.median / total / 1e4:.0f} %"))
    return section
