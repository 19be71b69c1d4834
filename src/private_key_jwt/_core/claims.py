"""Step 3, the claims (RFC 7523 §3, OpenID Connect Core §9); and for step 6, what is remembered of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from hashlib import blake2s
from types import MappingProxyType
from typing import Any

from .._text import plain_text, quote, quote_json
from ..exceptions import Detail, InvalidClient, Reason
from ..policy import LONGEST_LEEWAY, AssertionPolicy
from . import describe
from .algorithms import describe_unsupported, is_allowed
from .checks import Check
from .describe import LAST_TIME
from .header import CLIENT_AUTHENTICATION_TYP, Header

__all__ = [
    "MAX_JTI_BYTES",
    "Claims",
    "check_audience",
    "check_client_rules",
    "check_jti",
    "check_not_expired",
    "check_times",
    "identify",
    "replay_key",
    "retain_until",
    "window",
]

MAX_JTI_BYTES = 256

_TIME_CLAIMS: tuple[Check, Check, Check] = ("exp", "iat", "nbf")

Claims = dict[str, Any]


def _invalid(check: Check, detail: Detail) -> InvalidClient:
    return InvalidClient(Reason.INVALID_CLAIM, detail, check)


def _missing(check: Check) -> InvalidClient:
    return InvalidClient(Reason.MISSING_CLAIM, f"expected the claim {check}, and it is absent", check)


def _no_string(claims: Claims, check: Check) -> InvalidClient:
    if check not in claims:
        return _missing(check)
    return _invalid(check, f"expected {check} to be a non-empty string, got {quote_json(claims[check])}")


# No partials below where a text of the sender is described: the error's arguments would show it.

_CLIENT_MISMATCH: Mapping[Check, str] = MappingProxyType(
    {
        "sub": "expected iss and sub to be equal, both the client_id, got {} and {}",
        "client_id": "expected sub to be the client_id of the request, {}, got {}",
    }
)


def _client_mismatch(check: Check, value: object, sub: str) -> InvalidClient:
    def detail() -> str:
        return _CLIENT_MISMATCH[check].format(quote(value), quote(sub)) + describe.alike(value, sub)

    return InvalidClient(Reason.CLIENT_MISMATCH, detail, check)


def _unsupported_alg(alg: str, signing_algs: Sequence[str]) -> InvalidClient:
    return InvalidClient(Reason.UNSUPPORTED_ALG, lambda: describe_unsupported(alg, signing_algs), "signing_algs")


def identify(claims: Claims, client_id: str | None) -> str:
    """Return the client that ``iss`` and ``sub``, and the request's ``client_id`` when given, all name.

    RFC 7523 §3 items 1 and 2, RFC 7521 §4.2. Raises InvalidClient: missing_claim, invalid_claim, client_mismatch.
    """
    iss, sub = claims.get("iss"), claims.get("sub")
    if type(iss) is not str or not iss:
        raise _no_string(claims, "iss")
    if type(sub) is not str or not sub:
        raise _no_string(claims, "sub")
    if iss != sub:
        raise _client_mismatch("sub", iss, sub)
    if client_id is not None:
        named = plain_text(client_id)
        if type(named) is not str or named != sub:
            raise _client_mismatch("client_id", named, sub)
    return sub


def check_client_rules(
    header: Header, policy: AssertionPolicy, signing_algs: Sequence[str], *, require_kid: bool
) -> None:
    """Check what the header must satisfy for this one client.

    Raises InvalidClient: unsupported_alg, missing_kid, unsupported_typ.
    """
    if header.alg not in signing_algs and not is_allowed(header.alg, signing_algs):
        raise _unsupported_alg(header.alg, signing_algs)
    if header.kid is None and (require_kid or policy.require_kid):
        raise InvalidClient(
            Reason.MISSING_KID, "expected a kid in the header (require_kid), and it is absent", "require_kid"
        )
    if policy.require_typ and header.typ != CLIENT_AUTHENTICATION_TYP:
        raise InvalidClient(
            Reason.UNSUPPORTED_TYP,
            f"expected typ {CLIENT_AUTHENTICATION_TYP} (require_typ),"
            f" got {'none' if header.typ is None else quote(header.typ)}",
            "require_typ",
        )


def check_audience(claims: Claims, policy: AssertionPolicy) -> str:
    """Return the accepted value that ``aud`` holds, by the policy's rule.

    RFC 7523 §3 item 3. Raises InvalidClient: missing_claim, invalid_claim, audience_mismatch.
    """
    aud = claims.get("aud")
    if type(aud) is str and aud in policy.audiences:
        return aud  # by each of the rules
    if type(aud) is str and aud:
        values = [aud]
    elif type(aud) is list and aud and all(type(value) is str for value in aud):
        values = aud
    elif "aud" not in claims:
        raise _missing("aud")
    else:
        raise _invalid("aud", f"expected aud to be a string or a list of strings, got {quote_json(aud)}")
    accepted = [value for value in values if value in policy.audiences]
    rule = policy.audience_rule
    if rule == "string" and type(aud) is list:
        raise _audience_mismatch(aud, describe.listed_audience(accepted, policy.audiences))
    if rule == "sole" and len(values) != 1:
        raise _audience_mismatch(aud, describe.several_audiences(len(values), accepted, policy.audiences))
    if rule == "all" and accepted and len(accepted) != len(values):
        foreign = next(value for value in values if value not in policy.audiences)
        raise _audience_mismatch(aud, f"{quote(foreign)} is not accepted, and all must be")
    if not accepted:
        raise _not_accepted(aud, values, policy)
    return str(accepted[0])


def _not_accepted(aud: object, values: list[str], policy: AssertionPolicy) -> InvalidClient:
    return InvalidClient(
        Reason.AUDIENCE_MISMATCH, lambda: describe.audience_mismatch(aud, values, policy.audiences), "aud"
    )


def _audience_mismatch(aud: object, fault: str) -> InvalidClient:
    return InvalidClient(Reason.AUDIENCE_MISMATCH, f"got aud {quote(aud)}, {fault}", "aud")


def _time(claims: Claims, check: Check) -> float | None:
    value = claims.get(check)
    if describe.is_time(value):
        return value
    if value is None and check not in claims:
        return None
    raise _invalid(check, lambda: describe.no_time(check, value))


def check_times(claims: Claims, policy: AssertionPolicy, now: float) -> tuple[float | None, float]:
    """Check ``exp``, ``iat`` and ``nbf`` against ``now`` (seconds since the epoch) and against each other.

    RFC 7523 §3 items 4 to 6; the leeway for ``iat`` and ``nbf`` after FAPI 2.0 Security Profile §5.3.2.1.
    Return ``iat`` and ``exp`` (RFC 7519 §2: seconds since the epoch).
    Raises InvalidClient: missing_claim, invalid_claim, expired, lifetime_too_long, not_yet_valid.
    """
    leeway, longest = policy.leeway, policy.max_lifetime + policy.leeway
    exp, iat = claims.get("exp"), claims.get("iat")
    # As nearly all are. A call costs as much as the rest: without those for `exp` and `iat` this takes half the time.
    if type(exp) is not int or not 0 <= exp <= LAST_TIME:
        exp = _time(claims, "exp")
        if exp is None:
            raise _missing("exp")
    if not exp > now - leeway:
        raise _expired(exp, leeway, now, iat)
    if exp > now + longest:
        raise _too_far(exp, iat, now, policy)
    if type(iat) is not int or not 0 <= iat <= now + leeway or iat > exp:
        iat = _past_time(claims, "iat", exp, leeway, now)
        if iat is None and policy.require_iat:
            raise _missing("iat")
    if "nbf" in claims:
        _past_time(claims, "nbf", exp, leeway, now)
    # With the leeway: clients set `iat` back to forgive clocks. The bound on `exp` from now, above, holds in any case.
    if iat is not None and exp - iat > longest:
        raise _too_long(exp, iat, policy)
    return iat, exp


def _past_time(claims: Claims, check: Check, exp: float, leeway: float, now: float) -> float | None:
    """Return ``iat`` or ``nbf``, which lies at most ``leeway`` ahead and not after ``exp``; None when it is absent."""
    value = _time(claims, check)
    if value is None:
        return None
    if value > now + leeway:
        raise _ahead(check, value, now, leeway)
    if value > exp:
        raise _after_exp(check, value - exp)
    return value


def check_not_expired(exp: float, leeway: float, now: float) -> None:
    """Refuse an assertion whose ``exp`` plus ``leeway`` (seconds) is not after ``now`` (seconds since the epoch).

    RFC 7523 §3 item 4. Raises InvalidClient: expired.
    """
    if not exp > now - leeway:  # and so a clock that gives no number lets nobody in
        raise _expired(exp, leeway, now)


def _expired(exp: float, leeway: float, now: float, iat: object = None) -> InvalidClient:
    return InvalidClient(Reason.EXPIRED, partial(describe.expired, exp, leeway, now, iat), "exp")


def _too_far(exp: float, iat: object, now: float, policy: AssertionPolicy) -> InvalidClient:
    detail = partial(describe.too_far, exp, iat, policy.max_lifetime, policy.leeway, now)
    return InvalidClient(Reason.LIFETIME_TOO_LONG, detail, "exp")


def _too_long(exp: float, iat: float, policy: AssertionPolicy) -> InvalidClient:
    detail = partial(describe.too_long, exp, iat, policy.max_lifetime, policy.leeway)
    return InvalidClient(Reason.LIFETIME_TOO_LONG, detail, "lifetime")


def _ahead(check: Check, value: float, now: float, leeway: float) -> InvalidClient:
    return InvalidClient(Reason.NOT_YET_VALID, partial(describe.ahead, check, value, leeway, now), check)


def _after_exp(check: Check, seconds: float) -> InvalidClient:
    return _invalid(check, f"expected {check} not after exp, and it is {seconds:.0f} s after it")


def window(claims: Claims, policy: AssertionPolicy) -> tuple[float, float] | None:
    """Return the first and the last instant at which ``check_times`` takes the times; None where there is none."""
    try:
        exp, *starts = (_time(claims, check) or 0 for check in _TIME_CLAIMS)
        first, last = max(exp - policy.max_lifetime, *starts) - policy.leeway, exp + policy.leeway
        check_times(claims, policy, (first + last) / 2)
    except InvalidClient:
        return None
    return max(first, 0), last


def check_jti(claims: Claims) -> str:
    """Return ``jti``, a non-empty string of at most 256 bytes (OpenID Connect Core §9).

    Raises InvalidClient: missing_claim, invalid_claim.
    """
    jti = claims.get("jti")
    if type(jti) is not str or not jti:
        raise _no_string(claims, "jti")
    # A character has at most four bytes: a short text needs no counting.
    if len(jti) > MAX_JTI_BYTES // 4 and (size := len(jti.encode("utf-8"))) > MAX_JTI_BYTES:
        raise _invalid("jti", f"expected a jti of at most {MAX_JTI_BYTES} bytes, got {size}")
    return jti


def replay_key(client_id: str, jti: str) -> bytes:
    """Return an injective digest of (client_id, jti): 32 bytes (BLAKE2s, RFC 7693), whatever the two hold.

    RFC 7519 §4.1.7: a ``jti`` is unique to its issuer, so one client cannot use up another's. The length in
    front keeps ("a", "bc") and ("ab", "c") apart.
    """
    return blake2s(f"{len(client_id)}:{client_id}{jti}".encode()).digest()


def retain_until(expires_at: float) -> float:
    """Return when a replay mark may be forgotten, in seconds since the epoch.

    A host accepts up to ``exp`` + its leeway, by a clock that may be behind by as much. Each is taken to be the longest
    that can be set: verifiers that share a store may differ in theirs, a policy may be changed while the mark lives,
    and a store that got another time for the same assertion could not see that a clock was set back. A second
    more covers engines that count in whole seconds.
    """
    return expires_at + 2 * LONGEST_LEEWAY + 1
