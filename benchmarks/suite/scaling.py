"""The targets for many: threads, processes, live replay marks, clients."""

from __future__ import annotations

import gc
import secrets
import time
import tracemalloc
from collections.abc import Callable
from contextlib import ExitStack
from statistics import median

from private_key_jwt import MemoryReplayStore

from . import corpus, many_clients, ours
from .measuring import CodePath, Spread, Step, calls, frozen, in_own_process, interleave
from .measuring import threads as in_threads
from .report import Row, Section, at_least, at_most
from .versions import ROOT, Version

_CALLS = 200  # so few that in some round nothing else runs meanwhile


Seconds = Callable[[str, int], float]
"""The seconds that a path takes, by the clock on the wall, with so many calls in all by one or by two."""


def _scale(section: Section, step: Step, title: str, seconds: Seconds, rounds: int, usual: float) -> None:
    """Add what two get done in the time of one, in alternating rounds, with the bare RSA operation beside it.

    The least time of the rounds counts: what else runs on the machine adds to a time, and takes nothing from it.
    """
    found: dict[str, tuple[list[float], list[float]]] = {"verify": ([], []), "bare RSA operation": ([], [])}
    with frozen():
        for number in range(rounds):
            step(f"{title}: round {number + 1} of {rounds}")
            for path, (one, two) in found.items():
                one.append(seconds(path, 1))
                two.append(seconds(path, 2))
    verify, bare = (min(one) / min(two) for one, two in found.values())
    note = f"the bare RSA operation here: {bare:.2f} x"
    section.rows.append(
        Row(f"{title} against one (throughput)", verify, limit=at_least(usual), at_most=False, note=note)
    )
    section.data[title] = found


def threads(section: Section, step: Step, *, short: bool) -> None:
    tenant, subject = ours.set_up()
    tokens = corpus.tokens(tenant, _CALLS)
    floor = corpus.floor(tenant.current_key, tokens)
    calls = {
        "verify": (lambda token: subject.verifier.verify(token), tokens),
        "bare RSA operation": (lambda item: floor.run([item]), floor.items),
    }

    def seconds(path: str, number: int) -> float:
        call, items = calls[path]
        subject.renew()
        return in_threads(call, [items[place::number] for place in range(number)])[0]

    _scale(section, step, "two threads", seconds, 3 if short else 100, 0.98)


def processes(section: Section, step: Step, *, short: bool) -> None:
    with ExitStack() as stack:
        workers = [Version(ROOT / "src") for _ in range(2)]
        for worker in workers:
            stack.callback(worker.close)
            for path in ("verify", "bare RSA operation"):
                worker.time(path, 1)  # its tokens are signed

        def seconds(path: str, number: int) -> float:
            began = time.perf_counter()
            for worker in workers[:number]:
                worker.ask(path, _CALLS // number)
            for worker in workers[:number]:
                worker.answer()
            return time.perf_counter() - began

        _scale(section, step, "two processes", seconds, 3 if short else 100, 1.80)


def _fill(store: MemoryReplayStore, size: int) -> None:
    now = time.time()
    for number in range(size):
        # As verifications leave them: each mark lives for about six minutes from its own second.
        store.add(secrets.token_bytes(32), now + 300 + number % 60, now)


def mark_bytes(size: int) -> float:
    """Weigh a mark in a MemoryReplayStore, with so many of them."""
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
        Row.of(f"verify, {many:,} live replay marks against {few:,}", Spread.of(ratios), limit=at_most(1.02)),
        Row(f"memory of a replay mark, {many:,} live", weight, unit="bytes", limit=at_most(139), note="tracemalloc"),
    ]
    section.data["marks"] = {"ratios": ratios, "bytes_each": weight}


def run(step: Step, *, short: bool, clients: int = 100_000) -> Section:
    section = Section("scaling", "Threads, processes, marks, clients")
    for part in (threads, processes, marks):
        part(section, step, short=short)
    count = 1_000 if short else clients
    step(f"{count:,} clients")
    found = in_own_process(many_clients.against_one, count, *((400, 15) if short else (3_000, 80)))
    bare = f"the bare RSA operation over as many keys, each cold: {median(found['bare']):.2f} x"
    note = f"process memory; {found['kib_registered']:.2f} of it client and document"
    section.rows += [
        Row.of(
            f"verify, {count:,} registered clients against 1",
            Spread.of(found["ratios"]),
            limit=at_most(1.27),
            note=bare,
        ),
        Row(f"memory of a client, {count:,} registered", found["kib"], unit="KiB", limit=at_most(5.3), note=note),
    ]
    section.data[f"{count} clients"] = found
    section.notes.append(
        "of the many clients each has its own document, kid and key object; the moduli repeat. Of each an assertion was"
        " accepted before the clock started, and each token measured is of a client drawn at random, so neither its"
        " header nor its key is warm in the processor."
    )
    return section
