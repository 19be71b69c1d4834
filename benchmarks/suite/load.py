"""Shapes of load: latencies and fetches when all is well, under attack, and while keys or publishers change.

Time moves by the library's ``Clock``, so minutes of a rotation or an outage take as long as their requests do.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from private_key_jwt import AuthenticationError
from private_key_jwt.testing import Clock, Tenant

from . import corpus, ours
from .measuring import Step, frozen, percentiles, tasks
from .measuring import threads as in_threads
from .report import Row, Section

_TASKS = 100
_THREADS = 4


class Load:
    """One tenant, a verifier whose clocks are set, and what became of the tokens that were sent to it.

    threads: how many verify at once; none is an event loop, with ``_TASKS`` tasks.
    """

    def __init__(self, threads: int, loop: asyncio.Runner) -> None:
        self.clock = Clock()
        self.party = ours.relying_party(self.clock)
        self.tenant: Tenant = self.party.tenant()
        self.way = f"{threads} thread{'s' * (threads > 1)}" if threads else "asyncio"
        self._callers = threads or _TASKS
        clients = [self.tenant.client()]
        fetcher = (ours.fetcher if threads else ours.async_fetcher)(self.party, clock=self.clock)
        self._verify = ours.Subject(clients, fetcher, self.clock).verifier.verify
        self._send = self._in_threads if threads else self._in_tasks
        self._loop = loop
        self.forget()

    def forget(self) -> None:
        self.times: list[float] = []
        self.outcomes: Counter[str] = Counter()

    def send(self, tokens: Sequence[str]) -> float:
        """Verify all, let fetches in the background end, and return the seconds that the tokens took."""
        batches = [batch for place in range(self._callers) if (batch := tokens[place :: self._callers])]
        seconds, times = self._send(batches)
        self.times += times
        return seconds

    def _in_threads(self, batches: list[Sequence[str]]) -> tuple[float, list[float]]:
        def verify(token: str) -> None:
            try:
                self._verify(token)
                self.outcomes["accepted"] += 1
            except AuthenticationError as error:
                self.outcomes[error.reason] += 1

        found = in_threads(verify, batches)
        for thread in threading.enumerate():
            if thread.name == "jwks-fetch":
                thread.join(5)
        return found

    def _in_tasks(self, batches: list[Sequence[str]]) -> tuple[float, list[float]]:
        async def verify(token: str) -> None:
            try:
                await self._verify(token)
                self.outcomes["accepted"] += 1
            except AuthenticationError as error:
                self.outcomes[error.reason] += 1

        async def send() -> tuple[float, list[float]]:
            found = await tasks(verify, batches)
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
            return found

        return self._loop.run(send())


def _forge(tenant: Tenant, token: str, number: int) -> str:
    """A third each: a wrong signature under the known ``kid``, another audience, an unknown ``kid``."""
    header, claims = tenant.header(), tenant.claims()
    match number % 3:
        case 0:
            return corpus.forged(token)
        case 1:
            return corpus.unsigned(header, {**claims, "aud": "https://another-op.example"})
        case _:
            return corpus.unsigned({**header, "kid": f"made-up-{number}"}, claims)


def _steady(load: Load, count: int, *, hostile: bool) -> dict[str, Any]:
    """All tokens at hand, as fast as they go."""
    good = corpus.tokens(load.tenant, count // 10 if hostile else count)
    forged = [_forge(load.tenant, token, number) for number, token in enumerate(good * 9)] if hostile else []
    tokens = [*good, *forged]
    Random(4).shuffle(tokens)
    with frozen():
        load.send([corpus.new_token(load.tenant)])
        load.forget()
        seconds = load.send(tokens)
    return {"per_second": len(tokens) / seconds}


# Shapes in time: a burst of requests every ten seconds of the clock.


def _rotate(load: Load, now: int) -> list[str]:
    """A new key at 2:00, the end of the grace window at 5:00, another new key at 7:00."""
    if now in (120, 420):
        load.tenant.rotate()
    if now == 300:
        load.tenant.end_grace()
    return []


def _flood(load: Load, now: int) -> list[str]:
    """Made-up kids, twenty for each good assertion."""
    good = corpus.new_token(load.tenant)
    return [_forge(load.tenant, good, 3 * (now * 1_000 + number) + 2) for number in range(200)]


def _fail(load: Load, now: int) -> list[str]:
    """The publisher answers 503 from 2:00 to 11:00; keys live for 300 s, and none is used longer."""
    load.party.outage = 503 if 120 <= now < 660 else None
    return []


class Shape(NamedTuple):
    """Say what happens over some minutes: ``change`` does it at each burst, and returns what a stranger sends then."""

    name: str
    seconds: int
    change: Callable[[Load, int], list[str]]


SHAPES = (
    Shape("key rotation twice in 10 min", 600, _rotate),
    Shape("unknown-kid flood, 20 to 1, 10 min", 600, _flood),
    Shape("JWKS outage of 9 min", 900, _fail),
)


def _in_time(load: Load, shape: Shape, each: int) -> dict[str, Any]:
    load.party.transport.reset()
    refused: list[int] = []
    for now in range(0, shape.seconds, 10):
        accepted = load.outcomes["accepted"]
        sent = [*shape.change(load, now), *corpus.tokens(load.tenant, each)]
        Random(now).shuffle(sent)
        load.send(sent)
        if load.outcomes["accepted"] == accepted:
            refused.append(now)
        load.clock.advance(10)
    return {"fetches": load.party.transport.count, "nobody accepted at": refused}


def _add(section: Section, name: str, load: Load, result: dict[str, Any]) -> None:
    latency = percentiles(load.times)
    parts = [f"p99 {latency['p99']:,.0f} µs, p99.9 {latency['p99.9']:,.0f} µs"]
    if "per_second" in result:
        parts.append(f"{result['per_second']:,.0f}/s")
    if "fetches" in result:
        parts.append(f"{result['fetches']:,} fetches")
    if at := result.get("nobody accepted at"):
        parts.append(f"nobody accepted from {at[0]} s to {at[-1]} s")
    parts += [f"{number:,} {reason}" for reason, number in sorted(load.outcomes.items()) if reason != "accepted"]
    section.rows.append(Row(f"{name}, {load.way}: p50", latency["p50"], unit="µs", note="; ".join(parts)))
    section.data[f"{name}, {load.way}"] = result | {"latency": latency, "outcomes": dict(load.outcomes)}


def run(step: Step, *, short: bool) -> Section:
    section = Section("load", "Shapes of load (time of one request)")
    count, each = (200, 1) if short else (8_000, 12)
    with asyncio.Runner() as loop:
        for hostile, title in ((False, "steady accept"), (True, "90 % forged")):
            for threads in (1, _THREADS, 0):
                load = Load(threads, loop)
                step(f"{title}, {load.way}")
                _add(section, title, load, _steady(load, count, hostile=hostile))
        for shape in SHAPES:
            for threads in (1, 0):
                load = Load(threads, loop)
                step(f"{shape.name}, {load.way}")
                _add(section, shape.name, load, _in_time(load, shape, each))
    section.notes.append(
        f"asyncio: {_TASKS} tasks at once; the time of a request is that of the coroutine, awaited. With several"
        " threads it holds the wait for the interpreter's lock. Publishers answer without a network; minutes pass by"
        " a clock."
    )
    return section
