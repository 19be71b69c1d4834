"""Every error that a verifier raises.

    PrivateKeyJWTError
    ├── ConfigurationError          yours, at start: names the setting
    └── AuthenticationError         carries .reason, .detail, .to_response()
        ├── InvalidClient           the client's fault           401 invalid_client
        ├── InvalidRequest          the token request itself     400 invalid_request
        └── TemporarilyUnavailable  ours, nothing was decided    503 temporarily_unavailable

The exact reason stays inside (``.reason``, ``.detail``); what goes on the wire is one constant response
for each class, so that nobody learns from it which check failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar, NamedTuple

from ._text import cut, describe_error

__all__ = [
    "AuthenticationError",
    "ConfigurationError",
    "ErrorResponse",
    "InvalidClient",
    "InvalidRequest",
    "PrivateKeyJWTError",
    "Reason",
    "TemporarilyUnavailable",
]

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}  # RFC 6749 §5.1
DETAIL_LENGTH = 300
"""Characters of a detail, at most."""


class Reason(StrEnum):
    """Say why a client was not authenticated.

        if error.reason is Reason.REPLAYED:  # or == "replayed"
            alert(f"an assertion was used twice: {error.detail}")

    Stable: log it, count it, alert on it. ``private_key_jwt.runbook`` says what to do about each.
    """

    # InvalidClient: the assertion, or the client that sent it.
    MALFORMED = "malformed"
    TOO_LARGE = "too_large"
    UNSUPPORTED_ALG = "unsupported_alg"
    UNSUPPORTED_CRIT = "unsupported_crit"
    UNSUPPORTED_TYP = "unsupported_typ"
    MISSING_KID = "missing_kid"
    MISSING_CLAIM = "missing_claim"
    INVALID_CLAIM = "invalid_claim"
    UNKNOWN_CLIENT = "unknown_client"
    CLIENT_MISMATCH = "client_mismatch"
    AUDIENCE_MISMATCH = "audience_mismatch"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    UNKNOWN_KID = "unknown_kid"
    NO_KEYS = "no_keys"
    UNUSABLE_KEY = "unusable_key"
    AMBIGUOUS_KEY = "ambiguous_key"
    BAD_SIGNATURE = "bad_signature"
    REPLAYED = "replayed"
    MISSING_ASSERTION = "missing_assertion"
    # TemporarilyUnavailable: our side could not decide.
    JWKS_UNAVAILABLE = "jwks_unavailable"
    REPLAY_STORE_UNAVAILABLE = "replay_store_unavailable"
    REPLAY_STORE_FULL = "replay_store_full"
    CLIENT_LOOKUP_FAILED = "client_lookup_failed"
    # InvalidRequest: the token request around the assertion.
    INVALID_REQUEST = "invalid_request"


class ErrorResponse(NamedTuple):
    """Hold what to send: the HTTP status, the header fields, and the members of the JSON body (RFC 6749 §5.2).

        status, headers, body = error.to_response()
        send(status, {"Content-Type": "application/json", **headers}, json.dumps(body))

    It names no reason.
    """

    status: int
    headers: dict[str, str]
    body: dict[str, str]


Detail = str | Callable[[], str]
"""A detail, or a function that makes it when it is asked for."""


class PrivateKeyJWTError(Exception):
    """The base of every error of this library.

        try: portal.revoke_sessions(sub="u-1")
        except PrivateKeyJWTError as error:
            log.error("%s", error)

    Arguments that are wrong in a call of ``ledgerbee.PortalSSO`` are a ValueError.
    """

    __slots__ = ()


class ConfigurationError(PrivateKeyJWTError):
    """A setting is wrong; the text names it.

        try: policy = AssertionPolicy(audience="https://op.example.com", leeway=900)
        except ConfigurationError as error:
            log.critical("%s", error)  # leeway must be ...

    It is raised at the start: a verifier never raises it for a request.
    """


class AuthenticationError(PrivateKeyJWTError):
    """A client was not authenticated; nothing may be issued.

        try: verified = verifier.authenticate(form, authorization)
        except AuthenticationError as error:
            send(*error.to_response())

    reason: for programs.
    detail: for the log of the operator: what was expected and what came, escaped, at most 300 characters, never the
        assertion.
    check: the line of the recipe that refused (see ``private-key-jwt explain``), where one did.

    Neither reason nor detail nor check may go on the wire.
    """

    # A refusal that is not logged needs no dictionary of its own then, which would cost half of making the error.
    __slots__ = ("_detail", "_is_reported", "check", "reason")

    _status: ClassVar[int]
    _headers: ClassVar[dict[str, str]] = _NO_STORE
    _body: ClassVar[dict[str, str]]

    def __init__(self, reason: Reason, detail: Detail, check: str | None = None) -> None:
        self.reason = reason
        self.check = check
        self._is_reported = False
        # Or both, the detail and who sent it: a function and its arguments, for a partial takes four times as long to
        # make. In one place, so that threads which read the detail at once see either both or the whole text.
        self._detail: Detail | tuple[Any, ...] = detail

    @property
    def detail(self) -> str:
        """Say what was expected, what came, and what to do: for the operator's log."""
        # Made when it is asked for: a flood of refusals that nobody logs must not cost the words of each.
        detail, sender = self._detail, ""
        if isinstance(detail, tuple):
            detail, describe, *arguments = detail
            sender = _made(describe, *arguments)
        text = detail if isinstance(detail, str) else _made(detail)
        self._detail = cut(text, DETAIL_LENGTH - len(sender)) + sender
        return self._detail

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail, self.check)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.reason!s}, {self.detail!r}, check={self.check!r})"

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"

    def to_response(self) -> ErrorResponse:
        """Return the response for the wire: the same for every reason of this class."""
        return ErrorResponse(self._status, dict(self._headers), dict(self._body))


def _made(describe: Callable[..., str], *arguments: object) -> str:
    try:
        return describe(*arguments)
    except Exception as error:  # of what a user made, such as a key that is none: words must not decide
        return f"its description raised {describe_error(error)}"


def name_sender(error: AuthenticationError, sender: Callable[[], str]) -> None:
    """Have the detail end with which client the sender says it is, unverified, in place of another that was named.

    sender: called when the detail is read, since most are never read. Its text is not cut.
    """
    detail = error._detail  # noqa: SLF001  (its own module)
    error._detail = (detail[0] if isinstance(detail, tuple) else detail, sender)  # noqa: SLF001


class InvalidClient(AuthenticationError):
    """The assertion does not authenticate a client (RFC 7523 §3.2: ``invalid_client``; HTTP 401).

        try: verified = verifier.authenticate(form, authorization)
        except InvalidClient as error:
            log.warning("%s, at check %s: %s", error.reason, error.check, error.detail)

    scheme: that of an ``Authorization`` header which the client tried in place of an assertion, if it did.
    """

    _status = 401
    # RFC 9110 §15.5.2 wants a challenge beside a 401. It is a scheme of our own, because a client that is challenged
    # for `Basic` would start to send its secrets that way: only one that tried another scheme hears of it.
    _headers: ClassVar[dict[str, str]] = {
        **_NO_STORE,
        "WWW-Authenticate": 'PrivateKeyJWT error="invalid_client"',
    }
    _body: ClassVar[dict[str, str]] = {
        "error": "invalid_client",
        "error_description": "Client authentication failed.",
    }

    scheme: str | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail, self.check), {"scheme": self.scheme}

    def to_response(self) -> ErrorResponse:
        """Return the response for the wire, with the challenge of the scheme that was tried, too (RFC 6749 §5.2)."""
        response = super().to_response()
        if self.scheme is not None:
            realm = ' realm="token"' if self.scheme.lower() == "basic" else ""
            response.headers["WWW-Authenticate"] += f", {self.scheme}{realm}"
        return response


class InvalidRequest(AuthenticationError):
    """The token request is malformed around its assertion (RFC 6749 §5.2: ``invalid_request``; HTTP 400).

        try: verified = verifier.authenticate(form, authorization)
        except InvalidRequest as error:
            log.warning("%s", error.detail)  # such as a parameter that came twice

    Its ``reason`` is always ``invalid_request``.
    """

    _status = 400
    _body: ClassVar[dict[str, str]] = {
        "error": "invalid_request",
        "error_description": "The client authentication parameters of the request are malformed.",
    }


# The reasons that are ours, and the line of the recipe at which each of them stops.
UNDECIDED = {
    Reason.CLIENT_LOOKUP_FAILED: "client",
    Reason.JWKS_UNAVAILABLE: "key",
    Reason.REPLAY_STORE_UNAVAILABLE: "replay",
    Reason.REPLAY_STORE_FULL: "replay",
}
RETRY_AFTER = 5  # seconds
STORE_REASONS = tuple(reason for reason, check in UNDECIDED.items() if check == "replay")


class TemporarilyUnavailable(AuthenticationError):
    """We could not decide: keys, clients or a store could not be asked (HTTP 503).

        try: verified = verifier.authenticate(form, authorization)
        except TemporarilyUnavailable as error:
            page(f"{error.reason}: {error.detail}")

    The client may try again.

    retry_after: the seconds to wait that the response names, rounded up.
    """

    _status = 503
    _body: ClassVar[dict[str, str]] = {
        "error": "temporarily_unavailable",
        "error_description": "Client authentication is temporarily unavailable.",
    }

    def __init__(self, reason: Reason, detail: Detail, retry_after: float = RETRY_AFTER) -> None:
        super().__init__(reason, detail, UNDECIDED.get(reason))
        self.retry_after = max(1, math.ceil(retry_after))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.detail, self.retry_after)

    def to_response(self) -> ErrorResponse:
        """Return the response for the wire, with ``Retry-After`` in whole seconds (RFC 9110 §10.2.3)."""
        response = super().to_response()
        response.headers["Retry-After"] = str(self.retry_after)
        return response
