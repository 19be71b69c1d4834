"""One GET of one JWK Set, sync and async, on a client of our own or on the user's.

Whatever the client is set to do: no redirect is followed, no cookie or credential is sent, the certificate
must have been verified, the address connected to is one that the policy allows, and the whole takes no
longer than the policy's timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from .._core.response import Answer, FetchFailed, ResponseReader
from .._http_client import USER_AGENT, Watchdog, is_tls_verified, ssl_context, without_cookies
from ..policy import JWKSPolicy
from ._destination import Destination

__all__ = ["Fields", "aget", "get"]

Fields = tuple[tuple[str, str], ...]
"""The user's header fields, as ``check_headers`` gives them."""

_ANY_ADDRESS: Sequence[str | None] = (None,)


@dataclass(frozen=True, slots=True)
class _Request:
    """What to send, wherever it is connected to.

    forced: tell caches in between to ask the publisher.
    trace: httpx's trace extension.
    """

    destination: Destination
    policy: JWKSPolicy
    headers: Fields
    forced: bool
    trace: object

    def build(self, address: str | None, connect: float) -> httpx.Request:
        """Build a request that owes nothing to a client's defaults: not its headers, cookies, parameters or timeouts.

        address: which of the host's to connect to, in at most ``connect`` seconds; None leaves it to the client.
        """
        headers = httpx.Headers(
            {
                "Accept": "application/jwk-set+json, application/json",
                "Accept-Encoding": "identity",
                "User-Agent": USER_AGENT,
            }
        )
        headers.update(self.headers)
        # A connection of its own: one that is taken from a pool does not tell the watchdog of its socket.
        headers["Connection"] = "close"
        if self.forced:
            headers["Cache-Control"] = "no-cache"
        timeout = httpx.Timeout(self.policy.timeout, connect=connect).as_dict()
        extensions = {"timeout": timeout, "trace": self.trace}
        url = self.destination.url
        if address is not None:
            # Who is asked for, in TLS and in HTTP, is the host all the same.
            headers["Host"] = url.netloc.decode("ascii")
            extensions["sni_hostname"] = self.destination.host
            url = url.copy_with(host=address)
        return httpx.Request("GET", url, headers=headers, extensions=extensions)

    def attempts(self, addresses: Sequence[str | None]) -> Iterator[tuple[httpx.Request, bool]]:
        """Yield a request for each address, and whether it is the last; those to come share the time that is left."""
        deadline = time.monotonic() + self.policy.timeout
        left = len(addresses)
        while True:
            connect = max((deadline - time.monotonic()) / left, 0.001)
            yield self.build(addresses[-left], connect), left == 1
            left -= 1


def _check_connection(response: httpx.Response, destination: Destination) -> None:
    """The connection's own word that it is one to trust; a client of the user's may have been told otherwise."""
    stream = response.extensions.get("network_stream")
    if stream is None:
        return
    if not destination.is_connected:
        destination.check_peer(stream)
    if response.request.url.scheme != "https":
        return
    if not is_tls_verified(stream):
        raise FetchFailed("the TLS certificate was not verified")


def _reader(response: httpx.Response, destination: Destination, policy: JWKSPolicy) -> ResponseReader:
    _check_connection(response, destination)
    headers = response.headers
    if response.is_stream_consumed:
        # A transport that answers from memory has decoded the body already.
        headers = httpx.Headers([pair for pair in headers.multi_items() if pair[0] != "content-encoding"])
    return ResponseReader(response.status_code, headers, policy.max_bytes)


def _timed_out(policy: JWKSPolicy) -> FetchFailed:
    return FetchFailed(f"no complete answer within {policy.timeout:g} s (JWKSPolicy(timeout=...))")


def _trace(destination: Destination, watchdog: Watchdog) -> Callable[[str, dict[str, Any]], None]:
    def trace(event: str, info: dict[str, Any]) -> None:
        watchdog.trace(event, info)
        refusal = destination.refusal(event, info)
        if refusal is not None:
            info["return_value"].close()
            raise refusal

    return trace


def _trace_async(destination: Destination) -> Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]:
    async def trace(event: str, info: dict[str, Any]) -> None:
        refusal = destination.refusal(event, info)
        if refusal is not None:
            await info["return_value"].aclose()
            raise refusal

    return trace


def get(http: httpx.Client | None, url: str, policy: JWKSPolicy, *, forced: bool, headers: Fields = ()) -> Answer:
    """Fetch the document.

    http: the user's client, or None for one of our own.
    forced: tell caches in between to ask the publisher.
    headers: what else to send, as ``check_headers`` gives it.

    Raises FetchFailed, whatever went wrong.
    """
    with Watchdog(policy.timeout) as watchdog:
        try:
            destination = Destination(httpx.URL(url), policy)
            request = _Request(destination, policy, headers, forced, _trace(destination, watchdog))
            with contextlib.ExitStack() as stack:
                if http is not None:
                    client, addresses = without_cookies(http), _ANY_ADDRESS
                else:
                    addresses = destination.resolve()
                    client = httpx.Client(verify=ssl_context(), trust_env=False)
                    stack.enter_context(client)
                response = _send(client, destination, request.attempts(addresses))
                stack.callback(response.close)
                reader = _reader(response, destination, policy)
                chunks = [response.content] if response.is_stream_consumed else response.iter_raw()
                for chunk in chunks:
                    reader.feed(chunk)
                    if watchdog.has_expired:
                        raise _timed_out(policy)
                answer = reader.finish()
        except FetchFailed:
            raise
        except Exception as error:
            raise (_timed_out(policy) if watchdog.has_expired else _failed(error, policy)) from None
    # An answer without a length ends where its socket does: cut off, it would look whole.
    if watchdog.has_expired:
        raise _timed_out(policy)
    return answer


def _send(
    client: httpx.Client, destination: Destination, attempts: Iterator[tuple[httpx.Request, bool]]
) -> httpx.Response:
    while True:
        request, is_last = next(attempts)
        try:
            return client.send(request, stream=True, auth=None, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if is_last or destination.is_connected:  # it was TLS that failed, and would at another address
                raise


async def aget(
    http: httpx.AsyncClient | None, url: str, policy: JWKSPolicy, *, forced: bool, headers: Fields = ()
) -> Answer:
    """Fetch the document: ``get``, awaited. Raises FetchFailed, whatever went wrong."""
    try:
        destination = Destination(httpx.URL(url), policy)
        request = _Request(destination, policy, headers, forced, _trace_async(destination))
        async with asyncio.timeout(policy.timeout), contextlib.AsyncExitStack() as stack:
            if http is not None:
                client, addresses = without_cookies(http), _ANY_ADDRESS
            else:
                addresses = await destination.resolve_async()
                client = httpx.AsyncClient(verify=ssl_context(), trust_env=False)
                await stack.enter_async_context(client)
            response = await _send_async(client, destination, request.attempts(addresses))
            stack.push_async_callback(response.aclose)
            reader = _reader(response, destination, policy)
            if response.is_stream_consumed:
                reader.feed(response.content)
            else:
                async for chunk in response.aiter_raw():
                    reader.feed(chunk)
            return reader.finish()
    except FetchFailed:
        raise
    except TimeoutError:
        raise _timed_out(policy) from None
    except Exception as error:
        raise _failed(error, policy) from None


async def _send_async(
    client: httpx.AsyncClient, destination: Destination, attempts: Iterator[tuple[httpx.Request, bool]]
) -> httpx.Response:
    while True:
        request, is_last = next(attempts)
        try:
            return await client.send(request, stream=True, auth=None, follow_redirects=False)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if is_last or destination.is_connected:
                raise


def _failed(error: Exception, policy: JWKSPolicy) -> FetchFailed:
    if isinstance(error, httpx.TimeoutException):
        return _timed_out(policy)  # httpx counts the same seconds for one read, and may be the first to see them over
    return FetchFailed(f"{type(error).__name__}: {error}" if isinstance(error, httpx.HTTPError) else repr(error))
