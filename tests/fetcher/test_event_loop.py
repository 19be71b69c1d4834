"""How long a fetch holds up the event loop, whatever a publisher answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from integrations.timing import rsa_verification
from private_key_jwt import AsyncJWKSFetcher, InvalidClient, JWKSPolicy, TemporarilyUnavailable
from private_key_jwt._core import jwk_set
from private_key_jwt._core.jwk_set import KeySet
from private_key_jwt.fetcher import _parsing
from private_key_jwt.fetcher._parsing import parse_async
from support import jwk, large_jwk, registered

LARGE = {name: value for name, value in large_jwk().items() if name != "kid"}
SMALL = {name: value for name, value in jwk().items() if name != "kid"}

# Of at most 64 KiB, each dear in a way of its own.
DOCUMENTS: dict[str, Any] = {
    "one key": {"keys": [jwk()]},
    "64 keys": {"keys": [SMALL | {"kid": f"k{number}"} for number in range(64)]},
    "40 keys of 8192 bits": {"keys": [LARGE | {"kid": f"k{number}"} for number in range(40)]},
    "64 keys that cannot be used": {"keys": [SMALL | {"kid": f"k{number}", "use": "enc"} for number in range(64)]},
    "brackets": {"keys": [jwk()], "x": [[[]]] * 700},
    "members": {"keys": [jwk()], **{str(number): "a" for number in range(2_000)}},
    "letters": {"keys": [jwk()], "x": ["\u00e9"] * 2_400},
    "a key of members": {"keys": [{str(number): 1 for number in range(2_000)}]},
}


class Watchdog:
    """Measures the turns of an event loop: for how long each kept all others waiting.

    In processor time of the loop's thread, so that a busy machine does not count.
    """

    def __init__(self) -> None:
        self.longest = 0.0
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0)
            self.longest = max(self.longest, time.thread_time() - began)

    async def stop(self) -> float:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.longest


@pytest.mark.usefixtures("untraced")  # which tracing would make twice as long
@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_document_holds_up_the_event_loop_for_a_millisecond(name: str) -> None:
    body = json.dumps(DOCUMENTS[name]).encode()

    def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body)

    async def fetch(fetcher: AsyncJWKSFetcher, number: int) -> float:
        watchdog = Watchdog()
        await asyncio.sleep(0)
        with contextlib.suppress(InvalidClient, TemporarilyUnavailable):
            await fetcher.get_key(registered(f"https://publisher.example/{number}"), "RS256", "k1")
        return await watchdog.stop()

    async def run() -> list[float]:
        transport = httpx.MockTransport(answer)
        async with httpx.AsyncClient(transport=transport) as users:
            policy, events = JWKSPolicy(max_bytes=100_000), list[Any]()
            fetcher = AsyncJWKSFetcher(policy, http_client=users, on_event=events.append)
            return sorted([await fetch(fetcher, number) for number in range(9)])

    unit, turns = rsa_verification(), asyncio.run(run())
    # 1 ms where one takes 25 µs, and as much again: httpx's own part of a request is some of it, and a machine is slow
    # for a while. The median, for it may stop anywhere.
    assert turns[len(turns) // 2] < 80 * unit, (unit, turns)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_means_the_same_on_a_loop(name: str) -> None:
    body = json.dumps(DOCUMENTS[name]).encode()
    found, expected = asyncio.run(parse_async(body, 64)), jwk_set.loads_key_set(body, 64)
    assert found.members == expected.members


@pytest.mark.parametrize(
    "body",
    [b"", b"x" * 2_000, b'{"keys": [' + b" " * 2_000, b'{"keys": {}, "x": "' + b" " * 2_000 + b'"}', b"[" * 70_000],
)
def test_what_is_no_document_is_none_on_a_loop_either(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        asyncio.run(parse_async(body, 64))


def test_too_many_keys_are_refused_on_a_loop_too() -> None:
    body = json.dumps({"keys": [SMALL] * 65}).encode()
    with pytest.raises(ValueError, match="at most 64"):
        asyncio.run(parse_async(body, 64))


def test_a_document_that_is_dear_to_read_is_read_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[int] = []
    in_thread = _parsing._call_in_thread

    async def call(read: Callable[[], KeySet]) -> KeySet:
        called.append(1)
        return await in_thread(read)

    monkeypatch.setattr(_parsing, "_call_in_thread", call)
    for name, in_a_thread in (("one key", 0), ("64 keys", 0), ("brackets", 1), ("members", 1)):
        called.clear()
        asyncio.run(parse_async(json.dumps(DOCUMENTS[name]).encode(), 64))
        assert len(called) == in_a_thread, name
