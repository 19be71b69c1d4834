"""From a framework's request to the wire: what every integration does in the same way, whatever its framework.

An adapter hands in the parts of a request, lets a verifier authenticate them, and sends the answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import parse_qsl

from ..exceptions import AuthenticationError, InvalidClient, InvalidRequest, Reason, quote
from ..verifier import VerifiedAssertion

MAX_BODY = 65_536
"""Bytes of a token request's body: an assertion of 16 KiB, and ample room for the rest."""

_MAX_PARAMETERS = 1_000
_MEDIA_TYPE = "application/x-www-form-urlencoded"
_BODY_ONLY = ("client_assertion", "client_assertion_type", "client_secret")


class Answer(NamedTuple):
    """What goes on the wire: the HTTP status, the header fields, and the bytes of the JSON body."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer(error: AuthenticationError) -> Answer:
    """The answer to a request whose client was not authenticated (RFC 6749 §5.2). It tells no reason."""
    response = error.to_response()
    headers = {"Content-Type": "application/json", **response.headers}
    return Answer(response.status, headers, json.dumps(response.body).encode())


def required(verified: VerifiedAssertion | None) -> VerifiedAssertion:
    """The client, where there must be one.

    Raises InvalidClient when the request carried no assertion: RFC 6749 §5.2 counts "no client authentication
    included" as ``invalid_client``.
    """
    if verified is None:
        raise InvalidClient(Reason.INVALID_REQUEST, "expected a client assertion in the body, and there is none")
    return verified


def _invalid(detail: str) -> InvalidRequest:
    return InvalidRequest(Reason.INVALID_REQUEST, detail)


def check_query(query: str | bytes) -> None:
    """Refuse credentials in a URL, where logs and referrers keep them (RFC 6749 §2.3.1, RFC 7521 §4.2).

    query: what follows the ``?``, still encoded. Raises InvalidRequest.
    """
    text = query.decode("latin-1") if isinstance(query, bytes) else query
    for name, _ in parse_qsl(text, keep_blank_values=True, errors="replace"):
        if name in _BODY_ONLY:
            raise _invalid(f"expected {name} in the body, got it in the URL")


def check_content_type(content_type: str | None) -> None:
    """Refuse a body that is no form in UTF-8 (RFC 6749 §3.2, appendix B). Raises InvalidRequest."""
    media_type, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    charsets = [value.strip(' "') for name, _, value in map(_partition, parameters) if name.strip() == "charset"]
    if media_type != _MEDIA_TYPE or any(charset not in ("utf-8", "utf8") for charset in charsets):
        raise _invalid(f"expected a body of {_MEDIA_TYPE} in UTF-8, got content type {quote(content_type)}")


def _partition(parameter: str) -> tuple[str, str, str]:
    return parameter.partition("=")


def authorization(values: Iterable[str]) -> str | None:
    """All ``Authorization`` header fields of a request as one value (RFC 9110 §5.3); None when there is none."""
    every = list(values)
    return ", ".join(every) if every else None


def too_large(max_body: int) -> InvalidRequest:
    """The error for a body of more than ``max_body`` bytes."""
    return _invalid(f"expected a body of at most {max_body} bytes, got more")


def read_form(body: bytes, content_type: str | None, max_body: int = MAX_BODY) -> list[tuple[str, str]]:
    """The parameters in the body of a token request, repeats included; none of an empty body.

    Raises InvalidRequest: a body that is too large, no form, not in UTF-8, or of more than 1,000 parameters.
    """
    if not body:
        return []
    if len(body) > max_body:
        raise too_large(max_body)
    check_content_type(content_type)
    try:
        return parse_qsl(
            body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS
        )
    except ValueError as error:  # among them UnicodeDecodeError
        raise _invalid(f"expected a form in UTF-8, and reading it raised {type(error).__name__}") from None
