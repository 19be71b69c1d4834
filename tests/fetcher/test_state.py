"""What a fetcher remembers: late answers and replaced flights."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

import children
from private_key_jwt import JWKSPolicy, MemoryJWKSCache
from private_key_jwt._core.freshness import Entry
from private_key_jwt._core.jwk_set import key_set
from private_key_jwt.events import log_events
from private_key_jwt.fetcher import _flow, _state
from private_key_jwt.fetcher._state import DONE, FetchState, Flight, Landing, Outcome, Wish
from private_key_jwt.stores import JWKSDocument
from private_key_jwt.testing import Clock
from support import jwk, private_key

URI = "https://op.example/jwks.json"
OLD = key_set({"keys": [jwk(kid="old")]}, 64)
NEW = key_set({"keys": [jwk(private_key(1), kid="new")]}, 64)
WISH = Wish("RS256", "k1", forced=False, known=None)


@pytest.fixture
def state() -> FetchState[None]:
    return FetchState(JWKSPolicy(), lambda: 0.0, 10, log_events)


def board(state: FetchState[None], *, join: bool = True) -> Flight[None]:
    flight, _ = state.board(URI, WISH, 0, lambda: None, lambda _: join)
    assert isinstance(flight, Flight)
    return flight


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Entry(NEW, 2, 2), Entry(OLD, 1, 1)),
        (Entry(NEW, 2, 1), Entry(OLD, 1, 2)),
        (Entry(NEW, 1, 2), Entry(OLD, 1, 1)),
        (Entry(NEW, 1, 1), Entry(OLD, 1, 0)),
    ],
)
def test_a_late_answer_never_overwrites_a_newer_one(state: FetchState[None], first: Entry, second: Entry) -> None:
    state.adopt(URI, first)
    state.adopt(URI, second)
    assert state.entry(URI) is first
    state.adopt(URI, Entry(OLD, 3, 3))
    assert state.entry(URI) == Entry(OLD, 3, 3)


def test_no_second_fetch_begins_for_a_set_that_has_come_meanwhile(state: FetchState[None]) -> None:
    """Between the look at what is known and the fetch that it asks for, another's fetch may land."""
    flow = _flow.find_key(state, URI, "RS256", "new")
    step = next(flow)
    state.adopt(URI, Entry(NEW, 0, 1))
    outcome, is_new = state.board(URI, step.wish, 0, lambda: None, lambda _: True)
    assert (outcome, is_new, state.flights()) == (DONE, False, [])
    with pytest.raises(StopIteration) as found:
        flow.send(DONE)
    assert found.value.value.kid == "new"


def test_one_flight_a_jwks_uri_is_under_way(state: FetchState[None]) -> None:
    flight = board(state)
    assert board(state) is flight
    assert state.flights() == [flight]
    state.land(flight, DONE)
    assert state.flights() == []


def test_a_flight_that_was_replaced_lands_alone(state: FetchState[None]) -> None:
    left_behind = board(state)
    flight = board(state, join=False)
    state.land(left_behind, DONE)
    assert state.flights() == [flight]
    state.land(flight, DONE)
    assert state.flights() == []


class Stuck(str):
    """A key by which a cache is kept waiting, at the given time that it asks for its hash."""

    def __new__(cls, text: str, _at: int) -> Stuck:
        return super().__new__(cls, text)

    def __init__(self, _text: str, at: int) -> None:
        self._left = at
        self.waits, self.free = threading.Event(), threading.Event()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other) is True

    def __hash__(self) -> int:
        self._left -= 1
        if self._left == 0:
            self.waits.set()
            self.free.wait(10)
        return str.__hash__(self)


def holds_in_children(change: Callable[[str], object], check: Callable[[], bool]) -> None:
    """``check`` holds in a child that was forked in the middle of ``change``, wherever that was."""
    for at in range(1, 100):
        key = Stuck("stuck", at)
        with ThreadPoolExecutor(1) as pool:
            changed = pool.submit(change, key)
            changed.add_done_callback(lambda _, key=key: key.waits.set())  # type: ignore[misc]
            assert key.waits.wait(10)
            is_over = changed.done()
            held = children.holds(check)
            key.free.set()
        assert held, at
        if is_over:
            assert at > 2
            return


def test_a_fork_while_an_unknown_kid_is_remembered_makes_none_of_them_unknown_for_ever() -> None:
    clock = Clock(0)
    memory: FetchState[None] = FetchState(JWKSPolicy(), clock, 10, log_events)

    def check() -> bool:
        memory.remember_unknown(URI, "k", 0)
        known = memory.is_unknown(URI, "k")
        clock.advance(30)
        return known and not memory.is_unknown(URI, "k")

    holds_in_children(lambda uri: memory.remember_unknown(uri, "k", 0), check)


def test_a_fork_while_a_set_is_evicted_breaks_nothing() -> None:
    memory: FetchState[None] = FetchState(JWKSPolicy(), lambda: 0.0, 1, log_events)

    def change(uri: str) -> None:
        memory.adopt(uri, Entry(OLD, 1, 1))
        memory.adopt(URI, Entry(OLD, 2, 2))

    def check() -> bool:
        for number in range(4):
            memory.adopt(f"{URI}?{number}", Entry(NEW, 3, 3))
        return memory.entry(URI) is None and memory.entry(f"{URI}?3") == Entry(NEW, 3, 3)

    holds_in_children(change, check)


def test_a_fork_while_a_document_is_evicted_breaks_nothing() -> None:
    cache = MemoryJWKSCache(1)

    def change(uri: str) -> None:
        cache.put(uri, JWKSDocument(b"", 1), 1)
        cache.put(URI, JWKSDocument(b"", 2), 2)

    def check() -> bool:
        for number in range(4):
            cache.put(f"{URI}?{number}", JWKSDocument(b"", 3), 3)
        return cache.get(URI, 3) is None and cache.get(f"{URI}?3", 3) == JWKSDocument(b"", 3)

    holds_in_children(change, check)


def test_the_set_that_was_asked_for_first_leaves_first_after_a_fork_too() -> None:
    memory: FetchState[None] = FetchState(JWKSPolicy(), lambda: 0.0, 2, log_events)
    for number, uri in enumerate("aba"):
        memory.adopt(uri, Entry(OLD, number, number))

    def check() -> bool:
        memory.adopt("c", Entry(NEW, 4, 4))
        return [memory.entry(uri) is None for uri in "abc"] == [False, True, False]

    assert children.holds(check)


def test_a_flight_lands_once(state: FetchState[None]) -> None:
    taken = _state._in_flight._count
    flight = board(state)
    state.land(flight, DONE)
    state.land(flight, Outcome(Landing.FAILED, "again"))
    assert flight.outcome is DONE
    assert _state._in_flight._count == taken
