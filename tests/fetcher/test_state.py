"""What a fetcher remembers: late answers, fetches that were replaced, and what a fork leaves."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

import children
from private_key_jwt import JWKSPolicy, MemoryJWKSCache
from private_key_jwt._core.freshness import Entry, Instant, KeyQuery, new_entry
from private_key_jwt._core.jwk_set import KeySet, key_set
from private_key_jwt.events import log_events
from private_key_jwt.fetcher import _flow
from private_key_jwt.fetcher._budgets import Budgets
from private_key_jwt.fetcher._ending import Ending
from private_key_jwt.fetcher._fetches import DONE, Fetch, Outcome, RefreshRequest, Status
from private_key_jwt.fetcher._slots import fetch_slots
from private_key_jwt.fetcher._state import FetcherState
from private_key_jwt.stores import JWKSDocument
from private_key_jwt.testing import Clock
from support import jwk, private_key

URI = "https://op.example/jwks.json"
OLD = key_set({"keys": [jwk(kid="old")]}, 64)
NEW = key_set({"keys": [jwk(private_key(1), kid="new")]}, 64)
QUERY = KeyQuery("RS256", "new")


def make_state(max_key_sets: int = 10, clock: Callable[[], float] = lambda: 0.0) -> FetcherState[None]:
    return FetcherState(JWKSPolicy(), clock, clock, max_key_sets, log_events, shares_cache=True)


@pytest.fixture
def state() -> FetcherState[None]:
    return make_state()


def entry(keys: KeySet, at: float, number: int, age: float = 0) -> Entry:
    return new_entry(keys, Instant(at, at), JWKSPolicy(), number=number, age=age)


def start(state: FetcherState[None], *, join: bool = True) -> Fetch[None]:
    request = RefreshRequest(URI, QUERY, forced=False, known=None)
    fetch = state.join_or_start(Fetch(request, time.monotonic() + 3, None), lambda _: join)
    assert isinstance(fetch, Fetch)
    return fetch


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (entry(NEW, 2, 2), entry(OLD, 1, 1)),
        (entry(NEW, 2, 1), entry(OLD, 1, 2)),
        (entry(NEW, 1, 2), entry(OLD, 1, 1)),
        (entry(NEW, 1, 1), entry(OLD, 1, 0)),
        # What was asked for later is newer, also where a cache says that it is older …
        (entry(NEW, 2, 2, age=200), entry(OLD, 1, 1)),
        # … but what came out of a shared cache has no other age than that.
        (entry(NEW, 2, 2), entry(OLD, 3, 0, age=200)),
    ],
)
def test_a_late_answer_never_overwrites_a_newer_one(state: FetcherState[None], first: Entry, second: Entry) -> None:
    state.keep(URI, first)
    state.keep(URI, second)
    assert state.entry(URI) is first
    state.keep(URI, entry(OLD, 3, 3))
    assert state.entry(URI) == replace(entry(OLD, 3, 3), known_since=first.asked_at, removed=(("new", 3),))


def test_no_second_fetch_is_started_for_a_set_that_has_come_meanwhile(state: FetcherState[None]) -> None:
    """Between the look at what is known and the fetch that it asks for, another's fetch may end."""
    flow = _flow.find_key(state, URI, QUERY)
    step = next(flow)
    state.keep(URI, entry(NEW, 0, 1))
    assert state.join_or_start(Fetch(step.request, 0, None), lambda _: True) is DONE
    assert state.fetches() == []
    with pytest.raises(StopIteration) as found:
        flow.send(DONE)
    assert found.value.value.kid == "new"


def test_a_set_that_came_with_another_answer_is_looked_at_before_a_refusal(state: FetcherState[None]) -> None:
    flow = _flow.find_key(state, URI, QUERY)
    next(flow)
    state.keep(URI, entry(NEW, 0, 0))
    with pytest.raises(StopIteration) as found:
        flow.send(Outcome(Status.SPENT, "the fetch budget is spent"))
    assert found.value.value.kid == "new"


def test_one_fetch_of_a_jwks_uri_is_under_way(state: FetcherState[None]) -> None:
    fetch = start(state)
    assert start(state) is fetch
    assert state.fetches() == [fetch]
    state.finish(fetch, DONE)
    assert state.fetches() == []


def test_a_fetch_that_was_replaced_ends_alone(state: FetcherState[None]) -> None:
    left_behind = start(state)
    fetch = start(state, join=False)
    state.finish(left_behind, DONE)
    assert state.fetches() == [fetch]
    state.finish(fetch, DONE)
    assert state.fetches() == []


def test_fetches_that_nobody_will_finish_are_forgotten(state: FetcherState[None]) -> None:
    for number in range(3_000):
        request = RefreshRequest(f"{URI}?{number}", QUERY, forced=False, known=None)
        fetch: Fetch[None] = Fetch(request, time.monotonic() - 100, None)
        assert state.join_or_start(fetch, lambda _: True) is fetch
    assert len(state.fetches()) <= 1_024


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
    memory = make_state(clock=clock)

    def check() -> bool:
        memory.remember_unknown(URI, "k", 0)
        until = memory.unknown_until(URI, "k")
        clock.advance(30)
        return until == 5 and memory.unknown_until(URI, "k") is None

    holds_in_children(lambda uri: memory.remember_unknown(uri, "k", 0), check)


def test_a_fork_while_a_set_is_evicted_breaks_nothing() -> None:
    memory = make_state(1)

    def change(uri: str) -> None:
        memory.keep(uri, entry(OLD, 1, 1))
        memory.keep(URI, entry(OLD, 2, 2))

    def check() -> bool:
        for number in range(4):
            memory.keep(f"{URI}?{number}", entry(NEW, 3, 3))
        return memory.entry(URI) is None and memory.entry(f"{URI}?3") == entry(NEW, 3, 3)

    holds_in_children(change, check)


@pytest.mark.slow
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
    memory = make_state(2)
    for number, uri in enumerate("aba"):
        memory.keep(uri, entry(OLD, number, number))

    def check() -> bool:
        memory.keep("c", entry(NEW, 4, 4))
        return [memory.entry(uri) is None for uri in "abc"] == [False, True, False]

    assert children.holds(check)


def test_a_fetch_ends_once(state: FetcherState[None]) -> None:
    taken = len(fetch_slots)
    fetch = start(state)
    assert len(fetch_slots) == taken + 1
    state.finish(fetch, DONE)
    state.finish(fetch, Outcome(Status.FAILED, "again"))
    assert fetch.outcome is DONE
    assert len(fetch_slots) == taken


def test_a_refresh_ahead_of_a_set_that_was_evicted_meanwhile_keeps_none(state: FetcherState[None]) -> None:
    request = RefreshRequest(URI, QUERY, forced=False, known=None, ahead=True)
    state.note_sent(Fetch(request, 0, None))
    assert state.entry(URI) is None


def test_the_end_of_a_fetch_calls_each_who_waits_once() -> None:
    ending, called = Ending(), list[str]()
    ending.add_callback("a", lambda: called.append("a"))
    ending.add_callback("b", lambda: called.append("b"))
    ending.remove_callback("b")
    ending.wait(0)
    ending.end()
    ending._call("a")
    ending.add_callback("c", lambda: called.append("c"))
    ending.wait(-1)
    assert called == ["a", "c"]


@pytest.mark.usefixtures("untraced")
def test_no_fetch_pays_for_forgetting_many_budgets() -> None:
    """100,000 clients, each of which is fetched once in four minutes."""
    budgets, policy, known = Budgets(JWKSPolicy()), JWKSPolicy(), 0
    for number in range(150_000):
        now = number * 240 / 100_000
        assert budgets.of(f"https://{number % 100_000}.example", now).fetches.take(now, policy)
        known, before = len(budgets), known
        assert known >= before - 2
    assert known < 30_000
