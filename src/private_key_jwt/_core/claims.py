"""Step 3, the claims (RFC 7523 §3, OpenID Connect Core §9)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._text import quote
from ..exceptions import InvalidClient, Reason
from ..policy import AssertionPolicy
from .algorithms import is_allowed
from .checks import Check
from .header import CLIENT_AUTHENTICATION_TYP, Header

MAX_JTI_BYTES = 256

# Beyond this a double no longer tells one second from the next.
_LAST_TIME = 2**53

Claims = dict[str, Any]


def _invalid(check: Check, detail: str) -> InvalidClient:
    return InvalidClient(Reason.INVALID_CLAIM, detail, check)


def _missing(check: Check) -> InvalidClient:
    return InvalidClient(Reason.MISSING_CLAIM, f"expected the claim {check}, and it is absent", check)


def _no_string(claims: Claims, check: Check) -> InvalidClient:
    if check not in claims:
        return _missing(check)
    return _invalid(check, f"expected {check} to be a non-empty string, got {quote(claims[check])}")


def identify(claims: Claims, client_id: str | None) -> str:
    """The client that ``iss`` and ``sub``, and the request's ``client_id`` when given, all name.

    RFC 7523 §3 items 1 and 2, RFC 7521 §4.2. Raises InvalidClient: missing_claim, invalid_claim, client_mismatch.
    """
    iss, sub = claims.get("iss"), claims.get("sub")
    if type(iss) is not str or not iss:
        raise _no_string(claims, "iss")
    if type(sub) is not str or not sub:
        raise _no_string(claims, "sub")
    if iss != sub:
        raise InvalidClient(
            Reason.CLIENT_MISMATCH, f"expected iss and sub to be equal, got {quote(iss)} and {quote(sub)}", "sub"
        )
    if client_id is not None and (not isinstance(client_id, str) or client_id != sub):
        raise InvalidClient(
            Reason.CLIENT_MISMATCH,
            f"expected the client_id of the request, {quote(client_id)}, got sub {quote(sub)}",
            "client_id",
        )
    return sub


def check_client_rules(
    header: Header, policy: AssertionPolicy, signing_algs: Sequence[str], *, require_kid: bool
) -> None:
    """What the header must satisfy for this one client.

    Raises InvalidClient: unsupported_alg, missing_kid, unsupported_typ.
    """
    if not is_allowed(header.alg, signing_algs):
        raise InvalidClient(
            Reason.UNSUPPORTED_ALG,
            f"expected {' or '.join(signing_algs)}, got {quote(header.alg)}",
            "signing_algs",
        )
    if header.kid is None and (require_kid or policy.require_kid):
        raise InvalidClient(Reason.MISSING_KID, "expected a kid in the header, and it is absent", "require_kid")
    if policy.require_typ and header.typ != CLIENT_AUTHENTICATION_TYP:
        raise InvalidClient(
            Reason.UNSUPPORTED_TYP,
            f"expected typ {CLIENT_AUTHENTICATION_TYP}, got {quote(header.typ)}",
            "require_typ",
        )


def check_audience(claims: Claims, policy: AssertionPolicy) -> str:
    """The accepted value that ``aud`` holds, by the policy's rule.

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
        raise _invalid("aud", f"expected aud to be a string or a list of strings, got {quote(aud)}")
    if policy.audience_rule == "string" and values is aud:
        raise _audience_mismatch(aud, "a string, not a list")
    if policy.audience_rule == "sole" and len(values) != 1:
        raise _audience_mismatch(aud, "a single audience")
    for value in values:
        if value in policy.audiences:
            return value
    near = {value.rstrip("/") for value in values} & {value.rstrip("/") for value in policy.audiences}
    hint = "; only the slash at the end differs" if near else ""
    raise _audience_mismatch(aud, " or ".join(sorted(map(quote, policy.audiences))) + hint)


def _audience_mismatch(aud: object, expected: str) -> InvalidClient:
    return InvalidClient(Reason.AUDIENCE_MISMATCH, f"got {quote(aud)}, expected {expected}", "aud")


def _time(claims: Claims, check: Check) -> float:
    value = claims[check]
    # RFC 7519 §2: a number. A bool is an int to Python, and no number to JSON.
    if type(value) is not int and type(value) is not float:
        raise _invalid(check, f"expected {check} to be a number, got {quote(value)}")
    if not 0 <= value <= _LAST_TIME:
        raise _invalid(check, f"expected {check} from 0 to 2^53, got {quote(value)}")
    return value


def check_times(claims: Claims, policy: AssertionPolicy, now: float) -> tuple[float | None, float]:
    """``exp``, ``iat`` and ``nbf`` against ``now`` (seconds since the epoch) and against each other.

    RFC 7523 §3 items 4 to 6; the leeway for ``iat`` and ``nbf`` after FAPI 2.0 Security Profile §5.3.2.1.
    Answers with ``iat`` and ``exp`` (RFC 7519 §2: seconds since the epoch).
    Raises InvalidClient: missing_claim, invalid_claim, expired, lifetime_too_long, not_yet_valid.
    """
    exp = _time(claims, "exp") if "exp" in claims else None
    iat = _time(claims, "iat") if "iat" in claims else None
    nbf = _time(claims, "nbf") if "nbf" in claims else None
    leeway, max_lifetime = policy.leeway, policy.max_lifetime
    if exp is None:
        raise _missing("exp")
    if iat is None and policy.require_iat:
        raise _missing("iat")
    check_not_expired(exp, leeway, now)
    if exp > now + max_lifetime + leeway:
        raise _too_long(f"exp at most {max_lifetime:g} s ahead", exp - now, policy)
    if iat is not None and iat > now + leeway:
        raise _ahead("iat", iat - now, leeway)
    if nbf is not None and nbf > now + leeway:
        raise _ahead("nbf", nbf - now, leeway)
    if iat is not None and exp - iat > max_lifetime:
        raise _too_long(f"exp at most {max_lifetime:g} s after iat", exp - iat, policy)
    if iat is not None and iat > exp:
        raise _after_exp("iat", iat - exp)
    if nbf is not None and nbf > exp:
        raise _after_exp("nbf", nbf - exp)
    return iat, exp


def _ahead(check: Check, seconds: float, leeway: float) -> InvalidClient:
    return InvalidClient(
        Reason.NOT_YET_VALID,
        f"{check} is {seconds:.0f} s ahead, leeway {leeway:g} s: is the sender's clock fast?",
        check,
    )


def _after_exp(check: Check, seconds: float) -> InvalidClient:
    return _invalid(check, f"expected {check} not after exp, and it is {seconds:.0f} s after it")


def check_not_expired(exp: float, leeway: float, now: float) -> None:
    """RFC 7523 §3 item 4. Raises InvalidClient: expired."""
    if not exp > now - leeway:  # and so a clock that gives no number lets nobody in
        raise InvalidClient(
            Reason.EXPIRED,
            f"expired {now - exp:.0f} s ago, leeway {leeway:g} s: is the sender's clock slow?",
            "exp",
        )


def _too_long(expected: str, lifetime: float, policy: AssertionPolicy) -> InvalidClient:
    return InvalidClient(
        Reason.LIFETIME_TOO_LONG,
        f"expected {expected} (leeway {policy.leeway:g} s), got {lifetime:.0f} s",
        "lifetime",
    )


def check_jti(claims: Claims) -> str:
    """OpenID Connect Core §9: required. Raises InvalidClient: missing_claim, invalid_claim."""
    jti = claims.get("jti")
    if type(jti) is not str or not jti:
        raise _no_string(claims, "jti")
    size = len(jti.encode("utf-8"))
    if size > MAX_JTI_BYTES:
        raise _invalid("jti", f"expected a jti of at most {MAX_JTI_BYTES} bytes, got {size}")
    return jti
