"""One attempt, against servers that misbehave on real sockets, with our client and with the user's."""

from __future__ import annotations

import asyncio
import gzip
import html
import json
import logging
import pickle
import socket
import ssl
import threading
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from certificates import certificate
from edges import Edge
from loopback import Publisher, http, trickle
from private_key_jwt import ConfigurationError, __version__
from private_key_jwt._http_client import Watchdog, ssl_context
from private_key_jwt.ledgerbee import AsyncPortalSSO, Membership, PortalSSO, PortalSSOError, Role, _portal_sso, _send
from private_key_jwt.ledgerbee._attempts import Failed
from private_key_jwt.testing import Clock, RelyingParty

KEY = "lb_s3cr3t-k3y"
REVOKED = json.dumps({"revoked": 1}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def portal_at(edge: Edge, publisher: Publisher, **settings: Any) -> Any:
    if "access_token" not in settings:
        settings["api_key"] = KEY
    return edge.portal(base_url=publisher.uri("/api"), **settings)


def error_of(portal: Any, call: str = "revoke") -> PortalSSOError:
    """call: revoke is tried as often as fits into the timeout, mint twice."""
    who = {"sub": "u-1", "email": "jane@example.com", "memberships": [Membership("c-1", Role.USER)]}
    perform = {"revoke": partial(portal.revoke_sessions, sub="u-1"), "mint": partial(portal.mint_handoff, **who)}[call]
    with pytest.raises(PortalSSOError) as caught:
        perform()
    return caught.value


# What is sent


@pytest.mark.parametrize(
    ("credential", "line"),
    [({"api_key": KEY}, f"x-api-key: {KEY}\r\n"), ({"access_token": KEY}, f"authorization: Bearer {KEY}\r\n")],
)
def test_what_is_sent_owes_nothing_to_a_client_or_the_environment(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, credential: Any, line: str
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    users = edge.http_client(
        auth=("me", "secret"),
        headers={"Authorization": "Basic secret", "X-Mine": "secret"},
        cookies={"mine": "secret"},
        params={"mine": "secret"},
        follow_redirects=True,
    )
    publisher.answer = http(REVOKED, headers="Set-Cookie: theirs=secret; Path=/\r\n")
    for client in (None, users):
        portal = edge.portal(**credential, base_url=publisher.uri("/api"), http_client=client)
        for _ in range(2):
            assert portal.revoke_sessions(sub="u-1") == 1
    assert publisher.count == 4
    for request in publisher.requests:
        assert request.startswith("POST /api/v1/portal-sso/sessions/revoke HTTP/1.1\r\n")
        assert "secret" not in request
        assert "ookie" not in request
        assert line in request
        assert f"User-Agent: private-key-jwt/{__version__}\r\n" in request
        assert "Content-Type: application/json\r\n" in request
        assert "Accept-Encoding: identity\r\n" in request
        assert "Connection: close\r\n" in request
    assert dict(users.cookies) == {"mine": "secret"}
    assert not users.is_closed


def test_no_event_hook_of_a_client_of_the_users_sees_the_key(edge: Edge, publisher: Publisher) -> None:
    seen: list[object] = []

    def see(subject: object) -> None:
        seen.append(subject)

    async def see_async(subject: object) -> None:
        seen.append(subject)

    hook = see if edge.name == "sync" else see_async
    client = edge.http_client(event_hooks={"request": [hook], "response": [hook]})
    publisher.answer = http(REVOKED)
    assert portal_at(edge, publisher, http_client=client).revoke_sessions(sub="u-1") == 1
    assert seen == []
    assert client.event_hooks == {"request": [hook], "response": [hook]}


def test_a_key_that_occurs_in_a_good_answer_changes_nothing_there(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(REVOKED)
    for credential in ({"api_key": "revoked"}, {"access_token": "e"}):
        assert edge.portal(**credential, base_url=publisher.uri("/api")).revoke_sessions(sub="u-1") == 1


def test_a_slash_at_the_end_of_the_base_url_changes_nothing(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(REVOKED)
    edge.portal(api_key=KEY, base_url=publisher.uri("/api/")).revoke_sessions(sub="u-1")
    assert publisher.requests[0].startswith("POST /api/v1/")


@pytest.mark.parametrize("whose", ["our client", "the user's client"])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
def test_no_redirect_is_followed(edge: Edge, publisher: Publisher, whose: str, status: str) -> None:
    publisher.answer = http(status=status, headers="Location: /elsewhere\r\n")
    client = edge.http_client(follow_redirects=True) if whose == "the user's client" else None
    error = error_of(portal_at(edge, publisher, http_client=client))
    assert (error.status, error.may_have_happened, publisher.count) == (int(status[:3]), True, 1)
    assert "/elsewhere" in error.detail


def test_an_answer_from_memory_is_read(edge: Edge) -> None:
    relying_party = RelyingParty()
    client = edge.http_client(transport=relying_party.transport)
    key = relying_party.tenant().api_key()
    assert edge.portal(api_key=key, http_client=client).revoke_sessions(sub="u-1") == 0
    packed = httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=gzip.compress(b'{"revoked": 3}'))
    in_memory = edge.http_client(transport=httpx.MockTransport(lambda _: packed))
    assert edge.portal(api_key=key, http_client=in_memory).revoke_sessions(sub="u-1") == 3


@pytest.mark.parametrize(
    ("error", "happened", "attempts"),
    [
        (httpx.ConnectError("refused"), False, 2),
        (httpx.ConnectTimeout("late"), False, 2),
        (httpx.PoolTimeout("late"), False, 2),
        (httpx.ReadTimeout("late"), True, 2),
        (httpx.ReadError("lost"), True, 2),
        (httpx.RemoteProtocolError("lost"), True, 2),
        (httpx.UnsupportedProtocol("odd"), False, 1),
        (ZeroDivisionError("odd"), True, 1),
    ],
    ids=repr,
)
def test_a_transport_that_says_nothing_of_its_connections_is_judged_by_its_errors(
    edge: Edge, error: Exception, happened: bool, attempts: int
) -> None:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        if len(asked) <= 2:
            raise error
        raise AssertionError("it was sent a third time")

    client = edge.http_client(transport=httpx.MockTransport(handle))
    raised = error_of(edge.portal(api_key=KEY, http_client=client), "mint")
    assert raised.may_have_happened is happened
    assert len(asked) == attempts
    if attempts == 1:
        assert type(error).__name__ in raised.detail


# Time


SLOW: dict[str, Callable[[Publisher], Any]] = {
    "headers, a byte at a time": lambda p: trickle(p, b"HTTP/1.1 200 OK\r\nX: ", b"x"),
    "informational answers": lambda p: trickle(p, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "the body, a byte at a time": lambda p: trickle(p, HEAD + b"Content-Length: 60000\r\n\r\n", b" "),
    "chunks of a byte": lambda p: trickle(p, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "a body without an end that looks whole": lambda p: trickle(p, HEAD + b"\r\n" + REVOKED, b" "),
    "nothing": lambda p: trickle(p, b"", b""),
}


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "portal-sso"]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_the_timeout_covers_every_byte(edge: Edge, publisher: Publisher, name: str, whose: str) -> None:
    publisher.answer = SLOW[name](publisher)
    client = edge.http_client(timeout=None) if whose == "the user's client" else None
    portal = portal_at(edge, publisher, timeout=0.6, http_client=client)
    started = time.monotonic()
    error = error_of(portal)
    assert time.monotonic() - started < 3
    assert error.detail == "no complete response in time"
    assert (error.may_have_happened, publisher.count) == (True, 1)
    for thread in _threads():
        thread.join(2)
    assert _threads() == []  # the socket was shut, and nothing goes on reading


def test_an_answer_that_the_deadline_cut_off_is_not_read_as_a_whole_one(publisher: Publisher) -> None:
    """One without a length ends where its connection does."""
    publisher.answer = SLOW["a body without an end that looks whole"](publisher)
    url = httpx.URL(publisher.uri())
    post = _send.Post(url, _send.Credential("x-api-key", KEY), b"{}")
    with httpx.Client(trust_env=False) as client:
        outcome = _send._attempt(client, post, _send._Connection(url), 0.2)
    assert outcome == Failed("no complete response in time", was_sent=True)


@pytest.fixture
def hang(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Let no name server answer for a host, until the test ends. It gives the root of an API there."""
    release = threading.Event()
    original = socket.getaddrinfo
    hung: set[object] = set()

    def getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host not in hung:
            return original(host, *args, **kwargs)
        release.wait(10)
        raise socket.gaierror(socket.EAI_AGAIN, "no answer")

    def hang(host: str) -> str:
        hung.update((host, host.encode()))
        return f"https://{host}/api"

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield hang
    release.set()
    for thread in threading.enumerate():
        if thread.name in ("portal-sso", "resolve-host-name"):
            thread.join(5)


def test_a_name_server_that_hangs_holds_no_caller(edge: Edge, hang: Callable[[str], str]) -> None:
    portal = edge.portal(api_key=KEY, base_url=hang(f"{edge.name}.hung.example"), timeout=0.3)
    started = time.monotonic()
    error = error_of(portal)
    assert time.monotonic() - started < 3
    assert error.detail == "no connection in time"
    assert not error.may_have_happened


def test_a_name_server_that_hangs_takes_no_thread_of_the_event_loops_pool(hang: Callable[[str], str]) -> None:
    async def call() -> None:
        async with AsyncPortalSSO(api_key=KEY, base_url=hang("pool.hung.example"), timeout=0.3) as portal:
            calls = [portal.revoke_sessions(sub="u-1") for _ in range(64)]
            errors = await asyncio.gather(*calls, return_exceptions=True)
        assert {str(error) for error in errors} == {"no connection in time"}
        async with asyncio.timeout(5):
            assert await asyncio.to_thread(lambda: "free") == "free"

    started = time.monotonic()
    asyncio.run(call())  # at its end, too, a loop waits for its pool
    assert time.monotonic() - started < 6


def test_a_name_that_nobody_has_is_no_connection(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_kwargs: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    error = error_of(edge.portal(api_key=KEY, base_url=f"https://{edge.name}.nobody.example/api"), "mint")
    assert "Name or service not known" in error.detail
    assert "(attempt 2)" in error.detail
    assert not error.may_have_happened


def test_what_was_said_not_to_be_sent_is_not_sent_afterwards(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolution ends after the call has: no connection that opens then gets the request."""
    release = threading.Event()
    original = socket.getaddrinfo

    def be_late(*args: Any, **kwargs: Any) -> Any:
        release.wait(10)
        return original(*args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", be_late)
    monkeypatch.setattr(Watchdog, "expire", lambda _self: None)  # the other guard against it
    error = error_of(PortalSSO(api_key=KEY, base_url=publisher.uri("/api"), timeout=0.1))
    assert not error.may_have_happened
    release.set()
    for thread in _threads():
        thread.join(5)
    assert publisher.count == 0


def test_no_thread_is_no_call(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    portal = PortalSSO(api_key=KEY, base_url=publisher.uri("/api"), timeout=0.1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    error = error_of(portal)
    assert ("can't start new thread" in error.detail, error.may_have_happened) == (True, False)
    assert publisher.count == 0


# Size and shape


@pytest.mark.parametrize(
    ("name", "answer", "retried"),
    [
        ("a body over the cap", http(b" " * 70_000 + REVOKED), False),
        ("a body over the cap, without a length", HEAD + b"\r\n" + b" " * 10_000_000, False),
        ("one header of 10 MB", HEAD + b"X: " + b"x" * 10_000_000, True),
        ("a body cut short", http(REVOKED, length=len(REVOKED) + 1), True),
        ("chunked nonsense", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", True),
        ("a coding that was not asked for", http(REVOKED, headers="Content-Encoding: br\r\n"), False),
        ("gzip that is none", http(REVOKED, headers="Content-Encoding: gzip\r\n"), False),
        ("a gzip bomb", http(gzip.compress(b" " * 10_000_000), headers="Content-Encoding: gzip\r\n"), False),
        ("HTML", http(b"<html>", content_type="text/html"), False),
        ("a member missing", http(b'{"revokedd": 1}'), False),
        ("a member twice", http(b'{"revoked": 1, "revoked": 2}'), False),
        ("not UTF-8", http(b'{"revoked": 1, "x": "\xff"}'), False),
        ("nothing at all", b"", True),
        ("no content", b"HTTP/1.1 204 No Content\r\n\r\n", False),
    ],
)
def test_a_broken_answer_is_an_error_of_ours(
    edge: Edge, publisher: Publisher, name: str, answer: bytes, retried: bool
) -> None:
    publisher.answer = lambda connection: connection.sendall(answer)
    error = error_of(portal_at(edge, publisher), "mint" if retried else "revoke")
    assert error.may_have_happened
    assert (publisher.count > 1) is retried, error.detail


@pytest.mark.parametrize("coding", ["Identity", "gzip"])
def test_a_plain_and_a_packed_body_are_read(edge: Edge, publisher: Publisher, coding: str) -> None:
    body = gzip.compress(REVOKED) if coding == "gzip" else REVOKED
    publisher.answer = http(body, headers=f"Content-Encoding: {coding}\r\n")
    assert portal_at(edge, publisher).revoke_sessions(sub="u-1") == 1


def test_a_port_where_nobody_listens_is_tried_twice_and_got_nothing(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    error = error_of(edge.portal(api_key=KEY, base_url=f"http://127.0.0.1:{port}"), "mint")
    assert (error.status, error.may_have_happened) == (None, False)
    assert "ConnectError" in error.detail
    assert "(attempt 2)" in error.detail


# TLS, and connections that must not get the key


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Publisher, Path]]:
    server, trusted = certificate(tmp_path, "127.0.0.1")
    publisher = Publisher([], server)
    publisher.answer = http(REVOKED)
    yield publisher, trusted
    publisher.close()


def test_a_certificate_that_is_not_trusted_gets_no_key(edge: Edge, tls: tuple[Publisher, Path]) -> None:
    publisher, _ = tls
    started = time.monotonic()
    error = error_of(portal_at(edge, publisher, timeout=5))
    assert time.monotonic() - started < 2  # it would be no better the next time
    assert "CERTIFICATE_VERIFY_FAILED" in error.detail
    assert (error.status, error.may_have_happened, publisher.requests) == (None, False, [])


def test_a_certificate_for_another_host_gets_no_key(edge: Edge, tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, "another.example")
    publisher = Publisher([], server)
    client = edge.http_client(verify=ssl.create_default_context(cafile=str(trusted)))
    error = error_of(portal_at(edge, publisher, http_client=client))
    publisher.close()
    assert (error.may_have_happened, publisher.requests) == (False, [])


def test_a_client_of_the_users_that_verifies_gets_the_key_through(edge: Edge, tls: tuple[Publisher, Path]) -> None:
    publisher, trusted = tls
    client = edge.http_client(verify=ssl.create_default_context(cafile=str(trusted)))
    assert portal_at(edge, publisher, http_client=client).revoke_sessions(sub="u-1") == 1


@pytest.mark.parametrize("relaxed", ["no verification", "no host name"])
def test_a_client_of_the_users_that_does_not_verify_gets_no_key(
    edge: Edge, tls: tuple[Publisher, Path], relaxed: str
) -> None:
    publisher, trusted = tls
    context = ssl.create_default_context(cafile=str(trusted))
    context.check_hostname = False
    if relaxed == "no verification":
        context.verify_mode = ssl.CERT_NONE
    error = error_of(portal_at(edge, publisher, http_client=edge.http_client(verify=context)))
    assert error.detail == "the key was not sent: the TLS certificate was not verified"
    assert (error.may_have_happened, publisher.requests) == (False, [])


def serve_and_keep_alive(connection: socket.socket) -> None:
    """Answer, and then each further request on the same connection."""
    answer = http(REVOKED)
    connection.sendall(answer)
    while connection.recv(4_096):
        connection.sendall(answer)


@pytest.mark.parametrize("verifies", [True, False])
def test_a_connection_that_was_opened_before_gets_no_key(
    edge: Edge, tls: tuple[Publisher, Path], verifies: bool
) -> None:
    publisher, trusted = tls
    publisher.answer = serve_and_keep_alive
    context = ssl.create_default_context(cafile=str(trusted))
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    client = edge.http_client(verify=context, limits=httpx.Limits(max_keepalive_connections=3))
    for _ in range(2):
        answer = client.get(publisher.uri()) if edge.name == "sync" else edge.run(client.get(publisher.uri()))  # type: ignore[attr-defined]
        assert answer.status_code == 200
    assert publisher.count == 1  # the client keeps its connection
    portal = portal_at(edge, publisher, http_client=client)
    if verifies:
        assert portal.revoke_sessions(sub="u-1") == 1
        assert publisher.count == 2
        assert KEY in publisher.requests[1]
    else:
        assert "not verified" in error_of(portal).detail
        assert publisher.count == 1


class KeepsPooled(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that never opens a connection for a request, as HTTP/2 does once it has one."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["trace"]("http2.send_request_headers.started", {"request": self._inner(request)})
        raise AssertionError("the request was sent")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.extensions["trace"]("http2.send_request_headers.started", {"request": self._inner(request)})
        raise AssertionError("the request was sent")

    def _inner(self, request: httpx.Request) -> Any:
        return type("Inner", (), {"method": request.method.encode()})


def test_a_client_that_opens_no_connection_of_its_own_gets_no_key(edge: Edge) -> None:
    error = error_of(edge.portal(api_key=KEY, http_client=edge.http_client(transport=KeepsPooled())))
    assert "opens no connection" in error.detail
    assert not error.may_have_happened


class Proxy:
    """An HTTP proxy that notes what it is asked, and connects CONNECT to wherever it is told."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4_096)
            self.requests.append(request.decode("latin-1"))
            host, _, port = request.split()[1].decode().rpartition(":")
            with socket.create_connection((host, int(port))) as server:
                client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
                back.start()
                self._pump(client, server)
                back.join(5)

    @staticmethod
    def _pump(source: socket.socket, target: socket.socket) -> None:
        try:
            while data := source.recv(4_096):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(5)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.mark.parametrize("verifies", [True, False])
def test_a_proxy_of_the_users_never_sees_the_key(
    edge: Edge, tls: tuple[Publisher, Path], proxy: Proxy, verifies: bool
) -> None:
    publisher, trusted = tls
    context = ssl.create_default_context(cafile=str(trusted))
    if not verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    client = edge.http_client(transport=transport(edge)(verify=context, proxy=proxy.url))
    portal = portal_at(edge, publisher, http_client=client)
    if verifies:
        assert portal.revoke_sessions(sub="u-1") == 1
    else:
        assert "not verified" in error_of(portal).detail
        assert publisher.requests == []
    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith("CONNECT ")
    assert KEY not in proxy.requests[0]


def transport(edge: Edge) -> Any:
    return httpx.HTTPTransport if edge.name == "sync" else httpx.AsyncHTTPTransport


class Stream:
    """A connection to an address that no test has."""

    def __init__(self, address: object) -> None:
        self._address = address

    def get_extra_info(self, name: str) -> object:
        return self._address if name == "server_addr" else None


class Connects(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that reports to have connected to an address, and then begins to send."""

    def __init__(self, address: object) -> None:
        self._events: list[tuple[str, Any]] = [
            ("connection.connect_tcp.complete", {"return_value": Stream(address)}),
            ("connection.start_tls.complete", {"return_value": Stream(address)}),
            ("http11.send_request_headers.started", {"request": type("Inner", (), {"method": b"POST"})}),
        ]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for event in self._events:
            request.extensions["trace"](*event)
        return httpx.Response(200, json={"revoked": 1})

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for event in self._events:
            await request.extensions["trace"](*event)
        return httpx.Response(200, json={"revoked": 1})


@pytest.mark.parametrize(
    ("address", "is_sent"),
    [
        (("127.0.0.1", 80), True),
        (("::1", 80, 0, 0), True),
        (("192.0.2.1", 80), False),
        (("proxy.example", 80), False),
        ((), False),
        (None, False),
    ],
)
def test_plain_http_stays_on_this_machine(edge: Edge, address: object, is_sent: bool) -> None:
    client = edge.http_client(transport=Connects(address))
    portal = edge.portal(api_key=KEY, base_url="http://localhost:8085/api", http_client=client)
    if is_sent:
        assert portal.revoke_sessions(sub="u-1") == 1
    else:
        error = error_of(portal)
        assert (error.detail, error.may_have_happened) == (
            "the key was not sent: plain http would leave this machine",
            False,
        )


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_socket_in_the_file_system_is_on_this_machine(edge: Edge, tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(5)
        received: list[bytes] = []

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                received.append(connection.recv(65_536))
                connection.sendall(http(REVOKED) if scheme == "http" else b"")

        thread = threading.Thread(target=serve)
        thread.start()
        client = edge.http_client(transport=transport(edge)(uds=str(path)))
        portal = edge.portal(api_key=KEY, base_url=f"{scheme}://localhost/api", http_client=client, timeout=1)
        if scheme == "http":
            assert portal.revoke_sessions(sub="u-1") == 1
        else:
            assert not error_of(portal).may_have_happened
        thread.join(5)
    assert (KEY.encode() in received[0]) is (scheme == "http")


# What is told


def test_a_location_that_repeats_the_key_is_told_without_it(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(status="302 Found", headers=f"Location: /{KEY}\r\n")
    assert "'/[redacted]'" in error_of(portal_at(edge, publisher)).detail


AWKWARD = "lb_live/9f+Q2&zz" + 60 * "=" + "\\'%41"  # it is escaped in one way or another, and longer than a quotation


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(each):04X}" for each in text)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"message": f"unknown key {AWKWARD}"}),
        json.dumps({"message": f"unknown key {AWKWARD}"}).replace("/", "\\/"),  # as PHP writes it
        f'{{"message": "{_escaped(AWKWARD)}"}}',
        json.dumps({"error": {"message": json.dumps({"key": AWKWARD}).replace("/", "\\/")}}),  # JSON in JSON
        json.dumps({"message": f"unknown key {html.escape(AWKWARD)}"}),
        json.dumps({"message": f"unknown key {urllib.parse.quote(AWKWARD)}"}),
    ],
)
def test_a_key_that_is_repeated_escaped_is_told_without_it(edge: Edge, publisher: Publisher, body: str) -> None:
    publisher.answer = http(body.encode(), status="401 Unauthorized")
    error = error_of(edge.portal(api_key=AWKWARD, base_url=publisher.uri("/api")))
    assert "[redacted]" in error.detail
    assert "9f" not in error.detail


@pytest.mark.parametrize(
    "head",
    [
        f"HTTP/1.1 302 Found\r\nLocation: /?k={urllib.parse.quote(AWKWARD)}\r\nContent-Length: 0\r\n\r\n",
        f"HTTP/1.1 OK {AWKWARD}\r\n\r\n",  # no status line
        f"HTTP/1.1 200 OK\r\nContent-Encoding: {AWKWARD}\r\n\r\n",
    ],
)
def test_a_head_that_repeats_the_key_is_told_without_it(edge: Edge, publisher: Publisher, head: str) -> None:
    publisher.answer = head.encode()
    error = error_of(edge.portal(api_key=AWKWARD, base_url=publisher.uri("/api"), timeout=1))
    assert "9f" not in error.detail


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error", "302 Found"])
def test_no_error_and_no_log_holds_the_key(
    edge: Edge, publisher: Publisher, caplog: pytest.LogCaptureFixture, status: str
) -> None:
    body = json.dumps({"code": KEY, "error": f"the key {KEY} is odd", "revoked": KEY, "role": KEY}).encode()
    publisher.answer = http(body, status=status)
    with caplog.at_level(logging.DEBUG):
        for credential in ({}, {"access_token": KEY}, {"access_token": lambda: KEY}):
            portal = portal_at(edge, publisher, **credential)
            error = error_of(portal, "mint")
            texts = [*traceback.format_exception(error), repr(error), repr(vars(error)), repr(portal)]
            frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
            texts += [
                f"{name}={value!r}"
                for frame in frames
                if "private_key_jwt" in frame.f_code.co_filename
                for name, value in frame.f_locals.items()
            ]
            assert error.__context__ is None
            assert KEY not in "\n".join(texts)
    assert KEY not in "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)
    assert publisher.count == (6 if status.startswith("5") else 3)


def test_an_error_survives_a_pickle(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(b'{"code": "X1"}', status="429 Too Many", headers="Retry-After: 70\r\n")
    error = error_of(portal_at(edge, publisher))
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (PortalSSOError, str(error), vars(error))
    assert (again.status, again.code, again.retry_after, again.may_have_happened) == (429, "X1", 70, False)


# Settings


@pytest.mark.parametrize("kind", [PortalSSO, AsyncPortalSSO])
@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({}, "api_key and access_token"),
        ({"api_key": KEY, "access_token": KEY}, "api_key and access_token"),
        *(({"api_key": value}, "api_key") for value in ("", f"{KEY}\n", f" {KEY}", "kéy", 1)),
        *(({"access_token": value}, "access_token") for value in ("", f"{KEY}\r\nX: y", 1)),
        *(
            ({"api_key": KEY, "base_url": value}, "base_url")
            for value in (
                "http://api.ledgerbee.com/api",
                "ftp://x",
                "https://x?y",
                "https://x#y",
                "https://u:p@x",
                "",
                1,
            )
        ),
        *(({"api_key": KEY, "timeout": value}, "timeout") for value in (0, -1, 601, float("nan"), "10", None, True)),
        ({"api_key": KEY, "http_client": "x"}, "http_client"),
    ],
)
def test_a_wrong_setting_is_named_and_never_quoted(kind: Any, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        kind(**settings)
    assert KEY not in str(caught.value)


def test_only_the_right_kind_of_client_is_taken(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = httpx.AsyncClient() if edge.name == "sync" else httpx.Client()
    with pytest.raises(ConfigurationError, match="http_client must be an httpx"):
        edge.portal(api_key=KEY, http_client=wrong)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with pytest.raises(ConfigurationError, match="trust_env=False"):
        edge.portal(api_key=KEY, http_client=edge.http_client(trust_env=True))


def token_error() -> str:
    raise LookupError(f"no token for {KEY}")


@pytest.mark.parametrize("access_token", [lambda: "", lambda: None, lambda: "a b", lambda: f"{KEY}\n", token_error])
def test_a_function_that_gives_no_token_is_an_error_of_ours(
    edge: Edge, publisher: Publisher, access_token: Any
) -> None:
    error = error_of(portal_at(edge, publisher, access_token=access_token))
    assert ("access_token" in error.detail, KEY in error.detail) == (True, False)
    assert (error.may_have_happened, publisher.count) == (False, 0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the calls take for the time of the process."""
    clock = Clock(1_000)
    monkeypatch.setattr(_portal_sso, "time", SimpleNamespace(monotonic=clock, sleep=clock.advance))
    return clock


def test_a_function_that_gives_the_token_takes_its_time_from_the_first_attempt(
    edge: Edge, publisher: Publisher, clock: Clock
) -> None:
    """With the 600 seconds the test would not end."""

    def access_token() -> str:
        clock.advance(599.7)
        return KEY

    publisher.answer = SLOW["nothing"](publisher)
    error = error_of(portal_at(edge, publisher, access_token=access_token, timeout=600), "mint")
    assert error.detail.startswith("no complete response in time")


def test_a_function_that_takes_the_whole_timeout_is_told(edge: Edge, publisher: Publisher, clock: Clock) -> None:
    def access_token() -> str:
        clock.advance(10)
        return KEY

    error = error_of(portal_at(edge, publisher, access_token=access_token))
    assert "timeout of 10 s was over before an attempt began: how long does access_token take?" in error.detail
    assert (error.may_have_happened, publisher.count) == (False, 0)


def test_a_coroutine_function_that_hangs_is_given_up(publisher: Publisher) -> None:
    async def hang() -> str:
        await asyncio.Event().wait()
        return KEY

    async def call() -> None:
        portal = AsyncPortalSSO(access_token=hang, base_url=publisher.uri("/api"), timeout=0.1)
        with pytest.raises(PortalSSOError, match="TimeoutError"):
            await portal.revoke_sessions(sub="u-1")

    asyncio.run(call())
    assert publisher.count == 0


def close(edge: Edge, portal: Any) -> None:
    getattr(portal, "aclose" if edge.name == "async" else "close")()


CLOSED = "the PortalSSO was closed: make another one for more calls"


@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_a_closed_portal_makes_no_more_calls(edge: Edge, publisher: Publisher, whose: str) -> None:
    client = edge.http_client() if whose == "the user's client" else None
    publisher.answer = http(REVOKED)
    portal = portal_at(edge, publisher, http_client=client)
    assert portal.revoke_sessions(sub="u-1") == 1
    for _ in range(2):
        close(edge, portal)
        error = error_of(portal)
        assert (error.detail, error.may_have_happened) == (CLOSED, False)
    assert publisher.count == 1
    if client is not None:
        assert not client.is_closed  # it is the user's to close
        assert portal_at(edge, publisher, http_client=client).revoke_sessions(sub="u-1") == 1


def test_a_portal_that_is_closed_between_two_attempts_makes_no_second_one(edge: Edge, publisher: Publisher) -> None:
    portal = portal_at(edge, publisher, http_client=edge.http_client())

    def answer(connection: socket.socket) -> None:
        close(edge, portal)
        connection.sendall(http(status="503 Service Unavailable"))

    publisher.answer = answer
    error = error_of(portal)
    assert (error.detail, error.may_have_happened, publisher.count) == (f"{CLOSED} (attempt 2)", True, 1)


def test_a_client_of_the_users_that_is_closed_is_told(edge: Edge, publisher: Publisher) -> None:
    client = edge.http_client()
    if isinstance(client, httpx.AsyncClient):
        asyncio.run(client.aclose())
    else:
        client.close()
    error = error_of(portal_at(edge, publisher, http_client=client))
    assert (error.detail, error.may_have_happened, publisher.count) == ("the HTTP client is closed", False, 0)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> list[httpx.AsyncClient]:
    """All clients that are made from now on."""
    made: list[httpx.AsyncClient] = []

    class Client(httpx.AsyncClient):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            made.append(self)

    monkeypatch.setattr(httpx, "AsyncClient", Client)
    return made


def test_tasks_that_make_the_first_calls_together_make_one_client(
    publisher: Publisher, clients: list[httpx.AsyncClient]
) -> None:
    publisher.answer = http(REVOKED)
    ssl_context.cache_clear()  # the certificates are still to be loaded, in a thread

    async def call() -> list[int]:
        async with AsyncPortalSSO(api_key=KEY, base_url=publisher.uri("/api")) as portal:
            return await asyncio.gather(*(portal.revoke_sessions(sub="u-1") for _ in range(3)))

    assert asyncio.run(call()) == [1, 1, 1]
    assert [client.is_closed for client in clients] == [True]


def test_a_portal_that_is_closed_while_its_first_call_begins_leaves_no_client_open(
    publisher: Publisher, clients: list[httpx.AsyncClient]
) -> None:
    async def call() -> None:
        portal = AsyncPortalSSO(access_token=close_it, base_url=publisher.uri("/api"))
        closings.append(portal.aclose)
        with pytest.raises(PortalSSOError, match="the PortalSSO was closed"):
            await portal.revoke_sessions(sub="u-1")

    async def close_it() -> str:
        await closings[0]()
        return KEY

    closings: list[Callable[[], Any]] = []
    asyncio.run(call())
    assert [client for client in clients if not client.is_closed] == []
    assert publisher.count == 0


def test_a_context_closes_it(publisher: Publisher) -> None:
    publisher.answer = http(REVOKED)
    with PortalSSO(api_key=KEY, base_url=publisher.uri("/api")) as portal:
        assert portal.revoke_sessions(sub="u-1") == 1
    assert error_of(portal).detail == CLOSED

    async def call() -> None:
        async with AsyncPortalSSO(api_key=KEY, base_url=publisher.uri("/api")) as portal:
            assert await portal.revoke_sessions(sub="u-1") == 1
        with pytest.raises(PortalSSOError, match="closed"):
            await portal.revoke_sessions(sub="u-1")

    asyncio.run(call())


def test_one_portal_serves_several_event_loops_one_after_the_other(publisher: Publisher) -> None:
    publisher.answer = http(REVOKED)
    portal = AsyncPortalSSO(api_key=KEY, base_url=publisher.uri("/api"))
    for _ in range(2):
        assert asyncio.run(portal.revoke_sessions(sub="u-1")) == 1


def test_the_certificates_are_loaded_off_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded_in: list[threading.Thread] = []
    create = httpx.create_ssl_context

    def load(**settings: Any) -> ssl.SSLContext:
        loaded_in.append(threading.current_thread())
        return create(**settings)

    monkeypatch.setattr(httpx, "create_ssl_context", load)
    ssl_context.cache_clear()

    async def call() -> threading.Thread:
        async with AsyncPortalSSO(api_key=KEY, base_url="http://127.0.0.1:9", timeout=0.1) as portal:
            with pytest.raises(PortalSSOError):
                await portal.revoke_sessions(sub="u-1")
        return threading.current_thread()

    assert loaded_in != [asyncio.run(call())]
    assert len(loaded_in) == 1
    ssl_context.cache_clear()
