"""The rules of freshness, as data."""

from dataclasses import replace
from typing import Any

import pytest

from private_key_jwt import JWKSPolicy, Reason
from private_key_jwt._core import freshness
from private_key_jwt._core.freshness import MAX_REMOVED, Action, Budget, Entry, Instant, KeyQuery, new_entry
from private_key_jwt._core.jwk_set import KeySet, NoKey, key_set
from support import jwk, private_key

POLICY = JWKSPolicy(ttl=300, fetch_limit=2, fetch_window=30, empty_ttl=30, refresh_ahead=0.8, stale_if_error=0)


def keys(*members: Any) -> KeySet:
    return key_set({"keys": members}, 64)


FULL = keys(jwk())
EMPTY = keys()
WALL = 1_000_000.0


def at(clock: float) -> Instant:
    return Instant(clock, WALL + clock)


def entry(keys: KeySet, asked_at: float = 0, policy: JWKSPolicy = POLICY, *, tried: bool = False, **more: Any) -> Entry:
    made = new_entry(keys, at(asked_at), policy, number=1, **more)
    return made.without_refresh_ahead() if tried else made


BROKEN = keys(jwk(use="enc"))
TWINS = keys(jwk(), jwk(private_key(1)))


@pytest.mark.parametrize(
    ("known", "kid", "now", "action", "reason"),
    [
        (None, "k1", 0, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (entry(FULL, 0), "k1", 0, Action.USE, None),
        (entry(FULL, 0), None, 0, Action.USE, None),
        (entry(FULL, 0), "k1", 239.9, Action.USE, None),
        (entry(FULL, 0), "k1", 240, Action.USE_AND_REFRESH, None),
        (entry(FULL, 0, tried=True), "k1", 240, Action.USE, None),
        (entry(FULL, 0, tried=True), "k1", 299.9, Action.USE, None),
        (entry(FULL, 0, tried=True), "k1", 300, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (entry(FULL, 0), "k1", 300, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (entry(FULL, 0), "k1", 1e9, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
        (entry(FULL, 0), "k2", 0, Action.REFRESH, Reason.UNKNOWN_KID),
        (entry(FULL, 0), "k2", 250, Action.REFRESH, Reason.UNKNOWN_KID),
        (entry(BROKEN, 0), "k1", 0, Action.REFRESH, Reason.UNUSABLE_KEY),
        (entry(BROKEN, 0), None, 0, Action.REFRESH, Reason.UNUSABLE_KEY),
        (entry(BROKEN, 0), "k1", 299.9, Action.REFRESH, Reason.UNUSABLE_KEY),
        (entry(TWINS, 0), "k1", 0, Action.REFUSE, Reason.AMBIGUOUS_KEY),
        (entry(TWINS, 0), None, 0, Action.REFUSE, Reason.AMBIGUOUS_KEY),
        (entry(EMPTY, 0), "k1", 29.9, Action.REFRESH, Reason.NO_KEYS),
        (entry(EMPTY, 0), "k1", 30, Action.REFRESH, Reason.JWKS_UNAVAILABLE),
    ],
)
def test_what_to_do_with_what_is_known(
    known: Entry | None, kid: str | None, now: float, action: Action, reason: Reason | None
) -> None:
    decision = freshness.decide(known, KeyQuery("RS256", kid), at(now))
    assert decision.action is action
    assert (decision.found.reason if isinstance(decision.found, NoKey) else None) is reason


def test_a_key_that_only_the_registration_stands_against_is_not_fetched_again() -> None:
    """It names no alg, and the client may use two that it fits: the document is not at fault."""
    known = entry(keys(jwk(alg=...)), 0)

    def action(kid: str, *signing_algs: str) -> Action:
        return freshness.decide(known, KeyQuery("RS256", kid, signing_algs), at(0)).action

    assert action("k1", "RS256", "PS256") is Action.REFUSE
    assert action("k1", "RS256", "ES256") is Action.USE
    assert action("k2", "RS256", "PS256") is Action.REFRESH


EPOCH = 1_000.0


def test_ages_count_and_not_times() -> None:
    def action(age: float, kid: str = "k1", **changes: Any) -> Action:
        return freshness.decide(entry(FULL, EPOCH, **changes), KeyQuery("RS256", kid), at(EPOCH + age)).action

    assert [action(age) for age in (0, 239.9, 240, 299.9, 300)] == [
        Action.USE,
        Action.USE,
        Action.USE_AND_REFRESH,
        Action.USE_AND_REFRESH,
        Action.REFRESH,
    ]
    assert action(299.9, tried=True) is Action.USE
    assert action(0, "k2") is Action.REFRESH


@pytest.mark.parametrize(
    ("age", "expires", "fresh"),
    [(0, 300, 240), (100, 200, 160), (269.9, 30.1, 24.08), (270, 30, 24), (1e9, 30, 24)],
)
def test_an_age_shortens_the_use_of_a_set_down_to_30_s(age: float, expires: float, fresh: float) -> None:
    made = entry(FULL, EPOCH, age=age)
    assert made.expires_at == pytest.approx(EPOCH + expires)
    assert made.wall_expires_at == pytest.approx(WALL + EPOCH + expires)
    assert made.fresh_until == pytest.approx(EPOCH + fresh)
    assert made.asked_at == EPOCH
    assert made.fetched_at == pytest.approx(EPOCH + expires - POLICY.ttl)


@pytest.mark.parametrize(("keys", "policy", "life"), [(EMPTY, POLICY, 30), (FULL, JWKSPolicy(ttl=20), 20)])
def test_an_age_shortens_no_life_of_30_s_or_less(keys: KeySet, policy: JWKSPolicy, life: float) -> None:
    assert entry(keys, EPOCH, policy, age=299).expires_at == EPOCH + life


def test_refresh_ahead_of_a_shared_set_counts_in_what_remains_of_it() -> None:
    made = entry(FULL, EPOCH, seen=at(EPOCH + 250))
    assert made.expires_at == EPOCH + 300
    assert made.fresh_until == pytest.approx(EPOCH + 290)


def test_a_fetched_set_is_no_older_than_a_shared_one_for_its_age() -> None:
    fetched = entry(FULL, EPOCH + 5, age=25)
    assert not fetched.is_older(new_entry(FULL, at(EPOCH), POLICY))
    assert fetched.is_older(new_entry(FULL, at(EPOCH + 6), POLICY))


def test_a_set_is_known_since_it_was_asked_for_whatever_its_age() -> None:
    assert entry(FULL, EPOCH, age=25).known_since == EPOCH
    assert entry(FULL, EPOCH, seen=at(EPOCH + 250)).known_since == EPOCH


def test_a_set_is_not_older_than_itself() -> None:
    for each in (entry(FULL, EPOCH), new_entry(FULL, at(EPOCH), POLICY)):
        assert not each.is_older(each)


def test_an_entry_keeps_the_digest_of_its_document() -> None:
    assert entry(FULL, EPOCH, digest=7).digest == 7
    assert entry(FULL, EPOCH).digest == 0


def test_a_shared_set_is_known_by_its_age() -> None:
    fetched = entry(FULL, EPOCH + 5, age=25)
    assert new_entry(FULL, at(EPOCH - 21), POLICY).is_older(fetched)
    assert not new_entry(FULL, at(EPOCH - 19), POLICY).is_older(fetched)


@pytest.mark.parametrize(("wall", "action"), [(299.9, Action.USE), (300, Action.REFRESH), (-1e6, Action.USE)])
def test_the_wall_clock_ends_a_set_and_prolongs_none(wall: float, action: Action) -> None:
    known = entry(FULL, EPOCH)
    query = KeyQuery("RS256", "k1")
    assert freshness.decide(known, query, Instant(EPOCH, WALL + EPOCH + wall)).action is action
    assert freshness.decide(known, query, Instant(EPOCH + 300, WALL + EPOCH + wall)).action is Action.REFRESH


def test_staleness_counts_ages_and_not_times() -> None:
    tolerant = replace(POLICY, stale_if_error=60)

    def allowed(age: float, failed: float) -> bool:
        return freshness.may_be_stale(entry(FULL, EPOCH), EPOCH + failed, at(EPOCH + age), tolerant)

    assert allowed(359.9, 330)
    assert not allowed(359.9, 329.9)
    assert not allowed(360, 360)
    for late in (Instant(EPOCH + 330, WALL + EPOCH + 360), Instant(EPOCH + 360, WALL + EPOCH + 330)):
        assert not freshness.may_be_stale(entry(FULL, EPOCH), EPOCH + 330.1, late, tolerant)


def test_a_budget_counts_ages_and_not_times() -> None:
    budget = Budget()
    assert [budget.take(EPOCH + age, POLICY) for age in (0, 10, 20, 30, 30.1)] == [True, True, False, True, False]
    assert budget.retry_after(EPOCH + 31, POLICY) == pytest.approx(9)
    assert not budget.is_idle(EPOCH + 59.9, POLICY)
    assert budget.is_idle(EPOCH + 60, POLICY)


def test_a_spent_budget_is_reported_once_until_a_fetch_is_taken() -> None:
    budget = Budget()
    assert [budget.note_refusal(), budget.note_refusal()] == [True, False]
    assert budget.take(EPOCH, POLICY)
    assert [budget.note_refusal(), budget.note_refusal()] == [True, False]


def test_refresh_ahead_can_be_turned_off() -> None:
    known = entry(FULL, 0, replace(POLICY, refresh_ahead=1))
    assert freshness.decide(known, KeyQuery("RS256", "k1"), at(299.9)).action is Action.USE


def test_an_empty_set_never_lives_longer_than_a_full_one() -> None:
    assert freshness.lifetime(EMPTY, POLICY) == 30
    assert freshness.lifetime(EMPTY, JWKSPolicy(ttl=10)) == 10
    assert freshness.lifetime(FULL, POLICY) == 300


def test_stale_keys_are_capped() -> None:
    def allowed(now: float, policy: JWKSPolicy, failed_at: float) -> bool:
        return freshness.may_be_stale(entry(FULL, 0, policy), failed_at, at(now), policy)

    assert not allowed(300, POLICY, 300)
    tolerant = replace(POLICY, stale_if_error=60)
    assert allowed(359.9, tolerant, 359.9)
    assert allowed(359.9, tolerant, 330)
    assert not allowed(359.9, tolerant, 329.9)
    assert not allowed(360, tolerant, 360)


def test_a_budget_is_a_sliding_window() -> None:
    budget = Budget()
    assert [budget.take(now, POLICY) for now in (0, 29, 29.9)] == [True, True, False]
    assert budget.retry_after(29.9, POLICY) == pytest.approx(0.1)
    assert [budget.take(now, POLICY) for now in (30, 30.1, 58.9, 59)] == [True, False, False, True]


def test_a_fetch_that_sent_nothing_is_given_back() -> None:
    budget = Budget()
    budget.give_back(0)
    assert [budget.take(0, POLICY) for _ in range(3)] == [True, True, False]
    budget.give_back(0)
    assert [budget.take(0, POLICY) for _ in range(2)] == [True, False]


def test_a_fetch_is_given_back_and_not_a_later_one() -> None:
    budget = Budget()
    assert [budget.take(now, POLICY) for now in (0, 10)] == [True, True]
    budget.give_back(0)
    assert [budget.take(now, POLICY) for now in (30, 39.9, 40)] == [True, False, True]
    budget.give_back(10)
    assert not budget.take(59.9, POLICY)


def test_a_budget_with_room_needs_no_wait() -> None:
    assert Budget().retry_after(0, POLICY) == 0


def test_a_budget_is_idle_when_its_last_fetch_is_old() -> None:
    budget = Budget()
    assert budget.is_idle(0, POLICY)
    budget.take(0, POLICY)
    assert not budget.is_idle(29.9, POLICY)
    assert budget.is_idle(30, POLICY)


def named(*kids: str) -> KeySet:
    return keys(*(jwk(kid=kid) for kid in kids))


def test_a_set_knows_which_kids_were_removed_and_when() -> None:
    now = Instant(1_000.0, 2_000.0)
    first = new_entry(named("a", "b"), now, POLICY)
    second = new_entry(named("b", "c"), Instant(1_100.0, 2_100.0), POLICY).after(first)
    assert (second.removed_at("a"), second.removed_at("b"), second.removed_at("x")) == (1_100.0, None, None)
    assert second.known_since == 1_000.0
    third = new_entry(named("a"), Instant(1_200.0, 2_200.0), POLICY).after(second)
    assert (third.removed_at("a"), third.removed_at("b"), third.removed_at("c")) == (None, 1_200.0, 1_200.0)


def test_as_many_removed_kids_are_known_as_a_set_may_have() -> None:
    assert POLICY.max_keys == MAX_REMOVED


def test_of_a_kid_that_was_removed_long_ago_nothing_is_claimed() -> None:
    last = new_entry(named("k0"), Instant(0.0, 0.0), POLICY)
    for number in range(1, MAX_REMOVED + 3):
        last = new_entry(named(f"k{number}"), Instant(float(number), 0.0), POLICY).after(last)
    assert len(last.removed) == MAX_REMOVED
    assert last.removed_at("k0") is None
    # `k1` was there until 2: that none was seen since then is true of it, too.
    assert last.known_since == 2.0
    assert last.removed_at("k2") == 3.0
