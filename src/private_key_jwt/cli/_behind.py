"""Look behind a check that failed, for `explain`: change the assertion, or what is asked of it, so that it passes.

A server stops at the first refusal, and the cause may lie behind it: an assertion that was captured has expired by now.
Each function here makes one check pass, and says as if what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from .._core import compact, strict_json
from .._core.algorithms import ALGORITHMS
from .._core.base64url import decode
from .._core.checks import Check
from .._core.describe import is_time
from .._core.octets import encode
from .._text import quote
from ..exceptions import AuthenticationError, InvalidClient, Reason
from ..policy import LONGEST_LEEWAY, LONGEST_LIFETIME, AssertionPolicy
from ..recipe import Verification
from ._options import KeyOptions

__all__ = ["NOT_OF_NOW", "TIMES", "Question", "Trial", "claims_of", "first_trial", "next_trial"]

TIMES: tuple[Check, ...] = ("exp", "iat", "nbf", "lifetime")
NOT_OF_NOW = (Reason.MISSING_CLAIM, Reason.INVALID_CLAIM)
"""The reasons for which a time is wrong whenever it is judged."""

_HEADER, _CLAIMS, _SIGNATURE = range(3)
_SEGMENT = rb"[A-Za-z0-9_-]*"
_REST = rb"\." + _SEGMENT + rb"\." + _SEGMENT
# With the `{"` at its beginning that nearly all headers have; with any; and without a signature.
_ASSERTIONS = tuple(
    re.compile(each)
    for each in (rb"eyJ" + _SEGMENT + _REST, _SEGMENT + _REST, rb"eyJ" + _SEGMENT + rb"\.eyJ" + _SEGMENT)
)
_SOME_SIGNATURE = b"AAAA"
_SOME_TIME = 60  # seconds
_OF_THE_RECIPE = frozenset({"alg", "kid", "typ", "crit", "iss", "sub", "aud", "exp", "iat", "nbf", "jti"})
_OF_THE_HEADER: tuple[Check, ...] = (
    "crit", "zip_cty", "alg", "kid", "typ", "signing_algs", "require_kid", "require_typ", "key", "signature"
)  # fmt: skip
_OF_THE_CLAIMS: tuple[Check, ...] = ("iss", "sub", "client", "aud", *TIMES, "jti")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Hold what is asked of an assertion.

    audience: None when the policy's is only in the place of one.
    client_id: None to take the assertion's word.
    """

    assertion: str | bytes
    policy: AssertionPolicy
    audience: tuple[str, ...] | None
    client_id: str | None
    source: KeyOptions
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Hold what is looked at in place of the question.

    sent: what the signature is checked over.
    read: what is read in its place.
    shown: the same, but for members that were put in or taken out for one check.
    audience: empty to take any.
    algs: None for those of the question.
    as_ifs: what was changed.
    made_up: the checks whose outcome says nothing of the assertion.
    """

    sent: bytes
    read: str | bytes
    shown: str | bytes
    policy: AssertionPolicy
    audience: tuple[str, ...] | None
    client_id: str | None
    now: float
    algs: tuple[str, ...] | None = None
    needs_kid: bool = True
    as_ifs: tuple[str, ...] = ()
    made_up: frozenset[Check] = frozenset()


def first_trial(question: Question) -> Trial:
    """Return the trial that is the question itself."""
    assertion = question.assertion
    return Trial(
        sent=assertion.encode("utf-8", "replace") if isinstance(assertion, str) else assertion,
        read=assertion,
        shown=assertion,
        policy=question.policy,
        audience=question.audience,
        client_id=question.client_id,
        now=question.now,
    )


def next_trial(question: Question, trial: Trial, work: Verification, error: AuthenticationError) -> Trial | None:
    """Return a trial at which the check that failed passes; None when nothing can be seen behind it."""
    for make in _TRIALS.get((str(error.check), error.reason), ()) or _TRIALS.get((str(error.check), None), ()):
        made = make(question, trial, work)
        if made is not None and made != trial:
            return made
    return None


def claims_of(text: str | bytes) -> dict[str, Any] | None:
    """Read the claims of a text; None where that cannot be."""
    try:
        return compact.loads(compact.split(text, len(text))[_CLAIMS], "claims")
    except InvalidClient:
        return None


# What is changed


def _segments(text: str | bytes) -> list[bytes]:
    return (text.encode("ascii", "replace") if isinstance(text, str) else text).split(b".")


def _with_members(text: str | bytes, place: int, changes: Mapping[str, Any]) -> bytes:
    """Return a text with other members in one segment; ``...`` takes one out."""
    segments = _segments(text)
    members = {**strict_json.loads_object(decode(segments[place])), **changes}
    segments[place] = _encode({name: value for name, value in members.items() if value is not ...})
    return b".".join(segments)


def _encode(members: Mapping[str, Any]) -> bytes:
    return encode(json.dumps(members).encode()).encode()


def _change(trial: Trial, place: int, changes: Mapping[str, Any], as_if: str, made_up: tuple[Check, ...] = ()) -> Trial:
    return replace(
        trial,
        read=_with_members(trial.read, place, changes),
        as_ifs=(*trial.as_ifs, as_if),
        made_up=trial.made_up | set(made_up),
    )


def _extract(_question: Question, trial: Trial, _work: Verification) -> Trial | None:
    """Take the assertion out of what stands around it."""
    text = re.sub(rb"[\r\n\t=]|%3D", b"", trial.sent.replace(b"%2E", b".")).translate(bytes.maketrans(b"+/", b"-_"))
    texts = (text, text.replace(b" ", b""))
    found = next((found for form in _ASSERTIONS for each in texts if (found := form.search(each))), None)
    if found is None:
        return None
    as_ifs = (*trial.as_ifs, "nothing else stood around or in it")
    # Who sends another alphabet or padding may have signed that, or not: nothing tells.
    is_as_sent = found[0] in re.sub(rb"\s", b"", trial.sent)
    made_up: frozenset[Check] = trial.made_up | (set() if is_as_sent else {"signature"})
    return replace(trial, sent=found[0], read=found[0], shown=found[0], as_ifs=as_ifs, made_up=made_up)


def _with_some_signature(_question: Question, trial: Trial, _work: Verification) -> Trial | None:
    """Put another signature in the place of one that is cut or absent."""
    segments = _segments(trial.read)
    if not 2 <= len(segments) <= 3 or not all(segments[:_SIGNATURE]):
        return None
    read = b".".join([*segments[:_SIGNATURE], _SOME_SIGNATURE])
    made_up: frozenset[Check] = trial.made_up | {"signature"}
    return replace(
        trial, read=read, shown=read, as_ifs=(*trial.as_ifs, "the signature segment were right"), made_up=made_up
    )


def _without_largest(name: str | None) -> _Make:
    """Leave out the largest member of what is too large; None where the recipe needs it, or there is none.

    name: of the segment; None for the longer one.
    """

    def make(_question: Question, trial: Trial, _work: Verification) -> Trial | None:
        segments = _segments(trial.read)
        if len(segments) != 3:
            return None
        longer = _HEADER if len(segments[_HEADER]) > len(segments[_CLAIMS]) else _CLAIMS
        place = longer if name is None else _PLACES[name]
        try:
            member, size = compact.largest_member(strict_json.loads_object(decode(segments[place])))
        except ValueError:
            return None
        if member in _OF_THE_RECIPE:
            return None
        as_if = f"the {_NAMES[place]} had no {quote(member)}, {size} characters of JSON"
        changed = _change(trial, place, {member: ...}, as_if)
        return replace(changed, shown=_with_members(trial.shown, place, {member: ...}))

    return make


_NAMES = ("header", "claims")
_PLACES = {name: place for place, name in enumerate(_NAMES)}


def _with_some_header(_question: Question, trial: Trial, _work: Verification) -> Trial:
    segments = _segments(trial.read)
    read = b".".join([_encode({"alg": "RS256", "kid": "-"}), *segments[_CLAIMS:]])
    as_ifs, made_up = (*trial.as_ifs, "the header could be read"), trial.made_up | set(_OF_THE_HEADER)
    return replace(trial, read=read, needs_kid=False, as_ifs=as_ifs, made_up=made_up)


def _with_some_claims(question: Question, trial: Trial, _work: Verification) -> Trial:
    segments = _segments(trial.read)
    client_id = question.client_id or "-"
    aud = _some_audience(question)
    some = {"iss": client_id, "sub": client_id, "aud": aud, "exp": _some_time(question), "jti": "-"}
    read = b".".join([segments[_HEADER], _encode(some), *segments[_SIGNATURE:]])
    as_ifs, made_up = (*trial.as_ifs, "the claims could be read"), trial.made_up | set(_OF_THE_CLAIMS)
    return replace(trial, read=read, as_ifs=as_ifs, made_up=made_up)


def _some_audience(question: Question) -> str:
    return question.audience[0] if question.audience else "-"


def _some_time(question: Question) -> int:
    return int(question.now + min(_SOME_TIME, question.policy.max_lifetime))


def _without(place: int, *names: str, made_up: tuple[Check, ...] = ()) -> _Make:
    def make(_question: Question, trial: Trial, _work: Verification) -> Trial:
        members = strict_json.loads_object(decode(_segments(trial.read)[place]))
        there = [name for name in names if name in members]
        as_if = f"the {_NAMES[place]} had no {' and no '.join(there)}"
        return _change(trial, place, dict.fromkeys(there, ...), as_if, made_up)

    return make


def _without_kid(_question: Question, trial: Trial, _work: Verification) -> Trial:
    made_up: tuple[Check, ...] = ("require_kid", "key", "signature")
    made = _change(trial, _HEADER, {"kid": ...}, "the header had no kid", made_up)
    return replace(made, policy=replace(trial.policy, require_kid=False), needs_kid=False)


def _with_some_alg(_question: Question, trial: Trial, _work: Verification) -> Trial:
    return _change(trial, _HEADER, {"alg": "RS256"}, "alg were RS256", ("signing_algs", "key", "signature"))


def _registered_for_it(_question: Question, trial: Trial, work: Verification) -> Trial | None:
    alg = work.header.alg
    if alg not in ALGORITHMS:
        return None
    return replace(trial, algs=(alg,), as_ifs=(*trial.as_ifs, f"the client were registered for {alg}"))


def _of_one_client(question: Question, trial: Trial, _work: Verification) -> Trial:
    claims = claims_of(trial.read) or {}
    names = (question.client_id, claims.get("sub"), claims.get("iss"), "-")
    name = next(each for each in names if isinstance(each, str) and each)
    as_if = f"iss and sub were both {quote(name)}"
    return _change(trial, _CLAIMS, {"iss": name, "sub": name}, as_if, ("sub",))


def _of_its_own_client(_question: Question, trial: Trial, _work: Verification) -> Trial:
    return replace(trial, client_id=None)


def _no_kid_needed(_question: Question, trial: Trial, _work: Verification) -> Trial:
    return replace(trial, policy=replace(trial.policy, require_kid=False), needs_kid=False)


def _no_typ_needed(_question: Question, trial: Trial, _work: Verification) -> Trial:
    return replace(trial, policy=replace(trial.policy, require_typ=False))


def _for_any_audience(_question: Question, trial: Trial, _work: Verification) -> Trial | None:
    return replace(trial, audience=()) if trial.audience else None


def _with_some_audience(question: Question, trial: Trial, _work: Verification) -> Trial:
    aud = _some_audience(question)
    return _change(trial, _CLAIMS, {"aud": aud}, f"aud were {quote(aud)}")


def _at_its_time(_question: Question, trial: Trial, work: Verification) -> Trial:
    exp, iat = work.claims["exp"], work.claims.get("iat")
    sent_at = iat if is_time(iat) and iat <= exp else max(0.0, exp - 1)
    return replace(trial, now=float(sent_at))


def _by_the_widest_policy(_question: Question, trial: Trial, _work: Verification) -> Trial:
    policy = replace(trial.policy, leeway=LONGEST_LEEWAY, max_lifetime=LONGEST_LIFETIME)
    return replace(trial, policy=policy)


def _with_some_exp(question: Question, trial: Trial, _work: Verification) -> Trial:
    made = _change(trial, _CLAIMS, {"exp": _some_time(question)}, "exp were right", ("lifetime",))
    return replace(made, now=question.now)


def _without_time(name: str) -> _Make:
    def make(question: Question, trial: Trial, _work: Verification) -> Trial:
        made = _change(trial, _CLAIMS, {name: ...}, f"the claims had no {name}", ("lifetime",))
        return replace(made, now=question.now, policy=replace(trial.policy, require_iat=False))

    return make


def _with_some_jti(_question: Question, trial: Trial, _work: Verification) -> Trial:
    return _change(trial, _CLAIMS, {"jti": "-"}, "there were a jti")


_Make = Callable[[Question, Trial, Verification], Trial | None]
_NOW = (_at_its_time, _by_the_widest_policy)
_TRIALS: Mapping[tuple[str, Reason | None], tuple[_Make, ...]] = MappingProxyType(
    {
        ("size", Reason.TOO_LARGE): (_without_largest(None),),
        ("characters", None): (_extract,),
        ("segments", None): (_with_some_signature,),
        ("header", Reason.TOO_LARGE): (_without_largest("header"),),
        ("header", None): (_with_some_header,),
        ("crit", None): (_without(_HEADER, "crit", "b64"),),
        ("zip_cty", None): (_without(_HEADER, "zip", "cty"),),
        ("alg", None): (_with_some_alg,),
        ("kid", None): (_without_kid,),
        ("typ", None): (_without(_HEADER, "typ", made_up=("require_typ",)),),
        ("claims", Reason.TOO_LARGE): (_without_largest("claims"),),
        ("claims", None): (_with_some_claims,),
        ("iss", None): (_of_one_client,),
        ("sub", None): (_of_one_client,),
        ("client", None): (_of_its_own_client,),
        ("signing_algs", None): (_registered_for_it, _with_some_alg),
        ("require_kid", None): (_no_kid_needed,),
        ("require_typ", None): (_no_typ_needed,),
        ("aud", Reason.AUDIENCE_MISMATCH): (_for_any_audience, _with_some_audience),
        ("aud", None): (_with_some_audience,),
        ("exp", Reason.EXPIRED): (*_NOW, _with_some_exp),
        ("exp", Reason.LIFETIME_TOO_LONG): (*_NOW, _with_some_exp),
        ("exp", None): (_with_some_exp,),
        ("iat", Reason.NOT_YET_VALID): (*_NOW, _without_time("iat")),
        ("iat", None): (_without_time("iat"),),
        ("nbf", Reason.NOT_YET_VALID): (*_NOW, _without_time("nbf")),
        ("nbf", None): (_without_time("nbf"),),
        ("lifetime", None): (_by_the_widest_policy, _without_time("iat")),
        ("jti", None): (_with_some_jti,),
    }
)
"""The changes to try in turn for a check that failed, by the reason, or for each reason that does not stand here."""
