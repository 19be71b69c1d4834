"""LedgerBee's back channel, sync and async. Both drive the generator that holds the rules."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

import httpx

from .._coroutines import as_coroutine_function
from .._http_client import check_http_client, ssl_context, ssl_context_async
from .._validation import check_number
from ..exceptions import ConfigurationError
from . import _calls
from ._attempts import Attempt, Outcome, perform
from ._calls import Call
from ._errors import PortalSSOError
from ._profile import BASE_URL, check_base_url
from ._send import CLOSED, Credential, Post, send, send_async
from ._values import Handoff, Membership, Provisioned, Role

__all__ = ["AsyncPortalSSO", "PortalSSO"]

Result = TypeVar("Result")

_TIMEOUTS = (0.1, 600)  # seconds
_SECRET = re.compile(r"[!-~]+")  # visible ASCII: it becomes a header field (RFC 9110 §5.5, RFC 6750 §2.1)


class _Settings:
    """Check once what PortalSSO and AsyncPortalSSO are given, and hold it. Raises ConfigurationError."""

    def __init__(self, api_key: object, access_token: object, base_url: str, timeout: float) -> None:
        if (api_key is None) == (access_token is None):
            raise ConfigurationError("exactly one of api_key and access_token must be given")
        self.credential: Credential | Callable[[], Any]
        if access_token is None:
            self.credential = _credential("api_key", api_key)
        else:
            self.credential = access_token if callable(access_token) else _credential("access_token", access_token)
        self.base_url = check_base_url(base_url)
        check_number("timeout", timeout, _TIMEOUTS[0], _TIMEOUTS[1])
        self.timeout = timeout

    def post(self, call: Call[Any], credential: Credential) -> Post:
        """Return what to send for a call."""
        return Post(httpx.URL(self.base_url + call.path), credential, call.body)


def _credential(name: str, value: object) -> Credential:
    if not isinstance(value, str) or not _SECRET.fullmatch(value):
        # It is not quoted: with a line break at its end it is still the key.
        raise ConfigurationError(f"{name} must be a non-empty string of visible ASCII, without spaces and line breaks")
    return Credential("x-api-key", value) if name == "api_key" else Credential("authorization", f"Bearer {value}")


def _bearer(token: object) -> Credential:
    try:
        return _credential("access_token", token)
    except ConfigurationError as error:
        detail = f"what the function gives as {error}"
    raise PortalSSOError(detail, may_have_happened=False)


def _no_token(error: Exception) -> PortalSSOError:
    # Its text is left to its own traceback: it may quote what the token endpoint was sent.
    return PortalSSOError(f"the function access_token raised {type(error).__name__}", may_have_happened=False)


class PortalSSO:
    """LedgerBee's back channel: mint a handoff, provision a customer, revoke sessions.

        with PortalSSO(api_key=key) as portal:
            handoff = portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])
            url = handoff.redeem_url("acme.portal-api.ledgerbee.com")  # redirect the browser there, within 60 seconds

    api_key, access_token: exactly one. ``access_token`` is an OAuth 2.0 bearer token, or a function that gives
        one, called at each call. The key also decides which tenant it is about.
    base_url: the root of LedgerBee's API: https, and http for a loopback host only (the look-alike).
    http_client: an ``httpx.Client`` of yours, for its proxy or certificates, without ``http2``. It stays open. Its
        cookies, headers, auth, event hooks, redirects and timeouts are not used. The key is never sent through one
        that does not verify certificates.
    timeout: seconds for a whole call, retries included, from 0.1 to 600. A function that gives the token counts, but
        cannot be ended: a call may take as long as that function does.

    A call is sent again, while that fits into ``timeout``, when there was no connection or no whole response, and
    after 429 and 5xx. In between it waits, at least for as long as ``Retry-After`` says. Threads may share one
    PortalSSO.

    Raises ConfigurationError. Each call raises PortalSSOError, or ValueError for an argument that LedgerBee's page
    forbids: nothing was sent then.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        access_token: str | Callable[[], str] | None = None,
        base_url: str = BASE_URL,
        http_client: httpx.Client | None = None,
        timeout: float = 10,
    ) -> None:
        self._settings = _Settings(api_key, access_token, base_url, timeout)
        check_http_client(http_client, httpx.Client)
        self._is_own = http_client is None
        self._is_closed = False
        self._client = httpx.Client(verify=ssl_context(), trust_env=False) if http_client is None else http_client

    def mint_handoff(
        self, *, sub: str, email: str, memberships: Iterable[Membership], name: str | None = None
    ) -> Handoff:
        """Mint the reference with which a user's browser gets a portal session, within 60 seconds and once.

        sub: your stable identifier of the user, the one that ``revoke_sessions`` takes later.
        email: links a first login to an invited portal user.
        memberships: at least one: the customers of your tenant that the user may act for.
        name: the display name at a first login.

        User, organization and memberships are made when the reference is redeemed; no ``provision`` is needed
        before. It is sent again once at most, since a browser waits: a reference that nobody saw expires by itself.
        """
        return self._perform(_calls.mint_handoff(sub=sub, email=email, memberships=memberships, name=name))

    def provision(
        self,
        *,
        email: str,
        customer_id: str | None = None,
        customer: Mapping[str, Any] | None = None,
        role: Role = Role.USER,
        user_name: str | None = None,
        organization_display_name: str | None = None,
        mint_handoff: bool = False,
        sub: str | None = None,
        mint_checkout_bind_token: bool = False,
        client_reference_id: str | None = None,
    ) -> Provisioned:
        """Make sure that a customer exists, with a portal organization and, in it, a user's active membership.

        email: the portal user's; one is made when there is none. No invitation is sent.
        customer_id, customer: exactly one. By id the customer must exist, or the PortalSSOError has the code
            ``CUSTOMER_NOT_FOUND``. The mapping is passed on as it is, in the shape of LedgerBee's POST /customers,
            and upserted by its ``customerNumber``; ``vatZone`` and ``countryCode`` are required, too.
        role: the first member of an organization becomes OWNER regardless; see ``Provisioned.role``.
        user_name, organization_display_name: used when they are first made.
        mint_handoff: mint a handoff reference, too; it needs ``sub``, your identifier of the user, and handoff
            enabled for your tenant.
        mint_checkout_bind_token: mint a reference that binds an embedded checkout to the customer, too.
        client_reference_id: your own order, at most 200 of A-Z a-z 0-9 _ and -; LedgerBee gives it back as
            ``partnerReferenceId``.

        It is an upsert, and sent again as often as fits. After a retry ``customer_created`` proves nothing.
        """
        return self._perform(
            _calls.provision(
                email=email,
                customer_id=customer_id,
                customer=customer,
                role=role,
                user_name=user_name,
                organization_display_name=organization_display_name,
                mint_handoff=mint_handoff,
                sub=sub,
                mint_checkout_bind_token=mint_checkout_bind_token,
                client_reference_id=client_reference_id,
            )
        )

    def revoke_sessions(self, *, sub: str) -> int:
        """End every active portal session of a user at once, and return how many memberships had one.

        sub: the one used at mint.

        Deprovision the user at your OpenID Provider first: that is what prevents a new login. It is sent again
        as often as fits. After a retry the number proves nothing: the first attempt may have ended the sessions,
        and the second then found none.
        """
        return self._perform(_calls.revoke_sessions(sub=sub))

    def close(self) -> None:
        """Make no more calls: each raises PortalSSOError from now on. A client of yours stays open."""
        self._is_closed = True
        if self._is_own:
            self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _perform(self, call: Call[Result]) -> Result:
        flow = perform(call, self._settings.timeout, time.monotonic, random.random)
        post = self._settings.post(call, self._prepare(next(flow).seconds))
        try:
            step = next(flow)
            while True:
                if isinstance(step, Attempt):
                    step = flow.send(self._send(post, step.seconds))
                else:
                    time.sleep(step.seconds)
                    step = next(flow)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _send(self, post: Post, seconds: float) -> Outcome:
        return CLOSED if self._is_closed else send(self._client, post, seconds)

    def _prepare(self, _seconds: float) -> Credential:
        credential = self._settings.credential
        if isinstance(credential, Credential):
            return credential
        try:
            token = credential()
        except Exception as error:
            raise _no_token(error) from error
        return _bearer(token)


class AsyncPortalSSO:
    """LedgerBee's back channel, awaited: see ``PortalSSO``.

        async with AsyncPortalSSO(api_key=key) as portal:
            handoff = await portal.mint_handoff(sub="u-1", email="jane@example.com", memberships=[jane])
            url = handoff.redeem_url("acme.portal-api.ledgerbee.com")  # redirect the browser there, within 60 seconds

    Its arguments are those of ``PortalSSO``, with an ``httpx.AsyncClient``; a function that gives the
    ``access_token`` may be a coroutine function, and is ended when ``timeout`` is over. It may be shared by tasks.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        access_token: str | Callable[[], str | Awaitable[str]] | None = None,
        base_url: str = BASE_URL,
        http_client: httpx.AsyncClient | None = None,
        timeout: float = 10,
    ) -> None:
        self._settings = _Settings(api_key, access_token, base_url, timeout)
        check_http_client(http_client, httpx.AsyncClient)
        self._is_own = http_client is None
        self._is_closed = False
        self._client = http_client

    async def mint_handoff(
        self, *, sub: str, email: str, memberships: Iterable[Membership], name: str | None = None
    ) -> Handoff:
        """Mint the reference with which a user's browser gets a portal session: see ``PortalSSO.mint_handoff``."""
        return await self._perform(_calls.mint_handoff(sub=sub, email=email, memberships=memberships, name=name))

    async def provision(
        self,
        *,
        email: str,
        customer_id: str | None = None,
        customer: Mapping[str, Any] | None = None,
        role: Role = Role.USER,
        user_name: str | None = None,
        organization_display_name: str | None = None,
        mint_handoff: bool = False,
        sub: str | None = None,
        mint_checkout_bind_token: bool = False,
        client_reference_id: str | None = None,
    ) -> Provisioned:
        """Make sure that customer, organization and membership exist: see ``PortalSSO.provision``."""
        return await self._perform(
            _calls.provision(
                email=email,
                customer_id=customer_id,
                customer=customer,
                role=role,
                user_name=user_name,
                organization_display_name=organization_display_name,
                mint_handoff=mint_handoff,
                sub=sub,
                mint_checkout_bind_token=mint_checkout_bind_token,
                client_reference_id=client_reference_id,
            )
        )

    async def revoke_sessions(self, *, sub: str) -> int:
        """End every active portal session of a user at once: see ``PortalSSO.revoke_sessions``."""
        return await self._perform(_calls.revoke_sessions(sub=sub))

    async def aclose(self) -> None:
        """Make no more calls: each raises PortalSSOError from now on. A client of yours stays open."""
        self._is_closed = True
        if self._is_own and self._client is not None:
            await self._client.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.aclose()

    async def _perform(self, call: Call[Result]) -> Result:
        flow = perform(call, self._settings.timeout, time.monotonic, random.random)
        post = self._settings.post(call, await self._prepare(next(flow).seconds))
        try:
            step = next(flow)
            while True:
                if isinstance(step, Attempt):
                    step = flow.send(await self._send(post, step.seconds))
                else:
                    await asyncio.sleep(step.seconds)
                    step = next(flow)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _send(self, post: Post, seconds: float) -> Outcome:
        if self._is_closed:
            return CLOSED
        if self._client is None:  # and nothing is awaited before it is set: tasks that come together make one
            self._client = httpx.AsyncClient(verify=ssl_context(), trust_env=False)
        return await send_async(self._client, post, seconds, is_ours=self._is_own)

    async def _prepare(self, seconds: float) -> Credential:
        if self._is_own:
            # Not where it is made, which may be on an event loop: the certificates take tens of milliseconds to load.
            await ssl_context_async()
        credential = self._settings.credential
        if isinstance(credential, Credential):
            return credential
        try:
            async with asyncio.timeout(seconds):
                token = await as_coroutine_function(credential, in_process=False)()
        except Exception as error:
            raise _no_token(error) from error
        return _bearer(token)
