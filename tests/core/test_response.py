"""What may replace keys, chunk by chunk."""

import gzip
import re
import zlib
from typing import Any

import pytest

from private_key_jwt._core.response import BodyReader, FetchError, JWKSResponse, ResponseReader

JSON: Any = {"content-type": "application/json"}
GZIP: Any = {**JSON, "content-encoding": "gzip"}
BODY = b'{"keys": []}'


def answer(*chunks: bytes, status: int = 200, **headers: str) -> JWKSResponse:
    reader = ResponseReader(status, {name.replace("_", "-"): value for name, value in headers.items()}, 1_000)
    for chunk in chunks:
        reader.feed(chunk)
    return reader.finish()


def read(*chunks: bytes, status: int = 200, **headers: str) -> bytes:
    return answer(*chunks, status=status, **headers).body


# What the publisher calls it. Whoever can choose the bytes at a `jwks_uri` can choose their media type, too: taking
# every type gives nobody a document that he could not have published before.


@pytest.mark.parametrize(
    "content_type",
    [
        *("application/json", "Application/JSON", "application/jwk-set+json", "application/jwk+json"),
        *("application/json; charset=utf-8", 'application/json;charset="UTF-8"', "application/json; charset=utf8"),
        *("application/json;charset=ISO-8859-1", "application/json; charset=utf-16", "application/json; charset="),
        *("text/plain", "text/plain; charset=us-ascii", "application/octet-stream", "binary/octet-stream"),
        *("text/html", "application/javascript", "", "X", ";;=;", "\u00e9\n"),
    ],
)
def test_the_bytes_count_and_not_what_the_publisher_calls_them(content_type: str) -> None:
    found = answer(BODY[:5], BODY[5:], content_type=content_type)
    assert found == JWKSResponse(BODY, 0, content_type)
    assert type(found.body) is bytes  # its hash tells one document from another


def test_a_document_needs_no_content_type() -> None:
    assert answer(BODY) == JWKSResponse(BODY, 0, None)


@pytest.mark.parametrize(
    "body",
    [
        b"<!DOCTYPE html><html><body>Sign in</body></html>",
        b"\r\n\t <html>",
        b"\xef\xbb\xbf<html>",
        b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
    ],
)
@pytest.mark.parametrize("content_type", ["application/json", "text/html; charset=utf-8"])
def test_a_page_is_no_document_whatever_it_is_called(body: bytes, content_type: str) -> None:
    with pytest.raises(FetchError, match=f"^expected JSON, got HTML or XML, sent as '{content_type}': is the jwks_uri"):
        read(body, content_type=content_type)


@pytest.mark.parametrize("body", [b"X<", b"x", b" " * 900 + b"{<"])
def test_what_does_not_begin_as_a_page_is_not_called_one(body: bytes) -> None:
    assert read(body) == body


def test_a_page_is_recognized_within_1024_bytes() -> None:
    for white, is_seen in ((1_023, True), (1_024, False)):
        reader = ResponseReader(200, {}, 2_000)
        reader.feed(b" " * white + b"<html>")
        if is_seen:
            with pytest.raises(FetchError, match="HTML or XML"):
                reader.finish()
        else:
            assert reader.finish().body.endswith(b"<html>")


@pytest.mark.parametrize("age", ["", "\x0b5", "X5", "5X", "-5", "+5", "5.0", "x"])
def test_an_age_that_is_no_number_of_seconds_counts_as_none(age: str) -> None:
    assert answer(BODY, age=age).age == 0
    assert answer(BODY, age=f" \t7\t ,{age}").age == 7


def test_what_was_sent_without_a_type_is_described_so() -> None:
    with pytest.raises(
        FetchError, match="^expected JSON, got HTML or XML, sent without a Content-Type: is the jwks_uri"
    ):
        read(b"<html>")
    with pytest.raises(
        FetchError,
        match="^expected JSON, got gzip data that no Content-Encoding announces, sent without a Content-Type$",
    ):
        read(gzip.compress(BODY))


@pytest.mark.parametrize(
    ("status", "headers", "words"),
    [
        (301, {"location": "https://op.example/new.json"}, ["301", "'https://op.example/new.json'", "not followed"]),
        (308, {"location": "\u00e9\r\nX: y"}, ["308", r"'\xe9\r\nX: y'"]),
        (304, {}, ["got 304: nothing was asked for by a condition: is a cache on the way at fault?"]),
        (302, {}, ["got 302: a redirect that names no target: ask the publisher for the URL of the set itself"]),
        *[(status, {}, [f"got {status}: no document comes with that"]) for status in (204, 206)],
        *[(status, {}, [f"got {status}: the publisher refuses the request"]) for status in (400, 405, 418, 499)],
        (407, {}, ["a proxy on the way asks for a login"]),
        (421, {}, ["what answers there is for other hosts: is the jwks_uri right?"]),
        (401, {}, ["401", "must be public"]),
        (403, {"content-type": "text/html"}, ["403 with a page of HTML", "firewall", "headers="]),
        (404, {"content-type": "Text/HTML; charset=utf-8"}, ["404 with a page of HTML", "is the jwks_uri right"]),
        (404, {"content-type": "application/json"}, ["got 404: nothing is published there"]),
        (410, {}, ["410", "any more"]),
        (429, {"retry-after": "120"}, ["429 and Retry-After '120'", "limits how often"]),
        (503, {"retry-after": "Wed, 21 Oct", "content-type": "text/html"}, ["503 with a page of HTML and Retry-After"]),
        *[(status, {}, [f"got {status}: the publisher fails"]) for status in (500, 502, 504, 599)],
    ],
)
def test_a_status_is_described_with_what_came_and_what_to_do(
    status: int, headers: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(FetchError) as caught:
        ResponseReader(status, headers, 1_000)
    text = str(caught.value)
    assert text.startswith("expected HTTP status 200, got ")
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 220
    for each in words:
        assert each in text


# Age


@pytest.mark.parametrize(
    ("value", "age"),
    [
        *[("0", 0), ("1", 1), ("299", 299), (" 299\t", 299), ("0000000000000000000299", 299), ("000", 0)],
        *[("2147483647", 2**31 - 1), ("2147483648", 2**31), ("2147483649", 2**31), ("9" * 60_000, 2**31)],
        # No such number: as if it were not there (RFC 9111 §5.1).
        *[("-1", 0), ("+1", 0), ("1.5", 0), ("1e3", 0), ("0x10", 0), ("", 0), ("x", 0), ("1 2", 0), ("1_0", 0)],
        *[("\u0661", 0), ("\u00b2", 0), ("Infinity", 0), ('"5"', 0)],
        # The first of several.
        *[("10, 20", 10), ("20,10", 20), ("x, 20", 0), (",20", 0)],
    ],
)
def test_age_is_a_non_negative_integer_of_at_most_two_to_the_31_or_counts_as_zero(value: str, age: int) -> None:
    assert answer(BODY, age=value).age == age


REDIRECT = ", a redirect to 'https://x.example/a': redirects are not followed"
TEMPORARY = ", this one is temporary: ask the publisher for the URL of the set itself"


@pytest.mark.parametrize(
    ("status", "described"),
    [
        (299, ": no document comes with that: is the jwks_uri right?"),
        (400, ": the publisher refuses the request: is the jwks_uri right?"),
        *[(status, f"{REDIRECT}, register that URL") for status in (301, 308)],
        *[(status, f"{REDIRECT}{TEMPORARY}") for status in (300, 302, 303, 307, 399)],
    ],
)
def test_a_redirect_is_named_with_where_it_leads_and_to_be_registered_only_if_it_is_permanent(
    status: int, described: str
) -> None:
    with pytest.raises(FetchError) as caught:
        ResponseReader(status, {"location": "https://x.example/a"}, 1_000)
    assert str(caught.value) == f"expected HTTP status 200, got {status}{described}"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/new.json", "https://op.example/new.json"),
        ("new.json", "https://op.example/a/new.json"),
        ("//other.example/x", "https://other.example/x"),
        ("http://other.example", "http://other.example"),
        ("http://[x", "http://[x"),
        ("//[x/login", "//[x/login"),
    ],
)
def test_the_target_of_a_redirect_is_the_url_that_it_means(location: str, target: str) -> None:
    with pytest.raises(FetchError) as caught:
        ResponseReader(301, {"location": location}, 1_000, "https://op.example/a/jwks.json")
    assert f", a redirect to '{target}': redirects are not followed, register that URL" in str(caught.value)


def test_the_target_of_a_redirect_is_what_the_publisher_wrote_where_no_url_is_known() -> None:
    with pytest.raises(FetchError, match=re.escape(", a redirect to '?x': ")):
        ResponseReader(301, {"location": "?x"}, 1_000)


@pytest.mark.parametrize(
    ("path", "is_log_in"),
    [
        *[(path, True) for path in ("login", "Log-In?next=/jwks", "a/sign_in/b", "user-signin", "signin.aspx")],
        *[(path, True) for path in ("oauth2/authorize", "auth", "auth/", "AUTHENTICATE?x=y", "a/oauth")],
        *[
            (path, False)
            for path in ("oauth2/keys", "auth/realms/x/certs", "blogindex", "keys?from=/login", "auth.json")
        ],
    ],
)
@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_to_a_page_to_log_in_is_said_to_lead_there(status: int, path: str, is_log_in: bool) -> None:
    with pytest.raises(FetchError) as caught:
        ResponseReader(status, {"location": f"/{path}"}, 1_000, "https://op.example/login/jwks.json")
    assert str(caught.value).endswith("': redirects are not followed; is it a page to log in?") is is_log_in


@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 304, 404, 500, 503])
def test_only_status_200_is_an_answer(status: int) -> None:
    with pytest.raises(FetchError, match=str(status)):
        read(BODY, status=status, **JSON)


def test_the_cap_is_a_byte_exact() -> None:
    assert read(b"x" * 1_000, **JSON) == b"x" * 1_000
    with pytest.raises(FetchError) as caught:
        read(b"x" * 1_000, b"x", **JSON)
    assert str(caught.value) == "expected at most 1000 bytes (JWKSPolicy(max_bytes=...)), got more"
    with pytest.raises(FetchError) as caught:
        BodyReader({}, 1).feed(b"xx")
    assert str(caught.value) == "expected at most 1 bytes, got more"


def test_gzip_is_read() -> None:
    packed = gzip.compress(BODY)
    assert read(*(packed[i : i + 1] for i in range(len(packed))), **GZIP) == BODY


@pytest.mark.parametrize("encoding", ["", "identity", "Identity", " identity "])
def test_a_body_that_is_not_encoded_may_say_so(encoding: str) -> None:
    assert read(BODY, content_encoding=encoding, content_type="application/json") == BODY


@pytest.mark.parametrize("encoding", ["GZIP", " gzip ", "x-gzip", "X-GZip"])
def test_a_content_coding_has_no_case_and_no_white_space(encoding: str) -> None:
    assert read(gzip.compress(BODY), content_encoding=encoding, content_type="application/json") == BODY


def test_gzip_may_look_back_as_far_as_it_can() -> None:
    far = bytes(sum(divmod(number * number, 251)) % 256 for number in range(30_000)) * 2
    reader = ResponseReader(200, GZIP, len(far))
    reader.feed(gzip.compress(far))
    assert reader.finish().body == far


def test_a_gzip_bomb_costs_no_more_than_the_cap() -> None:
    reader = ResponseReader(200, GZIP, 1_000)
    with pytest.raises(FetchError, match="at most 1000 bytes"):
        reader.feed(gzip.compress(b"\0" * 10_000_000)[:900])
    assert len(reader._body) == 1_001


def test_packed_bytes_count_too() -> None:
    empty_blocks = gzip.compress(b"")[:10] + b"\x00\x00\x00\xff\xff" * 1_000
    for chunks in ([empty_blocks], [empty_blocks[i : i + 400] for i in range(0, len(empty_blocks), 400)]):
        with pytest.raises(FetchError, match="at most 1000 bytes"):
            read(*chunks, **GZIP)


@pytest.mark.parametrize(
    "chunks",
    [
        (gzip.compress(BODY)[:-1],),
        (gzip.compress(BODY) + b"x",),
        (gzip.compress(BODY), b"x"),
        (gzip.compress(BODY) + gzip.compress(BODY),),
        (BODY,),
        (zlib.compress(BODY),),
        (),
    ],
)
def test_broken_gzip_is_refused(chunks: tuple[bytes, ...]) -> None:
    with pytest.raises(FetchError, match="gzip"):
        read(*chunks, **GZIP)


@pytest.mark.parametrize(
    ("chunks", "described"),
    [
        ((BODY,), "Content-Encoding says gzip, and the body is none: it begins with '{'"),
        ((b"{", b"", BODY[1:]), "Content-Encoding says gzip, and the body is none: it begins with '{'"),
        ((b"\n{}",), r"Content-Encoding says gzip, and the body is none: it begins with '\n'"),
        ((zlib.compress(BODY),), "Content-Encoding says gzip, and the body is none: it begins with 'x'"),
        ((b"\xff\xfe",), r"Content-Encoding says gzip, and the body is none: it begins with '\xff'"),
        ((b"\x1f\x8b\x08\x00" + b"\xff" * 20,), "the gzip data is broken"),
        ((b"\x1f", b"\x8b", b"\x08\x00" + b"\xff" * 20), "the gzip data is broken"),
        ((gzip.compress(BODY)[:-1],), "the gzip data is cut short, or something follows it"),
    ],
)
def test_what_is_announced_as_gzip_and_is_none_is_told_from_what_is_broken(
    chunks: tuple[bytes, ...], described: str
) -> None:
    with pytest.raises(FetchError) as caught:
        read(*chunks, **GZIP)
    assert str(caught.value) == described


@pytest.mark.parametrize(
    "encoding",
    ["null", "us-ascii", "ISO-8859-1", "7bit", "8bit", " binary ", "application/json", "text/plain; charset=x"],
)
def test_what_names_no_encoding_counts_as_none(encoding: str) -> None:
    assert read(BODY, content_encoding=encoding) == BODY


@pytest.mark.parametrize(
    "encoding",
    [
        "base64",
        "br",
        "deflate",
        "zstd",
        "compress",
        "x-compress",
        "gzip, gzip",
        "identity, gzip",
        "gzip,",
        "x-gzip, gzip",
        "*",
        "x",
        "gzip\x0b",
    ],
)
def test_another_encoding_is_refused(encoding: str) -> None:
    words = re.escape(f"expected Content-Encoding identity or gzip, got {encoding!a}")
    with pytest.raises(FetchError, match=f"^{words}$"):
        read(BODY, content_encoding=encoding, content_type="application/json")


def test_the_cap_of_packed_bytes_is_a_byte_exact() -> None:
    body = bytes(number * number % 251 for number in range(251))
    packed = gzip.compress(body)
    assert len(packed) > len(body)
    for at_most, fits in ((len(packed), True), (len(packed) - 1, False)):
        reader = ResponseReader(200, GZIP, at_most)
        if fits:
            reader.feed(packed)
            assert reader.finish().body == body
        else:
            with pytest.raises(FetchError, match="at most"):
                reader.feed(packed)


def test_a_bomb_in_a_later_chunk_is_not_unpacked_past_the_cap_either() -> None:
    pack = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    first = pack.compress(b"x" * 900) + pack.flush(zlib.Z_SYNC_FLUSH)
    reader = ResponseReader(200, GZIP, 1_000)
    reader.feed(first)
    with pytest.raises(FetchError, match="at most 1000 bytes"):
        reader.feed(pack.compress(b"x" * 1_000_000) + pack.flush())
    assert len(reader._body) == 1_001


def test_a_large_document_is_unpacked_in_steps_of_a_millisecond_or_so() -> None:
    """So that no publisher holds up an event loop, where a policy allows documents of megabytes."""
    body = b"[" + b"0," * 2_000_000 + b"0]"
    reader = ResponseReader(200, GZIP, len(body))
    sizes = [len(reader._body) for _ in reader.steps(gzip.compress(body))]
    assert max(after - before for before, after in zip([0, *sizes], sizes, strict=False)) <= 262_144
    assert len(sizes) > 10
    assert reader.finish().body == body


@pytest.mark.parametrize("coding", ["", "identity", "none", "UTF-8", "utf8", "binary", " aws-chunked "])
def test_a_content_encoding_that_names_no_coding_is_none(coding: str) -> None:
    """A charset in the wrong field, and what object stores repeat of an upload."""
    assert read(BODY, content_encoding=coding) == BODY


@pytest.mark.parametrize(("length", "asks"), [(256, True), (257, False)])
def test_a_long_path_of_a_redirect_is_not_searched(length: int, asks: bool) -> None:
    """A publisher chooses it, and a search takes time that grows with its square."""
    location = f"https://x.example{'/login'.rjust(length, '/')}"
    with pytest.raises(FetchError) as caught:
        ResponseReader(302, {"location": location}, 1_000)
    assert ("is it a page to log in?" in str(caught.value)) is asks
