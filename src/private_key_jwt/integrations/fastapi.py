"""Client authentication in FastAPI: the dependency of ``.starlette``, described in the OpenAPI document, too.

    authenticate = ClientAuthentication(verifier)
    app = FastAPI(lifespan=authenticate.lifespan)
    app.router.route_class = authenticate.route_class

    @app.post("/token", openapi_extra=authenticate.openapi_extra)
    async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)]):
        return issue_tokens(client.client_id)

A client is authenticated once for each request, whoever asks: ``Security(authenticate)`` beside
``Depends(authenticate)``, or a router's dependency beside an endpoint's.

FastAPI parses the query of every request, and the body for ``Form()`` parameters, before any dependency runs: 60 kB of
``a=&`` hold the event loop up for 15 ms. With ``route_class``, for the application's router or an
``APIRouter(route_class=...)``, the routes that depend on this read both with limits before. It does not see the
dependencies that ``include_router`` adds.

FastAPI answers 422 for parameters that are missing or wrong after every dependency has run. The assertion is used by
then: sent again, with the parameters corrected, it is refused as ``replayed``. So beside ``Form()``, ``Query()`` or a
body of your own take a pending assertion, and consume it when all else is in order; or read ``await request.form()``::

    authenticate = ClientAuthentication(verifier, consume=False)

    @app.post("/token", openapi_extra=authenticate.openapi_extra)
    async def token(
        grant_type: Annotated[str, Form()], client: Annotated[AsyncPendingAssertion, Depends(authenticate)]
    ):
        return issue_tokens((await client.consume()).client_id)

``refusal(request)`` gives the reason for a refusal: see ``.starlette``.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Literal, overload

from .._core.token_request import ASSERTION_TYPE
from .._extra import needs
from ..verifier import AsyncClientAssertionVerifier, AsyncPendingAssertion, VerifiedAssertion
from ._content_type import FORM
from ._request import MAX_BODY

with needs(__name__, "fastapi"):
    from fastapi import Request, Response
    from fastapi.dependencies.models import Dependant
    from fastapi.openapi.models import HTTPBase
    from fastapi.routing import APIRoute
    from fastapi.security.base import SecurityBase

    from . import starlette
    from .starlette import Client, authenticate, begin_authentication, error_response, refusal

__all__ = ["ClientAuthentication", "authenticate", "begin_authentication", "error_response", "refusal"]

_DESCRIPTION = (
    "The client signs a JWT with its private key and sends it in the body, as `client_assertion` "
    "(OpenID Connect Core §9, RFC 7523 §2.2). No `Authorization` header, and nothing in the URL."
)
_ERRORS = {
    "400": "`invalid_request`: the client authentication parameters are malformed.",
    "401": "`invalid_client`: client authentication failed.",
    "503": "`temporarily_unavailable`: try again after the seconds of `Retry-After`.",
}
_ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


def _openapi_extra(*, optional: bool) -> dict[str, Any]:
    properties = {
        "client_assertion_type": {"type": "string", "enum": [ASSERTION_TYPE]},
        "client_assertion": {"type": "string", "description": "The signed JWT: new for each request."},
    }
    form = {"type": "object", "properties": properties} | ({} if optional else {"required": list(properties)})
    return {
        "requestBody": {"required": True, "content": {FORM: {"schema": form}}},
        "responses": {
            status: {"description": description, "content": {"application/json": {"schema": _ERROR_SCHEMA}}}
            for status, description in _ERRORS.items()
        },
    }


def _calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for each in dependant.dependencies:
        yield from _calls(each)


def _route_class(authentication: starlette.ClientAuthentication[Any]) -> type[APIRoute]:
    class BoundRoute(APIRoute):
        """A route whose requests are bounded before FastAPI parses them."""

        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            """See APIRoute."""
            handle = super().get_route_handler()
            if all(call is not authentication for call in _calls(self.dependant)):
                return handle

            async def bounded(request: Request) -> Response:
                await authentication.read(request)
                return await handle(request)

            return bounded

    return BoundRoute


class ClientAuthentication(starlette.ClientAuthentication[Client], SecurityBase):
    """``starlette.ClientAuthentication`` as a security scheme of the OpenAPI document.

        authenticate = ClientAuthentication(verifier)
        @app.post("/token", openapi_extra=authenticate.openapi_extra)
        async def token(client: Annotated[VerifiedAssertion, Depends(authenticate)]): ...

    scheme_name: what the docs page calls it.

    OpenAPI has no scheme for assertions in a body. It is named here as an HTTP scheme of our own, the one that the
    challenge beside a 401 names, so that no tool asks for a secret or sends an ``Authorization`` header.
    ``openapi_extra`` is for the path operation: the parameters of the body, and the errors. ``route_class`` is for the
    router: the query and the form of its routes that depend on this are read with limits before FastAPI parses them.
    Raises ConfigurationError.
    """

    @overload
    def __init__(
        self: "ClientAuthentication[VerifiedAssertion]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[False] = False,
        consume: Literal[True] = True,
        max_body: int = MAX_BODY,
        scheme_name: str = "private_key_jwt",
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[VerifiedAssertion | None]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[True],
        consume: Literal[True] = True,
        max_body: int = MAX_BODY,
        scheme_name: str = "private_key_jwt",
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[AsyncPendingAssertion]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[False] = False,
        consume: Literal[False],
        max_body: int = MAX_BODY,
        scheme_name: str = "private_key_jwt",
    ) -> None: ...
    @overload
    def __init__(
        self: "ClientAuthentication[AsyncPendingAssertion | None]",
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: Literal[True],
        consume: Literal[False],
        max_body: int = MAX_BODY,
        scheme_name: str = "private_key_jwt",
    ) -> None: ...
    def __init__(
        self,
        verifier: AsyncClientAssertionVerifier,
        *,
        optional: bool = False,
        consume: bool = True,
        max_body: int = MAX_BODY,
        scheme_name: str = "private_key_jwt",
    ) -> None:
        super().__init__(verifier, optional=optional, consume=consume, max_body=max_body)  # type: ignore[misc, call-overload]
        self.model = HTTPBase(scheme="PrivateKeyJWT", description=_DESCRIPTION)
        self.scheme_name = scheme_name
        self.openapi_extra = _openapi_extra(optional=optional)
        self.route_class = _route_class(self)
