"""One GET, against publishers that misbehave on real sockets, with our client and with the user's."""

import asyncio
import errno
import gzip
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from certificates import certificate
from edges import LOOPBACK, Edge
from loopback import Publisher, http, trickle
from names import Names
from private_key_jwt import (
    ConfigurationError,
    InvalidClient,
    JWKSPolicy,
    Reason,
    TemporarilyUnavailable,
    __version__,
    _http_client,
)
from private_key_jwt._core.response import FetchError, JWKSResponse
from private_key_jwt._host_names import explain_os_error
from private_key_jwt._http_client import Watchdog
from private_key_jwt.fetcher import _http
from private_key_jwt.fetcher._details import Known, describe_unavailable
from private_key_jwt.fetcher._progress import Phase, Progress
from support import jwk, registered

SHORT = JWKSPolicy(allow_http_loopback=True, timeout=0.3)
KEYS = json.dumps({"keys": [jwk()]}).encode()


def outcome(fetcher: Any, uri: str) -> str:
    """``k1`` when it was fetched, else why not."""
    try:
        return str(fetcher.get_key(registered(uri), "RS256", "k1").kid)
    except TemporarilyUnavailable as error:
        assert error.reason is Reason.JWKS_UNAVAILABLE
        detail, _, uri_in_parentheses = error.detail.rpartition(" (")
        assert uri[:20] in uri_in_parentheses
        return detail


# Time


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
RESPONSE, BODY = "waiting for the response", "reading the body"
SLOW: dict[str, tuple[str, Callable[[Publisher], Any]]] = {
    "headers, a byte at a time": (RESPONSE, lambda p: trickle(p, b"HTTP/1.1 200 OK\r\nX: ", b"x")),
    "header lines, one at a time": (RESPONSE, lambda p: trickle(p, HEAD, b"X: x\r\n")),
    "informational answers": (RESPONSE, lambda p: trickle(p, b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")),
    "the body, a byte at a time": (BODY, lambda p: trickle(p, HEAD + b"Content-Length: 60000\r\n\r\n", b" ")),
    "chunks of a byte": (BODY, lambda p: trickle(p, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")),
    "a body without an end that looks whole": (BODY, lambda p: trickle(p, HEAD + b"\r\n" + KEYS, b" ")),
    "nothing": (RESPONSE, lambda p: trickle(p, b"", b"")),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_the_deadline_covers_every_byte(edge: Edge, publisher: Publisher, name: str, whose: str) -> None:
    phase, answer = SLOW[name]
    publisher.answer = answer(publisher)
    settings = {"http_client": edge.http_client(timeout=None)} if whose == "the user's client" else {}
    fetcher = edge.fetcher(SHORT, **settings)
    started = time.monotonic()
    detail = outcome(fetcher, publisher.uri())
    assert detail.startswith(f"still {phase} at the end of 0.3 s (JWKSPolicy(timeout=...))"), detail
    edge.settle()
    assert time.monotonic() - started < 2
    assert publisher.count == 1


def test_a_publisher_that_never_accepts_is_given_up(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()
        detail = outcome(edge.fetcher(SHORT), f"http://127.0.0.1:{port}/jwks.json")
        assert time.monotonic() - started < 2
        peer = f"127.0.0.1:{port}"
        assert detail.startswith(f"still connecting to {peer} at the end of 0.3 s (JWKSPolicy(timeout=...)): no answer")
        assert "a firewall drops it, or the host is down" in detail
        for one in waiting:
            one.close()


def test_a_publisher_that_accepts_and_never_speaks_tls_is_given_up(edge: Edge) -> None:
    policy = JWKSPolicy(timeout=0.3, allow_ports=tuple(range(1, 65_536)), allow_private_hosts=("127.0.0.1",))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        detail = outcome(edge.fetcher(policy), f"https://127.0.0.1:{silent.getsockname()[1]}/jwks.json")
    assert detail.startswith("still in the TLS handshake at the end of 0.3 s (JWKSPolicy(timeout=...))"), detail


def test_the_phases_that_took_the_time_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    progress = Progress()
    assert progress.describe_delay(3) == "still to be started at the end of 3 s (JWKSPolicy(timeout=...))"
    steps = [(Phase.NAME, 2.5), (Phase.CONNECT, 0.2), (Phase.CONNECT, 0.1), (Phase.TLS, 0.05), (Phase.SEND, 0.15)]
    for phase, seconds in steps:
        progress.enter(phase)
        now += seconds
    assert progress.describe_delay(3) == (
        "still sending the request at the end of 3 s (JWKSPolicy(timeout=...)):"
        " resolving the host name 2.5 s, connecting 0.3 s, sending the request 0.1 s"
    )


@pytest.mark.usefixtures("untraced")
def test_nothing_that_a_publisher_or_a_name_server_answers_holds_up_the_event_loop(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step is measured in processor time: a first fetch, thousands of addresses, megabytes that are packed."""
    body = b'{"keys": [], "x": "' + b"0" * 8_000_000 + b'"}'  # 8 KiB on the wire, in one piece
    publisher.answer = http(gzip.compress(body), headers="Content-Encoding: gzip\r\n")
    Names(monkeypatch, localhost=["127.0.0.1", *(f"127.1.{a}.{b}" for a in range(40) for b in range(100))])
    policy = JWKSPolicy(
        allow_http_loopback=True,
        max_bytes=2**23,
        timeout=30,
        allow_private_hosts=[f"10.{number}.0.0/17" for number in range(256)],
    )
    _http_client.ssl_context.cache_clear()
    steps: list[float] = []
    run = asyncio.Handle._run

    def measured(handle: asyncio.Handle) -> None:
        started = time.thread_time()
        run(handle)
        steps.append(time.thread_time() - started)

    async def fetch() -> JWKSResponse:
        with monkeypatch.context() as patch:
            patch.setattr(asyncio.Handle, "_run", measured)
            return await _http.get_async(None, publisher.uri(host="localhost"), policy, forced=False)

    assert asyncio.run(fetch()).body == body
    assert max(steps) < 0.01


# Size and shape


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("endless header lines", HEAD + b"X: x\r\n" * 100_000),
        ("one header of 10 MB", HEAD + b"X: " + b"x" * 10_000_000),
        ("a body over the cap", http(b" " * 10_000_000)),
        ("a length that lies", http(b" " * 1_000_000, length=10)),
        ("a body cut short", http(KEYS, length=len(KEYS) + 1)),
        ("chunked nonsense", HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ("a gzip bomb", http(gzip.compress(b"\0" * 10_000_000), headers="Content-Encoding: gzip\r\n")),
        ("layers of gzip", http(gzip.compress(gzip.compress(KEYS)), headers="Content-Encoding: gzip, gzip\r\n")),
        ("a redirect elsewhere", http(status="302 Found", headers="Location: http://127.0.0.1:9/\r\n")),
        ("a redirect to itself", http(status="302 Found", headers="Location: /jwks.json\r\n")),
        ("a redirect to a file", http(status="303 See Other", headers="Location: file:///etc/passwd\r\n")),
        ("nothing at all", b""),
    ],
)
def test_a_broken_answer_is_an_error_of_ours(edge: Edge, publisher: Publisher, name: str, answer: bytes) -> None:
    publisher.answer = lambda connection: connection.sendall(answer)
    detail = outcome(edge.fetcher(), publisher.uri())
    if name == "a length that lies":
        assert "JSON" in detail
    assert detail != "k1"
    assert publisher.count == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the connection was closed without an HTTP response: Server disconnected"),
        (b"\x15\x03\x01\x00\x02\x02\x0a\r\n\r\n", "the response is no HTTP/1.1: "),
        (b"ICY 200 OK\r\n\r\n", "the response is no HTTP/1.1: illegal status line: b'ICY 200 OK'"),
        (http(KEYS, length=len(KEYS) + 1), "the response was cut off: peer closed connection without sending complete"),
    ],
)
def test_what_is_no_http_response_is_said_in_plain_words(
    edge: Edge, publisher: Publisher, answer: bytes, said: str
) -> None:
    publisher.answer = lambda connection: connection.sendall(answer)
    detail = outcome(edge.fetcher(), publisher.uri())
    assert detail.startswith(said)
    assert "bytearray" not in detail


def test_an_answer_brings_its_age_and_its_media_type(publisher: Publisher) -> None:
    publisher.answer = http(KEYS, content_type="text/plain; charset=x", headers="Age: 299\r\nAge: 7\r\n")
    expected = JWKSResponse(KEYS, 299, "text/plain; charset=x")
    assert _http.get(None, publisher.uri(), SHORT, forced=False) == expected
    assert asyncio.run(_http.get_async(None, publisher.uri(), SHORT, forced=False)) == expected


@pytest.mark.parametrize("coding", ["", "identity", "gzip", "x-gzip"])
@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "application/jwk-set+json", "application/jwk+json", "application/octet-stream"),
        *("text/plain", "application/json; charset=ISO-8859-1", ""),
    ],
)
def test_a_plain_and_a_packed_body_are_read(edge: Edge, publisher: Publisher, coding: str, content_type: str) -> None:
    body = gzip.compress(KEYS) if "gzip" in coding else KEYS
    publisher.answer = http(body, content_type=content_type, headers=f"Content-Encoding: {coding}\r\n")
    assert outcome(edge.fetcher(), publisher.uri()) == "k1"


def test_a_document_with_a_byte_order_mark_and_a_key_with_a_lone_surrogate_brings_the_good_keys(
    edge: Edge, publisher: Publisher
) -> None:
    publisher.answer = http(
        json.dumps({"keys": [jwk(kid="\ud800"), jwk(kid="k0", n="\ud800"), jwk()]}).encode("utf-8-sig")
    )
    fetcher = edge.fetcher()
    assert outcome(fetcher, publisher.uri()) == "k1"
    for kid in ("k0", "\ud800"):
        with pytest.raises(InvalidClient):
            fetcher.get_key(registered(publisher.uri()), "RS256", kid)


def test_nobody_listens(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    detail = outcome(edge.fetcher(), f"http://127.0.0.1:{port}/")
    assert detail.startswith(f"nothing listens there: the server is down, or the port is wrong (127.0.0.1:{port}): ")
    assert "ConnectError" in detail


@pytest.mark.parametrize("scheme", ["http", "HTTP", "hTTp"])
def test_plain_http_needs_a_policy_that_allows_it(edge: Edge, publisher: Publisher, scheme: str) -> None:
    publisher.keys = [jwk()]
    uri = publisher.uri().replace("http", scheme, 1)
    assert "allow_http_loopback" in outcome(edge.fetcher(JWKSPolicy(allow_http_loopback=False)), uri)
    assert publisher.count == 0


# What is sent


def test_what_is_sent_owes_nothing_to_a_client_or_the_environment(
    edge: Edge, publisher: Publisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    users = edge.http_client(
        auth=("me", "secret"),
        headers={"Authorization": "Bearer secret", "X-Mine": "secret"},
        cookies={"mine": "secret"},
        params={"mine": "secret"},
        follow_redirects=True,
    )
    publisher.answer = http(KEYS, headers="Set-Cookie: theirs=secret; Path=/\r\n")
    for fetcher in (edge.fetcher(), edge.fetcher(http_client=users)):
        assert outcome(fetcher, publisher.uri()) == "k1"
        fetcher.refresh(publisher.uri())
    assert publisher.count == 4
    for request in publisher.requests:
        assert "secret" not in request
        assert "ookie" not in request
        assert "uthorization" not in request
        # A pooled connection would hide its socket from the watchdog.
        assert "connection: close\r\n" in request.lower()
        assert request.startswith("GET /jwks.json HTTP/1.1\r\n")
        assert "accept-encoding: identity\r\n" in request.lower()


def _fields(request: str) -> list[str]:
    """The header lines of a request that are not the same for every request."""
    common = ("get ", "host:", "accept:", "accept-encoding:", "connection:")
    return [line for line in request.split("\r\n") if line and not line.lower().startswith(common)]


@pytest.mark.parametrize("whose", ["our client", "the user's client"])
def test_a_fetch_says_who_asks_unless_the_user_says_otherwise(edge: Edge, publisher: Publisher, whose: str) -> None:
    """Firewalls answer 403 to a request without ``User-Agent``."""
    publisher.keys = [jwk()]
    user_agent = f"User-Agent: private-key-jwt/{__version__}"
    for headers, sent in (
        (None, [user_agent]),
        ({}, [user_agent]),
        ({"user-agent": "as.example/1"}, ["user-agent: as.example/1"]),
        ({"X-Key": "a b", "X-Empty": ""}, [user_agent, "X-Key: a b", "X-Empty: "]),
    ):
        settings = {} if whose == "our client" else {"http_client": edge.http_client(headers={"X-Theirs": "secret"})}
        fetcher = edge.fetcher(headers=headers, **settings)
        assert outcome(fetcher, publisher.uri()) == "k1"
        assert _fields(publisher.requests[-1]) == sent
        fetcher.refresh(publisher.uri())
        assert _fields(publisher.requests[-1]) == [*sent, "Cache-Control: no-cache"]


def test_a_fetch_says_that_it_takes_every_media_type(edge: Edge, publisher: Publisher) -> None:
    publisher.keys = [jwk()]
    assert outcome(edge.fetcher(), publisher.uri()) == "k1"
    assert "accept: application/jwk-set+json, application/json, */*;q=0.5\r\n" in publisher.requests[0].lower()


def test_what_a_fetch_depends_on_cannot_be_replaced(edge: Edge, publisher: Publisher) -> None:
    publisher.keys = [jwk()]
    fetcher = edge.fetcher(headers={"Accept": "*/*", "cache-control": "max-stale"})
    fetcher.refresh(publisher.uri())
    lines = publisher.requests[0].lower().split("\r\n")
    assert sorted(line for line in lines if line.startswith(("accept", "cache", "connection"))) == [
        *("accept-encoding: identity", "accept: */*", "cache-control: no-cache", "connection: close")
    ]


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        *[({name: "x"}, f"must not hold '{name}'") for name in ("Authorization", "COOKIE", "host", "Connection")],
        *[({name: "x"}, f"must not hold '{name}'") for name in ("Keep-Alive", "TE", "Trailer", "Upgrade")],
        *[({name: "x"}, f"must not hold '{name}'") for name in ("Proxy-Authorization", "Proxy-Authenticate")],
        *[({name: "x"}, f"must not hold '{name}'") for name in ("Proxy-Connection", "HTTP2-Settings")],
        *[({name: "5"}, f"must not hold '{name}'") for name in ("Content-Length", "Transfer-Encoding")],
        *[({name: "br"}, f"must not hold '{name}': a body") for name in ("Accept-Encoding", "Accept-Charset")],
        *[({name: "x"}, f"must not hold '{name}': a key set is read whole") for name in ("Range", "If-Range", "A-IM")],
        *[({f"If-{name}": "x"}, f"must not hold 'If-{name}': no request is cond") for name in ("Match", "None-Match")],
        *[({f"If-{name}-Since": "x"}, f"'If-{name}-Since': no request is cond") for name in ("Modified", "Unmodified")],
        ({"Expect": "100-continue"}, "must not hold 'Expect': a GET has no body"),
        *[({name: "x"}, "names that are tokens") for name in ("", "X ", " X", "X:", ":path", "X\r\nY", "\u00e9", 1)],
        *[({"X": value}, "the value of 'X' must be") for value in ("a\r\nB: c", "a\nb", "a\0", " a", "a ", "a\tb")],
        *[({"X": value}, "the value of 'X' must be") for value in ("\u00e9", "\x7f", "a\n", b"a", 1, None, ["a"])],
        ({"X-A": "1", "x-a": "2"}, "twice"),
        ([("X", "1")], "must be a mapping"),
        ("X: 1", "must be a mapping"),
    ],
)
def test_headers_that_would_harm_are_refused_at_the_start(edge: Edge, headers: Any, words: str) -> None:
    """What a user adds goes to every publisher, strangers too: no credentials, no second request, no other host."""
    with pytest.raises(ConfigurationError, match=f"^headers.*{words}"):
        edge.fetcher(headers=headers)


def test_headers_cannot_be_changed_under_a_running_fetcher(edge: Edge, publisher: Publisher) -> None:
    publisher.keys = [jwk()]
    headers = {"X-Key": "a"}
    fetcher = edge.fetcher(headers=headers)
    headers["X-Key"] = "b\r\nAuthorization: x"
    assert outcome(fetcher, publisher.uri()) == "k1"
    assert "X-Key: a\r\n" in publisher.requests[0]


def test_the_users_client_keeps_no_cookie_of_a_publisher(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(KEYS, headers="".join(f"Set-Cookie: c{number}=x; Path=/\r\n" for number in range(100)))
    client = edge.http_client(cookies={"theirs": "kept"})
    assert outcome(edge.fetcher(http_client=client), publisher.uri()) == "k1"
    assert dict(client.cookies) == {"theirs": "kept"}


def test_no_event_hook_of_the_users_client_reads_the_body(edge: Edge, publisher: Publisher) -> None:
    seen: list[object] = []

    def read(response: httpx.Response) -> None:
        seen.append(response.read())

    async def read_async(response: httpx.Response) -> None:
        seen.append(await response.aread())

    users = edge.http_client(event_hooks={"response": [read if edge.name == "sync" else read_async]})
    publisher.answer = http(KEYS)
    assert outcome(edge.fetcher(http_client=users), publisher.uri()) == "k1"
    assert seen == []


def test_the_users_client_follows_no_redirect(edge: Edge, publisher: Publisher) -> None:
    publisher.answer = http(status="302 Found", headers="Location: /elsewhere.json\r\n")
    detail = outcome(edge.fetcher(http_client=edge.http_client(follow_redirects=True)), publisher.uri())
    assert f"302, a redirect to '{publisher.uri('/elsewhere.json')}'" in detail
    assert publisher.count == 1


def test_a_client_with_proxies_of_the_environment_is_refused(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    edge.fetcher(http_client=edge.http_client(trust_env=True))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    edge.fetcher(http_client=edge.http_client())
    with pytest.raises(ConfigurationError, match="trust_env=False"):
        edge.fetcher(http_client=edge.http_client(trust_env=True))


def test_only_the_right_kind_of_client_is_taken(edge: Edge) -> None:
    for http_client in (httpx.AsyncClient() if edge.name == "sync" else httpx.Client(), "x", 1):
        with pytest.raises(ConfigurationError, match="http_client must be an httpx"):
            edge.fetcher(http_client=http_client)


def test_the_users_client_stays_open(edge: Edge, publisher: Publisher) -> None:
    publisher.keys = [jwk()]
    users = edge.http_client()
    fetcher = edge.fetcher(http_client=users)
    assert outcome(fetcher, publisher.uri()) == "k1"
    getattr(fetcher, "aclose" if edge.name == "async" else "close")()
    assert not users.is_closed


def test_a_closed_client_of_the_user_is_our_fault(edge: Edge, publisher: Publisher) -> None:
    users = edge.http_client()
    fetcher = edge.fetcher(http_client=users)
    asyncio.run(users.aclose()) if edge.name == "async" else users.close()
    assert "closed" in outcome(fetcher, publisher.uri())


# Transports that answer from memory


@pytest.mark.parametrize("packed", [False, True])
def test_an_answer_from_memory_is_read(edge: Edge, packed: bool) -> None:
    def handle(_request: httpx.Request) -> httpx.Response:
        headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
        return httpx.Response(200, headers=headers, content=gzip.compress(KEYS) if packed else KEYS)

    users = edge.http_client(transport=httpx.MockTransport(handle))
    assert outcome(edge.fetcher(http_client=users), "https://op.example/jwks.json") == "k1"


def test_a_timeout_of_httpx_is_described_as_one(edge: Edge) -> None:
    def handle(_request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out")

    users = edge.http_client(transport=httpx.MockTransport(handle))
    assert (
        outcome(edge.fetcher(http_client=users), "https://op.example/jwks.json")
        == f"still waiting for the response at the end of {LOOPBACK.timeout:g} s (JWKSPolicy(timeout=...))"
    )


def test_a_fetch_whose_deadline_cannot_be_kept_is_not_begun(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(FetchError, match="^RuntimeError: can't start new thread$"):
        _http.get(None, publisher.uri(), SHORT, forced=False)
    monkeypatch.undo()
    assert publisher.count == 0


def test_an_error_whose_text_raises_is_described_by_its_class(edge: Edge) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise ValueError

    def handle(_request: httpx.Request) -> httpx.Response:
        raise Odd

    users = edge.http_client(transport=httpx.MockTransport(handle))
    assert outcome(edge.fetcher(http_client=users), "https://op.example/jwks.json") == "Odd"


def test_an_answer_that_fails_when_its_time_is_over_is_late(publisher: Publisher) -> None:
    """Whatever the failure: the deadline is what cut it off."""

    def handle(_request: httpx.Request) -> httpx.Response:
        publisher.closing.wait(0.4)
        return httpx.Response(500)

    with httpx.Client(transport=httpx.MockTransport(handle), trust_env=False) as users:
        with pytest.raises(FetchError, match="^still waiting for the response at the end of 0.3 s"):
            _http.get(users, "https://op.example/", SHORT, forced=False)


def test_a_transport_that_is_slow_between_chunks_is_given_up(publisher: Publisher) -> None:
    class Slow(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield KEYS
            publisher.closing.wait(0.4)
            yield b" "

    class Transport(httpx.BaseTransport):
        in_process = True

        def handle_request(self, request: httpx.Request) -> httpx.Response:
            return httpx.Response(200, headers={"Content-Type": "application/json"}, stream=Slow())

    with httpx.Client(transport=Transport(), trust_env=False) as users:
        with pytest.raises(FetchError, match="^still reading the body at the end of 0.3 s"):
            _http.get(users, "https://op.example/", SHORT, forced=False)


# TLS


@pytest.fixture(params=["127.0.0.1", "another.example"])
def tls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Publisher, str, Path]]:
    server, trusted = certificate(tmp_path, request.param)
    publisher = Publisher([jwk()], server)
    yield publisher, request.param, trusted
    publisher.close()


def test_no_server_chooses_the_group_of_a_key_exchange_in_tls_1_2() -> None:
    """A group of 10,000 bits holds up an event loop for a second."""
    names = {each["name"] for each in _http_client.ssl_context().get_ciphers()}
    assert {"TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"} <= names
    assert {name.partition("-")[0].partition("_")[0] for name in names} == {"TLS", "ECDHE"}


def test_a_connection_that_ends_in_the_tls_handshake_is_said_to(edge: Edge) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def end() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)

        thread = threading.Thread(target=end)
        thread.start()
        port = listener.getsockname()[1]
        policy = JWKSPolicy(allow_private_hosts=["127.0.0.1"], allow_ports=[port])
        detail = outcome(edge.fetcher(policy), f"https://127.0.0.1:{port}/")
        thread.join()
    assert detail.startswith(
        f"the other side, or what is on the way, ended the connection in the TLS handshake (127.0.0.1:{port}): Connect"
    )


def test_no_server_asks_for_another_handshake_in_tls_1_2() -> None:
    assert _http_client.ssl_context().options & ssl.OP_NO_RENEGOTIATION


def test_the_certificate_is_verified(edge: Edge, tls: tuple[Publisher, str, Path]) -> None:
    publisher, host, trusted = tls
    context = ssl.create_default_context(cafile=str(trusted))
    assert "CERTIFICATE_VERIFY_FAILED" in outcome(edge.fetcher(), publisher.uri())
    detail = outcome(edge.fetcher(http_client=edge.http_client(verify=context)), publisher.uri())
    assert detail == "k1" if host == "127.0.0.1" else "CERTIFICATE_VERIFY_FAILED" in detail


def test_a_certificate_that_nobody_trusts_and_one_that_has_expired_say_who_must_act(edge: Edge, tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, "127.0.0.1", lifetime=-60)
    expired = Publisher([jwk()], server)
    try:
        stranger = outcome(edge.fetcher(), expired.uri())
        trusting = edge.http_client(verify=ssl.create_default_context(cafile=str(trusted)))
        known = outcome(edge.fetcher(http_client=trusting), expired.uri())
    finally:
        expired.close()
    failed = "TLS CERTIFICATE_VERIFY_FAILED: "
    assert stranger == f"{failed}self-signed certificate: no CA trusted here signed it (http_client= can trust more)"
    assert known == f"{failed}certificate has expired: its owner must renew it"


@pytest.mark.parametrize(
    ("text", "described"),
    [
        ("certificate is not yet valid (_ssl.c:1006)", "certificate is not yet valid: is our clock slow?"),
        (
            "unable to get local issuer certificate (_ssl.c:9)",
            "unable to get local issuer certificate: the server may send no intermediate certificate (openssl"
            " s_client -showcerts), or its CA is not trusted here (http_client=)",
        ),
        (f"{'x' * 200} (_ssl.c:9)", "x" * 129),
        (
            "Hostname mismatch, certificate is not valid for 'x.example'. (_ssl.c:1006)",
            "Hostname mismatch, certificate is not valid for 'x.example'",
        ),
        ("something new", "something new"),
    ],
)
def test_what_is_wrong_with_a_certificate_is_described(text: str, described: str) -> None:
    error = httpx.ConnectError(f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {text}")
    assert _http._describe(error) == f"TLS CERTIFICATE_VERIFY_FAILED: {described}"
    assert _http._describe(httpx.ConnectError(text)) == f"ConnectError: {text[:160]}"


def test_that_an_intermediate_certificate_may_be_missing_is_said_in_full() -> None:
    """Also beside the longest of what is known of the next fetch."""
    error = httpx.ConnectError(
        "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: unable to get local issuer certificate (_ssl.c:1)"
    )
    cause = _http._describe(error)
    known = Known(0, 1.7e9, 30, f"https://op.example/{'x' * 99}", cause, 1.7e9, is_shared=True)
    assert describe_unavailable(cause, known, is_spent=False).startswith(f"{cause} (at ")


@pytest.mark.parametrize(
    ("error", "plain"),
    [
        (ConnectionResetError(errno.ECONNRESET, "reset"), "the connection was cut by the other side"),
        (OSError(errno.EHOSTUNREACH, "no route"), "no way leads there: a firewall, or the host is down"),
        (OSError(errno.ENETUNREACH, "no network"), "no way leads there from this host"),
        (socket.gaierror(socket.EAI_AGAIN, "later"), "no name server answers"),
        (OSError(errno.EPIPE, "pipe"), None),
        (ValueError("x"), None),
    ],
)
def test_an_error_of_the_network_is_said_in_plain_words_whatever_it_is_wrapped_in(
    error: Exception, plain: str | None
) -> None:
    wrapped = httpx.ConnectError("[Errno 1] x")
    wrapped.__cause__ = error
    text = str(_http._failed(wrapped, JWKSPolicy(), Progress()))
    assert text == (f"{explain_os_error(error)}: " if plain else "") + "ConnectError: [Errno 1] x"
    assert text.startswith(plain or "ConnectError")


def test_an_address_is_named_with_its_port() -> None:
    progress = Progress()
    progress.enter(Phase.CONNECT)
    progress.trace("connection.connect_tcp.started", {"host": "2600::1", "port": 443})
    assert progress.peer == "[2600::1]:443"
    assert "still connecting to [2600::1]:443 at the end of 3 s" in progress.describe_delay(3)


@pytest.mark.parametrize("relaxed", ["no verification", "no host name"])
def test_a_client_that_does_not_verify_brings_no_keys(
    edge: Edge, tls: tuple[Publisher, str, Path], relaxed: str
) -> None:
    publisher, _, trusted = tls
    context = ssl.create_default_context(cafile=str(trusted))
    context.check_hostname = False
    if relaxed == "no verification":
        context.verify_mode = ssl.CERT_NONE
    users = edge.http_client(verify=context)
    detail = outcome(edge.fetcher(http_client=users), publisher.uri())
    assert detail == "the TLS certificate was not verified for '127.0.0.1'"


def test_a_slow_tls_publisher_is_given_up(publisher: Publisher, tmp_path: Path) -> None:
    server, trusted = certificate(tmp_path, "127.0.0.1")
    slow = Publisher([jwk()], server)
    slow.answer = trickle(slow, b"HTTP/1.1 200 OK\r\nX: ", b"x")
    try:
        with httpx.Client(verify=ssl.create_default_context(cafile=str(trusted)), trust_env=False) as users:
            started = time.monotonic()
            with pytest.raises(FetchError, match="^still waiting for the response at the end of 0.3 s"):
                _http.get(users, slow.uri(), SHORT, forced=False)
            assert time.monotonic() - started < 2
    finally:
        slow.close()


def test_a_socket_that_opens_after_the_deadline_is_shut_at_once(publisher: Publisher) -> None:
    watchdog = Watchdog(10)
    watchdog.expire()
    with socket.create_connection(("127.0.0.1", int(publisher.uri().split(":")[2].split("/")[0]))) as opened:

        class Stream:
            def get_extra_info(self, name: str) -> object:
                assert name == "socket"
                return opened

        watchdog.trace("connection.connect_tcp.started", {})
        watchdog.trace("connection.connect_tcp.complete", {"return_value": Stream()})
        assert opened.recv(1) == b""


def test_default_policy_takes_no_plain_http() -> None:
    assert LOOPBACK.allow_http_loopback
    assert not JWKSPolicy().allow_http_loopback
