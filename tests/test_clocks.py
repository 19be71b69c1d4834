"""A clock is asked for the time once, where it is given: what it cannot tell there, it cannot tell for a request."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from edges import Edge
from private_key_jwt import AssertionPolicy, ConfigurationError, MemoryReplayStore
from private_key_jwt.stores import AsyncRedisJWKSCache, DjangoJWKSCache, RedisJWKSCache, SQLiteJWKSCache
from private_key_jwt.testing import RelyingParty
from support import OP

REDIS = "redis://127.0.0.1:1"  # nothing connects

# What takes a clock, and the name of that setting.
WALL: dict[str, tuple[str, Callable[[Edge, Path, Any], object]]] = {
    "verifier": (
        "clock",
        lambda edge, _, clock: edge.verifier(
            policy=AssertionPolicy(audience=OP), clients=[], replay_store=MemoryReplayStore(), clock=clock
        ),
    ),
    "fetcher": ("wall_clock", lambda edge, _, clock: edge.fetcher(wall_clock=clock)),
    "sqlite": ("wall_clock", lambda _, path, clock: SQLiteJWKSCache(path / "keys.db", wall_clock=clock)),
    "django": ("wall_clock", lambda _edge, _path, clock: DjangoJWKSCache(wall_clock=clock)),
    "redis": ("wall_clock", lambda _edge, _path, clock: RedisJWKSCache.from_url(REDIS, wall_clock=clock)),
    "async redis": ("wall_clock", lambda _edge, _path, clock: AsyncRedisJWKSCache.from_url(REDIS, wall_clock=clock)),
    "testing": ("clock", lambda _edge, _path, clock: RelyingParty(clock=clock)),
}


def fail() -> float:
    raise OSError("no\nroute")


async def later() -> float:
    return time.time()


# Clocks that tell no seconds, and what is said of them behind the name of the setting.
WRONG: list[tuple[Any, str]] = [
    (5, "must be a function that gives {}, not 5"),
    (later, "must be a function that gives {}, not <function later at "),
    (fail, "must give {}, and it raised OSError: 'no\\nroute'"),
    (lambda: None, "must give {}: {name}() must be a number, not None"),
    (lambda: "7", "must give {}: {name}() must be a number, not '7'"),
    (lambda: True, "must give {}: {name}() must be a number, not True"),
    (lambda: math.nan, "must give {}: {name}() must be a number, not nan"),
    (lambda: math.inf, "must give {}: {name}() must be from "),
    (lambda: -math.inf, "must give {}: {name}() must be from "),
    (lambda: 10**5_000, "must give {}: {name}() must be from "),
    (datetime.now, "must give {}: {name}() must be a number, not datetime.datetime("),
]
ODD_TIMES: list[tuple[Any, str]] = [
    (lambda: time.time() * 1_000, "must give {}: {name}() must be from 0 to 100000000000, not "),
    (lambda: -0.5, "must give {}: {name}() must be from 0 to 100000000000, not -0.5"),
]


def fault(make: Callable[[], object]) -> str:
    with pytest.raises(ConfigurationError) as caught:
        make()
    return str(caught.value)


@pytest.mark.parametrize(("clock", "said"), WRONG + ODD_TIMES)
@pytest.mark.parametrize("kind", WALL)
def test_a_wall_clock_that_tells_no_time_is_refused_at_the_start(
    edge: Edge, tmp_path: Path, kind: str, clock: Any, said: str
) -> None:
    name, make = WALL[kind]
    expected = f"{name} {said.format('seconds since the epoch', name=name)}"
    assert fault(lambda: make(edge, tmp_path, clock)).startswith(expected)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("clock", "said"), WRONG)
def test_a_clock_of_a_fetcher_that_tells_no_seconds_is_refused_at_the_start(edge: Edge, clock: Any, said: str) -> None:
    expected = f"clock {said.format('seconds, and never goes back', name='clock')}"
    assert fault(lambda: edge.fetcher(clock=clock)).startswith(expected)


@pytest.mark.parametrize("now", [-1e9, 0, 0.5, 1e12])
def test_a_clock_of_a_fetcher_may_begin_anywhere(edge: Edge, now: float) -> None:
    assert edge.fetcher(clock=lambda: now)
