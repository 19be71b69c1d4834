"""Shapes of load: latencies and fetches when all is well, under attack, and while keys or publishers change.

Time moves by the library's ``Clock``, so minutes of a rotation or an outage take as long as their requests do.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from private_key_jwt import AuthenticationError
from private_key_jwt.testing import Clock, RelyingParty, Tenant

from . import corpus, ours
from .crowd import Crowd
from .measuring import Loop, Step, frozen, percentiles
from .measuring import threads as in_threads
from .report import Row, Section

_TASKS = 100
_THREADS = 4


@dataclass(slots=True)
class Timed:
    """Calls with their seconds and their outcomes."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    def call(self, verify: Callable[[str], object], token: str) -> None:
        began = time.perf_counter()
        try:
            verify(token)
        except AuthenticationError as error:
            outcome = str(error.reason)
        else:
            outcome = "accepted"
        self.seconds.append(time.perf_counter() - began)
        self.outcomes[outcome] += 1

    def summary(self) -> dict[str, Any]:
        return {"latency": percentiles(self.seconds), "outcomes": dict(self.outcomes)}


async def _in_tasks(verify: Callable[[str], Any], tokens: Sequence[str], timed: Timed) -> None:
    """Tasks that share the tokens; each times the coroutine it awaits."""
    waiting = iter(tokens)

    async def work() -> None:
        for token in waiting:
            began = time.perf_counter()
            try:
                await verify(token)
            except AuthenticationError as error:
                outcome = str(error.reason)
            else:
                outcome = "accepted"
            timed.seconds.append(time.perf_counter() - began)
            timed.outcomes[outcome] += 1
            await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(_TASKS)))


# Steady shapes: all tokens at hand, as fast as they go


def _steady_ways(
    make: Callable[[], tuple[ours.Sync, ours.Async]], tokens: Sequence[str], warm: str
) -> dict[str, dict[str, Any]]:
    """The same tokens by one thread, by some threads, and by tasks."""
    found = {}
    for way in ("1 thread", f"{_THREADS} threads", "asyncio"):
        one, other = make()
        timed = Timed()
        with frozen():
            if way == "asyncio":

                async def both(subject: ours.Async = other, timed: Timed = timed) -> float:
                    await subject.verifier.verify(warm)
                    began = time.perf_counter()
                    await _in_tasks(subject.verifier.verify, tokens, timed)
                    return time.perf_counter() - began

                seconds = asyncio.run(both())
            else:
                one.verifier.verify(warm)
                number = int(way.split()[0])
                batches = [tokens[place::number] for place in range(number)]
                seconds, _ = in_threads(lambda token: timed.call(one.verifier.verify, token), batches)  # noqa: B023
        found[way] = timed.summary() | {"per_second": len(tokens) / seconds}
    return found


def _world() -> tuple[RelyingParty, Tenant, Callable[[], tuple[ours.Sync, ours.Async]]]:
    party = ours.relying_party()
    tenant = party.tenant()

    def make() -> tuple[ours.Sync, ours.Async]:
        clients = [tenant.client()]
        return ours.Sync(clients, ours.fetcher(party)), ours.Async(clients, ours.async_fetcher(party))

    return party, tenant, make


def steady(section: Section, *, short: bool) -> None:
    party, tenant, make = _world()
    count = 600 if short else 8_000
    tokens = corpus.tokens(tenant, count)
    for way, result in _steady_ways(make, tokens, corpus.new_token(tenant)).items():
        _add(section, f"steady accept, {way}", result, fetches=None)

    accepted = tokens[: count // 10]
    forged = [_forgery(tenant, token, number) for number, token in enumerate(accepted * 9)]
    mixed = [*accepted, *forged]
    Random(4).shuffle(mixed)
    party.transport.reset()
    for way, result in _steady_ways(make, mixed, corpus.new_token(tenant)).items():
        _add(section, f"90 % forged, {way}", result, fetches=None)


def _forgery(tenant: Tenant, token: str, number: int) -> str:
    """A third each: a wrong signature under the known ``kid``, another audience, an unknown ``kid``."""
    kind = number % 3
    if kind == 0:
        return corpus.forged(token)
    header, claims = tenant.header(), tenant.claims()
    if kind == 1:
        claims["aud"] = "https://another-op.example"
    else:
        header["kid"] = f"made-up-{number}"
    raw = (json.dumps(part, separators=(",", ":")).encode("ascii") for part in (header, claims))
    return ".".join((*map(corpus.b64, raw), corpus.b64(b"\x01" * 256)))


# Shapes in time: a clock that moves between small bursts


class _TimedWorld:
    """One tenant, and a verifier whose clocks are set: of threads, or of tasks."""

    way = "1 thread"

    def __init__(self) -> None:
        self.clock = Clock()
        self.party = ours.relying_party(self.clock)
        self.tenant = self.party.tenant()
        self.subject = ours.Sync([self.tenant.client()], ours.fetcher(self.party, clock=self.clock), self.clock)

    def send(self, tokens: Sequence[str], timed: Timed) -> None:
        for token in tokens:
            timed.call(self.subject.verifier.verify, token)
        # Background fetches end before time moves on.
        for thread in threading.enumerate():
            if thread.name == "jwks-fetch":
                thread.join(5)


class _AsyncTimedWorld(_TimedWorld):
    way = "asyncio"

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop
        jwks = ours.async_fetcher(self.party, clock=self.clock)
        self._subject = ours.Async([self.tenant.client()], jwks, self.clock)

    def send(self, tokens: Sequence[str], timed: Timed) -> None:
        async def send() -> None:
            await _in_tasks(self._subject.verifier.verify, tokens, timed)
            background = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*background, return_exceptions=True)

        self._loop.run(send())


def _timed_ways() -> Iterator[_TimedWorld]:
    yield _TimedWorld()
    with Loop() as loop:
        yield _AsyncTimedWorld(loop)


def _in_time(seconds: int, pace: int, burst: Callable[[int], Sequence[str]], world: _TimedWorld) -> dict[str, Any]:
    """Bursts of requests, every ``pace`` seconds of the clock: what came of them, and the fetches so far."""
    timed = Timed()
    line = []
    world.party.transport.reset()
    for now in range(0, seconds, pace):
        before = Counter(timed.outcomes)
        slowest = len(timed.seconds)
        world.send(burst(now), timed)
        outcomes = Counter(timed.outcomes)
        outcomes.subtract(before)
        line.append(
            {
                "at": now,
                "outcomes": {name: number for name, number in outcomes.items() if number},
                "fetches": world.party.transport.count,
                "slowest": max(timed.seconds[slowest:]) * 1e6,
            }
        )
        world.clock.advance(pace)
    return timed.summary() | {"fetches": world.party.transport.count, "line": line, "seconds": seconds}


def rotation(section: Section, *, short: bool) -> None:
    """Ten minutes under load: a new key at 2:00, the end of the grace window at 5:00, another new key at 7:00."""
    each = 3 if short else 15
    for world in _timed_ways():

        def burst(now: int, world: _TimedWorld = world) -> list[str]:
            if now in (120, 420):
                world.tenant.rotate()
            if now == 300:
                world.tenant.end_grace()
            return corpus.tokens(world.tenant, each)

        result = _in_time(600, 10, burst, world)
        _add(section, f"key rotation twice in 10 min, {world.way}", result, fetches=result["fetches"])


def flood(section: Section, *, short: bool) -> None:
    """Ten minutes of made-up kids, twenty for each good assertion."""
    each = 2 if short else 10
    for world in _timed_ways():

        def burst(now: int, world: _TimedWorld = world) -> list[str]:
            good = corpus.tokens(world.tenant, each)
            bad = [_forgery(world.tenant, good[0], 3 * (now * 1_000 + number) + 2) for number in range(20 * each)]
            mixed = [*good, *bad]
            Random(now).shuffle(mixed)
            return mixed

        result = _in_time(600, 10, burst, world)
        _add(section, f"unknown-kid flood, 20 to 1, 10 min, {world.way}", result, fetches=result["fetches"])


def outage(section: Section, *, short: bool) -> None:
    """Fifteen minutes: the publisher answers 503 from 2:00 to 11:00; keys live for 300 s, none is used longer."""
    each = 3 if short else 12
    for world in _timed_ways():

        def burst(now: int, world: _TimedWorld = world) -> list[str]:
            world.party.outage = 503 if 120 <= now < 660 else None
            return corpus.tokens(world.tenant, each)

        result = _in_time(900, 10, burst, world)
        refused = [point["at"] for point in result["line"] if "accepted" not in point["outcomes"]]
        span = f"refused from {refused[0]} s to {refused[-1]} s, " if refused else ""
        about = f"{span}outage 120 s to 660 s"
        _add(section, f"JWKS outage of 9 min, {world.way}", result, fetches=result["fetches"], about=about)


# Tenants


def tenants(section: Section, *, short: bool) -> None:
    """As many tenants as requests can touch: each first request of one is a fetch, the others find its key."""
    crowd = Crowd()
    samples = 250 if short else 3_000
    for number in (1, 100, 1_000) if short else (1, 10, 100, 1_000, 10_000, 100_000):
        clients = [crowd.client(each) for each in range(number)]
        chosen = Random(number).choices(range(number), k=samples)
        tokens = corpus.in_bulk(lambda place, chosen=chosen: crowd.token(chosen[place]), samples)
        crowd.transport.reset()
        jwks = ours.fetcher(crowd, max_key_sets=200_000)  # type: ignore[arg-type]
        subject = ours.Sync(clients, jwks)
        cold, warm = Timed(), Timed()
        with frozen():
            for token in tokens:
                cold.call(subject.verifier.verify, token)
            subject.renew()
            for token in tokens:
                warm.call(subject.verifier.verify, token)
        fetches, touched = crowd.transport.count, len(set(chosen))
        result = warm.summary() | {
            "tenants": number,
            "touched": touched,
            "fetches": fetches,
            "cold": percentiles(cold.seconds),
        }
        _add(
            section,
            f"{number:,} tenant{'s' * (number > 1)}, keys cached, 1 thread",
            result,
            fetches=fetches,
            about=f"{touched:,} sent",
        )


def _add(section: Section, name: str, result: dict[str, Any], fetches: int | None, about: str = "") -> None:
    latency = result["latency"]
    parts = [f"p99 {latency['p99']:,.0f} µs, p99.9 {latency['p99.9']:,.0f} µs"]
    if "per_second" in result:
        parts.append(f"{result['per_second']:,.0f}/s")
    if fetches is not None:
        parts.append(f"{fetches:,} fetches")
    if about:
        parts.append(about)
    outcomes = {reason: number for reason, number in result["outcomes"].items() if reason != "accepted"}
    if outcomes:
        parts.append(", ".join(f"{number:,} {reason}" for reason, number in sorted(outcomes.items())))
    section.rows.append(Row(f"{name}: p50", latency["p50"], unit="µs", note="; ".join(parts)))
    section.data[name] = result


def run(step: Step, *, short: bool) -> Section:
    section = Section("load", "Shapes of load (time of one request)")
    for part in (steady, rotation, flood, outage, tenants):
        step(part.__name__)
        part(section, short=short)
    section.notes.append(
        f"asyncio: {_TASKS} tasks at once; the time of a request is that of the coroutine, awaited. With several"
        " threads it holds the wait for the interpreter's lock. Publishers answer without a"
        " network; minutes pass by a clock."
    )
    return section
