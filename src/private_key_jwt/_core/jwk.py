"""Step 4, the key: read one JWK (RFC 7517 §4) into the keys that it can serve as, or into the fault that it has.

What does not cost a look at numbers comes first: a JWK that must be refused for what it says is not imported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .._text import escape_name, quote, quote_json, quote_member
from .algorithms import ALGORITHMS, Verify, is_only_choice
from .ec import CURVES, import_ec
from .header import MAX_KID_BYTES
from .okp import import_okp
from .rsa import import_rsa
from .shape import json_kind
from .strict_json import Repeated

__all__ = [
    "PRIVATE_MEMBERS",
    "READ_MEMBERS",
    "Member",
    "PublicKey",
    "VerificationKey",
    "holds_surrogate",
    "kind_of",
    "private_members",
    "read_member",
]

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

# RFC 7518 §6.2.2, §6.3.2, §6.4.1; RFC 8037 §2; RFC 9964 §3 (priv).
PRIVATE_MEMBERS = ("d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv")

READ_MEMBERS = ("kid", "use", "key_ops", "kty", "alg", "crv", "n", "e", "x", "y", "x5c", *PRIVATE_MEMBERS)
"""The members of a JWK that decide (of ``x5c`` only whether it is there); and all of its text must be Unicode.

A published key's ``x5t`` and ``x5t#S256`` are read, too, and named in details only."""

_LONGEST_X5T = 64  # characters: SHA-256 has 32 octets, which some publish in hex

# Each checks the numbers that it read, and has joserfc import these very numbers: no second parser reads the text.
_IMPORTERS: Mapping[str, Callable[[Mapping[str, Any]], tuple[PublicKey, str]]] = MappingProxyType(
    {"RSA": import_rsa, "EC": import_ec, "OKP": import_okp}
)


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A usable key, for one algorithm: what a ``KeySource`` returns.

        key = fetcher.get_key(client, "ES256", kid)
        key.verify(signature, signing_input)        # True or False
        key.thumbprint                              # RFC 7638, SHA-256: the same under every kid

    kid: the name it is published under, or None.
    alg: the one algorithm that this key verifies, by its fully-specified name.
    thumbprint: the SHA-256 JWK thumbprint (RFC 7638), in base64url.
    public_key: the key itself.
    verify: step 5: whether a signature is this key's, over the bytes received (``verify(signature, signing_input)``).
    """

    kid: str | None
    alg: str
    thumbprint: str
    public_key: PublicKey = field(repr=False, compare=False)
    verify: Verify = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """One member of a JWK Set: the keys it can serve as, one for each algorithm, or the fault that makes it unusable.

    kid: its name, where it has one that can be asked for.
    kind: type, and curve or size, such as ``EC, P-256``; what it says of its type where it is unusable.
    alg: the algorithm that it names, by its fully-specified name; None where it names none.
    keys: one VerificationKey for each algorithm that it fits; several only for RSA without ``alg``.
    fault: why it has no keys.
    x5t, x5t_s256: the thumbprints of its certificate (``x5t#S256``: RFC 7517 §4.9), as published, where it has keys:
        clients send them for the kid.
    """

    kid: str | None
    kind: str
    alg: str | None = None
    keys: tuple[VerificationKey, ...] = ()
    fault: str | None = None
    x5t: str | None = field(default=None, repr=False, compare=False)
    x5t_s256: str | None = field(default=None, repr=False, compare=False)

    @property
    def algs(self) -> tuple[str, ...]:
        """The algorithms that it can serve, by their fully-specified names."""
        return tuple(key.alg for key in self.keys)

    def fault_for(self, alg: str, signing_algs: Sequence[str]) -> str | None:
        """Describe why it does not serve ``alg`` for a client that is registered for ``signing_algs``; or None."""
        row = ALGORITHMS.get(alg)
        name = quote(alg) if row is None else row.name
        if self.fault is not None:
            return self.fault
        if name not in self.algs:
            return (
                f"its alg is {self.alg}, not {name}"
                if self.alg
                else f"it is a key of another kind ({self.kind}) than {name} takes"
            )
        if self.alg is None and not is_only_choice(alg, signing_algs):
            return (
                f"it names no alg, and the client may use {' and '.join(signing_algs)}:"
                f' add "alg": "{name}" to the JWK, or register one of them'
            )
        return None


def private_members(jwk: object) -> list[str]:
    """Name the private members that a JWK holds; those without a value count as absent."""
    if not isinstance(jwk, Mapping):
        return []
    return [name for name in PRIVATE_MEMBERS if name in jwk and not _says_nothing(jwk[name])]


def read_member(jwk: object) -> Member:
    """Read one member of ``keys``. Never raise for what it holds: whatever is wrong is its fault alone."""
    if not isinstance(jwk, Mapping):
        return Member(None, json_kind(jwk), fault=_no_object(jwk))
    kid = None
    try:
        kid = _kid(jwk)
        members = _present(jwk)
        if holds_surrogate(jwk):
            raise ValueError("it holds a lone surrogate")
        _check_public(jwk)
        if isinstance(jwk, Repeated):  # RFC 7517 §4
            raise ValueError(jwk.fault)
        alg = _check_purpose(members)
        public_key, thumbprint = _import(members)
    except ValueError as error:
        return Member(kid, _stated_kind(jwk), fault=str(error))
    fits = _fitting(members["kty"], members.get("crv"), alg)
    keys = (VerificationKey(kid, name, thumbprint, public_key, ALGORITHMS[name].bind(public_key)) for name in fits)
    x5t, x5t_s256 = (_x5t(members, name) for name in ("x5t", "x5t#S256"))
    return Member(kid, kind_of(public_key), alg, tuple(keys), x5t=x5t, x5t_s256=x5t_s256)


def _no_object(member: object) -> str:
    text = member.lstrip() if isinstance(member, str) else ""
    if text.startswith("-----BEGIN"):
        return "it is PEM, and must be a JWK"
    return "it is JSON within a text, and must be an object" if text.startswith("{") else "it is no JSON object"


def holds_surrogate(value: object) -> bool:
    """Tell whether a text anywhere in a JSON value holds a lone surrogate, which is no character (RFC 8259 §8.2)."""
    left = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if not each.isascii() and each.encode("utf-8", "replace").decode() != each:
                return True
        elif isinstance(each, Mapping):
            left += [*each, *each.values()]
        elif isinstance(each, list | tuple):
            left += each
    return False


def _says_nothing(value: object) -> bool:
    # Null, and what libraries write for a text or a list that was never set: Go without `omitempty`, .NET's JsonWebKey.
    return value is None or (isinstance(value, str | list | tuple) and not value)


def _present(jwk: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in jwk.items() if not _says_nothing(value)}


def _stated_kind(jwk: Mapping[str, Any]) -> str:
    stated = (jwk.get(name) for name in ("kty", "crv"))
    return ", ".join(escape_name(each) for each in stated if isinstance(each, str) and each) or "without kty"


def kind_of(key: PublicKey) -> str:
    """Describe a key by its type, and its curve or size: ``RSA, 2048 bits``, ``EC, P-256`` or ``OKP, Ed25519``."""
    if isinstance(key, RSAPublicKey):
        return f"RSA, {key.key_size} bits"
    return "OKP, Ed25519" if isinstance(key, Ed25519PublicKey) else f"EC, {_EC_NAMES[key.key_size]}"


_EC_NAMES = {curve.implementation.key_size: name for name, curve in CURVES.items()}


def _kid(jwk: Mapping[str, Any]) -> str | None:
    kid = jwk.get("kid")
    if _says_nothing(kid) and not isinstance(kid, list | tuple):
        return None
    if not isinstance(kid, str):
        number = "the number " * (type(kid) is int or type(kid) is float)
        raise ValueError(f"its kid is {number}{quote_json(kid)}, not a string (RFC 7517 section 4.5)")
    try:
        size = len(kid.encode("utf-8"))
    except UnicodeEncodeError:
        raise ValueError(f"its kid {quote(kid)} holds a lone surrogate") from None
    if size > MAX_KID_BYTES:
        raise ValueError(f"its kid has {size} bytes, and at most {MAX_KID_BYTES} are taken")
    return kid


def _x5t(members: Mapping[str, Any], name: str) -> str | None:
    x5t = members.get(name)
    return x5t if isinstance(x5t, str) and len(x5t) <= _LONGEST_X5T else None


def _check_public(jwk: Mapping[str, Any]) -> None:
    private = private_members(jwk)
    if private:
        raise ValueError(
            f"it holds private members: {', '.join(private)} (whoever reads them can sign: replace the key)"
        )


def _check_purpose(members: Mapping[str, Any]) -> str | None:
    """Check what a key says of its use (RFC 7517 §4.1 to §4.4); return the algorithm it names. Raise ValueError."""
    use = members.get("use", "sig")
    if use != "sig":
        raise ValueError(f"its use is {quote_json(use)}, not sig")
    key_ops = members.get("key_ops", ["verify"])
    if not isinstance(key_ops, list | tuple) or "verify" not in key_ops:
        raise ValueError(f"its key_ops is {quote_json(key_ops)}, and must hold verify")
    kty, alg = members.get("kty"), members.get("alg")
    if kty is None and (
        other := next((name for name in members if isinstance(name, str) and name.lower() == "kty"), None)
    ):
        raise ValueError(f"it has {quote(other)}: the names of members are written in lower case")
    if not isinstance(kty, str) or kty not in _IMPORTERS:
        raise ValueError(f"its kty is {quote_member(kty)}, not one of {', '.join(_IMPORTERS)}")
    if alg is None:
        return None
    row = ALGORITHMS.get(alg) if isinstance(alg, str) else None
    if row is None:
        raise ValueError(f"its alg is {quote_json(alg)}, not one of {', '.join(ALGORITHMS)}")
    if kty != row.kty:
        raise ValueError(f"its alg is {quote(alg)}, which takes kty {row.kty}, and its kty is {kty}")
    crv = members.get("crv")
    if row.crv is not None and crv != row.crv:
        raise ValueError(f"its alg is {quote(alg)}, which takes crv {row.crv}, and its crv is {quote_member(crv)}")
    return row.name


def _import(members: Mapping[str, Any]) -> tuple[PublicKey, str]:
    try:
        return _IMPORTERS[members["kty"]](members)
    except ValueError:
        raise
    except Exception as error:  # whatever the libraries below raise for a shape that nobody has thought of
        raise ValueError(f"it cannot be imported: {type(error).__name__}") from None


def _fitting(kty: str, crv: object, alg: str | None) -> list[str]:
    """Name the algorithms that a key fits by type and curve, each once; where it names one, that one only."""
    fits = (row.name for row in ALGORITHMS.values() if row.kty == kty and row.crv in (None, crv))
    return [alg] if alg is not None else list(dict.fromkeys(fits))
