"""Bound the request of a framework before Authlib has it parsed: a stranger chooses what is sent.

Werkzeug and Django take up to 80 ms for 60 kB of a query, and 30 ms for 60 kB of a body (a form, or multipart).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ._invalid import invalid, unreadable
from ._parser_bounds import MAX_OTHER_BODY, bound_query_of_several_parsers, check_parameters
from ._request import MAX_BODY, TokenRequest

__all__ = ["bound", "flask_request"]

_MAX_PARAMETERS = 128  # of a query and a form together: a token request has about ten, a form of consent more


def flask_request() -> Any:
    """Return the current request of Flask, which is what Authlib's server for it reads."""
    from flask import request

    return request._get_current_object()  # type: ignore[attr-defined]  # noqa: SLF001


def bound(request: Any) -> None:
    """Read a form with limits, and leave it for whoever reads next. Raises InvalidRequest.

    What else than the form of a POST a body is, must be small. Requests of other frameworks are left alone.
    """
    framework: Any
    if hasattr(request, "META"):
        from . import _django_request as framework

        environ, args = request.META, "GET"
    elif hasattr(request, "environ"):
        from . import flask as framework

        environ, args = request.environ, "args"
    else:
        return
    count = bound_query_of_several_parsers(environ.get("QUERY_STRING", ""))
    check_parameters(count, _MAX_PARAMETERS)
    is_decoded = True
    try:
        getattr(request, args)
    except UnicodeDecodeError:
        is_decoded = False
    except Exception as error:  # a framework's own limit
        raise unreadable(error) from error
    if not is_decoded:  # not within the except: what hangs on the decoder's error, suppressed or not, holds the query
        raise invalid("expected parameters in UTF-8 after the ? of the URL")
    # Whether credentials may stand in the URL is for the endpoint to say: at the authorization endpoint some must.
    own = getattr(request, "max_content_length", None) or MAX_BODY  # Flask's
    token_request = TokenRequest.from_wsgi({**environ, "QUERY_STRING": ""}, min(own, MAX_BODY))
    if token_request.is_form:
        check_parameters(count + len(framework.read_form(request, token_request)), _MAX_PARAMETERS)
    else:
        framework.bound_other_body(request, replace(token_request, max_body=min(own, MAX_OTHER_BODY)))
