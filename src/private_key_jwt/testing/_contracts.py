"""Test what every replay store and every cache of JWK Sets must do, by classes for pytest to subclass.

    class TestMyStore(ReplayStoreContract):
        def open_store(self):
            return MyStore(...)

Each hook says what it is for, and the attribute that switches it off where it does not apply.
Stores and caches may be sync or async. Times are handed in, so nothing sleeps.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import multiprocessing
import os
import secrets
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..exceptions import Reason, TemporarilyUnavailable
from ..policy import JWKSPolicy
from ..stores import JWKSDocument

THREADS = 64
PROCESSES = 8
CALLERS = 16
NOW = 1_700_000_000.0
WINDOW_PATIENCE = 10.0
_REVIVED = (
    "a mark that another host's clock had deleted must not be new: keep the latest now by which marks were deleted, "
    "and raise for a key that expires no later (see ReplayStore)"
)


def _expect(condition: object, what: str) -> None:
    if not condition:
        raise AssertionError(what)


def _not_given(hook: str, switch: str | None = None) -> NotImplementedError:
    return NotImplementedError(f"define {hook}" + f", or set {switch} = False" * (switch is not None))


class _Contract:
    """Give both contracts an event loop for what is async, and close what was opened."""

    def setup_method(self) -> None:
        """Get ready for a test: pytest calls it before each."""
        self._runner = asyncio.Runner()
        self._opened: list[Any] = []

    def teardown_method(self) -> None:
        """Close what a test opened: pytest calls it after each."""
        with contextlib.ExitStack() as stack:  # which closes the rest, too, where one cannot be closed
            stack.callback(self._runner.close)
            for opened in self._opened:
                stack.callback(self._close, opened)

    def _close(self, opened: Any) -> None:
        close = getattr(opened, "aclose", None) or getattr(opened, "close", None)
        if close is not None:
            self.finish(close())

    def finish(self, result: Any) -> Any:
        """Return the result of a call, awaited if it is to be."""

        async def awaited() -> Any:
            return await result

        return self._runner.run(awaited()) if inspect.isawaitable(result) else result

    def _keep(self, opened: Any) -> Any:
        self._opened.append(opened)
        return opened

    def _together(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """Make all calls at once: in tasks when they are async, else in threads."""

        async def gathered() -> list[Any]:
            return await asyncio.gather(*(call() for call in calls))

        if inspect.iscoroutinefunction(calls[0]):
            return self._runner.run(gathered())
        start = threading.Barrier(len(calls))

        def begin(call: Callable[[], Any]) -> Any:
            start.wait(30)
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(begin, calls))

    def _in_processes(self, number: int, call: Callable[[], bool]) -> list[int]:
        """Return the exit status of each of ``number`` forked processes that call at once: 1 for True, 0 for False."""
        ready, go = os.pipe()
        children = []
        for _ in range(number):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # a fork of a process with threads
                child = os.fork()
            if child == 0:
                os._exit(self._child(ready, go, call))
            children.append(child)
        os.close(ready)
        os.close(go)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    def _child(self, ready: int, go: int, call: Callable[[], bool]) -> int:
        try:
            os.close(go)
            os.read(ready, 1)  # until the last process is there
            self._runner = asyncio.Runner()
            return int(call())
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()  # os._exit flushes nothing
            return 2


class ReplayStoreContract(_Contract):
    """Test the contract of ReplayStore and AsyncReplayStore.

        class TestMyStore(ReplayStoreContract):
            def open_store(self):
                return MyStore("marks.db")

    pytest runs all of its tests for your store. Also give it ``break_store``, or ``can_break = False``, and
    ``open_other``, or ``has_prefix = False``. ``shared = False``: it lives in one process. ``can_fill = True``, with
    ``open_small``: it has a bound of its own.
    """

    shared = True
    """Whether several processes can share it."""
    can_break = True
    """Whether ``break_store`` applies: an engine that can fail."""
    can_fill = False
    """Whether ``open_small`` applies: a store with a bound of its own."""
    many = 2_000
    """The number of live marks to put in: less for an engine that takes its time."""
    rounds = 10
    """The number of times that 8 processes with 16 callers each compete for one key."""
    has_prefix = True
    """Whether ``open_other`` applies: two stores can live side by side in one engine."""

    def open_store(self) -> Any:
        """Open a store, as one more worker opens it: all that this opens share their marks."""
        raise _not_given("open_store")

    def open_other(self) -> Any:
        """Open a store in the same engine under another prefix or in another table; not if ``has_prefix`` is False."""
        raise _not_given("open_other", "has_prefix")

    def open_small(self) -> Any:
        """Open a store that holds at most a thousand marks; not if ``can_fill`` is False."""
        raise _not_given("open_small", "can_fill")

    def break_store(self, store: Any) -> None:
        """Make the engine fail for this store, from now on; not if ``can_break`` is False."""
        raise _not_given("break_store", "can_break")

    def let_pass(self, store: Any, key: bytes) -> None:
        """Let the mark of ``key`` expire, in an engine that expires by its own clock; else ``now`` does it."""

    def add(self, store: Any, key: bytes, expires_at: float, now: float) -> Any:
        """Return what ``store.add`` does, awaited if it is to be."""
        return self.finish(store.add(key, expires_at, now))

    def test_a_key_is_new_once(self) -> None:
        """True exactly once, and exactly True or False."""
        store, key = self._keep(self.open_store()), secrets.token_bytes(32)
        _expect(self.add(store, key, NOW + 60, NOW) is True, "the first add must be True")
        for _ in range(3):
            _expect(self.add(store, key, NOW + 60, NOW) is False, "every later add must be False")
        _expect(self.add(store, key, NOW + 600, NOW + 30) is False, "a later expiry makes no new key")
        _expect(self.add(store, secrets.token_bytes(32), NOW + 60, NOW) is True, "another key is new")

    def test_a_key_is_live_until_it_expires_and_gone_after(self) -> None:
        """Live to the last instant."""
        store, key = self._keep(self.open_store()), secrets.token_bytes(32)
        _expect(self.add(store, key, NOW + 0.5, NOW) is True, "the first add must be True")
        _expect(self.add(store, key, NOW + 60, NOW + 0.4) is False, "it is live until it expires")
        self.let_pass(store, key)
        _expect(self.add(store, key, NOW + 60, NOW + 0.5) is True, "it ends at expires_at: live is now < expires_at")
        _expect(self.add(store, key, NOW + 60, NOW + 1) is False, "and live again")

    def test_every_byte_of_a_key_counts(self) -> None:
        """Keys are bytes: no encoding, no case, no end at a NUL."""
        store, stem = self._keep(self.open_store()), secrets.token_bytes(30)
        for end in (b"\0\0", b"\0a", b"aA", b"AA", b"\xff\xfe", b"\r\n", b"%s", b"'\""):
            _expect(self.add(store, stem + end, NOW + 60, NOW) is True, f"the key that ends in {end!r} is new")

    def test_a_clock_that_runs_ahead_revives_nothing_for_the_others(self) -> None:
        """Over hosts whose clocks differ: what one has forgotten, another must not take for new."""
        if not self.shared:
            return
        ahead, behind, key = self._keep(self.open_store()), self._keep(self.open_store()), secrets.token_bytes(32)
        _expect(self.add(behind, key, NOW + 5, NOW) is True, "the first add must be True")
        for _ in range(200):  # time enough for a store that purges
            _expect(self.add(ahead, secrets.token_bytes(32), NOW + 600, NOW + 10) is True, "a new key is new")
        try:
            again = self.add(behind, key, NOW + 5, NOW + 4.9)
        except Exception:  # it cannot tell, and the assertion is refused
            return
        _expect(again is False, _REVIVED)

    def test_thousands_of_live_marks_stay(self) -> None:
        """A live mark is never dropped to make room."""
        store, keys = self._keep(self.open_store()), [secrets.token_bytes(32) for _ in range(self.many)]
        for key in keys:
            _expect(self.add(store, key, NOW + 600, NOW) is True, "a new key is new")
        for key in keys[::50]:
            _expect(self.add(store, key, NOW + 600, NOW + 1) is False, "a live mark must stay")

    def test_workers_share_their_marks(self) -> None:
        """Another worker knows what one has marked."""
        key = secrets.token_bytes(32)
        first, second = self._keep(self.open_store()), self._keep(self.open_store())
        _expect(self.add(first, key, NOW + 60, NOW) is True, "the first worker wins")
        _expect((self.add(second, key, NOW + 60, NOW) is False) is self.shared, "the second knows of it, if shared")

    def test_one_of_64_concurrent_callers_wins(self) -> None:
        """A key is new to one of those who ask at once, within a process."""
        store = self._keep(self.open_store())
        for _ in range(3):
            key = secrets.token_bytes(32)

            async def add_async(key: bytes = key) -> Any:
                return await store.add(key, NOW + 60, NOW)

            def add(key: bytes = key) -> Any:
                return store.add(key, NOW + 60, NOW)

            call = add_async if inspect.iscoroutinefunction(store.add) else add
            results = self._together([call] * THREADS)
            _expect(results.count(True) == 1, f"one must win, {results.count(True)} did")
            _expect(results.count(False) == THREADS - 1, "and all others must get False")

    def test_one_of_8_processes_wins(self) -> None:
        """The same, over processes."""
        if not self.shared:
            return
        key = secrets.token_bytes(32)
        self.finish(self._keep(self.open_store()).add(secrets.token_bytes(32), NOW + 60, NOW))
        codes = self._in_processes(PROCESSES, lambda: self.add(self.open_store(), key, NOW + 60, NOW) is True)
        _expect(codes.count(1) == 1, f"one must win; 1 is a win, 0 a loss, 2 an error: {codes}")
        _expect(codes.count(0) == PROCESSES - 1, f"and all others must get False: {codes}")

    def test_one_of_8_processes_with_16_callers_each_wins_each_round(self) -> None:
        """The same, over threads (or tasks) and processes at once, ``rounds`` times."""
        if not self.shared:
            return
        keys = [secrets.token_bytes(32) for _ in range(self.rounds)]
        self.finish(self._keep(self.open_store()).add(secrets.token_bytes(32), NOW + 60, NOW))
        context = multiprocessing.get_context("fork")
        turn = context.Barrier(PROCESSES)
        wins = context.Array("i", self.rounds)

        def compete() -> bool:
            store = self.open_store()

            async def add_async(key: bytes) -> Any:
                return await store.add(key, NOW + 60, NOW)

            def add_sync(key: bytes) -> Any:
                return store.add(key, NOW + 60, NOW)

            add = add_async if inspect.iscoroutinefunction(store.add) else add_sync
            for number, key in enumerate(keys):
                turn.wait(60)
                results = self._together([partial(add, key)] * CALLERS)
                _expect(results.count(True) + results.count(False) == CALLERS, f"True or False, not {results}")
                with wins.get_lock():
                    wins[number] += results.count(True)
            return True

        codes = self._in_processes(PROCESSES, compete)
        _expect(codes == [1] * PROCESSES, f"no process may fail (2): {codes}")
        _expect(wins[:] == [1] * self.rounds, f"one must win each round: {wins[:]}")

    def test_two_prefixes_know_nothing_of_each_other(self) -> None:
        """Side by side in one engine."""
        if not self.has_prefix:
            return
        store, other, key = self._keep(self.open_store()), self._keep(self.open_other()), secrets.token_bytes(32)
        _expect(self.add(store, key, NOW + 60, NOW) is True, "it is new here")
        _expect(self.add(other, key, NOW + 60, NOW) is True, "and new there")
        _expect(self.add(store, key, NOW + 60, NOW) is False, "and known here")

    def test_an_engine_that_fails_accepts_nothing(self) -> None:
        """It raises: any Exception, of which a TemporarilyUnavailable is to say replay_store_unavailable."""
        if not self.can_break:
            return
        store = self._keep(self.open_store())
        _expect(self.add(store, secrets.token_bytes(32), NOW + 60, NOW) is True, "it works before")
        self.break_store(store)
        for _ in range(2):
            _expect(self._refusal(store) is Reason.REPLAY_STORE_UNAVAILABLE, "it must say replay_store_unavailable")

    def test_a_full_store_refuses_and_forgets_nothing_live(self) -> None:
        """It raises, and no live mark makes room."""
        if not self.can_fill:
            return
        store = self._keep(self.open_small())
        kept: list[bytes] = []
        full = (Reason.REPLAY_STORE_FULL, Reason.REPLAY_STORE_UNAVAILABLE)
        while (refusal := self._refusal(store, kept)) is None:
            _expect(len(kept) <= 1_000, "a small store must be full after a thousand marks")
        _expect(refusal in full, f"a full store must say so, not {refusal}")
        _expect(not any(self._is_new(store, key) for key in kept), "live marks must stay")

    def _is_new(self, store: Any, key: bytes) -> bool:
        """Report whether the store takes a key for new. One that raises does not: the assertion is refused."""
        try:
            return self.add(store, key, NOW + 60, NOW) is True
        except Exception:
            return False

    def _refusal(self, store: Any, kept: list[bytes] | None = None) -> Reason | None:
        """Return why a new key was not taken, as a verifier says it, or None; put one that was taken into ``kept``."""
        key = secrets.token_bytes(32)
        try:
            added = self.add(store, key, NOW + 60, NOW)
        except TemporarilyUnavailable as error:
            return error.reason
        except Exception:
            return Reason.REPLAY_STORE_UNAVAILABLE
        _expect(added is True, "a new key is new")
        if kept is not None:
            kept.append(key)
        return None


URI = "https://op.example/{}/jwks.json"


class JWKSCacheContract(_Contract):
    """Test the contract of JWKSCache and AsyncJWKSCache.

        class TestMyCache(JWKSCacheContract):
            def open_cache(self):
                return MyCache("documents.db")

    pytest runs all of its tests for your cache. Also give it ``break_cache``, or ``can_break = False``.
    ``shared = False``: it lives in one process.
    """

    shared = True
    """Whether several processes can share it; what nobody shares grants every fetch."""
    can_break = True
    """Whether ``break_cache`` applies: an engine that can fail."""

    def open_cache(self) -> Any:
        """Open a cache, as one more worker opens it: all that this opens share what they hold."""
        raise _not_given("open_cache")

    def break_cache(self, cache: Any) -> None:
        """Make the engine fail for this cache, from now on; not if ``can_break`` is False."""
        raise _not_given("break_cache", "can_break")

    def _uri(self) -> str:
        return URI.format(secrets.token_hex(8))

    def get(self, cache: Any, uri: str, now: float) -> JWKSDocument | None:
        """Return what ``cache.get`` does, awaited if it is to be."""
        document: JWKSDocument | None = self.finish(cache.get(uri, now))
        return document

    def put(self, cache: Any, uri: str, document: JWKSDocument, now: float) -> None:
        """Call ``cache.put``, awaited if it is to be."""
        self.finish(cache.put(uri, document, now))

    def test_a_document_comes_back_as_it_was(self) -> None:
        """Byte for byte, with its age."""
        cache, uri = self._keep(self.open_cache()), self._uri()
        _expect(self.get(cache, uri, 100) is None, "nothing is there at first")
        body = b'{"keys": [], "x": "\xc3\xa9\x00\xff"}'
        self.put(cache, uri, JWKSDocument(body, 90), 100)
        found = self.get(cache, uri, 100)
        _expect(found is not None and found.body == body, "the bytes must be the same")
        _expect(found is not None and 85 <= found.fetched_at <= 90, "the age must be the same, or a little more")
        _expect(self.get(cache, self._uri(), 100) is None, "another jwks_uri has nothing")

    def test_a_newer_document_stays(self) -> None:
        """A late document must not bring back a removed key."""
        cache, uri = self._keep(self.open_cache()), self._uri()
        self.put(cache, uri, JWKSDocument(b"old", 10), 100)
        self.put(cache, uri, JWKSDocument(b"new", 90), 100)
        self.put(cache, uri, JWKSDocument(b"late", 50), 100)
        found = self.get(cache, uri, 100)
        _expect(found is not None and found.body == b"new", "the newest must stay")

    def test_workers_share_their_documents(self) -> None:
        """Another worker uses what one has fetched."""
        uri = self._uri()
        first, second = self._keep(self.open_cache()), self._keep(self.open_cache())
        self.put(first, uri, JWKSDocument(b"{}", 100), 100)
        _expect((self.get(second, uri, 100) is not None) is self.shared, "the second has it, if shared")

    def test_an_age_is_the_same_by_another_process_s_clock(self) -> None:
        """Monotonic clocks begin anywhere: what is kept must be ages."""
        if not self.shared:
            return
        uri = self._uri()
        first, second = self._keep(self.open_cache()), self._keep(self.open_cache())
        self.put(first, uri, JWKSDocument(b"{}", 90), 100)
        for now in (5_100.0, 20.0):
            found = self.get(second, uri, now)
            _expect(
                found is not None and now - 15 <= found.fetched_at <= now - 10 + 0.01,
                "the age must be the same: keep ages",
            )

    def test_a_budget_comes_back_with_its_window(self) -> None:
        """By the engine's own clock, so this waits for a second."""
        policy, uri, cache = JWKSPolicy(fetch_window=1), self._uri(), self._keep(self.open_cache())

        def take() -> bool:
            return self.finish(cache.claim(uri, policy, 100)) is True

        began, granted = time.monotonic(), 0
        while take() and self.shared:
            granted += 1
            windows = 2 + (time.monotonic() - began) / policy.fetch_window  # with the one before and the one begun
            _expect(granted <= policy.fetch_limit * windows, f"a budget must end: {granted} fetches were granted")
        deadline = time.monotonic() + WINDOW_PATIENCE
        while not take():
            _expect(time.monotonic() < deadline, "it must come back")
            threading.Event().wait(0.05)

    def test_workers_share_one_budget(self) -> None:
        """No more than ``fetch_limit`` fetches are granted within ``fetch_window``, whoever asks."""
        policy, uri = JWKSPolicy(fetch_limit=3, fetch_window=3_600), self._uri()
        caches = [self._keep(self.open_cache()) for _ in range(4)]
        granted = [self.finish(cache.claim(uri, policy, 100)) for cache in caches * 2]
        _expect(granted == ([True] * 3 + [False] * 5 if self.shared else [True] * 8), f"three of eight: {granted}")
        _expect(all(isinstance(each, bool) for each in granted), f"it must return True or False: {granted}")
        _expect(self.finish(caches[0].claim(self._uri(), policy, 100)) is True, "another jwks_uri has its own")

    def test_processes_share_one_budget(self) -> None:
        """The same, at once."""
        if not self.shared:
            return
        policy, uri = JWKSPolicy(fetch_limit=2, fetch_window=3_600), self._uri()
        codes = self._in_processes(PROCESSES, lambda: self.finish(self.open_cache().claim(uri, policy, 100)) is True)
        _expect(sorted(codes) == [0] * 6 + [1] * 2, f"two of eight; 1 is granted, 0 is not, 2 an error: {codes}")

    def test_an_engine_that_fails_raises(self) -> None:
        """The fetcher then goes on without it; a document made up would be worse."""
        if not self.can_break:
            return
        cache, uri = self._keep(self.open_cache()), self._uri()
        self.put(cache, uri, JWKSDocument(b"{}", 100), 100)
        self.break_cache(cache)
        for call in (
            lambda: self.get(cache, uri, 100),
            lambda: self.put(cache, uri, JWKSDocument(b"{}", 100), 100),
            lambda: self.finish(cache.claim(uri, JWKSPolicy(), 100)),
        ):
            _expect(_raises(call), "it must raise")


def _raises(call: Callable[[], object]) -> bool:
    try:
        call()
    except Exception:
        return True
    return False
