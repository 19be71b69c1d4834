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
            status, headers, body = answer(error)

or an ASGI application: ``TokenRequest.from_asgi(scope)``, ``form(await request.receive(receive))``, and an
AsyncClientAssertionVerifier, awaited.
"""

from ._request import MAX_BODY, Answer, TokenRequest, answer, authorization

__all__ = ["MAX_BODY", "Answer", "TokenRequest", "answer", "authorization"]
