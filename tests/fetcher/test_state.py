"""What a fetcher remembers: late answers and replaced flights."""

import pytest

from private_key_jwt import JWKSPolicy
from private_key_jwt._core.freshness import Entry
from private_key_jwt._core.jwk_set import key_set
from private_key_jwt.events import log_events
from private_key_jwt.fetcher import _state
from private_key_jwt.fetcher._state import FetchState, Flight, Landing, Outcome, Wish
from support import jwk, private_key

URI = "https://op.example/jwks.json"
OLD = key_set({"keys": [jwk(kid="old")]}, 64)
NEW = key_set({"keys": [jwk(private_key(1), kid="new")]}, 64)
WISH = Wish("RS256", "k1", forced=False)
DONE = Outcome(Landing.DONE, "")


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


def test_a_flight_lands_once(state: FetchState[None]) -> None:
    taken = _state._in_flight._count
    flight = board(state)
    state.land(flight, DONE)
    state.land(flight, Outcome(Landing.FAILED, "again"))
    assert flight.outcome is DONE
    assert _state._in_flight._count == taken
