"""The targets for many: threads, processes, live replay marks, clients."""

from __future__ import annotations

import gc
import secrets
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from private_key_jwt import MemoryReplayStore

from . import corpus, many_clients, ours
from .measuring import CodePath, Spread, Step, calls, frozen, in_own_process, interleave
from .measuring import threads as in_threads
from .report import Row, Section
from .versions import ROOT, Version


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
            step(f"threads, round {number + 1} of {rounds}")
    note = f"the bare RSA operation here: {Spread.of(bare).median:.2f} x"
    row = Row.of("two threads against one (throughput)", Spread.of(scaling), limit=0.85, at_most=False, note=note)
    section.rows.append(row)
    section.data["threads"] = {"verify": scaling, "bare": bare}


def processes(section: Section, step: Step, *, short: bool) -> None:
    """The same number of tokens by one process, and by each of two at once."""
    count, rounds = (300, 5) if short else (1_500, 15)
    workers = [Version(ROOT / "src") for _ in range(2)]
    scaling = []
    for number in range(rounds + 1):
        seconds = []
        for together in (workers[:1], workers):
            began = time.perf_counter()
            for worker in together:
                worker.ask("verify", count)
            for worker in together:
                worker.answer()
            seconds.append((time.perf_counter() - began) / len(together))
        scaling.append(seconds[0] / seconds[1])
        step(f"processes, round {number} of {rounds}")
    for worker in workers:
        worker.close()
    spread = Spread.of(scaling[1:])
    section.rows.append(Row.of("two processes against one (throughput)", spread, limit=1.5, at_most=False))
    section.data["processes"] = scaling[1:]


def _fill(store: MemoryReplayStore, size: int) -> None:
    now = time.time()
    for number in range(size):
        # As verifications leave them: each mark lives for about six minutes from its own second.
        store.add(secrets.token_bytes(32), now + 300 + number % 60, now)


def mark_bytes(size: int) -> float:
    """What a mark in a MemoryReplayStore weighs, with so many of them."""
    store = MemoryReplayStore(2_000_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    _fill(store, size)
    weight = (tracemalloc.get_traced_memory()[0] - before) / size
    tracemalloc.stop()
    return weight


def marks(section: Section, step: Step, *, short: bool) -> None:
    """Whole verifications with few live marks in the store, and with many."""
    few, many = 1_000, 20_000 if short else 1_000_000
    party = ours.relying_party()
    tenant = party.tenant()
    rounds = 15 if short else 150
    tokens = corpus.tokens(tenant, 40 * (rounds + 2) if short else 3_000)

    def path(live: int) -> CodePath:
        step(f"{live:,} marks")
        subject = ours.Subject([tenant.client()], ours.fetcher(party))

        def renew() -> None:
            subject.renew()
            _fill(subject.store, live)

        renew()
        return CodePath(f"{live} marks", lambda items: calls(subject.verifier.verify, items), tokens, renew)

    pair = [path(live) for live in (few, many)]
    measured = interleave(pair, corpus.floor(tenant.current_key, tokens), rounds, 40, step)
    base, full = (measured[each.name].seconds for each in pair)
    ratios = [one / two for one, two in zip(full, base, strict=True)]
    weight = mark_bytes(many)
    section.rows += [
        Row.of(f"verify, {many:,} live replay marks against {few:,}", Spread.of(ratios), limit=1.1),
        Row(f"memory of a replay mark, {many:,} live", weight, unit="bytes", limit=150, note="tracemalloc"),
    ]
    section.data["marks"] = {"ratios": ratios, "bytes_each": weight}


def run(step: Step, *, short: bool, clients: int = 100_000) -> Section:
    section = Section("scaling", "Threads, processes, marks, clients")
    for part in (threads, processes, marks):
        part(section, step, short=short)
    count = 1_000 if short else clients
    step(f"{count:,} clients")
    found = in_own_process(many_clients.against_one, count, *((400, 15) if short else (3_000, 80)))
    note = f"process memory; {found['kib_registered']:.2f} of it client and document"
    section.rows += [
        Row.of(f"verify, {count:,} registered clients against 1", Spread.of(found["ratios"]), limit=1.2),
        Row(f"memory of a client, {count:,} registered", found["kib"], unit="KiB", limit=6, note=note),
    ]
    section.data[f"{count} clients"] = found
    section.notes.append(
        "of the many clients each has its own document, kid and key object; the moduli repeat. Each key was used once"
        " before the clock started, and each token measured is of a client drawn at random, so neither its header nor"
        " its key is warm in the processor."
    )
    return section
