"""What a verifier asks of the store that it is given."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.utils.functional import SimpleLazyObject
from werkzeug.local import LocalProxy

from private_key_jwt import (
    AssertionPolicy,
    AsyncClientAssertionVerifier,
    ClientAssertionVerifier,
    ConfigurationError,
    InvalidClient,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
    VerifiedAssertion,
)
from private_key_jwt.stores import SQLiteReplayStore
from private_key_jwt.testing import RelyingParty


class Counting:
    """A wrapper, as one writes it for metrics."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.adds = 0

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        self.adds += 1
        return self.store.add(key, expires_at, now)


class Slotted:
    """A store of somebody's, without a ``__dict__``."""

    __slots__ = ()

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        return True


@dataclass(slots=True)
class InSlots:
    """A wrapper whose attributes are no ``__dict__``; one of them is not there."""

    __store: Any
    adds: int = field(init=False)

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return self.__store.add(key, expires_at, now)


class InSlotsOfItsBase(InSlots):
    """A wrapper that inherits where it keeps the store."""

    __slots__ = ()


class Bound:
    """A wrapper that keeps the method of the store, and not the store."""

    def __init__(self, store: Any) -> None:
        self.add_to_store = store.add

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return self.add_to_store(key, expires_at, now)


class Unreadable(Slotted):
    """A store that cannot say where it lives."""

    @property
    def in_process(self) -> bool:
        raise OSError("no route")


WRAPPERS: list[Callable[[Any], Any]] = [
    Counting,
    InSlots,
    InSlotsOfItsBase,
    Bound,
    lambda store: Counting(InSlots(store)),
]


def verifier(kind: Any, store: Any, **settings: Any) -> Any:
    party = RelyingParty()
    tenant = party.tenant()
    client = RegisteredClient(tenant.client_id, jwks={"keys": [tenant.current_key.public_jwk()]})
    made = kind(policy=AssertionPolicy(audience=party.audience), clients=[client], replay_store=store, **settings)
    return made, tenant


@pytest.mark.parametrize("kind", [ClientAssertionVerifier, AsyncClientAssertionVerifier])
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_several_workers_need_more_than_a_wrapped_store_of_one_process(kind: Any, wrap: Any) -> None:
    with pytest.raises(ConfigurationError, match="workers is 4, and .* lives in one process"):
        verifier(kind, wrap(MemoryReplayStore()), workers=4)
    verifier(kind, wrap(MemoryReplayStore()), workers=1)


@pytest.mark.parametrize("kind", [ClientAssertionVerifier, AsyncClientAssertionVerifier])
def test_a_store_of_your_own_that_says_so_is_one_of_one_process(kind: Any) -> None:
    class Mine:
        in_process = True

        def __init__(self) -> None:
            self.threads: set[int] = set()

        def add(self, key: bytes, expires_at: float, now: float) -> bool:
            self.threads.add(threading.get_ident())
            return True

    with pytest.raises(ConfigurationError, match="workers is 2, and Mine lives in one process"):
        verifier(kind, Mine(), workers=2)
    made, tenant = verifier(kind, store := Mine())

    async def verify() -> None:
        verified = made.verify(tenant.assertion())
        if kind is AsyncClientAssertionVerifier:
            await verified

    asyncio.run(verify())
    assert store.threads == {threading.get_ident()}


@pytest.mark.parametrize(
    "store",
    [Slotted(), *(wrap(Slotted()) for wrap in WRAPPERS), Counting(Counting(Counting(Counting(Slotted()))))],
)
def test_several_workers_may_wrap_what_they_share(store: Any) -> None:
    verifier(ClientAssertionVerifier, store, workers=4)


def no_request() -> Any:
    raise LookupError("working outside of a request")


PROXIES = [LocalProxy(no_request), SimpleLazyObject(no_request), Unreadable()]


@pytest.mark.parametrize("proxy", range(len(PROXIES)))  # by number: pytest looks at a value to name the test
@pytest.mark.parametrize("wrap", WRAPPERS)
def test_a_store_may_keep_what_there_is_in_a_request_only(wrap: Any, proxy: int) -> None:
    store = Counting(Slotted())
    store.current_app = PROXIES[proxy]  # type: ignore[attr-defined]
    verifier(ClientAssertionVerifier, wrap(store), workers=4)
    store.store = MemoryReplayStore()
    with pytest.raises(ConfigurationError, match="lives in one process"):
        verifier(ClientAssertionVerifier, wrap(store), workers=4)


def test_an_async_verifier_asks_sqlite_once_for_all_who_wait(tmp_path: Path) -> None:
    store = SQLiteReplayStore(tmp_path / "replay.db")
    sent: list[str] = []
    store._file.run(lambda session: session._connection.set_trace_callback(sent.append), 1)

    async def run() -> list[object]:
        subject, tenant = verifier(AsyncClientAssertionVerifier, store, workers=4)
        assertions = [tenant.assertion() for _ in range(6)]
        tasks = [subject.verify(assertion) for assertion in assertions * 2]
        results: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
        await subject.aclose()
        return results

    results = asyncio.run(run())
    assert [type(result) for result in results].count(VerifiedAssertion) == 6
    refused = [result for result in results if isinstance(result, InvalidClient)]
    assert [error.reason for error in refused] == [Reason.REPLAYED] * 6
    # The first add was alone. The batch of the others holds replays, and so is begun anew without them: it ends once.
    assert sent.count("COMMIT") == 1
    store.close()
