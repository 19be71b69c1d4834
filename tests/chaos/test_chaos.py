"""A short run of the chaos, and whether its record sees what it is there to see."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import children
from chaos.command import faults, threads_on_one_assertion
from chaos.fleet import JWKSServer
from chaos.record import ACCEPTED, KILLED, Limits, Outage, Record
from chaos.scenario import run
from support import until


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
def processes(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[Any]]:
    """All that are started from now on."""
    started: list[subprocess.Popen[Any]] = []

    class Noted(subprocess.Popen[Any]):
        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            started.append(self)

    monkeypatch.setattr(subprocess, "Popen", Noted)
    return started


def test_a_worker_that_does_not_start_leaves_nothing_running(
    tmp_path: Path, processes: list[subprocess.Popen[Any]]
) -> None:
    (tmp_path / "replay.sqlite").mkdir()
    with pytest.raises(AssertionError, match="as a SQLite database"):
        run("sqlite", tmp_path, seconds=1, workers=2)
    assert len(processes) == 3
    assert all(process.returncode is not None for process in processes)


def test_a_publisher_that_does_not_start_leaves_nothing_running(
    tmp_path: Path, processes: list[subprocess.Popen[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))
    with pytest.raises(AssertionError, match="JWKS server ended"):
        run("redis", tmp_path, seconds=1, workers=2)
    assert [process.returncode is not None for process in processes] == [True] * len(processes)
    assert len(processes) >= 2


def test_a_publisher_does_not_outlive_who_started_it(tmp_path: Path) -> None:
    reader, writer = os.pipe()

    def start() -> int:
        os.write(writer, str(JWKSServer(tmp_path).process.pid).encode())
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert children.wait(children.fork(start)) == -signal.SIGKILL
    pid = int(os.read(reader, 20))
    os.close(reader)
    os.close(writer)
    until(lambda: not Path(f"/proc/{pid}").exists() or _is_zombie(pid), "the publisher lives on")


def _is_zombie(pid: int) -> bool:
    """Whether it has ended, and only nobody has asked for its status."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


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
