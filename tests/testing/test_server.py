"""The publisher behind a real socket."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

import httpx
import pytest

from private_key_jwt import (
    AssertionPolicy,
    ClientAssertionVerifier,
    JWKSFetcher,
    JWKSPolicy,
    MemoryReplayStore,
    Reason,
    TemporarilyUnavailable,
    ledgerbee,
)
from private_key_jwt.testing import Clock, RelyingParty
from private_key_jwt.testing._server import LoopbackServer

from .conftest import AUDIENCE


@pytest.fixture
def server(relying_party: RelyingParty) -> Iterator[LoopbackServer]:
    with relying_party.serve() as server:
        yield server


@pytest.fixture
def url(server: LoopbackServer) -> str:
    return ledgerbee.jwks_uri("acme", base_url=server.base_url)


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(trust_env=False) as http:
        yield http


@pytest.fixture
def verifier(relying_party: RelyingParty, clock: Clock, server: LoopbackServer) -> Iterator[ClientAssertionVerifier]:
    with (
        JWKSFetcher(JWKSPolicy(allow_http_loopback=True), clock=clock) as jwks,
        ClientAssertionVerifier(
            policy=AssertionPolicy(audience=AUDIENCE),
            clients=[relying_party.tenant().client(server.base_url)],
            replay_store=MemoryReplayStore(),
            fetcher=jwks,
            clock=clock,
        ) as verifier,
    ):
        yield verifier


def test_a_rotation_over_real_http(
    relying_party: RelyingParty, server: LoopbackServer, verifier: ClientAssertionVerifier
) -> None:
    tenant = relying_party.tenant()
    verifier.verify(tenant.assertion())
    verifier.verify(tenant.assertion())
    assert server.count == 1
    kid = tenant.rotate()
    assert verifier.verify(tenant.assertion()).kid == kid
    assert server.count == 2


@pytest.mark.parametrize("outage", [500, httpx.ConnectError])
def test_an_outage_over_real_http(
    outage: int | type[httpx.RequestError],
    relying_party: RelyingParty,
    clock: Clock,
    server: LoopbackServer,
    verifier: ClientAssertionVerifier,
) -> None:
    relying_party.outage = outage
    with pytest.raises(TemporarilyUnavailable) as refused:
        verifier.verify(relying_party.assertion())
    assert refused.value.reason is Reason.JWKS_UNAVAILABLE
    assert relying_party.outage == outage
    assert server.count == 1
    relying_party.outage = None
    verifier.verify(relying_party.assertion())


def test_an_error_ends_the_connection(relying_party: RelyingParty, http: httpx.Client, url: str) -> None:
    relying_party.outage = httpx.ReadError
    with pytest.raises(httpx.RemoteProtocolError):
        http.get(url)


def test_answers_as_the_transport_does(relying_party: RelyingParty, http: httpx.Client, url: str) -> None:
    relying_party.tenant()
    with httpx.Client(transport=relying_party.transport) as direct:
        for method, target in [("GET", url), ("GET", url + "x"), ("POST", url), ("BREW", url)]:
            over_http, in_process = http.request(method, target), direct.request(method, target)
            assert over_http.status_code == in_process.status_code
            assert over_http.content == in_process.content
            assert in_process.headers.items() <= over_http.headers.items()


def exchange(server: LoopbackServer, request: bytes) -> bytes:
    """Everything that the server sends back; httpx would forgive what these tests look for."""
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=5) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65_536), b""))


def test_reads_a_body_that_it_refuses(server: LoopbackServer) -> None:
    size = 16_000_000  # more than the sockets hold between them
    answer = exchange(server, b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
    assert b" 404 " in answer.splitlines()[0]


def test_answers_head_without_a_body(server: LoopbackServer) -> None:
    answer = exchange(server, b"HEAD / HTTP/1.1\r\n\r\n")
    assert b"Content-Length:" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_goes_away_is_no_news(
    server: LoopbackServer, http: httpx.Client, url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(server.server_address[:2]) as sock:  # type: ignore[arg-type]
        sock.sendall(b"GET /api/")
        # Closed with this option, a socket says so at once, with a reset.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert http.get(url).status_code == 200
    assert capfd.readouterr() == ("", "")


def test_a_server_leaves_neither_a_thread_nor_its_port_behind(relying_party: RelyingParty) -> None:
    with relying_party.serve() as server:
        port = server.server_port
        assert server.base_url == f"http://127.0.0.1:{port}/api"
    assert "loopback" not in {thread.name for thread in threading.enumerate()}
    with contextlib.closing(socket.socket()) as sock:
        assert sock.connect_ex(("127.0.0.1", port)) != 0
    with relying_party.serve(port) as again:
        assert again.server_port == port


def test_a_server_answers_below_the_path_of_the_base_url() -> None:
    relying_party = RelyingParty(base_url="https://rp.example")
    with relying_party.serve() as server:
        assert server.base_url == f"http://127.0.0.1:{server.server_port}"
