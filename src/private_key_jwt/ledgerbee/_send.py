"""One attempt of a call: one POST on a connection of its own, sync and async.

The key goes out only over a connection that was seen to be verified TLS, or, for plain http, to end on the loopback
interface. That is asked of the connection itself, before the request is written: a client of the user's may have
been made without verification, and may hold connections that were opened before.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import html
import ipaddress
import re
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import httpx

from .._core.response import BodyReader, FetchError
from .._host_names import resolve_async
from .._http_client import USER_AGENT, Watchdog, body_headers, for_one_request, is_tls_verified, restore_location
from .._text import describe_error
from ._attempts import Failed, Outcome, Response

MAX_RESPONSE = 65_536  # bytes

# Each try closes one idle connection of the user's client; httpx keeps 20 by default.
_TRIES = 128
_ONLY_POOLED = "the key was not sent: the HTTP client opens no connection of its own for it (is it one with http2?)"
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
_CLIENT_CLOSED = Failed("the HTTP client is closed", was_sent=False, can_retry=False)
CLOSED = Failed("the PortalSSO was closed: make another one for more calls", was_sent=False, can_retry=False)
_TRANSIENT = (httpx.NetworkError, httpx.TimeoutException, httpx.RemoteProtocolError, httpx.ProxyError)


@dataclass(frozen=True, slots=True)
class Credential:
    """The header field that authenticates a call. Its value is in no repr."""

    name: str
    value: str = field(repr=False)

    def redact(self, text: str) -> str:
        """Return the text without the credential, should the other side have repeated it, as it is or escaped.

        text: whole: where it was cut, what is left of the credential is not found.
        """
        secret = self.value.removeprefix("Bearer ")
        for decoded in (text, _unescape(text), unquote(text), html.unescape(text)):
            if secret in decoded:
                return decoded.replace(secret, "[redacted]")
        return text


def _unescape(text: str) -> str:
    """Undo what escapes a string in JSON or in Python: ``\\/``, ``\\u002b``, ``\\x2b``."""
    return _ESCAPED.sub(lambda found: chr(int(found[1] or found[2], 16)) if found[3] is None else found[3], text)


_ESCAPED = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|(.))")


class _Refused(Exception):
    """The connection is not one to send the key over."""


class _Pooled(Exception):
    """The connection was opened before, for another request."""


class _Connection:
    """Follow what httpx's trace extension says about the connection that one attempt uses."""

    def __init__(self, url: httpx.URL) -> None:
        self._is_plain = url.scheme == "http"
        self._host = url.raw_host.decode("ascii")
        self._is_new = False
        self._is_fit = False
        self._is_abandoned = False
        self.is_traced = False
        self.is_sent = False

    @property
    def may_be_sent(self) -> bool:
        """Report whether the request may have been written. A transport that reports nothing leaves that open: True."""
        return self.is_sent or not self.is_traced

    def follow(self, event: str, info: dict[str, Any]) -> None:
        """Take one event. Raises _Refused or _Pooled before the request is written to an unfit connection."""
        self.is_traced = True
        if event.endswith((".connect_unix_socket.complete", ".connect_tcp.complete")):
            self._is_new = True
        if event.endswith(".connect_unix_socket.complete"):
            self._is_fit = self._is_plain
        elif event.endswith(".connect_tcp.complete"):
            self._is_fit = self._is_plain and _is_loopback_peer(info["return_value"])
        elif event.endswith(".start_tls.complete") and not self._is_plain:
            self._is_fit = is_tls_verified(info["return_value"], self._host)
        elif event.endswith(".send_request_headers.started"):
            self._check(info["request"].method)

    def _check(self, method: bytes) -> None:
        if method == b"CONNECT":  # to a proxy, without the key: TLS to the other end is still to come
            return
        if not self._is_new:
            raise _Pooled
        if not self._is_fit:
            where = "plain http would leave this machine" if self._is_plain else "the TLS certificate was not verified"
            raise _Refused(f"the key was not sent: {where}")
        # In this order: either it is seen here that the caller has gone, or there that the request is written.
        self.is_sent = True
        if self._is_abandoned:
            raise _Refused("the caller has gone")

    def abandon(self) -> bool:
        """Refuse to write the request from now on, and return ``may_be_sent``."""
        self._is_abandoned = True
        return self.may_be_sent


def _is_loopback_peer(stream: Any) -> bool:
    try:
        return ipaddress.ip_address(stream.get_extra_info("server_addr")[0]).is_loopback
    except (TypeError, ValueError, LookupError):
        return False


@dataclass(frozen=True, slots=True)
class Post:
    """A POST of JSON, for as many attempts as it takes."""

    url: httpx.URL
    credential: Credential
    body: bytes = field(repr=False)

    def request(self, trace: object, seconds: float) -> httpx.Request:
        """Build a request that takes nothing from a client's defaults: no headers, cookies, parameters or timeouts."""
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Connection": "close",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            self.credential.name: self.credential.value,
        }
        # Half for connecting: after a lost packet there is time for another attempt.
        timeout = httpx.Timeout(seconds, connect=seconds / 2)
        extensions = {"timeout": timeout.as_dict(), "trace": trace}
        return httpx.Request("POST", self.url, headers=headers, content=self.body, extensions=extensions)


def _reader(response: httpx.Response, credential: Credential) -> BodyReader:
    # An error of it quotes from these fields.
    headers = {name: credential.redact(text) for name, text in body_headers(response).items()}
    return BodyReader(headers, MAX_RESPONSE)


def _whole_response(response: httpx.Response, body: bytes, credential: Credential) -> Response:
    return Response(response.status_code, dict(response.headers), body, credential.redact)


def send(client: httpx.Client, post: Post, seconds: float) -> Outcome:
    """Make one attempt. It blocks for at most ``seconds``, whatever the server or a name server does."""
    if client.is_closed:
        return _CLIENT_CLOSED
    connection = _Connection(post.url)
    outcomes: list[Outcome] = []

    def run() -> None:
        outcomes.append(_attempt(client, post, connection, seconds))

    # In a thread of its own: resolving a host name that hangs cannot be ended, only left behind.
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(run,), name="portal-sso", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:  # the process may start no more threads
        return Failed(f"no thread for the request: {error}", was_sent=False)
    thread.join(seconds)
    return outcomes[0] if outcomes else _late(was_sent=connection.abandon())


def _attempt(client: httpx.Client, post: Post, connection: _Connection, seconds: float) -> Outcome:
    with Watchdog(seconds) as watchdog:

        def trace(event: str, info: dict[str, Any]) -> None:
            watchdog.trace(event, info)
            connection.follow(event, info)

        try:
            with contextlib.closing(_open(client, post, trace, seconds)) as response:
                reader = _reader(response, post.credential)
                for chunk in [response.content] if response.is_stream_consumed else response.iter_raw():
                    reader.feed(chunk)
                whole = _whole_response(response, reader.body(), post.credential)
        except Exception as error:
            if watchdog.has_expired:
                return _late(was_sent=connection.may_be_sent)
            return _failed(error, connection, post.credential)
    # A response without a length ends where its socket does: cut off, it would look whole.
    return _late(was_sent=connection.may_be_sent) if watchdog.has_expired else whole


def _open(client: httpx.Client, post: Post, trace: Callable[..., None], seconds: float) -> httpx.Response:
    for _ in range(_TRIES):
        with contextlib.suppress(_Pooled):
            request = post.request(trace, seconds)
            sent = for_one_request(client).send(request, stream=True, auth=None, follow_redirects=False)
            return restore_location(sent)
    raise _Refused(_ONLY_POOLED)


async def send_async(client: httpx.AsyncClient, post: Post, seconds: float, *, is_ours: bool) -> Outcome:
    """Make one attempt, in at most ``seconds``.

    is_ours: whether the client is our own, which resolves host names in the event loop's pool of threads.
    """
    if client.is_closed:
        return _CLIENT_CLOSED
    connection = _Connection(post.url)

    async def trace(event: str, info: dict[str, Any]) -> None:
        connection.follow(event, info)

    try:
        async with asyncio.timeout(seconds):
            if is_ours and (fault := await _resolve_host(post.url, connection, seconds)):
                return fault
            async with contextlib.aclosing(await _open_async(client, post, trace, seconds)) as response:
                reader = _reader(response, post.credential)
                if response.is_stream_consumed:
                    reader.feed(response.content)
                else:
                    async for chunk in response.aiter_raw():
                        reader.feed(chunk)
                return _whole_response(response, reader.body(), post.credential)
    except TimeoutError:
        return _late(was_sent=connection.may_be_sent)
    except Exception as error:
        return _failed(error, connection, post.credential)


async def _resolve_host(url: httpx.URL, connection: _Connection, seconds: float) -> Failed | None:
    """Resolve the host name, in a thread of its own, and return why that failed.

    The client resolves it again, in the event loop's pool. That has a few threads for everything: a name server that
    hangs would keep them from the whole program, and attempt after attempt would take another.
    """
    connection.is_traced = True  # nothing is sent before the first event
    try:
        await resolve_async(url.raw_host.decode("ascii"), time.monotonic() + seconds)
    except FetchError as error:
        return Failed(str(error), was_sent=False)
    return None


async def _open_async(
    client: httpx.AsyncClient, post: Post, trace: Callable[..., Coroutine[Any, Any, None]], seconds: float
) -> httpx.Response:
    for _ in range(_TRIES):
        with contextlib.suppress(_Pooled):
            request = post.request(trace, seconds)
            sent = await for_one_request(client).send(request, stream=True, auth=None, follow_redirects=False)
            return restore_location(sent)
    raise _Refused(_ONLY_POOLED)


def _late(*, was_sent: bool) -> Failed:
    return Failed("no complete response in time" if was_sent else "no connection in time", was_sent)


def _failed(error: Exception, connection: _Connection, credential: Credential) -> Failed:
    if isinstance(error, _Refused):
        return Failed(str(error), was_sent=False, can_retry=False)
    if isinstance(error, FetchError):
        return Failed(f"LedgerBee's response cannot be read: {error}", was_sent=True, can_retry=False)
    was_sent = connection.is_sent if connection.is_traced else not isinstance(error, _NOT_SENT)
    if isinstance(error, httpx.TimeoutException):
        return _late(was_sent=was_sent)
    can_retry = isinstance(error, _TRANSIENT) and not _is_untrusted(error)
    return Failed(describe_error(error, credential.redact), was_sent, can_retry)  # it may quote the response


def _is_untrusted(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None
