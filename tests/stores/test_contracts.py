"""The contracts: our stores in memory keep them, and stores with one mistake are caught."""

import threading
import time
from typing import Any

import pytest

from private_key_jwt import JWKSDocument, JWKSPolicy, MemoryJWKSCache, MemoryReplayStore, Reason, TemporarilyUnavailable
from private_key_jwt.testing import JWKSCacheContract, ReplayStoreContract


class TestMemoryReplayStore(ReplayStoreContract):
    shared = can_break = has_prefix = False
    can_fill = True

    def open_store(self) -> Any:
        return MemoryReplayStore()

    def open_small(self) -> Any:
        return MemoryReplayStore(100)


class TestMemoryJWKSCache(JWKSCacheContract):
    shared = can_break = False

    def open_cache(self) -> Any:
        return MemoryJWKSCache()


class Stores:
    """Stores that would be right but for one mistake. All that a class opens share their marks."""

    def __init__(self) -> None:
        self.marks: dict[bytes, float] = {}
        self.broken = False
        self.lock = threading.Lock()

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        with self.lock:
            if self.broken:
                raise TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, "broken")
            if self.marks.get(key, now) > now:
                return False
            self.marks[key] = expires_at
            return True


class Awaited(Stores):
    async def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return Stores.add(self, key, expires_at, now)

    async def aclose(self) -> None:
        self.broken = True


class Racing(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if key in self.marks:
            return False
        threading.Event().wait(0.001)
        self.marks[key] = expires_at
        return True


class Forgetful(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if len(self.marks) >= 100:
            self.marks.pop(next(iter(self.marks)))
        return super().add(key, expires_at, now)


class Amnesic(Stores):
    """Forgets what has expired by whichever clock, and does not remember that it did."""

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        self.marks = {known: until for known, until in self.marks.items() if until > now}
        return super().add(key, expires_at, now)


class Small(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if len(self.marks) >= 1_500:
            self.marks.pop(next(iter(self.marks)))
        return super().add(key, expires_at, now)


class Careful(Amnesic):
    """The same, and it says that it cannot tell."""

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if expires_at <= getattr(self, "latest", 0.0):
            raise TemporarilyUnavailable(Reason.REPLAY_STORE_UNAVAILABLE, "the clock was set back")
        self.latest = max(getattr(self, "latest", 0.0), now)
        return super().add(key, expires_at, now)


class Full(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if len(self.marks) >= 100:
            raise TemporarilyUnavailable(Reason.CLIENT_LOOKUP_FAILED, "the wrong reason")
        return super().add(key, expires_at, now)


class Truthy(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return int(super().add(key, expires_at, now))


class Eternal(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return super().add(key, 1e12, now)


class Hasty(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return super().add(key, expires_at - 0.2, now)


class Text(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return super().add(key.split(b"\0")[0].lower(), expires_at, now)


class FailingOpen(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        return True if self.broken else super().add(key, expires_at, now)


class FailingOddly(Stores):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if self.broken:
            raise TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, "the wrong reason")
        return super().add(key, expires_at, now)


class FailingPlainly(Stores):
    """It raises what its engine does."""

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if self.broken or (len(self.marks) >= 100 and not self.marks.get(key, 0) > now):
            raise ConnectionError("the engine is away, or full")
        return super().add(key, expires_at, now)


class FailingForAll(Stores):
    """When it is full, it raises for any key."""

    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        if len(self.marks) >= 100:
            raise ConnectionError("full")
        return super().add(key, expires_at, now)


class CarefulPlainly(Careful):
    def add(self, key: bytes, expires_at: float, now: float) -> Any:
        try:
            return super().add(key, expires_at, now)
        except TemporarilyUnavailable:
            raise RuntimeError("the clock went back") from None


def run(store: Stores, test: str, other: Stores | None = None, **switches: bool) -> None:
    """One test of the contract on one engine."""

    class Contract(ReplayStoreContract):
        def open_store(self) -> Any:
            return store

        def open_other(self) -> Any:
            return other or type(store)()

        def open_small(self) -> Any:
            return store

        def break_store(self, store: Any) -> None:
            store.broken = True

    contract = Contract()
    for name, value in switches.items():
        setattr(contract, name, value)
    contract.setup_method()
    try:
        getattr(contract, test)()
    finally:
        contract.teardown_method()


TESTS = [name for name in dir(ReplayStoreContract) if name.startswith("test_")]
IN_PROCESS = [name for name in TESTS if "_processes_" not in name and name != "test_workers_share_their_marks"]


@pytest.mark.parametrize("kind", [Stores, Awaited])
@pytest.mark.parametrize("test", IN_PROCESS)
def test_a_right_store_passes(kind: type[Stores], test: str) -> None:
    run(kind(), test)


def test_a_store_that_cannot_tell_after_a_clock_ran_ahead_passes() -> None:
    run(Careful(), "test_a_clock_that_runs_ahead_revives_nothing_for_the_others")


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (FailingPlainly, "test_an_engine_that_fails_accepts_nothing"),
        (FailingPlainly, "test_a_full_store_refuses_and_forgets_nothing_live"),
        (FailingForAll, "test_a_full_store_refuses_and_forgets_nothing_live"),
        (CarefulPlainly, "test_a_clock_that_runs_ahead_revives_nothing_for_the_others"),
    ],
)
def test_a_store_may_raise_what_it_likes_when_it_cannot_tell(kind: type[Stores], test: str) -> None:
    run(kind(), test, can_fill=True)


def test_a_right_bounded_store_passes() -> None:
    class Bounded(Stores):
        def add(self, key: bytes, expires_at: float, now: float) -> Any:
            if len(self.marks) >= 100 and key not in self.marks:
                raise TemporarilyUnavailable(Reason.REPLAY_STORE_FULL, "full")
            return super().add(key, expires_at, now)

    run(Bounded(), "test_a_full_store_refuses_and_forgets_nothing_live", can_fill=True)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (Truthy, "test_a_key_is_new_once"),
        (Eternal, "test_a_key_is_live_until_it_expires_and_gone_after"),
        (Hasty, "test_a_key_is_live_until_it_expires_and_gone_after"),
        (Text, "test_every_byte_of_a_key_counts"),
        (Racing, "test_one_of_64_concurrent_callers_wins"),
        (Stores, "test_one_of_8_processes_wins"),
        (Stores, "test_one_of_8_processes_with_16_callers_each_wins_each_round"),
        (Awaited, "test_one_of_8_processes_with_16_callers_each_wins_each_round"),
        (FailingOpen, "test_an_engine_that_fails_accepts_nothing"),
        (FailingOddly, "test_an_engine_that_fails_accepts_nothing"),
        (Forgetful, "test_a_full_store_refuses_and_forgets_nothing_live"),
        (Amnesic, "test_a_clock_that_runs_ahead_revives_nothing_for_the_others"),
        (Small, "test_thousands_of_live_marks_stay"),
        (Full, "test_a_full_store_refuses_and_forgets_nothing_live"),
    ],
)
def test_a_store_with_one_mistake_is_caught(kind: type[Stores], test: str) -> None:
    with pytest.raises(AssertionError):
        run(kind(), test, can_fill=True)


def test_stores_that_share_nothing_are_caught() -> None:
    class Alone(ReplayStoreContract):
        def open_store(self) -> Any:
            return Stores()

    contract = Alone()
    contract.setup_method()
    with pytest.raises(AssertionError, match="the second knows"):
        contract.test_workers_share_their_marks()
    contract.teardown_method()


def test_a_child_that_fails_is_an_error_and_no_loss_and_says_why(capfd: pytest.CaptureFixture[str]) -> None:
    class Failing(ReplayStoreContract):
        opened = 0

        def open_store(self) -> Any:
            self.opened += 1
            if self.opened > 1:
                raise OSError("cannot open")
            return Stores()

    contract = Failing()
    contract.setup_method()
    with pytest.raises(AssertionError, match="2, 2"):
        contract.test_one_of_8_processes_wins()
    contract.teardown_method()
    assert "OSError: cannot open" in capfd.readouterr().err


class Closing(Stores):
    """A store that can be closed, or cannot be."""

    def __init__(self, *, can_close: bool) -> None:
        super().__init__()
        self.can_close = can_close
        self.is_closed = False

    def close(self) -> None:
        if not self.can_close:
            raise ConnectionError("the engine is away")
        self.is_closed = True


class ClosingAsync(Closing):
    async def aclose(self) -> None:
        Closing.close(self)


@pytest.mark.parametrize("kind", [Closing, ClosingAsync])
def test_a_store_that_cannot_be_closed_leaves_no_other_open(kind: type[Closing]) -> None:
    stores = [kind(can_close=can_close) for can_close in (True, False, True)]
    opened = iter(stores)

    class Contract(ReplayStoreContract):
        def open_store(self) -> Any:
            return next(opened)

    contract = Contract()
    contract.setup_method()
    for _ in stores:
        contract.test_every_byte_of_a_key_counts()
    loop = contract._runner.get_loop()
    with pytest.raises(ConnectionError):
        contract.teardown_method()
    assert [store.is_closed for store in stores] == [True, False, True]
    assert loop.is_closed()


def test_prefixes_that_collide_are_caught() -> None:
    store = Stores()
    with pytest.raises(AssertionError, match="new there"):
        run(store, "test_two_prefixes_know_nothing_of_each_other", other=store)


@pytest.mark.parametrize(
    ("contract", "hook", "arguments", "switch"),
    [
        (ReplayStoreContract, "open_store", (), None),
        (ReplayStoreContract, "open_other", (), "has_prefix"),
        (ReplayStoreContract, "open_small", (), "can_fill"),
        (ReplayStoreContract, "break_store", (None,), "can_break"),
        (JWKSCacheContract, "open_cache", (), None),
        (JWKSCacheContract, "break_cache", (None,), "can_break"),
    ],
)
def test_a_hook_that_is_not_given_is_an_error_that_says_what_switches_it_off(
    contract: type, hook: str, arguments: tuple[Any, ...], switch: str | None
) -> None:
    way_out = "" if switch is None else f", or set {switch} = False"
    with pytest.raises(NotImplementedError, match=f"^define {hook}{way_out}$"):
        getattr(contract(), hook)(*arguments)
    assert switch is None or (hasattr(contract, switch) and f"``{switch}`` is False" in getattr(contract, hook).__doc__)


class Cache:
    """A cache that several could share, in a thread-safe memory; ``mistake`` names the one it makes."""

    def __init__(self, mistake: str = "") -> None:
        self.mistake = mistake
        self.documents: dict[str, JWKSDocument] = {}
        self.put_at: dict[str, float] = {}
        self.taken: dict[str, list[float]] = {}
        self.broken = False

    def _check(self) -> None:
        if self.broken and self.mistake != "fails open":
            raise OSError("broken")

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        self._check()
        document = self.documents.get(jwks_uri)
        if document is not None and self.mistake != "keeps the clock of a process":
            document = JWKSDocument(document.body, now - (self.put_at[jwks_uri] - document.fetched_at))
        if document is not None and self.mistake == "forgets the age":
            return JWKSDocument(document.body, now)
        if document is not None and self.mistake == "changes the bytes":
            return JWKSDocument(document.body.strip(b"{"), document.fetched_at)
        return document

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        self._check()
        known = self.documents.get(jwks_uri)
        if known is None or known.fetched_at <= document.fetched_at or self.mistake == "takes the older":
            self.documents[jwks_uri] = document
            self.put_at[jwks_uri] = now

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        self._check()
        key = "" if self.mistake == "one budget for all" else jwks_uri
        wall = time.monotonic()
        window = 1e9 if self.mistake == "never gives back" else policy.fetch_window
        live = [at for at in self.taken.get(key, []) if wall - at < window]
        granted = len(live) < policy.fetch_limit or self.mistake == "grants all"
        self.taken[key] = [*live, wall] if granted else live
        return 0 if not granted and self.mistake == "refuses by a number" else granted  # type: ignore[return-value]


def run_cache(cache: Cache, test: str) -> None:
    class Contract(JWKSCacheContract):
        def open_cache(self) -> Any:
            return cache

        def break_cache(self, cache: Any) -> None:
            cache.broken = True

    contract = Contract()
    contract.setup_method()
    try:
        getattr(contract, test)()
    finally:
        contract.teardown_method()


CACHE_TESTS = {name for name in dir(JWKSCacheContract) if name.startswith("test_")} - {
    "test_processes_share_one_budget"
}


@pytest.mark.parametrize("test", sorted(CACHE_TESTS))
def test_a_right_cache_passes(test: str) -> None:
    run_cache(Cache(), test)


def test_a_budget_that_never_comes_back_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("private_key_jwt.testing._contracts.WINDOW_PATIENCE", 1.2)
    with pytest.raises(AssertionError, match="it must come back"):
        run_cache(Cache("never gives back"), "test_a_budget_comes_back_with_its_window")


@pytest.mark.parametrize(
    ("mistake", "test"),
    [
        ("forgets the age", "test_a_document_comes_back_as_it_was"),
        ("changes the bytes", "test_a_document_comes_back_as_it_was"),
        ("takes the older", "test_a_newer_document_stays"),
        ("keeps the clock of a process", "test_an_age_is_the_same_by_another_process_s_clock"),
        ("grants all", "test_workers_share_one_budget"),
        ("refuses by a number", "test_workers_share_one_budget"),
        ("grants all", "test_a_budget_comes_back_with_its_window"),
        ("one budget for all", "test_workers_share_one_budget"),
        ("fails open", "test_an_engine_that_fails_raises"),
        ("", "test_processes_share_one_budget"),
    ],
)
def test_a_cache_with_one_mistake_is_caught(mistake: str, test: str) -> None:
    with pytest.raises(AssertionError):
        run_cache(Cache(mistake), test)
