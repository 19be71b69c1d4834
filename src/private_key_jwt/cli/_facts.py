"""Say beside each check of `explain` what was found, and what was expected.

Values come from strangers: each is quoted, and the ``jti``, the signature and unknown members are not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .._core import compact
from .._core.checks import Check
from .._core.claims import MAX_JTI_BYTES, Claims
from .._core.describe import is_number
from .._core.header import CLIENT_AUTHENTICATION_TYP, MAX_KID_BYTES
from .._core.jwk import VerificationKey, kind_of
from .._text import escape_name, quote, quote_json
from ..clients import RegisteredClient
from ..exceptions import InvalidClient
from ..policy import AssertionPolicy

Facts = dict[Check, str]
ABSENT = "absent"

# Found


def about(assertion: str | bytes, altered: str | bytes, key: VerificationKey | None, now: float) -> Facts:
    """Of an assertion, and of the key that was found for it; ``altered`` is what of it was looked into."""
    found = about_shape(assertion)
    try:
        header, claims, _, _ = compact.split(altered, len(altered))
        found |= about_header(header)
        found |= about_claims(compact.loads(claims, "claims"), now)
    except InvalidClient:  # the recipe says so itself
        pass
    if key is not None:
        found["key"] = f"{kind_of(key.public_key)}, thumbprint {key.thumbprint}"
        found["signature"] = "made with this key"
    return found


def about_shape(assertion: str | bytes) -> Facts:
    """Of the assertion as a text."""
    segments = assertion.split(".") if isinstance(assertion, str) else assertion.split(b".")
    lengths = f": {', '.join(str(len(each)) for each in segments)} characters" if len(segments) == 3 else ""
    return {"size": f"{len(assertion)} bytes", "segments": f"{len(segments)}{lengths}"}


def about_header(segment: bytes) -> Facts:
    """Of the header, as far as it can be read."""
    try:
        members = compact.loads(segment, "header")
    except InvalidClient:  # the stage says so itself
        return {}
    alg, kid, typ = (_shown(members, name) for name in ("alg", "kid", "typ"))
    return {
        "header": _names(members),
        "crit": _shown_all(members, "crit", "b64"),
        "zip_cty": _shown_all(members, "zip", "cty"),
        "alg": alg,
        "kid": kid,
        "typ": typ,
        "signing_algs": alg,
        "require_kid": kid,
        "require_typ": typ,
    }


def about_claims(claims: Claims, now: float) -> Facts:
    """Of the claims; times are relative to ``now``."""
    return {
        "claims": _names(claims),
        "iss": _shown(claims, "iss"),
        "sub": _shown(claims, "sub"),
        "client": _shown(claims, "sub"),
        "aud": _shown(claims, "aud"),
        "exp": _when(claims, "exp", now),
        "iat": _when(claims, "iat", now),
        "nbf": _when(claims, "nbf", now),
        "lifetime": _lifetime(claims),
        "jti": _length(claims),
    }


def _names(members: Mapping[str, Any]) -> str:
    return escape_name(", ".join(members)) or "no member"


def _shown(members: Mapping[str, Any], name: str) -> str:
    return quote_json(members[name]) if name in members else ABSENT


def _shown_all(members: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{name} {quote_json(members[name])}" for name in names if name in members) or "none"


def _length(claims: Claims) -> str:
    """Of a ``jti`` only the length: whoever reads this must not be able to use it up."""
    if "jti" not in claims:
        return ABSENT
    return f"{len(claims['jti'].encode())} bytes" if isinstance(claims["jti"], str) else "no string"


def _when(claims: Claims, name: str, now: float) -> str:
    value: Any = claims.get(name)
    if not is_number(value):
        return _shown(claims, name)
    return f"in {duration(value - now)}" if value > now else f"{duration(now - value)} ago"


def _lifetime(claims: Claims) -> str:
    iat: Any = claims.get("iat")
    exp: Any = claims.get("exp")
    if not (is_number(iat) and is_number(exp)):
        return "counted from now"
    return duration(exp - iat) if exp >= iat else "none: exp is before iat"


_UNITS = ((365.25 * 86_400, "years"), (86_400, "days"), (3_600, "h"))


def duration(seconds: float) -> str:
    """Seconds, in the largest unit of which there are two: times in milliseconds then show as centuries."""
    for size, unit in _UNITS:
        if abs(seconds) >= 2 * size:
            number = seconds / size
            return f"{number:.{0 if abs(number) >= 100 else 1}f} {unit}".replace(".0 ", " ")
    return f"{seconds:.0f} s"


# Expected


_FIXED: Mapping[Check, str] = MappingProxyType(
    {
        "characters": "A-Z a-z 0-9 - _ .",
        "segments": "3, none empty",
        "header": "one JSON object",
        "crit": "no crit, no b64",
        "zip_cty": "no zip; no cty, or JWT",
        "alg": "a string",
        "kid": f"absent, or 1 to {MAX_KID_BYTES} bytes",
        "typ": f"absent, JWT or {CLIENT_AUTHENTICATION_TYP}",
        "claims": "one JSON object",
        "iss": "a client_id",
        "sub": "the same as iss",
        "client_id": "the same as sub",
        "jti": f"1 to {MAX_JTI_BYTES} bytes",
        "key": "one usable key of this kid",
        "signature": "made with this key",
        "replay": "a jti not used before",
    }
)

_AUDIENCE_FORMS = MappingProxyType({"string": "only", "sole": "only", "all": "no other than", "member": "among others"})


def expectations(policy: AssertionPolicy, client: RegisteredClient) -> Facts:
    """Say of each check what it wants to see."""
    leeway = f"{policy.leeway:g} s"
    return {
        **_FIXED,
        "size": f"at most {policy.max_assertion_bytes} bytes, each segment within its bound",
        "client": quote(client.client_id),
        "signing_algs": " or ".join(client.signing_algs),
        "require_kid": "a kid" if client.require_kid or policy.require_kid else "not required",
        "require_typ": CLIENT_AUTHENTICATION_TYP if policy.require_typ else "not required",
        "aud": f"{_AUDIENCE_FORMS[policy.audience_rule]} {' or '.join(sorted(map(quote, policy.audiences)))}",
        "exp": f"not over, at most {policy.max_lifetime:g} s ahead, leeway {leeway}",
        "iat": f"at most {leeway} ahead" + (", required" if policy.require_iat else ""),
        "nbf": f"at most {leeway} ahead",
        "lifetime": f"at most {policy.max_lifetime:g} s",
    }
