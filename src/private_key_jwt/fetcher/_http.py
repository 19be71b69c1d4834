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
from typing import Any

import httpx

from .._core.response import FetchFailed, ResponseReader
from .._http_client import Watchdog, is_tls_verified, ssl_context, without_cookies
from ..policy import JWKSPolicy
from ._destination import Destination

_ANY_ADDRESS: Sequence[str | None] = (None,)


def _request(
    destination: Destination, policy: JWKSPolicy, trace: object, *, forced: bool, address: str | None, connect: float
) -> httpx.Request:
    """A request that owes nothing to a client's defaults: not its headers, cookies, parameters or timeouts.

    address: which of the host's to connect to, in at most ``connect`` seconds; None leaves it to the client.
    """
    # A connection of its own: one that is taken from a pool does not tell the watchdog of its socket.
    headers = {
        "Accept": "application/jwk-set+json, application/json",
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    if forced:
        headers["Cache-Control"] = "no-cache"
    extensions = {"timeout": httpx.Timeout(policy.timeout, connect=connect).as_dict(), "trace": trace}
    url = destination.url
    if address is not None:
        # Who is asked for, in TLS and in HTTP, is the host all the same.
        headers["Host"] = url.netloc.decode("ascii")
        extensions["sni_hostname"] = destination.host
        url = url.copy_with(host=address)
    return httpx.Request("GET", url, headers=headers, extensions=extensions)


def _attempts(
    destination: Destination, policy: JWKSPolicy, trace: object, addresses: Sequence[str | None], *, forced: bool
) -> Iterator[tuple[httpx.Request, bool]]:
    """A request for each address, and whether it is the last; those to come share the time that is left."""
    deadline = time.monotonic() + policy.timeout
    left = len(addresses)
    while True:
        connect = max((deadline - time.monotonic()) / left, 0.001)
        request = _request(destination, policy, trace, forced=forced, address=addresses[-left], connect=connect)
        yield request, left == 1
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
    return FetchFailed(f"no complete answer within {policy.timeout:g} s")


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


def get(http: httpx.Client | None, url: str, policy: JWKSPolicy, *, forced: bool) -> bytes:
    """Fetch the document. Raises FetchFailed, whatever went wrong."""
    with Watchdog(policy.timeout) as watchdog:
        try:
            destination = Destination(httpx.URL(url), policy)
            trace = _trace(destination, watchdog)
            with contextlib.ExitStack() as stack:
                if http is not None:
                    client, addresses = without_cookies(http), _ANY_ADDRESS
                else:
                    addresses = destination.resolve()
                    client = httpx.Client(verify=ssl_context(), trust_env=False)
                    stack.enter_context(client)
                response = _send(client, destination, _attempts(destination, policy, trace, addresses, forced=forced))
                stack.callback(response.close)
                reader = _reader(response, destination, policy)
                chunks = [response.content] if response.is_stream_consumed else response.iter_raw()
                for chunk in chunks:
                    reader.feed(chunk)
                    if watchdog.has_expired:
                        raise _timed_out(policy)
                body = reader.finish()
        except FetchFailed:
            raise
        except Exception as error:
            raise (_timed_out(policy) if watchdog.has_expired else _failed(error, policy)) from None
    # An answer without a length ends where its socket does: cut off, it would look whole.
    if watchdog.has_expired:
        raise _timed_out(policy)
    return body


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


async def aget(http: httpx.AsyncClient | None, url: str, policy: JWKSPolicy, *, forced: bool) -> bytes:
    """Fetch the document. Raises FetchFailed, whatever went wrong."""
    try:
        destination = Destination(httpx.URL(url), policy)
        trace = _trace_async(destination)
        async with asyncio.timeout(policy.timeout), contextlib.AsyncExitStack() as stack:
            if http is not None:
                client, addresses = without_cookies(http), _ANY_ADDRESS
            else:
                addresses = await destination.resolve_async()
                client = httpx.AsyncClient(verify=ssl_context(), trust_env=False)
                await stack.enter_async_context(client)
            attempts = _attempts(destination, policy, trace, addresses, forced=forced)
            response = await _send_async(client, destination, attempts)
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
