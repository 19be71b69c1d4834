"""Whatever comes in, what comes out is a verified client or an error of ours."""

import base64
import json
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edges import Edge
from private_key_jwt import (
    AssertionPolicy,
    AuthenticationError,
    ClientAssertionVerifier,
    InvalidClient,
    InvalidRequest,
    MemoryReplayStore,
    Reason,
    RegisteredClient,
)
from support import OP, b64, jwk, private_key, sign, sign_json

NOW = 1_700_000_000
HEADER = {"alg": "RS256", "kid": "k1"}
CLAIMS = {"iss": "c", "sub": "c", "aud": OP, "exp": NOW + 60, "iat": NOW, "jti": "j"}
VALID = sign_json(HEADER, CLAIMS)


def test_the_fuzzer_says_what_it_needs() -> None:
    command = Path(__file__).parent / "fuzz" / "run.py"
    # Without site-packages: whatever is installed here, the extra is not there.
    ended = subprocess.run([sys.executable, "-S", "-E", str(command)], capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "fuzzing needs atheris, an extra: pip install '.[fuzz]' in the clone\n"


def verifier() -> ClientAssertionVerifier:
    return ClientAssertionVerifier(
        policy=AssertionPolicy(audience=OP),
        clients=[RegisteredClient("c", jwks={"keys": [jwk()]})],
        replay_store=MemoryReplayStore(),
        clock=lambda: NOW,
    )


def outcome(assertion: Any) -> str:
    try:
        return verifier().verify(assertion).client_id
    except AuthenticationError as error:
        assert len(error.detail) <= 300
        assert error.detail.isascii()
        assert error.detail.isprintable()
        assert error.to_response().body["error"] == "invalid_client"
        return error.reason


def test_the_token_that_is_mutated_here_is_valid() -> None:
    assert outcome(VALID) == "c"


@given(st.binary(max_size=400) | st.text(max_size=400))
def test_any_bytes_and_any_text_are_malformed_or_too_large(assertion: str | bytes) -> None:
    assert outcome(assertion) in (Reason.MALFORMED, Reason.TOO_LARGE)


@given(st.none() | st.integers() | st.floats() | st.lists(st.integers()) | st.dictionaries(st.text(), st.text()))
def test_an_object_that_is_no_text_is_malformed(assertion: Any) -> None:
    assert outcome(assertion) == Reason.MALFORMED


@settings(max_examples=300)
@given(st.data())
def test_a_token_is_accepted_only_as_it_was_signed(data: st.DataObject) -> None:
    alphabet = string.ascii_letters + string.digits + "-_."
    at = data.draw(st.integers(0, len(VALID) - 1))
    end = data.draw(st.integers(at, min(at + 3, len(VALID))))
    piece = data.draw(st.text(alphabet + "=+/ \n\0é", max_size=3))
    mutated = VALID[:at] + piece + VALID[end:]
    assert (outcome(mutated) == "c") is (mutated == VALID)


@pytest.mark.parametrize("segment", [0, 1, 2])
def test_every_bit_of_a_token_counts(segment: int) -> None:
    parts = VALID.split(".")
    raw = base64.urlsafe_b64decode(parts[segment] + "==")
    for bit in range(0, len(raw) * 8, 1 if segment < 2 else 7):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        parts[segment] = b64(bytes(flipped))
        assert outcome(".".join(parts)) != "c"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["c", OP, "RS256", "JWT", "k1", NOW, NOW + 60, 1e400, 10**4000, "\ud800", "\0"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
names = st.sampled_from(
    ["alg", "kid", "typ", "crit", "b64", "zip", "cty", "jwk", "jku", "x5c", "iss", "sub", "aud"]
) | (st.sampled_from(["exp", "iat", "nbf", "jti", "nonce", ""]) | st.text(max_size=3))


def dumps(value: Any) -> bytes:
    return json.dumps(value).encode()


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(names, json_values, max_size=3), st.dictionaries(names, json_values, max_size=3))
def test_signed_tokens_with_mutated_members(header: dict[str, Any], claims: dict[str, Any]) -> None:
    if outcome(sign(dumps(HEADER | header), dumps(CLAIMS | claims))) == "c":
        assert {**CLAIMS, **claims}["iss"] == {**CLAIMS, **claims}["sub"] == "c"


@settings(max_examples=300)
@given(st.data())
def test_signed_tokens_with_mutated_json(data: st.DataObject) -> None:
    texts = [dumps(HEADER), dumps(CLAIMS)]
    which = data.draw(st.integers(0, 1))
    text = texts[which]
    at = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(at, min(at + 4, len(text))))
    piece = data.draw(st.binary(max_size=4) | st.text('{}[]":,\\u0123456789eE.+-NaInfity', max_size=4).map(str.encode))
    texts[which] = text[:at] + piece + text[end:]
    outcome(sign(texts[0], texts[1]))


@given(
    st.lists(st.tuples(st.sampled_from(["client_assertion", "client_assertion_type", "client_id", "x"]), json_values))
)
def test_any_form_is_refused_or_has_no_assertion(pairs: list[tuple[str, Any]]) -> None:
    try:
        answer = verifier().authenticate(pairs)
    except (InvalidRequest, InvalidClient):
        return
    assert answer is None


NUMBERS: dict[str, tuple[str, Reason]] = {
    '"1700000060"': ("a string", Reason.INVALID_CLAIM),
    "true": ("a bool", Reason.INVALID_CLAIM),
    "null": ("null", Reason.INVALID_CLAIM),
    "1e400": ("not finite", Reason.MALFORMED),
    "-1e400": ("not finite", Reason.MALFORMED),
    "-1": ("negative", Reason.INVALID_CLAIM),
    "0": ("long ago", Reason.EXPIRED),
    "-0": ("long ago", Reason.EXPIRED),
    "-0.0": ("long ago", Reason.EXPIRED),
    "NaN": ("no JSON", Reason.MALFORMED),
    "Infinity": ("no JSON", Reason.MALFORMED),
    "9" * 3_000: ("too many digits", Reason.MALFORMED),
    "1" + "0" * 19: ("20 digits", Reason.INVALID_CLAIM),
    "1e18": ("beyond the range", Reason.INVALID_CLAIM),
    "[1700000060]": ("a list", Reason.INVALID_CLAIM),
    "0x6553F13C": ("no JSON", Reason.MALFORMED),
    "1700000060L": ("no JSON", Reason.MALFORMED),
}


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:12])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_each_spelling_of_a_number_as_a_time_has_its_reason(edge: Edge, name: str, number: str) -> None:
    claims = dumps({**CLAIMS, name: "NUMBER"}).replace(b'"NUMBER"', number.encode())
    expected = NUMBERS[number][1]
    subject = edge.verifier(
        policy=AssertionPolicy(audience=OP, max_lifetime=86_400),
        clients=[RegisteredClient("c", jwks={"keys": [jwk()]})],
        replay_store=MemoryReplayStore(),
        clock=lambda: NOW,
    )
    if expected is Reason.EXPIRED and name != "exp":
        expected = Reason.LIFETIME_TOO_LONG if name == "iat" else Reason.MALFORMED
        if name == "nbf":
            assert subject.verify(sign(dumps(HEADER), claims)).client_id == "c"
            return
    with pytest.raises(InvalidClient) as caught:
        subject.verify(sign(dumps(HEADER), claims))
    assert caught.value.reason is expected


@pytest.mark.parametrize("number", ["1700000060.5", "1.70000006e9", "17000000600e-1", "1700000060.0"])
def test_a_number_may_have_a_fraction(number: str) -> None:
    claims = dumps({**CLAIMS, "exp": "NUMBER"}).replace(b'"NUMBER"', number.encode())
    assert outcome(sign(dumps(HEADER), claims)) == "c"


def test_a_nul_in_jti_is_one_more_character() -> None:
    subject = verifier()
    for jti in ("a", "a\0", "a\0b", "\0"):
        assert subject.verify(sign_json(HEADER, {**CLAIMS, "jti": jti})).jti == jti


@pytest.mark.parametrize("where", ["header", "iss", "jti", "unknown"])
def test_a_lone_surrogate_is_malformed(where: str) -> None:
    odd = {"header": ({**HEADER, "x": "\ud800"}, CLAIMS)}.get(where, (HEADER, {**CLAIMS, where: "\udc00x"}))
    assert outcome(sign_json(*odd)) == Reason.MALFORMED


def test_another_key_signs_nothing() -> None:
    assert outcome(sign_json(HEADER, CLAIMS, private_key(1))) == Reason.BAD_SIGNATURE
