"""The published key sets, by LedgerBee's rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx

from .. import ledgerbee
from ._exchange import Request, Response, json_response
from ._tenant import Tenant


class Publisher:
    """The published key sets of the tenants below one base URL, whichever host is asked.

    tenants: by slug; it is looked into at each request.
    """

    def __init__(self, base_url: str, tenants: Mapping[str, Tenant]) -> None:
        path = httpx.URL(ledgerbee.jwks_uri("slug", base_url=base_url)).raw_path.decode("ascii")
        before, _, after = path.rpartition("slug")
        self._path = re.compile(f"{re.escape(before)}([^/]+){re.escape(after)}")
        self._tenants = tenants

    def document(self, slug: str) -> dict[str, Any]:
        """Return the JWK Set of a slug. One that nobody has is no error to LedgerBee: its set is empty."""
        tenant = self._tenants.get(slug)
        return {"keys": []} if tenant is None else tenant.document()

    def respond(self, request: Request) -> Response | None:
        """Answer a request for a key set; None for any other path."""
        found = self._path.fullmatch(request.path)
        if found is None:
            return None
        if request.method != "GET":
            return json_response(405, {"error": "method not allowed"}, Allow="GET")
        # The published page promises 5 minutes (RFC 9111 §5.2.2.1).
        return json_response(200, self.document(found[1]), Cache_Control="max-age=300")
