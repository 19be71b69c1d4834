"""Bound the request of a framework before Authlib has it parsed: a stranger chooses what is sent.

Werkzeug and Django take up to 80 ms for 60 kB of a query, and 30 ms for 60 kB of a body (a form, or multipart).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ._request import MAX_BODY, MAX_OTHER_BODY, TokenRequest, bound_query_of_several_parsers, unreadable

__all__ = ["bound", "flask_request"]


def flask_request() -> Any:
    """Return the current request of Flask, which is what Authlib's server for it reads."""
    from flask import request

    return request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001


def bound(request: Any) -> None:
    """Read the form of a POST with limits, and leave it for whoever reads next. Raises InvalidRequest.

    What else than a form the body is, must be small. Other methods, and requests of other frameworks, are left alone.
    """
    if request.method != "POST":
        return
    if hasattr(request, "META"):
        from ._django_request import read_form

        _bound(request, request.META, read_form, "GET")
    elif hasattr(request, "environ"):
        from .flask import read_form as read_flask_form

        _bound(request, request.environ, read_flask_form, "args")


def _bound(request: Any, environ: Mapping[str, Any], read_form: Callable[[Any, TokenRequest], Any], args: str) -> None:
    bound_query_of_several_parsers(environ.get("QUERY_STRING", ""))
    try:
        getattr(request, args)
    except Exception as error:  # a framework's own limit, or text that it cannot decode
        raise unreadable(error) from error
    # Whether credentials may stand in the URL is for the endpoint to say: at the authorization endpoint some must.
    own = getattr(request, "max_content_length", None) or MAX_BODY  # Flask's
    token_request = TokenRequest.from_wsgi({**environ, "QUERY_STRING": ""}, min(own, MAX_BODY))
    if token_request.is_form:
        read_form(request, token_request)
    else:
        limit = min(own, MAX_OTHER_BODY)
        replace(token_request, max_body=limit)  # which checks what the body says of its size
        request.max_content_length = limit  # for a body in chunks
