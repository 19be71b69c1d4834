"""What the verifiers tell of: one watch for one assertion. Without an ``on_event`` it does nothing."""

from __future__ import annotations

from time import perf_counter
from typing import Any, get_args

from ._core import claims as claims_step
from ._core import compact, replay, token_request
from ._core import header as header_step
from ._core.checks import Check
from ._core.token_request import Form
from ._text import describe_error, escape_name
from .events import AssertionAccepted, AssertionRefused, OnEvent, StoreFailed, emit
from .exceptions import AuthenticationError, InvalidRequest, Reason

_CHECKS = get_args(Check)
_AFTER_HEADER = frozenset(_CHECKS[_CHECKS.index("header") + 1 :])
_AFTER_CLIENT = frozenset(_CHECKS[_CHECKS.index("client") + 1 :])
_STORE_REASONS = (Reason.REPLAY_STORE_UNAVAILABLE, Reason.REPLAY_STORE_FULL)


class Watch:
    """A stopwatch that tells of one outcome."""

    __slots__ = ("_assertion", "_before", "_on_event", "_started")

    def __init__(self, on_event: OnEvent | None, assertion: object) -> None:
        self._on_event = on_event
        self._assertion = assertion
        self._before = 0.0
        self._started = perf_counter()

    def pause(self) -> None:
        """What comes until ``resume`` is not ours."""
        self._before += perf_counter() - self._started

    def resume(self) -> None:
        """Go on."""
        self._started = perf_counter()

    def _duration(self) -> float:
        return self._before + perf_counter() - self._started

    def accepted(self, client_id: str, kid: str | None, jti: str, audience: str) -> None:
        """The end: a client is authenticated."""
        if self._on_event is not None:
            emit(
                self._on_event,
                AssertionAccepted(
                    client_id=client_id,
                    kid=escape_name(kid),
                    jti_hash=replay.replay_key(client_id, jti).hex(),
                    audience=audience,
                    duration=self._duration(),
                ),
            )

    def refused(self, error: AuthenticationError) -> None:
        """The end: nobody is."""
        if self._on_event is None:
            return
        duration = self._duration()
        kid, client_id, jti_hash = _known(self._assertion, error.check)
        if error.reason in _STORE_REASONS:
            emit(self._on_event, StoreFailed(store="replay_store", error=_cause(error)))
        emit(
            self._on_event,
            AssertionRefused(
                reason=error.reason,
                check=error.check,
                client_id=client_id,
                kid=escape_name(kid),
                jti_hash=jti_hash,
                duration=duration,
            ),
        )


def _cause(error: AuthenticationError) -> str:
    return str(error.reason) if error.__cause__ is None else describe_error(error.__cause__)


def _known(assertion: Any, check: str | None) -> tuple[str | None, str | None, str | None]:
    """``kid``, client_id and hash of the ``jti`` of what was refused at ``check``, as far as they can be told.

    It is read a second time here: to hand out what each step found would cost every assertion that is accepted. What
    was refused for its size or shape is not: refusing that must stay as cheap as it was.
    """
    kid = client_id = None
    if check not in _AFTER_HEADER:
        return kid, client_id, None
    try:
        header, claims, _, _ = compact.split(assertion, len(assertion))
        kid = header_step.parse(header).kid
        if check not in _AFTER_CLIENT:  # what it says of itself is a stranger's claim
            return kid, None, None
        values = compact.loads(claims, "claims")
        client_id = claims_step.identify(values, None)
        return kid, client_id, replay.replay_key(client_id, claims_step.check_jti(values)).hex()
    except AuthenticationError:
        return kid, client_id, None


def read_request(on_event: OnEvent | None, form: Form, authorization: str | None) -> tuple[str, str | None] | None:
    """``token_request.read``, told of when it refuses."""
    try:
        return token_request.read(form, authorization)
    except InvalidRequest as error:
        Watch(on_event, None).refused(error)
        raise
