"""Resolutions of host names: hanging ones, many at once, and names of thousands of addresses."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from children import holds
from edges import LOOPBACK, Edge
from interrupts import Interrupt, interrupted_after
from loopback import Publisher
from names import Names
from private_key_jwt import AsyncJWKSFetcher, JWKSFetcher, JWKSPolicy, Reason, TemporarilyUnavailable, _host_names
from private_key_jwt._core.addresses import kind_of
from private_key_jwt._core.response import FetchError
from private_key_jwt.fetcher import _http
from support import jwk, registered, until

SHORT = JWKSPolicy(allow_http_loopback=True, timeout=0.3)
HUNG = [f"https://hung-{number}.example/jwks.json" for number in range(40)]


def outcome(fetcher: Any, uri: str) -> str:
    """``k1`` when it was fetched, else why not."""
    try:
        return str(fetcher.get_key(registered(uri), "RS256", "k1").kid)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.JWKS_UNAVAILABLE
        return error.detail


class Resolver:
    """A name server that does not answer for ``hung-*`` before it is freed, and counts what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.free = threading.Event()
        self._original = socket.getaddrinfo
        monkeypatch.setattr(socket, "getaddrinfo", self._getaddrinfo)

    def _getaddrinfo(self, host: Any, *args: Any, **kwargs: Any) -> Any:
        self.asked.append(str(host))
        if str(host).startswith("hung-"):
            self.free.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return self._original(host, *args, **kwargs)

    def end(self) -> None:
        self.free.set()
        for thread in under_way():
            thread.join(10)


def under_way() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "resolve-host-name"]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Resolver]:
    monkeypatch.setattr(_host_names, "_resolver", _host_names._Resolver())  # no name has answered before
    resolver = Resolver(monkeypatch)
    yield resolver
    resolver.end()
    assert _host_names._resolver._under_way == {}


def test_a_name_server_that_hangs_holds_nobody_past_the_deadline(edge: Edge, resolver: Resolver) -> None:
    fetcher = edge.fetcher(SHORT)
    started = time.monotonic()
    detail = outcome(fetcher, HUNG[0])
    assert time.monotonic() - started < 2
    edge.settle()
    assert "hung-0.example" in detail


@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_a_resolution_that_hangs_is_described_with_its_bound(edge: Edge, resolver: Resolver, whose: str) -> None:
    events: list[Any] = []
    settings = {} if whose == "our client" else {"http_client": edge.http_client()}
    fetcher = edge.fetcher(SHORT, on_event=events.append, **settings)
    outcome(fetcher, HUNG[0])
    edge.settle()
    assert [event.detail for event in events if hasattr(event, "detail")] == [
        "still resolving the host name at the end of 0.3 s (JWKSPolicy(timeout=...))"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_name_servers_that_hang_delay_no_other_tenant(
    edge: Edge, publisher: Publisher, resolver: Resolver, whose: str
) -> None:
    """Neither in our pool nor in the event loop's, where a client of the user's would resolve names."""
    publisher.keys = [jwk()]
    settings = {} if whose == "our client" else {"http_client": edge.http_client()}
    fetcher = edge.fetcher(JWKSPolicy(allow_http_loopback=True, timeout=2.5), **settings)
    waiting = edge.begin([lambda uri=uri: outcome(fetcher, uri) for uri in HUNG])  # type: ignore[misc]
    until(lambda: len(resolver.asked) >= len(HUNG), "not all names were asked for", 3)
    started = time.monotonic()
    assert outcome(fetcher, publisher.uri(host="localhost")) == "k1"
    assert time.monotonic() - started < 2
    assert waiting().count("k1") == 0
    assert len(under_way()) <= len(HUNG)


@pytest.mark.usefixtures("resolver")
def test_name_servers_that_hang_keep_neither_the_pool_of_an_event_loop_nor_its_end() -> None:
    async def ask() -> None:
        async with AsyncJWKSFetcher(SHORT) as fetcher:
            asking = [fetcher.get_key(registered(uri), "RS256", "k1") for uri in HUNG]
            answers = await asyncio.gather(*asking, return_exceptions=True)
            assert {type(answer) for answer in answers} == {TemporarilyUnavailable}
            async with asyncio.timeout(1):
                assert await asyncio.to_thread(lambda: "free") == "free"

    started = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - started < 4


def test_a_name_is_resolved_once_at_a_time_whoever_asks(edge: Edge, resolver: Resolver) -> None:
    fetchers = [edge.fetcher(SHORT) for _ in range(3)]
    uris = [f"https://hung-0.example/{number}" for number in range(5)]
    waiting = edge.begin([lambda f=f, uri=uri: outcome(f, uri) for f in fetchers for uri in uris])  # type: ignore[misc]
    assert waiting().count("k1") == 0
    assert outcome(fetchers[0], "https://hung-0.example/another").count("hung-0") >= 1
    edge.settle()
    assert resolver.asked == ["hung-0.example"]
    assert len(under_way()) == 1


def test_who_joins_a_resolution_gets_its_result(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.keys = [jwk()]
    entered, free = threading.Event(), threading.Event()
    names = Names(monkeypatch, localhost=["127.0.0.1"])
    answer = names._getaddrinfo

    def slow(*args: Any, **kwargs: Any) -> Any:
        entered.set()
        free.wait(10)
        return answer(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    joined: list[str] = []
    join_or_start = _host_names._resolver.join_or_start

    def join(host: str, deadline: float) -> Any:
        resolution = join_or_start(host, deadline)
        joined.append(host)
        return resolution

    monkeypatch.setattr(_host_names._resolver, "join_or_start", join)
    fetchers = [edge.fetcher() for _ in range(8)]
    waiting = edge.begin(
        [lambda f=f: outcome(f, publisher.uri(host="localhost")) for f in fetchers]  # type: ignore[misc]
    )
    assert entered.wait(10)
    until(lambda: len(joined) == len(fetchers), "not all of them joined", 10)
    free.set()
    assert waiting() == ["k1"] * 8
    assert names.asked == ["localhost"]


def test_who_joins_a_resolution_that_fails_gets_an_error_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch)
    errors = []
    for _ in range(2):
        with pytest.raises(FetchError, match="^'nowhere.example' was not resolved: gaierror: ") as caught:
            _host_names.resolve("nowhere.example", time.monotonic() + 5)
        errors.append(caught.value)
    assert errors[0] is not errors[1]


def hang(hosts: list[str], deadline: float) -> None:
    for host in hosts:
        _host_names._resolver.join_or_start(host, deadline)


def test_resolutions_that_hang_are_capped_over_the_process(resolver: Resolver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_host_names, "MAX_HANGING", 3)
    past = time.monotonic() - 1
    hang(["hung-0", "hung-1"], past)
    hang([f"hung-{number}" for number in range(2, 20)], time.monotonic() + 60)  # under way, and not late yet
    hang(["hung-20"], past)
    with pytest.raises(FetchError, match="^3 resolutions of host names hang: their name servers do not answer$"):
        hang(["hung-21"], past)
    hang(["hung-0", "hung-20"], past)  # who joins needs no place
    with pytest.raises(FetchError, match="hang"):
        _host_names.resolve("localhost", time.monotonic() + 5)
    resolver.end()
    assert _host_names.resolve("localhost", time.monotonic() + 5)


def test_a_name_that_answered_before_has_a_place_whatever_hangs(
    resolver: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own kind can hang, too, and is capped as well: but no new name takes a place from it."""
    monkeypatch.setattr(_host_names, "MAX_HANGING", 2)
    assert _host_names.resolve("localhost", time.monotonic() + 5)
    hang(["hung-0", "hung-1"], time.monotonic() - 1)
    with pytest.raises(FetchError, match="hang"):
        _host_names.resolve("nowhere.example", time.monotonic() + 5)
    assert _host_names.resolve("localhost", time.monotonic() + 5)
    for number in (2, 3):
        _host_names._resolver._resolved[f"hung-{number}"] = None
    hang(["hung-2", "hung-3"], time.monotonic() - 1)
    with pytest.raises(FetchError, match="hang"):
        _host_names.resolve("localhost", time.monotonic() + 5)


def test_three_hundred_names_that_hang_keep_nobody_out(edge: Edge, publisher: Publisher, resolver: Resolver) -> None:
    publisher.keys = [jwk()]
    hang([f"hung-{number}.example" for number in range(300)], time.monotonic() - 1)
    started = time.monotonic()
    for number in range(20):
        assert outcome(edge.fetcher(), publisher.uri(f"/{number}", host="localhost")) == "k1"
    assert time.monotonic() - started < 5


def test_a_resolution_for_which_no_thread_can_start_is_a_failed_fetch_and_takes_no_place(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(TemporarilyUnavailable, match="can't start new thread"):
            asyncio.run(AsyncJWKSFetcher(LOOPBACK).get_key(registered(publisher.uri(host="localhost")), "RS256", "k1"))
    assert _host_names._resolver._under_way == {}
    assert publisher.count == 0


def test_an_address_needs_no_getaddrinfo(edge: Edge, publisher: Publisher, resolver: Resolver) -> None:
    publisher.keys = [jwk()]
    assert outcome(edge.fetcher(), publisher.uri()) == "k1"
    assert len(resolver.asked) <= (edge.name == "sync")  # socket.create_connection asks for an address, too


# Many addresses


def test_of_thousands_of_addresses_a_few_are_judged_and_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not judged is never connected to: an address inside among the last ones gains nothing."""
    judged: list[threading.Thread] = []

    def count(address: Any) -> Any:
        judged.append(threading.current_thread())
        return kind_of(address)

    monkeypatch.setattr(_host_names, "kind_of", count)
    many = [f"1.{a}.{b}.1" for a in range(40) for b in range(100)]
    Names(monkeypatch, **{"many.example": [*many, "10.0.0.1"]})
    found = _host_names.resolve("many.example", time.monotonic() + 5)
    assert [str(each.address) for each in found] == many[:64]
    assert len(judged) == 64
    assert threading.main_thread() not in judged


# Where things are interrupted


# Where one comes in a destructor or a callback of a weak reference, CPython ignores it, and says so.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_exception_out_of_a_signal_handler_leaves_no_place_taken(resolver: Resolver) -> None:
    raised = 0
    for number in range(600):
        try:
            with interrupted_after((number % 60) * 5e-6):
                _host_names._resolver.join_or_start(f"name-{number}.invalid", 0)
        except Interrupt:
            raised += 1
    assert raised > 50
    resolver.end()
    assert _host_names._resolver._under_way == {}
    assert not _host_names._resolver._lock.locked()
    assert not any(thread.is_alive() for thread in under_way())
    # And the next resolution works as the first did.
    assert _host_names.resolve("localhost", time.monotonic() + 5)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


# What is interrupted inside of httpx or asyncio may leave the closing of a socket to the garbage collector.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_an_exception_out_of_a_signal_handler_leaves_no_socket_open(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest's hook keeps what it is told, with frames that hold a socket; and an interrupt may come there, too.
    monkeypatch.setattr(sys, "unraisablehook", lambda _unraisable: None)
    publisher.keys = [jwk()]
    uri = publisher.uri(host="localhost")
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(lambda _loop, _context: None)

        async def settle() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        def fetch() -> None:
            loop.run_until_complete(_http.get_async(None, uri, LOOPBACK, forced=False))

        fetch()
        before = open_files()
        for number in range(60):
            # Whatever httpx or asyncio make of it where it comes in their code.
            with contextlib.suppress(Exception, BaseExceptionGroup, Interrupt), interrupted_after(number * 0.0002):
                fetch()
            loop.run_until_complete(settle())
        # The publisher is in this process, and closes its ends as it finds out.
        until(lambda: gc.collect() >= 0 and open_files() <= before, "files are left open", 10)
        fetch()
    assert _host_names._resolver._under_way == {}


# After a fork


def test_a_child_process_resolves_names_while_a_resolution_of_its_parent_hangs(
    publisher: Publisher, resolver: Resolver
) -> None:
    publisher.keys = [jwk()]
    hang(["hung-0"], time.monotonic() - 1)
    assert len(_host_names._resolver._under_way) == 1
    assert holds(
        lambda: (
            not _host_names._resolver._under_way
            and outcome(JWKSFetcher(LOOPBACK), publisher.uri(host="localhost")) == "k1"
        )
    )
