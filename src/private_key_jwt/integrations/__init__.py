"""Client authentication in web frameworks: one small module for each, behind its extra.

``starlette``, ``fastapi``, ``flask``, ``django``, ``authlib``, ``oauth_toolkit`` and ``otel`` are imported by name.
What stands here needs no framework. It is what any other server needs, such as a plain WSGI application::

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

What a stranger sends costs at most 100 RSA verifications (2 ms) for each 60 kB of body or query, beside what a plain
request costs: forms have 256 parameters at most, and what a framework, Authlib or oauthlib would take longer for is
refused before they parse it. In FastAPI that needs the ``route_class`` of ``.fastapi``. Some is parsed before:

- Django reads ``Content-Type`` when a request begins: 8 kB of ``a=b;`` in this field take 5 ms. Bound header fields in
  front (``gunicorn --limit-request-field_size 2048``; nginx: ``large_client_header_buffers 4 2k``).
- A middleware of yours that looks at ``request.POST``, ``request.form`` or the query runs the parsers of the framework,
  which take up to 80 ms for 60 kB. Bound request lines and bodies in front (``--limit-request-line``; nginx:
  ``client_max_body_size 64k``).
"""

from __future__ import annotations

from importlib import import_module

from ._request import MAX_BODY, TokenRequest
from ._response import EncodedResponse, encode_error

__all__ = ["MAX_BODY", "EncodedResponse", "TokenRequest", "encode_error"]

_MODULES = ("apps", "authlib", "django", "fastapi", "flask", "oauth_toolkit", "otel", "starlette")


def __getattr__(name: str) -> object:
    """Import an integration. ``help()`` of one whose extra is missing comes this way, and prints what is raised."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f".{name}", __name__)
