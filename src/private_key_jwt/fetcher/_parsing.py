"""Read a JWK Set on an event loop, and hold it up for less than a millisecond at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial

from .._core import jwk_set
from .._core.jwk_set import KeySet

__all__ = ["parse_async"]

_AT_ONCE = 1_024
"""Bytes of a document that is read in one go: one or two keys."""

_MAX_STRUCTURE = 1_000
"""Commas and opening brackets of a document that is read on the loop: 64 keys have some 650. What has more is no key
set that anybody publishes, and its JSON alone may take milliseconds."""


async def parse_async(body: bytes, max_keys: int) -> KeySet:
    """Read a document as ``jwk_set.loads_key_set`` does. Raises ValueError.

    A thread would share the interpreter's lock with the loop, which then waits for milliseconds again and again; so
    keys are imported one at a time on the loop, and other tasks run in between.
    """
    if len(body) <= _AT_ONCE:
        return jwk_set.loads_key_set(body, max_keys)
    if sum(map(body.count, (b",", b"[", b"{"))) > _MAX_STRUCTURE:
        return await _call_in_thread(partial(jwk_set.loads_key_set, body, max_keys))
    members = []
    for jwk in jwk_set.read_document(jwk_set.loads_document(body, max_keys), max_keys):
        members.append(jwk_set.read_member(jwk))
        await asyncio.sleep(0)
    return KeySet(members)


async def _call_in_thread(call: Callable[[], KeySet]) -> KeySet:
    """Call in a thread of its own: the event loop's pool has a few threads, which may all wait for somebody else."""
    future: Future[KeySet] = Future()
    future.set_running_or_notify_cancel()  # a waiter that is cancelled ends it for nobody else

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)

    threading.Thread(target=run, name="jwks-parse", daemon=True).start()
    return await asyncio.wrap_future(future)
