"""The settable clock."""

import time

from private_key_jwt.testing import Clock


def test_starts_at_the_real_time_in_a_whole_second() -> None:
    before = time.time()
    now = Clock()()
    assert now == int(now)
    assert before - 1 < now <= time.time()


def test_stands_still_until_told() -> None:
    clock = Clock(100)
    assert (clock(), clock()) == (100, 100)
    clock.advance(1.5)
    assert clock() == 101.5
    clock.advance(-2)
    assert clock() == 99.5
    clock.set(7)
    assert clock() == 7
    assert repr(clock) == "Clock(7)"
