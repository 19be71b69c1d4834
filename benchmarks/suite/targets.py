"""The targets: what is promised about speed and memory, measured."""

from __future__ import annotations

import asyncio
import gc
import secrets
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

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
from private_key_jwt.testing import Tenant

from . import corpus, ours
from .crowd import Crowd
from .measuring import Loop, Path, Spread, Step, awaited, calls, frozen, in_own_process, interleave, refusals, rss
from .measuring import threads as in_threads
from .report import Row, Section

# Accept and refuse


def accept(section: Section, step: Step, *, short: bool) -> None:
    """The accept path: three ways in, each with all checks and a MemoryReplayStore, each token new to its store."""
    party = ours.relying_party()
    tenant = party.tenant()
    tokens = corpus.tokens(tenant, 400 if short else 2_000)
    forms = [ours.form(token, tenant.client_id) for token in tokens]
    with Loop() as loop:
        one, two = (ours.Sync([tenant.client()], ours.fetcher(party)) for _ in range(2))
        three, four = (ours.Async([tenant.client()], ours.async_fetcher(party)) for _ in range(2))
        paths = [
            Path("verify", lambda items: calls(one.verifier.verify, items), tokens, one.renew),
            Path("async verify", lambda items: loop.run(awaited(three.verifier.verify, items)), tokens, three.renew),
            Path("authenticate", lambda items: calls(two.verifier.authenticate, items), forms, two.renew),
            Path(
                "async authenticate",
                lambda items: loop.run(awaited(four.verifier.authenticate, items)),
                forms,
                four.renew,
            ),
        ]
        measured = interleave(paths, corpus.floor(tenant.current_key, tokens), 25 if short else 400, 40, step)
    names = {
        "verify": ("ClientAssertionVerifier.verify, accept", 1.30),
        "async verify": ("AsyncClientAssertionVerifier.verify, accept", 1.35),
        "authenticate": ("authenticate(form), accept", 1.40),
        "async authenticate": ("async authenticate(form), accept", None),
    }
    for name, (title, limit) in names.items():
        result = measured[name]
        section.rows.append(Row.of(title, result.ratio, limit=limit, note=f"{result.microseconds.median:.1f} µs"))
        section.data[name] = {"ratios": result.ratios, "seconds": result.seconds}


def _refused(tenant: Tenant) -> dict[str, Callable[[], str]]:
    return {
        "expired": lambda: corpus.new_token(tenant, iat=int(time.time()) - 120, exp=int(time.time()) - 60),
        "wrong aud": lambda: corpus.new_token(tenant, aud="https://another-op.example.com"),
        "unknown client": lambda: corpus.new_token(tenant, iss="portal-nobody", sub="portal-nobody"),
        "malformed, a character": lambda: corpus.new_token(tenant)[:-1] + "!",
        "malformed, claims no JSON": lambda: tenant.defective("claims_not_json"),
    }


def refuse(section: Section, step: Step, *, short: bool) -> None:
    """Refusals before the key: tokens of ordinary size, and 16 KiB of garbage. Raising and catching is in it."""
    party = ours.relying_party()
    tenant = party.tenant()
    subject = ours.Sync([tenant.client()], ours.fetcher(party))
    subject.verifier.verify(corpus.new_token(tenant))

    def run(items: Any) -> float:
        return refusals(subject.verifier.verify, items, InvalidClient)

    ordinary = {
        name: Path(name, run, corpus.in_bulk(lambda _number, make=make: make(), 50))
        for name, make in _refused(tenant).items()
    }
    floor = corpus.floor(tenant.current_key, corpus.tokens(tenant, 200))
    measured = interleave(list(ordinary.values()), floor, 15 if short else 200, 25, step)
    for name, result in measured.items():
        note = f"{result.microseconds.median:.1f} µs"
        section.rows.append(Row.of(f"refused before the key: {name}", result.ratio, limit=0.35, note=note))
        section.data[f"refused: {name}"] = {"ratios": result.ratios, "seconds": result.seconds}

    shapes = {name: Path(name, run, [token] * 10) for name, token in corpus.garbage(tenant).items()}
    garbage = interleave(list(shapes.values()), floor, 4 if short else 40, 5 if short else 10, step)
    by_cost = sorted(garbage.items(), key=lambda pair: -pair[1].ratio.median)
    worst, result = by_cost[0]
    over = sum(each.ratio.median > 1 for each in garbage.values())
    note = f"worst of {len(garbage)} shapes: {worst}; over 1.0: {over}"
    section.rows.append(Row.of("refused before the key: 16 KiB of garbage", result.ratio, limit=1.0, note=note))
    section.data["garbage"] = {name: {"ratios": each.ratios, "seconds": each.seconds} for name, each in by_cost}
    section.data.setdefault("tables", []).append(
        {
            "title": "16 KiB of garbage by shape (ratio to the RSA operation)",
            "heads": ["shape", "ratio", "p10–p90", "µs"],
            "rows": [
                [name, f"{r.ratio.median:.2f}", f"{r.ratio.low:.2f}–{r.ratio.high:.2f}", f"{r.microseconds.median:.1f}"]
                for name, r in by_cost
            ],
        }
    )


# Threads


def threads(section: Section, step: Step, *, short: bool) -> None:
    """The same number of tokens by one thread and by two, alternately; and the bare RSA operation likewise."""
    party = ours.relying_party()
    tenant = party.tenant()
    count, rounds = (600, 5) if short else (3_000, 15)
    tokens = corpus.tokens(tenant, count)
    items = list(corpus.floor(tenant.current_key, tokens).items)
    subject = ours.Sync([tenant.client()], ours.fetcher(party))
    verify = tenant.current_key.private_key.public_key().verify
    padding, digest = PKCS1v15(), SHA256()

    def halves(call: Callable[[Any], object], each: list[Any]) -> float:
        one, _ = in_threads(call, [each])
        subject.renew()
        two, _ = in_threads(call, [each[::2], each[1::2]])
        subject.renew()
        return one / two

    scaling, bare = [], []
    with frozen():
        for number in range(rounds):
            scaling.append(halves(lambda token: subject.verifier.verify(token), tokens))
            bare.append(halves(lambda item: verify(item[0], item[1], padding, digest), items))
            step(f"round {number + 1} of {rounds}")
    reference = Spread.of(bare)
    section.rows.append(
        Row.of(
            "two threads against one (throughput)",
            Spread.of(scaling),
            limit=1.7,
            at_most=False,
            note=f"the bare RSA operation here: {reference.median:.2f} x",
        )
    )
    section.data["threads"] = {"verify": scaling, "bare": bare}


# Live replay entries


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


def replay(section: Section, step: Step, *, short: bool) -> None:
    """Whole verifications with few live entries in the store, and with many."""
    few, many = 1_000, 20_000 if short else 1_000_000
    party = ours.relying_party()
    tenant = party.tenant()
    size, rounds = 40, 15 if short else 150
    tokens = corpus.tokens(tenant, size * (rounds + 2) if short else 3_000)
    pair = []
    for live in (few, many):
        subject = ours.Sync([tenant.client()], ours.fetcher(party))

        def renew(subject: ours.Sync = subject, live: int = live) -> None:
            subject.renew()
            _fill(subject.store, live)

        renew()
        step(f"{live:,} entries")
        run = lambda items, subject=subject: calls(subject.verifier.verify, items)  # noqa: E731
        pair.append(Path(f"{live} entries", run, tokens, renew))
    measured = interleave(pair, corpus.floor(tenant.current_key, tokens), rounds, size, step)
    base, full = (measured[path.name] for path in pair)
    ratios = [one / two for one, two in zip(full.seconds, base.seconds, strict=True)]
    weights = {live: _bytes_each(live) for live in (few, many)}
    section.rows += [
        Row.of(f"verify, {many:,} live replay entries against {few:,}", Spread.of(ratios), limit=1.1),
        Row(f"memory of a replay entry, {many:,} live", weights[many], unit="bytes", limit=150, note="tracemalloc"),
    ]
    section.data["replay"] = {"ratios": ratios, "bytes_each": weights, "few": base.seconds, "many": full.seconds}


# Registered clients


def population(count: int, samples: int, rounds: int, step: Step) -> dict[str, Any]:
    """Many clients against one, in a process of its own: its memory is theirs."""
    crowd = Crowd()
    policy = AssertionPolicy(audience=corpus.AUDIENCE)
    # Keys are loaded once and must stay fresh for as long as this takes.
    lasting = JWKSPolicy(ttl=86_400)

    def registered(number: int) -> tuple[dict[str, RegisteredClient], MemoryJWKSCache]:
        cache, now = MemoryJWKSCache(number), time.monotonic()
        clients = {client.client_id: client for client in map(crowd.client, range(number))}
        for client in clients.values():
            cache.put(str(client.jwks_uri), JWKSDocument(crowd.document(client.client_id), now), now)
        return clients, cache

    def verifier(clients: Any, cache: MemoryJWKSCache) -> tuple[Callable[[], None], Callable[[str], object]]:
        jwks = JWKSFetcher(lasting, cache=cache, max_key_sets=2 * len(clients) + 10)
        current: list[ClientAssertionVerifier] = []

        def renew() -> None:
            store = MemoryReplayStore()
            current[:] = [ClientAssertionVerifier(policy=policy, clients=clients, replay_store=store, fetcher=jwks)]

        renew()
        return renew, lambda token: current[0].verify(token)

    renew_one, verify_one = verifier(*registered(1))
    tokens_one = corpus.in_bulk(lambda _number: crowd.token(0), samples)
    for token in tokens_one:
        verify_one(token)
    renew_one()
    gc.collect()
    before = rss()
    clients, cache = registered(count)
    with_documents = rss()
    renew_many, verify_many = verifier(clients, cache)
    for number in range(count):
        with suppress(InvalidClient):
            verify_many(crowd.unsigned(number))
        if number % 1_000 == 999:
            step(f"{number + 1:,} clients")
    gc.collect()
    after = rss()
    chosen = Random(4).sample(range(count), min(samples, count))
    tokens_many = corpus.in_bulk(lambda number: crowd.token(chosen[number]), len(chosen))
    one = Path("1 client", lambda items: calls(verify_one, items), tokens_one, renew_one)
    many = Path(f"{count} clients", lambda items: calls(verify_many, items), tokens_many, renew_many)
    floor = corpus.floor(crowd.keys[0], corpus.in_bulk(lambda _number: crowd.token(0), 200))
    measured = interleave([one, many], floor, rounds, 40, step)
    return {
        "clients": count,
        "ratios": [
            big / small for big, small in zip(measured[many.name].seconds, measured[one.name].seconds, strict=True)
        ],
        "one": measured[one.name].seconds,
        "many": measured[many.name].seconds,
        "one_to_floor": measured[one.name].ratios,
        "many_to_floor": measured[many.name].ratios,
        "kib_each": (after - before) / count / 1024,
        "kib_registered": (with_documents - before) / count / 1024,
    }


def clients(section: Section, step: Step, *, short: bool) -> None:
    """Tenants 1 to 10^5, with their keys cached."""
    sizes = (1_000,) if short else (10, 100, 1_000, 10_000, 100_000)
    found = {}
    for size in sizes:
        samples, rounds = (400, 15) if short else (3_000, 80)
        found[size] = in_own_process(population, size, samples, rounds, step=step)
    largest = found[sizes[-1]]
    count = largest["clients"]
    section.rows += [
        Row.of(
            f"verify, {count:,} registered clients with cached keys against 1", Spread.of(largest["ratios"]), limit=1.2
        ),
        Row(
            f"memory of a client, {count:,} registered",
            largest["kib_each"],
            unit="KiB",
            limit=6,
            note=f"process memory; {largest['kib_registered']:.2f} of it the client and its document",
        ),
    ]
    section.data["clients"] = found
    section.notes.append(
        "of the many clients each has its own document, kid and key object; the moduli repeat. Their documents come out"
        " of a cache that was filled before, each key was used once before the clock started, and each token measured"
        " is of a client drawn at random, so neither its header nor its key is warm in the processor."
    )


# Cold start


def _cold_sync(clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    verifier = ClientAssertionVerifier(
        policy=AssertionPolicy(audience=corpus.AUDIENCE),
        clients=clients,
        replay_store=MemoryReplayStore(),
        fetcher=JWKSFetcher(JWKSPolicy(allow_http_loopback=True)),
    )
    failures: list[BaseException] = []
    start = threading.Barrier(len(tokens) + 1)

    def work(token: str) -> None:
        start.wait()
        try:
            verifier.verify(token)
        except Exception as error:  # counted below: a cold start must let everybody in
            failures.append(error)

    workers = [threading.Thread(target=work, args=(token,)) for token in tokens]
    for worker in workers:
        worker.start()
    start.wait()
    began = time.perf_counter()
    for worker in workers:
        worker.join()
    return len(failures), time.perf_counter() - began


async def _cold_async(clients: list[RegisteredClient], tokens: list[str]) -> tuple[int, float]:
    async with AsyncJWKSFetcher(JWKSPolicy(allow_http_loopback=True)) as jwks:
        verifier = AsyncClientAssertionVerifier(
            policy=AssertionPolicy(audience=corpus.AUDIENCE),
            clients=clients,
            replay_store=MemoryReplayStore(),
            fetcher=jwks,
        )
        began = time.perf_counter()
        results = await asyncio.gather(*map(verifier.verify, tokens), return_exceptions=True)
        seconds = time.perf_counter() - began
    return sum(isinstance(result, BaseException) for result in results), seconds


def cold_start(section: Section, step: Step, *, short: bool) -> None:
    """Concurrent first requests, and how often the publisher (HTTP on loopback) was asked."""
    requests = 1_000
    crowd = Crowd()
    with crowd.serve() as server:
        for number in (1, 100):
            clients = [crowd.client(each, server.base_url) for each in range(number)]
            tokens = corpus.in_bulk(lambda each, number=number: crowd.token(each % number), requests)
            for kind in ("threads", "tasks"):
                step(f"{number} clients, {kind}")
                before = server.count
                cold = _cold_sync(clients, tokens) if kind == "threads" else asyncio.run(_cold_async(clients, tokens))
                failures, seconds = cold
                fetches = server.count - before
                title = f"cold start, {requests:,} {kind} at once, {number} client{'s' * (number > 1)}"
                note = f"{requests - failures:,} accepted in {seconds:.2f} s"
                row = Row(title, fetches, unit="fetches", limit=number, note=note)
                section.rows.append(row)
                section.data[title] = {"fetches": fetches, "failures": failures, "seconds": seconds}


def run(step: Step, *, short: bool) -> Section:
    """All of them."""
    section = Section("targets", "Targets (ratio to the RSA operation, unless it says otherwise)")
    for part in (accept, refuse, threads, replay, clients, cold_start):
        part(section, lambda text, part=part: step(f"{part.__name__.replace('_', ' ')}: {text}"), short=short)
    section.notes.insert(
        0,
        "ratios are to `public_key.verify` with the same 2048-bit key over the same tokens, its arguments prepared, in"
        " alternating rounds of one process, in processor time: the median, and the 10th and 90th percentile of the"
        " rounds. Each accepted token is new to its replay store. Collection of garbage is on; the"
        " tokens are out of its sight.",
    )
    return section
