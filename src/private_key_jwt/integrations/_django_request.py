"""The token request in a Django request, read once for whoever comes later, too."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from .._extra import needs
from ..exceptions import AuthenticationError
from ._invalid import unreadable
from ._outcome import Parts
from ._parser_bounds import check_parameters
from ._request import TokenRequest

with needs(__name__, "django"):
    from django.conf import settings
    from django.core.exceptions import TooManyFieldsSent
    from django.http import HttpRequest, QueryDict
    from django.http.request import RawPostDataException
    from django.utils.datastructures import MultiValueDict

__all__ = ["MAX_PARTS", "bound_other_body", "count_parts", "of_django", "read", "read_form"]

MAX_PARTS = 64
"""Parts of a multipart body that Django parses."""


def of_django(request: Any) -> HttpRequest:
    """Return Django's own request, of which Django REST Framework hands a wrapper to its views."""
    own: HttpRequest = getattr(request, "_request", request)
    return own


def read(request: HttpRequest, max_body: int) -> Parts:
    """Read the form of a request, and leave it as ``request.POST``. Raises InvalidRequest."""
    token_request = TokenRequest.from_wsgi(request.META, max_body)  # which Django fills under ASGI, too
    return read_form(request, token_request), token_request.authorization


def read_form(request: HttpRequest, token_request: TokenRequest) -> list[tuple[str, str]]:
    """See ``read``: the form alone."""
    try:
        body = request.body
        if _is_all_that_came(request, body):
            token_request.check_end(len(body))
        form = token_request.form(body)
        # What a view reads is what was authenticated, and Django's slower parser is not run for a stranger.
        request.POST = _query_dict(form)
        request._files = MultiValueDict()  # noqa: SLF001  # who asks for `FILES` would have Django parse it all again
    except AuthenticationError:
        raise
    except Exception as error:  # SuspiciousOperation, UnreadablePostError, RawPostDataException
        raise unreadable(error) from error
    return form


def _is_all_that_came(request: HttpRequest, body: bytes) -> bool:
    """Report whether a body is what came with this request. A copy of a request may have another of its own."""
    stream = getattr(request, "_stream", None)  # where Django keeps what it has read
    return isinstance(stream, BytesIO) and stream.getbuffer().nbytes == len(body)


def _query_dict(form: list[tuple[str, str]]) -> QueryDict:
    limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    if limit is not None and len(form) > limit:
        raise TooManyFieldsSent
    post = QueryDict(mutable=True)
    for name, value in form:
        post.appendlist(name, value)
    return post


def bound_other_body(request: HttpRequest, token_request: TokenRequest) -> None:
    """Refuse a body that is no form, and that would take Django milliseconds to parse. Raises InvalidRequest."""
    check_parameters(count_parts(request, token_request), MAX_PARTS)


def count_parts(request: HttpRequest, token_request: TokenRequest) -> int:
    """Count what would be parsed of a body: boundaries of multipart, or what parts the members of a form or of JSON.

    Django takes 7 µs for a boundary, which may be of three bytes. Raises InvalidRequest: the body is too large.
    """
    try:
        body = request.body
    except RawPostDataException:  # it was parsed before
        return 0
    except Exception as error:
        raise unreadable(error) from error
    token_request.check_size(len(body))
    boundary = request.content_params.get("boundary")
    if token_request.is_form:
        separator = b"&"
    elif boundary is None:
        separator = b","
    else:  # of what is no ASCII, Django makes no boundary: nothing is parsed
        separator = f"--{boundary}".encode("ascii", "replace")
    count: int = body.count(separator)
    return count
