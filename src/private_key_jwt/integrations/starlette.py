"""Client authentication in Starlette, and in what is built on it.

    authenticate = ClientAuthentication(verifier)

    async def token(request):
        client = await authenticate(request)  # a VerifiedAssertion; other requests are answered here
        return issue_tokens(client.client_id)

    app = Starlette(routes=[Route("/token", token, methods=["POST"])], lifespan=authenticate.lifespan)

For FastAPI take ``private_key_jwt.integrations.fastapi``: it also describes the method in the OpenAPI document.

The reason for a refusal goes to the verifier's ``on_event``, one event for each request, and can be had until the end
of the request: ``refusal(request)`` in a middleware gives the error, with ``reason`` and ``detail``.

A ``BaseHTTPMiddleware`` that authenticates by itself answers by itself, too: Starlette handles no exception there, so
catch AuthenticationError and return ``error_response(error)``. A request is known by its scope: a middleware that
sends several on must give each one a scope of its own, as ASGI has it.

A server that has more to check before an assertion is used up, such as a DPoP proof whose nonce the client must repeat
with the same assertion (RFC 9449 §8), takes it pending, and consumes it when everything else is in order::

    begin_authentication = ClientAuthentication(verifier, consume=False)

    async def token(request):
        client = await begin_authentication(request)  # an AsyncPendingAssertion
        if not has_good_proof(request, client.client_id):
            return JSONResponse({"error": "use_dpop_nonce"}, 400, {"DPoP-Nonce": new_nonce()})
        verified = await client.consume()  # a refusal is answered, too
        return issue_tokens(verified.client_id)
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of a dependency, and cannot resolve strings
# when the dependency is an object.

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Generic, Literal, TypeVar, cast, overload

from .._core.token_request import Form
from .._extra import needs
from ..exceptions import AuthenticationError
from ..verifier import AsyncClientAssertionVerifier, AsyncPendingAssertion, VerifiedAssertion
from . import _outcome
from ._invalid import unreadable
from ._outcome import Outcomes, Parts
from ._request import MAX_BODY, TokenRequest
from ._response import encode_error
from ._settings import check_decorator_settings

with needs(__name__, "starlette"):
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ClientAuthentication", "authenticate", "begin_authentication", "error_response", "refusal"]

_KEY = "private_key_jwt"  # of the scope: of one request, where a `state` may be more than that

Client = TypeVar("Client", bound=VerifiedAssertion | AsyncPendingAssertion | None)


@overload
async def authenticate(
    verifier: AsyncClientAssertionVerifier,
    request: Request,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> VerifiedAssertion: ...
@overload
async def authenticate(
    verifier: AsyncClientAssertionVerifier, request: Request, *, optional: bool, max_body: int = MAX_BODY
) -> VerifiedAssertion | None: ...
async def authenticate(
    verifier: AsyncClientAssertionVerifier, request: Request, *, optional: bool = False, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request. Asked again for the same request, give the same result.

    optional: give None for a request without any client assertion, in place of an error.
    max_body: bytes over which a body is refused. The request can be read again afterwards.

    Raises what ``AsyncClientAssertionVerifier.authenticate`` raises. An application that lets it through answers as
    RFC 6749 §5.2 says; it needs no exception handler for that, and one of your own for AuthenticationError goes first.
    """
    _register_handler(verifier, request)
    return await _outcome.authenticate_async(
        verifier, _outcomes(request), lambda: _read(request, max_body), optional=optional
    )


@overload
async def begin_authentication(
    verifier: AsyncClientAssertionVerifier,
    request: Request,
    *,
    optional: Literal[False] = False,
    max_body: int = MAX_BODY,
) -> AsyncPendingAssertion: ...
@overload
async def begin_authentication(
    verifier: AsyncClientAssertionVerifier, request: Request, *, optional: bool, max_body: int = MAX_BODY
) -> AsyncPendingAssertion | None: ...
async def begin_authentication(
    verifier: AsyncClientAssertionVerifier, request: Request, *, optional: bool = False, max_body: int = MAX_BODY
) -> AsyncPendingAssertion | None:
    """Check everything but replay: the client is authenticated when ``consume()`` of what is given has answered.

    Whoever consumes it while the request lives gets the same answer. Keep none for longer.
    Arguments and errors are those of ``authenticate``.
    """
    _register_handler(verifier, request)
    return await _outcome.begin_async(verifier, _outcomes(request), lambda: _read(request, max_body), optional=optional)


def _outcomes(request: Request) -> Outcomes:
    scope, receive = request.scope, request.receive
    outcomes: Outcomes | None = scope.get(_KEY)
    if outcomes is not None:
        owner = outcomes.owner()
        # A middleware may wrap `receive`, or copy the scope: whoever does both has made another request.
        if owner is receive or (owner is not None and outcomes.scope == id(scope)):
            return outcomes
    outcomes = scope[_KEY] = Outcomes(receive, id(scope))
    return outcomes


def _register_handler(verifier: AsyncClientAssertionVerifier, request: Request) -> None:
    # As `add_exception_handler` would have it: a dependency has no response of its own to give, and an application that
    # forgot the handler would answer 500.
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(AuthenticationError, partial(_handle, verifier))


async def _read(request: Request, max_body: int) -> Parts:
    outcomes = _outcomes(request)
    parts = outcomes.parts.get(max_body)
    if parts is None:
        token_request = TokenRequest.from_asgi(request.scope, max_body)
        parts = await _read_form(request, token_request), token_request.authorization
        outcomes.parts[max_body] = parts
    _leave(request, outcomes.body, parts[0])
    return parts


async def _read_form(request: Request, token_request: TokenRequest) -> Form:
    try:
        try:
            body = await _body(request, token_request)
        except RuntimeError:  # the body was read before; `form()` keeps what it has read
            return token_request.parsed(await request.form())
    except AuthenticationError:
        raise
    except Exception as error:  # a client that went away, a limit of the framework's own
        raise unreadable(error) from error
    return token_request.form(body)


async def _body(request: Request, token_request: TokenRequest) -> bytes:
    outcomes = _outcomes(request)
    if outcomes.body is None:
        outcomes.body = await _receive(request, token_request)
    if isinstance(outcomes.body, AuthenticationError):
        raise outcomes.body
    return outcomes.body


def _leave(request: Request, body: bytes | AuthenticationError | None, form: Any) -> None:
    """Leave body and form for whoever reads next; that one would have waited for them, or have taken any size."""
    if isinstance(body, bytes) and request._form is None:  # noqa: SLF001
        request._body = body  # noqa: SLF001
        # What was authenticated here: parsers of forms differ, over time also in one library.
        request._form = FormData(list(form))  # noqa: SLF001


async def _receive(request: Request, token_request: TokenRequest) -> bytes | AuthenticationError:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        try:
            token_request.check_size(len(body))
        except AuthenticationError as error:
            return error
    return bytes(body)


def refusal(request: Request) -> AuthenticationError | None:
    """Return why a request was refused, with ``reason`` and ``detail`` for a log; None when it was not."""
    outcomes: Outcomes | None = request.scope.get(_KEY)
    return None if outcomes is None else outcomes.refusal


def error_response(error: AuthenticationError) -> Response:
    """Return the response to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = encode_error(error)
    return Response(body, status, headers)


async def _handle(verifier: AsyncClientAssertionVerifier, request: Any, error: Any) -> Response:
    outcomes = _outcomes(request)
    # Also what an endpoint raised of its own. `verifier` is one of the application's, for a request that asked none.
    return error_response(outcomes.refuse(outcomes.last_verifier(verifier), error))


class ClientAuthentication(Generic[Client]):
    """The client of a request: call it with the request, or let FastAPI do so with ``Depends``.

        authenticate = ClientAuthentication(verifier)
        client = await authenticate(request)

    verifier: what authenticates.
    optional: take a request without any client assertion too, and give None for it, so that other methods of
        authentication can be tried.
    consume: with False, give an AsyncPendingAssertion, which the endpoint consumes when all else is in order.
    max_body: bytes (1,024 to 16,777,216) over which a body is refused.

    A call gives the VerifiedAssertion, or raises as ``authenticate`` does, and the application answers. ``lifespan``
    closes the verifier. Raises ConfigurationError.
    """

    @overload
    def __init__(
        self: "ClientAuthentication[VerifiedAssertion]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[False] = False,
        consume: Literal[True] = True,
        max_body: int = MAX_BODY,
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[VerifiedAssertion | None]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[True],
        consume: Literal[True] = True,
        max_body: int = MAX_BODY,
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[AsyncPendingAssertion]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[False] = False,
        consume: Literal[False],
        max_body: int = MAX_BODY,
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[AsyncPendingAssertion | None]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[True],
        consume: Literal[False],
        max_body: int = MAX_BODY,
    ) -> None: ...
    def __init__(
        self,
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: bool = False,
        consume: bool = True,
        max_body: int = MAX_BODY,
    ) -> None:
        check_decorator_settings(
            verifier, AsyncClientAssertionVerifier, optional=optional, consume=consume, max_body=max_body
        )
        self._verifier = verifier
        self._authenticate = authenticate if consume else begin_authentication
        self._optional = optional
        self._max_body = max_body

    async def read(self, request: Request) -> None:
        """Read a request with limits, and leave its form for whoever reads next, before a framework parses it.

        Raises InvalidRequest.
        """
        _register_handler(self._verifier, request)
        try:
            await _read(request, self._max_body)
        except AuthenticationError as error:
            raise _outcomes(request).refuse(self._verifier, error) from None

    async def __call__(self, request: Request) -> Client:
        """Give the client of this request; None without an assertion, where optional. Raises AuthenticationError."""
        client = await self._authenticate(self._verifier, request, optional=self._optional, max_body=self._max_body)
        return cast(Client, client)

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """Close the verifier at the end of an application: its ``lifespan``."""
        async with self._verifier:
            yield
