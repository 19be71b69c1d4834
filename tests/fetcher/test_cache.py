"""Caches of documents: the one in memory, and those a user brings."""

import asyncio
import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from edges import Edge
from loopback import Publisher, http
from private_key_jwt import (
    AsyncJWKSFetcher,
    ConfigurationError,
    InvalidClient,
    JWKSDocument,
    JWKSPolicy,
    MemoryJWKSCache,
    Reason,
    TemporarilyUnavailable,
)
from private_key_jwt.events import Event, StoreFailed, log_events
from private_key_jwt.testing import Clock
from support import jwk, name_case, private_key, registered

URI = "https://op.example/jwks.json"
POLICY = JWKSPolicy(allow_http_loopback=True)
OLD, NEW = jwk(kid="old"), jwk(private_key(1), kid="new")


def document(fetched_at: float, *keys: Any) -> JWKSDocument:
    return JWKSDocument(json.dumps({"keys": keys}).encode(), fetched_at)


def test_memory_keeps_the_newest_document() -> None:
    cache = MemoryJWKSCache()
    assert cache.get(URI, 0) is None
    newer, older = document(2), document(1)
    cache.put(URI, newer, 2)
    cache.put(URI, older, 2)
    assert cache.get(URI, 3) is newer
    assert cache.claim(URI, POLICY, 3)


def test_memory_is_bounded_and_the_oldest_leaves() -> None:
    cache = MemoryJWKSCache(2)
    for number in range(3):
        cache.put(f"{URI}{number}", document(number), number)
    assert [cache.get(f"{URI}{number}", 3) is None for number in range(3)] == [True, False, False]


@pytest.mark.parametrize("bound", [0, -1, "x", 1.5, None])
def test_the_bound_is_a_positive_integer(bound: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_documents"):
        MemoryJWKSCache(bound)


class Shared:
    """A cache that processes share, as one of them sees it; ``slow`` says that it may block."""

    def __init__(self) -> None:
        self.documents: dict[str, JWKSDocument] = {}
        self.grants = True
        self.calls: list[str] = []
        self.threads: set[str] = set()
        self.error: Exception | None = None

    def _note(self, call: str) -> None:
        self.calls.append(call)
        self.threads.add(threading.current_thread().name)
        if self.error is not None:
            raise self.error

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        self._note("get")
        return self.documents.get(jwks_uri)

    def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        self._note("put")
        self.documents[jwks_uri] = document

    def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        self._note("claim")
        return self.grants


class Awaited:
    """The same, awaited."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        await asyncio.sleep(0)
        return self._shared.get(jwks_uri, now)

    async def put(self, jwks_uri: str, document: JWKSDocument, now: float) -> None:
        self._shared.put(jwks_uri, document, now)

    async def claim(self, jwks_uri: str, policy: JWKSPolicy, now: float) -> bool:
        return self._shared.claim(jwks_uri, policy, now)


class Case:
    def __init__(self, edge: Edge, publisher: Publisher, clock: Clock, awaited: bool, **policy: Any) -> None:
        self.shared = Shared()
        self.edge = edge
        cache = Awaited(self.shared) if awaited else self.shared
        self.events: list[Event] = []
        self.fetcher = edge.fetcher(
            replace(POLICY, **policy), clock=clock, cache=cache, on_event=lambda event: self._note(event)
        )
        self.publisher, self.clock = publisher, clock
        self.uri = publisher.uri()

    def _note(self, event: Event) -> None:
        self.events.append(event)
        log_events(event)

    def failures(self) -> list[str]:
        """What was reported of the cache."""
        return [event.error for event in self.events if isinstance(event, StoreFailed)]

    def ask(self, kid: str) -> Any:
        try:
            return self.fetcher.get_key(registered(self.uri), "RS256", kid).kid
        except (InvalidClient, TemporarilyUnavailable) as error:
            return error.reason


@pytest.fixture(params=["sync cache", "async cache"])
def case(request: pytest.FixtureRequest, edge: Edge, publisher: Publisher, clock: Clock) -> Case:
    awaited = request.param == "async cache" and edge.name == "async"
    publisher.keys = [OLD]
    return Case(edge, publisher, clock, awaited)


def test_a_fetched_document_is_shared(case: Case) -> None:
    assert case.ask("old") == "old"
    assert case.shared.calls == ["get", "claim", "put"]
    assert case.shared.documents[case.uri].body == json.dumps({"keys": [OLD]}).encode()


def test_a_shared_document_saves_the_fetch(case: Case) -> None:
    case.shared.documents[case.uri] = document(case.clock() - 100, OLD)
    assert case.ask("old") == "old"
    assert case.shared.calls == ["get"]
    assert case.publisher.count == 0
    case.clock.advance(200)
    case.publisher.keys = [NEW]
    assert case.ask("new") == "new"
    assert case.publisher.count == 1


def test_a_known_kid_does_not_touch_the_cache(case: Case) -> None:
    assert case.ask("old") == "old"
    calls = len(case.shared.calls)
    assert [case.ask("old") for _ in range(10)] == ["old"] * 10
    assert len(case.shared.calls) == calls


def test_a_shared_document_past_its_ttl_is_not_used(case: Case) -> None:
    case.shared.documents[case.uri] = document(case.clock() - 300, NEW)
    assert case.ask("new") is Reason.UNKNOWN_KID
    assert case.publisher.count >= 1


@pytest.mark.parametrize("ahead", [0.011, 10_000, math.inf, math.nan])
def test_a_document_of_no_time_until_now_keeps_no_removed_key(case: Case, ahead: float) -> None:
    """Law 3: it would be new at each look, and its keys would never end."""
    case.shared.documents[case.uri] = document(case.clock() + ahead, OLD)
    case.publisher.keys = [NEW]
    assert case.ask("old") is Reason.UNKNOWN_KID
    assert case.publisher.count >= 1
    assert case.fetcher.cache_failures >= 1
    assert "now - age" in case.failures()[0]


def test_a_document_that_lies_ahead_by_a_rounding_error_is_from_now(case: Case) -> None:
    case.shared.documents[case.uri] = document(case.clock() + 0.009, OLD)
    assert case.ask("old") == "old"
    assert case.publisher.count == 0
    assert case.fetcher.cache_failures == 0


def test_another_workers_refetch_serves_a_new_kid(case: Case) -> None:
    assert case.ask("old") == "old"
    case.clock.advance(1)
    case.shared.documents[case.uri] = document(case.clock(), OLD, NEW)
    assert case.ask("new") == "new"
    assert case.publisher.count == 1


def test_a_shared_document_is_never_the_last_word_on_a_kid(case: Case) -> None:
    case.shared.documents[case.uri] = document(case.clock(), OLD)
    case.publisher.keys = [OLD, NEW]
    assert case.ask("new") == "new"


def test_an_older_shared_document_changes_nothing(case: Case) -> None:
    case.publisher.keys = [NEW]
    assert case.ask("new") == "new"
    case.shared.documents[case.uri] = document(case.clock() - 10, OLD)
    assert case.ask("old") is Reason.UNKNOWN_KID


@pytest.fixture
def impatient(request: pytest.FixtureRequest, edge: Edge, publisher: Publisher, clock: Clock) -> Case:
    publisher.keys = [OLD]
    return Case(edge, publisher, clock, awaited=edge.name == "async", timeout=0.35, stale_if_error=3_600)


def aged(age: int, *keys: Any) -> bytes:
    return http(json.dumps({"keys": keys}).encode(), headers=f"Age: {age}\r\n")


def test_a_fetched_new_key_works_whatever_its_age(case: Case) -> None:
    """Two caches of the publisher: the one asked by another worker has a younger copy of a replica that lags."""
    case.shared.documents[case.uri] = document(case.clock() - 5, OLD)
    case.publisher.answer = aged(25, OLD, NEW)
    assert case.ask("new") == "new"
    assert case.publisher.count == 1


def test_a_made_up_kid_brings_back_no_set_that_the_last_answer_replaced(impatient: Case) -> None:
    case = impatient
    case.publisher.answer = aged(20, NEW)
    assert case.ask("new") == "new"
    case.shared.documents[case.uri] = document(case.clock() - 5, OLD)
    case.shared.grants = False
    case.clock.advance(1)
    assert case.ask("made-up") is Reason.UNKNOWN_KID
    assert case.ask("new") == "new"


def test_a_set_whose_time_is_up_is_renewed_by_a_younger_shared_one(case: Case) -> None:
    """Both come out of a cache that tells an Age: each worker would fetch for itself otherwise."""
    case.publisher.answer = aged(200, OLD)
    assert case.ask("old") == "old"
    case.clock.advance(100)
    case.shared.documents[case.uri] = document(case.clock() - 150, OLD)
    assert case.ask("old") == "old"
    assert case.publisher.count == 1


def test_a_spent_shared_budget_refuses(impatient: Case) -> None:
    case = impatient
    case.shared.grants = False
    assert case.ask("old") is Reason.JWKS_UNAVAILABLE
    case.shared.documents[case.uri] = document(case.clock(), OLD)
    assert case.ask("old") is Reason.JWKS_UNAVAILABLE  # one look a second
    case.clock.advance(1)
    assert case.ask("old") == "old"
    assert case.ask("new") is Reason.UNKNOWN_KID
    assert case.publisher.count == 0


class ArrivesLater(Shared):
    """Another worker has the budget, and its document arrives at the third look."""

    def __init__(self, document: JWKSDocument) -> None:
        super().__init__()
        self.grants = False
        self._document = document

    def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
        if "#" in jwks_uri:  # no document: what failed
            return None
        self._note("get")
        return self._document if self.calls.count("get") >= 3 else None


def test_a_worker_that_finds_the_budget_spent_waits_for_the_fetch_of_another(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    fetcher = edge.fetcher(POLICY, clock=clock, cache=ArrivesLater(document(clock(), OLD)))
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "old").kid == "old"
    assert publisher.count == 0
    # Nothing was sent, so nothing of its own budget is used up.
    state = getattr(fetcher, "subject", fetcher)._state
    assert state._budgets.of(publisher.uri(), clock()).fetches.is_idle(clock(), POLICY)


def test_a_document_of_another_that_does_not_serve_ends_the_wait(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    cache = ArrivesLater(document(clock(), OLD))
    cache.calls += ["get", "get"]
    fetcher = edge.fetcher(replace(POLICY, timeout=0.6), clock=clock, cache=cache)
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "old").kid == "old"
    clock.advance(1)
    cache._document = document(clock(), OLD)
    with pytest.raises(InvalidClient, match="unknown_kid"):
        fetcher.get_key(registered(publisher.uri()), "RS256", "new")
    clock.advance(1)
    cache.calls.clear()
    cache._document = document(clock(), OLD)
    with pytest.raises(InvalidClient, match="unknown_kid"):
        fetcher.get_key(registered(publisher.uri()), "RS256", "newer")
    assert cache.calls.count("get") == 3
    assert publisher.count == 0


def test_when_nobody_who_shares_the_budget_has_an_answer_stale_keys_may_be_used(impatient: Case) -> None:
    case = impatient
    assert case.ask("old") == "old"
    case.shared.grants = False
    case.clock.advance(310)
    assert case.ask("old") == "old"
    case.clock.advance(3_700)
    assert case.ask("old") is Reason.JWKS_UNAVAILABLE
    assert case.publisher.count == 1


def test_the_same_document_a_little_younger_is_not_another(case: Case) -> None:
    assert case.ask("old") == "old"
    case.clock.advance(240)
    case.shared.documents[case.uri] = document(case.clock() - 239.9, OLD)
    assert case.ask("old") == "old"
    case.clock.advance(50)
    assert case.ask("old") == "old"
    case.edge.settle()
    assert case.publisher.count == 2


def test_a_broken_cache_costs_a_fetch_and_is_counted(case: Case, caplog: pytest.LogCaptureFixture) -> None:
    case.shared.error = OSError("connection lost")
    assert case.ask("old") == "old"
    assert case.fetcher.cache_failures == 3
    assert "connection lost" in caplog.text


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b'{"keys": 1}'])
def test_a_corrupt_document_costs_a_fetch_and_is_counted(case: Case, body: bytes) -> None:
    case.shared.documents[case.uri] = JWKSDocument(body, case.clock())
    assert case.ask("old") == "old"
    assert case.fetcher.cache_failures == 1


@pytest.mark.parametrize(
    ("answer", "names"),
    [
        (b'{"keys": []}', "bytes"),
        ({}, "dict"),
        (0, "int"),
        (JWKSDocument('{"keys": []}', 0.0), "body that is str"),  # type: ignore[arg-type]
        (JWKSDocument(bytearray(b'{"keys": []}'), 0.0), "body that is bytearray"),  # type: ignore[arg-type]
        (JWKSDocument(b'{"keys": []}', None), "fetched_at that is NoneType"),  # type: ignore[arg-type]
        (JWKSDocument(b'{"keys": []}', "0"), "fetched_at that is str"),  # type: ignore[arg-type]
        (JWKSDocument(b'{"keys": []}', -(10**400)), "fetched_at"),
        (JWKSDocument(b'{"keys": []}', 10**400), "fetched_at"),
    ],
    ids=name_case,
)
def test_what_is_no_document_costs_a_fetch_and_is_counted(case: Case, answer: Any, names: str) -> None:
    case.shared.documents[case.uri] = answer
    assert case.ask("old") == "old"
    assert case.fetcher.cache_failures == 1
    assert names in case.failures()[0]


@pytest.mark.parametrize("answer", [None, 1, 0, "yes", b""])
def test_what_does_not_say_whether_a_fetch_is_left_takes_none(case: Case, answer: Any) -> None:
    case.shared.grants = answer
    with pytest.raises(TemporarilyUnavailable, match=f"claim of the cache returned {type(answer).__name__}") as raised:
        case.fetcher.get_key(registered(case.uri), "RS256", "old")
    assert raised.value.reason is Reason.JWKS_UNAVAILABLE
    assert case.publisher.count == 0
    assert case.fetcher.cache_failures == 1
    assert "True or False" in case.failures()[0]
    case.shared.grants = True
    case.clock.advance(1)
    assert case.ask("old") == "old"


def test_an_async_cache_is_awaited_on_the_event_loop_and_needs_no_thread(publisher: Publisher) -> None:
    """Whatever else has the threads of the loop's pool: file I/O, say."""
    publisher.keys = [OLD]
    shared, free = Shared(), threading.Event()

    async def run() -> int:
        pool = ThreadPoolExecutor(1)
        asyncio.get_running_loop().set_default_executor(pool)
        pool.submit(free.wait, 20)
        try:
            async with AsyncJWKSFetcher(replace(POLICY, timeout=5), cache=Awaited(shared)) as fetcher:
                assert (await fetcher.get_key(registered(publisher.uri()), "RS256", "old")).kid == "old"
                return fetcher.cache_failures
        finally:
            free.set()

    assert asyncio.run(run()) == 0
    assert shared.calls == ["get", "claim", "put"]
    assert shared.threads == {threading.current_thread().name}


def test_a_cache_that_may_block_is_called_off_the_event_loop(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    case = Case(edge, publisher, clock, awaited=False)
    case.ask("old")
    assert all(name.startswith(("asyncio_", "jwks-fetch")) for name in case.shared.threads)


def test_an_evicted_key_set_comes_back_from_the_document(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [OLD]
    fetcher = edge.fetcher(POLICY, clock=clock, max_key_sets=1)
    for _ in range(2):
        for path in ("/a", "/b"):
            assert fetcher.get_key(registered(publisher.uri(path)), "RS256", "old").kid == "old"
    assert publisher.count == 2


def test_a_document_is_kept_in_the_cache_that_has_grown(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [OLD]
    fetcher = edge.fetcher(POLICY, clock=clock, max_key_sets=1)
    fetcher.reserve(100_001)
    subject = getattr(fetcher, "subject", fetcher)
    subject._state._key_sets.bound = 1
    for _ in range(2):
        for path in ("/a", "/b"):
            assert fetcher.get_key(registered(publisher.uri(path)), "RS256", "old").kid == "old"
    assert publisher.count == 2
    assert subject._cache.get(publisher.uri("/a"), clock()) is not None
