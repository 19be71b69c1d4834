"""Client authentication in Starlette, and in what is built on it.

    authenticate = ClientAuthentication(verifier)

    async def token(request):
        client = await authenticate(request)  # a VerifiedAssertion; other requests are answered here

    app = Starlette(routes=[Route("/token", token, methods=["POST"])], lifespan=authenticate.lifespan)

For FastAPI take ``private_key_jwt.integrations.fastapi``: it adds what the docs page shows.
"""

# No `from __future__ import annotations`: FastAPI reads the annotations of a dependency, and strings tell it nothing
# when the dependency is an object.

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Generic, Literal, TypeVar, cast, overload

from .._core.token_request import Form
from ..exceptions import AuthenticationError
from ..verifier import AsyncClientAssertionVerifier, VerifiedAssertion
from ._extra import needs
from ._request import MAX_BODY, TokenRequest, answer, check_settings, expected, unreadable

with needs("starlette"):
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["ClientAuthentication", "authenticate", "error_response"]

Client = TypeVar("Client", bound=VerifiedAssertion | None)


async def authenticate(
    verifier: AsyncClientAssertionVerifier, request: Request, *, max_body: int = MAX_BODY
) -> VerifiedAssertion | None:
    """Authenticate the client of a request; None when it carries no client assertion at all.

    max_body: bytes over which a body is refused. The request can be read again afterwards.

    Raises what ``AsyncClientAssertionVerifier.authenticate`` raises. An application that lets it through answers as
    RFC 6749 §5.2 says; it needs no exception handler for that, and one of your own for AuthenticationError goes first.
    """
    # As `add_exception_handler` would have it: a dependency has no response of its own to give, and an application that
    # forgot the handler would answer 500.
    handlers, _ = request.scope.get("starlette.exception_handlers", ({}, {}))
    handlers.setdefault(AuthenticationError, _handle)
    token_request = TokenRequest.from_asgi(request.scope, max_body)
    form = await _form(request, token_request)
    return await verifier.authenticate(form, token_request.authorization, optional=True)


async def _form(request: Request, token_request: TokenRequest) -> Form:
    try:
        try:
            body = await _body(request, token_request)
        except RuntimeError:  # the body was read before; `form()` keeps what it has read
            return token_request.parsed(await request.form())
    except AuthenticationError:
        raise
    except Exception as error:  # a client that went away, a limit of the framework's own
        raise unreadable(error) from error
    form = token_request.form(body)
    # What an endpoint reads is what was authenticated here: parsers of forms differ, over time also in one library.
    request._form = FormData(list[tuple[str, Any]](form))  # noqa: SLF001
    return form


async def _body(request: Request, token_request: TokenRequest) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        token_request.check_size(len(body))
    # Where `request.body()` keeps it for whoever reads next; that one would have taken a body of any size.
    request._body = bytes(body)  # noqa: SLF001
    return bytes(body)


def error_response(error: AuthenticationError) -> Response:
    """The answer to a request whose client was not authenticated (RFC 6749 §5.2)."""
    status, headers, body = answer(error)
    return Response(body, status, headers)


async def _handle(_request: Any, error: Any) -> Response:
    return error_response(error)


class ClientAuthentication(Generic[Client]):
    """The client of a request: call it with the request, or let FastAPI do so with ``Depends``.

    verifier: who authenticates.
    optional: take a request without any client assertion too, and give None for it, so that other methods of
        authentication can have their turn.
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
        max_body: int = MAX_BODY,
    ) -> None: ...

    @overload
    def __init__(
        self: "ClientAuthentication[VerifiedAssertion | None]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[True],
        max_body: int = MAX_BODY,
    ) -> None: ...

    def __init__(
        self, verifier: AsyncClientAssertionVerifier, *, optional: bool = False, max_body: int = MAX_BODY
    ) -> None:
        check_settings(verifier, AsyncClientAssertionVerifier, optional=optional, max_body=max_body)
        self._verifier = verifier
        self._optional = optional
        self._max_body = max_body

    async def __call__(self, request: Request) -> Client:
        """The client of this request; None when it carries no assertion, and need not. Raises AuthenticationError."""
        verified = await authenticate(self._verifier, request, max_body=self._max_body)
        return cast(Client, expected(verified, optional=self._optional))

    @asynccontextmanager
    async def lifespan(self, _app: object = None) -> AsyncIterator[None]:
        """The ``lifespan`` of an application: closes the verifier at its end."""
        async with self._verifier:
            yield
