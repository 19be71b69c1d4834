"""What a refusal for want of a key says: each fact that an operator needs, and no more than 300 characters."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from edges import Edge
from loopback import Publisher, http
from private_key_jwt import AuthenticationError, ConfigurationError, JWKSPolicy, Reason, RegisteredClient
from private_key_jwt._core.jwk_set import NoKey
from private_key_jwt._text import format_time
from private_key_jwt.events import Event, KeySetEvicted, KeySkipped
from private_key_jwt.fetcher._details import Known, describe_no_key, describe_set, describe_unavailable
from private_key_jwt.testing import Clock
from support import jwk, private_key, registered

NOW = 1_764_439_980.0  # 2025-11-29T18:13:00Z
URI = "https://op.example/" + "x" * 2_000 + "/jwks.json"
SHORT_URI = "https://client.example/jwks.json"
AGED = Known(NOW - 12, NOW, 18, SHORT_URI)
FAILED = Known(NOW - 12, NOW, 18, SHORT_URI, "expected HTTP status 200, got 429", NOW - 2)
FLOODED = Known(NOW - 12, NOW, 18, SHORT_URI, since=NOW - 3_600, spent_on="made-up")
AT_ONCE = Known(NOW - 12, NOW, 0, SHORT_URI)
LONG = "k" * 256
FAULTY = "a key there is not usable, its kid is the number 20261129, not a string"


def no_key(
    reason: Reason, faults: tuple[str, ...] = (), kids: tuple[str, ...] = (), *, is_final: bool = False
) -> NoKey:
    return NoKey(reason, is_final, lambda: faults, lambda: kids)


@pytest.mark.parametrize(
    ("found", "kid", "known", "is_spent", "words"),
    [
        (
            no_key(Reason.UNKNOWN_KID, kids=("'a'", "'b'")),
            "x",
            AGED,
            False,
            ["kid 'x': not in", "2025-11-29T18:12:48Z, 12 s old", "at 2025-11-29T18:13:18Z", "its kids: 'a', 'b'"],
        ),
        (
            no_key(Reason.UNKNOWN_KID, kids=("'a'",)),
            "x",
            FAILED,
            True,
            ["maybe published since", "budget is spent", "the fetch at 2025-11-29T18:12:58Z failed", "got 429"],
        ),
        (
            no_key(Reason.UNKNOWN_KID, (FAULTY,)),
            "x",
            AGED,
            False,
            [f"{FAULTY}; it is not in the key set of", "12 s old"],
        ),
        (
            no_key(Reason.UNKNOWN_KID),
            "x",
            FLOODED,
            True,
            ["the fetch budget is spent, last on kid 'made-up'"],
        ),
        (no_key(Reason.UNKNOWN_KID), "made-up", FLOODED, True, ["the fetch budget is spent; next try"]),
        (no_key(Reason.UNKNOWN_KID), "x", AGED, False, ["the first set seen here"]),
        (no_key(Reason.UNKNOWN_KID), "x", AT_ONCE, False, ["it may be tried again now"]),
        (
            no_key(Reason.UNKNOWN_KID, kids=tuple(f"'key-{number}'" for number in range(64))),
            "x",
            AGED,
            False,
            ["its kids: 'key-0', 'key-1'", "more"],
        ),
        (no_key(Reason.UNKNOWN_KID, kids=(f"'{LONG}'",)), LONG, FAILED, True, ["not in", "got 429"]),
        (no_key(Reason.NO_KEYS), "x", AGED, False, ["is empty", "12 s old", "signing key"]),
        (no_key(Reason.NO_KEYS), LONG, FAILED, True, ["is empty", "budget is spent", "next try at 2025"]),
        (no_key(Reason.UNUSABLE_KEY, ("its use is 'enc', not sig",)), "x", AGED, False, ["kid 'x': its use is 'enc'"]),
        (
            no_key(Reason.UNUSABLE_KEY, tuple(f"'key-{number}': its use is 'enc', not sig" for number in range(64))),
            None,
            AGED,
            False,
            ["an assertion without kid: 'key-0': its use is", "and", "more", "12 s old"],
        ),
        (no_key(Reason.UNUSABLE_KEY, ("f" * 1_000,)), LONG, FAILED, True, ["fff...", "12 s old"]),
        (
            no_key(Reason.AMBIGUOUS_KEY, ("2 different keys for RS256 have this kid",), ("'a'",), is_final=True),
            "a",
            AGED,
            False,
            ["2 different keys", "its kids: 'a'"],
        ),
    ],
)
def test_a_refusal_within_a_set_holds_the_facts(
    found: NoKey, kid: str | None, known: Known, is_spent: bool, words: list[str]
) -> None:
    text = describe_no_key(found, kid, known, is_spent=is_spent)
    assert [word for word in [*words, "12 s old, from https://client", "/jwks.json"] if word not in text] == [], text
    assert len(text) <= 300, text
    # With a URL of any length the facts are there, and both its ends.
    text = describe_no_key(found, kid, replace(known, jwks_uri=URI), is_spent=is_spent)
    assert [word for word in words if "kids" not in word and word not in text] == [], text
    assert re.search(r"12 s old, from https://op.exam.*\.\.\..*/jwks.json", text), text
    assert len(text) <= 300, text


@pytest.mark.parametrize(
    ("known", "is_spent", "words"),
    [
        (
            FAILED,
            False,
            ["got 429 (at 2025-11-29T18:12:58Z; next try at 2025-11-29T18:13:18Z; https://client.example/jwks.json)"],
        ),
        (FAILED, True, ["got 429 (at 2025-11-29T18:12:58Z; the fetch budget is spent; next try at 2025"]),
        (AT_ONCE, False, ["got 429 (it may be tried again now; https://client"]),
    ],
)
def test_a_refusal_without_a_set_holds_the_facts(known: Known, is_spent: bool, words: list[str]) -> None:
    for cause in ("expected HTTP status 200, got 429", "x" * 500):
        text = describe_unavailable(cause, replace(known, jwks_uri=URI), is_spent=is_spent)
        assert len(text) <= 300
        assert "/jwks.json" in text
    text = describe_unavailable("expected HTTP status 200, got 429", known, is_spent=is_spent)
    assert [word for word in words if word not in text] == [], text


def test_a_set_is_described_for_a_signature_that_its_key_did_not_make() -> None:
    told = f"the key set is 12 s old, from {SHORT_URI}; next try at 2025-11-29T18:13:18Z"
    assert describe_set(AGED) == told
    assert describe_set(replace(AGED, is_shared=True)) == f"{told} at the latest"
    current = replace(AGED, asked_at=NOW - 1)
    assert describe_set(current) == f"the published key is current: its set is 1 s old, from {SHORT_URI}"


def test_of_a_set_that_is_current_no_key_was_maybe_published_since() -> None:
    found = no_key(Reason.UNKNOWN_KID)
    assert "maybe published since: the fetch budget is spent" in describe_no_key(found, "x", AGED, is_spent=True)
    current = describe_no_key(found, "x", replace(AGED, asked_at=NOW - 1), is_spent=True)
    assert "/jwks.json; the fetch budget is spent" in current
    assert "maybe published since" not in current


def test_a_kid_that_was_removed_says_so_whatever_else_there_is_to_say() -> None:
    for known in (AGED, replace(FAILED, jwks_uri=URI), FLOODED):
        text = describe_no_key(
            no_key(Reason.UNKNOWN_KID, kids=("'a'",)), LONG, replace(known, removed_at=NOW - 600), is_spent=True
        )
        assert "REMOVED, there before 2025-11-29T18:03:00Z" in text
        assert "seen here" not in text
        assert len(text) <= 300


LONGEST = "\u0390" * 128
DISTANT = replace(
    AGED, asked_at=NOW - 9_999_999, jwks_uri=URI, spent_on=LONGEST, is_shared=True, since=NOW - 3_600, failed_at=NOW - 2
)


@pytest.mark.parametrize("kid", [None, "x", "k" * 60, LONGEST], ids=["no kid", "short", "long", "longest"])
@pytest.mark.parametrize("reason", [Reason.UNKNOWN_KID, Reason.NO_KEYS, Reason.UNUSABLE_KEY, Reason.AMBIGUOUS_KEY])
@pytest.mark.parametrize("removed_at", [None, NOW - 600])
@pytest.mark.parametrize("failure", [None, "g" * 300])
@pytest.mark.parametrize("spent_on", [None, "b" * 60, LONGEST], ids=["unspent", "long spent", "longest spent"])
def test_no_name_that_somebody_else_chose_pushes_the_next_try_out_of_a_detail(
    reason: Reason, kid: str | None, removed_at: float | None, failure: str | None, spent_on: str | None
) -> None:
    known = replace(DISTANT, removed_at=removed_at, failure=failure, spent_on=spent_on)
    for fault in ("it is short", "f" * 300):
        for is_spent in (False, True):
            text = describe_no_key(no_key(reason, (fault,)), kid, known, is_spent=is_spent)
            assert len(text) <= 300, text
            assert "; next try at 2025-11-29T18:13:18Z at the latest" in text
            assert (fault[:20] in text) is (reason is not Reason.NO_KEYS and not (removed_at and "not in" in text))


def test_the_kids_that_are_there_stay_in_a_detail_beside_a_long_kid_that_a_stranger_spent_the_budget_on() -> None:
    uri = "https://login.tenant-0123456789.identity.example/realms/production-eu-west-1/openid-connect/certs"
    known = replace(DISTANT, asked_at=NOW - 100, jwks_uri=uri, spent_on="b" * 60)
    text = describe_no_key(no_key(Reason.UNKNOWN_KID, kids=("'a'", "'b'")), "c" * 80, known, is_spent=True)
    assert text.endswith("; its kids: 'a', 'b'")


# Over real HTTP


# What the seconds and counts below are about, whatever the defaults are.
POLICY = JWKSPolicy(allow_http_loopback=True, ttl=300, refresh_ahead=0.8, fetch_limit=2, fetch_window=30)


class Case:
    def __init__(self, edge: Edge, publisher: Publisher, clock: Clock) -> None:
        self.clock, self.publisher, self.edge = clock, publisher, edge
        self.events: list[Event] = []
        self.fetcher = edge.fetcher(POLICY, clock=clock, wall_clock=clock, on_event=self.events.append)
        self.client = registered(publisher.uri())

    def refused(self, kid: str | None) -> AuthenticationError:
        with pytest.raises(AuthenticationError) as caught:
            self.fetcher.get_key(self.client, "RS256", kid)
        return caught.value


@pytest.fixture
def case(edge: Edge, publisher: Publisher, clock: Clock) -> Case:
    publisher.keys = [jwk(kid="old"), jwk(private_key(1), kid="other")]
    return Case(edge, publisher, clock)


def test_unknown_kid_says_the_age_of_the_set_the_next_try_and_the_kids(case: Case) -> None:
    asked = case.clock()
    detail = case.refused("x").detail
    for word in (format_time(asked), "0 s old", format_time(asked + 5), "the first set seen here", "'old', 'other'"):
        assert word in detail
    case.refused("y")
    case.clock.advance(7)
    detail = case.refused("z").detail
    for word in ("7 s old", "maybe published since: the fetch budget is spent", format_time(asked + 30), "last on kid"):
        assert word in detail


def test_the_last_failure_is_said_by_every_refusal_that_follows_from_it(case: Case) -> None:
    case.publisher.answer = http(status="429 Slow Down")
    asked = case.clock()
    first = case.refused("old")
    assert "got 429" in first.detail
    assert "it may be tried again now" in first.detail
    case.clock.advance(1)
    case.refused("old")
    case.clock.advance(1)
    for _ in range(18):
        error = case.refused("old")
        assert error.reason is Reason.JWKS_UNAVAILABLE
        for word in ("got 429", f"at {format_time(asked + 1)}", "budget is spent", format_time(asked + 30)):
            assert word in error.detail
    assert case.publisher.count == 2


def test_a_failure_is_forgotten_with_the_next_answer(case: Case) -> None:
    case.publisher.answer = http(status="500 Oops")
    case.refused("old")
    case.publisher.answer = None
    assert case.fetcher.get_key(case.client, "RS256", "old").kid == "old"
    assert "failed" not in case.refused("x").detail


def test_unknown_kid_says_whether_the_key_was_removed_or_never_there(case: Case) -> None:
    assert case.fetcher.get_key(case.client, "RS256", "old").kid == "old"
    asked = case.clock()
    case.publisher.keys = case.publisher.keys[1:]
    case.clock.advance(60)
    case.refused("x")
    removed = case.refused("old").detail
    assert f"kid 'old': REMOVED, there before {format_time(asked + 60)}: not in the key set" in removed
    assert "its kids: 'other'" in removed
    case.clock.advance(60)
    assert f"REMOVED, there before {format_time(asked + 60)}" in case.refused("old").detail
    assert f"in none seen here since {format_time(asked)}; its kids: 'other'" in case.refused("x").detail


def test_unknown_kid_says_that_the_refetch_failed_before(case: Case) -> None:
    assert case.fetcher.get_key(case.client, "RS256", "old").kid == "old"
    case.publisher.answer = http(status="403 No")
    assert case.refused("x").reason is Reason.JWKS_UNAVAILABLE
    case.clock.advance(6)
    error = case.refused("x")
    assert error.reason is Reason.UNKNOWN_KID
    assert "got 403" in error.detail
    assert "maybe published since" in error.detail


def test_unusable_key_names_the_fault_of_that_key_and_skipped_keys_are_events(case: Case) -> None:
    case.publisher.keys = [jwk(kid="old", use="enc"), jwk(private_key(1), kid="\n", use="enc"), jwk(kid="good")]
    error = case.refused("old")
    assert error.reason is Reason.UNUSABLE_KEY
    assert "its use is 'enc', not sig" in error.detail
    skipped = [event for event in case.events if isinstance(event, KeySkipped)]
    assert [(event.kid, event.jwks_uri) for event in skipped] == [
        ("old", case.publisher.uri()),
        ("\\n", case.publisher.uri()),
    ]
    assert all("enc" in event.fault for event in skipped)


def test_an_empty_set_says_its_age(case: Case) -> None:
    case.publisher.keys = []
    error = case.refused("old")
    assert error.reason is Reason.NO_KEYS
    assert "is empty" in error.detail
    assert "0 s old" in error.detail


def test_the_set_of_a_client_is_described(case: Case) -> None:
    assert case.fetcher.describe_set(case.client) is None
    asked = case.clock()
    assert case.fetcher.get_key(case.client, "RS256", "old").kid == "old"
    case.clock.advance(55)
    described = case.fetcher.describe_set(case.client)
    for word in ("55 s old", str(case.client.jwks_uri), format_time(asked + 240)):
        assert word in described


def test_a_set_that_is_evicted_while_it_is_fresh_is_an_event(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    publisher.keys = [jwk(kid="old")]
    events: list[Any] = []
    fetcher = edge.fetcher(
        JWKSPolicy(allow_http_loopback=True), clock=clock, wall_clock=clock, max_key_sets=1, on_event=events.append
    )

    def evicted() -> list[tuple[str, float]]:
        found = [(event.jwks_uri, event.age) for event in events if isinstance(event, KeySetEvicted)]
        events.clear()
        return found

    def ask(path: str) -> None:
        assert fetcher.get_key(registered(publisher.uri(path)), "RS256", "old").kid == "old"

    ask("/a")
    clock.advance(10)
    ask("/b")
    assert evicted() == [(publisher.uri("/a"), 10)]
    clock.advance(300)
    ask("/c")
    assert evicted() == []
    fetcher.reserve(3)
    for path in ("/a", "/b", "/c"):
        ask(path)
    assert evicted() == []


def test_as_many_sets_are_kept_as_there_are_clients(edge: Edge) -> None:
    fetcher = edge.fetcher()
    subject = getattr(fetcher, "subject", fetcher)
    assert subject._state._key_sets.bound == 100_000
    fetcher.reserve(10)
    assert subject._state._key_sets.bound == 100_000
    fetcher.reserve(100_001)
    assert subject._state._key_sets.bound == 100_011
    assert subject._cache._documents.maxsize == 100_011


def test_several_verifiers_have_as_many_sets_as_all_their_clients(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    publisher.keys = [jwk(kid="old")]
    events: list[Any] = []
    policy = JWKSPolicy(allow_http_loopback=True)
    fetcher = edge.fetcher(policy, clock=clock, wall_clock=clock, max_key_sets=1, on_event=events.append)
    for _ in range(2):
        fetcher.reserve(2)
    for path in ("/a", "/b", "/c", "/d"):
        assert fetcher.get_key(registered(publisher.uri(path)), "RS256", "old").kid == "old"
    assert [event for event in events if isinstance(event, KeySetEvicted)] == []


def test_a_reservation_that_needs_no_more_room_forgets_no_document(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    publisher.keys = [jwk(kid="old")]
    fetcher = edge.fetcher(JWKSPolicy(allow_http_loopback=True), clock=clock, max_key_sets=300_000)
    assert fetcher.get_key(registered(publisher.uri()), "RS256", "old").kid == "old"
    subject = getattr(fetcher, "subject", fetcher)
    for _ in range(2):
        fetcher.reserve(150_000)
        assert subject._cache._documents.maxsize == 300_000
        assert subject._cache.get(publisher.uri(), clock()) is not None
    fetcher.reserve(1)
    assert subject._cache._documents.maxsize == 300_001


@pytest.mark.parametrize(
    ("uri", "names"),
    [
        ("https://publisher.example:8443/", "allow_ports"),
        ("http://localhost/", "allow_http_loopback"),
        ("https://10.0.0.1/", "allow_private_hosts"),
        ("https://169.254.169.254/", "metadata"),
    ],
)
def test_a_client_whose_jwks_uri_the_policy_forbids_is_refused_at_the_start(edge: Edge, uri: str, names: str) -> None:
    policy = JWKSPolicy(allow_ports=(443,), allow_http_loopback=False, allow_private_hosts=())
    fetcher = edge.fetcher(policy)
    with pytest.raises(ConfigurationError, match=names) as caught:
        fetcher.check_client(registered(uri))
    assert "client-1" in str(caught.value)
    fetcher.check_client(registered("https://publisher.example/"))
    fetcher.check_client(RegisteredClient("c", jwks={"keys": [jwk()]}))


@pytest.mark.parametrize("spent_on", ["s" * 43, "s"])
def test_a_key_that_is_meant_is_named_whole_where_what_a_stranger_chose_can_be_cut_for_it(spent_on: str) -> None:
    meant = f"that is the published kid '{'k' * 43}'"
    known = replace(FLOODED, spent_on=spent_on)
    found = no_key(Reason.UNKNOWN_KID, (f"{meant} in standard base64",))
    text = describe_no_key(found, "x" * 43, known, is_spent=True)
    assert meant in text
    assert "next try at 2025-11-29T18:13:18Z" in text
    assert len(text) <= 300
