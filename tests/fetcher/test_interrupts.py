"""Exceptions that signal handlers raise, wherever CPython runs them: nothing leaks, and nobody is blocked."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, ClassVar

import httpx
import pytest

from edges import SyncEdge
from interrupts import SOURCE, Interrupt, interrupted_after, is_instant
from private_key_jwt import AsyncJWKSFetcher, JWKSFetcher, JWKSPolicy, TemporarilyUnavailable
from private_key_jwt.fetcher._slots import fetch_slots
from support import jwk, registered, until

# One may come where Python can only report it: in a weakref's callback, or a finalizer.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:coroutine .* was never awaited:RuntimeWarning"
)

POLICY = JWKSPolicy(fetch_limit=100)


class At:
    """Raises at one of the places in our code at which CPython runs signal handlers: calls and returns are counted.

    A profile function is called there, and nowhere else: not, as a trace function is, between the body of a ``with``
    and its end.
    """

    _raised: ClassVar[list[Interrupt]] = []
    """Each with its traceback, for as long as Python runs.

    CPython 3.11 crashes when it frees the frames of coroutines in which a profile function has raised.
    """

    def __init__(self, place: int) -> None:
        self._left = place

    @property
    def has_raised(self) -> bool:
        return self._left <= 0

    def _profile(self, frame: FrameType, event: str, _argument: object) -> None:
        if is_instant(frame, event) and frame.f_code.co_filename.startswith(SOURCE):
            self._left -= 1
            if self._left == 0:
                self._raised.append(Interrupt())
                raise self._raised[-1]

    @contextlib.contextmanager
    def armed(self) -> Iterator[None]:
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)


def answer(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"keys": [jwk()]})


def test_an_interrupt_at_any_place_of_a_fetch_blocks_nobody_and_leaks_no_slot() -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as users,
        JWKSFetcher(POLICY, http_client=users) as fetcher,
    ):
        for place in range(1, 2_000):
            client = registered(f"https://publisher.example/{place}")
            at = At(place)
            with contextlib.suppress(Interrupt), at.armed():
                fetcher.get_key(client, "RS256", "k1")
            started = time.monotonic()
            assert fetcher.get_key(client, "RS256", "k1").kid == "k1", place
            assert time.monotonic() - started < POLICY.timeout / 2, place
            if not at.has_raised:
                break
        SyncEdge().settle()
        assert place > 50
        assert fetcher._state.fetches() == []
        assert len(fetch_slots) == 0


@pytest.mark.slow
def test_an_interrupt_at_any_place_of_a_coroutine_blocks_nobody_for_longer_than_a_fetch() -> None:
    policy = JWKSPolicy(fetch_limit=100, timeout=0.2)

    async def ask(fetcher: AsyncJWKSFetcher, client: Any, at: At | None) -> str | None:
        with contextlib.nullcontext() if at is None else at.armed():
            return (await fetcher.get_key(client, "RS256", "k1")).kid

    async def run() -> int:
        transport = httpx.MockTransport(answer)
        async with (
            httpx.AsyncClient(transport=transport) as users,
            AsyncJWKSFetcher(policy, http_client=users) as fetcher,
        ):
            for place in range(1, 2_000):
                client = registered(f"https://publisher.example/{place}")
                at = At(place)
                # Whoever waits for a task that is interrupted hears of it; whoever comes then does not.
                with contextlib.suppress(Interrupt, TemporarilyUnavailable):
                    await ask(fetcher, client, at)
                with contextlib.suppress(TemporarilyUnavailable):
                    await ask(fetcher, client, None)
                assert await ask(fetcher, client, None) == "k1", place
                if not at.has_raised:
                    break
            return place

    assert asyncio.run(run()) > 50
    assert len(fetch_slots) == 0


def test_a_storm_of_signals_leaks_no_slot() -> None:
    with (
        httpx.Client(transport=httpx.MockTransport(answer)) as users,
        JWKSFetcher(POLICY, http_client=users) as fetcher,
    ):
        interrupted = 0
        for number in range(600):
            client = registered(f"https://publisher.example/{number}")
            try:
                with interrupted_after((number % 60) * 5e-6):
                    fetcher.get_key(client, "RS256", "k1")
            except (Interrupt, TemporarilyUnavailable):
                # The second: an interrupt in CPython's Condition.wait may become its RuntimeError. It is a refusal.
                interrupted += 1
        assert interrupted > 50
        assert fetcher.get_key(registered("https://publisher.example/last"), "RS256", "k1").kid == "k1"
        until(lambda: len(fetch_slots) == 0, "a slot is left", 2 * POLICY.timeout)
