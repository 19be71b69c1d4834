"""Step 6: what is remembered of an assertion."""

from hypothesis import given
from hypothesis import strategies as st

from private_key_jwt._core.claims import replay_key, retain_until
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


def test_a_mark_outlives_the_assertion_on_every_clock_within_leeway() -> None:
    assert retain_until(100) == 100 + 2 * LONGEST_LEEWAY + 1
    assert retain_until(100.5) == 100.5 + 2 * LONGEST_LEEWAY + 1


def test_keys_stay_what_they_are_from_release_to_release() -> None:
    # While a new release is rolled out, old and new workers share one store: another key would be a second use.
    assert replay_key("client-1", "j1").hex() == "ac6b5c11609b2fa1b6b1b26cbbd82c6009ecab2e59cf8146c945fb7b1f30525c"
