"""Rows about the publisher of a client's keys: U, B, K, F."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import warnings
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec

from certificates import certificate
from edges import LOOPBACK
from hostile.world import ACCEPTED, CONFIGURATION, Attempt, Cases, World, each, row
from hosts import NUMBERS
from loopback import Publisher, http
from names import Names
from private_key_jwt import JWKSPolicy, MemoryReplayStore, Reason, RegisteredClient
from support import integer, jwk, private_key

OLD, NEW = jwk(), jwk(private_key(1), kid="k2")
HTML = http(b"<!doctype html><title>Log in</title>", content_type="text/html")
KEYS = json.dumps({"keys": [OLD]}).encode()
REDIRECTS = (
    "https://evil.example/jwks",
    "http://169.254.169.254/",
    "file:///etc/passwd",
    "/jwks.json",
    "//evil.example",
)


def new_token(w: World) -> str:
    """Signed by the key that is published second."""
    return w.token({"kid": "k2"}, key=private_key(1))


def registered(w: World, uri: str) -> None:
    w.clients["client-1"] = RegisteredClient("client-1", jwks_uri=uri)


def cold(w: World, answer: Any) -> Attempt:
    """A first assertion of a client whose publisher answers so."""
    w.remake()
    w.publisher.answer = answer
    return w.sent(w.token())


# Rows U, where keys are fetched


def forbidden(w: World, *hosts: str) -> Cases:
    """Each host is one that a client may register, and that nobody connects to."""
    w.remake(fetching=JWKSPolicy())
    for host in hosts:
        registered(w, f"https://{host}/jwks.json")
        yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())


@row("U05", "the metadata service of a cloud")
def _(w: World) -> Cases:
    yield from forbidden(w, "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16")
    registered(w, "https://169.254.169.254/latest/meta-data/")
    yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())
    yield CONFIGURATION, w.registered(jwks_uri="http://169.254.169.254/latest/meta-data/")


@row("U07", "an address that hides another one")
def _(w: World) -> Cases:
    yield from forbidden(w, "[64:ff9b::7f00:1]")
    for host in ("[::ffff:127.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[::ffff:0:7f00:1]", "[fe80::1%25lo]"):
        yield CONFIGURATION, w.registered(jwks_uri=f"https://{host}/")


@row("U08", "an IPv4 address in another spelling")
def _(w: World) -> Cases:
    for host in [*NUMBERS, "0177.0.0.1", "127.0.0.01", "256.0.0.1"]:
        yield CONFIGURATION, w.registered(jwks_uri=f"https://{host}/")


@row("U10", "a name that leads elsewhere when it is looked up again")
def _(w: World) -> Cases:
    names = Names(w.monkeypatch, **{"rebind.example": [["127.0.0.2"], ["127.0.0.1"]]})
    port = int(w.publisher.uri().split(":")[2].split("/")[0])
    w.publisher.keys = [OLD]
    w.remake(fetching=JWKSPolicy(allow_private_hosts=["127.0.0.2"], allow_ports=[port]))
    registered(w, f"https://rebind.example:{port}/")
    yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())  # nobody listens at the address that was checked
    assert names.asked == ["rebind.example"]
    yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())  # and the other one is not allowed
    assert w.publisher.count == 0


@row("U12", "a URL with what splits requests, or hides a host")
def _(w: World) -> Cases:
    for piece in ("#fragment", "#", "\r\nX: y", "\0", " ", "\t", "a" * 10_000, "\\@evil.example", "\u00e9"):
        yield CONFIGURATION, w.registered(jwks_uri=f"https://client.example/{piece}")
    for authority in (
        "user@client.example",
        "client.example\\@evil.example",
        "user:pw@client.example",
        "@client.example",
    ):
        yield CONFIGURATION, w.registered(jwks_uri=f"https://{authority}/")
    for port in ("0", "65536", "x", "-1"):
        yield CONFIGURATION, w.registered(jwks_uri=f"https://client.example:{port}/")


@row("U13", "a host that looks like another one, and one with a dot at its end")
def _(w: World) -> Cases:
    yield CONFIGURATION, w.registered(jwks_uri="https://cl\u0456ent.example/")
    for host in ("client.example.", "localhost.", "169.254.169.254."):
        yield CONFIGURATION, w.registered(jwks_uri=f"https://{host}/jwks.json")


def redirected(w: World, status: str, *targets: str) -> Cases:
    w.publish(OLD)
    for target in targets:
        before = w.publisher.count
        yield Reason.JWKS_UNAVAILABLE, cold(w, http(KEYS, status=status, headers=f"Location: {target}\r\n"))
        assert w.publisher.count == before + 1


@row("U15", "a redirect elsewhere (302)")
def _(w: World) -> Cases:
    yield from redirected(w, "302 Found", *REDIRECTS)


@row("U16", "a redirect elsewhere (301, 303, 307, 308, 300)")
def _(w: World) -> Cases:
    for status in ("303 See Other", "301 Moved Permanently", "307 Temporary Redirect", "308 Permanent", "300 Multiple"):
        yield from redirected(w, status, "https://evil.example/jwks")


@row("U19", "a redirect to plain http, to a metadata service, to a file")
def _(w: World) -> Cases:
    uri = w.publish(OLD)
    yield from redirected(w, "302 Found", uri.replace("jwks", "other"), "http://169.254.169.254/", "file:///etc/passwd")


@row("U20", "a redirect to itself, and fifty in a row")
def _(w: World) -> Cases:
    uri = w.publish(OLD)
    yield from redirected(w, "302 Found", uri, "", *(f"/{hop}" for hop in range(50)))


@row("U21", "a certificate that is expired, self-signed, or another host's (revocation is not looked up); TLS 1.1")
def _(w: World) -> Cases:
    for number, (host, lifetime, trusted, expected) in enumerate(
        (
            ("127.0.0.1", 86_400, True, ACCEPTED),
            ("127.0.0.1", 86_400, False, Reason.JWKS_UNAVAILABLE),
            ("127.0.0.1", -3_600, True, Reason.JWKS_UNAVAILABLE),
            ("127.0.0.2", 86_400, True, Reason.JWKS_UNAVAILABLE),
            ("client.example", 86_400, True, Reason.JWKS_UNAVAILABLE),
        )
    ):
        path = w.tmp_path / str(number)
        path.mkdir()
        server, file = certificate(path, host, lifetime=lifetime)
        publisher = Publisher([OLD], server)
        registered(w, publisher.uri())
        verify = {"verify": ssl.create_default_context(cafile=str(file))} if trusted else {}
        fetcher = w.edge.fetcher(
            JWKSPolicy(allow_http_loopback=True), clock=w.clock, http_client=w.edge.http_client(**verify)
        )
        w.remake(fetcher=fetcher)
        yield expected, w.sent(w.token())
        if expected is ACCEPTED:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                server.maximum_version = ssl.TLSVersion.TLSv1_1
            w.clock.advance(300)
            yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())
        publisher.close()


@row("U23", "a cookie is set, and never sent")
def _(w: World) -> Cases:
    w.publish(OLD)
    w.publisher.answer = http(KEYS, headers="Set-Cookie: a=b; Path=/\r\n")
    for _round in range(3):
        yield ACCEPTED, w.sent(w.token())
        w.clock.advance(300)
    assert w.publisher.count == 3
    assert not any(re.search("cookie", request, re.IGNORECASE) for request in w.publisher.requests)


@row("U25", "two clients with one jwks_uri")
def _(w: World) -> Cases:
    w.publish(OLD)
    w.publish(OLD, client_id="client-2")
    yield ACCEPTED, w.sent(w.token())
    yield ACCEPTED, w.sent(w.token(iss="client-2", sub="client-2"))
    assert w.publisher.count == 1
    # One budget, too, and one that is not another URL's.
    for client in ("client-1", "client-2") * 3:
        yield Reason.UNKNOWN_KID, w.sent(w.token({"kid": client}, iss=client, sub=client))
    assert w.publisher.count == 2
    w.publish(client_id="client-3", path="/other.json")
    yield ACCEPTED, w.sent(w.token(iss="client-3", sub="client-3"))
    assert w.publisher.count == 3


# Rows B, what a publisher answers


def bad_answers(w: World, *answers: Any) -> Cases:
    """Each is no JWK Set, to a first fetch and to a later one."""
    w.publish(OLD)
    for answer in answers:
        before = w.publisher.count
        yield Reason.JWKS_UNAVAILABLE, cold(w, answer)
        assert w.publisher.count == before + 1
        yield ACCEPTED, cold(w, None)
        w.publisher.answer = answer
        yield Reason.JWKS_UNAVAILABLE, w.sent(new_token(w))
        yield ACCEPTED, w.sent(w.token())


def bad_bodies(w: World, *bodies: bytes) -> Cases:
    yield from bad_answers(w, *map(http, bodies))


def raw_answer(data: bytes) -> Any:
    return lambda connection: connection.sendall(data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@row("B03", "headers without end")
def _(w: World) -> Cases:
    yield from bad_answers(
        w,
        raw_answer(HEAD + b"X: x\r\n" * 100_000),
        raw_answer(HEAD + b"X: " + b"x" * 10_000_000),
        raw_answer(b"HTTP/1.1 200 " + b"x" * 1_000_000),
    )


@row("B04", "a body without end")
def _(w: World) -> Cases:
    def chunks(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _chunk in range(10_000):
            connection.sendall(b"400\r\n" + b" " * 1_024 + b"\r\n")

    yield from bad_answers(
        w,
        raw_answer(HEAD + b"Content-Length: 10\r\n\r\n" + b" " * 1_000_000),
        raw_answer(HEAD + b"\r\n" + b" " * 1_000_000),
        raw_answer(HEAD + b"Content-Length: 1000000000\r\n\r\n" + b" " * 1_000_000),
        chunks,
    )


@row("B05", "a body that is cut short")
def _(w: World) -> Cases:
    yield from bad_answers(
        w,
        http(KEYS, length=len(KEYS) + 1),
        http(KEYS[:-1], length=len(KEYS)),
        raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(KEYS), KEYS)),
        http(gzip.compress(KEYS)[:-1], headers="Content-Encoding: gzip\r\n"),
    )


@row("B07", "layers of compression, and a bomb")
def _(w: World) -> Cases:
    encodings = (", ".join(["gzip"] * 1_000), "gzip, gzip", "br", "deflate", "zstd", "gzip;q=1")
    yield from bad_answers(
        w,
        *(http(gzip.compress(KEYS), headers=f"Content-Encoding: {encoding}\r\n") for encoding in encodings),
        http(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n"),
    )


@row("B10", "a page in HTML, to the first fetch")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(w, HTML)
    w.publisher.answer = None
    yield ACCEPTED, w.sent(w.token())


@row("B11", "a page in HTML, to a later fetch: good keys stay to the end of their life")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.answer = HTML
    yield Reason.JWKS_UNAVAILABLE, w.sent(new_token(w))
    yield ACCEPTED, w.sent(w.token())
    w.clock.advance(239)
    yield ACCEPTED, w.sent(w.token())
    w.clock.advance(60)
    yield ACCEPTED, w.sent(w.token())
    w.edge.settle()
    w.clock.advance(1)
    yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())


@row("B12", "a body without content")
def _(w: World) -> Cases:
    yield from bad_bodies(w, b"", b"null", b"[]", b"{}", b" ", b"0", b'""')


@row("B13", "a body that is no JWK Set")
def _(w: World) -> Cases:
    texts: tuple[Any, ...] = (
        {"keys": None},
        {"keys": {}},
        {"keys": "x"},
        {"Keys": [OLD]},
        OLD,
        [OLD],
        {"keys": {"0": OLD}},
        {"keys": 1},
    )
    yield from bad_bodies(w, *(json.dumps(text).encode() for text in texts))


@row("B14", "a JWK Set that is called something else (pinned: the bytes count), and other things that are called JSON")
def _(w: World) -> Cases:
    types = (
        *("application/json", "application/jwk-set+json", "text/html", "text/plain", "application/octet-stream", ""),
        *("application/json; charset=utf-16", "application/jose"),
    )
    for kind in types:
        yield ACCEPTED, cold(w, http(KEYS, content_type=kind))
    for kind in types:
        yield from bad_answers(
            w, http(KEYS.decode().encode("utf-16"), content_type=kind), http(b"<p>", content_type=kind)
        )


@row("B16", "JSON that is none, or that goes too deep")
def _(w: World) -> Cases:
    inner = KEYS[:-1]
    yield from bad_bodies(
        w,
        inner + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        inner + b',"x":' + b"9" * 60_000 + b"}",
        inner + b',"x":NaN}',
        inner + b',"x":1e999}',
        inner + b',"keys":[]}',
        KEYS + b"{}",
        KEYS.decode().encode("utf-16"),
        inner + b',"x":"\xff"}',
        inner + b',"x":"\\ud800"}',
    )
    yield ACCEPTED, cold(w, http(b"\xef\xbb\xbf" + KEYS))  # forgiven: RFC 8259 section 8.1


@row("B19", "more members beside the keys")
def _(w: World) -> Cases:
    w.publish(OLD)
    body = json.dumps({"issuer": "x", "keys": [OLD], "y": [{}], "": None}).encode()
    yield ACCEPTED, cold(w, http(body))


# Rows K, odd keys among good ones


def beside(w: World, *odd: Any) -> Cases:
    """Each odd member costs itself only, wherever it stands."""
    for member in odd:
        for keys in ([member, OLD], [OLD, member]):
            w.publish(*keys)
            yield ACCEPTED, cold(w, None)


BAD = {"kid": "bad", "alg": ..., "use": ...}


@row("K03", "a kty that is no string, and members that are no keys")
def _(w: World) -> Cases:
    yield from beside(w, *(jwk(**BAD, kty=kty) for kty in each(1, None, [], {}, "", "rsa", "DSA", ...)))
    yield from beside(w, None, 1, "x", [], {}, [OLD], True, 1.5)


@row("K05", "a modulus that is no base64url")
def _(w: World) -> Cases:
    yield from beside(
        w, *(jwk(**BAD, n=n) for n in each("!!!", "", "=", "\ud83d\ude00", OLD["n"] + "==", "A" * 5_000, ...))
    )


@row("K06", "a modulus that is a number")
def _(w: World) -> Cases:
    yield from beside(w, *(jwk(**BAD, n=n) for n in each(1, None, [], {}, True, 1.5)))
    yield from beside(w, *(jwk(**BAD, e=e) for e in each(65_537, None, [], {}, "!!!", "", ...)))


@row("K09", "a use, alg or key_ops of the wrong type")
def _(w: World) -> Cases:
    for name in ("use", "alg", "key_ops", "kid"):
        for value in each(1, "verify", None, {}, [1]):
            yield from beside(w, {**jwk(kid="bad"), name: value} if name != "kid" or value != "verify" else None)


@row("K10", "a secret key")
def _(w: World) -> Cases:
    yield from beside(w, *({"kty": "oct", "kid": kid, "k": k} for kid in ("bad", "k1") for k in ("AAAA", "", 1, None)))


@row("K11", "a point that is not on its curve")
def _(w: World) -> Cases:
    yield from beside(w, {"kty": "EC", "kid": "bad", "crv": "P-256", "x": integer(5), "y": integer(7)})


@row("K12", "a curve that nobody knows")
def _(w: World) -> Cases:
    for kty, crv in (("EC", "brainpoolP256r1"), ("EC", ""), ("EC", None), ("OKP", "Ed9999"), ("OKP", 1)):
        yield from beside(w, {"kty": kty, "kid": "bad", "crv": crv, "x": "AAAA", "y": "AAAA"})


@row("K14", "an exponent of 2,048 bits")
def _(w: World) -> Cases:
    yield from beside(w, jwk(**BAD, e=integer(2**2_047 + 1)))


@row("K17", "a member nested 1,000 deep: the document is refused (pinned: 32 levels), and 20 deep costs nothing")
def _(w: World) -> Cases:
    deep: Any = 1
    for _level in range(20):
        deep = {"x": deep}
    yield from beside(w, {**jwk(kid="bad"), "odd": deep}, {"odd": deep})
    nested = json.dumps({"keys": [{"odd": "DEEP"}, OLD]}).encode().replace(b'"DEEP"', b"[" * 1_000 + b"]" * 1_000)
    yield Reason.JWKS_UNAVAILABLE, cold(w, http(nested))


@row("K18", "two keys of one kid: neither, whatever their order (pinned: no key is tried out)")
def _(w: World) -> Cases:
    other = jwk(private_key(1))
    for keys in ([OLD, other], [other, OLD], [OLD, other, OLD]):
        w.publish(*keys)
        yield Reason.AMBIGUOUS_KEY, cold(w, None)
        yield Reason.AMBIGUOUS_KEY, w.sent(w.token(key=private_key(1)))
    assert w.publisher.count == 3


@row("K19", "a key for encryption under the same kid")
def _(w: World) -> Cases:
    yield from beside(w, jwk(private_key(1), use="enc", alg="RSA-OAEP"), jwk(private_key(1), alg="PS256"))


@row("K20", "an EC key under the same kid")
def _(w: World) -> Cases:
    numbers = generate_ec(SECP256R1()).public_key().public_numbers()
    yield from beside(w, {"kty": "EC", "kid": "k1", "crv": "P-256", "x": integer(numbers.x), "y": integer(numbers.y)})


@row("K21", "the same key twice")
def _(w: World) -> Cases:
    yield from beside(w, OLD, jwk(alg=..., use=...), jwk(x5t="x"))


@row("K23", "a key that says neither alg nor use")
def _(w: World) -> Cases:
    w.publish(jwk(alg=..., use=...))
    yield ACCEPTED, cold(w, None)


@row("K25", "a key that says when it ends (pinned: unknown members; leaving the set is what revokes)")
def _(w: World) -> Cases:
    for members in ({"exp": 1}, {"nbf": 9_999_999_999}, {"iat": 1}, {"revoked": {"revoked_at": 1}}):
        w.publish({**OLD, **members})
        yield ACCEPTED, cold(w, None)


@row("K26", "a signed JWK Set")
def _(w: World) -> Cases:
    signed = w.raw('{"alg":"RS256","typ":"jwk-set+jwt"}', KEYS).encode()
    yield from bad_answers(w, http(signed, content_type="application/jwk-set+jwt"), http(signed))


@row("K27", "a URL of a certificate in a key: nobody follows it")
def _(w: World) -> Cases:
    w.publish(jwk(x5u=w.publisher.uri("/evil.pem")))
    yield ACCEPTED, cold(w, None)
    assert w.publisher.count == 1


# Rows F, cache and rotation


def unknown(w: World, number: object = 0) -> Attempt:
    return w.sent(w.token({"kid": f"unknown-{number}"}))


@row("F01", "100 first assertions at once")
def _(w: World) -> Cases:
    w.publish(OLD)
    w.publisher.hold()
    end = w.edge.begin([w.sent(w.token()) for _ in range(100)])
    w.publisher.await_requests(1)
    w.publisher.release()
    for result in end():

        def told(result: Any = result) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        yield ACCEPTED, told
    assert w.publisher.count == 1


@row("F03", "a failure is not remembered for ever")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(w, raw_answer(b""))
    w.clock.advance(1)
    w.publisher.answer = None
    yield ACCEPTED, w.sent(w.token())


@row("F05", "a new key works at once, budget allowing")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.keys = [OLD, NEW]
    yield ACCEPTED, w.sent(new_token(w))
    assert w.publisher.count == 2


@row("F06", "1,000 made-up kids in a second")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    for number in range(1_000):
        yield Reason.UNKNOWN_KID, unknown(w, number)
        w.clock.advance(0.001)
        if number % 100 == 0:
            yield ACCEPTED, w.sent(w.token())
    assert w.publisher.count == 2


@row("F10", "one made-up kid for hours")
def _(w: World) -> Cases:
    w.publish(OLD)
    for _minute in range(120):
        yield Reason.UNKNOWN_KID, unknown(w)
        w.clock.advance(60)
    assert w.publisher.count <= 2 * 120 * 2
    w.publisher.keys = [jwk(kid="unknown-0")]
    yield ACCEPTED, unknown(w)


@row("F11", "a removed key after 300 s")
def _(w: World) -> Cases:
    w.publish(OLD, NEW)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.keys = [NEW]
    for _step in range(10):
        w.clock.advance(30)
        w.verifier.verify(new_token(w))
        w.edge.settle()
    yield Reason.UNKNOWN_KID, w.sent(w.token())


@row("F12", "a removed key, and a publisher that is down: 300 s are the end (pinned: stale_if_error is off)")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.keys = []
    w.publisher.answer = http(status="500 Internal Server Error")
    w.clock.advance(299)
    yield ACCEPTED, w.sent(w.token())
    w.edge.settle()
    w.clock.advance(1)
    yield Reason.JWKS_UNAVAILABLE, w.sent(w.token())


@row("F13", "another key under the same kid (pinned: known when the set is next fetched)")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.keys = [jwk(private_key(1))]
    yield Reason.BAD_SIGNATURE, w.sent(w.token(key=private_key(1)))
    w.clock.advance(300)
    yield ACCEPTED, w.sent(w.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, w.sent(w.token())


@row("F14", "1,000 bad signatures under a known kid")
def _(w: World) -> Cases:
    w.publish(OLD)
    forged = w.token(key=private_key(1))
    for _time in range(1_000):
        yield Reason.BAD_SIGNATURE, w.sent(forged)
    assert w.publisher.count == 1


@row("F15", "a publisher that is down while keys are fresh: nobody asks it")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.answer = http(status="503 Service Unavailable")
    for _step in range(3):
        w.clock.advance(79)
        yield ACCEPTED, w.sent(w.token())
    assert w.publisher.count == 1


@row("F16", "a publisher that is down when an unknown kid comes")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.answer = http(status="503 Service Unavailable")
    yield Reason.JWKS_UNAVAILABLE, unknown(w)
    yield ACCEPTED, w.sent(w.token())
    yield Reason.UNKNOWN_KID, unknown(w)  # the budget is spent
    yield ACCEPTED, w.sent(w.token())


@row("F17", "an empty set is an answer: every key is revoked (pinned)")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.answer = http(b'{"keys": []}')
    yield Reason.NO_KEYS, unknown(w)
    yield Reason.NO_KEYS, w.sent(w.token())


@row("F18", "what is no JWK Set is no answer")
def _(w: World) -> Cases:
    yield from bad_answers(w, HTML, http(b"{"), http(b"\xff"), http(KEYS, status="206 Partial Content"))


@row("F19", "somebody else's set at the same URL: TLS is the only proof (documented)")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.publisher.keys = [NEW]
    yield ACCEPTED, w.sent(new_token(w))
    yield Reason.UNKNOWN_KID, w.sent(w.token())


@row("F20", "no keys were ever fetched: none are made up")
def _(w: World) -> Cases:
    w.publish(OLD)
    w.publisher.answer = http(status="500 Internal Server Error")
    for key in (private_key(), private_key(1)):
        yield Reason.JWKS_UNAVAILABLE, w.sent(w.token(key=key))
        yield Reason.JWKS_UNAVAILABLE, w.sent(w.token({"kid": ...}, key=key))


@row("F21", "a publisher that wants to be kept for a year")
def _(w: World) -> Cases:
    w.publish(OLD)
    body = json.dumps({"keys": [OLD]}).encode()
    headers = "Cache-Control: max-age=31536000, immutable\r\nExpires: Fri, 01 Jan 2099 00:00:00 GMT\r\n"
    yield ACCEPTED, cold(w, http(body, headers=headers))
    w.publisher.answer = None
    w.publisher.keys = [NEW]
    w.clock.advance(300)
    yield Reason.UNKNOWN_KID, w.sent(w.token())


@row("F22", "a publisher that wants to be asked each time")
def _(w: World) -> Cases:
    w.publish(OLD)
    for headers in (
        "Cache-Control: no-store\r\n",
        "Cache-Control: max-age=0\r\nExpires: 0\r\n",
        "Pragma: no-cache\r\n",
    ):
        before = w.publisher.count
        yield ACCEPTED, cold(w, http(KEYS, headers=headers))
        for _step in range(10):
            w.clock.advance(20)
            yield ACCEPTED, w.sent(w.token())
        assert w.publisher.count == before + 1


@row("F24", "304 to a request that asked for no such thing (pinned: no conditional requests)")
def _(w: World) -> Cases:
    w.publish(OLD)
    w.publisher.answer = http(KEYS, headers='ETag: "a"\r\n')
    yield ACCEPTED, w.sent(w.token())
    w.publisher.answer = raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
    yield Reason.JWKS_UNAVAILABLE, unknown(w)
    yield ACCEPTED, w.sent(w.token())
    assert not any("if-none-match" in request.lower() for request in w.publisher.requests)


@row("F25", "304 of something else, with a body, and to a first request")
def _(w: World) -> Cases:
    yield from bad_answers(
        w,
        raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "b"\r\n\r\n'),
        raw_answer(b"HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\n\r\n" + KEYS),
    )


@row("F27", "a wall clock that jumps by a day")
def _(w: World) -> Cases:
    wall = [w.clock()]
    w.publish(OLD)
    fetcher = w.edge.fetcher(LOOPBACK, clock=w.clock)

    def at(jump: float) -> Attempt:
        # A store of its own: one that has seen the future cannot tell what it has forgotten, and says so.
        wall[0] += jump
        w.remake(fetcher=fetcher, replay_store=MemoryReplayStore(), clock=lambda: wall[0])
        return w.sent(w.token(iat=int(wall[0]), exp=int(wall[0]) + 60))

    for jump in (0, 86_400, -2 * 86_400, 86_400):
        yield ACCEPTED, at(jump)
    assert w.publisher.count == 1
    w.clock.advance(300)
    yield ACCEPTED, at(0)
    assert w.publisher.count == 2


@row("F30", "a client that moves to keys by value")
def _(w: World) -> Cases:
    w.publish(OLD)
    yield ACCEPTED, w.sent(w.token())
    w.register(NEW)
    yield Reason.UNKNOWN_KID, w.sent(w.token())
    yield ACCEPTED, w.sent(new_token(w))
    del w.clients["client-1"]
    yield Reason.UNKNOWN_CLIENT, w.sent(new_token(w))
