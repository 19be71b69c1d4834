"""Shapes of load: latencies and fetches when all is well, under attack, and while keys or publishers change.

Time moves by the library's ``Clock``, so minutes of a rotation or an outage take as long as their requests do.
"""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, NamedTuple

from private_key_jwt import AuthenticationError
from private_key_jwt.testing import Clock, Tenant

from . import corpus, ours
from .measuring import Step, frozen, percentiles
from .measuring import threads as in_threads
from .report import Row, Section

_TASKS = 100
_THREADS = 4


@dataclass(slots=True)
class Timed:
    """Calls with their seconds and their outcomes."""

    seconds: list[float] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Time one call, and count how it ended."""
        began, outcome = time.perf_counter(), "accepted"
        try:
            yield
        except AuthenticationError as error:
            outcome = str(error.reason)
        self.seconds.append(time.perf_counter() - began)
        self.outcomes[outcome] += 1

    def summary(self) -> dict[str, Any]:
        return {"latency": percentiles(self.seconds), "outcomes": dict(self.outcomes)}


class Verifier(ABC):
    """One tenant, and a verifier whose clocks are set."""

    way: str

    def __init__(self) -> None:
        self.clock = Clock()
        self.party = ours.relying_party(self.clock)
        self.tenant: Tenant = self.party.tenant()

    @abstractmethod
    def send(self, tokens: Sequence[str], timed: Timed) -> float:
        """Verify all, let fetches in the background end, and return the seconds that the tokens took."""


class InThreads(Verifier):
    def __init__(self, number: int = 1) -> None:
        super().__init__()
        self.way = f"{number} thread{'s' * (number > 1)}"
        self._number = number
        self._subject = ours.Sync([self.tenant.client()], ours.fetcher(self.party, clock=self.clock), self.clock)

    def send(self, tokens: Sequence[str], timed: Timed) -> float:
        def verify(token: str) -> None:
            with timed.call():
                self._subject.verifier.verify(token)

        batches = [batch for batch in (tokens[place :: self._number] for place in range(self._number)) if batch]
        seconds, _ = in_threads(verify, batches)
        for thread in threading.enumerate():
            if thread.name == "jwks-fetch":
                thread.join(5)
        return seconds


class InTasks(Verifier):
    way = "asyncio"

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        weakref.finalize(self, self._runner.close)
        fetcher = ours.async_fetcher(self.party, clock=self.clock)
        self._subject = ours.Async([self.tenant.client()], fetcher, self.clock)

    def send(self, tokens: Sequence[str], timed: Timed) -> float:
        waiting = iter(tokens)

        async def work() -> None:
            for token in waiting:
                with timed.call():
                    await self._subject.verifier.verify(token)
                await asyncio.sleep(0)

        async def send() -> float:
            began = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(_TASKS)))
            seconds = time.perf_counter() - began
            await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}), return_exceptions=True)
            return seconds

        return float(self._runner.run(send()))


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


def _steady(subject: Verifier, count: int, *, hostile: bool) -> dict[str, Any]:
    """All tokens at hand, as fast as they go."""
    good = corpus.tokens(subject.tenant, count // 10 if hostile else count)
    forged = [_forge(subject.tenant, token, number) for number, token in enumerate(good * 9)] if hostile else []
    tokens = [*good, *forged]
    Random(4).shuffle(tokens)
    timed = Timed()
    with frozen():
        subject.send([corpus.new_token(subject.tenant)], Timed())
        seconds = subject.send(tokens, timed)
    return timed.summary() | {"per_second": len(tokens) / seconds}


# Shapes in time: a burst of requests every ten seconds of the clock.


def _rotate(subject: Verifier, now: int) -> list[str]:
    """A new key at 2:00, the end of the grace window at 5:00, another new key at 7:00."""
    if now in (120, 420):
        subject.tenant.rotate()
    if now == 300:
        subject.tenant.end_grace()
    return []


def _flood(subject: Verifier, now: int) -> list[str]:
    """Made-up kids, twenty for each good assertion."""
    good = corpus.new_token(subject.tenant)
    return [_forge(subject.tenant, good, 3 * (now * 1_000 + number) + 2) for number in range(200)]


def _fail(subject: Verifier, now: int) -> list[str]:
    """The publisher answers 503 from 2:00 to 11:00; keys live for 300 s, and none is used longer."""
    subject.party.outage = 503 if 120 <= now < 660 else None
    return []


class Shape(NamedTuple):
    """What happens over some minutes: ``change`` does it at each burst, and returns what a stranger sends then."""

    name: str
    seconds: int
    change: Callable[[Verifier, int], list[str]]


SHAPES = (
    Shape("key rotation twice in 10 min", 600, _rotate),
    Shape("unknown-kid flood, 20 to 1, 10 min", 600, _flood),
    Shape("JWKS outage of 9 min", 900, _fail),
)


def _in_time(shape: Shape, subject: Verifier, each: int) -> dict[str, Any]:
    timed = Timed()
    subject.party.transport.reset()
    refused: list[int] = []
    for now in range(0, shape.seconds, 10):
        accepted = timed.outcomes["accepted"]
        sent = [*shape.change(subject, now), *corpus.tokens(subject.tenant, each)]
        Random(now).shuffle(sent)
        subject.send(sent, timed)
        if timed.outcomes["accepted"] == accepted:
            refused.append(now)
        subject.clock.advance(10)
    return timed.summary() | {"fetches": subject.party.transport.count, "nobody accepted at": refused}


def _add(section: Section, name: str, result: dict[str, Any]) -> None:
    latency = result["latency"]
    parts = [f"p99 {latency['p99']:,.0f} µs, p99.9 {latency['p99.9']:,.0f} µs"]
    if "per_second" in result:
        parts.append(f"{result['per_second']:,.0f}/s")
    if "fetches" in result:
        parts.append(f"{result['fetches']:,} fetches")
    if at := result.get("nobody accepted at"):
        parts.append(f"nobody accepted from {at[0]} s to {at[-1]} s")
    outcomes = sorted(result["outcomes"].items())
    parts += [f"{number:,} {reason}" for reason, number in outcomes if reason != "accepted"]
    section.rows.append(Row(f"{name}: p50", latency["p50"], unit="µs", note="; ".join(parts)))
    section.data[name] = result


def run(step: Step, *, short: bool) -> Section:
    section = Section("load", "Shapes of load (time of one request)")
    count, each = (600, 3) if short else (8_000, 12)

    def add(title: str, subject: Verifier, measure: Callable[[Verifier], dict[str, Any]]) -> None:
        step(f"{title}, {subject.way}")
        _add(section, f"{title}, {subject.way}", measure(subject))

    for hostile, title in ((False, "steady accept"), (True, "90 % forged")):
        for subject in (InThreads(), InThreads(_THREADS), InTasks()):
            add(title, subject, partial(_steady, count=count, hostile=hostile))
    for shape in SHAPES:
        for subject in (InThreads(), InTasks()):
            add(shape.name, subject, partial(_in_time, shape, each=each))
    section.notes.append(
        f"asyncio: {_TASKS} tasks at once; the time of a request is that of the coroutine, awaited. With several"
        " threads it holds the wait for the interpreter's lock. Publishers answer without a network; minutes pass by"
        " a clock."
    )
    return section
