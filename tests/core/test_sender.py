"""Who a refused request says it is from: whatever is wrong around it, and never in place of what was checked."""

from __future__ import annotations

import base64
import json
import textwrap
from typing import Any

import pytest

from private_key_jwt import InvalidClient, InvalidRequest, Reason
from private_key_jwt._core.compact import LONGEST_CLAIMS
from private_key_jwt._core.sender import UNNAMED, basic_client, sender_of_assertion, sender_of_claims
from private_key_jwt._core.token_request import ASSERTION_TYPE, missing_assertion, read
from private_key_jwt.exceptions import name_sender


def encode(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def assertion(**claims: Any) -> str:
    return f"{encode({'alg': 'RS256'})}.{encode(claims)}.c2ln"


ACME = "; client 'acme' (unverified)"


@pytest.mark.parametrize(
    "text",
    [
        assertion(sub="acme"),
        assertion(iss="acme"),
        assertion(iss="other", sub="acme"),
        assertion(sub="acme").encode(),
        f"Bearer {assertion(sub='acme')}\n",
        f"client_assertion='{assertion(sub='acme')}='",
        f"x.{encode({'sub': 'acme'})}",
        "\u2013" + assertion(sub="acme"),
        "\r\n".join(textwrap.wrap(assertion(sub="acme"), 20)),
        assertion(sub="acme").replace(".", "%2E"),
    ],
)
def test_the_client_is_read_whatever_is_wrong_around_it(text: str | bytes) -> None:
    assert sender_of_assertion(text, "other")() == ACME


@pytest.mark.parametrize(
    "text",
    [
        None,
        7,
        "",
        "a.b.c",
        "..",
        "a" * 20_000,
        assertion(),
        assertion(sub=""),
        assertion(sub=7),
        assertion(sub=["acme"]),
        f"x.{encode(['acme'])}.y",
        f"x.{encode({'sub': 'acme'})[:-1]}.y",
        f"x.{encode({'sub': 'acme'})}=.y",
        assertion(sub="acme", x="x" * 5_000),
        "x" * 18_000 + assertion(sub="acme"),
    ],
)
def test_without_one_the_client_id_of_the_request_counts(text: Any) -> None:
    assert sender_of_assertion(text, "acme")() == ACME
    assert sender_of_assertion(text, None)() == UNNAMED
    assert sender_of_assertion(text, "")() == UNNAMED


@pytest.mark.parametrize(
    ("claims", "client_id", "sender"),
    [
        ({"sub": "acme", "iss": "other"}, "other", ACME),
        ({"iss": "acme"}, "other", ACME),
        ({"sub": ["acme"]}, "acme", ACME),
        ({}, None, UNNAMED),
    ],
)
def test_claims_that_were_read_already_say_the_same(claims: dict[str, Any], client_id: str | None, sender: str) -> None:
    assert sender_of_claims(claims, client_id)() == sender


def test_claims_as_long_as_an_assertion_may_have_are_read() -> None:
    longest = {"sub": "acme", "x": "x" * (3_840 - len(json.dumps({"sub": "acme", "x": ""})))}
    assert len(encode(longest)) == LONGEST_CLAIMS
    assert sender_of_assertion(f"x.{encode(longest)}.y", None)() == ACME
    longest["x"] += "x"
    assert sender_of_assertion(f"x.{encode(longest)}.y", None)() == UNNAMED


def test_an_assertion_is_looked_into_up_to_17_kib() -> None:
    claims = f".{encode({'sub': 'acme'})}.y"
    for length, name in ((17_408, ACME), (17_409, UNNAMED)):
        assert sender_of_assertion("x" * (length - len(claims)) + claims, None)() == name


def test_what_names_nobody_says_how_to_find_the_request() -> None:
    for assertion_, client_id in ((None, None), (7, "")):
        assert sender_of_assertion(assertion_, client_id)() == UNNAMED
    assert "access log" in UNNAMED


def test_a_name_is_one_short_quoted_line() -> None:
    named = sender_of_assertion(None, "x\n' (verified) client_id=victim \u202e" + "y" * 1_000)()
    assert named.isascii()
    assert named.isprintable()
    assert len(named) == len("; client  (unverified)") + 48
    assert named.startswith("; client \"x\\n' (verified) client_id=")
    assert named.endswith("yyy' (unverified)")


def basic(text: str | bytes) -> str:
    return "Basic " + base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "client"),
    [
        (basic("acme:s3cret"), "acme"),
        (basic("acme:s3:cret").replace("Basic", "bASIC"), "acme"),
        (basic("acme:s3cret").replace("Y", " Y"), "acme"),
        (basic("acme:" + "x" * (13_056 - 5)), "acme"),
        (basic("acme:" + "x" * (13_057 - 5)), None),
        (basic(b"\xff:x"), "\ufffd"),
        (basic("a" * 1_024 + ":x"), "a" * 1_024),
        (basic("a" * 1_025 + ":x"), None),
        (basic("s3cret"), None),
        ("Basic !", None),
        ("Basic", None),
        ("Bearer " + basic("acme:s3cret")[6:], None),
        (basic("acme:" + "x" * 20_000), None),
        ("Basic \u20ac", None),
        (None, None),
    ],
)
def test_basic_names_a_client_and_never_its_secret(authorization: str | None, client: str | None) -> None:
    assert basic_client(authorization) == client
    assert missing_assertion(authorization).detail.endswith(" (unverified)") is (client is not None)
    assert "s3cret" not in missing_assertion(authorization).detail


def test_a_request_without_an_assertion_says_what_it_has_in_its_place() -> None:
    form = {"client_id": "acme", "client_secret": "s3cret"}
    with pytest.raises(InvalidClient) as caught:
        read(form, basic("other:s3cret"), optional=False)
    assert caught.value.reason is Reason.MISSING_ASSERTION
    assert caught.value.detail == missing_assertion(basic("other:s3cret"), form).detail
    assert caught.value.detail.endswith(
        f"; it has a client_secret and an Authorization header (Basic) in its place{ACME}"
    )
    assert "in its place" not in missing_assertion(None, {"client_id": b"\xff"}).detail


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion": assertion(sub="acme"), "client_id": "other"},
        {"client_assertion": assertion(sub="acme"), "client_assertion_type": "urn:x"},
        {"client_assertion_type": ASSERTION_TYPE, "client_id": "acme"},
        {"client_assertion": assertion(sub="acme"), "client_id": ["acme", "other"]},
        {"client_assertion": assertion(sub="acme"), "client_assertion_type": ASSERTION_TYPE, "client_secret": "s"},
    ],
)
def test_a_malformed_request_names_its_sender(form: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(form, None)
    assert caught.value.detail.endswith(ACME)


def test_a_second_way_of_authentication_names_its_sender() -> None:
    form = {"client_assertion": assertion(sub="acme"), "client_assertion_type": ASSERTION_TYPE}
    with pytest.raises(InvalidRequest) as caught:
        read(form, "Bearer x")
    assert caught.value.detail.endswith(ACME)


def test_a_sender_is_never_cut_off() -> None:
    error = InvalidClient(Reason.MALFORMED, "x" * 400)
    name_sender(error, lambda: ACME)
    assert len(error.detail) == 300
    assert error.detail.endswith(f"xxx...{ACME}")
    assert error.detail == error.detail
