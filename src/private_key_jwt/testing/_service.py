"""Answer over HTTP as the look-alike: one rule for the transport and for the server."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import httpx

from ._exchange import Request, Response, json_response

Outage = int | httpx.RequestError | type[httpx.RequestError] | None
Route = Callable[[Request], Response | None]


def is_error_status(status: object) -> bool:
    """Report whether a value is an HTTP status from 400 to 599."""
    return isinstance(status, int) and 400 <= status <= 599


class Service:
    """The first route that knows the path answers; 404 when none does.

    routes: called in this order; each returns None for a path that is not its own.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        self._routes = routes
        self._outage: Outage = None

    @property
    def outage(self) -> Outage:
        """Return what each request meets: nothing (None), an HTTP status, or an error to raise."""
        return self._outage

    @outage.setter
    def outage(self, outage: Outage) -> None:
        is_error = isinstance(outage, httpx.RequestError) or (
            isinstance(outage, type) and issubclass(outage, httpx.RequestError)
        )
        if outage is not None and not is_error and not is_error_status(outage):
            raise ValueError(f"outage must be None, a status from 400 to 599, or an httpx.RequestError, not {outage!r}")
        self._outage = outage

    def respond(self, request: Request) -> Response:
        """Answer a request. Raises httpx.RequestError when there is to be no response."""
        if isinstance(self._outage, int):
            return json_response(self._outage, {"error": "outage"})
        if self._outage is not None:
            raise self._outage if isinstance(self._outage, httpx.RequestError) else self._outage("outage")
        found = (response for route in self._routes if (response := route(request)) is not None)
        return next(found, None) or json_response(404, {"error": "not found"})
