"""Step 4, the key: JWK Sets (RFC 7517 §5) and the choice of one key out of them.

A document that is no JWK Set is refused whole; what is wrong inside of one key costs that key only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .._text import quote
from ..exceptions import InvalidClient, Reason
from . import strict_json
from .algorithms import ALGORITHMS, Algorithm
from .header import MAX_KID_BYTES

# RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 9964 §3 (priv).
PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A usable key.

    verify: step 5: whether a signature is this key's, over the bytes received (``verify(signature, signing_input)``).
    """

    kid: str | None
    alg: str
    public_key: RSAPublicKey
    verify: Callable[[bytes, bytes], bool] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a JWK Set: its key, or the fault that makes it unusable."""

    kid: str | None
    key: VerificationKey | None
    fault: str | None


class KeySet:
    """The keys of one document, ready for look-up. Immutable."""

    __slots__ = ("_by_header", "members")

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = tuple(members)
        self._by_header: dict[tuple[str, str | None], VerificationKey | Reason] = {}
        for alg in ALGORITHMS:
            usable = [m.key for m in members if m.key is not None and m.key.alg == alg]
            self._by_header[alg, None] = _only(usable) if members else Reason.NO_KEYS
            for kid in {m.kid for m in members if m.kid is not None}:
                self._by_header[alg, kid] = _only([key for key in usable if key.kid == kid])

    def __repr__(self) -> str:
        return f"<KeySet: {len(self.usable)} of {len(self.members)} usable>"

    @property
    def usable(self) -> list[VerificationKey]:
        """The keys that can be used."""
        return [member.key for member in self.members if member.key is not None]

    def find(self, alg: str, kid: str | None) -> VerificationKey | Reason:
        """The one key for this header, or the reason why there is none. No key is ever tried out.

        Without a ``kid`` there must be exactly one usable key (OpenID Connect Core §10.1).
        """
        return self._by_header.get((alg, kid)) or (Reason.UNKNOWN_KID if self.members else Reason.NO_KEYS)


def _only(keys: Sequence[VerificationKey]) -> VerificationKey | Reason:
    if not keys:
        return Reason.UNUSABLE_KEY
    # The same key listed twice is one key; two under one name are nobody's (which one comes first would decide).
    same = all(key.public_key == keys[0].public_key for key in keys)
    return keys[0] if same else Reason.AMBIGUOUS_KEY


def _check_purpose(jwk: Mapping[str, Any], alg: str) -> None:
    """RFC 7517 §4.2 to §4.4: what a key says of itself must allow this use. Raises ValueError."""
    if jwk.get("use", "sig") != "sig":
        raise ValueError(f"use is {quote(jwk['use'])}, not sig")
    if jwk.get("alg", alg) != alg:
        raise ValueError(f"alg is {quote(jwk['alg'])}, not {alg}")
    key_ops = jwk.get("key_ops", ["verify"])
    if not isinstance(key_ops, list) or "verify" not in key_ops:
        raise ValueError("key_ops does not hold verify")


def _import(jwk: Mapping[str, Any], kid: str | None, alg: str, algorithm: Algorithm) -> VerificationKey:
    if jwk.get("kty") != algorithm.kty:
        raise ValueError(f"kty is {quote(jwk.get('kty'))}, not {algorithm.kty}")
    _check_purpose(jwk, alg)
    public_key = algorithm.import_key(jwk)
    return VerificationKey(kid, alg, public_key, partial(algorithm.verify, public_key))


def _kid(jwk: Mapping[str, Any]) -> str | None:
    kid = jwk.get("kid")
    if kid is None and "kid" not in jwk:
        return None
    if not isinstance(kid, str) or not kid:
        raise ValueError("kid is no string, or empty")
    if len(kid.encode("utf-8")) > MAX_KID_BYTES:
        raise ValueError(f"kid has more than {MAX_KID_BYTES} bytes")
    return kid


def private_members(jwk: object) -> list[str]:
    """The names of the private members that a JWK holds."""
    return [name for name in PRIVATE_MEMBERS if name in jwk] if isinstance(jwk, Mapping) else []


def _check_public(jwk: Mapping[str, Any]) -> None:
    private = private_members(jwk)
    if private:
        raise ValueError(f"PRIVATE members are published: {', '.join(private)}")


def read_member(jwk: object) -> list[Member]:
    """One member of ``keys``, once for each algorithm it can serve, or once with its fault."""
    if not isinstance(jwk, Mapping):
        return [Member(None, None, "no JSON object")]
    kid: str | None = None
    usable, faults = [], []
    try:
        kid = _kid(jwk)
        _check_public(jwk)
        for alg, algorithm in ALGORITHMS.items():
            try:
                usable.append(Member(kid, _import(jwk, kid, alg, algorithm), None))
            except ValueError as error:
                faults.append(str(error))
    except ValueError as error:
        faults.append(str(error))
    return usable or [Member(kid, None, "; ".join(faults))]


def read_document(document: Mapping[str, Any], max_keys: int) -> list[Any]:
    """The members of a JWK Set. Raises ValueError when the document is none (RFC 7517 §5)."""
    keys = document.get("keys")
    if not isinstance(keys, list | tuple):
        raise ValueError("not a JWK Set: keys is absent or no list")
    if len(keys) > max_keys:
        raise ValueError(f"expected at most {max_keys} keys, got {len(keys)}")
    return list(keys)


def key_set(document: Mapping[str, Any], max_keys: int) -> KeySet:
    """The keys of a parsed JWK Set. Raises ValueError when the document is none."""
    return KeySet([member for jwk in read_document(document, max_keys) for member in read_member(jwk)])


def loads_key_set(body: bytes, max_keys: int) -> KeySet:
    """The keys of a JWK Set document. Raises ValueError when the bytes are none."""
    return key_set(strict_json.loads_object(body), max_keys)


def refusal(reason: Reason, kid: str | None) -> InvalidClient:
    """Why no key was found, for the log."""
    name = "an assertion without kid" if kid is None else f"kid {quote(kid)}"
    return InvalidClient(reason, f"{name}: {_WHY[reason]}", "key")


_WHY = MappingProxyType(
    {
        Reason.UNKNOWN_KID: "not in the client's key set",
        Reason.NO_KEYS: "the client's key set is empty (LedgerBee: is its slug right, has it a signing key?)",
        Reason.UNUSABLE_KEY: "no usable key of that name (`private-key-jwt jwks` shows the faults)",
        Reason.AMBIGUOUS_KEY: "several keys fit, and exactly one must",
    }
)
