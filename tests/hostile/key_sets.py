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
from hostile.provider import ACCEPTED, CONFIGURATION, Attempt, Cases, Provider, each, row
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


def new_token(op: Provider) -> str:
    """Signed by the key that is published second."""
    return op.token({"kid": "k2"}, key=private_key(1))


def registered(op: Provider, uri: str) -> None:
    op.clients["client-1"] = RegisteredClient("client-1", jwks_uri=uri)


def cold(op: Provider, answer: Any) -> Attempt:
    """A first assertion of a client whose publisher answers so."""
    op.remake()
    op.publisher.answer = answer
    return op.sent(op.token())


# Rows U, where keys are fetched


def forbidden(op: Provider, *hosts: str) -> Cases:
    """Each host is one that a client may register, and that nobody connects to."""
    op.remake(fetching=JWKSPolicy())
    for host in hosts:
        registered(op, f"https://{host}/jwks.json")
        yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())


@row("U05", "the metadata service of a cloud")
def row_u05(op: Provider) -> Cases:
    yield from forbidden(op, "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16")
    registered(op, "https://169.254.169.254/latest/meta-data/")
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())
    yield CONFIGURATION, op.registered(jwks_uri="http://169.254.169.254/latest/meta-data/")


@row("U07", "an address that hides another one")
def row_u07(op: Provider) -> Cases:
    yield from forbidden(op, "[64:ff9b::7f00:1]")
    for host in ("[::ffff:127.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[::ffff:0:7f00:1]", "[fe80::1%25lo]"):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/")


@row("U08", "an IPv4 address in another spelling")
def row_u08(op: Provider) -> Cases:
    for host in [*NUMBERS, "0177.0.0.1", "127.0.0.01", "256.0.0.1"]:
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/")


@row("U10", "a name that leads elsewhere when it is looked up again")
def row_u10(op: Provider) -> Cases:
    names = Names(op.monkeypatch, **{"rebind.example": [["127.0.0.2"], ["127.0.0.1"]]})
    port = int(op.publisher.uri().split(":")[2].split("/")[0])
    op.publisher.keys = [OLD]
    op.remake(fetching=JWKSPolicy(allow_private_hosts=["127.0.0.2"], allow_ports=[port]))
    registered(op, f"https://rebind.example:{port}/")
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())  # nobody listens at the address that was checked
    assert names.asked == ["rebind.example"]
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())  # and the other one is not allowed
    assert op.publisher.count == 0


@row("U12", "a URL with what splits requests, or hides a host")
def row_u12(op: Provider) -> Cases:
    for piece in ("#fragment", "#", "\r\nX: y", "\0", " ", "\t", "a" * 10_000, "\\@evil.example", "\u00e9"):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://client.example/{piece}")
    for authority in (
        "user@client.example",
        "client.example\\@evil.example",
        "user:pw@client.example",
        "@client.example",
    ):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{authority}/")
    for port in ("0", "65536", "x", "-1"):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://client.example:{port}/")


@row("U13", "a host that looks like another one, and one with a dot at its end")
def row_u13(op: Provider) -> Cases:
    yield CONFIGURATION, op.registered(jwks_uri="https://cl\u0456ent.example/")
    for host in ("client.example.", "localhost.", "169.254.169.254."):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/jwks.json")


def redirected(op: Provider, status: str, *targets: str) -> Cases:
    op.publish(OLD)
    for target in targets:
        before = op.publisher.count
        yield Reason.JWKS_UNAVAILABLE, cold(op, http(KEYS, status=status, headers=f"Location: {target}\r\n"))
        assert op.publisher.count == before + 1


@row("U15", "a redirect elsewhere (302)")
def row_u15(op: Provider) -> Cases:
    yield from redirected(op, "302 Found", *REDIRECTS)


@row("U16", "a redirect elsewhere (301, 303, 307, 308, 300)")
def row_u16(op: Provider) -> Cases:
    for status in ("303 See Other", "301 Moved Permanently", "307 Temporary Redirect", "308 Permanent", "300 Multiple"):
        yield from redirected(op, status, "https://evil.example/jwks")


@row("U19", "a redirect to plain http, to a metadata service, to a file")
def row_u19(op: Provider) -> Cases:
    uri = op.publish(OLD)
    yield from redirected(
        op, "302 Found", uri.replace("jwks", "other"), "http://169.254.169.254/", "file:///etc/passwd"
    )


@row("U20", "a redirect to itself, and fifty in a row")
def row_u20(op: Provider) -> Cases:
    uri = op.publish(OLD)
    yield from redirected(op, "302 Found", uri, "", *(f"/{hop}" for hop in range(50)))


@row("U21", "a certificate that is expired, self-signed, or another host's (revocation is not looked up); TLS 1.1")
def row_u21(op: Provider) -> Cases:
    for number, (host, lifetime, trusted, expected) in enumerate(
        (
            ("127.0.0.1", 86_400, True, ACCEPTED),
            ("127.0.0.1", 86_400, False, Reason.JWKS_UNAVAILABLE),
            ("127.0.0.1", -3_600, True, Reason.JWKS_UNAVAILABLE),
            ("127.0.0.2", 86_400, True, Reason.JWKS_UNAVAILABLE),
            ("client.example", 86_400, True, Reason.JWKS_UNAVAILABLE),
        )
    ):
        path = op.tmp_path / str(number)
        path.mkdir()
        server, file = certificate(path, host, lifetime=lifetime)
        publisher = Publisher([OLD], server)
        registered(op, publisher.uri())
        verify = {"verify": ssl.create_default_context(cafile=str(file))} if trusted else {}
        fetcher = op.edge.fetcher(
            JWKSPolicy(allow_http_loopback=True), clock=op.clock, http_client=op.edge.http_client(**verify)
        )
        op.remake(fetcher=fetcher)
        yield expected, op.sent(op.token())
        if expected is ACCEPTED:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                server.maximum_version = ssl.TLSVersion.TLSv1_1
            op.clock.advance(300)
            yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())
        publisher.close()


@row("U23", "a cookie is set, and never sent")
def row_u23(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.answer = http(KEYS, headers="Set-Cookie: a=b; Path=/\r\n")
    for _round in range(3):
        yield ACCEPTED, op.sent(op.token())
        op.clock.advance(300)
    assert op.publisher.count == 3
    assert not any(re.search("cookie", request, re.IGNORECASE) for request in op.publisher.requests)


@row("U25", "two clients with one jwks_uri")
def row_u25(op: Provider) -> Cases:
    op.publish(OLD)
    op.publish(OLD, client_id="client-2")
    yield ACCEPTED, op.sent(op.token())
    yield ACCEPTED, op.sent(op.token(iss="client-2", sub="client-2"))
    assert op.publisher.count == 1
    # One budget, too, and one that is not another URL's.
    for client in ("client-1", "client-2") * 3:
        yield Reason.UNKNOWN_KID, op.sent(op.token({"kid": client}, iss=client, sub=client))
    assert op.publisher.count == 2
    op.publish(client_id="client-3", path="/other.json")
    yield ACCEPTED, op.sent(op.token(iss="client-3", sub="client-3"))
    assert op.publisher.count == 3


# Rows B, what a publisher answers


def bad_answers(op: Provider, *answers: Any) -> Cases:
    """Each is no JWK Set, to a first fetch and to a later one."""
    op.publish(OLD)
    for answer in answers:
        before = op.publisher.count
        yield Reason.JWKS_UNAVAILABLE, cold(op, answer)
        assert op.publisher.count == before + 1
        yield ACCEPTED, cold(op, None)
        op.publisher.answer = answer
        yield Reason.JWKS_UNAVAILABLE, op.sent(new_token(op))
        yield ACCEPTED, op.sent(op.token())


def bad_bodies(op: Provider, *bodies: bytes) -> Cases:
    yield from bad_answers(op, *map(http, bodies))


def raw_answer(data: bytes) -> Any:
    return lambda connection: connection.sendall(data)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@row("B03", "headers without end")
def row_b03(op: Provider) -> Cases:
    yield from bad_answers(
        op,
        raw_answer(HEAD + b"X: x\r\n" * 100_000),
        raw_answer(HEAD + b"X: " + b"x" * 10_000_000),
        raw_answer(b"HTTP/1.1 200 " + b"x" * 1_000_000),
    )


@row("B04", "a body without end")
def row_b04(op: Provider) -> Cases:
    def chunks(connection: socket.socket) -> None:
        connection.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _chunk in range(10_000):
            connection.sendall(b"400\r\n" + b" " * 1_024 + b"\r\n")

    yield from bad_answers(
        op,
        raw_answer(HEAD + b"Content-Length: 10\r\n\r\n" + b" " * 1_000_000),
        raw_answer(HEAD + b"\r\n" + b" " * 1_000_000),
        raw_answer(HEAD + b"Content-Length: 1000000000\r\n\r\n" + b" " * 1_000_000),
        chunks,
    )


@row("B05", "a body that is cut short")
def row_b05(op: Provider) -> Cases:
    yield from bad_answers(
        op,
        http(KEYS, length=len(KEYS) + 1),
        http(KEYS[:-1], length=len(KEYS)),
        raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(KEYS), KEYS)),
        http(gzip.compress(KEYS)[:-1], headers="Content-Encoding: gzip\r\n"),
    )


@row("B07", "layers of compression, and a bomb")
def row_b07(op: Provider) -> Cases:
    encodings = (", ".join(["gzip"] * 1_000), "gzip, gzip", "br", "deflate", "zstd", "gzip;q=1")
    yield from bad_answers(
        op,
        *(http(gzip.compress(KEYS), headers=f"Content-Encoding: {encoding}\r\n") for encoding in encodings),
        http(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n"),
    )


@row("B10", "a page in HTML, to the first fetch")
def row_b10(op: Provider) -> Cases:
    op.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(op, HTML)
    op.publisher.answer = None
    yield ACCEPTED, op.sent(op.token())


@row("B11", "a page in HTML, to a later fetch: good keys stay to the end of their life")
def row_b11(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = HTML
    yield Reason.JWKS_UNAVAILABLE, op.sent(new_token(op))
    yield ACCEPTED, op.sent(op.token())
    op.clock.advance(239)
    yield ACCEPTED, op.sent(op.token())
    op.clock.advance(60)
    yield ACCEPTED, op.sent(op.token())
    op.edge.settle()
    op.clock.advance(1)
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())


@row("B12", "a body without content")
def row_b12(op: Provider) -> Cases:
    yield from bad_bodies(op, b"", b"null", b"[]", b"{}", b" ", b"0", b'""')


@row("B13", "a body that is no JWK Set")
def row_b13(op: Provider) -> Cases:
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
    yield from bad_bodies(op, *(json.dumps(text).encode() for text in texts))


@row("B14", "a JWK Set that is called something else (pinned: the bytes count), and other things that are called JSON")
def row_b14(op: Provider) -> Cases:
    types = (
        *("application/json", "application/jwk-set+json", "text/html", "text/plain", "application/octet-stream", ""),
        *("application/json; charset=utf-16", "application/jose"),
    )
    for kind in types:
        yield ACCEPTED, cold(op, http(KEYS, content_type=kind))
    for kind in types:
        yield from bad_answers(
            op, http(KEYS.decode().encode("utf-16"), content_type=kind), http(b"<p>", content_type=kind)
        )


@row("B16", "JSON that is none, or that goes too deep")
def row_b16(op: Provider) -> Cases:
    inner = KEYS[:-1]
    yield from bad_bodies(
        op,
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
    yield ACCEPTED, cold(op, http(b"\xef\xbb\xbf" + KEYS))  # forgiven: RFC 8259 section 8.1


@row("B19", "more members beside the keys")
def row_b19(op: Provider) -> Cases:
    op.publish(OLD)
    body = json.dumps({"issuer": "x", "keys": [OLD], "y": [{}], "": None}).encode()
    yield ACCEPTED, cold(op, http(body))


# Rows K, odd keys among good ones


def beside(op: Provider, *odd: Any) -> Cases:
    """Each odd member costs itself only, wherever it stands."""
    for member in odd:
        for keys in ([member, OLD], [OLD, member]):
            op.publish(*keys)
            yield ACCEPTED, cold(op, None)


BAD = {"kid": "bad", "alg": ..., "use": ...}


@row("K03", "a kty that is no string, and members that are no keys")
def row_k03(op: Provider) -> Cases:
    yield from beside(op, *(jwk(**BAD, kty=kty) for kty in each(1, None, [], {}, "", "rsa", "DSA", ...)))
    yield from beside(op, None, 1, "x", [], {}, [OLD], True, 1.5)


@row("K05", "a modulus that is no base64url")
def row_k05(op: Provider) -> Cases:
    yield from beside(
        op, *(jwk(**BAD, n=n) for n in each("!!!", "", "=", "\ud83d\ude00", OLD["n"] + "==", "A" * 5_000, ...))
    )


@row("K06", "a modulus that is a number")
def row_k06(op: Provider) -> Cases:
    yield from beside(op, *(jwk(**BAD, n=n) for n in each(1, None, [], {}, True, 1.5)))
    yield from beside(op, *(jwk(**BAD, e=e) for e in each(65_537, None, [], {}, "!!!", "", ...)))


@row("K09", "a use, alg or key_ops of the wrong type")
def row_k09(op: Provider) -> Cases:
    for name in ("use", "alg", "key_ops", "kid"):
        for value in each(1, "verify", None, {}, [1]):
            yield from beside(op, {**jwk(kid="bad"), name: value} if name != "kid" or value != "verify" else None)


@row("K10", "a secret key")
def row_k10(op: Provider) -> Cases:
    yield from beside(op, *({"kty": "oct", "kid": kid, "k": k} for kid in ("bad", "k1") for k in ("AAAA", "", 1, None)))


@row("K11", "a point that is not on its curve")
def row_k11(op: Provider) -> Cases:
    yield from beside(op, {"kty": "EC", "kid": "bad", "crv": "P-256", "x": integer(5), "y": integer(7)})


@row("K12", "a curve that nobody knows")
def row_k12(op: Provider) -> Cases:
    for kty, crv in (("EC", "brainpoolP256r1"), ("EC", ""), ("EC", None), ("OKP", "Ed9999"), ("OKP", 1)):
        yield from beside(op, {"kty": kty, "kid": "bad", "crv": crv, "x": "AAAA", "y": "AAAA"})


@row("K14", "an exponent of 2,048 bits")
def row_k14(op: Provider) -> Cases:
    yield from beside(op, jwk(**BAD, e=integer(2**2_047 + 1)))


@row("K17", "a member nested 1,000 deep: the document is refused (pinned: 32 levels), and 20 deep costs nothing")
def row_k17(op: Provider) -> Cases:
    deep: Any = 1
    for _level in range(20):
        deep = {"x": deep}
    yield from beside(op, {**jwk(kid="bad"), "odd": deep}, {"odd": deep})
    nested = json.dumps({"keys": [{"odd": "DEEP"}, OLD]}).encode().replace(b'"DEEP"', b"[" * 1_000 + b"]" * 1_000)
    yield Reason.JWKS_UNAVAILABLE, cold(op, http(nested))


@row("K18", "two keys of one kid: neither, whatever their order (pinned: no key is tried out)")
def row_k18(op: Provider) -> Cases:
    other = jwk(private_key(1))
    for keys in ([OLD, other], [other, OLD], [OLD, other, OLD]):
        op.publish(*keys)
        yield Reason.AMBIGUOUS_KEY, cold(op, None)
        yield Reason.AMBIGUOUS_KEY, op.sent(op.token(key=private_key(1)))
    assert op.publisher.count == 3


@row("K19", "a key for encryption under the same kid")
def row_k19(op: Provider) -> Cases:
    yield from beside(op, jwk(private_key(1), use="enc", alg="RSA-OAEP"), jwk(private_key(1), alg="PS256"))


@row("K20", "an EC key under the same kid")
def row_k20(op: Provider) -> Cases:
    numbers = generate_ec(SECP256R1()).public_key().public_numbers()
    yield from beside(op, {"kty": "EC", "kid": "k1", "crv": "P-256", "x": integer(numbers.x), "y": integer(numbers.y)})


@row("K21", "the same key twice")
def row_k21(op: Provider) -> Cases:
    yield from beside(op, OLD, jwk(alg=..., use=...), jwk(x5t="x"))


@row("K23", "a key that says neither alg nor use")
def row_k23(op: Provider) -> Cases:
    op.publish(jwk(alg=..., use=...))
    yield ACCEPTED, cold(op, None)


@row("K25", "a key that says when it ends (pinned: unknown members; leaving the set is what revokes)")
def row_k25(op: Provider) -> Cases:
    for members in ({"exp": 1}, {"nbf": 9_999_999_999}, {"iat": 1}, {"revoked": {"revoked_at": 1}}):
        op.publish({**OLD, **members})
        yield ACCEPTED, cold(op, None)


@row("K26", "a signed JWK Set")
def row_k26(op: Provider) -> Cases:
    signed = op.raw('{"alg":"RS256","typ":"jwk-set+jwt"}', KEYS).encode()
    yield from bad_answers(op, http(signed, content_type="application/jwk-set+jwt"), http(signed))


@row("K27", "a URL of a certificate in a key: nobody follows it")
def row_k27(op: Provider) -> Cases:
    op.publish(jwk(x5u=op.publisher.uri("/evil.pem")))
    yield ACCEPTED, cold(op, None)
    assert op.publisher.count == 1


# Rows F, cache and rotation


def unknown(op: Provider, number: object = 0) -> Attempt:
    return op.sent(op.token({"kid": f"unknown-{number}"}))


@row("F01", "100 first assertions at once")
def row_f01(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.hold()
    end = op.edge.begin([op.sent(op.token()) for _ in range(100)])
    op.publisher.await_requests(1)
    op.publisher.release()
    for result in end():

        def got(result: Any = result) -> Any:
            if isinstance(result, Exception):
                raise result
            return result

        yield ACCEPTED, got
    assert op.publisher.count == 1


@row("F03", "a failure is not remembered for ever")
def row_f03(op: Provider) -> Cases:
    op.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(op, raw_answer(b""))
    op.clock.advance(1)
    op.publisher.answer = None
    yield ACCEPTED, op.sent(op.token())


@row("F05", "a new key works at once, budget allowing")
def row_f05(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [OLD, NEW]
    yield ACCEPTED, op.sent(new_token(op))
    assert op.publisher.count == 2


@row("F06", "1,000 made-up kids in a second")
def row_f06(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    for number in range(1_000):
        yield Reason.UNKNOWN_KID, unknown(op, number)
        op.clock.advance(0.001)
        if number % 100 == 0:
            yield ACCEPTED, op.sent(op.token())
    assert op.publisher.count == 2


@row("F10", "one made-up kid for hours")
def row_f10(op: Provider) -> Cases:
    op.publish(OLD)
    for _minute in range(120):
        yield Reason.UNKNOWN_KID, unknown(op)
        op.clock.advance(60)
    assert op.publisher.count <= 2 * 120 * 2
    op.publisher.keys = [jwk(kid="unknown-0")]
    yield ACCEPTED, unknown(op)


@row("F11", "a removed key after 300 s")
def row_f11(op: Provider) -> Cases:
    op.publish(OLD, NEW)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [NEW]
    for _step in range(10):
        op.clock.advance(30)
        op.verifier.verify(new_token(op))
        op.edge.settle()
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F12", "a removed key, and a publisher that is down: 300 s are the end (pinned: stale_if_error is off)")
def row_f12(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = []
    op.publisher.answer = http(status="500 Internal Server Error")
    op.clock.advance(299)
    yield ACCEPTED, op.sent(op.token())
    op.edge.settle()
    op.clock.advance(1)
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())


@row("F13", "another key under the same kid (pinned: known when the set is next fetched)")
def row_f13(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [jwk(private_key(1))]
    yield Reason.BAD_SIGNATURE, op.sent(op.token(key=private_key(1)))
    op.clock.advance(300)
    yield ACCEPTED, op.sent(op.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, op.sent(op.token())


@row("F14", "1,000 bad signatures under a known kid")
def row_f14(op: Provider) -> Cases:
    op.publish(OLD)
    forged = op.token(key=private_key(1))
    for _time in range(1_000):
        yield Reason.BAD_SIGNATURE, op.sent(forged)
    assert op.publisher.count == 1


@row("F15", "a publisher that is down while keys are fresh: nobody asks it")
def row_f15(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(status="503 Service Unavailable")
    for _step in range(3):
        op.clock.advance(79)
        yield ACCEPTED, op.sent(op.token())
    assert op.publisher.count == 1


@row("F16", "a publisher that is down when an unknown kid comes")
def row_f16(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(status="503 Service Unavailable")
    yield Reason.JWKS_UNAVAILABLE, unknown(op)
    yield ACCEPTED, op.sent(op.token())
    yield Reason.UNKNOWN_KID, unknown(op)  # the budget is spent
    yield ACCEPTED, op.sent(op.token())


@row("F17", "an empty set is an answer: every key is revoked (pinned)")
def row_f17(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(b'{"keys": []}')
    yield Reason.NO_KEYS, unknown(op)
    yield Reason.NO_KEYS, op.sent(op.token())


@row("F18", "what is no JWK Set is no answer")
def row_f18(op: Provider) -> Cases:
    yield from bad_answers(op, HTML, http(b"{"), http(b"\xff"), http(KEYS, status="206 Partial Content"))


@row("F19", "somebody else's set at the same URL: TLS is the only proof (documented)")
def row_f19(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [NEW]
    yield ACCEPTED, op.sent(new_token(op))
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F20", "no keys were ever fetched: none are made up")
def row_f20(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.answer = http(status="500 Internal Server Error")
    for key in (private_key(), private_key(1)):
        yield Reason.JWKS_UNAVAILABLE, op.sent(op.token(key=key))
        yield Reason.JWKS_UNAVAILABLE, op.sent(op.token({"kid": ...}, key=key))


@row("F21", "a publisher that wants to be kept for a year")
def row_f21(op: Provider) -> Cases:
    op.publish(OLD)
    body = json.dumps({"keys": [OLD]}).encode()
    headers = "Cache-Control: max-age=31536000, immutable\r\nExpires: Fri, 01 Jan 2099 00:00:00 GMT\r\n"
    yield ACCEPTED, cold(op, http(body, headers=headers))
    op.publisher.answer = None
    op.publisher.keys = [NEW]
    op.clock.advance(300)
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F22", "a publisher that wants to be asked each time")
def row_f22(op: Provider) -> Cases:
    op.publish(OLD)
    for headers in (
        "Cache-Control: no-store\r\n",
        "Cache-Control: max-age=0\r\nExpires: 0\r\n",
        "Pragma: no-cache\r\n",
    ):
        before = op.publisher.count
        yield ACCEPTED, cold(op, http(KEYS, headers=headers))
        for _step in range(10):
            op.clock.advance(20)
            yield ACCEPTED, op.sent(op.token())
        assert op.publisher.count == before + 1


@row("F24", "304 to a request that asked for no such thing (pinned: no conditional requests)")
def row_f24(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.answer = http(KEYS, headers='ETag: "a"\r\n')
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
    yield Reason.JWKS_UNAVAILABLE, unknown(op)
    yield ACCEPTED, op.sent(op.token())
    assert not any("if-none-match" in request.lower() for request in op.publisher.requests)


@row("F25", "304 of something else, with a body, and to a first request")
def row_f25(op: Provider) -> Cases:
    yield from bad_answers(
        op,
        raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "b"\r\n\r\n'),
        raw_answer(b"HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\n\r\n" + KEYS),
    )


@row("F27", "a wall clock that jumps by a day")
def row_f27(op: Provider) -> Cases:
    wall = [op.clock()]
    op.publish(OLD)
    fetcher = op.edge.fetcher(LOOPBACK, clock=op.clock)

    def at(jump: float) -> Attempt:
        # A store of its own: one that has seen the future cannot tell what it has forgotten, and says so.
        wall[0] += jump
        op.remake(fetcher=fetcher, replay_store=MemoryReplayStore(), clock=lambda: wall[0])
        return op.sent(op.token(iat=int(wall[0]), exp=int(wall[0]) + 60))

    for jump in (0, 86_400, -2 * 86_400, 86_400):
        yield ACCEPTED, at(jump)
    assert op.publisher.count == 1
    op.clock.advance(300)
    yield ACCEPTED, at(0)
    assert op.publisher.count == 2


@row("F30", "a client that moves to keys by value")
def row_f30(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.register(NEW)
    yield Reason.UNKNOWN_KID, op.sent(op.token())
    yield ACCEPTED, op.sent(new_token(op))
    del op.clients["client-1"]
    yield Reason.UNKNOWN_CLIENT, op.sent(new_token(op))
