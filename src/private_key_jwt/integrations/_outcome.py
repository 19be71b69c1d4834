"""Authenticate a request once, whoever asks and however often, and keep why it was refused.

A router's dependency and an endpoint's, or a decorator and a call in its view, ask for the client of one request: were
each to verify, the second would find the assertion replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from .._core.token_request import Form, missing_assertion
from ..exceptions import AuthenticationError
from ..verifier import (
    AsyncClientAssertionVerifier,
    AsyncPendingAssertion,
    ClientAssertionVerifier,
    PendingAssertion,
    VerifiedAssertion,
)

__all__ = ["Outcomes", "Parts", "aauthenticate", "abegin", "authenticate", "begin", "outcomes_of"]

_ATTRIBUTE = "_private_key_jwt"

Parts = tuple[Form, str | None]
"""The form of a request, and the value of its ``Authorization`` header field."""


class _Outcome:
    """What one verifier found out about one request."""

    __slots__ = ("authorization", "error", "is_begun", "is_checked", "lock", "pending", "verified")

    def __init__(self) -> None:
        self.is_begun = False
        self.is_checked = False
        self.authorization: str | None = None
        self.pending: Any = None
        self.verified: VerifiedAssertion | None = None
        self.error: AuthenticationError | None = None
        self.lock = asyncio.Lock()


class Outcomes:
    """What is known of one request: an outcome for each verifier that was asked, and the last refusal."""

    __slots__ = ("_by_verifier", "refusal")

    def __init__(self) -> None:
        self._by_verifier: dict[object, _Outcome] = {}
        self.refusal: AuthenticationError | None = None

    def of(self, verifier: object) -> _Outcome:
        """Return the outcome of a verifier, a new one when it was not asked before."""
        return self._by_verifier.setdefault(verifier, _Outcome())

    def refuse(self, verifier: Any, error: AuthenticationError) -> AuthenticationError:
        """Keep a refusal, report it as one event of the verifier's, and return it."""
        self.refusal = error
        verifier.report_refusal(error)
        return error

    def pending(self, verifier: Any, *, optional: bool) -> Any:
        """Return what ``begin`` found; None without an assertion, where it is optional. Raises AuthenticationError."""
        outcome = self.of(verifier)
        if outcome.error is not None:
            raise outcome.error
        if outcome.pending is None and not optional:
            raise self.refuse(verifier, missing_assertion(outcome.authorization))
        return outcome.pending


def outcomes_of(request: Any) -> Outcomes:
    """Return the outcomes that a framework's request holds, in an attribute of its own."""
    outcomes: Outcomes | None = getattr(request, _ATTRIBUTE, None)
    if outcomes is None:
        outcomes = Outcomes()
        setattr(request, _ATTRIBUTE, outcomes)
    return outcomes


def begin(
    verifier: ClientAssertionVerifier, outcomes: Outcomes, read: Callable[[], Parts], *, optional: bool
) -> PendingAssertion | None:
    """Begin to authenticate a request, unless that was done before. ``read`` may raise AuthenticationError."""
    outcome = outcomes.of(verifier)
    if not outcome.is_begun:
        try:
            form, outcome.authorization = read()
            outcome.pending = verifier.begin_authentication(form, outcome.authorization, optional=True)
        except AuthenticationError as error:
            outcome.error = outcomes.refuse(verifier, error)
        outcome.is_begun = True
    pending: PendingAssertion | None = outcomes.pending(verifier, optional=optional)
    return pending


def authenticate(
    verifier: ClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Parts],
    *,
    optional: bool,
    check: Callable[[PendingAssertion], None] | None = None,
) -> VerifiedAssertion | None:
    """Authenticate a request, unless that was done before.

    check: called before the assertion is used up. What it raises is raised; AuthenticationErrors are refusals.
    """
    pending = begin(verifier, outcomes, read, optional=optional)
    outcome = outcomes.of(verifier)
    if pending is not None:
        try:
            # Also behind a middleware that has authenticated the request: its check was another, or none.
            if check is not None and not outcome.is_checked:
                check(pending)
                outcome.is_checked = True
            if outcome.verified is None:
                outcome.verified = pending.consume()
        except AuthenticationError as error:
            outcome.error = outcomes.refuse(verifier, error)
            raise
    return outcome.verified


async def abegin(
    verifier: AsyncClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Awaitable[Parts]],
    *,
    optional: bool,
) -> AsyncPendingAssertion | None:
    """See ``begin``. Whoever asks in the meantime waits."""
    async with outcomes.of(verifier).lock:
        await _begin_once(verifier, outcomes, read)
    pending: AsyncPendingAssertion | None = outcomes.pending(verifier, optional=optional)
    return pending


async def _begin_once(
    verifier: AsyncClientAssertionVerifier, outcomes: Outcomes, read: Callable[[], Awaitable[Parts]]
) -> None:
    outcome = outcomes.of(verifier)
    if outcome.is_begun:
        return
    try:
        form, outcome.authorization = await read()
        outcome.pending = await verifier.begin_authentication(form, outcome.authorization, optional=True)
    except AuthenticationError as error:
        outcome.error = outcomes.refuse(verifier, error)
    outcome.is_begun = True


async def aauthenticate(
    verifier: AsyncClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Awaitable[Parts]],
    *,
    optional: bool,
) -> VerifiedAssertion | None:
    """See ``authenticate``. Whoever asks in the meantime waits."""
    await abegin(verifier, outcomes, read, optional=optional)
    outcome = outcomes.of(verifier)
    async with outcome.lock:
        pending = outcomes.pending(verifier, optional=optional)  # another may have been refused while this one waited
        if pending is not None and outcome.verified is None:
            try:
                outcome.verified = await pending.consume()
            except AuthenticationError as error:
                outcome.error = outcomes.refuse(verifier, error)
                raise
    return outcome.verified
