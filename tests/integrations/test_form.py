"""The reader of forms: what it reads is what the standard library reads, in bounded time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl, urlencode

import flask
import pytest
from django.test import RequestFactory
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.requests import Request
from werkzeug.test import EnvironBuilder

from integrations import cost_cases, django_project
from integrations.apps import Provider
from integrations.scenarios import FORM
from integrations.timing import ROUNDS, TRIES, cost_at_most, costs_at_most_times
from private_key_jwt import AuthenticationError, InvalidRequest
from private_key_jwt.integrations import TokenRequest, starlette
from private_key_jwt.integrations import django as in_django
from private_key_jwt.integrations import flask as in_flask
from private_key_jwt.integrations._form import read_pairs, split_pairs
from private_key_jwt.integrations._query import check_query

PIECES = st.sampled_from(
    [b"%", b"+", b"&", b"=", b"\\", b"\\x41", b"\n", b"%41", b"%c3%a9", b"%2", b"%00", b"%zz", b";", b"a"]
)


@given(st.lists(PIECES | st.binary(max_size=3), max_size=40).map(b"".join))
@example(b"a=%\\x41&%5Cx41=\\N{DIGIT ONE}")
@example(b"%%41=%%%41")
def test_a_form_is_read_as_the_standard_library_reads_it(text: bytes) -> None:
    try:
        sent = text.decode()
    except UnicodeDecodeError:  # no text, which the standard library takes no bytes for
        return
    try:
        expected = parse_qsl(sent, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        with pytest.raises(UnicodeDecodeError):
            read_pairs(text)
    else:
        assert read_pairs(text) == expected


@given(st.lists(st.tuples(st.text(), st.text()), max_size=20))
def test_what_was_encoded_is_read(pairs: list[tuple[str, str]]) -> None:
    pairs = [(name, value) for name, value in pairs if not set(name + value) & set(map(chr, range(0xD800, 0xE000)))]
    assert read_pairs(urlencode(pairs).encode()) == pairs


def test_pairs_are_split_and_not_decoded() -> None:
    assert split_pairs(b"a%41=%42&&b&=") == [(b"a%41", b"%42"), (b"b", b""), (b"", b"")]


# What a stranger may send, as a piece to repeat: a body of so many bytes, at most, costs so much.
PIECES_OF_FORMS = cost_cases.PIECES | {
    "half escapes": b"%%41",
    "escaped backslashes": b"%5c\\",
    "long pairs": b"a=" + b"x" * 233 + b"&",
    "client_id": b"client_id=&",
    "client_assertion": b"client_assertion=x&",
    "client_id, escaped": b"".join(b"%%%02x" % byte for byte in b"client_id") + b"=&",
}


def reading(piece: bytes, size: int) -> Callable[[], None]:
    """What reads a body and a query of this shape."""
    text = (piece * (size // len(piece) + 1))[:size]
    request = TokenRequest(
        method="POST",
        query="",
        content_type=FORM,
        content_length=None,
        authorization=None,
        max_body=1_048_576,
    )

    def read() -> None:
        with suppress(InvalidRequest):
            request.form(text)
        with suppress(InvalidRequest):  # as long as it may be, and as it came
            check_query(text[:8_192])
        with suppress(InvalidRequest):
            check_query(text)

    return read


@pytest.mark.parametrize("name", PIECES_OF_FORMS)
def test_60_kb_cost_at_most_100_rsa_verifications(name: str) -> None:
    assert cost_at_most(100, reading(PIECES_OF_FORMS[name], 60_000)) <= 100


def django_request(verifier: Any, body: bytes) -> Callable[[], object]:
    assert django_project.wsgi_application()  # with settings
    requests = [RequestFactory().post("/", body, FORM) for _ in range(TRIES * ROUNDS)]
    return lambda: in_django.authenticate(verifier, requests.pop())


def flask_request(verifier: Any, body: bytes) -> Callable[[], object]:
    environs = [
        EnvironBuilder(method="POST", data=body, content_type=FORM).get_environ() for _ in range(TRIES * ROUNDS)
    ]
    return lambda: in_flask.authenticate(verifier, flask.Request(environs.pop()))


def starlette_request(verifier: Any, body: bytes) -> Callable[[], object]:
    async def receive() -> Any:
        return {"type": "http.request", "body": body}

    scope = {"type": "http", "method": "POST", "query_string": b"", "headers": [(b"content-type", FORM.encode())]}

    def read() -> None:
        # What is in memory waits for nothing.
        starlette.authenticate(verifier, Request(dict(scope), receive)).send(None)

    return read


FRAMEWORKS = {
    "django": (django_request, Provider.verifier),
    "flask": (flask_request, Provider.verifier),
    "starlette": (starlette_request, Provider.async_verifier),
}


@pytest.mark.parametrize("name", PIECES_OF_FORMS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_60_kb_cost_at_most_100_rsa_verifications_in_a_whole_request(
    provider: Provider, framework: str, name: str
) -> None:
    make, verifier = FRAMEWORKS[framework]
    piece = PIECES_OF_FORMS[name]
    request = make(verifier(provider), (piece * (60_000 // len(piece) + 1))[:60_000])

    def refused() -> None:
        with suppress(AuthenticationError):
            request()

    assert cost_at_most(100, refused) <= 100


@pytest.mark.parametrize("name", PIECES_OF_FORMS)
def test_twice_the_bytes_cost_at_most_two_and_a_half_times(name: str) -> None:
    piece = PIECES_OF_FORMS[name]
    sizes = [(30_000, 60_000), (120_000, 240_000)]
    floor = 50e-6  # seconds: below it a clock and a call are measured
    for small, large in sizes:
        assert costs_at_most_times(2.5, reading(piece, large), reading(piece, small), floor=floor), (small, large)
