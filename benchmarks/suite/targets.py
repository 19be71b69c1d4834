"""The targets: what is promised about speed and memory, measured."""

from __future__ import annotations

import asyncio
import gc
import secrets
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import Any

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    AsyncJWKSFetcher,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSFetcher,
    JWKSPolicy,
    MemoryJWKSCache,
    MemoryReplayStore,
    RegisteredClient,
)
from private_key_jwt.stores import JWKSDocument

from . import corpus, ours
from .many_clients import ManyClients
from .measuring import (
    CodePath,
    Items,
    Run,
    Spread,
    Step,
    awaited,
    calls,
    frozen,
    in_own_process,
    interleave,
    refusals,
    rss,
)
from .measuring import threads as in_threads
from .report import Row, Section


def accept(section: Section, step: Step, *, short: bool) -> None:
    """The accept path: ways in, each with all checks and a MemoryReplayStore, each token new to its store."""
    party = ours.relying_party()
    tenant = party.tenant()
    tokens = corpus.tokens(tenant, 400 if short else 2_000)
    forms = [ours.form(token, tenant.client_id) for token in tokens]
    with asyncio.Runner() as loop:
        one, two = (ours.Sync([tenant.client()], ours.fetcher(party)) for _ in range(2))
        three, four = (ours.Async([tenant.client()], ours.async_fetcher(party)) for _ in range(2))

        def wait(function: Callable[[Any], Awaitable[object]], items: Items) -> float:
            return loop.run(awaited(function, items))

        # What is renewed is looked for at each block.
        limits = {"verify": 1.30, "async verify": 1.35, "authenticate(form)": 1.40, "async authenticate(form)": None}
        runs: list[tuple[Run, Items, Callable[[], None]]] = [
            (lambda items: calls(one.verifier.verify, items), tokens, one.renew),
            (lambda items: wait(three.verifier.verify, items), tokens, three.renew),
            (lambda items: calls(two.verifier.authenticate, items), forms, two.renew),
            (lambda items: wait(four.verifier.authenticate, items), forms, four.renew),
        ]
        paths = [CodePath(f"{name}, accept", *each) for name, each in zip(limits, runs, strict=True)]
        measured = interleave(paths, corpus.floor(tenant.current_key, tokens), 25 if short else 400, 40, step)
    for path, limit in zip(paths, limits.values(), strict=True):
        section.add(path.name, measured[path.name], limit)


def refuse(section: Section, step: Step, *, short: bool) -> None:
    """Refusals before the key: tokens of ordinary size, and 16 KiB of garbage. Raising and catching is in it."""
    tenant, subject = ours.set_up()
    subject.verifier.verify(corpus.new_token(tenant))
    now = int(time.time())

    def run(items: Any) -> float:
        return refusals(subject.verifier.verify, items, InvalidClient)

    ordinary = {
        "expired": corpus.tokens(tenant, 50, iat=now - 120, exp=now - 60),
        "wrong aud": corpus.tokens(tenant, 50, aud="https://another-op.example.com"),
        "unknown client": corpus.tokens(tenant, 50, iss="portal-nobody", sub="portal-nobody"),
        "malformed": [f"{token[:-1]}!" for token in corpus.tokens(tenant, 50)],
    }
    floor = corpus.floor(tenant.current_key, corpus.tokens(tenant, 200))
    paths = [CodePath(name, run, tokens) for name, tokens in ordinary.items()]
    for name, result in interleave(paths, floor, 15 if short else 200, 25, step).items():
        section.add(f"refused before the key: {name}", result, 0.35)

    shapes = [CodePath(name, run, [token] * 10) for name, token in corpus.garbage(tenant).items()]
    garbage = interleave(shapes, floor, 4 if short else 40, 5 if short else 10, step)
    by_cost = sorted(garbage.items(), key=lambda pair: -pair[1].ratio.median)
    (worst, result), over = by_cost[0], sum(each.ratio.median > 1 for each in garbage.values())
    note = f"worst of {len(garbage)} shapes: {worst}; over 1.0: {over}"
    section.rows.append(Row.of("refused before the key: 16 KiB of garbage", result.ratio, limit=1.0, note=note))
    table = [[name, f"{each.ratio.median:.2f}", f"{each.microseconds.median:.1f}"] for name, each in by_cost]
    section.tables.append(("16 KiB of garbage by shape", ["shape", "x", "µs"], table))


def threads(section: Section, step: Step, *, short: bool) -> None:
    """The same number of tokens by one thread and by two, alternately; and the bare RSA operation likewise."""
    tenant, subject = ours.set_up()
    count, rounds = (600, 5) if short else (3_000, 15)
    tokens = corpus.tokens(tenant, count)
    floor = corpus.floor(tenant.current_key, tokens)

    def scale(call: Callable[[Any], object], each: Any) -> float:
        one, _ = in_threads(call, [each])
        subject.renew()
        two, _ = in_threads(call, [each[::2], each[1::2]])
        subject.renew()
        return one / two

    scaling, bare = [], []
    with frozen():
        for number in range(rounds):
            scaling.append(scale(lambda token: subject.verifier.verify(token), tokens))
            bare.append(scale(lambda item: floor.run([item]), floor.items))
            step(f"round {number + 1} of {rounds}")
    note = f"the bare RSA operation here: {Spread.of(bare).median:.2f} x"
    name = "two threads against one (throughput)"
    section.rows.append(Row.of(name, Spread.of(scaling), limit=1.7, at_most=False, note=note))
    section.data["threads"] = {"verify": scaling, "bare": bare}


def _fill(store: MemoryReplayStore, size: int) -> None:
    now = time.time()
    for number in range(size):
        # As verifications leave them: each mark lives for about six minutes from its own second.
        store.add(secrets.token_bytes(32), now + 300 + number % 60, now)


def _bytes_each(size: int) -> float:
    store = MemoryReplayStore(2_000_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _fill(store, size)
    weight = (tracemalloc.get_traced_memory()[0] - before) / size
    tracemalloc.stop()
    return weight


def replay_marks(section: Section, step: Step, *, short: bool) -> None:
    """Whole verifications with few live marks in the store, and with many."""
    few, many = 1_000, 20_000 if short else 1_000_000
    party = ours.relying_party()
    tenant = party.tenant()
    rounds = 15 if short else 150
    tokens = corpus.tokens(tenant, 40 * (rounds + 2) if short else 3_000)

    def path(live: int) -> CodePath:
        subject = ours.Sync([tenant.client()], ours.fetcher(party))

        def renew() -> None:
            subject.renew()
            _fill(subject.store, live)

        renew()
        step(f"{live:,} marks")
        return CodePath(f"{live} marks", lambda items: calls(subject.verifier.verify, items), tokens, renew)

    pair = [path(live) for live in (few, many)]
    measured = interleave(pair, corpus.floor(tenant.current_key, tokens), rounds, 40, step)
    base, full = (measured[path.name].seconds for path in pair)
    ratios = [one / two for one, two in zip(full, base, strict=True)]
    weight = _bytes_each(many)
    section.rows += [
        Row.of(f"verify, {many:,} live replay marks against {few:,}", Spread.of(ratios), limit=1.1),
        Row(f"memory of a replay mark, {many:,} live", weight, unit="bytes", limit=150, note="tracemalloc"),
    ]
    section.data["replay"] = {"ratios": ratios, "bytes_each": weight}


def population(count: int, samples: int, rounds: int) -> dict[str, Any]:
    """Many clients against one, in a process of its own: its memory is theirs."""
    many_clients = ManyClients()
    # Keys are loaded once and must stay fresh for as long as this takes.
    policy = JWKSPolicy(ttl=86_400)

    def register(number: int) -> tuple[list[RegisteredClient], MemoryJWKSCache]:
        cache, now = MemoryJWKSCache(number), time.monotonic()
        clients = [many_clients.client(each) for each in range(number)]
        for client in clients:
            cache.put(str(client.jwks_uri), JWKSDocument(many_clients.document(client.client_id), now), now)
        return clients, cache

    def subject(clients: list[RegisteredClient], cache: MemoryJWKSCache) -> ours.Sync:
        return ours.Sync(clients, JWKSFetcher(policy, cache=cache, max_key_sets=2 * len(clients) + 10))

    one = subject(*register(1))
    tokens_one = corpus.in_bulk(lambda _number: many_clients.token(0), samples)
    calls(one.verifier.verify, tokens_one)
    one.renew()
    gc.collect()
    before = rss()
    registered = register(count)
    with_documents = rss()
    many = subject(*registered)
    for number in range(count):
        with suppress(InvalidClient):
            many.verifier.verify(many_clients.unsigned(number))
    gc.collect()
    after = rss()
    chosen = Random(4).sample(range(count), min(samples, count))
    tokens_many = corpus.in_bulk(lambda number: many_clients.token(chosen[number]), len(chosen))
    paths = [
        CodePath("one", lambda items: calls(one.verifier.verify, items), tokens_one, one.renew),
        CodePath("many", lambda items: calls(many.verifier.verify, items), tokens_many, many.renew),
    ]
    floor = corpus.floor(many_clients.keys[0], corpus.in_bulk(lambda _number: many_clients.token(0), 200))
    measured = interleave(paths, floor, rounds, 40)
    pairs = zip(measured["many"].seconds, measured["one"].seconds, strict=True)
    return {
        "ratios": [big / small for big, small in pairs],
        "kib_each": (after - before) / count / 1024,
        "kib_registered": (with_documents - before) / count / 1024,
    }


def clients(section: Section, step: Step, *, short: bool) -> None:
    """Clients up to 10^5, with their keys cached."""
    count = 0
    for count in (1_000,) if short else (1_000, 10_000, 100_000):
        step(f"{count:,} clients")
        samples, rounds = (400, 15) if short else (3_000, 80)
        section.data[f"{count} clients"] = in_own_process(population, count, samples, rounds)
    largest = section.data[f"{count} clients"]
    kib, note = largest["kib_each"], f"process memory; {largest['kib_registered']:.2f} of it client and document"
    section.rows += [
        Row.of(f"verify, {count:,} registered clients against 1", Spread.of(largest["ratios"]), limit=1.2),
        Row(f"memory of a client, {count:,} registered", kib, unit="KiB", limit=6, note=note),
    ]
    section.notes.append(
        "of the many clients each has its own document, kid and key object; the moduli repeat. Each key was used once"
        " before the clock started, and each token measured is of a client drawn at random, so neither its header nor"
        " its key is warm in the processor."
    )


def _settings(clients: list[RegisteredClient]) -> dict[str, Any]:
    policy, store = AssertionPolicy(audience=corpus.AUDIENCE), MemoryReplayStore()
    return {"policy": policy, "clients": clients, "replay_store": store}


def _cold_threads(clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    fetcher = JWKSFetcher(JWKSPolicy(allow_http_loopback=True))
    verifier = ClientAssertionVerifier(fetcher=fetcher, **_settings(clients))
    failures: list[Exception] = []

    def verify(token: str) -> None:
        try:
            verifier.verify(token)
        except Exception as error:  # counted: a cold start must let everybody in
            failures.append(error)

    seconds, _ = in_threads(verify, [[token] for token in tokens])
    return len(failures), seconds


async def _cold_tasks(clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    async with AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) as fetcher:
        verifier = AsyncClientAssertionVerifier(fetcher=fetcher, **_settings(clients))
        began = time.perf_counter()
        results = await asyncio.gather(*map(verifier.verify, tokens), return_exceptions=True)
        seconds = time.perf_counter() - began
    return sum(isinstance(result, BaseException) for result in results), seconds


def cold_start(section: Section, step: Step, *, short: bool) -> None:
    """Concurrent first requests, and how often the publisher (HTTP on loopback) was asked."""
    requests = 200 if short else 1_000
    many_clients = ManyClients()
    with many_clients.serve() as server:
        for number in (1, 100):
            registered = [many_clients.client(each, server.base_url) for each in range(number)]
            tokens = [many_clients.token(each % number) for each in range(requests)]
            for kind in ("threads", "tasks"):
                step(f"{number} clients, {kind}")
                before = server.count
                if kind == "threads":
                    failures, seconds = _cold_threads(registered, tokens)
                else:
                    failures, seconds = asyncio.run(_cold_tasks(registered, tokens))
                title = f"cold start, {requests:,} {kind} at once, {number} client{'s' * (number > 1)}"
                note = f"{requests - failures:,} accepted in {seconds:.2f} s"
                section.rows.append(Row(title, server.count - before, unit="fetches", limit=number, note=note))


def run(step: Step, *, short: bool) -> Section:
    """All of them."""
    section = Section("targets", "Targets (ratio to the RSA operation, unless it says otherwise)")
    for part in (accept, refuse, threads, replay_marks, clients, cold_start):
        part(section, lambda text, part=part: step(f"{part.__name__.replace('_', ' ')}: {text}"), short=short)  # type: ignore[misc]
    section.notes.insert(
        0,
        "ratios are to `public_key.verify` with the same 2048-bit key over the same tokens, its arguments prepared, in"
        " alternating rounds of one process, in processor time: the median, and the 10th and 90th percentile of the"
        " rounds. Each accepted token is new to its replay store. Collection of garbage is on; the tokens are out of"
        " its sight.",
    )
    return section
