"""What holds for every order of events: the laws, against models that are simple enough to be believed.

The examples are the same in each run (``derandomize``): a failure is one for everybody.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any, NamedTuple

import httpx
import pytest
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edges import AsyncEdge, Edge, SyncEdge
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    ConfigurationError,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt._core import jwk_set
from private_key_jwt._core.response import FetchError, ResponseReader
from private_key_jwt._jwks_uri import check_jwks_uri
from private_key_jwt.fetcher._destination import Destination
from private_key_jwt.testing import Clock
from support import OP, jwk, private_key, registered, sign

PHASES = (Phase.explicit, Phase.generate, Phase.shrink)
FIXED = settings(derandomize=True, database=None, phases=PHASES)
NOW = 1_700_000_000


pytestmark = pytest.mark.usefixtures("untraced")

KIDS = ("a", "b")
KEYS = {kid: jwk(private_key(number), kid=kid) for number, kid in enumerate(KIDS)}

thousandths = st.integers(0, 120_000).map(lambda number: number / 1_000)
instants = st.sampled_from([-0.001, 0.0, 0.001, -0.5, 0.5, -1.0, 1.0])


@cache
def signed(header: str, claims: str, signer: int) -> str:
    """An assertion; the same for the same, for a failing example is tried many times over."""
    return sign(header.encode(), claims.encode(), private_key(signer))


def outcome(call: Callable[[], Any]) -> Any:
    """What a call answered, or the reason of an error of ours."""
    try:
        return call()
    except AuthenticationError as error:
        return error.reason


# Law 1: no assertion twice


class ForgetfulStore:
    """The least that a store must do: a mark is gone the moment it has expired, by the fastest clock there is."""

    in_process = True

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._marks: dict[bytes, float] = {}

    def add(self, key: bytes, expires_at: float, now: float) -> bool:
        if self._marks.get(key, -math.inf) > self._clock():
            return False
        self._marks[key] = expires_at
        return True


class Issued(NamedTuple):
    """An assertion on its way."""

    text: str
    iat: float
    exp: float


class Replays(RuleBasedStateMachine):
    """Two hosts whose clocks differ by up to the leeway share a store; anyone may send anything at any time."""

    def make_store(self) -> Any:
        return ForgetfulStore(lambda: self.time + max(self.skews))

    @initialize(
        leeway=st.sampled_from([0, 0.25, 1, 15, 59.999]),
        max_lifetime=st.sampled_from([1, 60, 300]),
        apart=st.sampled_from([-1.0, -0.5, 0.0, 0.999, 1.0]),
        start=thousandths,
    )
    def begin(self, leeway: float, max_lifetime: float, apart: float, start: float) -> None:
        self.leeway, self.max_lifetime = leeway, max_lifetime
        self.time = NOW + start
        self.skews = (0.0, apart * leeway)
        store = self.make_store()
        self.hosts = [
            ClientAssertionVerifier(
                policy=AssertionPolicy(audience=OP, leeway=leeway, max_lifetime=max_lifetime),
                clients=[RegisteredClient("c", jwks={"keys": [KEYS["a"]]})],
                replay_store=store,
                clock=lambda skew=skew: self.time + skew,  # type: ignore[misc]
            )
            for skew in self.skews
        ]
        self.issued: list[Issued] = []
        self.accepted: list[int] = []

    @precondition(lambda self: len(self.issued) < 3)
    @rule(age=instants, lifetime=thousandths)
    def issue(self, age: float, lifetime: float) -> None:
        iat = self.time - age
        exp = iat + min(lifetime, self.max_lifetime)
        claims = {"iss": "c", "sub": "c", "aud": OP, "iat": iat, "exp": exp, "jti": f"j{len(self.issued)}"}
        self.issued.append(Issued(signed('{"alg":"RS256","kid":"a"}', json.dumps(claims), 0), iat, exp))

    @precondition(lambda self: self.issued)
    @rule(number=st.integers(0, 2), host=st.integers(0, 1))
    def send(self, number: int, host: int) -> None:
        number %= len(self.issued)
        text, iat, exp = self.issued[number]
        now = self.time + self.skews[host]
        told = outcome(lambda: self.hosts[host].verify(text).jti)
        # What is new, and in time by any reading, gets in.
        if iat <= now < exp - 0.002 and number not in self.accepted:
            assert told == f"j{number}", told
        if told == f"j{number}":
            self.accepted.append(number)
        else:
            assert told in (
                *(Reason.REPLAYED, Reason.EXPIRED, Reason.NOT_YET_VALID),
                *(Reason.LIFETIME_TOO_LONG, Reason.REPLAY_STORE_UNAVAILABLE),
            )

    @rule(seconds=thousandths)
    def wait(self, seconds: float) -> None:
        self.time += seconds / 8

    @precondition(lambda self: self.issued)
    @rule(number=st.integers(0, 2), host=st.integers(0, 1), leeways=st.integers(0, 2), beside=instants)
    def send_at_an_edge(self, number: int, host: int, leeways: int, beside: float) -> None:
        """When a host's clock stands beside an expiry, or some leeways after it: where mistakes are made."""
        exp = self.issued[number % len(self.issued)].exp
        self.time = max(self.time, exp + leeways * self.leeway + beside - self.skews[host])
        self.send(number, host)

    @invariant()
    def nothing_was_accepted_twice(self) -> None:
        if hasattr(self, "accepted"):
            assert len(set(self.accepted)) == len(self.accepted)


class MemoryReplays(Replays):
    def make_store(self) -> Any:
        return MemoryReplayStore()


TestReplays = Replays.TestCase
TestReplays.settings = settings(FIXED, max_examples=60, stateful_step_count=30)


TestMemoryReplays = MemoryReplays.TestCase
TestMemoryReplays.settings = settings(FIXED, max_examples=40, stateful_step_count=30)


# Laws 2 to 5: the budget, and how fresh what is used is


class Publishing:
    """Publishers, as transports of httpx see them, and the record of what they said to whom."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.published: dict[str, frozenset[str]] = {}
        self.history: dict[str, list[tuple[float, frozenset[str]]]] = {}
        self.is_well = True
        self.well_since = -math.inf
        self.requests: list[tuple[str, float]] = []
        self.answered: dict[str, tuple[float, frozenset[str]]] = {}

    def publish(self, uri: str, kids: frozenset[str]) -> None:
        self.published[uri] = kids
        self.history.setdefault(uri, []).append((self.clock(), kids))

    def turn(self, *, is_well: bool) -> None:
        self.well_since = self.clock() if is_well and not self.is_well else self.well_since
        self.is_well = is_well

    def __call__(self, request: httpx.Request) -> httpx.Response:
        uri = str(request.url)
        self.requests.append((uri, self.clock()))
        if not self.is_well:
            return httpx.Response(503)
        kids = self.published[uri]
        self.answered[uri] = self.clock(), kids
        return httpx.Response(200, json={"keys": [KEYS[kid] for kid in sorted(kids)]})

    def published_since(self, uri: str, kid: str) -> float:
        """Since when the kid has stood there without a break; infinity when it does not."""
        since = math.inf
        for at, kids in self.history[uri]:
            since = min(since, at) if kid in kids else math.inf
        return since


def settle() -> None:
    for thread in threading.enumerate():
        if thread.name == "jwks-fetch" and thread.is_alive():
            thread.join(10)


URIS = ("https://one.example/jwks.json", "https://two.example/jwks.json")
uris = st.sampled_from([URIS[0], *URIS])
kid_sets = st.sampled_from([frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()])


class Fetching(RuleBasedStateMachine):
    """Strangers and clients ask for keys while publishers rotate, remove, break and mend."""

    @initialize(
        # Not under the window: the budget is then spent before the keys are gone.
        ttl=st.sampled_from([30, 60, 300]),
        burst=st.integers(1, 3),
        window=st.sampled_from([5, 30]),
        empty_ttl=st.sampled_from([5, 30]),
        ahead=st.sampled_from([0.5, 0.8, 1]),
        kids=kid_sets,
    )
    def begin(
        self, kids: frozenset[str], ttl: float, burst: int, window: float, empty_ttl: float, ahead: float
    ) -> None:
        self.clock = Clock(1_000)
        self.publishing = Publishing(self.clock)
        for uri in URIS:
            self.publishing.publish(uri, kids)
        self.policy = JWKSPolicy(
            ttl=ttl, fetch_limit=burst, fetch_window=window, empty_ttl=empty_ttl, refresh_ahead=ahead
        )
        self.http = httpx.Client(transport=httpx.MockTransport(self.publishing))
        self.fetcher = JWKSFetcher(self.policy, http_client=self.http, clock=self.clock)

    def teardown(self) -> None:
        if hasattr(self, "http"):
            settle()
            self.fetcher.close()
            self.http.close()

    @rule(uri=uris, kid=st.sampled_from(KIDS))
    def ask(self, uri: str, kid: str) -> None:
        now, publishing, policy = self.clock(), self.publishing, self.policy
        answered = publishing.answered.get(uri)
        before = len(publishing.requests)
        told = outcome(lambda: self.fetcher.get_key(registered(uri), "RS256", kid).kid)
        settle()
        if told == kid:
            # Law 3: it stands in an answer younger than a ttl: the last one, or, while that is asked for ahead of
            # time, the one before.
            answers = [answered or (-math.inf, frozenset()), publishing.answered[uri]]
            assert any(kid in kids and now - at < policy.ttl for at, kids in answers), "a key outlived its ttl"
        if answered is not None and kid in answered[1] and now - answered[0] < policy.ttl:
            # Laws 5 and 6: good keys stay, whatever else went wrong, and cost at most a refresh ahead.
            assert told == kid or publishing.answered[uri] != answered, "a good key was lost"
            assert len(publishing.requests) - before <= (now - answered[0] >= policy.ttl * policy.refresh_ahead)
        long_ago = now - policy.fetch_window
        if publishing.is_well and max(publishing.published_since(uri, kid), publishing.well_since) <= long_ago:
            # Law 4: a key that was there for a window is known, whatever strangers did in it.
            assert told == kid, "a published key did not work"

    @rule(uri=uris, number=st.integers(1, 20))
    def flood(self, uri: str, number: int) -> None:
        for each in range(number):
            told = outcome(lambda each=each: self.fetcher.get_key(registered(uri), "RS256", f"flood-{each}"))  # type: ignore[misc]
            assert told in (Reason.UNKNOWN_KID, Reason.NO_KEYS, Reason.JWKS_UNAVAILABLE)
        settle()

    @rule(uri=uris)
    def refresh(self, uri: str) -> None:
        outcome(lambda: self.fetcher.refresh(uri))
        settle()

    @rule(seconds=st.sampled_from([0.001, 0.5, 1, 5, 10, 30, 60]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(uri=uris, of=st.sampled_from(["ttl", "fetch_window", "empty_ttl"]), beside=instants)
    def wait_for_an_edge(self, uri: str, of: str, beside: float) -> None:
        """Until the last answer is as old as a setting says, or nearly."""
        at, _ = self.publishing.answered.get(uri, (self.clock(), None))
        self.clock.set(max(self.clock(), at + getattr(self.policy, of) + beside))

    @rule(uri=uris, kids=kid_sets)
    def publish(self, uri: str, kids: frozenset[str]) -> None:
        self.publishing.publish(uri, kids)

    @rule(
        uri=uris,
        kid=st.sampled_from(KIDS),
        change=st.sampled_from([frozenset("ab"), frozenset("a"), None]),
        of=st.sampled_from(["ttl", "fetch_window"]),
        beside=instants,
    )
    def ask_before_and_after(self, uri: str, kid: str, change: frozenset[str] | None, of: str, beside: float) -> None:
        """Ask; the publisher changes, or breaks; ask again at an edge: where mistakes are made."""
        self.ask(uri, kid)
        self.turn(change is not None)
        if change is not None:
            self.publish(uri, change)
        self.wait_for_an_edge(uri, of, beside)
        self.ask(uri, kid)

    @rule(is_well=st.booleans())
    def turn(self, is_well: bool) -> None:
        self.publishing.turn(is_well=is_well)

    @invariant()
    def the_budget_was_kept(self) -> None:
        """Law 2: in no window, wherever it begins, were there more fetches than the burst."""
        if not hasattr(self, "publishing"):
            return
        for uri in URIS:
            times = [at for asked, at in self.publishing.requests if asked == uri]
            for first, one_too_many in zip(times, times[self.policy.fetch_limit :], strict=False):
                assert one_too_many - first >= self.policy.fetch_window


TestFetching = Fetching.TestCase
TestFetching.settings = settings(FIXED, max_examples=150, stateful_step_count=25)


# Law 8: sync and async say the same


class Step(NamedTuple):
    """Something that happens: to the publisher, to the clock, or at the verifier."""

    what: str
    how: Any


sends = st.builds(
    Step,
    st.just("send"),
    st.tuples(st.sampled_from(["a", "a", "b", None]), st.integers(0, 1), st.sampled_from([0, 0, 1])),
)
steps = st.one_of(
    sends,
    sends,
    st.builds(Step, st.just("wait"), st.sampled_from([0.5, 5, 14.999, 15, 30, 60, 75, 240, 300])),
    st.builds(Step, st.just("publish"), kid_sets),
    st.builds(Step, st.just("turn"), st.booleans()),
)


def kid_of(verifier: Any, text: str) -> Any:
    return verifier.verify(text).kid


def trace(edge: Edge, happenings: list[Step]) -> list[Any]:
    """What a verifier says to a sequence of happenings, and when its publisher was asked."""
    clock = Clock(NOW)
    publishing = Publishing(clock)
    publishing.publish(URIS[0], frozenset("a"))
    users = edge.http_client(transport=httpx.MockTransport(publishing))
    verifier = edge.verifier(
        policy=AssertionPolicy(audience=OP),
        clients=[RegisteredClient("c", jwks_uri=URIS[0])],
        replay_store=MemoryReplayStore(),
        fetcher=edge.fetcher(JWKSPolicy(), http_client=users, clock=clock),
        clock=clock,
    )
    said: list[Any] = []
    for what, how in happenings:
        if what == "publish":
            publishing.publish(URIS[0], how)
        elif what == "turn":
            publishing.turn(is_well=how)
        elif what == "wait":
            clock.advance(how)
        else:
            kid, jti, signer = how
            header = {"alg": "RS256"} | ({} if kid is None else {"kid": kid})
            claims = {"iss": "c", "sub": "c", "aud": OP, "iat": clock(), "exp": clock() + 60, "jti": f"j{jti}"}
            text = signed(json.dumps(header), json.dumps(claims), signer)
            said.append(outcome(partial(kid_of, verifier, text)))
            edge.settle()
    return [*said, publishing.requests]


@settings(FIXED, max_examples=40)
@given(st.lists(steps, min_size=10, max_size=30))
def test_sync_and_async_say_the_same(happenings: list[Step]) -> None:
    said = []
    for kind in (SyncEdge, AsyncEdge):
        edge: Edge = kind()
        try:
            said.append(trace(edge, happenings))
        finally:
            edge.close()
    assert said[0] == said[1]


# Whatever is read, only errors of ours come out


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20) + 1, 10**20 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
members = st.dictionaries(
    st.sampled_from(["kty", "kid", "use", "alg", "key_ops", "n", "e", "x", "y", "crv", "k", "d", "x5c", "x5u"]),
    json_values | st.sampled_from(["RSA", "EC", "sig", "RS256", "k1", "AQAB", KEYS["a"]["n"], ["verify"]]),
    max_size=6,
)


@settings(FIXED, max_examples=120)
@given(st.lists(members | json_values, max_size=5), st.integers(0, 5), json_values)
def test_odd_members_never_cost_a_good_key(odd: list[Any], place: int, more: Any) -> None:
    for member in odd:
        assume(not isinstance(member, dict) or member.get("kid") != "a")
    document = {"keys": [*odd[:place], KEYS["a"], *odd[place:]], "more": more}
    keys = jwk_set.loads_key_set(json.dumps(document).encode(), 64)
    found = keys.find("RS256", "a", ("RS256",))
    assert isinstance(found, jwk_set.VerificationKey)
    assert found.public_key == private_key(0).public_key()


@settings(FIXED, max_examples=200)
@given(st.binary(max_size=80) | st.text('{}[]":,\\u0123456789keys', max_size=80).map(str.encode))
def test_any_bytes_are_a_jwk_set_or_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        jwk_set.loads_key_set(body, 64)


@settings(FIXED, max_examples=120)
@given(json_values | st.dictionaries(st.just("keys"), st.lists(members | json_values, max_size=3) | json_values))
def test_any_document_can_be_registered_or_is_a_configuration_error(document: Any) -> None:
    with contextlib.suppress(ConfigurationError):
        assert RegisteredClient("c", jwks=document).keys is not None


@settings(FIXED, max_examples=300)
@given(
    st.text(max_size=40)
    | st.builds(
        "{}://{}{}{}".format,
        st.sampled_from(["https", "http", "HTTPS", "ftp", ""]),
        st.text("abc.0179xX[]:%@\\/-_é", max_size=20) | st.ip_addresses().map(str),
        st.sampled_from(["", ":443", ":0", ":99999", ":x", ":"]),
        st.text("/?#ab.%\\ \n\0", max_size=8),
    )
)
def test_any_text_is_a_jwks_uri_or_a_configuration_error(text: str) -> None:
    try:
        assert check_jwks_uri(text) == text
    except ConfigurationError:
        return
    assert text.isascii()
    assert text.isprintable()
    assert "#" not in text
    assert " " not in text
    # And what passed is refused, or looked up as a host; never another error.
    with contextlib.suppress(FetchError):
        assert Destination(httpx.URL(text), JWKSPolicy()).host


@settings(FIXED, max_examples=500)
@given(
    st.ip_addresses(v=4)
    | st.ip_addresses(v=6)
    | st.ip_addresses(v=4).map(lambda address: ipaddress.IPv6Address((0x64_FF9B << 96) + int(address)))
)
def test_no_address_outside_of_the_internet_is_connected_to(address: Any) -> None:
    inner = address
    if address in ipaddress.ip_network("64:ff9b::/96"):
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    host = f"[{address}]" if address.version == 6 else str(address)
    try:
        Destination(httpx.URL(f"https://{host}/"), JWKSPolicy())
    except FetchError:
        return
    assert inner.is_global
    assert not inner.is_multicast
    assert not inner.is_reserved
    assert not inner.is_private
    assert not inner.is_link_local
    assert inner.version == 4 or (inner.sixtofour, inner.teredo, inner.ipv4_mapped) == (None, None, None)


@settings(FIXED, max_examples=200)
@given(
    st.integers(100, 599) | st.just(200),
    st.sampled_from(["application/json", "application/json; charset=utf-8", "text/html", "", "application/json;;=;"]),
    st.sampled_from(["gzip", "identity", "br", "gzip, gzip", "GZIP", ""]) | st.text(max_size=6),
    st.lists(st.binary(max_size=40) | st.just(b"\x1f\x8b\x08\0\0\0\0\0\0\3"), max_size=5),
)
def test_any_answer_is_read_or_a_failed_fetch(status: int, kind: str, encoding: str, chunks: list[bytes]) -> None:
    try:
        reader = ResponseReader(status, {"content-type": kind, "content-encoding": encoding}, 64)
        for chunk in chunks:
            reader.feed(chunk)
        assert len(reader.finish().body) <= 64
    except FetchError as error:
        assert str(error).isprintable()
