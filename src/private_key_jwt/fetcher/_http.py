"""One GET of one JWK Set, sync and async, on a client of our own or on the user's.

Whatever the client is set to do: no redirect is followed, no cookie or credential is sent, the certificate
must have been verified, the address connected to is one that the policy allows, and the whole takes no
longer than the policy's timeout.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from .._core.response import FetchError, JWKSResponse, ResponseReader
from .._host_names import explain_os_error
from .._http_client import (
    USER_AGENT,
    Watchdog,
    body_headers,
    for_one_request,
    is_tls_verified,
    restore_location,
    ssl_context,
    ssl_context_async,
)
from .._text import one_line, quote
from ..policy import JWKSPolicy
from ._bounds import ResponseBounds
from ._destination import Destination
from ._pool import take_own_pool
from ._progress import Phase, Progress
from ._route import AnyClient, Route, find_way

__all__ = ["Fields", "get", "get_async"]

Fields = tuple[tuple[str, str], ...]
"""The user's header fields, as ``check_headers`` gives them."""

_BY_NAME: Sequence[str | None] = (None,)  # not by an address: the client resolves the name, or a proxy
_DESCRIBED_LENGTH = 160

# What OpenSSL says of a certificate, and what to do about it.
_CERTIFICATE = re.compile(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed: (.*?)\.?( \(_ssl\.c:[0-9]+\))?$")
_UNTRUSTED = ": no CA trusted here signed it (http_client= can trust more)"
_CHAIN = (
    ": the server may send no intermediate certificate (openssl s_client -showcerts), or its CA is not trusted here"
    " (http_client=)"
)
_CERTIFICATE_HINTS = (
    ("has expired", ": its owner must renew it"),
    ("not yet valid", ": is our clock slow?"),
    ("self-signed", _UNTRUSTED),
    ("local issuer", _CHAIN),
)

# Of an end where more was to come OpenSSL says so, and what httpx takes for asyncio says nothing.
_END_IN_HANDSHAKE = re.compile(r"|.*EOF occurred in violation of protocol.*")

# What h11 says of a response that is none, by its beginning.
_NO_RESPONSE = (
    ("Server disconnected", "the connection was closed without an HTTP response"),
    ("peer closed connection", "the response was cut off"),
    ("", "the response is no HTTP/1.1"),
)
_BYTEARRAY = re.compile(r"bytearray\((b.*)\)")

# What a transport in memory does is not traced.
_FIRST_PHASES = {
    Route.DIRECT: Phase.NAME,
    Route.PROXY: Phase.CONNECT,
    Route.SOCKET: Phase.CONNECT,
    Route.MEMORY: Phase.RESPONSE,
    Route.UNKNOWN: Phase.RESPONSE,
}


@dataclass(frozen=True, slots=True)
class _Request:
    """Build what to send, wherever it is connected to.

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
                # Whatever it is called is read: a publisher that goes by this field need not answer 406.
                "Accept": "application/jwk-set+json, application/json, */*;q=0.5",
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
        left = len(addresses)
        while True:
            connect = max((self.destination.deadline - time.monotonic()) / left, 0.001)
            yield self.build(addresses[-left], connect), left == 1
            left -= 1


def _reader(response: httpx.Response, destination: Destination, policy: JWKSPolicy) -> ResponseReader:
    stream = response.extensions.get("network_stream")
    destination.check_response(stream)
    if destination.url.scheme == "https" and stream is not None and not is_tls_verified(stream, destination.host):
        raise FetchError(f"the TLS certificate was not verified for {quote(destination.host)}")
    return ResponseReader(response.status_code, body_headers(response), policy.max_bytes, str(destination.url))


def _trace(
    destination: Destination, watchdog: Watchdog, progress: Progress, bounds: ResponseBounds
) -> Callable[[str, dict[str, Any]], None]:
    def trace(event: str, info: dict[str, Any]) -> None:
        watchdog.trace(event, info)
        progress.trace(event, info)
        if bounds.trace(event, info):
            bounds.bound(info["return_value"])
        refusal = destination.refusal(event, info)
        if refusal is not None:
            info["return_value"].close()
            raise refusal

    return trace


def _trace_async(
    destination: Destination, progress: Progress, bounds: ResponseBounds
) -> Callable[[str, dict[str, Any]], Coroutine[Any, Any, None]]:
    opened: Any = None

    async def trace(event: str, info: dict[str, Any]) -> None:
        nonlocal opened
        progress.trace(event, info)
        if bounds.trace(event, info):
            bounds.bound_async(info["return_value"])
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete")):
            opened = info["return_value"]
            bounds.bound_arriving_async(opened)
        elif event.endswith(".start_tls.failed"):
            await opened.aclose()  # httpcore leaves the socket open where a handshake is cancelled
        refusal = destination.refusal(event, info)
        if refusal is not None:
            await info["return_value"].aclose()
            raise refusal

    return trace


def get(
    http: httpx.Client | None,
    url: str,
    policy: JWKSPolicy,
    *,
    forced: bool,
    headers: Fields = (),
    progress: Progress | None = None,
) -> JWKSResponse:
    """Fetch the document.

    http: the user's client, or None for one of our own.
    forced: tell caches in between to ask the publisher.
    headers: what else to send, as ``check_headers`` gives it.
    progress: where to note how far it came.

    Raises FetchError, whatever went wrong.
    """
    destination = _destination(http, url, policy)
    progress = progress or Progress()
    watchdog = Watchdog(policy.timeout)
    try:
        with watchdog:
            response = _get(http, destination, policy, watchdog, progress, forced=forced, headers=headers)
    except Exception as error:
        if not watchdog.has_expired:
            raise _failed(error, policy, progress) from None
    # A response without a length ends where its socket does: cut off, it would look whole.
    if watchdog.has_expired:
        raise FetchError(progress.describe_delay(policy.timeout))
    return response


def _destination(http: AnyClient | None, url: str, policy: JWKSPolicy) -> Destination:
    try:
        parsed = httpx.URL(url)
        return Destination(parsed, policy, find_way(http, parsed))
    except (httpx.InvalidURL, ValueError) as error:
        raise FetchError(f"the jwks_uri is no URL: {_describe(error)}") from None


def _get(
    http: httpx.Client | None,
    destination: Destination,
    policy: JWKSPolicy,
    watchdog: Watchdog,
    progress: Progress,
    *,
    forced: bool,
    headers: Fields,
) -> JWKSResponse:
    bounds = ResponseBounds()
    request = _Request(destination, policy, headers, forced, _trace(destination, watchdog, progress, bounds))
    route = destination.way.route
    progress.enter(_FIRST_PHASES[route])
    with contextlib.ExitStack() as stack:
        stack.callback(bounds.release)
        addresses = destination.resolve() if route is Route.DIRECT else _BY_NAME
        if http is None:
            client = for_one_request(stack.enter_context(httpx.Client(verify=ssl_context(), trust_env=False)))
        else:
            client = for_one_request(http)
            own = take_own_pool(client, destination.url)
            if own is not None:
                stack.callback(own.close)
        response = _send(client, destination, request.attempts(addresses))
        stack.callback(response.close)
        reader = _reader(response, destination, policy)
        progress.enter(Phase.BODY)
        for chunk in [response.content] if response.is_stream_consumed else response.iter_raw():
            bounds.count_off(chunk)
            reader.feed(chunk)
            if watchdog.has_expired:
                break
        return reader.finish()


def _send(
    client: httpx.Client, destination: Destination, attempts: Iterator[tuple[httpx.Request, bool]]
) -> httpx.Response:
    while True:
        request, is_last = next(attempts)
        try:
            return restore_location(client.send(request, stream=True, auth=None, follow_redirects=False))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if is_last or destination.is_connected:  # it was TLS that failed, and would at another address
                raise


async def get_async(
    http: httpx.AsyncClient | None,
    url: str,
    policy: JWKSPolicy,
    *,
    forced: bool,
    headers: Fields = (),
    progress: Progress | None = None,
) -> JWKSResponse:
    """Fetch the document: ``get``, awaited. Raises FetchError, whatever went wrong."""
    destination = _destination(http, url, policy)
    progress = progress or Progress()
    bounds = ResponseBounds()
    request = _Request(destination, policy, headers, forced, _trace_async(destination, progress, bounds))
    route = destination.way.route
    progress.enter(_FIRST_PHASES[route])
    try:
        async with asyncio.timeout(policy.timeout), contextlib.AsyncExitStack() as stack:
            stack.callback(bounds.release)
            addresses = await destination.resolve_async() if route is Route.DIRECT else _BY_NAME
            if http is None:
                context = await ssl_context_async()
                client = for_one_request(
                    await stack.enter_async_context(httpx.AsyncClient(verify=context, trust_env=False))
                )
            else:
                client = for_one_request(http)
                own = take_own_pool(client, destination.url)
                if own is not None:
                    stack.push_async_callback(own.aclose)
            attempts = request.attempts(addresses)
            response = await _send_async(client, destination, attempts)
            stack.push_async_callback(response.aclose)
            reader = _reader(response, destination, policy)
            progress.enter(Phase.BODY)
            if response.is_stream_consumed:
                reader.feed(response.content)
            else:
                async for chunk in response.aiter_raw():
                    bounds.count_off(chunk)
                    for _ in reader.steps(chunk):
                        await asyncio.sleep(0)
            return reader.finish()
    except Exception as error:
        raise _failed(error, policy, progress) from None


async def _send_async(
    client: httpx.AsyncClient, destination: Destination, attempts: Iterator[tuple[httpx.Request, bool]]
) -> httpx.Response:
    while True:
        request, is_last = next(attempts)
        try:
            return restore_location(await client.send(request, stream=True, auth=None, follow_redirects=False))
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if is_last or destination.is_connected:
                raise


def _failed(error: Exception, policy: JWKSPolicy, progress: Progress) -> FetchError:
    if isinstance(error, FetchError):
        return error
    # httpx counts the same seconds for one read, and may be the first to see them over.
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return FetchError(progress.describe_delay(policy.timeout))
    plain = explain_os_error(error)
    if plain is None and isinstance(error, httpx.ConnectError) and _END_IN_HANDSHAKE.fullmatch(str(error)):
        plain = "the other side, or what is on the way, ended the connection in the TLS handshake"
    where = f" ({progress.peer})" if plain and progress.peer else ""
    return FetchError(f"{plain}{where}: {_describe(error)}" if plain else _describe(error))


def _describe(error: Exception) -> str:
    # Not cut to a quotation: what OpenSSL says of a certificate is longer.
    with contextlib.suppress(Exception):  # an exception whose text raises
        text = one_line(str(error))
        if refused := _CERTIFICATE.search(text):
            why = refused[1]
            hint = next((hint for part, hint in _CERTIFICATE_HINTS if part in why), "")
            return f"TLS CERTIFICATE_VERIFY_FAILED: {why}"[:_DESCRIBED_LENGTH] + hint
        if isinstance(error, httpx.RemoteProtocolError):
            said = next(said for start, said in _NO_RESPONSE if text.startswith(start))
            quoted = _BYTEARRAY.sub(r"\1", text)[:_DESCRIBED_LENGTH]
            return f"{said}: {quoted}"
        return f"{type(error).__name__}: {text[:_DESCRIBED_LENGTH]}" if text else type(error).__name__
    return type(error).__name__
