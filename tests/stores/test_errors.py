"""What the error of a store says of what its driver raised."""

from __future__ import annotations

import pytest
from sqlalchemy import create_engine

from private_key_jwt import TemporarilyUnavailable
from private_key_jwt.stores import SQLAlchemyReplayStore
from private_key_jwt.stores._replay_stores.errors import store_unavailable


class Store:
    """A store."""


class OperationalError(Exception):
    """What a driver raises."""


class UnreadableError(Exception):
    """One whose text raises."""

    def __str__(self) -> str:
        raise OSError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            'connection to server at "10.0.0.7", port 5432 failed:\n\tConnection refused',
            ': connection to server at "10.0.0.7", port 5432 failed: Connection refused',
        ),
        (
            "(1045, \"Access denied for user 'op'@'10.0.0.8' (using password: YES)\")",
            ": (1045, \"Access denied for user 'op'@'10.0.0.8' (using password: YES)\")",
        ),
        (
            'FATAL:  password authentication failed for user "op"',
            ': FATAL: password authentication failed for user "op"',
        ),
        ("Zeitüberschreitung", r": Zeit\xfcberschreitung"),
        ("x" * 300, f": {'x' * 112}...{'x' * 85}"),
        ('could not translate host name "ss@db.internal" to address', ""),
        ('missing "=" after "hunter2"', ""),
        ("invalid dsn: postgresql://op:hunter2", ""),
        ("  ", ""),
    ],
)
def test_what_a_driver_says_is_the_cause_unless_it_may_hold_a_password(text: str, said: str) -> None:
    assert store_unavailable(Store(), OperationalError(text)).detail == f"Store: OperationalError{said}"


def test_an_error_whose_text_raises_is_described_by_its_class() -> None:
    assert store_unavailable(Store(), UnreadableError()).detail == "Store: UnreadableError"


def test_a_database_that_is_down_is_said_to_refuse() -> None:
    engine = create_engine("postgresql+psycopg://op:hunter2@127.0.0.1:1/op")
    store = SQLAlchemyReplayStore(engine)
    with pytest.raises(TemporarilyUnavailable) as caught:
        store.add(bytes(32), 60, 0)
    engine.dispose()
    assert caught.value.detail.startswith("SQLAlchemyReplayStore: OperationalError: connection failed: ")
    assert "Connection refused" in caught.value.detail
    assert "hunter2" not in caught.value.detail
