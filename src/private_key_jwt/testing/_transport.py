"""The publisher behind httpx, without a network."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from ._exchange import Request, Response


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport for ``httpx.Client`` and ``httpx.AsyncClient``; it counts what it is asked for.

    Closing a client does not close it: any number of clients may use it, one after the other or at once.
    """

    in_process = True  # a fetcher refuses a transport that says neither this nor which address it reached

    def __init__(self, respond: Callable[[Request], Response]) -> None:
        self._respond_to = respond
        self.requests: list[httpx.Request] = []
        """Every request since the start or the last ``reset``, those included that met an outage."""

    @property
    def count(self) -> int:
        """Return the number of requests so far, or since the last ``reset``."""
        return len(self.requests)

    def reset(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an ``httpx.Client``. Raises the outage, when that is an error."""
        request.read()
        return self._respond(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an ``httpx.AsyncClient``. Raises the outage, when that is an error."""
        await request.aread()
        return self._respond(request)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        target = request.url.raw_path.decode("ascii")
        response = self._respond_to(Request(request.method, target, request.headers, request.content))
        # A stream, and not content: a response that holds its body already cannot be read raw.
        return httpx.Response(response.status, headers=response.headers, stream=httpx.ByteStream(response.body))
