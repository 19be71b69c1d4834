"""What a response may cost beside its body: an HTTP parser takes as many header fields as a publisher sends."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpcore
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from certificates import certificate
from edges import Edge
from fetcher.test_event_loop import Watchdog
from integrations.timing import rsa_verification
from loopback import Publisher, http
from private_key_jwt import AsyncJWKSFetcher, JWKSPolicy, TemporarilyUnavailable
from private_key_jwt._core.jwk_set import KeySet
from private_key_jwt.fetcher._bounds import MAX_BLANKS, MAX_BYTES_BESIDE, MAX_BYTES_OF_TLS, MAX_LINES
from support import jwk, registered

BODY = json.dumps({"keys": [jwk()]}).encode()
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ONE_CHUNK = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
POLICY = JWKSPolicy(allow_http_loopback=True)
TOO_MANY_BLANKS = f"expected at most {MAX_BLANKS} blanks in a row in a response beside its body, got more"
TOO_MUCH_TLS = f"expected at most {MAX_BYTES_OF_TLS:,} bytes of TLS beside twice what it carries, got more"
TOO_MUCH = f"expected at most {MAX_BYTES_BESIDE:,} bytes and {MAX_LINES} lines of a response beside its body, got more"

DEAR = {
    "interim responses": b"HTTP/1.1 103 \r\n\r\n" * 4_000,
    "header fields": OK + b"a:\r\n" * 24_000 + LENGTH + b"\r\n" + BODY,
    "folded lines": OK + b"a: b\r\n" + b" c\r\n" * 20_000 + LENGTH + b"\r\n" + BODY,
    "one long header field": OK + b"a: " + b"b" * 90_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "trailers": OK + CHUNKED + b"\r\n" + ONE_CHUNK + b"a:\r\n" * 24_000 + b"\r\n",
    "chunks of a byte": OK + CHUNKED + b"\r\n" + b"1\r\n \r\n" * 10_000 + ONE_CHUNK + b"\r\n",
    "chunk extensions": OK + CHUNKED + b"\r\n" + b"1;" + b"x" * 60_000 + b"\r\n \r\n" + ONE_CHUNK + b"\r\n",
}

# In front of what no line may hold.
BLANKS = {
    "blanks in a header field": OK + b"x:" + b" " * 16_000 + b"\0\r\n\r\n",
    "tabs in a header field": OK + b"x:" + b"\t " * 8_000 + b"\0\r\n\r\n",
    "blanks in a trailer": OK + CHUNKED + b"\r\n" + ONE_CHUNK + b"x:" + b" " * 23_000 + b"\0\r\n\r\n",
    "blanks in an extension of a chunk": OK + CHUNKED + b"\r\n1;" + b" " * 23_000 + b"\n\r\n",
}

# What httpx reads of each response, though nothing is done with it.
UNUSED = {
    "a redirect to quotes": b"Location: https://a.example/" + b'"' * 16_000,
    "a redirect to letters": b"Location: /" + "\u00e9".encode() * 8_000,
    "a redirect to a name": b"Location: https://" + "".join(map(chr, range(0x4E00, 0x4EFA))).encode() + b"/",
    "a redirect up": b"Location: /" + b"../" * 5_000,
    "a cookie": b"Set-Cookie: a=b" + b";a" * 8_000,
    "cookies": b"\r\n".join([b"Set-Cookie: a=b; expires=Sat, 1 Jan 2050 1:1:1"] * 250),
}
REDIRECTED = {
    name: b"HTTP/1.1 302 Found\r\n" + fields + b"\r\nContent-Length: 0\r\n\r\n" for name, fields in UNUSED.items()
}

HONEST = {
    "as many blanks as may be": OK + b"X-Field:" + b" " * MAX_BLANKS + b"x\r\n" + LENGTH + b"\r\n" + BODY,
    "a body in chunks with as many blanks": OK
    + CHUNKED
    + b"\r\n"
    + b"%x\r\n" % (len(BODY) + MAX_BLANKS)
    + BODY
    + b" " * MAX_BLANKS
    + b"\r\n0\r\n\r\n",
    "a hundred header fields": OK + b"X-Field: of an application\r\n" * 100 + LENGTH + b"\r\n" + BODY,
    "a policy of eight thousand characters": OK + b"CSP: " + b"x" * 8_000 + b"\r\n" + LENGTH + b"\r\n" + BODY,
    "early hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + LENGTH + b"\r\n" + BODY,
    "chunks of sixteen bytes": OK
    + CHUNKED
    + b"\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(BODY[at : at + 16]), BODY[at : at + 16]) for at in range(0, len(BODY), 16))
    + b"0\r\n\r\n",
    "a trailer": OK + CHUNKED + b"\r\n" + ONE_CHUNK + b"Expires: 0\r\n\r\n",
    "64 KiB of body": http(BODY + b" " * (65_536 - len(BODY))),
    "64 KiB of body in lines": http(BODY + b"\n" * (65_536 - len(BODY))),
}


@pytest.mark.parametrize("name", DEAR)
def test_a_response_of_more_than_these_bounds_is_no_key_set(edge: Edge, publisher: Publisher, name: str) -> None:
    publisher.answer = lambda connection: connection.sendall(DEAR[name])
    with pytest.raises(TemporarilyUnavailable, match=TOO_MUCH):
        edge.fetcher(POLICY).get_key(registered(publisher.uri()), "RS256", "k1")


@pytest.mark.parametrize("name", BLANKS)
def test_blanks_in_a_row_are_bounded_where_there_are_lines(edge: Edge, publisher: Publisher, name: str) -> None:
    publisher.answer = lambda connection: connection.sendall(BLANKS[name])
    with pytest.raises(TemporarilyUnavailable, match=TOO_MANY_BLANKS):
        edge.fetcher(POLICY).get_key(registered(publisher.uri()), "RS256", "k1")


@pytest.mark.parametrize("before", range(250, 520, 30))
def test_blanks_in_a_row_are_bounded_across_the_pieces_that_are_read(
    edge: Edge, publisher: Publisher, before: int
) -> None:
    publisher.answer = (OK + b"a:").ljust(before, b"b") + b"\r\nx:" + b" " * 300 + b"\0\r\n\r\n"
    with pytest.raises(TemporarilyUnavailable, match=TOO_MANY_BLANKS):
        edge.fetcher(POLICY).get_key(registered(publisher.uri()), "RS256", "k1")


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_servers_send_is_within_them(edge: Edge, publisher: Publisher, name: str) -> None:
    publisher.answer = lambda connection: connection.sendall(HONEST[name])
    assert edge.fetcher(POLICY).get_key(registered(publisher.uri()), "RS256", "k1")


async def longest_turn(fetcher: AsyncJWKSFetcher, publisher: Publisher) -> float:
    """Return for how long a fetch that fails keeps all others waiting, in seconds of the processor."""
    watchdog = Watchdog()
    await asyncio.sleep(0)
    began = time.thread_time()
    with pytest.raises(TemporarilyUnavailable):
        await fetcher.get_key(registered(publisher.uri("/first")), "RS256", "k1")  # imports, too
    began, watchdog.longest = time.thread_time(), 0.0
    with pytest.raises(TemporarilyUnavailable):
        await fetcher.get_key(registered(publisher.uri("/second")), "RS256", "k1")
    assert time.thread_time() - began < 0.2
    return await watchdog.stop()


LONGEST_TURN = 200  # RSA verifications, 5 ms: a millisecond is usual, and a machine is slow for a while


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", [*DEAR, *BLANKS, *REDIRECTED])
def test_no_such_response_holds_up_the_event_loop(publisher: Publisher, name: str) -> None:
    publisher.answer = {**DEAR, **BLANKS, **REDIRECTED}[name]

    async def longest() -> float:
        async with AsyncJWKSFetcher(POLICY) as fetcher:
            return await longest_turn(fetcher, publisher)

    unit, found = rsa_verification(), asyncio.run(longest())
    assert found < LONGEST_TURN * unit


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113 section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


HEADERS = frame(1, 4, 1, b"\x88")  # status 200
FRAMES = {
    "settings": frame(4, 0, 0) * 1_700,
    "windows": frame(8, 0, 0, b"\0\0\0\1") * 1_100,
    "frames of an unknown type": frame(99, 0, 0) * 1_700,
    "padding": HEADERS + frame(0, 8, 1, b"\0") * 1_600,
}


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", FRAMES)
def test_no_frames_of_http_2_hold_up_the_event_loop(tmp_path: Path, name: str) -> None:
    tls, trusted = certificate(tmp_path, "127.0.0.1")
    tls.set_alpn_protocols(["h2"])
    publisher = Publisher(tls=tls)

    def answer(connection: socket.socket) -> None:
        connection.sendall(frame(4, 0, 0) + frame(4, 1, 0) + FRAMES[name])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65_536):
            pass

    publisher.answer = answer

    unit, found = rsa_verification(), asyncio.run(longest_turn_over_tls(publisher, trusted, http2=True))
    publisher.close()
    assert found < LONGEST_TURN * unit


async def longest_turn_over_tls(publisher: Publisher, trusted: Path, *, http2: bool = False) -> float:
    verify = ssl.create_default_context(cafile=str(trusted))
    async with httpx.AsyncClient(http2=http2, verify=verify, trust_env=False) as client:
        async with AsyncJWKSFetcher(policy_for(publisher), http_client=client) as fetcher:
            return await longest_turn(fetcher, publisher)


def policy_for(publisher: Publisher) -> JWKSPolicy:
    return JWKSPolicy(allow_private_hosts=["127.0.0.1"], allow_ports=[int(publisher.uri("").rpartition(":")[2])])


def send_long_chain(server: ssl.SSLContext, trusted: Path) -> None:
    """Send 95 kB of certificates behind the one that is verified: OpenSSL takes 100 kB, and decodes each."""
    key, now = Ed25519PrivateKey.generate(), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.public_key(key.public_key()).serial_number(1)
    small = builder.not_valid_before(now).not_valid_after(now + timedelta(days=1)).sign(key, None)
    chain = trusted.with_name("chain.pem")
    chain.write_bytes(trusted.read_bytes() + small.public_bytes(Encoding.PEM) * 520)
    server.load_cert_chain(chain, trusted.with_name("key.pem"))


def send_many_tickets(server: ssl.SSLContext, _trusted: Path) -> None:
    """Send megabytes of session tickets (RFC 8446 section 4.6.1), for each of which the client makes a key."""
    server.num_tickets = 30_000


def send_single_bytes(connection: socket.socket) -> None:
    for number in range(4_000):
        connection.sendall(OK[number : number + 1] or b"x")  # each in a TLS record of its own


@pytest.fixture
def dear(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Publisher, Path]]:
    server, trusted = certificate(tmp_path, "127.0.0.1")
    if request.param is not None:
        request.param(server, trusted)
    publisher = Publisher(tls=server)
    publisher.answer = send_single_bytes
    yield publisher, trusted
    publisher.close()


@pytest.mark.parametrize("dear", [send_long_chain, send_many_tickets, None], indirect=True)
def test_what_tls_has_beside_data_is_bounded_on_an_event_loop(dear: tuple[Publisher, Path]) -> None:
    publisher, trusted = dear

    async def fetch() -> None:
        verify = ssl.create_default_context(cafile=str(trusted))
        async with httpx.AsyncClient(verify=verify, trust_env=False) as client:
            await AsyncJWKSFetcher(policy_for(publisher), http_client=client).refresh(publisher.uri())

    with pytest.raises(TemporarilyUnavailable, match=TOO_MUCH_TLS):
        asyncio.run(fetch())


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("dear", [send_long_chain, send_many_tickets], indirect=True)
def test_nothing_of_tls_holds_up_the_event_loop(dear: tuple[Publisher, Path]) -> None:
    unit, found = rsa_verification(), asyncio.run(longest_turn_over_tls(*dear))
    assert found < LONGEST_TURN * unit


def test_connections_of_another_library_are_read_all_the_same(publisher: Publisher) -> None:
    class Stream(httpcore.AsyncNetworkStream):
        def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
            self.read, self.write, self.aclose = stream.read, stream.write, stream.aclose  # type: ignore[method-assign]
            self.get_extra_info = stream.get_extra_info  # type: ignore[method-assign]

    class Backend(httpcore.AnyIOBackend):
        async def connect_tcp(self, *arguments: Any, **settings: Any) -> httpcore.AsyncNetworkStream:
            return Stream(await super().connect_tcp(*arguments, **settings))

    async def fetch() -> KeySet:
        transport: Any = httpx.AsyncHTTPTransport()
        transport._pool._network_backend = Backend()
        async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
            return await AsyncJWKSFetcher(POLICY, http_client=client).refresh(publisher.uri())

    publisher.keys = [jwk()]
    assert asyncio.run(fetch()).usable


@pytest.mark.parametrize("size", [64, 65_536])
def test_what_honest_servers_send_over_tls_is_within_them(edge: Edge, tmp_path: Path, size: int) -> None:
    server, trusted = certificate(tmp_path, "127.0.0.1")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(trusted.read_bytes() * 12)  # some 10 kB
    server.load_cert_chain(chain, tmp_path / "key.pem")
    publisher = Publisher(tls=server)
    response = HONEST["64 KiB of body"]

    def answer(connection: socket.socket) -> None:
        for place in range(0, len(response), size):
            connection.sendall(response[place : place + size])

    publisher.answer = answer
    client = edge.http_client(verify=ssl.create_default_context(cafile=str(trusted)))
    assert edge.fetcher(policy_for(publisher), http_client=client).get_key(registered(publisher.uri()), "RS256", "k1")
    publisher.close()
