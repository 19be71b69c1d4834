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


@row("U05")
def the_metadata_service_of_a_cloud(op: Provider) -> Cases:
    yield from forbidden(op, "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16")
    registered(op, "https://169.254.169.254/latest/meta-data/")
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())
    yield CONFIGURATION, op.registered(jwks_uri="http://169.254.169.254/latest/meta-data/")


@row("U07")
def an_address_that_hides_another_one(op: Provider) -> Cases:
    yield from forbidden(op, "[64:ff9b::7f00:1]")
    for host in ("[::ffff:127.0.0.1]", "[2002:7f00:1::]", "[::127.0.0.1]", "[::ffff:0:7f00:1]", "[fe80::1%25lo]"):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/")


@row("U08")
def an_ipv4_address_in_another_spelling(op: Provider) -> Cases:
    for host in [*NUMBERS, "0177.0.0.1", "127.0.0.01", "256.0.0.1"]:
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/")


@row("U10")
def a_name_that_leads_elsewhere_when_it_is_resolved_again(op: Provider) -> Cases:
    names = Names(op.monkeypatch, **{"rebind.example": [["127.0.0.2"], ["127.0.0.1"]]})
    port = int(op.publisher.uri().split(":")[2].split("/")[0])
    op.publisher.keys = [OLD]
    op.remake(fetching=JWKSPolicy(allow_private_hosts=["127.0.0.2"], allow_ports=[port]))
    registered(op, f"https://rebind.example:{port}/")
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())  # nobody listens at the address that was checked
    assert names.asked == ["rebind.example"]
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())  # and the other one is not allowed
    assert op.publisher.count == 0


@row("U12")
def a_url_with_what_splits_requests_or_hides_a_host(op: Provider) -> Cases:
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


@row("U13")
def a_host_that_looks_like_another_one(op: Provider) -> Cases:
    """A host that looks like another one, and one with a dot at its end."""
    yield CONFIGURATION, op.registered(jwks_uri="https://cl\u0456ent.example/")
    for host in ("client.example.", "localhost.", "169.254.169.254."):
        yield CONFIGURATION, op.registered(jwks_uri=f"https://{host}/jwks.json")


def redirected(op: Provider, status: str, *targets: str) -> Cases:
    op.publish(OLD)
    for target in targets:
        before = op.publisher.count
        yield Reason.JWKS_UNAVAILABLE, cold(op, http(KEYS, status=status, headers=f"Location: {target}\r\n"))
        assert op.publisher.count == before + 1


@row("U15")
def a_redirect_elsewhere_302(op: Provider) -> Cases:
    yield from redirected(op, "302 Found", *REDIRECTS)


@row("U16")
def a_redirect_elsewhere_301_303_307_308_300(op: Provider) -> Cases:
    for status in ("303 See Other", "301 Moved Permanently", "307 Temporary Redirect", "308 Permanent", "300 Multiple"):
        yield from redirected(op, status, "https://evil.example/jwks")


@row("U19")
def a_redirect_to_plain_http_to_a_metadata_service_to_a_file(op: Provider) -> Cases:
    uri = op.publish(OLD)
    yield from redirected(
        op, "302 Found", uri.replace("jwks", "other"), "http://169.254.169.254/", "file:///etc/passwd"
    )


@row("U20")
def a_redirect_to_itself_and_fifty_in_a_row(op: Provider) -> Cases:
    uri = op.publish(OLD)
    yield from redirected(op, "302 Found", uri, "", *(f"/{hop}" for hop in range(50)))


@row("U21")
def a_certificate_that_is_expired_self_signed_or_another_hosts(op: Provider) -> Cases:
    """A certificate that is expired, self-signed, or another host's (revocation is not checked); TLS 1.1."""
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


@row("U23")
def a_cookie_is_set_and_never_sent(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.answer = http(KEYS, headers="Set-Cookie: a=b; Path=/\r\n")
    for _round in range(3):
        yield ACCEPTED, op.sent(op.token())
        op.clock.advance(300)
    assert op.publisher.count == 3
    assert not any(re.search("cookie", request, re.IGNORECASE) for request in op.publisher.requests)


@row("U25")
def two_clients_with_one_jwks_uri(op: Provider) -> Cases:
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


@row("B03")
def headers_without_end(op: Provider) -> Cases:
    yield from bad_answers(
        op,
        raw_answer(HEAD + b"X: x\r\n" * 100_000),
        raw_answer(HEAD + b"X: " + b"x" * 10_000_000),
        raw_answer(b"HTTP/1.1 200 " + b"x" * 1_000_000),
    )


@row("B04")
def a_body_without_end(op: Provider) -> Cases:
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


@row("B05")
def a_body_that_is_cut_short(op: Provider) -> Cases:
    yield from bad_answers(
        op,
        http(KEYS, length=len(KEYS) + 1),
        http(KEYS[:-1], length=len(KEYS)),
        raw_answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(KEYS), KEYS)),
        http(gzip.compress(KEYS)[:-1], headers="Content-Encoding: gzip\r\n"),
    )


@row("B07")
def layers_of_compression_and_a_bomb(op: Provider) -> Cases:
    encodings = (", ".join(["gzip"] * 1_000), "gzip, gzip", "br", "deflate", "zstd", "gzip;q=1")
    yield from bad_answers(
        op,
        *(http(gzip.compress(KEYS), headers=f"Content-Encoding: {encoding}\r\n") for encoding in encodings),
        http(gzip.compress(b" " * 50_000_000), headers="Content-Encoding: gzip\r\n"),
    )


@row("B10")
def a_page_in_html_to_the_first_fetch(op: Provider) -> Cases:
    op.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(op, HTML)
    op.publisher.answer = None
    yield ACCEPTED, op.sent(op.token())


@row("B11")
def a_page_in_html_to_a_later_fetch(op: Provider) -> Cases:
    """A page in HTML, to a later fetch: good keys stay to the end of their life."""
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


@row("B12")
def a_body_without_content(op: Provider) -> Cases:
    yield from bad_bodies(op, b"", b"null", b"[]", b"{}", b" ", b"0", b'""')


@row("B13")
def a_body_that_is_no_jwk_set(op: Provider) -> Cases:
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


@row("B14")
def a_jwk_set_that_is_called_something_else(op: Provider) -> Cases:
    """A JWK Set that is called something else (pinned: the bytes count), and other things that are called JSON."""
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


@row("B16")
def json_that_is_none_or_that_goes_too_deep(op: Provider) -> Cases:
    inner = KEYS[:-1]
    yield from bad_bodies(
        op,
        inner + b',"x":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        inner + b',"x":' + b"9" * 60_000 + b"}",
        inner + b',"x":NaN}',
        inner + b',"x":1e' + b"9" * 4_300 + b"}",
        inner + b',"keys":[]}',
        KEYS + b"{}",
        KEYS.decode().encode("utf-16"),
        inner + b',"x":"\xff"}',
        inner + b',"x":"\\ud800"}',
    )
    yield ACCEPTED, cold(op, http(b"\xef\xbb\xbf" + KEYS))  # forgiven: RFC 8259 section 8.1
    yield ACCEPTED, cold(op, http(inner + b',"x":1e999}'))  # no number is read


@row("B19")
def more_members_beside_the_keys(op: Provider) -> Cases:
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


@row("K03")
def a_kty_that_is_no_string_and_members_that_are_no_keys(op: Provider) -> Cases:
    yield from beside(op, *(jwk(**BAD, kty=kty) for kty in each(1, None, [], {}, "", "rsa", "DSA", ...)))
    yield from beside(op, None, 1, "x", [], {}, [OLD], True, 1.5)


@row("K05")
def a_modulus_that_is_no_base64url(op: Provider) -> Cases:
    yield from beside(
        op, *(jwk(**BAD, n=n) for n in each("!!!", "", "=", "\ud83d\ude00", OLD["n"] + "==", "A" * 5_000, ...))
    )


@row("K06")
def a_modulus_that_is_a_number(op: Provider) -> Cases:
    yield from beside(op, *(jwk(**BAD, n=n) for n in each(1, None, [], {}, True, 1.5)))
    yield from beside(op, *(jwk(**BAD, e=e) for e in each(65_537, None, [], {}, "!!!", "", ...)))


@row("K09")
def a_use_alg_or_key_ops_of_the_wrong_type(op: Provider) -> Cases:
    for name in ("use", "alg", "key_ops", "kid"):
        for value in each(1, "verify", None, {}, [1]):
            yield from beside(op, {**jwk(kid="bad"), name: value} if name != "kid" or value != "verify" else None)


@row("K10")
def a_secret_key(op: Provider) -> Cases:
    yield from beside(op, *({"kty": "oct", "kid": kid, "k": k} for kid in ("bad", "k1") for k in ("AAAA", "", 1, None)))


@row("K11")
def a_point_that_is_not_on_its_curve(op: Provider) -> Cases:
    yield from beside(op, {"kty": "EC", "kid": "bad", "crv": "P-256", "x": integer(5), "y": integer(7)})


@row("K12")
def a_curve_that_nobody_knows(op: Provider) -> Cases:
    for kty, crv in (("EC", "brainpoolP256r1"), ("EC", ""), ("EC", None), ("OKP", "Ed9999"), ("OKP", 1)):
        yield from beside(op, {"kty": kty, "kid": "bad", "crv": crv, "x": "AAAA", "y": "AAAA"})


@row("K14")
def an_exponent_of_2_048_bits(op: Provider) -> Cases:
    yield from beside(op, jwk(**BAD, e=integer(2**2_047 + 1)))


@row("K17")
def a_member_nested_1_000_deep_the_document_is_refused(op: Provider) -> Cases:
    """A member nested 1,000 deep: the document is refused (pinned: 32 levels), and 20 deep costs nothing."""
    deep: Any = 1
    for _level in range(20):
        deep = {"x": deep}
    yield from beside(op, {**jwk(kid="bad"), "odd": deep}, {"odd": deep})
    nested = json.dumps({"keys": [{"odd": "DEEP"}, OLD]}).encode().replace(b'"DEEP"', b"[" * 1_000 + b"]" * 1_000)
    yield Reason.JWKS_UNAVAILABLE, cold(op, http(nested))


@row("K18")
def two_keys_of_one_kid_neither_whatever_their_order(op: Provider) -> Cases:
    """Two keys of one kid: neither, whatever their order (pinned: no key is tried out)."""
    other = jwk(private_key(1))
    for keys in ([OLD, other], [other, OLD], [OLD, other, OLD]):
        op.publish(*keys)
        yield Reason.AMBIGUOUS_KEY, cold(op, None)
        yield Reason.AMBIGUOUS_KEY, op.sent(op.token(key=private_key(1)))
    assert op.publisher.count == 3


@row("K19")
def a_key_for_encryption_under_the_same_kid(op: Provider) -> Cases:
    yield from beside(op, jwk(private_key(1), use="enc", alg="RSA-OAEP"), jwk(private_key(1), alg="PS256"))


@row("K20")
def an_ec_key_under_the_same_kid(op: Provider) -> Cases:
    numbers = generate_ec(SECP256R1()).public_key().public_numbers()
    yield from beside(op, {"kty": "EC", "kid": "k1", "crv": "P-256", "x": integer(numbers.x), "y": integer(numbers.y)})


@row("K21")
def the_same_key_twice(op: Provider) -> Cases:
    yield from beside(op, OLD, jwk(alg=..., use=...), jwk(x5t="x"))


@row("K23")
def a_key_that_says_neither_alg_nor_use(op: Provider) -> Cases:
    op.publish(jwk(alg=..., use=...))
    yield ACCEPTED, cold(op, None)


@row("K25")
def a_key_that_says_when_it_ends(op: Provider) -> Cases:
    """A key that says when it ends (pinned: unknown members; leaving the set is what revokes)."""
    for members in ({"exp": 1}, {"nbf": 9_999_999_999}, {"iat": 1}, {"revoked": {"revoked_at": 1}}):
        op.publish({**OLD, **members})
        yield ACCEPTED, cold(op, None)


@row("K26")
def a_signed_jwk_set(op: Provider) -> Cases:
    signed = op.raw('{"alg":"RS256","typ":"jwk-set+jwt"}', KEYS).encode()
    yield from bad_answers(op, http(signed, content_type="application/jwk-set+jwt"), http(signed))


@row("K27")
def a_url_of_a_certificate_in_a_key_nobody_follows_it(op: Provider) -> Cases:
    op.publish(jwk(x5u=op.publisher.uri("/evil.pem")))
    yield ACCEPTED, cold(op, None)
    assert op.publisher.count == 1


# Rows F, cache and rotation


def unknown(op: Provider, number: object = 0) -> Attempt:
    return op.sent(op.token({"kid": f"unknown-{number}"}))


@row("F01")
def a_hundred_first_assertions_at_once(op: Provider) -> Cases:
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


@row("F03")
def a_failure_is_not_remembered_for_ever(op: Provider) -> Cases:
    op.publish(OLD)
    yield Reason.JWKS_UNAVAILABLE, cold(op, raw_answer(b""))
    op.clock.advance(1)
    op.publisher.answer = None
    yield ACCEPTED, op.sent(op.token())


@row("F05")
def a_new_key_works_at_once_budget_allowing(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [OLD, NEW]
    yield ACCEPTED, op.sent(new_token(op))
    assert op.publisher.count == 2


@row("F06")
def a_thousand_made_up_kids_in_a_second(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    for number in range(1_000):
        yield Reason.UNKNOWN_KID, unknown(op, number)
        op.clock.advance(0.001)
        if number % 100 == 0:
            yield ACCEPTED, op.sent(op.token())
    assert op.publisher.count == 2


@row("F10")
def one_made_up_kid_for_hours(op: Provider) -> Cases:
    op.publish(OLD)
    for _minute in range(120):
        yield Reason.UNKNOWN_KID, unknown(op)
        op.clock.advance(60)
    assert op.publisher.count <= 2 * 120 * 2
    op.publisher.keys = [jwk(kid="unknown-0")]
    yield ACCEPTED, unknown(op)


@row("F11")
def a_removed_key_after_300_s(op: Provider) -> Cases:
    op.publish(OLD, NEW)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [NEW]
    for _step in range(10):
        op.clock.advance(30)
        op.verifier.verify(new_token(op))
        op.edge.settle()
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F12")
def a_removed_key_and_a_publisher_that_is_down(op: Provider) -> Cases:
    """A removed key, and a publisher that is down: 300 s are the end (pinned: stale_if_error is off)."""
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = []
    op.publisher.answer = http(status="500 Internal Server Error")
    op.clock.advance(299)
    yield ACCEPTED, op.sent(op.token())
    op.edge.settle()
    op.clock.advance(1)
    yield Reason.JWKS_UNAVAILABLE, op.sent(op.token())


@row("F13")
def another_key_under_the_same_kid(op: Provider) -> Cases:
    """Another key under the same kid (pinned: known when the set is next fetched)."""
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [jwk(private_key(1))]
    yield Reason.BAD_SIGNATURE, op.sent(op.token(key=private_key(1)))
    op.clock.advance(300)
    yield ACCEPTED, op.sent(op.token(key=private_key(1)))
    yield Reason.BAD_SIGNATURE, op.sent(op.token())


@row("F14")
def a_thousand_bad_signatures_under_a_known_kid(op: Provider) -> Cases:
    op.publish(OLD)
    forged = op.token(key=private_key(1))
    for _time in range(1_000):
        yield Reason.BAD_SIGNATURE, op.sent(forged)
    assert op.publisher.count == 1


@row("F15")
def a_publisher_that_is_down_while_keys_are_fresh(op: Provider) -> Cases:
    """A publisher that is down while keys are fresh: nobody asks it."""
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(status="503 Service Unavailable")
    for _step in range(3):
        op.clock.advance(79)
        yield ACCEPTED, op.sent(op.token())
    assert op.publisher.count == 1


@row("F16")
def a_publisher_that_is_down_when_an_unknown_kid_comes(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(status="503 Service Unavailable")
    yield Reason.JWKS_UNAVAILABLE, unknown(op)
    yield ACCEPTED, op.sent(op.token())
    yield Reason.UNKNOWN_KID, unknown(op)  # the budget is spent
    yield ACCEPTED, op.sent(op.token())


@row("F17")
def an_empty_set_is_an_answer_every_key_is_revoked(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = http(b'{"keys": []}')
    yield Reason.NO_KEYS, unknown(op)
    yield Reason.NO_KEYS, op.sent(op.token())


@row("F18")
def what_is_no_jwk_set_is_no_answer(op: Provider) -> Cases:
    yield from bad_answers(op, HTML, http(b"{"), http(b"\xff"), http(KEYS, status="206 Partial Content"))


@row("F19")
def somebody_elses_set_at_the_same_url_tls_is_the_only_proof(op: Provider) -> Cases:
    """Somebody else's set at the same URL: TLS is the only proof (documented)."""
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.publisher.keys = [NEW]
    yield ACCEPTED, op.sent(new_token(op))
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F20")
def no_keys_were_ever_fetched_none_are_made_up(op: Provider) -> Cases:
    op.publish(OLD)
    op.publisher.answer = http(status="500 Internal Server Error")
    for key in (private_key(), private_key(1)):
        yield Reason.JWKS_UNAVAILABLE, op.sent(op.token(key=key))
        yield Reason.JWKS_UNAVAILABLE, op.sent(op.token({"kid": ...}, key=key))


@row("F21")
def a_publisher_that_wants_to_be_kept_for_a_year(op: Provider) -> Cases:
    op.publish(OLD)
    body = json.dumps({"keys": [OLD]}).encode()
    headers = "Cache-Control: max-age=31536000, immutable\r\nExpires: Fri, 01 Jan 2099 00:00:00 GMT\r\n"
    yield ACCEPTED, cold(op, http(body, headers=headers))
    op.publisher.answer = None
    op.publisher.keys = [NEW]
    op.clock.advance(300)
    yield Reason.UNKNOWN_KID, op.sent(op.token())


@row("F22")
def a_publisher_that_wants_to_be_asked_each_time(op: Provider) -> Cases:
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


@row("F24")
def status_304_to_a_request_that_asked_for_no_such_thing(op: Provider) -> Cases:
    """304 to a request that asked for no such thing (pinned: no conditional requests)."""
    op.publish(OLD)
    op.publisher.answer = http(KEYS, headers='ETag: "a"\r\n')
    yield ACCEPTED, op.sent(op.token())
    op.publisher.answer = raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n')
    yield Reason.JWKS_UNAVAILABLE, unknown(op)
    yield ACCEPTED, op.sent(op.token())
    assert not any("if-none-match" in request.lower() for request in op.publisher.requests)


@row("F25")
def status_304_of_something_else_with_a_body(op: Provider) -> Cases:
    """304 of something else, with a body, and to a first request."""
    yield from bad_answers(
        op,
        raw_answer(b'HTTP/1.1 304 Not Modified\r\nETag: "b"\r\n\r\n'),
        raw_answer(b"HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\n\r\n" + KEYS),
    )


@row("F27")
def a_wall_clock_that_jumps_by_a_day(op: Provider) -> Cases:
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


@row("F30")
def a_client_that_moves_to_keys_by_value(op: Provider) -> Cases:
    op.publish(OLD)
    yield ACCEPTED, op.sent(op.token())
    op.register(NEW)
    yield Reason.UNKNOWN_KID, op.sent(op.token())
    yield ACCEPTED, op.sent(new_token(op))
    del op.clients["client-1"]
    yield Reason.UNKNOWN_CLIENT, op.sent(new_token(op))
