"""Report the outcome of verifications to ``on_event``: one event for each."""

from __future__ import annotations

from time import perf_counter
from typing import get_args

from ._core.checks import Check
from ._core.sender import sender_of_assertion, sender_of_claims
from ._log import admits_line
from ._text import cut, describe_in_full, escape_name, one_line
from .events import (
    AssertionAccepted,
    AssertionRefused,
    OnEvent,
    RegistrationRefused,
    StoreFailed,
    emit,
    line_of,
    log_events,
    write_line,
)
from .exceptions import (
    DETAIL_LENGTH,
    STORE_REASONS,
    AuthenticationError,
    ConfigurationError,
    Reason,
)
from .recipe import Verification, VerifiedAssertion

__all__ = ["Reporter"]

_CHECKS = get_args(Check)
_CLAIMS_ARE_READ = frozenset(_CHECKS[_CHECKS.index("claims") + 1 : _CHECKS.index("client")])
_BEFORE_CLIENT = frozenset(_CHECKS[: _CHECKS.index("client")])  # nobody knows yet who sent it


class Reporter:
    """Report for one verifier.

    on_event: unless given, refusals are logged, and what is accepted is not reported.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        self._on_event = log_events if on_event is None else on_event
        self._report_refusal = (
            write_line if on_event is None else on_event
        )  # its line is counted before the event is made
        self.reports_accepted = on_event is not None

    def accepted(self, verified: VerifiedAssertion, work: Verification, duration: float) -> None:
        """Report that a client is authenticated."""
        event = AssertionAccepted(
            client_id=verified.client_id,
            kid=escape_name(verified.kid),
            alg=verified.alg,
            jti_hash=work.jti_hash or "",
            audience=verified.audience,
            duration=duration,
        )
        emit(self._on_event, event)

    def refused(
        self,
        error: AuthenticationError,
        work: Verification | None,
        started: float,
        assertion: str | bytes | None = None,
        client_id: str | None = None,
    ) -> None:
        """Report that nobody is authenticated, once for each error.

        started: when it began (``time.perf_counter``).
        assertion, client_id: what came, for the detail to name who says to have sent it.
        """
        # The two slots of the error are set here, not by functions of theirs: a call costs 1 % of a refusal.
        if error._is_reported:  # noqa: SLF001
            return
        error._is_reported = True  # noqa: SLF001
        check, registered = error.check, None
        if check in _BEFORE_CLIENT:
            if assertion is not None:
                error._detail = error._detail, _describe_sender, error.reason, check, work, assertion, client_id  # noqa: SLF001
        elif check != "client" and work is not None:  # to hear that there is none takes 0.3 µs
            registered = work.registered_client_id
        # Asked before the event is made: under a flood a refusal that is not logged costs next to nothing.
        if not self.reports_accepted and not admits_line(*line_of(error.reason, registered)):
            return
        duration = perf_counter() - started
        # A store and a key source may raise a ConfigurationError, too: there is nothing to correct in the client then.
        if error.reason in STORE_REASONS:
            emit(self._on_event, StoreFailed(store="replay_store", error=_cause(error)))
        elif error.reason is Reason.CLIENT_LOOKUP_FAILED and work is not None and (fault := _registration_fault(error)):
            emit(self._on_event, RegistrationRefused(client_id=escape_name(work.client_id), detail=fault))
        event = AssertionRefused(
            reason=error.reason,
            check=error.check,
            detail=error.detail,
            client_id=registered,
            kid=None if work is None else escape_name(work.kid),
            alg=None if work is None else work.alg,
            jti_hash=None if work is None else work.jti_hash,
            duration=duration,
        )
        emit(self._report_refusal, event)


def _describe_sender(
    reason: Reason, check: str | None, work: Verification | None, assertion: str | bytes, client_id: str | None
) -> str:
    """Say who an assertion says it is from. Called when a detail is read: a flood of refusals must not pay for it."""
    if reason is Reason.CLIENT_MISMATCH:
        return ""  # its detail names them already
    if work is not None and check in _CLAIMS_ARE_READ:
        return sender_of_claims(work.claims, client_id)()
    # Claims that were refused as JSON are not parsed a second time.
    return sender_of_assertion(None if check == "claims" else assertion, client_id)()


def _registration_fault(error: AuthenticationError) -> str | None:
    """Say why the client that was found must not be registered; None where finding it failed in another way."""
    cause = error.__cause__
    if not issubclass(type(cause), ConfigurationError):
        return None
    try:
        return cut(one_line(str(cause)), DETAIL_LENGTH)
    except Exception:  # the user's code: an exception whose text raises
        return type(cause).__name__


def _cause(error: AuthenticationError) -> str:
    cause = error.__cause__
    # A store of ours raises what is raised here: its detail says it all.
    if cause is None or issubclass(type(cause), AuthenticationError):  # not `isinstance`, which asks the object
        return error.detail
    return describe_in_full(cause)
