"""The step that all integrations share, without a framework."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from integrations.timing import cost_at_most
from private_key_jwt import InvalidClient, InvalidRequest, Reason, TemporarilyUnavailable
from private_key_jwt._core.sender import UNNAMED
from private_key_jwt._core.token_request import missing_assertion
from private_key_jwt.integrations import MAX_BODY, TokenRequest, encode_error
from private_key_jwt.integrations._content_type import check_content_type
from private_key_jwt.integrations._parser_bounds import bound_query_of_several_parsers, check_parameters
from private_key_jwt.integrations._query import check_query
from private_key_jwt.integrations._request import authorization
from support import held_by

FORM = "application/x-www-form-urlencoded"


def a_request(**changes: Any) -> TokenRequest:
    parts: dict[str, Any] = {
        "method": "POST",
        "query": "",
        "content_type": FORM,
        "content_length": None,
        "authorization": None,
    }
    return TokenRequest(**parts | changes)


@pytest.mark.parametrize(
    "error",
    [
        InvalidClient(Reason.EXPIRED, "secret"),
        InvalidRequest(Reason.INVALID_REQUEST, "secret"),
        TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, "secret", 7),
    ],
)
def test_an_answer_is_the_response_of_the_error_in_json(error: Any) -> None:
    response, made = error.to_response(), encode_error(error)
    assert made.status == response.status
    assert made.headers == {"Content-Type": "application/json", **response.headers}
    assert json.loads(made.body) == response.body
    assert b"secret" not in made.body


def test_credentials_in_a_url_say_whose_they_are() -> None:
    claims = base64.urlsafe_b64encode(b'{"sub":"acme"}').decode().rstrip("=")
    for query, end in (
        (f"client_id=x&client_assertion=a.{claims}.b", "; client 'acme' (unverified)"),
        ("grant_type=x&client_id=a%20b&client_secret=s3cret", "; client 'a b' (unverified)"),
        ("client_secret=s3cret", UNNAMED),
    ):
        with pytest.raises(InvalidRequest) as caught:
            check_query(query)
        assert caught.value.detail.endswith(f" in the body, got it in the URL{end}")
        assert "s3cret" not in caught.value.detail


@pytest.mark.parametrize(
    "query",
    [
        "client_assertion=x",
        b"client_assertion=x",
        "a=b&client_assertion_type=x",
        "client_secret=%20",
        "client_id=a",
        "client_id=&client_id=a",
        b"client%5fassertion=\xff",
        b"%63%6c%69%65%6e%74%5f%61%73%73%65%72%74%69%6f%6e%5f%74%79%70%65=x",
        "&&client_assertion==",
        "client_assertion=%zz",
    ],
)
def test_credentials_in_a_url_are_refused(query: str | bytes) -> None:
    with pytest.raises(InvalidRequest, match="in the URL"):
        check_query(query)


@pytest.mark.parametrize(
    "query",
    [
        "",
        b"",
        "x=client_assertion",
        b"\xff=%zz&&=",
        "Client_Assertion=x",
        "client_secret;x=y",
        "\ud800=ü",
        "%ff%fe=x",
    ],
)
def test_another_query_is_nobodys_business(query: str | bytes) -> None:
    check_query(query)


@pytest.mark.parametrize("name", ["client_assertion", "client_assertion_type", "client_id", "client_secret"])
@pytest.mark.parametrize("query", ["{}", "{}=", "a=b&{}=&c", "{}=&{}="])
def test_a_parameter_of_a_url_without_a_value_counts_as_omitted(query: str, name: str) -> None:
    check_query(query.format(name, name))


@pytest.mark.parametrize(
    ("accepted", "refused", "text"),
    [
        ("a" * 8_192, "a" * 8_193, "expected at most 8192 bytes after the ? of the URL, got 8193"),
        ("a=&" * 255, "a=&" * 256, "in the URL: expected at most 256 parameters, got more"),
        (
            "%" * 256,
            "%" * 257,
            "in the URL: expected two hexadecimal digits after each %, got more than 256 others",
        ),
        ("ü" * 4_096, "ü" * 4_096 + "a", "expected at most 8192 bytes after the ? of the URL, got 8193"),
    ],
)
def test_the_bounds_of_a_query_are_exact(accepted: str, refused: str, text: str) -> None:
    check_query(accepted)
    with pytest.raises(InvalidRequest) as caught:
        check_query(refused)
    assert caught.value.detail == f"{text}{UNNAMED}"


BOUNDS_OF_PARSERS: list[tuple[Callable[[str], object], str, str, str]] = [
    (
        bound_query_of_several_parsers,
        "a" * 4_094,
        "a" * 4_095,
        "expected at most 4094 bytes after the ? of the URL, got 4095",
    ),
    (
        bound_query_of_several_parsers,
        "[" * 512,
        "[" * 513,
        "expected at most 512 escapes after the ? of the URL, got 513",
    ),
    (
        lambda query: check_parameters(bound_query_of_several_parsers(query), 32),
        "a=&" * 32,
        "a=&" * 33,
        "expected at most 32 parameters, in the URL and in the body, got 33",
    ),
]


@pytest.mark.parametrize(
    ("check", "accepted", "refused", "text"), BOUNDS_OF_PARSERS, ids=["bytes", "escapes", "parameters"]
)
def test_the_bounds_of_a_query_that_is_parsed_several_times_are_exact(
    check: Callable[[str], object], accepted: str, refused: str, text: str
) -> None:
    check(accepted)
    with pytest.raises(InvalidRequest) as caught:
        check(refused)
    assert caught.value.detail == f"{text}{UNNAMED}"


@pytest.mark.parametrize(
    "content_type", [FORM, FORM.upper(), f" {FORM} ; charset=utf-8", f'{FORM};charset="UTF8";a=b', f"{FORM}; a=utf-16"]
)
def test_a_form_in_utf_8_is_taken(content_type: str) -> None:
    check_content_type(content_type)


CHARSETS = [
    "ISO-8859-1",
    "iso8859_15",
    "latin1",
    "US-ASCII",
    "ascii",
    "windows-1252",
    "cp1250",
    "KOI8-R",
    "GB18030",
    "big5",
    "EUC-JP",
    "Shift_JIS",
]


@pytest.mark.parametrize("charset", CHARSETS)
def test_a_form_in_a_charset_that_holds_ascii_is_read_as_utf_8(charset: str) -> None:
    request = a_request(content_type=f"{FORM}; charset={charset}")
    assert request.form(b"a=b%20c&d=%C3%A9") == [("a", "b c"), ("d", "é")]
    for latin in (b"a=\xe9", b"a=%E9"):
        with pytest.raises(InvalidRequest, match="expected parameters in UTF-8, and in a byte 0xe9 is none"):
            request.form(latin)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"a=b&name=Ren%E9e&client_id=acme", "in name byte 0xe9 is none; client 'acme' (unverified)"),
        (b"client_id=acm\xe9", "in client_id byte 0xe9 is none; client 'acm\\ufffd' (unverified)"),
        (b"a=\xc3\xa9&b=\xc3", f"in b byte 0xc3 is none{UNNAMED}"),
        (b'{"client_secret": "s3cret\xe9"}', f"in the name of a parameter byte 0xe9 is none{UNNAMED}"),
        (b"client_id=&x=\xff", f"in x byte 0xff is none{UNNAMED}"),
        (
            b"x=\xff&client_assertion=e30.eyJzdWIiOiJhY21lIn0.c2ln&client_id=other",
            "in x byte 0xff is none; client 'acme' (unverified)",
        ),
    ],
)
def test_a_byte_that_is_no_utf_8_is_named_with_its_parameter_and_the_client(body: bytes, detail: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        a_request().form(body)
    assert caught.value.detail == f"expected parameters in UTF-8, and {detail}"


GZIPPED = gzip.compress(b"client_id=acme&client_assertion=a.b.c", mtime=0)


@pytest.mark.parametrize(
    ("body", "coding", "named"),
    [
        (GZIPPED, None, "it begins with 1f 8b, as gzip does"),
        (GZIPPED, "", "it begins with 1f 8b, as gzip does"),
        (GZIPPED, " identity ", "it begins with 1f 8b, as gzip does"),
        (GZIPPED, "gzip", "Content-Encoding 'gzip'"),
        (zlib.compress(b"client_id=acme"), "deflate\n", "Content-Encoding 'deflate'"),
        (b"&" * 256, "br", "Content-Encoding 'br'"),
        (GZIPPED + b"&" * 256, None, "it begins with 1f 8b, as gzip does"),
    ],
)
def test_a_compressed_body_is_said_to_be_one(body: bytes, coding: str | None, named: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        a_request(content_encoding=coding).form(body)
    assert caught.value.detail == (
        f"expected a plain body, got one that is compressed ({named}): this server takes plain bodies only{UNNAMED}"
    )


def test_a_plain_body_is_read_whatever_coding_its_header_names() -> None:
    """A proxy in front may have inflated it."""
    assert a_request(content_encoding="gzip").form(b"a=b") == [("a", "b")]


def test_the_coding_is_taken_out_of_either_kind_of_request() -> None:
    assert (
        TokenRequest.from_wsgi({"REQUEST_METHOD": "POST", "HTTP_CONTENT_ENCODING": "gzip"}).content_encoding == "gzip"
    )
    fields = [(b"Content-Encoding", b"gzip"), (b"content-encoding", b"br")]
    assert TokenRequest.from_asgi({"method": "POST", "headers": fields}).content_encoding == "gzip, br"
    assert TokenRequest.from_asgi({"method": "POST", "headers": []}).content_encoding is None


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "x",
        "application/json",
        "multipart/form-data",
        f"{FORM}x",
        f"{FORM}, {FORM}",
        f"{FORM}; charset=",
        f"{FORM}; charset=utf-16",
        f"{FORM}; charset=utf-7",
        f"{FORM}; charset=cp037",
        f"{FORM}; charset=ibm1047",
        f"{FORM}; charset=no-such",
        f"{FORM}; charset=latin1x",
        f"{FORM}; charset=utf-8; charset=utf-16",
    ],
)
def test_another_body_is_refused(content_type: str | None) -> None:
    with pytest.raises(InvalidRequest, match="content type"):
        check_content_type(content_type)


def test_a_content_type_is_as_long_as_any_that_is_sent() -> None:
    check_content_type(f"{FORM};{'a' * (512 - len(FORM) - 1)}")
    with pytest.raises(InvalidRequest, match="a Content-Type of at most 512 characters, got 513"):
        check_content_type(f"{FORM};{'a' * (512 - len(FORM))}")


LONG_FIELDS: dict[str, dict[str, str]] = {
    "parameters of a content type": {"content_type": FORM + ";" * 65_000},
    "charsets": {"content_type": FORM + "; charset=" * 6_500},
    "white space before a content type": {"content_type": " " * 65_000 + FORM},
    "a content type that is none": {"content_type": "A" * 65_000},
    "the longest content type": {"content_type": FORM + ";" * 479},
    "digits": {"content_length": "1" * 65_000},
    "a coding": {"content_encoding": " " * 65_000 + "G" * 65_000},
    "Basic that is no UTF-8": {"authorization": "Basic " + "////" * 16_000},
    "the longest Basic that is no UTF-8": {"authorization": "Basic " + "////" * 4_351 + "Og=="},
    "the longest name that is no UTF-8": {"authorization": "Basic " + "////" * 341 + "Og=="},
    "colons": {"authorization": "Basic " + "Ojo6" * 4_352},
    "a scheme": {"authorization": "A" * 65_000},
    "white space after a scheme": {"authorization": "Basic " + " " * 65_000},
}


@pytest.mark.usefixtures("untraced")
@pytest.mark.parametrize("name", LONG_FIELDS)
def test_no_header_field_costs_more_than_a_few_verifications(name: str) -> None:
    def refuse() -> None:
        try:
            request = a_request(**LONG_FIELDS[name])
            assert request.is_form in (True, False)
            raise missing_assertion(request.authorization, request.form(b"a=b\xff" if name == "a coding" else b"a=b"))
        except (InvalidClient, InvalidRequest) as error:
            assert error.detail

    assert cost_at_most(8.0, refuse) <= 8.0


def test_header_fields_of_no_meaning_here_cost_little() -> None:
    """80 kB of them, which servers on httptools take."""
    headers = [(b"a%d" % number, b"") for number in range(13_000)]
    scope = {"method": "POST", "headers": headers}
    assert cost_at_most(60, lambda: TokenRequest.from_asgi(scope)) <= 60


def test_several_authorization_fields_are_one() -> None:
    assert authorization([]) is None
    assert authorization([""]) == ""
    assert authorization(["Basic a", "Bearer b"]) == "Basic a, Bearer b"


@pytest.mark.parametrize("length", ["-1", "1e3", "１", "0x10", " 1", "1, 1", "1" * 5_000, str(MAX_BODY + 1)])
def test_a_content_length_that_is_too_much_or_none_is_refused(length: str) -> None:
    with pytest.raises(InvalidRequest):
        a_request(content_length=length)


@pytest.mark.parametrize(("length", "number"), [(None, 0), ("", 0), ("0", 0), ("7", 7), (str(MAX_BODY), MAX_BODY)])
def test_a_content_length_is_a_number(length: str | None, number: int) -> None:
    assert a_request(content_length=length).length == number


def test_credentials_in_the_url_are_refused_before_the_body_is_read() -> None:
    with pytest.raises(InvalidRequest, match="URL"):
        a_request(query="client_secret=x")


def test_the_form_of_a_body_has_its_repeats() -> None:
    body = b"a=1&a=2&b=&c&d=%C3%A9+x&=&%zz"
    assert a_request().form(body) == [
        ("a", "1"),
        ("a", "2"),
        ("b", ""),
        ("c", ""),
        ("d", "é x"),
        ("", ""),
        ("%zz", ""),
    ]


@pytest.mark.parametrize("body", [b"\xff", b"a=%ff", b"a=%C3", b"&" * 256, b"%" * 257, b"a" * (MAX_BODY + 1)])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        a_request().form(body)


def test_no_error_holds_what_was_sent() -> None:
    for body in (b"a=secret%ff", b"secret\xff", b"secret=" + b"%" * 257):
        with pytest.raises(InvalidRequest) as caught:
            a_request().form(body)
        assert "secret" not in held_by(caught.value)


def test_the_cap_is_a_byte_exact() -> None:
    request = a_request(max_body=2_000)
    assert request.form(b"a" * 2_000) == [("a" * 2_000, "")]
    with pytest.raises(InvalidRequest, match="at most 2000 bytes"):
        request.form(b"a" * 2_001)


def test_the_most_parameters_are_exact() -> None:
    assert len(a_request().form(b"&".join([b"a"] * 256))) == 256
    with pytest.raises(InvalidRequest, match="in the body: expected at most 256 parameters"):
        a_request().form(b"&".join([b"a"] * 257))


def test_an_empty_body_needs_no_content_type() -> None:
    assert a_request(content_type=None).form(b"") == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "post"])
def test_a_form_comes_by_post_or_is_refused(method: str) -> None:
    """Taken for none, it would still be one to an endpoint whose framework spells methods another way."""
    assert a_request(method=method).form(b"") == []
    assert a_request(method=method).parsed({}) == []
    with pytest.raises(InvalidRequest, match="by POST"):
        a_request(method=method).form(b"a=b")
    with pytest.raises(InvalidRequest, match="by POST"):
        a_request(method=method).parsed({"a": "b"})


@pytest.mark.parametrize("length", ["0" * 20 + "209715200", "1" * 21, "-1", "+1", "1_0", "٣"])
def test_a_length_is_a_number_of_few_digits(length: str) -> None:
    with pytest.raises(InvalidRequest, match="Content-Length"):
        a_request(content_length=length)


def test_a_form_that_was_read_before_is_checked_too() -> None:
    assert a_request().parsed({"a": "b"}) == {"a": "b"}
    assert a_request(content_type=None).parsed({}) == []
    with pytest.raises(InvalidRequest, match="content type"):
        a_request(content_type="multipart/form-data; boundary=x").parsed({"a": "b"})


def test_a_wsgi_environment_is_read() -> None:
    environ = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": FORM, "CONTENT_LENGTH": "3", "HTTP_AUTHORIZATION": "x"}
    request = TokenRequest.from_wsgi(environ, max_body=2_000)
    assert request == a_request(content_length="3", authorization="x", max_body=2_000)
    assert request.read(io.BytesIO(b"a=bcd")) == b"a=b"
    assert TokenRequest.from_wsgi({"REQUEST_METHOD": "GET"}).read(io.BytesIO(b"x")) == b""


class InParts:
    """A stream of a server that hands a body on as it comes."""

    def __init__(self, *parts: bytes) -> None:
        self.parts = list(parts)

    def read(self, size: int, /) -> bytes:
        part = self.parts.pop(0) if self.parts else b""
        self.parts[:0] = [part[size:]] if part[size:] else []
        return part[:size]


CHUNKED = {"REQUEST_METHOD": "POST", "CONTENT_TYPE": FORM, "HTTP_TRANSFER_ENCODING": "chunked"}


def test_a_body_in_chunks_is_read_to_its_end_where_the_server_ends_it() -> None:
    request = TokenRequest.from_wsgi({**CHUNKED, "wsgi.input_terminated": True}, max_body=2_000)
    assert request.read(InParts(b"a=", b"b", b"c")) == b"a=bc"
    assert request.form(request.read(InParts())) == []
    assert len(request.read(InParts(*[b"a" * 1_000] * 2))) == 2_000
    stream = InParts(*[b"a" * 1_000] * 9)
    with pytest.raises(InvalidRequest, match="at most 2000 bytes"):
        request.read(stream)
    assert sum(map(len, stream.parts)) == 9_000 - 2_001


@pytest.mark.parametrize("terminated", [{}, {"wsgi.input_terminated": False}])
def test_a_body_in_chunks_is_refused_where_it_has_no_end(terminated: dict[str, bool]) -> None:
    request = TokenRequest.from_wsgi({**CHUNKED, **terminated})
    assert request.read(io.BytesIO(b"a=b")) == b""
    for read in (lambda: request.form(b""), lambda: request.parsed({})):
        with pytest.raises(InvalidRequest, match="in chunks, which this server does not hand on"):
            read()


@pytest.mark.parametrize("body", [b"scope=read", b""])
def test_what_is_left_of_a_body_that_was_cut_off_is_no_form(body: bytes) -> None:
    request = a_request(content_length="16")
    assert request.read(io.BytesIO(b"scope=read+write")) == b"scope=read+write"
    with pytest.raises(InvalidRequest) as caught:
        request.read(io.BytesIO(body))
    assert caught.value.detail == f"expected a body of 16 bytes, got {len(body)}: the client went away{UNNAMED}"


def test_a_body_that_is_longer_than_was_announced_may_have_been_inflated() -> None:
    assert a_request(content_length="2").form(b"a=b") == [("a", "b")]


def test_a_body_with_a_length_is_read_no_further() -> None:
    request = TokenRequest.from_wsgi({**CHUNKED, "CONTENT_LENGTH": "3", "wsgi.input_terminated": True})
    assert request.read(InParts(b"a", b"=bc")) == b"a=b"


class Broken(io.BytesIO):
    def read(self, size: int | None = -1, /) -> bytes:
        raise ConnectionResetError("secret")


def test_a_client_that_goes_away_is_no_error_of_ours() -> None:
    with pytest.raises(InvalidRequest, match="ConnectionResetError") as caught:
        a_request(content_length="3").read(Broken())
    assert "secret" not in caught.value.detail


def scope(*fields: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "method": "POST", "query_string": b"a=b", "headers": fields}


def test_an_asgi_scope_is_read() -> None:
    fields = (
        (b"Content-Type", FORM.encode()),
        (b"content-length", b"3"),
        (b"authorization", b"a"),
        (b"AUTHORIZATION", b"\xff"),
    )
    assert TokenRequest.from_asgi(scope(*fields)) == a_request(query=b"a=b", content_length="3", authorization="a, ÿ")
    bare = TokenRequest.from_asgi(scope())
    assert (bare.content_type, bare.length, bare.authorization) == ("", 0, None)


def messages(*given: dict[str, Any]) -> Callable[[], Any]:
    left = list(given)

    async def receive() -> dict[str, Any]:
        return left.pop(0)

    return receive


def test_an_asgi_body_is_read_to_its_end() -> None:
    receive = messages(
        {"type": "http.request", "body": b"a", "more_body": True},
        {"type": "http.request", "more_body": True},
        {"type": "http.request", "body": b"=b"},
        {"type": "http.request", "body": b"never"},
    )
    assert asyncio.run(a_request().receive(receive)) == b"a=b"


def test_an_asgi_body_is_read_no_further_than_its_cap() -> None:
    part = {"type": "http.request", "body": b"a" * 1_500, "more_body": True}
    with pytest.raises(InvalidRequest, match="at most 2000"):
        asyncio.run(a_request(max_body=2_000).receive(messages(part, part)))


def test_an_asgi_client_that_goes_away_is_refused() -> None:
    part = {"type": "http.request", "body": b"a", "more_body": True}
    with pytest.raises(InvalidRequest, match="went away"):
        asyncio.run(a_request().receive(messages(part, {"type": "http.disconnect"})))
