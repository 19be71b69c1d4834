"""Threads, tasks, event loops and forks."""

import asyncio
import contextlib
import json
import threading
import time
from typing import Any

import pytest
from freezegun import freeze_time

import children
from edges import LOOPBACK, Edge
from loopback import Publisher, http
from private_key_jwt import (
    AsyncJWKSFetcher,
    ConfigurationError,
    InvalidClient,
    JWKSFetcher,
    JWKSPolicy,
    MemoryJWKSCache,
    Reason,
    TemporarilyUnavailable,
    _clocks,
)
from private_key_jwt.fetcher._fetches import DONE, Fetch, RefreshRequest
from private_key_jwt.fetcher._slots import FetchSlots, fetch_slots
from private_key_jwt.stores import JWKSDocument
from private_key_jwt.testing import Clock
from support import jwk, registered


@pytest.fixture
def publisher() -> Any:
    publisher = Publisher([jwk()])
    yield publisher
    publisher.close()


def reason(call: Any) -> Reason:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    return caught.value.reason


def detail(call: Any) -> str:
    with pytest.raises(TemporarilyUnavailable) as caught:
        call()
    return caught.value.detail.rpartition(" (")[0]


# Tasks and event loops


def test_a_cancelled_waiter_takes_nobody_down(publisher: Publisher) -> None:
    """Law 6."""

    async def run() -> None:
        async with AsyncJWKSFetcher(LOOPBACK) as fetcher:
            publisher.hold()
            first = asyncio.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
            second = asyncio.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
            await asyncio.to_thread(publisher.await_requests, 1)
            first.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await first
            publisher.release()
            assert (await second).kid == "k1"
        assert publisher.count == 1

    asyncio.run(run())


def test_one_event_loop_after_the_other(publisher: Publisher) -> None:
    fetcher = AsyncJWKSFetcher(LOOPBACK)

    async def ask(path: str) -> str | None:
        return (await fetcher.get_key(registered(publisher.uri(path)), "RS256", "k1")).kid

    async def leave_behind() -> None:
        publisher.hold()
        asyncio.create_task(ask("/c"))  # noqa: RUF006 - it is left behind on purpose
        await asyncio.to_thread(publisher.await_requests, 3)

    assert asyncio.run(ask("/a")) == "k1"
    assert asyncio.run(ask("/b")) == "k1"
    asyncio.run(leave_behind())
    publisher.release()
    assert asyncio.run(ask("/c")) == "k1"
    assert publisher.count == 4


class StuckOnce(MemoryJWKSCache):
    """A cache whose first read never ends."""

    def __init__(self) -> None:
        super().__init__()
        self._stuck = False

    async def get(self, jwks_uri: str, now: float) -> None:  # type: ignore[override]
        if not self._stuck:
            self._stuck = True
            await asyncio.Event().wait()


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_loop_that_was_closed_with_a_fetch_under_way_blocks_nobody(publisher: Publisher) -> None:
    fetcher = AsyncJWKSFetcher(LOOPBACK, cache=StuckOnce())  # type: ignore[arg-type]
    taken = len(fetch_slots)
    loop = asyncio.new_event_loop()
    asking = loop.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
    loop.run_until_complete(asyncio.sleep(0))
    loop.run_until_complete(asyncio.sleep(0))
    left_behind = asyncio.all_tasks(loop)
    assert asking in left_behind
    loop.close()
    assert asyncio.run(fetcher.get_key(registered(publisher.uri()), "RS256", "k1")).kid == "k1"
    assert len(fetch_slots) == taken
    for task in left_behind:
        task._log_destroy_pending = False  # type: ignore[attr-defined]
        work = task.get_coro()
        assert work is not None
        work.close()


def test_a_refresh_ahead_that_is_cancelled_with_its_loop_ends(publisher: Publisher) -> None:
    now = 0.0
    fetcher = AsyncJWKSFetcher(LOOPBACK, clock=lambda: now)

    async def ask() -> str | None:
        return (await fetcher.get_key(registered(publisher.uri()), "RS256", "k1")).kid

    assert asyncio.run(ask()) == "k1"
    now = 250.0
    publisher.hold()
    assert asyncio.run(ask()) == "k1"
    assert fetcher._state.fetches() == []


def test_a_fetch_that_is_cancelled_before_its_first_step_keeps_no_slot(publisher: Publisher) -> None:
    taken = len(fetch_slots)

    async def run() -> None:
        for _ in range(20):
            fetcher = AsyncJWKSFetcher(LOOPBACK)
            first = asyncio.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
            second = asyncio.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
            await asyncio.sleep(0)
            first.cancel()
            await fetcher.aclose()
            with pytest.raises(TemporarilyUnavailable, match="cancelled"):
                await second

    asyncio.run(run())
    assert len(fetch_slots) == taken


def test_waiting_for_a_sync_fetcher_takes_no_thread_of_the_loops_pool(publisher: Publisher) -> None:
    """Law 6: 200 requests for a tenant that hangs, and one for another."""

    async def run() -> None:
        with JWKSFetcher(LOOPBACK) as fetcher:
            publisher.hold()
            asking = [
                asyncio.create_task(fetcher.get_key_async(registered(publisher.uri()), "RS256", "k1"))
                for _ in range(200)
            ]
            await asyncio.to_thread(publisher.await_requests, 1)
            async with asyncio.timeout(1):
                assert await asyncio.to_thread(lambda: "free") == "free"
            asking[0].cancel()
            publisher.release()
            keys = await asyncio.gather(*asking[1:])
            assert {key.kid for key in keys} == {"k1"}
            assert (await fetcher.get_key_async(registered(publisher.uri()), "RS256", "k1")).kid == "k1"
            publisher.answer = http(status="500 Oops")
            with pytest.raises(TemporarilyUnavailable):
                await fetcher.get_key_async(registered(publisher.uri("/b")), "RS256", "k1")
            with pytest.raises(TemporarilyUnavailable, match="500"):
                await fetcher.get_key_async(registered(publisher.uri("/b")), "RS256", "k1")
            with pytest.raises(TemporarilyUnavailable, match="spent"):
                await fetcher.get_key_async(registered(publisher.uri("/b")), "RS256", "k1")

    asyncio.run(run())


class HangsOnce(MemoryJWKSCache):
    """A cache whose first read hangs until it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self._hung = False
        self.in_process = False  # type: ignore[misc]

    def get(self, jwks_uri: str, now: float) -> Any:
        if not self._hung:
            self._hung = True
            self.free.wait(20)
        return super().get(jwks_uri, now)


def test_a_cache_that_hangs_once_blocks_its_jwks_uri_for_a_window_at_the_most(edge: Edge, publisher: Publisher) -> None:
    cache = HangsOnce()
    policy = JWKSPolicy(allow_http_loopback=True, timeout=0.2, fetch_window=1)
    fetcher = edge.fetcher(policy, cache=cache, clock=lambda: 0)
    try:
        assert reason(lambda: fetcher.get_key(registered(publisher.uri()), "RS256", "k1")) is Reason.JWKS_UNAVAILABLE
        if edge.name == "async":
            edge.settle()  # there the fetch goes on without the cache
            assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"
        else:
            with freeze_time() as frozen:
                frozen.tick(10)
                assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"
    finally:
        cache.free.set()


def test_a_fetch_that_hangs_past_its_deadline_holds_on_to_nobody_who_comes_then(publisher: Publisher) -> None:
    cache = HangsOnce()

    async def ask() -> None:
        with pytest.raises(TemporarilyUnavailable, match="still asking the shared cache at the end of 0.2 s"):
            await fetcher.get_key_async(registered(publisher.uri()), "RS256", "k1")

    async def run() -> int:
        await ask()
        await asyncio.gather(*(ask() for _ in range(100)))
        (fetch,) = fetcher._state.fetches()
        return len(fetch.handle._callbacks)

    with JWKSFetcher(JWKSPolicy(allow_http_loopback=True, timeout=0.2), cache=cache) as fetcher:
        try:
            assert asyncio.run(run()) == 0
        finally:
            cache.free.set()


class AnswersLate(HangsOnce):
    """A cache whose first read hangs, and then finds a document that is newer than any."""

    fetched_at = 0.0

    def get(self, jwks_uri: str, now: float) -> Any:
        late = not self.free.is_set()
        found = super().get(jwks_uri, now)
        newest = JWKSDocument(json.dumps({"keys": [jwk()]}).encode() + b" ", self.fetched_at)
        return newest if late and found else found


def test_a_fetch_that_hung_gives_back_no_fetch_but_its_own(publisher: Publisher) -> None:
    """Law 2: of a hung fetch and three after it two may be sent within a window."""
    cache, now = AnswersLate(), 0.0
    policy = JWKSPolicy(allow_http_loopback=True, timeout=0.2, fetch_limit=2, fetch_window=1)
    with JWKSFetcher(policy, cache=cache, clock=lambda: now) as fetcher, freeze_time() as frozen:
        assert reason(lambda: fetcher.get_key(registered(publisher.uri()), "RS256", "k1")) is Reason.JWKS_UNAVAILABLE
        (hung,) = (thread for thread in threading.enumerate() if thread.name == "jwks-fetch")
        frozen.tick(10)
        now = 10.0
        assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"
        now = cache.fetched_at = 10.6
        cache.free.set()
        hung.join(10)
        for kid in ("a", "b", "c"):
            with pytest.raises(InvalidClient):
                fetcher.get_key(registered(publisher.uri()), "RS256", kid)
    assert publisher.count == 2


def test_a_fetch_that_was_interrupted_ends_once_and_does_not_run() -> None:
    async def run() -> None:
        fetcher = AsyncJWKSFetcher(LOOPBACK)
        request = RefreshRequest("https://publisher.example/", None, forced=False, known=None)
        fetch = Fetch(request, 0.0, asyncio.get_running_loop().create_future())
        assert not fetcher._is_running(fetch)
        for _ in range(2):
            fetcher._finish(fetch, DONE)
        assert fetch.handle.done()

    asyncio.run(run())


# Threads


def test_when_no_thread_can_start_the_answer_is_unavailable(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    fetcher = JWKSFetcher(LOOPBACK)
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert detail(lambda: fetcher.get_key(registered(publisher.uri()), "RS256", "k1")) == "can't start new thread"
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"


def test_a_fault_of_our_own_ends_the_fetch(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_args: object) -> None:
        raise ZeroDivisionError

    fetcher = edge.fetcher()
    with monkeypatch.context() as patch:
        patch.setattr("private_key_jwt._core.jwk_set.loads_key_set", fail)
        assert (
            detail(lambda: fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
            == "unexpected ZeroDivisionError"
        )
    assert "ZeroDivisionError" in caplog.text
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"


class StopsOnce(MemoryJWKSCache):
    """A cache whose first read raises what is no Exception."""

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self._errors = [error]

    def get(self, jwks_uri: str, now: float) -> Any:
        if self._errors:
            raise self._errors.pop()
        return super().get(jwks_uri, now)


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_what_ends_a_thread_ends_its_fetch(publisher: Publisher, error: type[BaseException]) -> None:
    taken = len(fetch_slots)
    fetcher = JWKSFetcher(LOOPBACK, cache=StopsOnce(error))
    assert detail(lambda: fetcher.get_key(registered(publisher.uri()), "RS256", "k1")) == f"unexpected {error.__name__}"
    assert len(fetch_slots) == taken
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt])
def test_what_stops_an_event_loop_that_goes_on_ends_its_fetch(publisher: Publisher, error: type[BaseException]) -> None:
    taken = len(fetch_slots)
    fetcher = AsyncJWKSFetcher(LOOPBACK, cache=StopsOnce(error))
    with contextlib.closing(asyncio.new_event_loop()) as loop:
        asking = loop.create_task(fetcher.get_key(registered(publisher.uri()), "RS256", "k1"))
        with pytest.raises(error):
            loop.run_until_complete(asking)
        assert detail(lambda: loop.run_until_complete(asking)) == f"unexpected {error.__name__}"
        assert len(fetch_slots) == taken
        assert loop.run_until_complete(fetcher.get_key(registered(publisher.uri()), "RS256", "k1")).kid == "k1"


def test_fetches_in_flight_are_capped_over_the_process(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FetchSlots, "LIMIT", 2)
    publisher.hold()
    fetchers = [edge.fetcher(), edge.fetcher()]
    answers = [
        edge.begin([lambda f=fetcher: f.get_key(registered(publisher.uri()), "RS256", "k1").kid])  # type: ignore[misc]
        for fetcher in fetchers
    ]
    publisher.await_requests(2)
    other = edge.fetcher()
    assert detail(lambda: other.get_key(registered(publisher.uri()), "RS256", "k1")) == "2 fetches are under way"
    publisher.release()
    assert [answer() for answer in answers] == [["k1"], ["k1"]]
    # The refusal cost none of the budget.
    assert other.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"


def test_a_publisher_that_answered_before_has_slots_apart_from_those_of_others(
    edge: Edge, publisher: Publisher, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FetchSlots, "LIMIT", 2)
    fetcher = edge.fetcher(clock=clock)
    known = registered(publisher.uri())
    assert fetcher.get_key(known, "RS256", "k1").kid == "k1"
    with contextlib.closing(Publisher([jwk()])) as hostile:
        hostile.hold()
        others = [registered(hostile.uri(f"/{number}")) for number in range(3)]
        asked = edge.begin([lambda each=each: fetcher.get_key(each, "RS256", "k1").kid for each in others[:2]])  # type: ignore[misc]
        hostile.await_requests(2)
        assert detail(lambda: fetcher.get_key(others[2], "RS256", "k1")) == "2 fetches are under way"
        clock.advance(LOOPBACK.ttl)
        assert fetcher.get_key(known, "RS256", "k1").kid == "k1"
        hostile.release()
        assert asked() == ["k1", "k1"]
    assert publisher.count == 2


# Forks


def test_it_works_after_a_fork_in_the_middle_of_a_fetch(publisher: Publisher) -> None:
    fetcher = JWKSFetcher(LOOPBACK)
    assert fetcher.get_key(registered(publisher.uri("/a")), "RS256", "k1").kid == "k1"
    publisher.hold()
    waiter = threading.Thread(target=lambda: fetcher.get_key(registered(publisher.uri("/b")), "RS256", "k1"))
    waiter.start()
    publisher.await_requests(2)
    publisher.release()
    with fetcher._state._lock, fetch_slots._lock:
        holds = children.holds(
            lambda: (
                fetcher.get_key(registered(publisher.uri("/a")), "RS256", "k1").kid == "k1"
                and fetcher.get_key(registered(publisher.uri("/c")), "RS256", "k1").kid == "k1"
                and len(fetch_slots) == 0
            )
        )
    waiter.join()
    assert holds


# Settings


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"clock": 5}, "clock"),
        ({"cache": 5}, "cache"),
        ({"cache": {}}, "cache"),
        ({"policy": "x"}, "policy"),
        ({"wall_clock": 5}, "wall_clock"),
        ({"max_key_sets": 0}, "max_key_sets"),
        ({"max_key_sets": True}, "max_key_sets"),
    ],
)
def test_settings_are_checked(edge: Edge, settings: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=names):
        edge.fetcher(**settings)


class Awaited:
    """A cache that must be awaited."""

    async def get(self, _jwks_uri: str, _now: float) -> None:
        return None

    async def put(self, _jwks_uri: str, _document: JWKSDocument, _now: float) -> None:
        return None

    async def claim(self, _jwks_uri: str, _policy: JWKSPolicy, _now: float) -> bool:
        return True


def test_an_async_cache_in_a_sync_fetcher_is_refused_at_the_start() -> None:
    with pytest.raises(ConfigurationError, match="cache is asynchronous.*AsyncJWKSFetcher"):
        JWKSFetcher(cache=Awaited())  # type: ignore[arg-type]


def test_the_clock_runs_while_the_machine_sleeps_where_there_is_such_a_clock() -> None:
    number = getattr(time, "CLOCK_BOOTTIME", None)
    clock = JWKSFetcher()._clock
    assert abs(clock() - (time.monotonic() if number is None else time.clock_gettime(number))) < 1


def test_a_system_without_such_a_clock_has_the_monotonic_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    assert _clocks.boot_time_clock() is time.monotonic


def test_a_fetcher_is_a_context(publisher: Publisher) -> None:
    with JWKSFetcher(LOOPBACK) as fetcher:
        assert fetcher.get_key(registered(publisher.uri()), "RS256", "k1").kid == "k1"
    assert reason(lambda: fetcher.get_key(registered(publisher.uri("/b")), "RS256", "k1")) is Reason.JWKS_UNAVAILABLE
