"""What is fuzzed: for each target a function of bytes that raises when a promise is broken.

Nothing here knows who calls it: atheris (``run.py``) or pytest, which replays the corpus over sync and async.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from fuzz import reference
from fuzz.reference import Refused
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
from private_key_jwt._core import jwk_set, strict_json, token_request
from private_key_jwt._core.jwk_set import NoKey, VerificationKey
from support import OP, b64, jwk, private_key, sign

NOW = 1_700_000_000
CLIENT_IDS = ("c", "https://rp.example/client")
HEADER = b'{"alg":"RS256","kid":"k1"}'
MAX_BYTES = 16_384

Begin = Callable[..., Any]
Refresh = Callable[[bytes], Any]

# The key that signed the tokens in the corpus. Its private half was thrown away.
CORPUS_KEY: dict[str, Any] = json.loads((Path(__file__).parent / "corpus_key.json").read_text(encoding="ascii"))


def settings(*, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """How a verifier for the targets is set up; both kinds take it."""
    return {
        "policy": AssertionPolicy(audience=OP),
        "clients": [RegisteredClient(client_id, jwks={"keys": keys}) for client_id in CLIENT_IDS],
        "replay_store": MemoryReplayStore(),
        "clock": lambda: NOW,
    }


def keys() -> list[dict[str, Any]]:
    """The key that signs here, and the one of the corpus."""
    return [jwk(private_key()), CORPUS_KEY]


@cache
def _verifier() -> ClientAssertionVerifier:
    return ClientAssertionVerifier(**settings(keys=keys()))


def refused(call: Callable[[], Any]) -> AuthenticationError | None:
    """The error of ours that a call ends with, fit for a log; None when it ends well."""
    try:
        call()
    except AuthenticationError as error:
        assert len(error.detail) <= 300, error.detail
        assert error.detail.isascii(), error.detail
        assert error.detail.isprintable(), error.detail
        return error
    return None


def token(data: bytes, begin: Begin | None = None) -> None:
    """A raw token: what the reference takes apart is not malformed in shape, and what is accepted has one spelling."""
    begin = begin or _verifier().begin
    error = refused(lambda: begin(data))
    _same(error, refused(lambda: begin(data.decode("latin-1"))))
    try:
        header, claims, signature = reference.split(data, MAX_BYTES)
        members = reference.loads_object(header), reference.loads_object(claims)
    except Refused:
        assert isinstance(error, InvalidClient)
        assert error.reason in (Reason.MALFORMED, Reason.TOO_LARGE, Reason.UNSUPPORTED_CRIT, Reason.UNSUPPORTED_TYP)
        return
    if error is None:
        assert ".".join(map(b64, (header, claims, signature))).encode() == data
        assert members[0]["alg"] == "RS256"
        assert not {"crit", "b64", "zip", "cty"} & members[0].keys()
        assert reference.client_of(members[1], set(CLIENT_IDS), OP, NOW)


def _same(one: AuthenticationError | None, other: AuthenticationError | None) -> None:
    assert (one and (one.reason, one.check)) == (other and (other.reason, other.check))


_NAMES = ("iss", "sub", "aud", "exp", "iat", "nbf", "jti", "x", "crit")
_VALUES: tuple[Any, ...] = (
    *CLIENT_IDS, "", OP, f"{OP}/", [OP], [OP, OP], [OP, "x"], [], None, True, False, {}, "j", "j" * 256, "j" * 257,
    "\u00e9" * 128, "\u00e9" * 129, "\0", 0, -1, 0.5, 2**53, 2**53 + 2, 1e300, 10**19,
)  # fmt: skip


def claims(data: bytes, begin: Begin | None = None) -> None:
    """Claims, raw or put together: accepted exactly when the reference accepts them, once they are signed."""
    begin = begin or _verifier().begin
    payload = _payload(data)
    if len(payload) > 8_192:
        return
    unsigned = f"{b64(HEADER)}.{b64(payload)}.{b64(bytes(256))}"
    error = refused(lambda: begin(unsigned))
    assert isinstance(error, InvalidClient)
    try:
        client_id = reference.client_of(reference.loads_object(payload), set(CLIENT_IDS), OP, NOW)
    except Refused as why:
        assert error.reason is not Reason.BAD_SIGNATURE, why
        return
    assert error.reason is Reason.BAD_SIGNATURE, error
    assert begin(sign(HEADER, payload)).client_id == client_id


def _payload(data: bytes) -> bytes:
    if not data or data[0] % 2:
        return data[1:]
    # Four bytes for each member: its name, what kind of value, and two for the value.
    members = {"iss": "c", "sub": "c", "aud": OP, "exp": NOW + 60, "jti": "j"}
    for start in range(1, len(data) - 3, 4):
        name, kind, high, low = data[start : start + 4]
        number = high * 256 + low - 32_768
        value = (NOW + number // 64, NOW + number / 64, _VALUES[low % len(_VALUES)], ...)[kind % 4]
        if value is ...:
            members.pop(_NAMES[name % len(_NAMES)], None)
        else:
            members[_NAMES[name % len(_NAMES)]] = value
    return json.dumps(members).encode()


def strict(data: bytes) -> None:
    """Strict JSON: the same object as the reference has, or both refuse."""
    try:
        expected = reference.loads_object(data)
    except Refused:
        expected = None
    try:
        value = strict_json.loads_object(data)
    except ValueError as error:
        text = str(error)
        assert text.isascii(), text
        assert text.isprintable(), text
        assert expected is None, text
        return
    assert repr(value) == repr(expected)  # 1, 1.0 and True are equal, and not the same
    strict_json.check_beginning(data[:192])  # what is seen by the beginning is no rule of its own


_MODULI = ("@0", "@1", "@2")


def key_document(data: bytes) -> bytes:
    """JSON in which ``@0`` stands for a modulus: no fuzzer finds one by itself."""
    for number, name in enumerate(_MODULI):
        data = data.replace(name.encode(), jwk(private_key(number))["n"].encode())
    return data


def rsa_numbers(key: VerificationKey) -> tuple[int, int]:
    """``n`` and ``e`` of a key."""
    assert isinstance(key.public_key, RSAPublicKey)
    numbers = key.public_key.public_numbers()
    return numbers.n, numbers.e


def keys_of(found: jwk_set.KeySet) -> list[tuple[str | None, int, int] | None]:
    """A key set as the reference tells it."""
    members: list[tuple[str | None, int, int] | None] = []
    for member in found.members:
        assert (member.keys == ()) is (member.fault is not None)
        assert member.fault is None or (member.fault.isascii() and member.fault.isprintable()), member.fault
        keys = [key for key in member.keys if key.alg == "RS256"]
        members.append((member.kid, *rsa_numbers(keys[0])) if keys else None)
    return members


def jwks(data: bytes, refresh: Refresh | None = None) -> None:
    """A JWK Set: the same usable keys as the reference has, each found by its name alone; ``refresh`` fetches it."""
    body = key_document(data)
    try:
        expected = reference.key_set(body, 64)
    except Refused:
        expected = None
    try:
        found = jwk_set.loads_key_set(body, 64) if refresh is None else refresh(body)
    except (ValueError, AuthenticationError):
        assert expected is None or body.count(b",") >= 512  # as many numbers as that are refused for their number
        return
    assert keys_of(found) == expected
    _check_look_ups(found, [key for key in expected if key is not None])


def _check_look_ups(found: jwk_set.KeySet, usable: list[tuple[str | None, int, int]]) -> None:
    for kid in {None, "nobody", *(kid for kid, _, _ in usable)}:
        numbers = {(n, e) for name, n, e in usable if kid in (None, name)}
        key = found.find("RS256", kid, ("RS256",))
        if len(numbers) == 1:
            assert isinstance(key, VerificationKey)
            assert rsa_numbers(key) in numbers
        else:
            assert isinstance(key, NoKey)


class _Forms:
    """The kinds of form that frameworks have, made of pairs."""

    def __init__(self, pairs: list[tuple[str, str]]) -> None:
        self._pairs = pairs

    def getlist(self, name: str) -> list[str]:
        return [value for each, value in self._pairs if each == name]


class _Starlette(_Forms):
    def multi_items(self) -> list[tuple[str, str]]:
        return self._pairs


class _Django(_Forms):
    def lists(self) -> list[tuple[str, list[str]]]:
        return [(name, self.getlist(name)) for name in dict(self._pairs)]


def form(data: bytes) -> None:
    """A token request: every kind of form gives what the reference gives, and only our error is raised."""
    pairs = parse_qsl(data[1:].decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=None)
    authorization = "Basic eDp5" if data[:1] == b"a" else None
    try:
        expected: Any = reference.token_request(pairs, authorization)
    except Refused:
        expected = Refused
    raw = [(name.encode(), value.encode()) for name, value in pairs]
    for each in (pairs, raw, iter(pairs), _Forms(pairs), _Starlette(pairs), _Django(pairs)):
        assert _read(each, authorization) == expected
    # A plain dictionary keeps one value of each name; a list of them counts as repeats.
    lists = {name: [value for other, value in pairs if other == name] for name, _ in pairs}
    assert _read(lists, authorization) == expected


def _read(form: Any, authorization: str | None) -> Any:
    try:
        return token_request.read(form, authorization)
    except InvalidRequest as error:
        assert error.detail.isascii(), error.detail
        assert error.detail.isprintable(), error.detail
        return Refused


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "token": token,
    "claims": claims,
    "strict_json": strict,
    "jwks": jwks,
    "form": form,
}
