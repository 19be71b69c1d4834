"""Laws 2, 3 and 4 in a fleet, for every order of events: floods, slow answers, reboots, and clocks that differ.

The examples are the same in each run (``derandomize``): a failure is one for everybody.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from private_key_jwt import AuthenticationError, JWKSDocument, JWKSFetcher, JWKSPolicy, Reason
from private_key_jwt._core.freshness import Budget
from private_key_jwt.fetcher import _flow
from private_key_jwt.fetcher._budgets import SHORT_CACHE_INTERVAL
from support import jwk, private_key, registered

URI = "https://publisher.example/jwks.json"
CLIENT = registered(URI)
KEYS = {kid: jwk(private_key(number), kid=kid) for number, kid in enumerate(("a", "b"))}
HOSTS = 3

kids = st.sampled_from(sorted(KEYS))
kid_sets = st.sampled_from([frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()])
hosts = st.integers(0, HOSTS - 1)


pytestmark = pytest.mark.usefixtures("untraced")


@pytest.fixture(autouse=True)
def _without_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else fetches while a host waits here."""
    monkeypatch.setattr(_flow, "_PAUSES", (0.0, 0.0))


class Cache:
    """The least that a shared cache must be: one document, its age by one clock, and one budget."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kept: tuple[bytes, float] | None = None
        self._budget = Budget()

    def get(self, _jwks_uri: str, now: float) -> JWKSDocument | None:
        if self._kept is None:
            return None
        body, fetched_at = self._kept
        return JWKSDocument(body, now - (self._clock() - fetched_at))

    def put(self, _jwks_uri: str, document: JWKSDocument, now: float) -> None:
        fetched_at = self._clock() - (now - document.fetched_at)
        if self._kept is None or self._kept[1] <= fetched_at:
            self._kept = document.body, fetched_at

    def claim(self, _jwks_uri: str, policy: JWKSPolicy, _now: float) -> bool:
        return self._budget.take(self._clock(), policy)


class Host:
    """A host whose clocks differ from all others', and that is started anew now and then."""

    def __init__(self, fleet: Fleet, offset: float) -> None:
        self._fleet, self.offset, self.wall = fleet, offset, 0.0
        self.boot()

    def boot(self) -> None:
        """Forget everything, and begin to count from nought."""
        self.offset = -self._fleet.time
        self.fetcher = JWKSFetcher(
            self._fleet.policy,
            cache=self._fleet.cache,
            http_client=self._fleet.http_client,
            clock=lambda: self._fleet.time + self.offset,
            wall_clock=lambda: 1e9 + self._fleet.time + self.wall,
            on_event=lambda _event: None,
        )

    def ask(self, kid: str) -> Any:
        try:
            told: Any = self.fetcher.get_key(CLIENT, "RS256", kid).kid
        except AuthenticationError as error:
            told = error.reason
        for thread in threading.enumerate():
            if thread.name == "jwks-fetch" and thread.is_alive():
                thread.join(10)
        return told


class Fleet(RuleBasedStateMachine):
    """Three hosts that share a cache; strangers and clients ask each of them, while a publisher rotates its keys."""

    @initialize(
        first=kid_sets, ttl=st.sampled_from([60, 300]), limit=st.integers(1, 3), window=st.sampled_from([5, 30])
    )
    def begin(self, first: frozenset[str], ttl: float, limit: int, window: float) -> None:
        self.time = 1_000.0
        self.delay = 0.0
        self.is_well, self.well_since = True, -math.inf
        self.requests: list[tuple[float, frozenset[str]]] = []
        self.history = [(self.time, first)]
        self.policy = JWKSPolicy(ttl=ttl, fetch_limit=limit, fetch_window=window, empty_ttl=5, stale_if_error=0)
        self.cache = Cache(lambda: self.time)
        self.http_client = httpx.Client(transport=httpx.MockTransport(self.answer), trust_env=False)
        self.hosts = [Host(self, number * 1e6) for number in range(HOSTS)]

    def teardown(self) -> None:
        if hasattr(self, "http_client"):
            self.http_client.close()

    def answer(self, _request: httpx.Request) -> httpx.Response:
        kids = self.history[-1][1] if self.is_well else frozenset[str]()
        self.requests.append((self.time, kids))
        response = httpx.Response(503)
        if self.is_well:
            response = httpx.Response(200, content=json.dumps({"keys": [KEYS[kid] for kid in sorted(kids)]}))
        self.time += self.delay
        return response

    def published_since(self, kid: str) -> float:
        since = math.inf
        for at, kids in self.history:
            since = min(since, at) if kid in kids else math.inf
        return since

    @rule(host=hosts, kid=kids)
    def ask(self, host: int, kid: str) -> None:
        now = self.time
        told = self.hosts[host].ask(kid)
        if told == kid:
            # Law 3: it stood in an answer that was asked for less than a ttl ago.
            assert any(kid in kids and now - at < self.policy.ttl for at, kids in self.requests), (
                "a key outlived its ttl"
            )
        # Law 4: whatever strangers ask for, on whichever host.
        bound = self.policy.fetch_window + SHORT_CACHE_INTERVAL
        if self.is_well and max(self.published_since(kid), self.well_since) <= now - bound:
            assert told == kid, f"host {host} does not know a key that was published {bound} s ago: {told}"

    @rule(host=hosts, number=st.integers(1, 5))
    def flood(self, host: int, number: int) -> None:
        for each in range(number):
            told = self.hosts[host].ask(f"flood-{self.time}-{each}")
            assert told in (Reason.UNKNOWN_KID, Reason.NO_KEYS, Reason.JWKS_UNAVAILABLE)

    @rule(seconds=st.sampled_from([0.001, 0.5, 0.999, 1, 5, 10, 29.9, 30, 60, 300]))
    def wait(self, seconds: float) -> None:
        self.time += seconds

    @rule(host=hosts, kid=kids, ttls=st.sampled_from([0.8, 1]), beside=st.sampled_from([-0.001, 0, 0.001]))
    def ask_at_an_edge(self, host: int, kid: str, ttls: float, beside: float) -> None:
        """When the last answer is as old as a set is used, or nearly."""
        last = self.requests[-1][0] if self.requests else self.time
        self.time = max(self.time, last + ttls * self.policy.ttl + beside)
        self.ask(host, kid)

    @rule(
        before=st.integers(0, 3),
        kid=kids,
        every=st.sampled_from([0.05, 0.5, 1, 5]),
        parts=st.permutations([0.0, 0.5, 0.9]),
    )
    def publish_under_attack(self, before: int, kid: str, every: float, parts: list[float]) -> None:
        """A flood on all hosts, from some time on each, and a new key: each host knows it in time."""
        self.turn(is_well=True)
        self.publish(frozenset("ab") - {kid})
        self.wait(every)
        for number in range(before):
            self.flood(number, 3)
        self.publish(frozenset("ab"))
        began, bound = self.time, self.policy.fetch_window + SHORT_CACHE_INTERVAL
        while self.time < began + bound:
            for host, part in enumerate(parts):
                if self.time >= began + part * bound:
                    self.flood(host, 2)
            self.time += every
        for host in range(HOSTS):
            self.ask(host, kid)

    @rule(first=hosts, second=hosts, kid=kids, part=st.sampled_from([0.1, 0.5, 0.79]))
    def remove_a_key_that_was_shared(self, first: int, second: int, kid: str, part: float) -> None:
        """A host sees a document late, in the cache: it is as old there as everywhere."""
        self.turn(is_well=True)
        self.publish(frozenset("ab"))
        self.wait(self.policy.ttl)
        self.ask(first, kid)
        self.publish(frozenset("ab") - {kid})
        self.turn(is_well=False)
        self.wait(part * self.policy.ttl)
        self.ask(second, kid)
        for part_left in (1 - part, part / 2):
            self.wait(part_left * self.policy.ttl)
            self.ask(second, kid)

    @rule(kids=kid_sets)
    def publish(self, kids: frozenset[str]) -> None:
        self.history.append((self.time, kids))

    @rule(is_well=st.booleans())
    def turn(self, is_well: bool) -> None:
        self.well_since = self.time if is_well and not self.is_well else self.well_since
        self.is_well = is_well

    @rule(delay=st.sampled_from([0.0, 0.0, 0.5, 2.9]))
    def slow_down(self, delay: float) -> None:
        """Answers come late: what they say is as old as the request."""
        self.delay = delay

    @rule(host=hosts)
    def reboot(self, host: int) -> None:
        self.hosts[host].boot()

    @rule(host=hosts, seconds=st.sampled_from([-3_600.0, -1.0, 1.0, 3_600.0]))
    def set_the_wall_clock(self, host: int, seconds: float) -> None:
        self.hosts[host].wall += seconds

    @invariant()
    def the_budget_was_kept(self) -> None:
        """Law 2: in no window, wherever it begins, did all hosts together fetch more than the limit."""
        if hasattr(self, "requests"):
            times = [at for at, _ in self.requests]
            for first, one_too_many in zip(times, times[self.policy.fetch_limit :], strict=False):
                assert one_too_many - first >= self.policy.fetch_window


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    max_examples=60,
    stateful_step_count=20,
)
