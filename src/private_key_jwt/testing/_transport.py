"""The publisher behind httpx, without a network."""

from __future__ import annotations

import httpx

from ._publisher import Publisher


class Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport for ``httpx.Client`` and ``httpx.AsyncClient``; it counts what it is asked for.

    Closing a client does not close it: any number of clients may use it, one after the other or at once.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self.requests: list[httpx.Request] = []
        """Every request since the start or the last ``reset``, those included that met an outage."""

    @property
    def count(self) -> int:
        """How many requests came."""
        return len(self.requests)

    def reset(self) -> None:
        """Forget the requests so far."""
        self.requests.clear()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an ``httpx.Client``. Raises the outage, when that is an error."""
        self.requests.append(request)
        answer = self._publisher.answer(request.method, request.url.raw_path.decode("ascii"))
        # A stream, and not content: a response that holds its body already cannot be read raw.
        return httpx.Response(answer.status, headers=answer.headers, stream=httpx.ByteStream(answer.body))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an ``httpx.AsyncClient``. Raises the outage, when that is an error."""
        return self.handle_request(request)
