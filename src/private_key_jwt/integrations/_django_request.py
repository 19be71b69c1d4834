"""The token request in a Django request, read once for whoever comes later, too."""

from __future__ import annotations

from .._extra import needs
from ..exceptions import AuthenticationError
from ._outcome import Parts
from ._request import TokenRequest, unreadable

with needs(__name__, "django"):
    from django.conf import settings
    from django.core.exceptions import TooManyFieldsSent
    from django.http import HttpRequest, QueryDict
    from django.utils.datastructures import MultiValueDict

__all__ = ["read", "read_form"]


def read(request: HttpRequest, max_body: int) -> Parts:
    """Read the form of a request, and leave it as ``request.POST``. Raises InvalidRequest."""
    token_request = TokenRequest.from_wsgi(request.META, max_body)  # which Django fills under ASGI, too
    return read_form(request, token_request), token_request.authorization


def read_form(request: HttpRequest, token_request: TokenRequest) -> list[tuple[str, str]]:
    """See ``read``: the form alone."""
    try:
        form = token_request.form(request.body)
        # What a view reads is what was authenticated, and Django's slower parser is not run for a stranger.
        request.POST = _query_dict(form)
        request._files = MultiValueDict()  # noqa: SLF001  # who asks for `FILES` would have Django parse it all again
    except AuthenticationError:
        raise
    except Exception as error:  # SuspiciousOperation, UnreadablePostError, RawPostDataException
        raise unreadable(error) from error
    return form


def _query_dict(form: list[tuple[str, str]]) -> QueryDict:
    limit = settings.DATA_UPLOAD_MAX_NUMBER_FIELDS
    if limit is not None and len(form) > limit:
        raise TooManyFieldsSent
    post = QueryDict(mutable=True)
    for name, value in form:
        post.appendlist(name, value)
    return post
