"""A publisher that misbehaves, on real sockets: what a caller gets, in what time, for how many fetches."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certificates import certificate
from edges import Edge
from hostile.counts import Counts
from loopback import Publisher, http, trickle
from private_key_jwt import AuthenticationError, JWKSPolicy, Reason
from private_key_jwt.testing import Clock
from support import integer, jwk, private_key, registered

TIMEOUT = 0.4
GENEROUS = 1.6  # a machine with much else to do
POLICY = JWKSPolicy(allow_http_loopback=True, timeout=TIMEOUT)

GOOD, NEW = jwk(), jwk(private_key(1), kid="new")
BODY = json.dumps({"keys": [GOOD, NEW]}).encode()
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
UNAVAILABLE = Reason.JWKS_UNAVAILABLE

Make = Callable[[Publisher], Any]


class Misbehaviour(NamedTuple):
    """What a publisher does, and what must come of a look-up of ``new`` by those who have no keys, and who have."""

    make: Make
    cold: str = UNAVAILABLE
    warm: str = UNAVAILABLE


def sends(*pieces: bytes) -> Make:
    """These bytes, and then the end of the connection."""
    return lambda _publisher: lambda connection: connection.sendall(b"".join(pieces))


def answers(body: bytes = BODY, **settings: Any) -> Make:
    return sends(http(body, **settings))


def publishes(*keys: Any, **members: Any) -> Make:
    return answers(json.dumps({"keys": list(keys)} | members).encode())


def dribbles(data: bytes, then: bytes) -> Make:
    return lambda publisher: trickle(publisher, data, then)


def resets(_publisher: Publisher) -> Any:
    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def redirects(target: str, status: str = "302 Found") -> Make:
    """To ``target``, where a path of the same publisher would answer well."""
    return lambda publisher: (
        lambda connection: connection.sendall(
            http(BODY, status=status, headers=f"Location: {target.format(uri=publisher.uri('/good.json'))}\r\n")
            if publisher.requests[-1].startswith("GET /jwks.json")
            else http(BODY)
        )
    )


def private(key: Any, **changes: Any) -> Any:
    return jwk(key, d=integer(key.private_numbers().d), **changes)


# Where the document as a whole holds, the good keys in it work: `new` is found.
FOUND = "new"
ODD: list[Any] = [None, 1, "x", [], {}, True, {"kty": 1}, {"kty": "RSA"}, jwk(n=1, kid="a"), jwk(e=[], kid="b")]

TABLE: dict[str, Misbehaviour] = {
    # Slow
    "never answers": Misbehaviour(dribbles(b"", b"")),
    "sends its status line a byte at a time": Misbehaviour(dribbles(b"HTTP/1.1 200 ", b"O")),
    "sends its headers a byte at a time": Misbehaviour(dribbles(b"HTTP/1.1 200 OK\r\nX: ", b"x")),
    "sends one header after the other": Misbehaviour(dribbles(HEAD, b"X: x\r\n")),
    "sends its body a byte at a time": Misbehaviour(dribbles(HEAD + b"Content-Length: 60000\r\n\r\n", b" ")),
    "sends chunks of a byte": Misbehaviour(dribbles(CHUNKED, b"1\r\n \r\n")),
    "sends a whole document and does not stop": Misbehaviour(dribbles(HEAD + b"\r\n" + BODY, b" ")),
    "sends nothing but interim answers": Misbehaviour(dribbles(b"", b"HTTP/1.1 102 Processing\r\n\r\n")),
    # Broken off
    "closes at once": Misbehaviour(sends()),
    "closes in its headers": Misbehaviour(sends(HEAD)),
    "closes half-way through its body": Misbehaviour(sends(http(BODY)[:-100])),
    "closes half-way through a chunk": Misbehaviour(sends(CHUNKED, b"%x\r\n" % len(BODY), BODY[:100])),
    "closes before the last chunk": Misbehaviour(sends(CHUNKED, b"%x\r\n%b\r\n" % (len(BODY), BODY))),
    "resets the connection": Misbehaviour(resets),
    # Another answer
    "500": Misbehaviour(answers(status="500 Internal Server Error")),
    "502 of a gateway, in HTML": Misbehaviour(answers(b"<h1>", status="502 Bad Gateway", content_type="text/html")),
    "503 with Retry-After": Misbehaviour(answers(status="503 Unavailable", headers="Retry-After: 999999\r\n")),
    "404": Misbehaviour(answers(status="404 Not Found")),
    "401 with a challenge": Misbehaviour(answers(status="401 No", headers="WWW-Authenticate: Basic\r\n")),
    "204 without a body": Misbehaviour(sends(b"HTTP/1.1 204 No Content\r\n\r\n")),
    "206 with a part": Misbehaviour(answers(status="206 Partial Content")),
    "200 with HTML": Misbehaviour(answers(b"<!doctype html>", content_type="text/html")),
    "200 with HTML called JSON": Misbehaviour(answers(b"<!doctype html>")),
    # The bytes count, and not what they are called
    "keys called text/html": Misbehaviour(answers(content_type="text/html"), FOUND, FOUND),
    "keys called nothing": Misbehaviour(sends(b"HTTP/1.1 200 OK\r\n\r\n", BODY), FOUND, FOUND),
    "keys in UTF-16": Misbehaviour(answers(BODY.decode().encode("utf-16"))),
    "no HTTP at all": Misbehaviour(sends(b"SSH-2.0-OpenSSH_9.6\r\n")),
    "HTTP/2 without being asked": Misbehaviour(sends(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    "HTTP/0.9": Misbehaviour(sends(BODY)),
    # Too much
    "a body of 10 MiB": Misbehaviour(answers(b" " * 10_485_760)),
    "keys, and then 10 MiB of space": Misbehaviour(answers(BODY + b" " * 10_485_760)),
    "a gzip bomb": Misbehaviour(answers(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n")),
    "gzip in gzip": Misbehaviour(
        answers(gzip.compress(gzip.compress(BODY)), headers="Content-Encoding: gzip, gzip\r\n")
    ),
    "gzip that is none": Misbehaviour(answers(headers="Content-Encoding: gzip\r\n")),
    "headers of 10 MB": Misbehaviour(sends(HEAD, b"X: " + b"x" * 10_000_000)),
    "65 keys": Misbehaviour(publishes(*[GOOD] * 64, NEW)),
    # Elsewhere
    "a redirect to itself": Misbehaviour(redirects("/jwks.json")),
    "a redirect to a good path": Misbehaviour(redirects("{uri}")),
    "a redirect that keeps the method": Misbehaviour(redirects("{uri}", "308 Permanent Redirect")),
    "a redirect into the network": Misbehaviour(redirects("http://169.254.169.254/latest/meta-data/")),
    "a redirect to a file": Misbehaviour(redirects("file:///etc/passwd")),
    "a page that refreshes itself": Misbehaviour(answers(b"{}", headers="Refresh: 0; url=/good.json\r\n")),
    # Chunked nonsense
    "a chunk size that is no number": Misbehaviour(sends(CHUNKED, b"zz\r\n", BODY, b"\r\n0\r\n\r\n")),
    "a negative chunk size": Misbehaviour(sends(CHUNKED, b"-5\r\n", BODY, b"\r\n0\r\n\r\n")),
    "a chunk size beyond all bounds": Misbehaviour(sends(CHUNKED, b"f" * 30 + b"\r\n", BODY)),
    "a chunk longer than it says": Misbehaviour(sends(CHUNKED, b"5\r\n", BODY, b"\r\n0\r\n\r\n")),
    "two lengths that differ": Misbehaviour(sends(HEAD, b"Content-Length: 5\r\nContent-Length: 9\r\n\r\n", BODY)),
    "a negative length": Misbehaviour(sends(HEAD, b"Content-Length: -1\r\n\r\n", BODY)),
    # A document that is no JWK Set
    "an empty body": Misbehaviour(answers(b"")),
    "null": Misbehaviour(answers(b"null")),
    "a list of keys": Misbehaviour(answers(json.dumps([GOOD, NEW]).encode())),
    "a bare key": Misbehaviour(answers(json.dumps(NEW).encode())),
    "keys that are no list": Misbehaviour(answers(b'{"keys": {"0": {}}}')),
    "keys twice": Misbehaviour(answers(BODY[:-1] + b', "keys": []}')),
    "NaN in the document": Misbehaviour(answers(BODY[:-1] + b', "x": NaN}')),
    "10,000 levels": Misbehaviour(answers(BODY[:-1] + b', "x": ' + b"[" * 10_000 + b"]" * 10_000 + b"}")),
    # A document with odd keys in it: only they are lost
    "a broken key among good ones": Misbehaviour(publishes(GOOD, jwk(kid="broken", n="!"), NEW), FOUND, FOUND),
    "members of every wrong type": Misbehaviour(publishes(*ODD, NEW, GOOD), FOUND, FOUND),
    "a private key beside": Misbehaviour(publishes(private(private_key(2), kid="p"), NEW, GOOD), FOUND, FOUND),
    "the key itself, private": Misbehaviour(
        publishes(GOOD, private(private_key(1), kid="new")), Reason.UNUSABLE_KEY, Reason.UNUSABLE_KEY
    ),
    "two keys under its kid": Misbehaviour(
        publishes(GOOD, NEW, jwk(private_key(2), kid="new")), Reason.AMBIGUOUS_KEY, Reason.AMBIGUOUS_KEY
    ),
    "the same key twice": Misbehaviour(publishes(NEW, GOOD, NEW), FOUND, FOUND),
    "its kid on a secret, too": Misbehaviour(
        publishes({"kty": "oct", "k": "AAAA", "kid": "new"}, NEW, GOOD), FOUND, FOUND
    ),
    "members that nobody knows": Misbehaviour(publishes(GOOD, NEW, issuer=[1], x={}), FOUND, FOUND),
}


def ask(fetcher: Any, uri: str, kid: str) -> tuple[str, float]:
    """The kid of the key that was found, or why none was; and how long it took."""
    started = time.monotonic()
    try:
        got = str(fetcher.get_key(registered(uri), "RS256", kid).kid)
    except AuthenticationError as error:
        got = error.reason
    except Exception as error:  # what must never come
        got = f"foreign {error!r}"
    return got, time.monotonic() - started


def check_publisher(
    edge: Edge, publisher: Publisher, counts: Counts, name: str, expected: Misbehaviour, **http_client: Any
) -> None:
    """A first fetch from a publisher that misbehaves, and a later one by those who have a good key."""
    uri, misbehave = publisher.uri(), expected.make(publisher)
    clock = Clock(1_000)
    # Only those who keep a fetcher waiting are waited for so briefly: a busy machine may be as slow to answer.
    policy = POLICY if name in WAITS else replace(POLICY, timeout=TIMEOUT + GENEROUS)

    def fetcher() -> Any:
        return edge.fetcher(policy, clock=clock, **http_client)

    warmed = fetcher()
    assert ask(warmed, uri, "k1")[0] == "k1"
    publisher.answer = misbehave
    got = []
    for subject, wanted in ((fetcher(), expected.cold), (warmed, expected.warm)):
        before = publisher.count
        answer, seconds = ask(subject, uri, "new")
        edge.settle()
        fetches = publisher.count - before
        got.append((answer, seconds, fetches))
        counts.add(
            "misbehaving publishers",
            valid=wanted == FOUND,
            accepted=answer == FOUND != wanted,
            foreign=answer.startswith("foreign"),
            surprising=answer != wanted,
        )
        assert answer == wanted
        assert seconds < TIMEOUT + GENEROUS
        assert fetches == 1
    counts.add_publisher(name, got[0][0], got[1][0], max(got[0][1], got[1][1]), got[0][2])
    # The good key was there all the time, and costs nothing.
    before = publisher.count
    good, seconds = ask(warmed, uri, "k1")
    assert good == "k1"
    assert seconds < GENEROUS
    assert publisher.count == before
    # And when the publisher is itself again, so is everybody.
    publisher.answer, publisher.keys = None, [GOOD, NEW]
    clock.advance(300)
    assert ask(warmed, uri, "new")[0] == "new"


WAITS = list(TABLE)[: list(TABLE).index("closes at once")]


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name in WAITS)) for name in TABLE])
def test_a_publisher_that(edge: Edge, publisher: Publisher, counts: Counts, name: str) -> None:
    publisher.keys = [GOOD]
    check_publisher(edge, publisher, counts, name, TABLE[name])


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[Publisher, ssl.SSLContext]]:
    server, trusted = certificate(tmp_path, "127.0.0.1")
    publisher = Publisher([GOOD], server)
    yield publisher, ssl.create_default_context(cafile=str(trusted))
    publisher.close()


@pytest.mark.parametrize(
    ("name", "host", "lifetime"),
    [
        ("the certificate of another host", "another.example", 86_400),
        ("the certificate of another address", "127.0.0.2", 86_400),
        ("a certificate that has expired", "127.0.0.1", -60),
    ],
)
def test_a_tls_publisher_with(
    edge: Edge,
    tls: tuple[Publisher, ssl.SSLContext],
    counts: Counts,
    tmp_path: Path,
    name: str,
    host: str,
    lifetime: float,
) -> None:
    publisher, context = tls
    good = publisher.tls
    (tmp_path / "bad").mkdir()
    bad, trusted = certificate(tmp_path / "bad", host, lifetime=lifetime)
    context.load_verify_locations(trusted)  # whoever signed it is not what is wrong
    tried: list[int] = []
    bad.sni_callback = lambda *_hello: tried.append(1)

    def switch(kind: ssl.SSLContext | None) -> Any:
        publisher.tls = kind

    users = edge.http_client(verify=context)
    clock = Clock(1_000)
    warmed = edge.fetcher(POLICY, clock=clock, http_client=users)
    uri = publisher.uri()
    assert ask(warmed, uri, "k1")[0] == "k1"
    switch(bad)
    longest = 0.0
    for subject in (edge.fetcher(POLICY, clock=clock, http_client=users), warmed):
        answer, seconds = ask(subject, uri, "new")
        longest = max(longest, seconds)
        foreign = answer.startswith("foreign")
        surprising = answer != UNAVAILABLE
        counts.add("misbehaving publishers", accepted=answer == FOUND, foreign=foreign, surprising=surprising)
        assert answer == UNAVAILABLE
        assert seconds < TIMEOUT + GENEROUS
    counts.add_publisher(name, UNAVAILABLE, UNAVAILABLE, longest, len(tried) // 2)
    assert len(tried) == 2
    assert publisher.count == 1  # no request was sent to it
    assert ask(warmed, uri, "k1")[0] == "k1"
    switch(good)
    publisher.keys = [GOOD, NEW]
    clock.advance(300)
    assert ask(warmed, uri, "new")[0] == "new"
