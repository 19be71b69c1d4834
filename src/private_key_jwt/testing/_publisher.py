"""What LedgerBee answers over HTTP: one rule for the transport and for the server."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import httpx

from .. import ledgerbee
from ._keys import to_json
from ._tenant import Tenant

Outage = int | httpx.RequestError | type[httpx.RequestError] | None


class Answer(NamedTuple):
    """An HTTP answer: its status, header fields, and body."""

    status: int
    headers: dict[str, str]
    body: bytes


def _answer(status: int, document: dict[str, Any], **headers: str) -> Answer:
    body = to_json(document)
    fixed = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    return Answer(status, {**fixed, **headers}, body)


class Publisher:
    """The published key sets of the tenants below one base URL, whichever host is asked."""

    def __init__(self, base_url: str) -> None:
        path = httpx.URL(ledgerbee.jwks_uri("slug", base_url=base_url)).raw_path.decode("ascii")
        before, _, after = path.rpartition("slug")
        self._path = re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}")
        self.base_path = httpx.URL(base_url).raw_path.decode("ascii").rstrip("/")
        self.tenants: dict[str, Tenant] = {}
        self._outage: Outage = None

    @property
    def outage(self) -> Outage:
        """What goes wrong with every request: nothing (None), an HTTP status, or an error to raise."""
        return self._outage

    @outage.setter
    def outage(self, outage: Outage) -> None:
        is_error = isinstance(outage, httpx.RequestError) or (
            isinstance(outage, type) and issubclass(outage, httpx.RequestError)
        )
        is_status = isinstance(outage, int) and 400 <= outage <= 599
        if outage is not None and not is_error and not is_status:
            raise ValueError(f"outage must be None, a status from 400 to 599, or an httpx.RequestError, not {outage!r}")
        self._outage = outage

    def document(self, slug: str) -> dict[str, Any]:
        """The JWK Set of a slug. One that nobody has is no error to LedgerBee: its set is empty."""
        tenant = self.tenants.get(slug)
        return {"keys": []} if tenant is None else tenant.document()

    def answer(self, method: str, target: str) -> Answer:
        """The answer to a request for a path with or without a query. Raises the outage, when that is an error."""
        if isinstance(self._outage, int):
            return _answer(self._outage, {"error": "outage"})
        if self._outage is not None:
            raise self._outage if isinstance(self._outage, httpx.RequestError) else self._outage("outage")
        found = self._path.fullmatch(target.partition("?")[0])
        if found is None:
            return _answer(404, {"error": "not found"})
        if method != "GET":
            return _answer(405, {"error": "method not allowed"}, Allow="GET")
        # The published page promises 5 minutes (RFC 9111 §5.2.2.1).
        return _answer(200, self.document(found[1]), **{"Cache-Control": "max-age=300"})
