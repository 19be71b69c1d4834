"""A short run of the chaos, and whether its record sees what it is there to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from chaos.command import faults, threads_on_one_assertion
from chaos.record import ACCEPTED, KILLED, Limits, Outage, Record
from chaos.scenario import run


def test_64_threads_on_one_assertion() -> None:
    assert threads_on_one_assertion(rounds=3) == [1, 1, 1]


@pytest.mark.slow
def test_workers_store_and_publisher_are_killed_under_load(tmp_path: Path) -> None:
    record = run("sqlite", tmp_path, seconds=4, workers=3)
    assert not sum(faults(record).values()), (faults(record), record.outside()[:3], record.foreign())
    for name in ("rotations", "workers killed", "store killed", "JWKS server killed", "rounds of one for all"):
        assert record.happened[name], name
    assert record.counts()[ACCEPTED] > 50
    assert record.counts()["replayed"] > 50


@pytest.fixture
def record() -> Record:
    record = Record(Limits(ttl=4, window=3, fetch_timeout=2, store_timeout=1, slack=0))
    record.published["old"] = record.published["new"] = 0.0
    return record


def note(record: Record, outcome: str, *, assertion: int = 1, kid: str = "old", sent: float = 100) -> None:
    presentation = record.presentations[record.sent(assertion, kid)]
    presentation.sent, presentation.answered, presentation.outcome = sent, sent + 0.1, outcome


def test_a_second_acceptance_is_seen(record: Record) -> None:
    note(record, ACCEPTED)
    note(record, "replayed")
    assert record.accepted_twice() == 0
    note(record, ACCEPTED)
    assert record.accepted_twice() == 1


def test_a_removed_key_that_works_on_is_seen(record: Record) -> None:
    record.removed["old"] = 100
    note(record, ACCEPTED, sent=103.9)
    assert record.accepted_after_removal() == 0
    note(record, ACCEPTED, sent=104.1)
    assert record.accepted_after_removal() == 1


def test_a_foreign_exception_is_seen(record: Record) -> None:
    note(record, "foreign KeyError('x')")
    assert faults(record)["foreign exceptions"] == 1
    assert len(record.outside()) == 1


def test_a_replay_of_nothing_is_outside_of_the_bounds(record: Record) -> None:
    note(record, "replayed")
    assert len(record.outside()) == 1
    note(record, KILLED)  # who was killed may have made the mark
    assert record.outside() == []


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
def test_each_refusal_has_its_bound(record: Record, outcome: str, sent: float, within: bool) -> None:
    record.store_outages.append(Outage(10, 12))
    record.jwks_outages.append(Outage(20, 24))
    note(record, outcome, sent=sent)
    assert (record.outside() == []) is within


def test_a_removed_key_may_be_unknown_at_any_time(record: Record) -> None:
    record.removed["old"] = 50
    note(record, "unknown_kid", sent=90)
    note(record, "unknown_kid", sent=90, kid="new")
    assert [each.kid for each, _ in record.outside()] == ["new"]
