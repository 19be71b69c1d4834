"""A short run of the chaos, and whether its ledger sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.command import faults, threads_on_one_assertion
from chaos.ledger import ACCEPTED, KILLED, Ledger, Limits, Outage
from chaos.scene import play


def test_64_threads_on_one_assertion() -> None:
    assert threads_on_one_assertion(rounds=3) == [1, 1, 1]


def test_workers_store_and_publisher_are_killed_under_load(tmp_path: Path) -> None:
    ledger = play("sqlite", tmp_path, seconds=4, workers=3)
    assert not sum(faults(ledger).values()), (faults(ledger), ledger.outside()[:3], ledger.foreign())
    for name in ("rotations", "workers killed", "store killed", "JWKS server killed", "rounds of one for all"):
        assert ledger.happened[name], name
    assert ledger.counts()[ACCEPTED] > 50
    assert ledger.counts()["replayed"] > 50


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger(Limits(ttl=4, window=3, fetch_timeout=2, store_timeout=1, slack=0))
    ledger.published["old"] = ledger.published["new"] = 0.0
    return ledger


def note(ledger: Ledger, outcome: str, *, assertion: int = 1, kid: str = "old", sent: float = 100) -> None:
    presentation = ledger.presentations[ledger.sent(assertion, kid)]
    presentation.sent, presentation.answered, presentation.outcome = sent, sent + 0.1, outcome


def test_a_second_acceptance_is_seen(ledger: Ledger) -> None:
    note(ledger, ACCEPTED)
    note(ledger, "replayed")
    assert ledger.accepted_twice() == 0
    note(ledger, ACCEPTED)
    assert ledger.accepted_twice() == 1


def test_a_removed_key_that_works_on_is_seen(ledger: Ledger) -> None:
    ledger.removed["old"] = 100
    note(ledger, ACCEPTED, sent=103.9)
    assert ledger.accepted_after_removal() == 0
    note(ledger, ACCEPTED, sent=104.1)
    assert ledger.accepted_after_removal() == 1


def test_a_foreign_exception_is_seen(ledger: Ledger) -> None:
    note(ledger, "foreign KeyError('x')")
    assert faults(ledger)["foreign exceptions"] == 1
    assert len(ledger.outside()) == 1


def test_a_replay_of_nothing_is_outside_of_the_bounds(ledger: Ledger) -> None:
    note(ledger, "replayed")
    assert len(ledger.outside()) == 1
    note(ledger, KILLED)  # who was killed may have made the mark
    assert ledger.outside() == []


@pytest.mark.parametrize(
    ("outcome", "sent", "within"),
    [
        ("replay_store_unavailable", 9.8, False),
        ("replay_store_unavailable", 9.95, True),
        ("replay_store_unavailable", 13, True),
        ("replay_store_unavailable", 13.1, False),
        ("jwks_unavailable", 19.8, False),
        ("jwks_unavailable", 29, True),
        ("jwks_unavailable", 29.1, False),
        ("unknown_kid", 5, True),
        ("unknown_kid", 5.1, False),
        ("unknown_kid", 29, True),
        ("expired", 12, False),
        ("bad_signature", 22, False),
        ("pending", 12, False),
    ],
)
def test_each_refusal_has_its_bound(ledger: Ledger, outcome: str, sent: float, within: bool) -> None:
    ledger.store_outages.append(Outage(10, 12))
    ledger.jwks_outages.append(Outage(20, 24))
    note(ledger, outcome, sent=sent)
    assert (ledger.outside() == []) is within


def test_a_removed_key_may_be_unknown_at_any_time(ledger: Ledger) -> None:
    ledger.removed["old"] = 50
    note(ledger, "unknown_kid", sent=90)
    note(ledger, "unknown_kid", sent=90, kid="new")
    assert [each.kid for each, _ in ledger.outside()] == ["new"]
