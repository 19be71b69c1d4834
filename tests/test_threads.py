"""Many threads that share one object: each law holds, and nothing but our own errors is raised.

With an interpreter that switches threads after a microsecond, and with one that has no lock at all.
"""

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    InvalidClient,
    JWKSFetcher,
    JWKSPolicy,
    MemoryJWKSCache,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from private_key_jwt import _fork as fork
from private_key_jwt.events import KeyRemoved
from private_key_jwt.exceptions import name_sender
from private_key_jwt.stores import JWKSDocument
from private_key_jwt.testing import Clock, RelyingParty
from support import OP, jwk, private_key, switching_threads

THREADS = 8


def at_once(call: Callable[[int], object], times: int = THREADS) -> list[object]:
    """Call in so many threads, which the interpreter switches as often as it can; return what they return."""
    with switching_threads(THREADS) as pool:
        return list(pool.map(call, range(times)))


def test_each_assertion_is_accepted_once_by_all_threads_together() -> None:
    relying_party = RelyingParty(audience=OP)
    tenants = [relying_party.tenant(f"t{number}") for number in range(4)]
    assertions = [tenant.assertion() for tenant in tenants for _ in range(25)]
    with httpx.Client(transport=relying_party.transport) as http:
        verifier = ClientAssertionVerifier(
            policy=AssertionPolicy(audience=OP),
            clients=[tenant.client() for tenant in tenants],
            replay_store=MemoryReplayStore(),
            fetcher=JWKSFetcher(http_client=http),
        )

        def verify_all(seed: int) -> Counter[str]:
            outcomes: Counter[str] = Counter()
            for assertion in random.Random(seed).sample(assertions, len(assertions)):
                try:
                    outcomes[verifier.verify(assertion).client_id] += 1
                except InvalidClient as error:
                    outcomes[error.reason] += 1
            return outcomes

        outcomes = sum((each for each in at_once(verify_all) if isinstance(each, Counter)), Counter())
    assert outcomes.pop(Reason.REPLAYED) == (THREADS - 1) * len(assertions)
    assert list(outcomes.values()) == [25] * len(tenants)


def test_a_thread_that_reads_a_detail_while_another_makes_it_reads_the_whole() -> None:
    seen: list[str] = []

    class Sender(str):
        """A text of which, while it is being joined, another thread reads the whole."""

        __slots__ = ()

        def __len__(self) -> int:
            if not seen:
                seen.append("")
                seen[:] = pool.submit(lambda: error.detail).result(5), error.detail
            return super().__len__()

    error = InvalidClient(Reason.MALFORMED, lambda: "cut")
    name_sender(error, lambda: Sender("; client 'acme' (unverified)"))
    with ThreadPoolExecutor(1) as pool:
        assert {error.detail, *seen} == {"cut; client 'acme' (unverified)"}


def test_threads_that_see_one_rotation_report_each_key_once() -> None:
    clock, relying_party, removed = Clock(), RelyingParty(audience=OP), Counter[str | None]()
    tenant = relying_party.tenant()
    with httpx.Client(transport=relying_party.transport) as http:
        fetcher = JWKSFetcher(
            JWKSPolicy(),
            http_client=http,
            clock=clock,
            wall_clock=clock,
            on_event=lambda event: removed.update([event.kid] if isinstance(event, KeyRemoved) else []),
        )
        client, old = tenant.client(), tenant.kid
        assert fetcher.get_key(client, "RS256", old).kid == old
        new = tenant.rotate()
        tenant.end_grace()
        found = at_once(lambda _: fetcher.get_key(client, "RS256", new).kid)
    assert found == [new] * THREADS
    assert removed == {old: 1}


def test_a_document_that_is_evicted_while_it_is_read_is_a_miss() -> None:
    cache, document = MemoryJWKSCache(max_documents=1), JWKSDocument(b"{}", 0)

    def write_or_read(number: int) -> None:
        for step in range(20_000):
            if number % 2:
                cache.put(f"https://{step % 2}.example", document, 0)
            else:
                assert cache.get("https://0.example", 0) in (document, None)

    at_once(write_or_read)


def test_clients_that_are_registered_at_once_have_their_own_keys() -> None:
    keys = [jwk(private_key(number), kid=f"k{number}") for number in range(2)]

    def register(number: int) -> bool:
        for step in range(200):
            kid = (number + step) % 2
            client = RegisteredClient(f"client-{number}", jwks={"keys": [keys[kid] | {"x": number * 1_000 + step}]})
            if client.jwks is None or client.jwks["keys"][0]["kid"] != f"k{kid}":
                return False
        return True

    assert at_once(register) == [True] * THREADS


def test_every_object_that_threads_make_at_once_is_renewed_after_a_fork() -> None:
    renewed = []

    class Subject:
        def after_fork_in_child(self) -> None:
            renewed.append(self)

    subjects: list[Subject] = []

    def make(_: int) -> None:
        for _step in range(500):
            subjects.append(subject := Subject())
            fork.renew_after_fork(subject)

    at_once(make)
    for subject in [each for each in fork._objects if isinstance(each, Subject)]:
        subject.after_fork_in_child()
    assert len(set(map(id, renewed))) == len(subjects) == THREADS * 500


def test_an_object_that_cannot_be_renewed_after_a_fork_keeps_no_other_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    renewed = []

    class Subject:
        def after_fork_in_child(self) -> None:
            renewed.append(self)
            if self is subjects[2]:
                raise LookupError("the cache of that alias is gone")

    subjects = [Subject() for _ in range(5)]
    monkeypatch.setattr(fork, "_objects", subjects)
    monkeypatch.setattr(fork, "_lock", fork._lock)
    with pytest.raises(ExceptionGroup, match="after a fork") as caught:
        fork._renew()
    assert renewed == subjects
    assert [str(error) for error in caught.value.exceptions] == ["the cache of that alias is gone"]


def test_no_failure_of_a_shared_cache_is_left_uncounted() -> None:
    class Broken(MemoryJWKSCache):
        def get(self, jwks_uri: str, now: float) -> JWKSDocument | None:
            raise OSError

    relying_party = RelyingParty(audience=OP)
    clients = [relying_party.tenant(f"t{number}").client() for number in range(64)]
    kids = [relying_party.document(f"t{number}")["keys"][0]["kid"] for number in range(64)]
    with httpx.Client(transport=relying_party.transport) as http:
        fetcher = JWKSFetcher(http_client=http, cache=Broken(), on_event=lambda _: None)
        at_once(lambda number: fetcher.get_key(clients[number], "RS256", kids[number]), 64)
    assert fetcher.cache_failures == 64
