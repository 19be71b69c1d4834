"""Stores that need an extra are there when it is, and say which one when it is not."""

import subprocess
import sys

import pytest

import private_key_jwt
from private_key_jwt import ConfigurationError, stores


@pytest.mark.parametrize("name", stores.__all__)
def test_every_store_can_be_imported(name: str) -> None:
    assert getattr(stores, name).__name__ == name


@pytest.mark.parametrize(
    ("name", "module", "need"),
    [
        ("RedisReplayStore", "_replay_stores.redis", r"pip install 'private-key-jwt\[redis\]'"),
        ("AsyncRedisJWKSCache", "_jwks_caches.redis", r"pip install 'private-key-jwt\[redis\]'"),
        ("SQLAlchemyReplayStore", "_replay_stores.sqlalchemy", r"pip install 'private-key-jwt\[sqlalchemy\]'"),
        ("SQLiteReplayStore", "_replay_stores.sqlite", "Python's module sqlite3"),
    ],
)
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, name: str, module: str, need: str) -> None:
    monkeypatch.setitem(sys.modules, f"{stores.__name__}.{module}", None)  # what the import system takes for absent
    with pytest.raises(ConfigurationError, match=need) as raised:
        getattr(stores, name)
    assert isinstance(raised.value, ImportError)  # `help()` shows no traceback of one


def test_only_what_is_kept_in_sqlite_needs_it() -> None:
    """Some builds of Python have no sqlite3."""
    code = f"""
import sys
sys.modules["sqlite3"] = None  # what the import system takes for absent
from private_key_jwt import stores
for name in {stores.__all__}:
    try:
        getattr(stores, name)
    except ImportError:
        print(name)
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["SQLiteJWKSCache", "SQLiteReplayStore"]


def test_what_is_no_store_is_no_attribute() -> None:
    assert not hasattr(stores, "MemcachedReplayStore")


def test_what_lives_in_one_process_says_so() -> None:
    assert private_key_jwt.MemoryReplayStore.in_process
    shared = [name for name in stores.__all__ if name.removeprefix("Async").startswith(("SQL", "Redis"))]
    assert len(shared) == 8
    assert not any(getattr(getattr(stores, name), "in_process", False) for name in shared)
