"""Step 2: the header."""

import base64
import json
import sys
from typing import Any

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt._core import header

UNSET = object()


@pytest.fixture(autouse=True)
def nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parse each header anew, whatever another test, or another run of this one, has parsed."""
    header._parse_cached.cache_clear()
    monkeypatch.setattr(header, "_verified", header._Verified())


def segment(raw: bytes) -> bytes:
    return base64.b64encode(raw).rstrip(b"=")


def members(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in ({"alg": "RS256", "kid": "k1"} | changes).items() if value is not UNSET}


def parse(**changes: Any) -> header.Header:
    return header.parse(segment(json.dumps(members(**changes)).encode()))


def refused(**changes: Any) -> tuple[Reason, str | None]:
    with pytest.raises(InvalidClient) as caught:
        parse(**changes)
    assert caught.value.detail
    return caught.value.reason, caught.value.check


def test_what_verification_needs_is_read() -> None:
    assert parse() == ("RS256", "k1", None, False)
    assert parse(kid=UNSET) == ("RS256", None, None, False)


def test_members_that_are_not_understood_are_ignored() -> None:
    extras = {"foo": 1, "jwk": {"kty": "RSA"}, "jku": "http://169.254.169.254/", "x5u": 1, "x5c": [1], "x5t": "a"}
    assert parse(**extras) == ("RS256", "k1", None, True)


@pytest.mark.parametrize(
    ("typ", "name"),
    [
        ("JWT", "jwt"),
        ("jwt", "jwt"),
        ("application/JWT", "jwt"),
        ("Client-Authentication+JWT", "client-authentication+jwt"),
        ("APPLICATION/client-authentication+jwt", "client-authentication+jwt"),
    ],
)
def test_typ_is_compared_without_case(typ: str, name: str) -> None:
    assert parse(typ=typ).typ == name


@pytest.mark.parametrize(
    "typ", ["at+jwt", "dpop+jwt", "oauth-authz-req+jwt", "", "JWT ", "application/", "text/JWT", "ＪＷＴ"]
)
def test_a_token_of_another_kind_is_refused(typ: str) -> None:
    assert refused(typ=typ) == (Reason.UNSUPPORTED_TYP, "typ")


@pytest.mark.parametrize(
    "changes",
    [{"crit": ["x"], "x": 1}, {"crit": []}, {"crit": ["alg"]}, {"crit": [1]}, {"b64": False}, {"b64": True},
     {"crit": ["b64"], "b64": False}],
)  # fmt: skip
def test_every_critical_extension_is_refused(changes: dict[str, Any]) -> None:
    assert refused(**changes) == (Reason.UNSUPPORTED_CRIT, "crit")


@pytest.mark.parametrize(
    ("name", "values", "check"),
    [
        ("crit", ["x", None, {"x": 1}, 1, True], "crit"),
        ("b64", ["false", None, 0, []], "crit"),
        ("zip", ["DEF", None, 1], "zip_cty"),
        ("cty", ["JWE", "", "text/plain", None, 1, ["JWT"]], "zip_cty"),
        ("alg", [["RS256"], None, 1, True, {}, UNSET], "alg"),
        ("kid", ["", None, 1, True, [], {}], "kid"),
        ("typ", [1, None, [], {}, True], "typ"),
    ],
)
def test_a_member_of_the_wrong_type_is_malformed(name: str, values: list[Any], check: str) -> None:
    for value in values:
        assert refused(**{name: value}) == (Reason.MALFORMED, check)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"crit": "x"}, "crit has the wrong JSON type: 'x'"),
        ({"b64": 0}, "b64 has the wrong JSON type: 0"),
        ({"crit": ["exp"]}, "expected no crit, got ['exp']: no extension is known"),
        ({"zip": "DEF"}, "expected no zip, got 'DEF': nothing is inflated here"),
        ({"cty": "at+jwt"}, "expected no cty, or JWT, got 'at+jwt'"),
        ({"alg": 7}, "expected alg to be a string, got 7"),
        ({"alg": None}, "expected alg to be a string, got null"),
        ({"alg": UNSET}, "expected alg to be a string, and it is absent"),
        ({"kid": None}, "expected kid to be a non-empty string, got null"),
        ({"kid": [True, {"a": False}]}, "expected kid to be a non-empty string, got [true, {'a': false}]"),
        ({"kid": 7}, "expected kid to be a non-empty string, got 7"),
        ({"kid": "k" * 257}, "expected a kid of at most 256 bytes, got 257"),
        ({"typ": 7}, "expected typ to be a string, got 7"),
        (
            {"typ": "at+jwt"},
            "expected typ to be absent, JWT or client-authentication+jwt, got 'at+jwt': by its label it is"
            " another kind of token",
        ),
        *(
            (
                {"typ": typ},
                f"expected typ to be absent, JWT or client-authentication+jwt, got {typ!r}: is JWT meant?",
            )
            for typ in ("", "JOSE", "JWS", "JWT ", "jwt; charset=utf-8", "client_assertion+jwt", "Client-Assertion+JWT")
        ),
    ],
)
def test_a_refusal_says_what_came_and_what_was_expected(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        parse(**changes)
    assert caught.value.detail == words


@pytest.mark.parametrize("alg", ["none", "None", "HS256", "rs256", "RS256 ", "RS256\0", "ＲＳ２５６", ""])
def test_an_alg_is_only_read_here(alg: str) -> None:
    assert parse(alg=alg).alg == alg


def test_a_kid_has_at_most_256_bytes() -> None:
    assert parse(kid="é" * 128).kid == "é" * 128
    assert refused(kid="é" * 128 + "x") == (Reason.MALFORMED, "kid")
    assert refused(kid="k" * 257) == (Reason.MALFORMED, "kid")


@pytest.mark.parametrize(
    "raw",
    [b"[]", b'"x"', b"1", b"null", b'""', b"x", b'\xef\xbb\xbf{"alg":"RS256"}', '{"alg":"RS256"}'.encode("utf-16"),
     b'{"alg":"none","alg":"RS256"}', b'{"alg":"RS256","kid":"evil","kid":"k1"}', b'{"alg":"RS256"}x', b"[" * 5_000],
)  # fmt: skip
def test_only_one_strict_json_object_is_a_header(raw: bytes) -> None:
    with pytest.raises(InvalidClient) as caught:
        header.parse(segment(raw))
    assert (caught.value.reason, caught.value.check) == (Reason.MALFORMED, "header")


def test_a_header_segment_has_one_spelling() -> None:
    with pytest.raises(InvalidClient) as caught:
        header.parse(b"eyJ")
    assert caught.value.check == "header"


def of_length(characters: int) -> bytes:
    """A header segment of so many characters: one more byte of JSON is one or two more."""
    made = (segment(json.dumps(members()).encode() + b" " * size) for size in range(characters))
    return next(each for each in made if len(each) >= characters)


def test_a_long_header_is_parsed_and_not_kept() -> None:
    for length, kept in ((512, 1), (514, 1), (515, 1), (800, 1)):
        each = of_length(length)
        assert len(each) == length
        assert header.parse(each).alg == "RS256"
        header.keep(each, header.parse(each))
        assert header._parse_cached.cache_info().currsize == kept
        assert (each in header._verified) is (length == 512)


def test_what_is_kept_is_bounded() -> None:
    for number in range(1_200):
        parse(kid=f"k{number}")
    assert header._parse_cached.cache_info().currsize == 1_024


def test_no_stranger_drives_out_the_header_of_a_right_signature() -> None:
    kept = segment(json.dumps(members(kid="kept")).encode())
    first = header.parse(kept)
    header.keep(kept, first)
    for number in range(1_200):
        parse(kid=f"k{number}")
    assert header.parse(kept) is first


def test_headers_of_right_signatures_are_bounded_in_number_and_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_MOST_VERIFIED", 2)
    for number in range(5):
        each = segment(json.dumps(members(kid=f"k{number}")).encode())
        header.keep(each, header.parse(each))
        assert len(header._verified) <= 2
    long = segment(json.dumps(members(foo="x" * 600)).encode())
    header.keep(long, header.parse(long))
    assert long not in header._verified


def test_headers_of_right_signatures_are_bounded_in_all_their_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    segments = [segment(json.dumps(members(kid=f"k{number}")).encode()) for number in range(9)]
    monkeypatch.setattr(header, "_MOST_CHARACTERS", 3 * len(segments[0]))
    for each in segments:
        header.keep(each, header.parse(each))
        assert len(header._verified) <= 3
        assert header._verified.characters == sum(map(len, header._verified))
    assert list(header._verified) == segments[6:]


def test_all_that_is_kept_takes_some_100_mb_at_most() -> None:
    slot = sys.getsizeof(dict.fromkeys(range(200_000))) / 200_000
    for length in range(1, header.MAX_KID_BYTES + 1):
        each = segment(json.dumps(members(kid="k" * length)).encode())
        read = header._parse(each)
        number = min(header._MOST_VERIFIED, header._MOST_CHARACTERS // len(each) + 1)
        assert number * (sum(map(sys.getsizeof, (each, read, read.alg, read.kid))) + slot) < 120e6


def test_many_clients_have_their_headers_kept() -> None:
    segments = [segment(json.dumps(members(kid=f"{number:064}")).encode()) for number in range(1_000)]
    for each in segments:
        header.keep(each, header.parse(each))
    assert list(header._verified) == segments


def test_a_header_with_members_that_mean_nothing_here_is_not_kept() -> None:
    plain = {"kid": "k", "typ": "JWT", "cty": "JWT"}
    for kept, more in ((False, {"x": 1}), (False, {"x5t": "a"}), (True, {})):
        each = segment(json.dumps(members(**plain, **more)).encode())
        header.keep(each, header.parse(each))
        assert (each in header._verified) is kept


@pytest.mark.parametrize("cty", ["JWT", "jwt", "application/jwt", "Application/JWT"])
def test_a_cty_that_names_a_jwt_changes_nothing(cty: str) -> None:
    assert parse(cty=cty) == parse()
