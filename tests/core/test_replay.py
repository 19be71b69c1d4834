"""Step 6: what is remembered of an assertion."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from private_key_jwt import InvalidClient
from private_key_jwt._core.claims import check_not_expired, replay_key, retain_until
from private_key_jwt.policy import LONGEST_LEEWAY

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(texts, texts, texts, texts)
def test_the_key_is_injective(client_id: str, jti: str, other_client_id: str, other_jti: str) -> None:
    same = (client_id, jti) == (other_client_id, other_jti)
    assert (replay_key(client_id, jti) == replay_key(other_client_id, other_jti)) is same


def test_a_separator_cannot_be_forged() -> None:
    pairs = [
        ("a", "bc"),
        ("ab", "c"),
        ("", "abc"),
        ("a:1", "b"),
        ("a", ":1b"),
        ("1:a", "b"),
        ("a\0", "b"),
        ("a", "\0b"),
    ]
    assert len({replay_key(*pair) for pair in pairs}) == len(pairs)


def test_a_key_has_32_bytes_whatever_the_jti_holds() -> None:
    assert {len(replay_key("c", jti)) for jti in ("j", "\0", "é" * 128)} == {32}


LEEWAYS = sorted({0.0, 0.5, 1.0, 15.0, 60.0, LONGEST_LEEWAY - 0.001, float(LONGEST_LEEWAY)})
DIFFERENCES = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the longest leeway: how far one host's clock is ahead of another's


def accepts(exp: float, leeway: float, now: float) -> bool:
    try:
        check_not_expired(exp, leeway, now)
    except InvalidClient:
        return False
    return True


def last_accepted(exp: float, leeway: float) -> float:
    """The last instant at which the recipe accepts an assertion, by the clock of the host that does."""
    accepted, refused = exp - 1, exp + 3 * LONGEST_LEEWAY
    assert [accepts(exp, leeway, now) for now in (accepted, refused)] == [True, False]
    while (middle := (accepted + refused) / 2) not in (accepted, refused):
        if accepts(exp, leeway, middle):
            accepted = middle
        else:
            refused = middle
    return accepted


@pytest.mark.parametrize("exp", [0.0, 100.0, 100.5, 1_700_000_000.0, 1_700_000_000.999])
@pytest.mark.parametrize("leeway", LEEWAYS)
def test_a_mark_outlives_the_assertion_on_every_clock_within_leeway(exp: float, leeway: float) -> None:
    """Law 1. A store that counts in whole seconds may let a mark go up to one too early."""
    last = last_accepted(exp, leeway)
    for difference in DIFFERENCES:
        by_the_store = last + difference * LONGEST_LEEWAY
        assert math.floor(retain_until(exp)) > by_the_store


def test_a_mark_is_kept_for_601_s_after_its_assertion_has_expired() -> None:
    """What a store must hold is computed from that."""
    assert [retain_until(exp) for exp in (100, 100.5)] == [701, 701.5]


def test_keys_stay_what_they_are_from_release_to_release() -> None:
    # While a new release is rolled out, old and new workers share one store: another key would be a second use.
    assert replay_key("client-1", "j1").hex() == "ac6b5c11609b2fa1b6b1b26cbbd82c6009ecab2e59cf8146c945fb7b1f30525c"
