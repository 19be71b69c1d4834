"""Authenticate a request once, whoever asks and however often, and keep why it was refused.

A router's dependency and an endpoint's, or a decorator and a call in its view, ask for the client of one request: were
each to verify, or to consume a pending assertion, the second would find it replayed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from weakref import ref

from .._core.token_request import Form, missing_assertion
from .._lock import RLock
from ..exceptions import AuthenticationError
from ..verifier import (
    AsyncClientAssertionVerifier,
    AsyncPendingAssertion,
    ClientAssertionVerifier,
    PendingAssertion,
    VerifiedAssertion,
)

__all__ = ["Outcomes", "Parts", "authenticate", "authenticate_async", "begin", "begin_async", "outcomes_of"]

_ATTRIBUTE = "_private_key_jwt"

Parts = tuple[Form, str | None]
"""The form of a request, and the value of its ``Authorization`` header field."""


class _Outcome:
    """Keep what one verifier found out about one request."""

    __slots__ = (
        "alock",
        "authorization",
        "error",
        "form",
        "is_begun",
        "is_checked",
        "lock",
        "missing",
        "pending",
        "verified",
    )

    def __init__(self) -> None:
        self.is_begun = False
        self.is_checked = False
        self.form: Form = ()
        self.authorization: str | None = None
        self.pending: Any = None
        self.verified: VerifiedAssertion | None = None
        self.error: AuthenticationError | None = None
        self.missing: AuthenticationError | None = None  # no error to those for whom an assertion is optional
        self.lock = RLock()  # a check of the user's may consume, too
        self.alock = asyncio.Lock()


class Outcomes:
    """Keep what is known of one request: what was read with each limit, an outcome for each verifier, the last refusal.

    owner: what makes a request this one, for as long as it lives. What a copy of a request holds is not its own: a copy
        may have another body, and be sent by another client.
    scope: the ``id`` of the ASGI scope, which means it while the owner lives; None elsewhere.
    body: the body, read once for all limits; or why it was refused, for what is left of it is no form.
    is_of_client: whether it came to an endpoint that authenticates clients, where one server has others, too.
    """

    __slots__ = ("__weakref__", "_by_verifier", "body", "is_of_client", "owner", "parts", "refusal", "scope")

    def __init__(self, owner: Any, scope: int | None = None) -> None:
        self.owner: Callable[[], Any]
        try:
            self.owner = ref(owner)
        except TypeError:  # an object with slots, or one made in C
            self.owner = lambda: owner
        self.scope = scope
        self.body: bytes | AuthenticationError | None = None
        self.is_of_client = False
        self._by_verifier: dict[object, _Outcome] = {}
        self.parts: dict[int, Parts] = {}
        self.refusal: AuthenticationError | None = None

    def of(self, verifier: object) -> _Outcome:
        """Return the outcome of a verifier, a new one when it was not asked before."""
        found = self._by_verifier.get(verifier)
        return self._by_verifier.setdefault(verifier, _Outcome()) if found is None else found

    def last_verifier(self, default: Any) -> Any:
        """Return the verifier that was asked last, not counting one that was asked again; ``default`` if none was."""
        return next(reversed(self._by_verifier), default)

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
            if outcome.missing is None:
                outcome.missing = self.refuse(verifier, missing_assertion(outcome.authorization, outcome.form))
            raise outcome.missing
        return outcome.pending


def outcomes_of(request: Any) -> Outcomes:
    """Return the outcomes that a framework's request holds, in an attribute of its own."""
    request = getattr(request, "_get_current_object", lambda: request)()  # what Flask's stands for
    members = vars(request)
    outcomes: Outcomes | None = members.get(_ATTRIBUTE)
    if outcomes is None:
        outcomes = getattr(request, _ATTRIBUTE, None)  # of the request that a wrapper is around
    elif outcomes.owner() is not request:  # of the request that this one is a copy of
        del members[_ATTRIBUTE]
        outcomes = None
    if outcomes is None:
        outcomes = members.setdefault(_ATTRIBUTE, Outcomes(request))  # in one step: two threads may have come so far
    return outcomes


class _RequestAssertion(PendingAssertion):
    """The pending assertion of a request, whose ``consume()`` gives all who call it the same answer.

    Only while the request lives: what is kept for longer is consumed by nobody a second time.
    """

    __slots__ = ("_outcomes", "_pending", "_verifier")

    def __init__(self, pending: PendingAssertion, outcomes: Outcomes, verifier: ClientAssertionVerifier) -> None:
        self._pending = pending
        self._outcomes = ref(outcomes)
        self._verifier = verifier

    @property
    def client_id(self) -> str:
        """See PendingAssertion."""
        return self._pending.client_id

    @property
    def claims(self) -> Mapping[str, Any]:
        """See PendingAssertion."""
        return self._pending.claims

    def consume(self) -> VerifiedAssertion:
        """See PendingAssertion: the mark is made once, and asked again for the same request give the same answer."""
        outcomes = self._outcomes()
        if outcomes is None:
            return self._pending.consume()
        outcome = outcomes.of(self._verifier)
        with outcome.lock:
            if outcome.error is not None:
                raise outcome.error
            if outcome.verified is None:
                try:
                    outcome.verified = self._pending.consume()
                except AuthenticationError as error:
                    outcome.error = outcomes.refuse(self._verifier, error)
                    raise
            return outcome.verified


def begin(
    verifier: ClientAssertionVerifier, outcomes: Outcomes, read: Callable[[], Parts], *, optional: bool
) -> PendingAssertion | None:
    """Begin to authenticate a request, unless that was done before. ``read`` may raise AuthenticationError.

    Whoever asks in the meantime waits.
    """
    outcome = outcomes.of(verifier)
    with outcome.lock:
        if not outcome.is_begun:
            try:
                form, outcome.authorization = read()
                pending = verifier.begin_authentication(form, outcome.authorization, optional=True)
                outcome.form = () if pending else form
                outcome.pending = pending and _RequestAssertion(pending, outcomes, verifier)
            except AuthenticationError as error:
                outcome.error = outcomes.refuse(verifier, error)
            outcome.is_begun = True
        found: PendingAssertion | None = outcomes.pending(verifier, optional=optional)
        return found


def authenticate(
    verifier: ClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Parts],
    *,
    optional: bool,
    check: Callable[[PendingAssertion], object] | None = None,
) -> VerifiedAssertion | None:
    """Authenticate a request, unless that was done before.

    check: called before the assertion is used up. What it raises is raised; AuthenticationErrors are refusals.

    Raises TypeError where it returns False, or what nobody would await: neither would refuse anybody.
    """
    outcome = outcomes.of(verifier)
    with outcome.lock:
        pending = begin(verifier, outcomes, read, optional=optional)
        if pending is None:
            return None
        # Also behind a middleware that has authenticated the request: its check was another, or none.
        if check is not None and not outcome.is_checked:
            try:
                answer = check(pending)
            except AuthenticationError as error:
                outcome.error = outcomes.refuse(verifier, error)
                raise
            if answer is False or hasattr(answer, "__await__"):
                raise TypeError(f"before_consume must raise to refuse, and returned {type(answer).__name__}")
            outcome.is_checked = True
        return pending.consume()


class _AsyncRequestAssertion(AsyncPendingAssertion):
    """See _RequestAssertion."""

    __slots__ = ("_outcomes", "_pending", "_verifier")

    def __init__(
        self, pending: AsyncPendingAssertion, outcomes: Outcomes, verifier: AsyncClientAssertionVerifier
    ) -> None:
        self._pending = pending
        self._outcomes = ref(outcomes)
        self._verifier = verifier

    @property
    def client_id(self) -> str:
        """See PendingAssertion."""
        return self._pending.client_id

    @property
    def claims(self) -> Mapping[str, Any]:
        """See PendingAssertion."""
        return self._pending.claims

    async def consume(self) -> VerifiedAssertion:
        """See _RequestAssertion.consume. Whoever calls it in the meantime waits."""
        outcomes = self._outcomes()
        if outcomes is None:
            return await self._pending.consume()
        outcome = outcomes.of(self._verifier)
        async with outcome.alock:
            if outcome.error is not None:
                raise outcome.error
            if outcome.verified is None:
                try:
                    outcome.verified = await self._pending.consume()
                except AuthenticationError as error:
                    outcome.error = outcomes.refuse(self._verifier, error)
                    raise
            return outcome.verified


async def begin_async(
    verifier: AsyncClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Awaitable[Parts]],
    *,
    optional: bool,
) -> AsyncPendingAssertion | None:
    """See ``begin``."""
    async with outcomes.of(verifier).alock:
        await _begin_once(verifier, outcomes, read)
    found: AsyncPendingAssertion | None = outcomes.pending(verifier, optional=optional)
    return found


async def _begin_once(
    verifier: AsyncClientAssertionVerifier, outcomes: Outcomes, read: Callable[[], Awaitable[Parts]]
) -> None:
    outcome = outcomes.of(verifier)
    if outcome.is_begun:
        return
    try:
        form, outcome.authorization = await read()
        pending = await verifier.begin_authentication(form, outcome.authorization, optional=True)
        outcome.form = () if pending else form
        outcome.pending = pending and _AsyncRequestAssertion(pending, outcomes, verifier)
    except AuthenticationError as error:
        outcome.error = outcomes.refuse(verifier, error)
    outcome.is_begun = True


async def authenticate_async(
    verifier: AsyncClientAssertionVerifier,
    outcomes: Outcomes,
    read: Callable[[], Awaitable[Parts]],
    *,
    optional: bool,
) -> VerifiedAssertion | None:
    """See ``authenticate``."""
    pending = await begin_async(verifier, outcomes, read, optional=optional)
    return None if pending is None else await pending.consume()
