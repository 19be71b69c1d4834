"""Errors: exact inside, constant outside."""

import copy
import pickle
from typing import Any

import pytest

import private_key_jwt
from private_key_jwt import (
    AuthenticationError,
    ConfigurationError,
    InvalidClient,
    InvalidRequest,
    PrivateKeyJWTError,
    Reason,
    TemporarilyUnavailable,
)
from private_key_jwt._text import describe_error, describe_in_full, quote, quote_json, quote_member

ERRORS: list[AuthenticationError] = [
    InvalidClient(Reason.EXPIRED, "expired 42 s ago", "exp"),
    InvalidRequest(Reason.INVALID_REQUEST, "client_secret beside the assertion"),
    TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, "no answer", 12.5),
]


def test_what_the_wire_sees() -> None:
    assert [error.to_response() for error in ERRORS] == [
        (
            401,
            {
                "Cache-Control": "no-store",
                "Pragma": "no-cache",
                "WWW-Authenticate": 'PrivateKeyJWT error="invalid_client"',
            },
            {"error": "invalid_client", "error_description": "Client authentication failed."},
        ),
        (
            400,
            {"Cache-Control": "no-store", "Pragma": "no-cache"},
            {
                "error": "invalid_request",
                "error_description": "The client authentication parameters of the request are malformed.",
            },
        ),
        (
            503,
            {"Cache-Control": "no-store", "Pragma": "no-cache", "Retry-After": "13"},
            {
                "error": "temporarily_unavailable",
                "error_description": "Client authentication is temporarily unavailable.",
            },
        ),
    ]


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("kind", [InvalidClient, InvalidRequest, TemporarilyUnavailable])
def test_the_answer_is_the_same_for_every_reason(kind: Any, reason: Reason) -> None:
    assert kind(reason, "private").to_response() == kind(Reason.EXPIRED, "other").to_response()


def test_an_answer_can_be_changed_without_changing_the_next() -> None:
    first = ERRORS[0].to_response()
    first.headers.clear()
    first.body.clear()
    assert ERRORS[0].to_response().headers
    assert ERRORS[0].to_response().body


@pytest.mark.parametrize(("seconds", "whole"), [(0, 1), (-5, 1), (0.1, 1), (1, 1), (1.1, 2), (30, 30)])
def test_retry_after_is_in_whole_seconds(seconds: float, whole: int) -> None:
    error = TemporarilyUnavailable(Reason.JWKS_UNAVAILABLE, "x", seconds)
    assert error.retry_after == whole
    assert error.to_response().headers["Retry-After"] == str(whole)


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_survives_copying_and_pickling(error: AuthenticationError) -> None:
    for copied in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (type(copied), copied.reason, copied.detail, copied.check) == (
            type(error),
            error.reason,
            error.detail,
            error.check,
        )
        assert copied.to_response() == error.to_response()
        assert str(copied) == f"{error.reason}: {error.detail}"


@pytest.mark.parametrize("error", ERRORS)
def test_an_error_shows_the_user_what_is_documented_and_no_more(error: AuthenticationError) -> None:
    shown = {name for name in dir(error) if not name.startswith("_")} - set(dir(Exception))
    optional = {"retry_after", "scheme"}  # each is of one class, and documented there
    assert shown - optional == {"reason", "detail", "check", "to_response"}


def test_a_detail_is_cut_to_300_characters() -> None:
    assert len(InvalidClient(Reason.EXPIRED, "x" * 300).detail) == 300
    assert InvalidClient(Reason.EXPIRED, "x" * 301).detail == "x" * 297 + "..."
    for error in (InvalidClient(Reason.EXPIRED, "x" * 5_000), TemporarilyUnavailable(Reason.EXPIRED, "x" * 5_000)):
        assert len(repr(error)) < 400
    assert InvalidClient(Reason.EXPIRED, "x" * 300).detail == "x" * 300


class Unprintable:
    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_what_cannot_be_printed_is_named_by_its_type() -> None:
    assert quote(10**5_000) == "<int>"
    assert quote(Unprintable()) == "<Unprintable>"


def test_a_value_out_of_json_is_quoted_as_json_has_it() -> None:
    value = [None, True, {"a": False}, "None"]
    assert quote_json(value) == "[null, true, {'a': false}, 'None']"
    assert quote(value) == "[None, True, {'a': False}, 'None']"
    assert [quote_member(each) for each in (None, True, "x")] == ["absent", "true", "'x'"]


@pytest.mark.parametrize("value", ["\x1b[31m", "a\nb", "\ud800", "é\u202e", "x" * 1_000, None, {"a": "\n"}, [1] * 99])
def test_quoted_values_are_one_short_line_of_ascii(value: object) -> None:
    quoted = quote(value)
    assert quoted.isascii()
    assert quoted.isprintable()
    assert len(quoted) <= 64


def test_a_long_value_is_cut_in_the_middle() -> None:
    quoted = quote("https://op.example.com/" + "x" * 100 + "/end")
    assert quoted.startswith("'https://op.example.com/x")
    assert quoted.endswith("x/end'")
    assert len(quoted) == 64


def test_the_tree_of_errors() -> None:
    for kind in (InvalidClient, InvalidRequest, TemporarilyUnavailable):
        assert issubclass(kind, AuthenticationError)
        assert issubclass(kind, PrivateKeyJWTError)
    assert issubclass(ConfigurationError, PrivateKeyJWTError)
    assert not issubclass(ConfigurationError, AuthenticationError)


def test_reasons_are_the_documented_strings() -> None:
    assert [str(reason) for reason in Reason] == [
        "malformed", "too_large", "unsupported_alg", "unsupported_crit", "unsupported_typ", "missing_kid",
        "missing_claim", "invalid_claim", "unknown_client", "client_mismatch", "audience_mismatch", "expired",
        "not_yet_valid", "lifetime_too_long", "unknown_kid", "no_keys", "unusable_key", "ambiguous_key",
        "bad_signature", "replayed", "missing_assertion", "jwks_unavailable", "replay_store_unavailable",
        "replay_store_full",
        "client_lookup_failed", "invalid_request",
    ]  # fmt: skip


def test_every_error_is_public() -> None:
    kinds: list[type] = [PrivateKeyJWTError, ConfigurationError, *(type(error) for error in ERRORS)]
    for kind in kinds:
        assert getattr(private_key_jwt, kind.__name__) is kind


def test_an_exception_whose_text_raises_is_described_by_its_class() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    assert describe_error(Mute()) == "Mute"
    assert describe_error(OSError("a\nb")) == r"OSError: 'a\nb'"
    assert describe_in_full(Mute()) == "Mute"
    assert describe_in_full(OSError()) == "OSError: no text"
    assert describe_in_full(TimeoutError(), "no reply in time") == "TimeoutError: no reply in time"
    assert describe_in_full(OSError("a's\nb")) == r"OSError: a's\nb"
    assert describe_in_full(OSError("'x' in \"y\" " * 10)) == "OSError: " + "'x' in \"y\" " * 10
    assert len(describe_in_full(OSError("x" * 1_000))) == 300


def test_a_detail_is_made_when_it_is_asked_for_and_once() -> None:
    made: list[int] = []

    def detail() -> str:
        made.append(1)
        return "x" * 500

    error = InvalidClient(Reason.EXPIRED, detail)
    assert not made
    assert len(error.detail) == 300
    assert str(error) == f"expired: {error.detail}"
    assert made == [1]
    assert repr(error).startswith("InvalidClient(expired, 'xxx")
