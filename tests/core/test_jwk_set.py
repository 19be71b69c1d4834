"""Step 4: from a document to one key."""

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from private_key_jwt import InvalidClient, Reason
from private_key_jwt._core import jwk_set
from private_key_jwt._core.jwk_set import KeySet, NoKey, VerificationKey
from private_key_jwt._core.strict_json import TooMuchStructure
from support import ec_jwk, ec_key, integer, jwk, okp_jwk, okp_key, private_key

GOOD = jwk(kid="good")


def keys(*members: Any) -> KeySet:
    return jwk_set.key_set({"keys": list(members)}, 64)


def found(
    key_set: KeySet, kid: str | None, alg: str = "RS256", signing_algs: Sequence[str] = ("RS256",)
) -> VerificationKey | Reason:
    result = key_set.find(alg, kid, signing_algs)
    return result.reason if isinstance(result, NoKey) else result


def why(key_set: KeySet, kid: str | None, alg: str = "RS256", signing_algs: Sequence[str] = ("RS256",)) -> NoKey:
    result = key_set.find(alg, kid, signing_algs)
    assert isinstance(result, NoKey)
    return result


def nested(levels: int) -> Any:
    return {"deep": nested(levels - 1)} if levels else 1


ODD_MEMBERS: dict[str, Any] = {
    "no object": 1,
    "null": None,
    "a list": [],
    "empty": {},
    "kty a number": jwk(kty=1),
    "kty absent": jwk(kty=...),
    "n not base64url": jwk(n="!!!"),
    "n a number": jwk(n=5),
    "n absent": jwk(n=...),
    "use a number": jwk(use=1),
    "use enc": jwk(use="enc"),
    "alg a number": jwk(alg=1),
    "alg PS256": jwk(alg="PS256"),
    "alg RS512": jwk(alg="RS512"),
    "alg RSA-OAEP": jwk(alg="RSA-OAEP"),
    "key_ops a string": jwk(key_ops="verify"),
    "key_ops encrypt": jwk(key_ops=["encrypt"]),
    "key_ops odd": jwk(key_ops=[{"verify": 1}, ["verify"], None]),
    "oct": {"kty": "oct", "kid": "k1", "k": "AAAA"},
    "oct, empty": {"kty": "oct", "kid": "k1", "k": ""},
    "EC": {"kty": "EC", "kid": "k1", "crv": "P-256", "x": "AA", "y": "AA"},
    "unknown curve": {"kty": "OKP", "kid": "k1", "crv": "brainpool", "x": "AA"},
    "e of 2048 bits": jwk(e=integer(2**2_047 + 1)),
    "e = 3": jwk(e="Aw"),
    "1024 bits": jwk(private_key(bits=1_024)),
    "nested": jwk(n=nested(20)),
    "kid a number": jwk(kid=1),
    "kid of 257 bytes": jwk(kid="k" * 257),
    "kid of 129 characters and 258 bytes": jwk(kid="é" * 129),
    "kid a lone surrogate": jwk(kid="\ud800"),
} | {f"private {name}": jwk(**{name: "AA"}) for name in jwk_set.PRIVATE_MEMBERS}


@pytest.mark.parametrize("name", ODD_MEMBERS)
def test_an_odd_member_costs_itself_only(name: str) -> None:
    odd = ODD_MEMBERS[name]
    for key_set in (keys(odd, GOOD), keys(GOOD, odd)):
        key = found(key_set, "good")
        assert isinstance(key, VerificationKey)
        assert found(key_set, None) is key
        assert ["RS256" in member.algs for member in key_set.members].count(True) == 1
    assert found(keys(odd), None) is Reason.UNUSABLE_KEY
    if isinstance(odd, dict) and odd.get("kid") == "k1":
        assert found(keys(odd, GOOD), "k1") is Reason.UNUSABLE_KEY


def test_a_kid_names_one_key_exactly() -> None:
    key_set = keys(jwk(kid="a"), jwk(private_key(1), kid="A"))
    first, second = found(key_set, "a"), found(key_set, "A")
    assert isinstance(first, VerificationKey)
    assert isinstance(second, VerificationKey)
    assert first.public_key != second.public_key
    for kid in ("b", "a ", "", "k1' OR '1'='1", "../../../dev/null", "__proto__"):
        assert found(key_set, kid) is Reason.UNKNOWN_KID


def test_two_different_keys_under_one_kid_are_nobodys() -> None:
    pair = [jwk(), jwk(private_key(1))]
    assert found(keys(*pair), "k1") is Reason.AMBIGUOUS_KEY
    assert found(keys(*reversed(pair)), "k1") is Reason.AMBIGUOUS_KEY


def test_the_same_key_listed_twice_is_one_key() -> None:
    for members in ([jwk(), jwk()], [jwk(), jwk(alg=...)], [jwk(alg=...), jwk()], [jwk(), jwk(kid="k2")]):
        key_set = keys(*members)
        assert isinstance(found(key_set, "k1"), VerificationKey)
        assert isinstance(found(key_set, None), VerificationKey)


def test_an_unusable_namesake_is_passed_over() -> None:
    for odd in (jwk(private_key(1), use="enc"), ODD_MEMBERS["EC"]):
        assert isinstance(found(keys(odd, jwk()), "k1"), VerificationKey)
        assert isinstance(found(keys(jwk(), odd), "k1"), VerificationKey)


def test_without_a_kid_there_must_be_one_usable_key() -> None:
    assert isinstance(found(keys(jwk(kid=...)), None), VerificationKey)
    assert isinstance(found(keys(jwk()), None), VerificationKey)
    assert found(keys(jwk(), jwk(private_key(1), kid="k2")), None) is Reason.AMBIGUOUS_KEY
    assert found(keys(jwk(use="enc")), None) is Reason.UNUSABLE_KEY
    assert found(keys(), None) is Reason.NO_KEYS


def test_a_key_without_a_kid_has_no_name() -> None:
    assert found(keys(jwk(kid=...)), "k1") is Reason.UNKNOWN_KID


def test_a_set_says_how_many_keys_are_usable() -> None:
    assert repr(keys(jwk(), jwk(use="enc"))) == "<KeySet: 1 of 2 usable>"


def test_a_set_does_not_change_with_what_it_was_made_of() -> None:
    members = [jwk_set.read_member(jwk())]
    key_set = KeySet(members)
    members.clear()
    assert len(key_set.members) == len(key_set.usable) == 1


def test_an_empty_set_has_no_keys() -> None:
    assert found(keys(), "k1") is Reason.NO_KEYS


@pytest.mark.parametrize(
    "document",
    [{}, {"keys": None}, {"keys": {}}, {"keys": "x"}, {"Keys": []}, jwk(), {"keys": 1}],
)
def test_a_document_that_is_no_jwk_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="not a JWK Set"):
        jwk_set.loads_key_set(json.dumps(document).encode(), 64)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"x", b"<html>", b'{"keys": [], "keys": []}', b'{"keys": []}x'])
def test_a_body_that_is_no_strict_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="JSON|twice"):
        jwk_set.loads_key_set(body, 64)


def test_other_members_of_a_document_are_ignored() -> None:
    assert len(jwk_set.loads_key_set(json.dumps({"keys": [jwk()], "x": 1}).encode(), 64).members) == 1


ALL_MEMBERS = jwk(use="sig", key_ops=["verify"], x5u="https://op.example/x", x5t="A" * 27, iat=1, nbf=1.5, exp=2**40)
ALL_MEMBERS |= {"ext": True, "x5t#S256": "A" * 43, "x5c": ["/+" * 8]}


def test_64_keys_with_all_members_are_a_document() -> None:
    """Also where base64 is escaped, as PHP and .NET do, and a kid is a long number."""
    document = {"keys": [ALL_MEMBERS | {"kid": f"{number + 1:040}"} for number in range(64)], "x": 1}
    text = json.dumps(document).replace("/", "\\/").replace("+", "\\u002b")
    assert len(jwk_set.loads_key_set(text.encode(), 64).usable) == 64


@pytest.mark.parametrize(("unit", "most"), [("[],", 381), ('"",', 1_143), ("1.5,", 16)])
def test_what_would_cost_more_to_parse_than_its_keys_is_no_document(unit: str, most: int) -> None:
    def read(count: int) -> dict[str, Any]:
        return jwk_set.loads_document(f'{{"keys":[],"x":[{unit * count}1]}}'.encode(), 2)

    assert read(most)["keys"] == []
    with pytest.raises(TooMuchStructure):
        read(most + 1)


def test_what_is_html_is_said_to_be_that_whatever_it_holds() -> None:
    with pytest.raises(ValueError, match="it looks like HTML or XML"):
        jwk_set.loads_document(b"<html>" + b"{}" * 9_000, 64)


@pytest.mark.parametrize("kind", [list, tuple])
def test_the_members_of_a_document_are_a_list_of_their_own(kind: Any) -> None:
    document = {"keys": kind([1])}
    jwk_set.read_document(document, 64).append(2)
    assert jwk_set.read_document(document, 64) == [1]


def test_too_many_keys_refuse_the_document() -> None:
    assert len(keys(*[1] * 64).members) == 64
    with pytest.raises(ValueError, match="at most 64 keys \\(JWKSPolicy"):
        keys(*[1] * 65)


# One key, one algorithm

BOTH = ("RS256", "PS256")


def test_a_key_without_alg_serves_the_only_algorithm_that_it_fits() -> None:
    key_set = keys(jwk(alg=...))
    for signing_algs in (["RS256"], ["RS256", "ES256"], ["ES256", "RS256", "EdDSA", "Ed25519"]):
        key = found(key_set, "k1", "RS256", signing_algs)
        assert isinstance(key, VerificationKey)
        assert key.alg == "RS256"
        assert found(key_set, None, "RS256", signing_algs) is key
    assert isinstance(found(key_set, "k1", "PS512", ["PS512"]), VerificationKey)


@pytest.mark.parametrize("kid", ["k1", None])
def test_a_key_without_alg_serves_none_of_several_and_no_fetch_would_help(kid: str | None) -> None:
    for alg in BOTH:
        no_key = why(keys(jwk(alg=...)), kid, alg, BOTH)
        assert (no_key.reason, no_key.is_final) == (Reason.UNUSABLE_KEY, True)
        [fault] = no_key.faults
        assert f'add "alg": "{alg}" to the JWK' in fault
        assert "the client may use RS256 and PS256" in fault


def test_a_key_with_alg_serves_that_one_among_several() -> None:
    key_set = keys(jwk(alg="PS256"))
    assert isinstance(found(key_set, "k1", "PS256", BOTH), VerificationKey)
    no_key = why(key_set, "k1", "RS256", BOTH)
    assert (no_key.reason, no_key.is_final) == (Reason.UNUSABLE_KEY, False)
    assert no_key.faults == ("its alg is PS256, not RS256",)


def test_keys_of_one_kid_for_different_algorithms_are_no_duplicates() -> None:
    """One kid for each algorithm is common: the header's alg tells them apart."""
    key_set = keys(jwk(alg="RS256"), jwk(private_key(1), alg="PS256"), ec_jwk(ec_key()), okp_jwk(okp_key()))
    signing_algs = [*BOTH, "ES256", "EdDSA"]
    chosen = [found(key_set, "k1", alg, signing_algs) for alg in signing_algs]
    assert [key.alg for key in chosen if isinstance(key, VerificationKey)] == ["RS256", "PS256", "ES256", "Ed25519"]
    assert [found(key_set, None, alg, signing_algs) for alg in signing_algs] == chosen


def test_one_key_that_is_listed_for_two_algorithms_serves_those_its_client_is_registered_for() -> None:
    """Each member names one, and that both are one key is the publisher's word: a registration for one pins the key."""
    key_set = keys(jwk(alg="RS256"), jwk(alg="PS256", kid="k2"))
    for signing_algs in (BOTH, ("PS256",)):
        key = found(key_set, "k2", "PS256", signing_algs)
        assert isinstance(key, VerificationKey)
        assert key.alg == "PS256"
        # By the name of the one the other algorithm is not to be had.
        assert found(key_set, "k2", "RS256", signing_algs) is Reason.UNUSABLE_KEY


def test_a_key_without_alg_does_not_stand_beside_one_that_names_it() -> None:
    """Where the client may use several, the unpinned key serves none of them, so the pinned one is alone."""
    key_set = keys(jwk(alg="RS256"), jwk(private_key(1), alg=...))
    key = found(key_set, "k1", "RS256", BOTH)
    assert isinstance(key, VerificationKey)
    assert key.public_key.public_numbers() == private_key().public_key().public_numbers()  # type: ignore[union-attr]
    assert found(key_set, "k1", "RS256", ["RS256"]) is Reason.AMBIGUOUS_KEY
    assert found(key_set, "k1", "PS256", BOTH) is Reason.UNUSABLE_KEY


def test_eddsa_and_ed25519_are_one() -> None:
    for alg in (..., "EdDSA", "Ed25519"):
        key_set = keys(okp_jwk(okp_key(), alg=alg))
        for header in ("EdDSA", "Ed25519"):
            for signing_algs in (["EdDSA"], ["Ed25519"], ["EdDSA", "Ed25519"], ["RS256", "EdDSA"]):
                key = found(key_set, "k1", header, signing_algs)
                assert isinstance(key, VerificationKey)
                assert key.alg == "Ed25519"


def test_an_algorithm_that_does_not_exist_finds_no_key() -> None:
    for alg in ("none", "HS256", ""):
        assert found(keys(jwk(alg=...)), "k1", alg, ["RS256"]) is Reason.UNUSABLE_KEY
        assert not why(keys(jwk(alg=...)), None, alg, ["RS256"]).is_final


def test_a_member_is_one_member_also_where_it_could_serve_several_algorithms() -> None:
    key_set = keys(jwk(alg=...), ec_jwk(ec_key(), kid="k2"), jwk(use="enc"))
    assert (len(key_set.members), len(key_set.usable)) == (3, 2)
    assert [member.kid for member in key_set.usable] == ["k1", "k2"]


# Why there is no key


def test_a_refusal_says_the_fault_of_that_very_key() -> None:
    key_set = keys(
        jwk(kid="a", e="Aw"), jwk(private_key(1), kid="b"), jwk(kid="c", alg="RS384"), ec_jwk(ec_key(), kid="d")
    )
    assert why(key_set, "a").faults[0].startswith("e is 3, and must be")
    assert why(key_set, "c").faults == ("its alg is RS384, not RS256",)
    assert why(key_set, "d").faults == ("it is a key of another kind (EC, P-256) than RS256 takes",)
    assert [why(key_set, kid).is_final for kid in "acd"] == [False] * 3
    assert [why(key_set, kid).kids for kid in "acd"] == [()] * 3
    first, second = why(keys(jwk(use="enc"), jwk(e="Aw")), "k1").faults
    assert first == "its use is 'enc', not sig"
    assert second.startswith("e is 3")


def test_without_a_kid_a_refusal_says_the_fault_of_each_key() -> None:
    assert why(keys(jwk(kid="a", use="enc"), jwk(kid=1), 5), None).faults == (
        "'a': its use is 'enc', not sig",
        "a key without kid: its kid is the number 1, not a string (RFC 7517 section 4.5)",
        "a key without kid: it is no JSON object",
    )


def test_an_unknown_kid_is_answered_with_the_kids_that_are_there() -> None:
    no_key = why(keys(jwk(kid="a"), jwk(kid="b", use="enc"), ec_jwk(ec_key(), kid="a"), jwk(kid="é\n")), "c")
    assert (no_key.reason, no_key.faults, no_key.is_final) == (Reason.UNKNOWN_KID, (), False)
    assert no_key.kids == ("'a'", "'b'", r"'\xe9\n'")


def test_an_unknown_kid_is_answered_with_the_key_that_may_be_meant() -> None:
    there = keys(jwk(kid="Key-1"), jwk(private_key(1), kid=...))
    for kid in ("key-1", "KEY-1 ", "\tkey-1"):
        assert why(there, kid).faults == ("'Key-1' is there, and differs in case or white space only",)
    first, second = (member.keys[0].thumbprint for member in there.members)
    assert why(there, first).faults == ("that is the thumbprint of 'Key-1', which is there",)
    assert why(there, second).faults == ("that is the thumbprint of a key without kid, which is there",)
    assert why(there, "key-2").faults == ()
    in_lower_case = "that is the thumbprint of 'Key-1' but for case or white space, which is there"
    assert why(there, first.lower()).faults == (in_lower_case,)


def test_each_key_that_an_unknown_kid_may_mean_is_named_once() -> None:
    there = keys(jwk(kid="aGVs", x5t="68656C"), jwk(private_key(1), kid="68656C"), jwk(kid="k1", x5t="68656C"))
    assert why(there, "68656c").faults == (
        "that is the x5t of 'aGVs' but for case or white space, which is there",
        "'68656C' is there, and differs in case or white space only",
        "that is the x5t of 'k1' but for case or white space, which is there",
    )


def test_the_faults_of_a_refusal_are_made_once() -> None:
    no_key = why(keys(jwk(kid=17), GOOD), "GOOD")
    assert len(no_key.faults) == 2
    assert no_key.faults is no_key.faults
    assert no_key.kids is no_key.kids


def test_an_unknown_kid_that_is_a_published_one_in_another_spelling_is_answered_with_it() -> None:
    there = keys(jwk(kid="aGVs"), jwk(private_key(1), kid="key/1"), jwk(kid=...))
    assert why(there, "68656c").faults == ("that is the published kid 'aGVs' in hex",)
    assert why(there, "key%2F1").faults == ("that is the published kid 'key/1' percent-encoded",)
    assert why(there, "68656d").faults == ()


@pytest.mark.parametrize(
    ("published", "sent", "said"),
    [
        ("68656C", "aGVs", "that is the published kid '68656C', which is in hex"),
        ("68656C", "aGVs=", "that is the published kid '68656C' with padding, which is in hex"),
        ("+/+/", "-_-_", "that is the published kid '+/+/', which is in standard base64"),
        ("-_-_", "+/+/", "that is the published kid '-_-_' in standard base64"),
        ("6865-6c", "68656c", "that is the published kid '6865-6c' but for what separates its parts"),
        ("key-1", "did:web:c.example#key-1", "that is the published kid 'key-1' behind a prefix"),
    ],
)
def test_whichever_of_two_kids_is_in_another_spelling_is_named(published: str, sent: str, said: str) -> None:
    assert why(keys(jwk(kid=published)), sent).faults == (said,)


def test_an_unknown_kid_that_is_the_sha_256_of_a_certificate_is_answered_with_its_key() -> None:
    there = keys(jwk(kid="k1", **{"x5t#S256": "aGVs="}), jwk(kid="k2", **{"x5t#S256": 1}))
    assert why(there, "aGVs=").faults == ("that is the x5t#S256 of 'k1', which is there",)
    assert why(there, "aGVs").faults == ("that is the x5t#S256 of 'k1', which is there with padding",)
    assert why(there, "1").faults == ()


@pytest.mark.parametrize("x5t", ["aGVs", "aGVs" * 16])
def test_an_unknown_kid_that_is_the_x5t_of_a_key_is_answered_with_it(x5t: str) -> None:
    there = keys(jwk(kid="k1", x5t=x5t), jwk(private_key(1), kid=..., x5t="aGVt"), jwk(kid="k2", x5t=1))
    assert why(there, x5t).faults == ("that is the x5t of 'k1', which is there",)
    in_hex = "68656c" * (len(x5t) // 4)
    assert why(there, in_hex).faults == ("that is the x5t of 'k1' in hex, which is there",)
    assert why(there, "68656d").faults == ("that is the x5t of a key without kid in hex, which is there",)
    assert why(there, "1").faults == ()


def test_an_x5t_that_is_too_long_for_one_is_not_looked_at() -> None:
    assert why(keys(jwk(kid="k1", x5t="a" * 65)), "a" * 65).faults == ()


def test_an_x5t_makes_no_other_key() -> None:
    assert keys(jwk(x5t="a")).members == keys(jwk(x5t="b")).members == keys(jwk()).members


def test_an_unknown_kid_is_answered_with_the_keys_that_no_header_can_name() -> None:
    assert why(keys(jwk(kid=...)), "k1").kids == ("(a key without kid)",)
    number, good = why(keys(jwk(kid=17), GOOD), "17").kids
    assert number == "(its kid is the number 17, not a string (RFC 7517 section 4.5))"
    assert good == "'good'"


def test_the_kids_that_are_there_are_quoted_once_whoever_asks_for_unknown_ones() -> None:
    keys = jwk_set.key_set({"keys": [GOOD, GOOD | {"kid": "other"}]}, 64)
    assert keys.kids() is keys.kids()


def test_an_unknown_kid_is_answered_with_the_kids_that_cannot_be_read() -> None:
    """One of them may be the one that is looked for; what else is wrong with a key matters to no kid."""
    known = keys(jwk(kid=17), jwk(kid=..., use="enc"), jwk(private_key(1), kid="a", use="enc"), jwk(kid=...))
    assert why(known, "k1").faults == (FAULTY_KID,)


def test_an_ambiguous_key_says_how_many_and_which_kids_are_there() -> None:
    named = why(keys(jwk(), jwk(private_key(1)), jwk(kid="k2")), "k1")
    assert named.faults == ("2 different keys for RS256 have this kid, and each needs its own",)
    nameless = why(keys(jwk(), jwk(private_key(1), kid="k2"), ec_jwk(ec_key(), kid="k3")), None)
    assert nameless.faults == ("2 keys fit RS256, and without a kid exactly one must",)
    assert (named.kids, nameless.kids) == (("'k1'", "'k2'"), ("'k1'", "'k2'", "'k3'"))
    assert named.is_final
    assert nameless.is_final


VALUE = "; its keys are registered by value (jwks)"
FAULTY_KID = "a key there is not usable, its kid is the number 17, not a string (RFC 7517 section 4.5)"


@pytest.mark.parametrize(
    ("members", "kid", "detail"),
    [
        (
            [jwk(kid="a"), jwk(kid="b")],
            "k\n1",
            rf"kid 'k\n1': not in the client's key set{VALUE}; the kids there: 'a', 'b'",
        ),
        (
            [jwk(kid=17)],
            "k1",
            f"kid 'k1': {FAULTY_KID}; it is not in the client's key set{VALUE}; the kids there: "
            "(its kid is the number 17, not a string (RFC 7517 section 4.5))",
        ),
        ([], None, "an assertion without kid: the client's key set is empty: has it a signing key?" + VALUE),
        ([jwk(use="enc")], "k1", "kid 'k1': no usable key: its use is 'enc', not sig" + VALUE),
        (
            [jwk(), jwk(private_key(1), kid="2")],
            None,
            "an assertion without kid: 2 keys fit RS256, and without a kid exactly one must"
            f"{VALUE}; the kids there: 'k1', '2'",
        ),
    ],
)
def test_a_refusal_by_value_says_what_to_look_at(members: list[Any], kid: str | None, detail: str) -> None:
    found = why(keys(*members), kid)
    error = jwk_set.refusal(found, kid)
    assert isinstance(error, InvalidClient)
    assert (error.reason, error.detail, error.check) == (found.reason, detail, "key")


def test_a_detail_that_nobody_reads_costs_no_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of made-up kids at a client with 64 keys must not quote 64 names for each."""
    quoted: list[object] = []

    def count(value: object) -> str:
        quoted.append(value)
        return "q"

    key_set = keys(*[jwk(kid=f"key-{number}", use="enc") for number in range(64)])
    monkeypatch.setattr(jwk_set, "quote", count)
    refusals = [jwk_set.refusal(why(key_set, kid), kid) for kid in ("made-up", "key-1", None)]
    assert not quoted
    assert all(refusal.detail for refusal in refusals)
    assert len(quoted) > 64


def test_items_are_joined_up_to_a_length_and_the_first_in_any_case() -> None:
    assert jwk_set.join([]) == ""
    assert jwk_set.join(["a", "b"]) == "a; b"
    assert jwk_set.join(["x" * 67, "y" * 69]) == "x" * 67 + "; " + "y" * 69  # with both separators, 140
    assert jwk_set.join(["x" * 67, "y" * 70, "z"]) == "x" * 67 + "; and 2 more"
    assert jwk_set.join(["x" * 300, "y"], ", ") == "x" * 300 + ", and 1 more"


def test_as_many_kids_as_fit_are_listed() -> None:
    many = keys(*[jwk(kid=f"key-{number:02}-" + "x" * 10) for number in range(64)])
    error = jwk_set.refusal(why(many, "c" * 256), "c" * 256)
    assert "the kids there: 'key-00-xxxxxxxxxx', 'key-01-" in error.detail
    assert error.detail.endswith(", and 58 more")
    assert len(error.detail) < 300


def test_what_no_key_of_a_set_can_do_for_a_client() -> None:
    assert keys(jwk()).faults(["RS256"]) is None
    assert keys(jwk(use="enc"), jwk()).faults(["ES256", "RS256"]) is None
    assert keys().faults(["RS256"]) == "it is empty"
    assert keys(ec_jwk(ec_key())).faults(["RS256"]) == (
        "'k1': it is a key of another kind (EC, P-256) than RS256 takes"
    )
    assert 'add "alg"' in str(keys(jwk(alg=...)).faults(["RS256", "PS256"]))
    assert str(keys(*[jwk(kid=f"k{number}", use="enc") for number in range(64)]).faults(["RS256"])).endswith("more")


# Text


@pytest.mark.parametrize(
    "member",
    [
        jwk(kid="\ud800"),
        jwk(n="\ud800"),
        jwk(use="\udfff"),
        jwk(note="\ud800"),
        jwk(note={"deep": ["\ud800"]}),
        jwk(**{"\ud800": 1}),
        "\ud800",
    ],
)
def test_a_lone_surrogate_costs_the_key_that_holds_it(member: Any) -> None:
    body = json.dumps({"keys": [member, GOOD], "x": "\U0001f600"}).encode()
    key_set = jwk_set.loads_key_set(body, 64)
    assert isinstance(found(key_set, "good"), VerificationKey)
    assert [each.keys == () for each in key_set.members] == [True, False]


def test_a_pair_of_surrogates_is_a_character() -> None:
    body = json.dumps({"keys": [jwk(kid="\U0001f600", note="\U0001f600")]}).encode()
    assert b"ud83d" in body
    assert isinstance(found(jwk_set.loads_key_set(body, 64), "\U0001f600"), VerificationKey)


@pytest.mark.parametrize(
    "document", [{"keys": [GOOD], "x": "\ud800"}, {"keys": [GOOD], "\ud800": 1}, {"keys": "\ud800"}]
)
def test_a_lone_surrogate_beside_the_keys_refuses_the_document(document: Any) -> None:
    with pytest.raises(ValueError, match="surrogate|not a JWK Set"):
        jwk_set.loads_key_set(json.dumps(document).encode(), 64)


def test_a_byte_order_mark_before_a_document_is_forgiven() -> None:
    """It is no part of the text: a publisher gains nothing by it, and no other reader sees another document."""
    body = json.dumps({"keys": [GOOD]}).encode("utf-8-sig")
    assert body.startswith(b"\xef\xbb\xbf{")
    assert isinstance(found(jwk_set.loads_key_set(body, 64), "good"), VerificationKey)


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" * 2 + b'{"keys": []}',
        b' \xef\xbb\xbf{"keys": []}',
        b'{"keys": []}\xef\xbb\xbf',
        b'{\xef\xbb\xbf"keys": []}',
        b"\xef\xbb\xbf",
        b'\xef\xbb\xbf{"keys": [], "keys": []}',
        b'\xff\xfe{"keys": []}',
        *('{"keys": []}'.encode(encoding) for encoding in ("utf-16", "utf-16-le", "utf-16-be", "utf-32")),
        b'{"keys": [], "x": "\xe9"}',
    ],
)
def test_what_is_no_utf_8_stays_refused_whatever_is_in_front(body: bytes) -> None:
    with pytest.raises(ValueError, match="UTF-8|JSON|twice|byte order mark"):
        jwk_set.loads_key_set(body, 64)


def test_a_member_that_stands_twice_in_one_key_costs_that_key() -> None:
    """RFC 7517 §4."""
    twice = json.dumps(GOOD | {"kid": "twice"}).replace('"use"', '"use": "enc", "use"')
    keys = jwk_set.loads_key_set(f'{{"keys": [{twice}, {json.dumps(GOOD)}]}}'.encode(), 64)
    assert [(member.kid, member.fault) for member in keys.members] == [
        ("twice", "a member stands twice: 'use'"),
        (GOOD["kid"], None),
    ]
    with pytest.raises(ValueError, match="a member stands twice: 'keys'"):
        jwk_set.loads_key_set(b'{"keys": [], "keys": []}', 64)


@pytest.mark.parametrize("beside", ["1", "9" * 49, f"[{', '.join(['1.5'] * 600)}]"])
def test_a_member_that_stands_twice_is_seen_whatever_numbers_stand_beside_it(beside: str) -> None:
    twice = json.dumps(GOOD).replace('"use"', f'"x": {beside}, "use": "sig", "use"')
    keys = jwk_set.loads_key_set(f'{{"keys": [{twice}]}}'.encode(), 1_000)
    assert [member.fault for member in keys.members] == ["a member stands twice: 'use'"]


def test_a_member_that_stands_twice_in_what_a_key_holds_beside_is_not_read() -> None:
    body = json.dumps({"keys": [GOOD | {"x": 0}]}).replace('"x": 0', '"x": {"a": 1, "a": 2}').encode()
    assert jwk_set.loads_key_set(body, 64).usable


@pytest.mark.parametrize(
    "number", ["9" * 49, f"-{'9' * 4_299}", f"0.{'1' * 90}", f"1{'0' * 200}.5e1", "1e400", "-1e400", "1.5E+999"]
)
def test_a_long_or_large_number_costs_nothing_where_it_is_not_read(number: str) -> None:
    """The serial number of a certificate has up to 49 digits."""
    body = json.dumps({"keys": [GOOD | {"sn": 0}], "sn": 0}).replace('"sn": 0', f'"sn": {number}').encode()
    assert jwk_set.loads_key_set(body, 64).usable


@pytest.mark.parametrize("number", ["9" * 617, "1e400", "-1e400"])
@pytest.mark.parametrize("name", ["n", "kid", "alg"])
def test_a_long_or_large_number_costs_the_key_that_has_it_for_a_text(name: str, number: str) -> None:
    broken = json.dumps(GOOD | {name: 0}).replace(f'"{name}": 0', f'"{name}": {number}')
    keys = jwk_set.loads_key_set(f'{{"keys": [{broken}, {json.dumps(GOOD)}]}}'.encode(), 64)
    assert [member.fault is None for member in keys.members] == [False, True]


@pytest.mark.parametrize("number", ["9" * 4_301, f"0.{'1' * 4_299}", f"1e{'0' * 4_298}1"])
def test_a_number_of_more_characters_than_any_refuses_the_document(number: str) -> None:
    body = json.dumps({"keys": [GOOD | {"sn": 0}]}).replace('"sn": 0', f'"sn": {number}').encode()
    with pytest.raises(ValueError, match="a number "):
        jwk_set.loads_key_set(body, 64)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"404 page not found\n", "not a JSON object: it begins with '404 page not found\\n'"),
        (b"\xef\xbb\xbfnull", "not a JSON object: it begins with 'null'"),
        (b"0\x82\x01\xff" + b"A" * 99, f"not a JSON object: it begins with '0\\ufffd\\x01\\ufffd{'A' * 28}'"),
        (b"", "not a JSON object: it is empty"),
        (b"<html>", "not a JSON object: it looks like HTML or XML"),
        (b"-----BEGIN PRIVATE KEY-----", "not a JSON object: it looks like PEM"),
    ],
)
def test_what_is_no_document_is_said_to_look_like_something_or_to_begin_so(body: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        jwk_set.loads_document(body, 64)
