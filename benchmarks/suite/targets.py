"""The targets for one verification: accepted, refused, under hostile input, and at a cold start."""

from __future__ import annotations

import asyncio

from private_key_jwt import AsyncJWKSFetcher, JWKSFetcher, JWKSPolicy, RegisteredClient

from . import corpus, ours, paths
from .measuring import Step, interleave
from .measuring import tasks as in_tasks
from .measuring import threads as in_threads
from .report import Row, Section, at_most

# Of CPython 3.11 and OpenSSL 4, on two cores of an AMD EPYC.
ACCEPTED = {"verify": 1.68, "verify, async": 1.70, "authenticate(form)": 1.74, "authenticate(form), async": 1.77}
REFUSED = {"expired": 0.42, "wrong aud": 0.40, "unknown client": 0.35, "malformed": 0.14}
HOSTILE = 0.89


def accept(section: Section, step: Step, *, short: bool) -> None:
    """The ways in, with all checks and a MemoryReplayStore, each token new to its store."""
    party = ours.relying_party()
    tenant = party.tenant()
    with asyncio.Runner() as loop:
        ways = paths.accepted(party, tenant, 400 if short else 2_000, loop)
        floor = corpus.floor(tenant.current_key, corpus.tokens(tenant, 400))
        measured = interleave(list(ways.values()), floor, 25 if short else 400, 40, step)
    for name, usual in ACCEPTED.items():
        section.add(f"{name}, accepted", measured[name], at_most(usual))


def refuse(section: Section, step: Step, *, short: bool) -> None:
    """Refusals before the key: tokens of ordinary size, and 16 KiB of garbage."""
    tenant, subject = ours.set_up()
    subject.verifier.verify(corpus.new_token(tenant))
    floor = corpus.floor(tenant.current_key, corpus.tokens(tenant, 200))
    ordinary = [paths.refused(name, subject, paths.early(tenant, name)) for name in paths.EARLY]
    for name, result in interleave(ordinary, floor, 15 if short else 200, 25, step).items():
        section.add(f"refused before the key: {name}", result, at_most(REFUSED[name]))
    shapes = [paths.refused(name, subject, [token] * 10) for name, token in corpus.garbage(tenant).items()]
    garbage = interleave(shapes, floor, 4 if short else 40, 5 if short else 10, step)
    by_cost = sorted(garbage.items(), key=lambda pair: -pair[1].ratio.median)
    (worst, result), over = by_cost[0], sum(each.ratio.median > 1 for each in garbage.values())
    note = f"{result.microseconds.median:.1f} µs; {worst}; over 1.0: {over} of {len(garbage)}"
    section.rows.append(
        Row.of("dearest of the hostile shapes of 16 KiB", result.ratio, limit=at_most(HOSTILE), note=note)
    )
    table = [[name, f"{each.ratio.median:.2f}", f"{each.microseconds.median:.1f}"] for name, each in by_cost]
    section.tables.append(("Hostile shapes of 16 KiB", ["shape", "x", "µs"], table))


def _in_threads(policy: JWKSPolicy, clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    verify, accepted = ours.Subject(clients, JWKSFetcher(policy)).verifier.verify, []
    seconds, _ = in_threads(lambda token: accepted.append(verify(token)), [[token] for token in tokens])
    return len(accepted), seconds


def _in_tasks(policy: JWKSPolicy, clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    async def verify() -> tuple[int, float]:
        async with AsyncJWKSFetcher(policy) as fetcher:
            verify, accepted = ours.Subject(clients, fetcher).verifier.verify, []

            async def each(token: str) -> None:
                accepted.append(await verify(token))

            seconds, _ = await in_tasks(each, [[token] for token in tokens])
            return len(accepted), seconds

    return asyncio.run(verify())


def cold_start(section: Section, step: Step, *, short: bool) -> None:
    """Concurrent first requests, all of them accepted, and how often the publisher (HTTP on loopback) was asked."""
    requests = 200 if short else 1_000
    party = ours.relying_party()
    with party.serve() as server:
        for number in (1, 20):
            tenants = [party.tenant(f"tenant-{each}") for each in range(number)]
            clients = [tenant.client(server.base_url) for tenant in tenants]
            for kind, send in (("threads", _in_threads), ("tasks", _in_tasks)):
                step(f"{number} clients, {kind}")
                tokens = [corpus.new_token(tenants[each % number]) for each in range(requests)]
                before = server.count
                accepted, seconds = send(JWKSPolicy(allow_http_loopback=True), clients, tokens)
                name = f"cold start, {requests:,} {kind} at once, {number} client{'s' * (number > 1)}"
                note = f"{accepted:,} accepted in {seconds:.2f} s"
                section.rows.append(Row(name, server.count - before, unit="fetches", limit=number, note=note))


def run(step: Step, *, short: bool) -> Section:
    section = Section("targets", "Targets (ratio to the RSA operation, unless it says otherwise)")
    for part in (accept, refuse, cold_start):
        part(section, step, short=short)
    section.notes.append(
        "ratios are to `public_key.verify` with the same 2048-bit key, its arguments prepared, in"
        " alternating rounds of one process, in processor time: the median, and the 10th and 90th percentile of the"
        " rounds. Each accepted token is new to its replay store. Collection of garbage is on; the tokens are out of"
        " its sight. Refusals are logged, as a flood of them is."
    )
    return section
