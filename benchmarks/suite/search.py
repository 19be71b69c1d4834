"""The dearest refusal that a search finds, in units of one RSA verification."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from private_key_jwt import AssertionPolicy, AuthenticationError, ClientAssertionVerifier, MemoryReplayStore
from private_key_jwt.events import OnEvent

from . import corpus, hostile, ours
from .measuring import Step, frozen
from .report import Row, Section

LIMIT = 8.0


@contextmanager
def _logged() -> Iterator[None]:
    """The default handler of refusals, with a log that is written."""
    logger = logging.getLogger("private_key_jwt")
    before = logger.level, logger.propagate
    handler = logging.FileHandler(os.devnull)
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.level, logger.propagate = before


def find_dearest(
    rounds: int, seed: int = 0, step: Step = lambda _text: None, on_event: OnEvent | None = None
) -> list[tuple[float, hostile.Mixture]]:
    """Search for so many rounds, and return the dearest mixtures with their cost, the dearest first.

    on_event: handles the events; the default handler does unless it is given.
    The cost is the least of three processor times, over the least of the RSA operation at the same moment.
    """
    party = ours.relying_party()
    tenant = party.tenant()
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=corpus.AUDIENCE),
        clients=[tenant.client()],
        replay_store=MemoryReplayStore(),
        fetcher=ours.fetcher(party),
        on_event=on_event,
    )
    good = corpus.new_token(tenant)
    verifier.verify(good)
    floor = corpus.floor(tenant.current_key, [good])
    header, claims = tenant.header(), tenant.claims()
    number = 0

    def refuse(assertion: str) -> float:
        began = time.thread_time()
        try:
            verifier.verify(assertion)
        except AuthenticationError:
            return time.thread_time() - began
        raise AssertionError("a mixture was accepted")

    def cost(mixture: hostile.Mixture) -> float:
        nonlocal number
        number += 1
        if number % 100 == 0:
            step(f"{number} mixtures")
        assertion = mixture.assertion(header, claims)
        return min(refuse(assertion) for _ in range(3)) / min(floor.run(floor.items) for _ in range(5))

    with _logged(), frozen():
        return hostile.search(cost, rounds, seed)


def run(step: Step, *, short: bool) -> Section:
    section = Section("search", "Search for a dear refusal (ratio to the RSA operation)")
    handlers: dict[str, OnEvent | None] = {"the default handler": None, "an event handler": lambda _event: None}
    for name, on_event in handlers.items():
        dearest = find_dearest(200 if short else 20_000, step=step, on_event=on_event)
        cost, mixture = dearest[0]
        row = Row(f"dearest refusal found, with {name}", cost, limit=LIMIT, note=mixture.describe())
        section.rows.append(row)
        table = [[each.describe(), f"{cost:.1f}"] for cost, each in dearest]
        section.tables.append((f"The dearest mixtures, with {name}", ["mixture", "x"], table))
    return section
