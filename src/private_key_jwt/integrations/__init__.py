"""Client authentication in web frameworks: one small module for each, behind its extra.

``starlette``, ``fastapi``, ``flask``, ``django``, ``authlib``, ``oauth_toolkit`` and ``otel`` are imported by name.
What is here needs no framework, and is what any other needs, such as a plain WSGI application::

    def token(environ, start_response):
        try:
            request = TokenRequest.from_wsgi(environ)
            form = request.form(request.read(environ["wsgi.input"]))
            client = verifier.authenticate(form, request.authorization)
        except AuthenticationError as error:
            verifier.report_refusal(error)  # once, wherever it fell: in the URL, the body or the verifier
            status, headers, body = encode_error(error)
            start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))
            return [body]
        return issue_tokens(client.client_id, start_response)

or an ASGI application: ``TokenRequest.from_asgi(scope)``, ``form(await request.receive(receive))``, and an
AsyncClientAssertionVerifier, awaited.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from ._request import MAX_BODY, EncodedResponse, TokenRequest, authorization, encode_error

__all__ = ["MAX_BODY", "EncodedResponse", "TokenRequest", "authorization", "encode_error"]

_MODULES = ("apps", "authlib", "django", "fastapi", "flask", "oauth_toolkit", "otel", "starlette")

if not TYPE_CHECKING:  # a type checker would take it for every name

    def __getattr__(name: str) -> ModuleType:
        """Import an integration. ``help()`` of one whose extra is missing comes this way, and prints what is raised."""
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(f".{name}", __name__)
