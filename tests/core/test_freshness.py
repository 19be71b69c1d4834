"""The rules of freshness, as data."""

from typing import Any

import pytest

from private_key_jwt import JWKSPolicy, Reason
from private_key_jwt._core import freshness
from private_key_jwt._core.freshness import Action, Budget, Entry
from private_key_jwt._core.jwk_set import KeySet, key_set
from support import jwk, private_key

POLICY = JWKSPolicy()


def keys(*members: Any) -> KeySet:
    return key_set({"keys": members}, 64)


FULL = keys(jwk())
EMPTY = keys()
BROKEN = keys(jwk(use="enc"))
TWINS = keys(jwk(), jwk(private_key(1)))


@pytest.mark.parametrize(
    ("entry", "kid", "now", "action", "reason"),
    [
        (None, "k1", 0, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (Entry(FULL, 0, 1), "k1", 0, Action.USE, None),
        (Entry(FULL, 0, 1), None, 0, Action.USE, None),
        (Entry(FULL, 0, 1), "k1", 239.9, Action.USE, None),
        (Entry(FULL, 0, 1), "k1", 240, Action.USE_AND_REFRESH, None),
        (Entry(FULL, 0, 1, refresh_ahead_tried=True), "k1", 240, Action.USE, None),
        (Entry(FULL, 0, 1, refresh_ahead_tried=True), "k1", 299.9, Action.USE, None),
        (Entry(FULL, 0, 1, refresh_ahead_tried=True), "k1", 300, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (Entry(FULL, 0, 1), "k1", 300, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (Entry(FULL, 0, 1), "k1", 1e9, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (Entry(FULL, 0, 1), "k2", 0, Action.REFRESH, Reason.UNKNOWN_KID),
        (Entry(FULL, 0, 1), "k2", 250, Action.REFRESH, Reason.UNKNOWN_KID),
        (Entry(BROKEN, 0, 1), "k1", 0, Action.REFRESH, Reason.UNUSABLE_KEY),
        (Entry(BROKEN, 0, 1), None, 0, Action.REFRESH, Reason.UNUSABLE_KEY),
        (Entry(BROKEN, 0, 1), "k1", 299.9, Action.REFRESH, Reason.UNUSABLE_KEY),
        (Entry(TWINS, 0, 1), "k1", 0, Action.REFUSE, Reason.AMBIGUOUS_KEY),
        (Entry(TWINS, 0, 1), None, 0, Action.REFUSE, Reason.AMBIGUOUS_KEY),
        (Entry(EMPTY, 0, 1), "k1", 29.9, Action.REFRESH, Reason.NO_KEYS),
        (Entry(EMPTY, 0, 1), "k1", 30, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
    ],
)
def test_what_to_do_with_what_is_known(
    entry: Entry | None, kid: str | None, now: float, action: Action, reason: Reason | None
) -> None:
    decision = freshness.decide(entry, "RS256", kid, now, POLICY)
    assert decision.action is action
    assert (decision.key is not None) is (reason is None)
    if reason is not None:
        assert decision.reason is reason


EPOCH = 1_000.0


def test_ages_count_and_not_times() -> None:
    def action(age: float, kid: str = "k1", **changes: Any) -> Action:
        return freshness.decide(Entry(FULL, EPOCH, 1, **changes), "RS256", kid, EPOCH + age, POLICY).action

    assert [action(age) for age in (0, 239.9, 240, 299.9, 300)] == [
        Action.USE,
        Action.USE,
        Action.USE_AND_REFRESH,
        Action.USE_AND_REFRESH,
        Action.REFRESH,
    ]
    assert action(299.9, refresh_ahead_tried=True) is Action.USE
    assert action(0, "k2") is Action.REFRESH


@pytest.mark.parametrize(
    ("kid", "age", "tried", "quiet"),
    [
        ("k1", 0, False, True),
        ("k1", 239.9, False, True),
        ("k1", 240, False, False),
        ("k1", 240, True, True),
        ("k1", 299.9, True, True),
        ("k1", 300, True, False),
        ("k2", 0, False, False),
    ],
)
def test_a_key_is_quiet_when_nothing_is_to_be_done(kid: str, age: float, tried: bool, quiet: bool) -> None:
    entry = Entry(FULL, EPOCH, 1, refresh_ahead_tried=tried)
    key = freshness.quiet_key(entry, "RS256", kid, EPOCH + age, POLICY)
    assert key is (FULL.usable[0] if quiet else None)


def test_staleness_counts_ages_and_not_times() -> None:
    tolerant = JWKSPolicy(stale_if_error=60)

    def allowed(age: float, failed: float) -> bool:
        return freshness.stale_allowed(Entry(FULL, EPOCH, 1, failed_at=EPOCH + failed), EPOCH + age, tolerant)

    assert allowed(359.9, 330)
    assert not allowed(359.9, 329.9)
    assert not allowed(360, 360)


def test_a_budget_counts_ages_and_not_times() -> None:
    budget = Budget()
    assert [budget.claim(EPOCH + age, POLICY) for age in (0, 10, 20, 30, 30.1)] == [True, True, False, True, False]
    assert budget.wait(EPOCH + 31, POLICY) == pytest.approx(9)
    assert not budget.idle(EPOCH + 59.9, POLICY)
    assert budget.idle(EPOCH + 60, POLICY)


def test_a_spent_budget_is_told_of_once_until_a_claim_is_granted() -> None:
    budget = Budget()
    assert [budget.tell(), budget.tell()] == [True, False]
    assert budget.claim(EPOCH, POLICY)
    assert [budget.tell(), budget.tell()] == [True, False]


def test_refresh_ahead_can_be_turned_off() -> None:
    decision = freshness.decide(Entry(FULL, 0, 1), "RS256", "k1", 299.9, JWKSPolicy(refresh_ahead=1))
    assert decision.action is Action.USE


def test_an_empty_set_never_lives_longer_than_a_full_one() -> None:
    assert freshness.lifetime(EMPTY, POLICY) == 30
    assert freshness.lifetime(EMPTY, JWKSPolicy(ttl=10)) == 10
    assert freshness.lifetime(FULL, POLICY) == 300


def test_stale_keys_are_capped() -> None:
    def allowed(now: float, policy: JWKSPolicy, failed_at: float) -> bool:
        return freshness.stale_allowed(Entry(FULL, 0, 1, failed_at=failed_at), now, policy)

    assert not allowed(300, POLICY, 300)
    tolerant = JWKSPolicy(stale_if_error=60)
    assert allowed(359.9, tolerant, 359.9)
    assert allowed(359.9, tolerant, 330)
    assert not allowed(359.9, tolerant, 329.9)
    assert not allowed(360, tolerant, 360)
    assert freshness.stale_allowed(Entry(FULL, 0, 1), 300, tolerant) is False


def test_a_budget_is_a_sliding_window() -> None:
    budget = Budget()
    assert [budget.claim(now, POLICY) for now in (0, 29, 29.9)] == [True, True, False]
    assert budget.wait(29.9, POLICY) == pytest.approx(0.1)
    assert [budget.claim(now, POLICY) for now in (30, 30.1, 58.9, 59)] == [True, False, False, True]


def test_a_claim_that_sent_nothing_is_given_back() -> None:
    budget = Budget()
    budget.give_back(0)
    assert [budget.claim(0, POLICY) for _ in range(3)] == [True, True, False]
    budget.give_back(0)
    assert [budget.claim(0, POLICY) for _ in range(2)] == [True, False]


def test_a_claim_is_given_back_and_not_a_later_one() -> None:
    budget = Budget()
    assert [budget.claim(now, POLICY) for now in (0, 10)] == [True, True]
    budget.give_back(0)
    assert [budget.claim(now, POLICY) for now in (30, 39.9, 40)] == [True, False, True]
    budget.give_back(10)
    assert not budget.claim(59.9, POLICY)


def test_a_budget_with_room_needs_no_wait() -> None:
    assert Budget().wait(0, POLICY) == 0


def test_a_budget_is_idle_when_its_last_claim_is_old() -> None:
    budget = Budget()
    assert budget.idle(0, POLICY)
    budget.claim(0, POLICY)
    assert not budget.idle(29.9, POLICY)
    assert budget.idle(30, POLICY)
