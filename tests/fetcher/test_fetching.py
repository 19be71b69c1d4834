"""When fetchers fetch, what they keep, and what they refuse: over real HTTP, sync and async."""

import json
import time
from typing import Any

import pytest
from freezegun import freeze_time

from edges import Edge
from loopback import Publisher, http
from private_key_jwt import (
    ConfigurationError,
    InvalidClient,
    JWKSPolicy,
    MemoryJWKSCache,
    Reason,
    TemporarilyUnavailable,
)
from private_key_jwt.events import Event, KeySkipped, StaleKeysServed
from private_key_jwt.fetcher._fetches import DONE, Fetch, Outcome, RefreshRequest
from private_key_jwt.testing import Clock
from support import jwk, private_key, registered

OLD, NEW, OTHER = jwk(kid="old"), jwk(private_key(1), kid="new"), jwk(private_key(2), kid="other")


# What the seconds and counts of these tests are about, whatever the defaults are.
SETTINGS: dict[str, Any] = {
    "allow_http_loopback": True,
    "ttl": 300,
    "empty_ttl": 30,
    "refresh_ahead": 0.8,
    "stale_if_error": 0,
    "fetch_limit": 2,
    "fetch_window": 30,
}


def policy(**settings: Any) -> JWKSPolicy:
    return JWKSPolicy(**SETTINGS | settings)


class Case:
    """A fetcher, a publisher and a clock."""

    def __init__(self, edge: Edge, publisher: Publisher, clock: Clock, **settings: Any) -> None:
        self.edge, self.publisher, self.clock = edge, publisher, clock
        cache = {"cache": settings.pop("cache")} if "cache" in settings else {}
        self.events: list[Event] = []
        self.fetcher = edge.fetcher(policy(**settings), clock=clock, on_event=self.events.append, **cache)
        self.uri = publisher.uri()

    def ask(self, kid: str | None = "old", uri: str | None = None) -> Any:
        """The kid of the key that was found, or the reason why none was."""
        try:
            return self.fetcher.get_key(registered(uri or self.uri), "RS256", kid).kid
        except (InvalidClient, TemporarilyUnavailable) as error:
            return error.reason

    def asked(self, *kids: str | None) -> list[Any]:
        return [self.ask(kid) for kid in kids]


@pytest.fixture
def case(edge: Edge, publisher: Publisher, clock: Clock) -> Case:
    publisher.keys = [OLD]
    return Case(edge, publisher, clock)


# The cache


def test_a_known_kid_within_ttl_is_not_fetched_again(case: Case) -> None:
    assert case.asked(*["old"] * 20) == ["old"] * 20
    case.clock.advance(239)
    assert case.ask() == "old"
    assert case.publisher.count == 1


def test_a_known_kid_within_ttl_never_waits_for_the_network(case: Case) -> None:
    """Law 6."""
    assert case.ask() == "old"
    case.publisher.hold()
    missing = case.edge.begin([lambda: case.ask("new")])
    case.publisher.await_requests(2)
    case.clock.advance(239)
    assert case.asked("old", None) == ["old", "old"]
    case.publisher.release()
    assert missing() == [Reason.UNKNOWN_KID]


def test_past_the_ttl_no_key_is_used_and_one_fetch_renews_all(case: Case) -> None:
    assert case.ask() == "old"
    case.clock.advance(300)
    case.publisher.answer = http(status="500 Oops")
    assert case.ask() is Reason.JWKS_UNAVAILABLE
    case.publisher.answer = None
    assert case.asked("old", "old") == ["old", "old"]
    assert case.publisher.count == 3


def test_age_runs_from_when_the_set_was_asked_for(case: Case) -> None:
    case.publisher.hold()
    answer = case.edge.begin([case.ask])
    case.publisher.await_requests(1)
    case.clock.advance(100)
    case.publisher.release()
    assert answer() == ["old"]
    case.publisher.answer = http(status="500 Oops")
    case.clock.advance(199)
    assert case.ask() == "old"
    case.edge.settle()
    case.clock.advance(1)
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_a_publishers_cache_headers_neither_lengthen_nor_shorten(case: Case) -> None:
    body = json.dumps({"keys": [OLD]}).encode()
    for headers in (
        "Cache-Control: max-age=31536000\r\nExpires: Fri, 01 Jan 2099 00:00:00 GMT\r\n",
        "Cache-Control: no-store, max-age=0\r\nPragma: no-cache\r\nExpires: 0\r\nRetry-After: 9\r\n",
    ):
        case.publisher.answer = http(body, headers=headers)
        before = case.publisher.count
        assert case.asked("old", "old") == ["old", "old"]
        case.clock.advance(239)
        assert case.ask() == "old"
        case.clock.advance(61)
        assert case.publisher.count == before + 1


@pytest.mark.parametrize(
    ("age", "used"),
    [("0", 300), ("100", 200), ("269", 31), ("299", 30), ("1000000", 30), ("-5", 300), ("x", 300), ("", 300)],
)
def test_the_age_that_a_cache_tells_counts_and_30_s_remain(case: Case, age: str, used: int) -> None:
    """RFC 9111 section 5.1: 300 s in a cache of the publisher and 300 s here would be 600."""
    case.publisher.answer = http(json.dumps({"keys": [OLD]}).encode(), headers=f"Age: {age}\r\n")
    assert case.ask() == "old"
    case.publisher.answer = http(status="500 Oops")
    case.clock.advance(used - 0.1)
    assert case.ask() == "old"
    case.clock.advance(0.1)
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_refresh_ahead_counts_in_what_the_age_leaves(case: Case) -> None:
    case.publisher.answer = http(json.dumps({"keys": [OLD]}).encode(), headers="Age: 200\r\n")
    assert case.ask() == "old"
    case.clock.advance(0.8 * 100 - 0.1)
    assert case.ask() == "old"
    case.edge.settle()
    assert case.publisher.count == 1
    case.clock.advance(0.1)
    assert case.ask() == "old"
    case.edge.settle()
    assert case.publisher.count == 2


def test_a_broken_age_costs_two_fetches_a_minute_and_hides_no_new_key(case: Case) -> None:
    case.publisher.answer = lambda connection: connection.sendall(
        http(json.dumps({"keys": case.publisher.keys}).encode(), headers="Age: 99999999\r\n")
    )
    for _ in range(120):
        assert case.ask() == "old"
        case.clock.advance(1)
        case.edge.settle()
    assert case.publisher.count <= 1 + 120 / 24
    case.clock.advance(30)
    case.publisher.keys = [OLD, NEW]
    assert case.asked("old", "new") == ["old", "new"]


# The wall clock


def test_a_wall_clock_that_passed_the_ttl_ends_a_set(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    """Law 3: after a sleep that the other clock slept through."""
    wall = Clock(1_000_000)
    publisher.keys = [OLD]
    fetcher = edge.fetcher(policy(), clock=clock, wall_clock=wall)
    client = registered(publisher.uri())
    assert fetcher.get_key(client, "RS256", "old").kid == "old"
    publisher.keys = [NEW]
    wall.advance(policy().ttl - 0.1)
    assert fetcher.get_key(client, "RS256", "old").kid == "old"
    wall.advance(0.1)
    with pytest.raises(InvalidClient, match="unknown_kid"):
        fetcher.get_key(client, "RS256", "old")
    assert publisher.count == 2


def test_a_wall_clock_that_is_set_back_prolongs_nothing(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    wall = Clock(1_000_000)
    publisher.keys = [OLD]
    fetcher = edge.fetcher(policy(), clock=clock, wall_clock=wall)
    client = registered(publisher.uri())
    assert fetcher.get_key(client, "RS256", "old").kid == "old"
    wall.set(1_000)
    clock.advance(policy().ttl - 1)
    assert fetcher.get_key(client, "RS256", "old").kid == "old"
    edge.settle()
    publisher.answer = http(status="500 Oops")
    clock.advance(policy().ttl)
    with pytest.raises(TemporarilyUnavailable):
        fetcher.get_key(client, "RS256", "old")


def test_a_step_of_the_wall_clock_frees_no_budget_and_no_unknown_kid(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    """Law 2."""
    wall = Clock(1_000_000)
    publisher.keys = [OLD]
    fetcher = edge.fetcher(policy(), clock=clock, wall_clock=wall)
    client = registered(publisher.uri())
    for _ in range(10):
        wall.advance(3_600)
        for kid in ("gone", "a", "b"):
            with pytest.raises((InvalidClient, TemporarilyUnavailable)):
                fetcher.get_key(client, "RS256", kid)
    assert publisher.count == 2


def test_a_wall_clock_that_goes_on_a_little_does_not_matter(edge: Edge, publisher: Publisher) -> None:
    publisher.keys = [OLD]
    fetcher = edge.fetcher()
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "old").kid == "old"
    with freeze_time("1999-01-01", ignore=["asyncio"]):
        assert time.time() < 10**9
        assert fetcher.get_key(registered(publisher.uri()), "RS256", "old").kid == "old"
    assert publisher.count == 1


# Rotation


def test_a_published_new_key_works_at_once(case: Case) -> None:
    """Law 4."""
    assert case.ask() == "old"
    case.publisher.keys = [NEW, OLD]
    assert case.asked("new", "old", "new") == ["new", "old", "new"]
    assert case.publisher.count == 2


def test_a_removed_key_is_refused_within_its_ttl_under_constant_traffic(case: Case) -> None:
    """Law 3: the last moment at which the old key works is less than 300 s after it left the set."""
    assert case.ask() == "old"
    case.publisher.keys = [NEW]
    worked = []
    for second in range(400):
        if case.ask() == "old":
            worked.append(second)
        case.clock.advance(1)
        case.edge.settle()
    assert max(worked) < 300


def test_a_removed_key_is_refused_within_its_ttl_when_the_publisher_is_down(case: Case) -> None:
    assert case.ask() == "old"
    case.publisher.answer = http(status="503 Down")
    for _ in range(299):
        assert case.ask() == "old"
        case.clock.advance(1)
        case.edge.settle()
    case.clock.advance(1)
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_a_new_key_works_within_30_s_under_a_flood_of_made_up_kids(case: Case) -> None:
    """Law 4, second half; and law 2: the flood costs no more than the budget."""
    assert case.ask() == "old"
    published_at = None
    for second in range(120):
        for number in range(20):
            assert case.ask(f"made-up-{second}-{number}") is Reason.UNKNOWN_KID
        if second == 40:
            case.publisher.keys = [NEW, OLD]
            published_at = second
        if published_at is not None and case.ask("new") == "new":
            assert second - published_at <= 30
            break
        case.clock.advance(1)
    else:
        pytest.fail("the new key never worked")
    assert case.publisher.count <= 2 * (second // 30 + 1)


def test_a_kid_seen_before_it_was_published_works_within_one_window(case: Case) -> None:
    assert case.asked("old", "new") == ["old", Reason.UNKNOWN_KID]
    case.publisher.keys = [NEW, OLD]
    case.clock.advance(29.9)
    assert case.ask("new") is Reason.UNKNOWN_KID
    case.clock.advance(0.1)
    assert case.ask("new") == "new"


def test_an_unknown_kid_is_remembered_from_when_the_set_was_asked_for(case: Case) -> None:
    """Law 4: not from when the answer came."""
    assert case.ask() == "old"
    case.clock.advance(30)
    case.publisher.hold()
    asking = case.edge.begin([lambda: case.ask("new")])
    case.publisher.await_requests(2)
    case.clock.advance(20)
    case.publisher.release()
    assert asking() == [Reason.UNKNOWN_KID]
    case.publisher.keys = [NEW, OLD]
    case.clock.advance(10)
    assert case.ask("new") == "new"


def test_one_unknown_kid_repeated_for_ten_minutes_costs_the_budget_of_each_window(case: Case) -> None:
    for _ in range(600):
        assert case.ask("gone") is Reason.UNKNOWN_KID
        case.clock.advance(1)
    assert case.publisher.count <= 2 * (600 / 30)


def test_a_kid_seen_before_it_was_published_works_5_s_later_while_budget_is_left(case: Case) -> None:
    assert case.ask("new") is Reason.UNKNOWN_KID
    case.publisher.keys = [NEW, OLD]
    case.clock.advance(4.9)
    assert case.ask("new") is Reason.UNKNOWN_KID
    case.clock.advance(0.1)
    assert case.ask("new") == "new"
    assert case.publisher.count == 2


def test_a_repeated_unknown_kid_leaves_budget_for_another(case: Case) -> None:
    assert case.asked("gone", *["gone"] * 10) == [Reason.UNKNOWN_KID] * 11
    case.publisher.keys = [NEW, OLD]
    assert case.ask("new") == "new"


# The budget


def test_the_budget_is_2_fetches_in_30_s_whatever_starts_them(case: Case) -> None:
    """Law 2."""
    assert case.asked("a", "b", "c", "d") == [Reason.UNKNOWN_KID] * 4
    assert case.publisher.count == 2
    case.clock.advance(29.9)
    assert case.ask("e") is Reason.UNKNOWN_KID
    assert case.publisher.count == 2
    case.clock.advance(0.1)
    assert case.asked("f", "g", "h") == [Reason.UNKNOWN_KID] * 3
    assert case.publisher.count == 4


def test_failed_fetches_count_too(case: Case) -> None:
    case.publisher.answer = http(status="500 Oops")
    assert case.asked(*["old"] * 10) == [Reason.JWKS_UNAVAILABLE] * 10
    assert case.publisher.count == 2
    case.publisher.answer = None
    case.clock.advance(30)
    assert case.ask() == "old"


def test_a_spent_budget_says_when_to_come_back(case: Case) -> None:
    case.publisher.answer = http(status="500 Oops")
    case.asked("old", "old")
    case.clock.advance(12.5)
    with pytest.raises(TemporarilyUnavailable) as caught:
        case.fetcher.get_key(registered(case.uri), "RS256", "old")
    assert caught.value.to_response().headers["Retry-After"] == "18"


def test_budgets_are_kept_for_each_jwks_uri(case: Case) -> None:
    assert case.asked("a", "b", "c") == [Reason.UNKNOWN_KID] * 3
    assert case.ask("old", case.publisher.uri("/other.json")) == "old"


def test_budgets_outlive_evicted_documents(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    fetcher = edge.fetcher(policy(), clock=clock, cache=MemoryJWKSCache(1), max_key_sets=1)
    publisher.keys = [OLD]
    for _ in range(10):
        for path in ("/a", "/b", "/c"):
            with pytest.raises((InvalidClient, TemporarilyUnavailable)):
                fetcher.get_key(registered(publisher.uri(path)), "RS256", "gone")
    assert publisher.count == 3 * 2


def _take(state: Any, number: int) -> Outcome | None:
    """Take a fetch of one of many, and end it; return why not."""
    request = RefreshRequest(f"https://{number}", None, forced=False, known=None)
    fetch = Fetch(request, 0, None)
    refused: Outcome | None = state.take(fetch)
    if refused is None:
        state.finish(fetch, DONE)
    return refused


def test_idle_budgets_are_forgotten(case: Case) -> None:
    state = getattr(case.fetcher, "subject", case.fetcher)._state
    for number in range(3_000):
        case.clock.advance(0.1)
        assert _take(state, number) is None
    assert len(state._budgets) < 1_400


def test_a_spent_budget_outlives_thousands_of_others(case: Case) -> None:
    state = getattr(case.fetcher, "subject", case.fetcher)._state
    for number in range(3_000):
        assert [_take(state, number) for _ in range(2)] == [None, None]
    for number in range(3_000):
        assert _take(state, number) is not None


# Sharing


def test_concurrent_cold_requests_share_one_fetch(case: Case) -> None:
    """Law 6."""
    case.publisher.hold()
    answers = case.edge.begin([case.ask] * 50)
    case.publisher.await_requests(1)
    case.publisher.release()
    assert answers() == ["old"] * 50
    assert case.publisher.count == 1


def test_concurrent_requests_share_a_failure(case: Case) -> None:
    case.publisher.hold()
    case.publisher.answer = http(status="500 Oops")
    answers = case.edge.begin([case.ask] * 20)
    case.publisher.await_requests(1)
    case.publisher.release()
    assert answers() == [Reason.JWKS_UNAVAILABLE] * 20
    assert case.publisher.count <= 2


def test_concurrent_made_up_kids_cost_no_more_than_the_budget(case: Case) -> None:
    answers = case.edge.together([lambda n=n: case.ask(f"made-up-{n}") for n in range(50)])  # type: ignore[misc]
    assert set(answers) == {Reason.UNKNOWN_KID}
    assert case.publisher.count <= 2


def test_an_older_fetch_is_not_the_last_word_for_a_later_request(case: Case) -> None:
    assert case.ask() == "old"
    case.clock.advance(30)

    def answer(connection: Any) -> None:
        keys = [OLD] if case.publisher.count == 2 else [NEW, OLD]
        connection.sendall(http(json.dumps({"keys": keys}).encode()))

    case.publisher.answer = answer
    case.publisher.hold()
    first = case.edge.begin([lambda: case.ask("made-up")])
    case.publisher.await_requests(2)
    second = case.edge.begin([lambda: case.ask("new")])
    assert case.ask() == "old"
    case.publisher.release()
    assert first() == [Reason.UNKNOWN_KID]
    assert second() == ["new"]
    assert case.publisher.count == 3


def test_a_hung_publisher_delays_no_other(case: Case) -> None:
    hung = Publisher()
    hung.hold()
    try:
        waiting = case.edge.begin([lambda: case.ask("old", hung.uri())])
        hung.await_requests(1)
        assert case.ask() == "old"
    finally:
        hung.close()
    assert waiting() == [Reason.NO_KEYS]


def test_two_jwks_uris_share_nothing(case: Case) -> None:
    other = case.publisher.uri("/other.json")
    assert case.ask() == "old"
    case.publisher.keys = [OTHER]
    assert case.ask("other", other) == "other"
    assert case.asked("old") == ["old"]


# An empty set


def test_an_empty_set_is_an_answer(case: Case) -> None:
    case.publisher.keys = []
    assert case.asked("old", "old", None) == [Reason.NO_KEYS] * 3
    assert case.publisher.count == 2


def test_an_empty_set_revokes_every_key(case: Case) -> None:
    assert case.ask() == "old"
    case.publisher.keys = []
    assert case.asked("new", "old", None) == [Reason.NO_KEYS] * 3


def test_a_tenant_set_up_a_minute_later_works_soon_after(case: Case) -> None:
    case.publisher.keys = []
    assert case.ask() is Reason.NO_KEYS
    case.publisher.keys = [OLD]
    case.clock.advance(4.9)
    assert case.ask() is Reason.NO_KEYS
    case.clock.advance(0.1)
    assert case.ask() == "old"


def test_an_empty_set_is_kept_for_30_s_when_nobody_may_ask(case: Case) -> None:
    case.publisher.keys = []
    assert case.asked("a", "b") == [Reason.NO_KEYS] * 2
    case.publisher.keys = [OLD]
    case.clock.advance(29.9)
    assert case.ask() is Reason.NO_KEYS
    case.clock.advance(0.1)
    assert case.ask() == "old"


# Bad answers


@pytest.mark.parametrize(
    "answer",
    [
        http(status="500 Oops"),
        http(status="404 Not Found"),
        http(status="304 Not Modified"),
        http(b"<html>login</html>", content_type="text/html"),
        http(b"<html>login</html>"),
        http(b""),
        http(b"null"),
        http(b'{"keys": null}'),
        http(b'{"keys": []}{}'),
        http(b'{"keys": [], "keys": []}'),
        http(json.dumps(NEW).encode()),
        http(json.dumps({"keys": [NEW] * 65}).encode()),
        http(b'{"keys": [' + b" " * 70_000 + b"]}"),
        http(b'{"keys": []}', length=100),
        http(status="302 Found", headers="Location: /elsewhere.json\r\n"),
        b"",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_bad_answer_never_replaces_good_keys(case: Case, answer: bytes) -> None:
    """Law 5."""
    assert case.ask() == "old"
    case.publisher.answer = answer
    assert case.ask("new") is Reason.JWKS_UNAVAILABLE
    assert case.ask() == "old"
    case.publisher.answer = None
    case.publisher.keys = [NEW, OLD]
    case.clock.advance(30)
    assert case.asked("new", "old") == ["new", "old"]


def test_a_failed_fetch_is_not_remembered_for_ever(case: Case) -> None:
    case.publisher.answer = http(status="500 Oops")
    assert case.ask() is Reason.JWKS_UNAVAILABLE
    case.publisher.answer = None
    assert case.ask() == "old"


def test_one_broken_key_among_good_ones_costs_itself(case: Case) -> None:
    """Law 5."""
    case.publisher.keys = [jwk(kid="old", use="enc"), {"kty": 1}, NEW]
    assert case.ask("new") == "new"
    faults = [event.fault for event in case.events if isinstance(event, KeySkipped)]
    assert len(faults) == 2
    assert "use is 'enc', not sig" in faults[0]


def test_a_kid_that_names_an_unusable_key_refetches(case: Case) -> None:
    case.publisher.keys = [jwk(kid="old", use="enc")]
    assert case.ask() is Reason.UNUSABLE_KEY
    case.publisher.keys = [OLD]
    assert case.ask() is Reason.UNUSABLE_KEY
    case.clock.advance(30)
    assert case.ask() == "old"


def test_an_ambiguous_kid_does_not_fetch(case: Case) -> None:
    case.publisher.keys = [OLD, jwk(private_key(1), kid="old")]
    assert case.asked(*["old"] * 5) == [Reason.AMBIGUOUS_KEY] * 5
    assert case.publisher.count == 1


# Refresh ahead


def test_a_set_in_use_is_refreshed_ahead_in_the_background(case: Case) -> None:
    assert case.ask() == "old"
    case.clock.advance(240)
    case.publisher.hold()
    assert case.asked("old", "old") == ["old", "old"]
    case.publisher.await_requests(2)
    assert case.ask() == "old"
    case.publisher.release()
    case.edge.settle()
    case.clock.advance(239)
    assert case.ask() == "old"
    assert case.publisher.count == 2


def test_a_failing_refresh_ahead_is_tried_once(case: Case) -> None:
    assert case.ask() == "old"
    case.publisher.answer = http(status="500 Oops")
    case.clock.advance(240)
    for _ in range(59):
        assert case.ask() == "old"
        case.edge.settle()
        case.clock.advance(1)
    assert case.publisher.count == 2


# Stale keys


def test_stale_keys_are_used_only_after_a_fetch_failed_and_up_to_the_cap(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    publisher.keys = [OLD]
    case = Case(edge, publisher, clock, stale_if_error=60)
    assert case.ask() == "old"
    publisher.answer = http(status="500 Oops")
    clock.advance(300)
    assert case.asked("old", "old", "old", "old") == ["old"] * 4
    assert publisher.count == 3
    assert case.ask("new") is Reason.JWKS_UNAVAILABLE
    assert {event.age for event in case.events if isinstance(event, StaleKeysServed)} == {300}
    clock.advance(59.9)
    assert case.ask() == "old"
    clock.advance(0.1)
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_a_failure_of_long_ago_makes_no_key_usable(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [OLD]
    case = Case(edge, publisher, clock, stale_if_error=3_600)
    assert case.ask() == "old"
    publisher.answer = http(status="500 Oops")
    assert case.ask("new") is Reason.JWKS_UNAVAILABLE
    clock.advance(400)
    getattr(case.fetcher, "aclose" if edge.name == "async" else "close")()
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_staleness_needs_a_failure(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [OLD]
    case = Case(edge, publisher, clock, stale_if_error=3_600)
    assert case.ask() == "old"
    clock.advance(300)
    getattr(case.fetcher, "aclose" if edge.name == "async" else "close")()
    assert case.ask() is Reason.JWKS_UNAVAILABLE


def test_an_answer_ends_staleness(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [OLD]
    case = Case(edge, publisher, clock, stale_if_error=60)
    assert case.ask() == "old"
    clock.advance(310)
    publisher.keys = [NEW]
    assert case.asked("old", "new") == [Reason.UNKNOWN_KID, "new"]


# Forced


def test_a_forced_refresh_asks_the_publisher_now(case: Case) -> None:
    assert case.ask() == "old"
    case.publisher.keys = [NEW]
    assert [member.kid for member in case.fetcher.refresh(case.uri).members] == ["new"]
    assert case.ask() is Reason.UNKNOWN_KID
    with pytest.raises(TemporarilyUnavailable, match="budget"):
        case.fetcher.refresh(case.uri)


def test_what_is_no_url_cannot_be_refreshed(case: Case) -> None:
    for uri in ("acme", "ftp://x/", "https://user@x/"):
        with pytest.raises(ConfigurationError, match="jwks_uri"):
            case.fetcher.refresh(uri)


def test_only_a_forced_refetch_passes_caches_by(case: Case) -> None:
    case.asked("old", "new")
    assert ["no-cache" in request for request in case.publisher.requests] == [False, True]


def test_a_forced_refresh_waits_for_its_own_answer(case: Case) -> None:
    case.publisher.hold()
    first = case.edge.begin([case.ask])
    case.publisher.await_requests(1)
    second = case.edge.begin([lambda: case.fetcher.refresh(case.uri)])
    case.publisher.release()
    assert first() == ["old"]
    assert len(second()[0].members) == 1
    assert case.publisher.count in (1, 2)


# The end


def test_a_closed_fetcher_fetches_no_more(case: Case) -> None:
    assert case.ask() == "old"
    getattr(case.fetcher, "aclose" if case.edge.name == "async" else "close")()
    assert case.ask() == "old"
    assert case.ask("new") is Reason.JWKS_UNAVAILABLE
    assert case.publisher.count == 1


def test_closing_waits_for_no_hung_publisher(case: Case) -> None:
    case.publisher.hold()
    waiting = case.edge.begin([case.ask])
    case.publisher.await_requests(1)
    getattr(case.fetcher, "aclose" if case.edge.name == "async" else "close")()
    assert waiting() == [Reason.JWKS_UNAVAILABLE]


def test_what_is_handed_out_cannot_change_what_is_kept(case: Case) -> None:
    keys = case.fetcher.refresh(case.uri)
    with pytest.raises((AttributeError, TypeError)):
        keys.members[0].kid = "evil"
    with pytest.raises(TypeError):
        keys.members[0] = None
    assert case.ask() == "old"
