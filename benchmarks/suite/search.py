"""The dearest refusal that a search finds, in units of one RSA verification."""

from __future__ import annotations

import time
from itertools import count
from statistics import median

from private_key_jwt import AssertionPolicy, AuthenticationError, ClientAssertionVerifier, MemoryReplayStore
from private_key_jwt.events import OnEvent

from . import corpus, hostile, ours
from .measuring import Step, frozen, logged
from .report import Row, Section

LIMIT = 8.0

Found = list[tuple[float, hostile.Mixture]]


def find_dearest(rounds: int, seed: int = 0, on_event: OnEvent | None = None) -> Found:
    """Search for so many rounds, and return the dearest mixtures with their cost, the dearest first.

    on_event: handles the events; the default handler does unless it is given.
    The cost is the median of some processor times, over that of the RSA operation at the same moment.
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

    def refuse(assertion: str) -> float:
        began = time.thread_time()
        try:
            verifier.verify(assertion)
        except AuthenticationError:
            return time.thread_time() - began
        raise AssertionError("a mixture was accepted")

    def cost(mixture: hostile.Mixture, times: int = 3) -> float:
        assertion = mixture.assertion(header, claims)
        refusals = median(refuse(assertion) for _ in range(times))
        return refusals / median(floor.run(floor.items) for _ in range(times + 2))

    with logged(), frozen():
        # A few times can be an accident: the dearest are timed more often, and that figure counts.
        found = hostile.search(cost, rounds, seed)
        return sorted(((cost(mixture, 200), mixture) for _, mixture in found), key=lambda pair: -pair[0])


def run(step: Step, *, short: bool, minutes: float = 10) -> Section:
    """Search again and again, each time from another start, for each handler in turn."""
    section = Section("search", "Search for a dear refusal (ratio to the RSA operation)")
    handlers: dict[str, OnEvent | None] = {"the default handler": None, "an event handler": lambda _event: None}
    best: dict[str, Found] = {name: [] for name in handlers}
    end = time.monotonic() + minutes * 60
    for seed in count():
        step(f"{seed} searches")
        for name, on_event in handlers.items():
            found = find_dearest(200 if short else 20_000, seed, on_event)
            best[name] = sorted([*best[name], *found], key=lambda pair: -pair[0])[:8]
        if short or time.monotonic() > end:
            break
    for name, found in best.items():
        (cost, mixture), title = found[0], f"dearest refusal that {seed + 1} searches found, with {name}"
        section.rows.append(Row(title, cost, limit=LIMIT, note=mixture.describe()))
        table = [[each.describe(), f"{figure:.1f}"] for figure, each in found]
        section.tables.append((f"The dearest mixtures, with {name}", ["mixture", "x"], table))
    return section
