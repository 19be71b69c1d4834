"""An HTTP request to the look-alike and its response, whatever carries them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ._keys import to_json


@dataclass(frozen=True, slots=True)
class Request:
    """A request: method, target (a path with or without a query), header fields by lower-case name, and body."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """The target behind its path, without the question mark."""
        return self.target.partition("?")[2]

    @property
    def host(self) -> str:
        """The ``Host`` header field, in lower case."""
        return self.headers.get("host", "").lower()


class Response(NamedTuple):
    """A response: its status, header fields, and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def json_response(status: int, document: Mapping[str, Any], **headers: str) -> Response:
    """Return a response with a JSON body. An underscore in the name of a header field stands for a hyphen."""
    body = to_json(document)
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return Response(status, {**fixed, **{name.replace("_", "-"): text for name, text in headers.items()}}, body)
