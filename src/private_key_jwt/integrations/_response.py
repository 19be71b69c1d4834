"""The response to a request whose client was not authenticated, as it is sent."""

from __future__ import annotations

import json
from typing import NamedTuple

from ..exceptions import AuthenticationError

__all__ = ["EncodedResponse", "encode_error"]


class EncodedResponse(NamedTuple):
    """A response as it is sent: the HTTP status, the header fields, and the bytes of the JSON body.

        status, headers, body = encode_error(error)
        start_response(f"{status} {HTTPStatus(status).phrase}", list(headers.items()))

    For a framework that has no integration here.
    """

    status: int
    headers: dict[str, str]
    body: bytes


def encode_error(error: AuthenticationError) -> EncodedResponse:
    """Return the response to a request whose client was not authenticated (RFC 6749 §5.2). It names no reason."""
    response = error.to_response()
    headers = {"Content-Type": "application/json", **response.headers}
    return EncodedResponse(response.status, headers, json.dumps(response.body).encode())
