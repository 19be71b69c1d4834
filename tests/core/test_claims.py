"""Step 3: the claims."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from private_key_jwt import AssertionPolicy, InvalidClient, Reason
from private_key_jwt._core import claims as step
from private_key_jwt._core import describe
from private_key_jwt._core.header import Header
from private_key_jwt._text import quote
from support import raising

NOW = 1_700_000_000
OP = "https://as.example"
TOKEN_ENDPOINT = "https://as.example/token"
POLICY = AssertionPolicy(
    audience=[OP, TOKEN_ENDPOINT],
    leeway=15,
    max_lifetime=300,
    require_iat=False,
    require_kid=False,
    require_typ=False,
)
UNSET = object()


def plain(alg: str, kid: str | None, typ: str | None) -> Header:
    """A header without members that mean nothing here."""
    return Header(alg, kid, typ, has_others=False)


def claims(**changes: Any) -> dict[str, Any]:
    valid = {"iss": "client-1", "sub": "client-1", "aud": OP, "exp": NOW + 60, "iat": NOW, "jti": "j1"}
    return {name: value for name, value in (valid | changes).items() if value is not UNSET}


def refusal(call: Any, *args: Any, **kwargs: Any) -> tuple[Reason, str | None]:
    with pytest.raises(InvalidClient) as caught:
        call(*args, **kwargs)
    assert caught.value.detail
    return caught.value.reason, caught.value.check


# Who


def test_iss_and_sub_name_the_client() -> None:
    assert step.identify(claims(), None) == "client-1"
    for client_id in ("client-1", raising(str)("client-1")):
        assert step.identify(claims(), client_id) == "client-1"


@pytest.mark.parametrize("name", ["iss", "sub"])
def test_iss_and_sub_are_required_strings(name: str) -> None:
    assert refusal(step.identify, claims(**{name: UNSET}), None) == (Reason.MISSING_CLAIM, name)
    for value in (None, "", 1, True, ["client-1"], {"client-1": 1}):
        assert refusal(step.identify, claims(**{name: value}), None) == (Reason.INVALID_CLAIM, name)


class EqualsAll:
    def __eq__(self, _other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


def test_a_client_id_that_says_it_equals_everything_is_no_string() -> None:
    anything: Any = EqualsAll()
    assert refusal(step.identify, claims(), anything) == (Reason.CLIENT_MISMATCH, "client_id")


def test_iss_and_sub_must_be_equal() -> None:
    assert refusal(step.identify, claims(sub="client-2"), None) == (Reason.CLIENT_MISMATCH, "sub")
    assert refusal(step.identify, claims(iss="client-2"), "client-1") == (Reason.CLIENT_MISMATCH, "sub")


@pytest.mark.parametrize("client_id", ["client-2", "client-1 ", "CLIENT-1", "", "\ud800", 1, b"client-1"])
def test_the_client_id_of_the_request_must_be_the_same(client_id: Any) -> None:
    assert refusal(step.identify, claims(), client_id) == (Reason.CLIENT_MISMATCH, "client_id")


def test_a_client_id_that_cannot_even_be_printed_is_another() -> None:
    assert refusal(step.identify, claims(), 10**5_000) == (Reason.CLIENT_MISMATCH, "client_id")


# What this client may do


def check_rules(header: Header, policy: AssertionPolicy = POLICY, require_kid: bool = False) -> None:
    step.check_client_rules(header, policy, ("RS256",), require_kid=require_kid)


@pytest.mark.parametrize("alg", ["none", "NONE", "HS256", "PS256", "rs256", "RS256 ", ""])
def test_only_a_registered_alg_is_taken(alg: str) -> None:
    check_rules(plain("RS256", None, None))
    assert refusal(check_rules, plain(alg, "k", None)) == (Reason.UNSUPPORTED_ALG, "signing_algs")


def test_either_name_of_ed25519_is_taken_for_the_other() -> None:
    for alg, other in (("EdDSA", "Ed25519"), ("Ed25519", "EdDSA")):
        step.check_client_rules(plain(alg, None, None), POLICY, (other,), require_kid=False)


def test_a_kid_can_be_required_by_client_and_by_policy() -> None:
    header = plain("RS256", None, None)
    strict = replace(POLICY, require_kid=True)
    assert refusal(check_rules, header, require_kid=True) == (Reason.MISSING_KID, "require_kid")
    assert refusal(check_rules, header, strict) == (Reason.MISSING_KID, "require_kid")
    check_rules(plain("RS256", "k", None), strict, require_kid=True)


def test_a_typ_can_be_required() -> None:
    strict = replace(POLICY, require_typ=True)
    check_rules(plain("RS256", None, "client-authentication+jwt"), strict)
    for typ in (None, "jwt"):
        assert refusal(check_rules, plain("RS256", None, typ), strict) == (Reason.UNSUPPORTED_TYP, "require_typ")


@pytest.mark.parametrize(
    ("refuse", "words"),
    [
        (lambda: step.identify(claims(iss=["x"]), None), "expected iss to be a non-empty string, got ['x']"),
        (lambda: step.identify(claims(sub=7), None), "expected sub to be a non-empty string, got 7"),
        (lambda: step.identify(claims(sub="client-2"), None), "got 'client-1' and 'client-2'"),
        (lambda: step.identify(claims(), "client-2"), "the client_id of the request, 'client-2', got 'client-1'"),
        (
            lambda: step.check_client_rules(plain("HS256", None, None), POLICY, ("RS256", "ES256"), require_kid=False),
            "expected alg RS256 or ES256 (the client's signing_algs), got 'HS256'",
        ),
        (lambda: check_rules(plain("RS256", None, None), require_kid=True), "expected a kid in the header"),
        (
            lambda: check_rules(plain("RS256", None, "jwt"), replace(POLICY, require_typ=True)),
            "expected typ client-authentication+jwt (require_typ), got 'jwt'",
        ),
        (
            lambda: check_rules(plain("RS256", None, None), replace(POLICY, require_typ=True)),
            "expected typ client-authentication+jwt (require_typ), got none",
        ),
        (
            lambda: step.identify(claims(sub=None), None),
            "expected sub to be a non-empty string, got null",
        ),
        (
            lambda: step.check_audience(claims(aud=[None]), POLICY),
            "expected aud to be a string or a list of strings, got [null]",
        ),
        (lambda: step.check_audience(claims(aud=7), POLICY), "a string or a list of strings, got 7"),
        (lambda: step.check_jti(claims(jti=[1])), "expected jti to be a non-empty string, got [1]"),
    ],
)
def test_a_refusal_quotes_what_came_and_what_was_expected(refuse: Callable[[], object], words: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        refuse()
    assert words in caught.value.detail


@pytest.mark.parametrize(
    ("alg", "hint"),
    [
        ("rs256", ": only the case differs"),
        ("ES256 ", ": only white space around it differs"),
        ("'RS256'", ": only quotes around it differ"),
        ("PS256", ": register the client for it, or let it sign with RS256"),
        ("none", ": it is not signed"),
        ("HS256", ": its key is a secret, and a client needs a key pair of its own"),
        ("XS256", ""),
    ],
)
def test_an_alg_that_is_not_the_clients_is_said_to_differ_by_so_much(alg: str, hint: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        step.check_client_rules(plain(alg, None, None), POLICY, ("RS256", "ES256"), require_kid=False)
    got = f"got {alg!r}" if "'" not in alg else "got \"'RS256'\""
    assert caught.value.detail == f"expected alg RS256 or ES256 (the client's signing_algs), {got}{hint}"


@pytest.mark.parametrize(
    ("named", "hint"),
    [
        (" client-1\n", ": only white space around it differs"),
        ('"client-1"', ": only quotes around it differ"),
        ("Client-1", ": only the case differs"),
        ("client-2", ""),
        (7, ""),
    ],
)
def test_a_client_id_that_differs_in_little_is_said_to(named: object, hint: str) -> None:
    whole = [f"of the request, {quote(named)}, got 'client-1'{hint}"]
    cases = [claims()]
    if isinstance(named, str):
        whole.append(f"both the client_id, got {quote(named)} and 'client-1'{hint}")
        cases.append(claims(iss=named))
    for given, end in zip(cases, whole, strict=True):
        with pytest.raises(InvalidClient) as caught:
            step.identify(given, named if given == claims() else None)  # type: ignore[arg-type]
        assert caught.value.detail.endswith(end)


# For whom


@pytest.mark.parametrize(
    ("aud", "string", "sole", "member"),
    [
        (OP, True, True, True),
        (TOKEN_ENDPOINT, True, True, True),
        ([OP], False, True, True),
        ([OP, "https://evil.example"], False, False, True),
        (["https://evil.example", OP], False, False, True),
        ([OP, TOKEN_ENDPOINT], False, False, True),
        ([OP, OP], False, False, True),
        ("https://evil.example", False, False, False),
        (["https://evil.example"], False, False, False),
        ([""], False, False, False),
    ],
)
def test_each_audience_rule(aud: Any, string: bool, sole: bool, member: bool) -> None:
    for rule, accepted in (("string", string), ("sole", sole), ("member", member)):
        policy = AssertionPolicy(audience=[OP, TOKEN_ENDPOINT], audience_rule=rule)  # type: ignore[arg-type]
        if accepted:
            assert step.check_audience(claims(aud=aud), policy) in (OP, TOKEN_ENDPOINT)
        else:
            assert refusal(step.check_audience, claims(aud=aud), policy) == (Reason.AUDIENCE_MISMATCH, "aud")


def test_the_value_that_matched_is_told() -> None:
    policy = AssertionPolicy(audience=[OP, TOKEN_ENDPOINT], audience_rule="member")
    assert step.check_audience(claims(aud=["https://x.example", TOKEN_ENDPOINT]), policy) == TOKEN_ENDPOINT


@pytest.mark.parametrize(
    "aud",
    ["https://as.example/", "HTTPS://AS.EXAMPLE", "https://as.example:443", "https://as.example.evil",
     "https://as.exampl", " https://as.example", "https://as.example\0", "https://as.example\u200b"],
)  # fmt: skip
def test_an_audience_is_compared_code_point_for_code_point(aud: str) -> None:
    assert refusal(step.check_audience, claims(aud=aud), POLICY) == (Reason.AUDIENCE_MISMATCH, "aud")


@pytest.mark.parametrize("rule", ["string", "sole", "member"])
def test_an_audience_is_a_string_or_a_list_of_strings(rule: Any) -> None:
    policy = AssertionPolicy(audience=OP, audience_rule=rule)
    assert refusal(step.check_audience, claims(aud=UNSET), policy) == (Reason.MISSING_CLAIM, "aud")
    auds: list[Any] = [None, "", [], 1, {}, True, [[OP]], [OP, 1], [None, OP], [1]]
    for aud in auds:
        assert refusal(step.check_audience, claims(aud=aud), policy) == (Reason.INVALID_CLAIM, "aud")


@pytest.mark.parametrize(
    ("aud", "taken"),
    [
        (OP, OP),
        ([OP], OP),
        ([OP, TOKEN_ENDPOINT], OP),
        ([TOKEN_ENDPOINT, OP], TOKEN_ENDPOINT),
        ([OP, OP], OP),
        ([OP, "https://evil.example"], None),
        (["https://evil.example", OP], None),
        ([OP, TOKEN_ENDPOINT, "https://as.example/"], None),
        (["https://evil.example"], None),
    ],
)
def test_by_the_rule_all_every_value_must_be_ours(aud: Any, taken: str | None) -> None:
    policy = AssertionPolicy(audience=[OP, TOKEN_ENDPOINT], audience_rule="all")
    if taken is None:
        assert refusal(step.check_audience, claims(aud=aud), policy) == (Reason.AUDIENCE_MISMATCH, "aud")
    else:
        assert step.check_audience(claims(aud=aud), policy) == taken


def audience_detail(aud: Any, ours: Any = (OP, f"{OP}/t"), rule: Any = "sole") -> str:
    with pytest.raises(InvalidClient) as caught:
        step.check_audience(claims(aud=aud), AssertionPolicy(audience=ours, audience_rule=rule))
    return caught.value.detail


@pytest.mark.parametrize(
    ("rule", "aud", "words"),
    [
        ("sole", f"{OP}/", f"got aud '{OP}/', expected '{OP}' or '{OP}/t'; only the slash at the end differs"),
        ("sole", "https://AS.example", "only the case differs"),
        ("sole", f" {OP}", "white space stands around it"),
        ("sole", f"{OP}/token", "is the issuer meant, or the token endpoint?"),
        (
            "sole",
            "urn:x",
            f"got aud 'urn:x', expected '{OP}' or '{OP}/t'; it names another server: the client must name this one",
        ),
        ("string", [OP], f"got aud ['{OP}'], expected a string, not a list: send '{OP}'"),
        ("string", ["urn:x"], f"expected a string, not a list: send '{OP}'"),
        ("sole", [OP, "https://x.example"], f"got 2, of which only '{OP}' is accepted: send that alone"),
        (
            "sole",
            ["urn:x", "urn:y"],
            f"expected a single audience, got 2, of which none is accepted: send '{OP}' alone",
        ),
        (
            "sole",
            [OP, OP],
            "expected a single audience, got 2, all accepted:"
            f" audience_rule='all' takes such lists, or send '{OP}' alone",
        ),
        ("all", [OP, "https://x.example"], "'https://x.example' is not accepted, and all must be"),
    ],
)
def test_a_wrong_audience_is_described_beside_what_was_expected(rule: Any, aud: Any, words: str) -> None:
    detail = audience_detail(aud, rule=rule)
    assert detail.endswith(words)
    assert detail.startswith(f"got aud {quote(aud)}, ")


def test_accepted_audiences_are_named_in_one_order_and_counted_when_there_are_many() -> None:
    audiences = [f"https://{letter}.example" for letter in "fedcba"]
    assert "expected 'https://a.example' or 'https://b.example' or 4 more" in audience_detail("urn:x", audiences)


def test_a_slash_at_our_end_is_seen_too() -> None:
    assert audience_detail(OP, f"{OP}/").endswith("only the slash at the end differs")
    assert "slash" not in audience_detail(OP, f"{OP}X")
    assert "is the issuer meant" in audience_detail(TOKEN_ENDPOINT, f"{OP}/")
    assert "is the issuer meant" not in audience_detail(TOKEN_ENDPOINT, f"{OP}X")


def test_the_difference_is_the_one_to_the_nearest_audience() -> None:
    assert "they differ at character 7: " in audience_detail("https:?/as.example", ("urn:zzz", OP))


@pytest.mark.parametrize(("aud", "near"), [("abc?????", False), ("abcd????", True)])
def test_a_difference_is_shown_where_half_is_the_same(aud: str, near: bool) -> None:
    assert ("they differ" in audience_detail(aud, "abcdefgh")) is near


def test_the_surroundings_of_a_difference_are_12_characters_before_and_after_it() -> None:
    letters = "".join(chr(ord("a") + number % 26) for number in range(60))
    detail = audience_detail(f"{letters[:30]}!{letters[31:]}", letters)
    assert f"they differ at character 31: '{letters[18:30]}!{letters[31:42]}' is not '{letters[18:42]}'" in detail


def test_an_audience_that_can_be_sent_alone_is_the_first() -> None:
    assert audience_detail([TOKEN_ENDPOINT, OP], (OP, TOKEN_ENDPOINT)).endswith(f"or send '{TOKEN_ENDPOINT}' alone")


LONG = "https://login.example-identity-provider.com/tenants/0f8fad5b-d9cb-469f-a165-70867728950e/v2.0"


@pytest.mark.parametrize("place", range(len(LONG)))
def test_two_long_audiences_that_differ_anywhere_differ_in_the_detail(place: int) -> None:
    theirs = f"{LONG[:place]}~{LONG[place + 1 :]}"
    detail = audience_detail(theirs, LONG)
    assert f"they differ at character {place + 1}: " in detail
    _, got, _, expected, *_ = detail.partition("they differ")[2].split("'")
    assert got != expected


# When


def times(policy: AssertionPolicy = POLICY, **changes: Any) -> tuple[float | None, float]:
    return step.check_times(claims(**changes), policy, NOW)


def test_times_are_told() -> None:
    assert times() == (NOW, NOW + 60)
    assert times(iat=UNSET) == (None, NOW + 60)
    assert times(exp=NOW + 60.5, iat=NOW - 0.5) == (NOW - 0.5, NOW + 60.5)


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - 14, "iat": NOW - 60},
        {"exp": NOW - 14.999, "iat": NOW - 60},
        {"exp": NOW + 315, "iat": NOW + 15},
        {"exp": NOW + 315, "iat": UNSET},
        {"iat": NOW + 15},
        {"nbf": NOW + 15},
        {"nbf": NOW + 8, "iat": NOW + 8},
        {"nbf": 0},
        {"nbf": NOW + 60, "exp": NOW + 60} | {"nbf": NOW + 10},
        {"iat": NOW, "exp": NOW + 300},
        {"iat": NOW - 15, "exp": NOW + 300},
        {"iat": NOW, "exp": NOW},
    ],
)
def test_times_within_the_bounds(changes: dict[str, Any]) -> None:
    times(**changes)


@pytest.mark.parametrize(
    ("changes", "reason", "check"),
    [
        ({"exp": NOW - 15}, Reason.EXPIRED, "exp"),
        ({"exp": NOW - 16}, Reason.EXPIRED, "exp"),
        ({"exp": 0}, Reason.EXPIRED, "exp"),
        ({"exp": NOW + 316, "iat": UNSET}, Reason.LIFETIME_TOO_LONG, "exp"),
        ({"exp": NOW + 315.001, "iat": UNSET}, Reason.LIFETIME_TOO_LONG, "exp"),
        ({"exp": 2**53, "iat": UNSET}, Reason.LIFETIME_TOO_LONG, "exp"),
        ({"iat": NOW - 256}, Reason.LIFETIME_TOO_LONG, "lifetime"),
        ({"iat": 0}, Reason.LIFETIME_TOO_LONG, "lifetime"),
        ({"iat": NOW + 15.5}, Reason.NOT_YET_VALID, "iat"),
        ({"iat": NOW + 62}, Reason.NOT_YET_VALID, "iat"),
        ({"nbf": NOW + 62, "exp": NOW + 122}, Reason.NOT_YET_VALID, "nbf"),
        ({"iat": NOW + 5, "exp": NOW + 4}, Reason.INVALID_CLAIM, "iat"),
        ({"nbf": NOW + 5, "exp": NOW + 4}, Reason.INVALID_CLAIM, "nbf"),
        ({"exp": UNSET}, Reason.MISSING_CLAIM, "exp"),
    ],
)
def test_times_outside_the_bounds(changes: dict[str, Any], reason: Reason, check: str) -> None:
    assert refusal(times, **changes) == (reason, check)


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", ["x", "1700000060", None, True, False, [], {}, -1, -0.5, 2**53 + 1, 10**19, 1e300])
def test_a_time_that_is_present_is_a_number_in_range(name: str, value: Any) -> None:
    assert refusal(times, **{name: value}) == (Reason.INVALID_CLAIM, name)


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [("x", "to be a number"), (True, "to be a number"), (-1, "from 0 to 2^53"), (-0.5, "from 0 to 2^53")],
)
def test_a_time_that_is_none_is_quoted_beside_what_is_taken(name: str, value: Any, expected: str) -> None:
    with pytest.raises(InvalidClient) as caught:
        times(**{name: value})
    assert caught.value.detail.startswith(f"expected {name} {expected}")
    assert caught.value.detail.endswith(f", got {'true' if value is True else repr(value)}")


@pytest.mark.parametrize("last", [2**53, 2.0**53])
def test_the_last_time_is_one(last: float) -> None:
    assert refusal(times, nbf=last) == (Reason.NOT_YET_VALID, "nbf")
    assert refusal(times, iat=last) == (Reason.NOT_YET_VALID, "iat")
    assert refusal(times, exp=last) == (Reason.LIFETIME_TOO_LONG, "exp")


def test_a_clock_that_gives_no_number_lets_nobody_in() -> None:
    assert refusal(step.check_times, claims(), POLICY, float("nan")) == (Reason.EXPIRED, "exp")
    assert refusal(step.check_not_expired, NOW, 15, float("nan")) == (Reason.EXPIRED, "exp")


def test_an_assertion_expires_when_the_leeway_after_exp_is_over() -> None:
    step.check_not_expired(NOW - 14.999, 15, NOW)
    for exp in (NOW - 15, NOW - 16):
        assert refusal(step.check_not_expired, exp, 15, NOW) == (Reason.EXPIRED, "exp")
    with pytest.raises(InvalidClient, match="expired 42 s ago, leeway 15 s: exp is 2023-11-14T22:12:38Z, and"):
        step.check_not_expired(NOW - 42, 15, NOW)


def test_iat_can_be_required() -> None:
    strict = replace(POLICY, require_iat=True)
    assert times(strict) == (NOW, NOW + 60)
    assert refusal(times, strict, iat=UNSET) == (Reason.MISSING_CLAIM, "iat")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"exp": NOW - 42, "iat": UNSET}, ["expired 42 s ago, leeway 15 s", "clock slow?", "2023-11-14T22:12:38Z"]),
        (
            {"exp": NOW - 70, "iat": NOW - 130},
            ["now; made 130 s ago for 60 s, sent late, sent again, or is the sender's clock slow?"],
        ),
        ({"exp": NOW - 70, "iat": NOW}, ["now; sent late"]),
        ({"exp": NOW - 70, "iat": "x"}, ["now; sent late"]),
        ({"exp": NOW - 70, "iat": True}, ["now; sent late"]),
        ({"exp": NOW - 70, "iat": -1}, ["now; sent late"]),
        ({"exp": NOW - 2 * 3_600 + 60, "iat": UNSET}, ["off by 2 h: is a time zone the cause, or was it sent again?"]),
        (
            {"exp": NOW - 3_600 * 5.5 + 60, "iat": UNSET},
            ["off by 5.5 h: is a time zone the cause, or was it sent again?"],
        ),
        ({"exp": 300, "iat": UNSET}, ["exp is 1970-01-01T00:05:00Z, and", "it looks like a duration, not a point in"]),
        ({"exp": (NOW + 60) * 1_000}, ["it looks like milliseconds"]),
        ({"nbf": NOW * 10**9}, ["expected nbf from 0 to 2^53, got 17", "nanoseconds (2023-11-14T22:13:20Z), and must"]),
        (
            {"exp": NOW + 3_600 + 60},
            ["2023-11-14T23:14:20Z", "22:13:20Z now; make it shorter, or raise max_lifetime"],
        ),
        (
            {"exp": NOW + 3_600 + 60, "iat": NOW + 3_600},
            ["22:13:20Z now; it is off by 1 h: is a time zone the cause?"],
        ),
        (
            {"exp": NOW + 3_600 + 60, "iat": UNSET},
            ["off by 1 h: is a time zone the cause? Or make it shorter, or raise max_lifetime"],
        ),
        (
            {"exp": NOW + 3_600 + 60, "iat": NOW - 600},
            ["exp is 2023-11-14T23:14:20Z, and", "22:13:20Z now; make it shorter, or raise max_lifetime"],
        ),
        (
            {"iat": NOW + 400, "exp": NOW + 460},
            ["got 460 s", "it lives 60 s from iat, which is 400 s ahead: is the sender's clock fast, or ours slow?"],
        ),
        ({"iat": NOW + 16, "exp": NOW + 331}, ["it lives 315 s from iat, which is 16 s ahead"]),
        ({"iat": NOW + 16, "exp": NOW + 332}, ["got 332 s", "raise max_lifetime"]),
        ({"iat": NOW + 15, "exp": NOW + 320}, ["got 320 s", "raise max_lifetime"]),
        ({"iat": "x", "exp": NOW + 400}, ["got 400 s", "raise max_lifetime"]),
        ({"exp": NOW + 600}, ["got 600 s", "raise max_lifetime"]),
        ({"exp": NOW + 400}, ["expected exp at most 300 s ahead (leeway 15 s), got 400 s", "raise max_lifetime"]),
        ({"iat": NOW - 300}, ["expected exp at most 300 s after iat (leeway 15 s), got 360 s", "raise max_lifetime"]),
        (
            {"iat": NOW - 86_400},
            [
                "got 86460 s: iat is 2023-11-13T22:13:20Z, and exp is 2023-11-14T22:14:20Z",
                "is old: was it computed once",
            ],
        ),
        ({"iat": 0}, ["exp is 2023-11-14T22:14:20Z; iat is 0: unset?"]),
        ({"iat": NOW + 42}, ["iat is 42 s ahead, leeway 15 s", "clock fast, or ours slow?", "2023-11-14T22:14:02Z"]),
        (
            {"nbf": NOW + 42},
            ["nbf is 42 s ahead, leeway 15 s", "clock fast, or ours slow?", "2023-11-14T22:13:20Z now"],
        ),
        ({"iat": NOW * 1_000}, ["it looks like milliseconds"]),
        ({"nbf": NOW + 7_200}, ["nbf is 2023-11-15T00:13:20Z, and", "off by 2 h: is a time zone the cause?"]),
        ({"nbf": NOW + 7_201}, ["is the sender's clock fast, or ours slow?"]),
        ({"iat": NOW + 12, "exp": NOW + 5}, ["expected iat not after exp, and it is 7 s after it"]),
        ({"nbf": NOW + 12, "exp": NOW + 5}, ["expected nbf not after exp, and it is 7 s after it"]),
    ],
)
def test_a_time_out_of_bounds_is_described_with_what_it_looks_like(changes: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(InvalidClient) as caught:
        times(**changes)
    for each in words:
        assert each in caught.value.detail


def test_so_many_seconds_that_nobody_sees_what_they_are_are_years_too() -> None:
    for changes, words in (
        ({"exp": NOW - 3 * 31_557_600}, f"expired {3 * 31_557_600} s ago, leeway"),
        ({"exp": NOW - 4 * 31_557_600}, f"expired {4 * 31_557_600} s (4 years) ago, leeway"),
        ({"exp": 300, "iat": UNSET}, f"expired {NOW - 300} s (54 years) ago, leeway"),
        ({"iat": 0}, "s (54 years): iat is 1970-01-01T00:00:00Z, and exp is 2023-11-14T22:14:20Z; iat"),
    ):
        with pytest.raises(InvalidClient) as caught:
            times(**changes)
        assert words in caught.value.detail


def test_microseconds_are_told_from_milliseconds() -> None:
    for unit, factor in (("milliseconds", 10**3), ("microseconds", 10**6)):
        with pytest.raises(InvalidClient) as caught:
            times(exp=(NOW + 60) * factor, iat=UNSET)
        assert f"it looks like {unit} (2023-11-14T22:14:20Z), and must be seconds" in caught.value.detail


def test_an_expiry_in_milliseconds_is_not_also_called_too_long() -> None:
    with pytest.raises(InvalidClient) as caught:
        times(exp=(NOW + 60) * 1_000, iat=UNSET)
    assert "got" not in caught.value.detail
    assert caught.value.detail.endswith("; it looks like milliseconds (2023-11-14T22:14:20Z), and must be seconds")


@pytest.mark.parametrize("name", ["iat", "nbf"])
def test_a_time_may_be_that_of_the_expiry(name: str) -> None:
    changes: dict[str, Any] = {name: NOW + 10, "exp": NOW + 10}
    assert times(**changes)[1] == NOW + 10


@pytest.mark.parametrize(
    "changes", [{}, {"iat": UNSET}, {"iat": NOW + 20}, {"nbf": NOW + 30}, {"iat": NOW - 200}, {"exp": NOW + 290.5}]
)
def test_the_window_of_an_assertion_is_when_its_times_are_taken(changes: dict[str, Any]) -> None:
    found = step.window(claims(**changes), POLICY)
    assert found is not None
    first, last = found
    for now in (first + 0.001, (first + last) / 2, last - 0.001):
        step.check_times(claims(**changes), POLICY, now)
    for now in (first - 0.001, last + 0.001):
        with pytest.raises(InvalidClient):
            step.check_times(claims(**changes), POLICY, now)


def test_a_window_begins_at_the_epoch_at_the_earliest() -> None:
    policy = replace(POLICY, leeway=0)
    assert step.window({"exp": 100}, policy) == (0, 100)


def test_there_is_no_window_without_times_that_fit() -> None:
    odd: list[dict[str, Any]] = [
        {"exp": UNSET},
        {"exp": "x"},
        {"iat": None},
        {"nbf": NOW + 999},
        {"iat": NOW - 900},
        {"iat": NOW + 65},
    ]
    assert [step.window(claims(**changes), POLICY) for changes in odd] == [None] * len(odd)


# Which one


def test_jti_is_a_string_of_at_most_256_bytes() -> None:
    for jti in ("j", "é" * 128, "\0", " "):
        assert step.check_jti(claims(jti=jti)) == jti
    odd: list[Any] = ["é" * 128 + "x", "j" * 257, "", None, 1, ["j"]]
    for value in odd:
        assert refusal(step.check_jti, claims(jti=value)) == (Reason.INVALID_CLAIM, "jti")
    assert refusal(step.check_jti, claims(jti=UNSET)) == (Reason.MISSING_CLAIM, "jti")


def test_a_clock_that_tells_no_time_gives_no_hint() -> None:
    assert describe.time_hint(NOW, float("inf"), 300) == ""


@pytest.mark.parametrize(
    ("value", "longest", "hint"),
    [
        (10**11, 300, ""),
        (10**11 + 1, 300, "milliseconds"),
        (10**8, 300, ""),
        (10**8 - 1, 300, "a duration"),
        (NOW + 14 * 3_600, 300, "off by 14 h"),
        (NOW + 14.5 * 3_600, 300, ""),
        (NOW - 3_600 - 60, 300, "off by 1 h"),
        (NOW - 3_600 - 61, 300, ""),
        (NOW + 3_600 + 300, 300, "off by 1 h"),
        (NOW + 3_600 + 301, 300, ""),
        (NOW + 3_600 + 600, 900, "off by 1 h"),
        (NOW + 3_600 + 601, 900, ""),
        (NOW + 300, 300, ""),
    ],
)
def test_a_time_looks_like_another_within_these_bounds(value: float, longest: float, hint: str) -> None:
    found = describe.time_hint(value, NOW, longest)
    assert hint in found
    assert bool(found) is bool(hint)
