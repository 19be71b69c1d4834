"""What a response may cost beside its body: an HTTP parser takes as many header fields as a publisher sends."""

from __future__ import annotations

import asyncio
import json
import time

import pytest

from edges import Edge
from fetcher.test_event_loop import Watchdog
from integrations.timing import rsa_verification
from loopback import Publisher, http
from private_key_jwt import AsyncJWKSFetcher, JWKSPolicy, TemporarilyUnavailable
from private_key_jwt.fetcher._bounds import MAX_BYTES_BESIDE, MAX_LINES
from support import jwk, registered

BODY = json.dumps({"keys": [jwk()]}).encode()
OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
ONE_CHUNK = b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)
POLICY = JWKSPolicy(allow_http_loopback=True)
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

HONEST = {
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


@pytest.mark.parametrize("name", HONEST)
def test_what_honest_servers_send_is_within_them(edge: Edge, publisher: Publisher, name: str) -> None:
    publisher.answer = lambda connection: connection.sendall(HONEST[name])
    assert edge.fetcher(POLICY).get_key(registered(publisher.uri()), "RS256", "k1")


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", DEAR)
def test_no_such_response_holds_up_the_event_loop(publisher: Publisher, name: str) -> None:
    publisher.answer = lambda connection: connection.sendall(DEAR[name])

    async def longest() -> float:
        async with AsyncJWKSFetcher(POLICY) as fetcher:
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

    unit, found = rsa_verification(), asyncio.run(longest())
    assert found < 200 * unit  # 5 ms: a millisecond is usual, and a machine is slow for a while
