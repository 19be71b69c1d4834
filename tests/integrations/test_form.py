"""The reader of forms: what it reads is what the standard library reads, in bounded time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import example, given
from hypothesis import strategies as st

from private_key_jwt import InvalidRequest
from private_key_jwt.integrations import TokenRequest
from private_key_jwt.integrations._form import read_pairs, split_pairs
from private_key_jwt.integrations._request import check_query
from support import private_key

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
PIECES_OF_FORMS = {
    "pairs": b"a=&",
    "separators": b"&",
    "signs": b"=",
    "escapes": b"%41",
    "escapes of two bytes": b"%C3%A9",
    "literal percents": b"%",
    "broken escapes": b"%zz",
    "half escapes": b"%%41",
    "plus": b"+",
    "backslashes": b"\\",
    "escaped backslashes": b"%5c\\",
    "letters": b"a",
    "pairs of escapes": b"%61" * 38 + b"=" + b"%41" * 38 + b"&",
    "long pairs": b"a=" + b"x" * 231 + b"&",
    "client_id": b"client_id=&",
    "client_assertion": b"client_assertion=x&",
    "client_id, escaped": b"".join(b"%%%02x" % byte for byte in b"client_id") + b"=&",
    "no UTF-8": b"\xff",
}


def cost(piece: bytes, size: int) -> float:
    """The seconds that a body and a query of this shape take, the least of several runs."""
    text = (piece * (size // len(piece) + 1))[:size]
    request = TokenRequest(
        method="POST",
        query="",
        content_type="application/x-www-form-urlencoded",
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

    return least(read)


def least(call: Callable[[], None], rounds: int = 15) -> float:
    """The least of several times in seconds. What traces the tests is off: it slows Python, and not C."""
    times = []
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        for _ in range(rounds):
            started = perf_counter()
            call()
            times.append(perf_counter() - started)
    finally:
        sys.settrace(tracer)
    return min(times)


def rsa_verification() -> float:
    key = private_key()
    signature, public = key.sign(b"x", PKCS1v15(), SHA256()), key.public_key()
    return least(lambda: public.verify(signature, b"x", PKCS1v15(), SHA256()), 100)


@pytest.mark.parametrize("name", PIECES_OF_FORMS)
def test_60_kb_cost_at_most_100_rsa_verifications(name: str) -> None:
    assert cost(PIECES_OF_FORMS[name], 60_000) <= 100 * rsa_verification()


@pytest.mark.parametrize("name", PIECES_OF_FORMS)
def test_twice_the_bytes_cost_at_most_two_and_a_half_times(name: str) -> None:
    piece = PIECES_OF_FORMS[name]
    sizes = [(30_000, 60_000), (120_000, 240_000)]
    floor = 50e-6  # seconds: below it a clock and a call are measured
    for small, large in sizes:
        assert cost(piece, large) <= 2.5 * max(cost(piece, small), floor), (small, large)
