"""Measure everything here in one way.

Paths are timed in short rounds that alternate in one process, with the floor (the bare RSA operation) before and
after each, so that a noisy machine disturbs both alike. A ratio is the median over the rounds; its spread is the
10th and 90th percentile. What one thread does is measured in processor time; threads, latencies, HTTP by the clock on
the wall. Garbage collection stays on, as in a service; what was prepared is frozen out of its sight.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

Items = Sequence[Any]
Run = Callable[[Items], float]
Step = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, with the 10th and the 90th percentile."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        cuts = quantiles(values, n=10, method="inclusive") if len(values) > 1 else [values[0]] * 9
        return cls(median(values), cuts[0], cuts[8])


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Microseconds: p50, p99, p99.9 and the longest."""
    ordered = sorted(seconds)

    def at(part: float) -> float:
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))] * 1e6

    return {"p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999), "max": ordered[-1] * 1e6, "samples": len(ordered)}


# Blocks of calls

clock = time.thread_time
"""Seconds of processor time: what else runs on the machine is not counted, nor is what runs in other threads."""


def calls(function: Callable[[Any], object], items: Items) -> float:
    """Seconds for one call after the other."""
    began = clock()
    for item in items:
        function(item)
    return clock() - began


def refusals(function: Callable[[Any], object], items: Items, error: type[Exception]) -> float:
    """Seconds for calls that must each raise ``error``; catching it is part of the cost."""
    accepted = 0
    began = clock()
    for item in items:
        try:
            function(item)
        except error:
            continue
        accepted += 1
    seconds = clock() - began
    if accepted:
        raise AssertionError(f"{accepted} of {len(items)} were to be refused, and were not")
    return seconds


async def awaited(function: Callable[[Any], Awaitable[object]], items: Items) -> float:
    """Seconds for one coroutine after the other, awaited directly: the start of the loop is not in it."""
    began = clock()
    for item in items:
        await function(item)
    return clock() - began


def threads(call: Callable[[Any], object], batches: Sequence[Items]) -> tuple[float, list[float]]:
    """Seconds for a thread per batch, from the first start to the last end, and the seconds of each call."""
    times: list[list[float]] = [[] for _ in batches]
    start = threading.Barrier(len(batches))

    def work(mine: list[float], batch: Items) -> tuple[float, float]:
        start.wait()
        first = time.perf_counter()
        for item in batch:
            began = time.perf_counter()
            call(item)
            mine.append(time.perf_counter() - began)
        return first, time.perf_counter()

    with ThreadPoolExecutor(len(batches)) as pool:
        firsts, lasts = zip(*pool.map(work, times, batches), strict=True)
    return max(lasts) - min(firsts), [each for mine in times for each in mine]


async def tasks(call: Callable[[Any], Awaitable[object]], batches: Sequence[Items]) -> tuple[float, list[float]]:
    """The same for a task per batch."""
    times: list[float] = []

    async def work(batch: Items) -> None:
        for item in batch:
            began = time.perf_counter()
            await call(item)
            times.append(time.perf_counter() - began)

    first = time.perf_counter()
    await asyncio.gather(*map(work, batches))
    return time.perf_counter() - first, times


# Interleaved rounds


@dataclass(slots=True)
class CodePath:
    """Something to time: ``run`` gives the seconds for a block of items.

    items: what it is fed, ``size`` at a time. When they are used up ``renew`` is called, and they come again:
        for a verifier it makes a new replay store, so that each of its tokens is one it never saw.
    """

    name: str
    run: Run
    items: Items
    renew: Callable[[], object] | None = None
    _at: int = field(default=0)

    def block(self, size: int) -> float:
        """Seconds for each of the next ``size`` items."""
        size = min(size, len(self.items))
        if self._at + size > len(self.items):
            self._at = 0
            if self.renew is not None:
                self.renew()
        block = self.items[self._at : self._at + size]
        self._at += size
        return self.run(block) / size


@dataclass(slots=True)
class Measured:
    """The rounds of one path: its ratio to the floor in each, and its seconds for one item."""

    ratios: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> Spread:
        return Spread.of(self.ratios)

    @property
    def microseconds(self) -> Spread:
        return Spread.of([each * 1e6 for each in self.seconds])


def interleave(
    paths: Sequence[CodePath], floor: CodePath, rounds: int, size: int, step: Step = lambda _name: None
) -> dict[str, Measured]:
    """Time each path in each round, with the floor on both sides of it; the order turns from round to round."""
    measured = {path.name: Measured() for path in paths}
    with frozen():
        for path in paths:  # what is done once (a fetch, a compiled expression, a cold cache) is no round
            path.block(size)
        for number in range(rounds):
            turn = number % len(paths)
            before = floor.block(size)
            for path in (*paths[turn:], *paths[:turn]):
                seconds = path.block(size)
                after = floor.block(size)
                measured[path.name].ratios.append(2 * seconds / (before + after))
                measured[path.name].seconds.append(seconds)
                before = after
            step(f"round {number + 1} of {rounds}")
    return measured


@contextmanager
def frozen() -> Iterator[None]:
    """Collect once, and take what there is out of the collector's sight: the corpus is not a service's memory."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def logged() -> Iterator[None]:
    """Write what the library logs, and show nothing of it: the default handler of events is part of the cost."""
    logger = logging.getLogger("private_key_jwt")
    before = logger.level, logger.propagate
    handler = logging.FileHandler(os.devnull)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.level, logger.propagate = before


# Memory, and processes of their own


def rss() -> int:
    """Bytes of this process in memory: Linux only."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Any:
    """The result of ``function(*arguments)`` in a new process, whose memory nothing else has touched."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
