"""The client parameters of a token request, whatever kind of form carries them."""

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import httpx
import pytest

from private_key_jwt import AuthenticationError, InvalidClient, InvalidRequest, Reason
from private_key_jwt._core.sender import UNNAMED
from private_key_jwt._core.token_request import ASSERTION_TYPE, attempted_scheme, missing_assertion, read
from support import linked_to

FORM = {"grant_type": "authorization_code", "client_assertion_type": ASSERTION_TYPE, "client_assertion": "a.b.c"}


class Lists(dict[str, list[str]]):
    """A form like Django's and Werkzeug's, whose items hold one value of a repeated parameter."""

    def items(self) -> Any:
        return [(name, values[-1]) for name, values in super().items()]

    def lists(self) -> Any:
        return super().items()


class GetList:
    """A form that only has getlist."""

    def __init__(self, values: dict[str, list[str]]) -> None:
        self._values = values

    def getlist(self, name: str) -> list[str]:
        return self._values.get(name, [])


def raised(call: Callable[[], object]) -> AuthenticationError:
    with pytest.raises(AuthenticationError) as caught:
        call()
    return caught.value


def lists(form: dict[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in form.items()}


KINDS: dict[str, Callable[[Any], Any]] = {
    "mapping": dict,
    "mapping that is no dict": MappingProxyType,
    "mapping of lists": lists,
    "mapping of tuples": lambda form: {name: (value,) for name, value in form.items()},
    "mapping of bytes": lambda form: {name.encode(): value.encode() for name, value in form.items()},
    "pairs": lambda form: list(form.items()),
    "iterator of pairs": lambda form: iter(form.items()),
    "multi_items": httpx.QueryParams,
    "lists": lambda form: Lists(lists(form)),
    "getlist": lambda form: GetList(lists(form)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_form_is_read(kind: str) -> None:
    form = KINDS[kind]
    assert read(form(FORM), None) == ("a.b.c", None)
    assert read(form(FORM | {"client_id": "c"}), None) == ("a.b.c", "c")
    assert read(form({"grant_type": "x", "client_id": "c"}), None) is None
    with pytest.raises(InvalidRequest):
        read(form(FORM | {"client_secret": "s"}), None)


def test_the_assertion_type_is_that_of_rfc_7523() -> None:
    form = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "a.b.c",
    }
    assert read(form, None) == ("a.b.c", None)


def repeated(name: str) -> list[tuple[str, str]]:
    pairs = list((FORM | {"client_id": "c", "client_secret": "s"}).items())
    return [pair for pair in pairs if pair[0] != "client_secret" or name == "client_secret"] + [
        pair for pair in pairs if pair[0] == name
    ]


@pytest.mark.parametrize("name", ["client_assertion", "client_assertion_type", "client_id", "client_secret"])
def test_a_client_parameter_stands_once(name: str) -> None:
    pairs = repeated(name)
    values: dict[str, list[str]] = {}
    for key, value in pairs:
        values.setdefault(key, []).append(value)
    tuples = {key: tuple(each) for key, each in values.items()}
    forms: list[Any] = [pairs, values, tuples, Lists(values), GetList(values), httpx.QueryParams(values)]
    for form in forms:
        with pytest.raises(InvalidRequest, match=f"expected {name} once, got it several times"):
            read(form, None)


def test_other_parameters_may_repeat() -> None:
    assert read([*FORM.items(), ("resource", "a"), ("resource", "b")], None) == ("a.b.c", None)


def test_a_request_without_an_assertion_is_no_client_assertion() -> None:
    for form in (
        {},
        [],
        {"client_id": "c", "client_secret": "s"},
        {"client_assertion": None},
        [("client_id", "a")] * 2,
    ):
        assert read(form, None) is None
        assert read(form, "Basic eDp5") is None


@pytest.mark.parametrize(
    "form",
    [
        {"client_assertion": "a.b.c"},
        {"client_assertion_type": ASSERTION_TYPE},
        FORM | {"client_assertion": ""},
        FORM | {"client_assertion_type": ""},
        FORM | {"client_assertion_type": ASSERTION_TYPE.upper()},
        FORM | {"client_assertion_type": ASSERTION_TYPE + " "},
        FORM | {"client_assertion_type": ASSERTION_TYPE.replace(":", "%3A")},
        FORM | {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"},
        FORM | {"client_secret": "s"},
        FORM | {"client_assertion": 1},
        FORM | {"client_assertion": object()},
        FORM | {"client_id": b"\xff"},
        {b"\xff": "x"},
        {1: "x"},
        [("client_assertion",)],
        ["client_assertion"],
        [1],
        1,
        None,
        "client_assertion=a.b.c",
    ],
)
def test_a_malformed_request_is_refused(form: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(form, None)
    assert (caught.value.reason, caught.value.check) == (Reason.INVALID_REQUEST, "request")
    assert caught.value.detail


@pytest.mark.parametrize("name", ["client_assertion", "client_assertion_type"])
def test_a_parameter_that_stands_twice_is_refused_beside_half_of_an_assertion(name: str) -> None:
    with pytest.raises(InvalidRequest, match="expected client_id once"):
        read([(name, "x"), ("client_id", "a"), ("client_id", "b")], None)


@pytest.mark.parametrize(
    ("form", "words"),
    [
        (FORM | {"client_assertion_type": "urn:x"}, "expected client_assertion_type urn:.*, got 'urn:x'"),
        (FORM | {"client_secret": "s"}, "got client_secret beside the assertion"),
        (1, "expected a mapping or pairs of text, and reading it raised TypeError"),
    ],
)
def test_a_refusal_says_what_came(form: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read(form, None)


@pytest.mark.parametrize(("form", "kind"), [(FORM | {"client_id": 1}, "int"), ({None: "x"}, "NoneType")])
def test_what_is_no_text_is_named_by_its_type(form: Any, kind: str) -> None:
    with pytest.raises(InvalidRequest, match=f"expected parameters of text, got {kind}"):
        read(form, None)


@pytest.mark.parametrize("body", ["", b"", "client_assertion=a.b.c", b"client_assertion=a.b.c"])
def test_a_body_that_is_not_parsed_is_no_form_not_even_an_empty_one(body: Any) -> None:
    with pytest.raises(InvalidRequest, match="text of a body"):
        read(body, None)


def test_bytes_that_are_no_utf_8_are_described_without_the_error_that_holds_them() -> None:
    with pytest.raises(InvalidRequest, match="UTF-8") as caught:
        read(FORM | {"client_assertion": b"secret\xff"}, None)
    assert caught.value.__context__ is None


def test_what_a_form_could_not_decode_does_not_hang_on_the_refusal() -> None:
    pairs = (("client_assertion", text.decode()) for text in (b"secret\xff",))
    with pytest.raises(InvalidRequest, match="reading it raised UnicodeDecodeError") as caught:
        read(pairs, None)
    assert linked_to(caught.value) == [caught.value]


def test_what_else_a_form_raises_is_the_cause_of_the_refusal() -> None:
    with pytest.raises(InvalidRequest, match="reading it raised ZeroDivisionError") as caught:
        read((("a", str(1 // number)) for number in (0,)), None)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("authorization", ["Basic Y2xpZW50OnNlY3JldA==", "Bearer x", " ", ""])
def test_one_way_of_authentication(authorization: str) -> None:
    with pytest.raises(InvalidRequest, match="Authorization"):
        read(FORM, authorization)


EMPTY = "Basic YWNtZTo="  # acme:


@pytest.mark.parametrize(
    ("authorization", "named"),
    [
        ("Basic YWNtZTpzM2NyZXQ=", "an Authorization header (Basic)"),
        (EMPTY, "an Authorization header (Basic of an empty password)"),
        (EMPTY.replace("Basic", "basic").encode(), "an Authorization header (basic of an empty password)"),
        ("Basic Og==", "an Authorization header (Basic)"),
        ("Basic YWNtZQ==", "an Authorization header (Basic)"),
        ("DPoP YWNtZTo=", "an Authorization header (DPoP)"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "an Authorization header"),
    ],
)
def test_a_header_field_beside_or_in_place_of_an_assertion_is_named_without_its_credentials(
    authorization: Any, named: str
) -> None:
    beside = raised(lambda: read(FORM | {"client_id": "c"}, authorization)).detail
    assert beside == (
        f"expected one way of client authentication, got {named} beside the assertion; client 'c' (unverified)"
    )
    in_place = raised(lambda: read({"client_id": "c"}, authorization, optional=False)).detail
    assert in_place.endswith(f"absent or empty; it has {named} in its place; client 'c' (unverified)")


def odd_pairs() -> Any:
    yield "client_assertion", "secret"
    raise OSError("secret")


class OddForm:
    @property
    def lists(self) -> Any:
        raise RuntimeError("secret")


@pytest.mark.parametrize("make", [odd_pairs, OddForm, lambda: {"client_assertion": object()}])
def test_a_form_that_cannot_be_read_is_ours_to_tell_and_quotes_nothing(make: Callable[[], Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(make(), None)
    assert "secret" not in caught.value.detail


def test_an_empty_client_id_counts_as_absent() -> None:
    assert read(FORM | {"client_id": ""}, None) == ("a.b.c", None)


def test_parameters_that_are_none_are_absent() -> None:
    assert read(FORM | {"client_id": None, "client_secret": None}, None) == ("a.b.c", None)
    assert read(FORM | {"client_id": [None], "client_secret": [None]}, None) == ("a.b.c", None)


@pytest.mark.parametrize("nothing", ["", b"", None, [], [""], ["", ""]])
def test_a_parameter_without_a_value_counts_as_omitted(nothing: Any) -> None:
    for form in (
        {"client_assertion": nothing},
        {"client_assertion_type": nothing},
        {"client_assertion": nothing, "client_assertion_type": nothing},
    ):
        assert read(form, None) is None
    assert read(FORM | {"client_secret": nothing, "client_id": nothing}, None) == ("a.b.c", None)
    with pytest.raises(InvalidRequest, match="client_assertion beside client_assertion_type, and it is absent"):
        read(FORM | {"client_assertion": nothing}, None)
    with pytest.raises(InvalidRequest, match="expected client_assertion_type urn:.*, got none"):
        read(FORM | {"client_assertion_type": nothing}, None)


def test_a_value_beside_empty_ones_is_the_one_that_was_sent() -> None:
    assert read([*FORM.items(), ("client_id", ""), ("client_id", "c"), ("client_id", "")], None) == ("a.b.c", "c")
    assert read(FORM | {"client_id": ["", "c", ""]}, None) == ("a.b.c", "c")


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        (None, None),
        ("Basic eDp5", 'Basic realm="token"'),
        ("basic", 'basic realm="token"'),
        ("DPoP abc", "DPoP"),
        ("Bearer x, Basic y", "Bearer"),
        ("Private-Scheme x", "Private-Scheme"),
        ("DPOP", "DPOP"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", None),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc  ", None),
        (b"sk_live_4eC39HqLyjWDarjtT1zdp7dc", None),
        ('x" y', None),
        (",Basic x", None),
        ("", None),
        ("x" * 33 + " y", None),
        ("Basic\r\nSet-Cookie: a=b", None),
    ],
)
def test_the_scheme_that_was_tried_is_challenged_beside_ours(authorization: str | None, challenge: str | None) -> None:
    error = missing_assertion(authorization)
    assert (error.reason, error.check) == (Reason.MISSING_ASSERTION, "request")
    assert error.detail.startswith("expected client_assertion and client_assertion_type in the body")
    assert ("absent or empty; it has" in error.detail) is (authorization is not None)
    assert ("; it has an Authorization header" in error.detail) is (authorization is not None)
    header = error.to_response().headers["WWW-Authenticate"]
    assert header == 'PrivateKeyJWT error="invalid_client"' + (f", {challenge}" if challenge else "")


@pytest.mark.parametrize(
    "scheme", ["Basic", "Bearer", "Digest", "DPoP", "GNAP", "HOBA", "Mutual", "Negotiate", "PrivateToken"]
)
def test_a_registered_scheme_is_one_also_where_nothing_follows(scheme: str) -> None:
    assert attempted_scheme(scheme) == scheme
    assert attempted_scheme(f"{scheme}x") is None


@pytest.mark.parametrize(
    ("authorization", "named"),
    [
        ("DPoP abc", "an Authorization header (DPoP)"),
        (b"DPoP \xe9", "an Authorization header (DPoP)"),
        ("", "an Authorization header (empty)"),
        (" ", "an Authorization header (empty)"),
        (b"\xe9", "an Authorization header"),
    ],
)
def test_a_header_field_in_place_of_an_assertion_is_named_by_its_scheme(authorization: Any, named: str) -> None:
    """ASGI has its bytes, which are Latin-1."""
    for error in (missing_assertion(authorization), raised(lambda: read({}, authorization, optional=False))):
        assert error.detail.endswith(f"absent or empty; it has {named} in its place{UNNAMED}")


def test_a_header_field_that_is_no_text_is_named_by_its_type() -> None:
    for error in (raised(lambda: missing_assertion(7)), raised(lambda: read({}, 7))):  # type: ignore[arg-type]
        assert error.detail == f"expected the Authorization header field as text, got int{UNNAMED}"


class Raising(dict[str, str]):
    """A form that can be read once."""

    read = False

    def items(self) -> Any:
        if self.read:
            raise RuntimeError
        self.read = True
        return super().items()

    def lists(self) -> Any:
        return self.items()


@pytest.mark.parametrize(
    ("form", "ending"),
    [
        ({}, "absent or empty; it has no parameter at all: was the body empty, or read before?"),
        ({"grant_type": "x", "scope": "y"}, "absent or empty; its parameters: grant_type, scope"),
        ([("resource", "a"), ("resource", "b")], "; its parameters: resource"),
        ({"assertion": "x"}, "; its parameters: assertion; assertion is that of a grant (RFC 7521 section 4.1)"),
        ([(f"p{number}", "x") for number in range(6)], "; its parameters: p0, p1, p2, p3, 2 more"),
        ([('"client_secret": "s3cret"', "")], "; its parameters: 1 that are no names"),
        ([('{"client_secret": "s3cret"}', "")], "absent or empty; the body is JSON, and must be a form"),
        ([(' \r\n{\n  "client_secret": "s3cret', '"}')], "absent or empty; the body is JSON, and must be a form"),
        ([("{s3cret", "")], "; its parameters: 1 that are no names"),
        ([("a", ""), ('{"', "")], "; its parameters: a, 1 more"),
        ([("x" * 33, ""), ("Scope", ""), ("a", "")], "; its parameters: a, 2 more"),
        ([(b"grant_type", b"x")], "; its parameters: grant_type"),
    ],
)
def test_a_request_without_an_assertion_says_which_parameters_came(form: Any, ending: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        read(form, None, optional=False)
    assert caught.value.detail.endswith(ending + UNNAMED), caught.value.detail
    assert missing_assertion(None, form).detail == caught.value.detail
    assert "s3cret" not in caught.value.detail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("amp;client_assertion", "it has 'amp;client_assertion': & was escaped as HTML"),
        ("AMP;amp;client_assertion_type", "it has 'AMP;amp;client_assertion_type': & was escaped as HTML"),
        ("\nclient_assertion", "it has '\\nclient_assertion': white space stands around the name"),
        ("client_assertion_type\t", "it has 'client_assertion_type\\t': white space stands around the name"),
        ("clientAssertion", "client_assertion is written 'clientAssertion'"),
        ("client_assertion[]", "client_assertion is written 'client_assertion[]'"),
        ('"client_assertion"', "client_assertion is written '\"client_assertion\"'"),
        ("\ufeffclient_assertion", "it has '\\ufeffclient_assertion': a byte order mark stands in front of the body"),
        (
            "\0c\0l\0i\0e\0n\0t\0_\0a\0s\0s\0e\0r\0t\0i\0o\0n",
            "client_assertion is written with NUL characters: is the body UTF-16?",
        ),
        (
            "grant_type=x&client_assertion_type=y&client_assertion=a.b.c",
            "the whole body is the name of a parameter: it was percent-encoded once too often",
        ),
        ("Client_Assertion", "client_assertion is written 'Client_Assertion'"),
        (" client - assertion_Type", "client_assertion_type is written ' client - assertion_Type'"),
        (
            "client_assertion" + "_" * 48,
            "client_assertion is written 'client_assertion" + "_" * 19 + "..." + "_" * 24 + "'",
        ),
    ],
)
def test_a_parameter_that_is_misspelt_is_said_to_be(name: str, said: str) -> None:
    form = {"grant_type": "x", name: "s3cret", "client_id": "c"}
    sender = "; client 'c' (unverified)"
    for error in (raised(lambda: read(form, None, optional=False)), missing_assertion(None, form)):
        assert error.detail.endswith(f"both are absent or empty; {said}{sender}")
    in_place = raised(lambda: read(form, "DPoP x", optional=False)).detail
    assert in_place.endswith(f"; it has an Authorization header (DPoP) in its place; {said}{sender}")
    half = raised(lambda: read(form | {"client_assertion": "a"}, None)).detail
    assert half == f"expected client_assertion_type {ASSERTION_TYPE}, got none; {said}{sender}"
    other = raised(lambda: read(form | {"client_assertion_type": ASSERTION_TYPE}, None)).detail
    fault = "expected client_assertion beside client_assertion_type, and it is absent or empty"
    assert other == f"{fault}; {said}{sender}"


@pytest.mark.parametrize(
    "name", ["client_assertion" + "_" * 49, "client_assertions", "client_assertion", "client.assertion"]
)
def test_a_parameter_that_is_another_is_not_called_misspelt(name: str) -> None:
    detail = missing_assertion(None, {name: ""}).detail
    assert "; its parameters: " in detail
    assert "written" not in detail


def test_half_an_assertion_is_refused_with_the_names_that_came() -> None:
    form = {"grant_type": "x", "client_assertion_type": ASSERTION_TYPE, "client_asertion": "a.b.c"}
    detail = raised(lambda: read(form, None)).detail
    assert "; its parameters: grant_type, client_assertion_type, client_asertion; no client" in detail
    detail = raised(lambda: read({"client_assertion": "a.b.c", "assertion_type": ASSERTION_TYPE}, None)).detail
    assert detail.endswith(f"got none; its parameters: client_assertion, assertion_type{UNNAMED}")


@pytest.mark.parametrize(
    ("kind", "hint"),
    [
        (f'"{ASSERTION_TYPE}"', "it is a text in quotes"),
        ("undefined", "it is what JavaScript writes for a missing value"),
        ("${TYPE}", "it is a placeholder that was not filled in"),
        (ASSERTION_TYPE.replace(":", "%3A"), "it was percent-encoded once too often"),
    ],
)
def test_a_type_that_is_another_is_said_what_it_is(kind: str, hint: str) -> None:
    detail = raised(lambda: read(FORM | {"client_assertion_type": kind}, None)).detail
    assert detail.endswith(f"; {hint}{UNNAMED}")


@pytest.mark.parametrize("make", [iter, Raising])
def test_a_form_that_can_be_read_once_is_not_described(make: Callable[[Any], Any]) -> None:
    with pytest.raises(InvalidClient, match=f"absent or empty{UNNAMED}$"):
        read(make([("grant_type", "x")]), None, optional=False)


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        ("x", "got 'x'"),
        (ASSERTION_TYPE.upper(), f"got '{ASSERTION_TYPE.upper()}'; only the case differs"),
        (f"{ASSERTION_TYPE} ", f"got '{ASSERTION_TYPE} '; white space stands around it"),
    ],
)
def test_a_wrong_assertion_type_says_how_it_differs(kind: str, ending: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(FORM | {"client_assertion_type": kind}, None)
    assert caught.value.detail == f"expected client_assertion_type {ASSERTION_TYPE}, {ending}{UNNAMED}"


@pytest.mark.parametrize("name", ["clientId", "Client_ID", "client-secret"])
def test_a_misspelt_parameter_that_is_none_of_an_assertion_is_not_said_to_be_meant(name: str) -> None:
    detail = missing_assertion(form=[(name, "x"), ("grant_type", "x")]).detail
    assert "written" not in detail
    assert "its parameters: " in detail
