"""Call sync or async code of a user from a coroutine, without blocking its event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ._validation import is_coroutine_function


def is_in_process(subject: object) -> bool:
    """Report whether an object says that it lives in this process alone, so that calling it does not block."""
    return getattr(subject, "in_process", False) is True


def as_coroutine_function(call: Callable[..., Any], *, in_process: bool) -> Callable[..., Awaitable[Any]]:
    """Return a coroutine function that calls ``call``: in a thread, unless it is known not to block."""
    if is_coroutine_function(call):
        return call

    async def at_once(*args: Any) -> Any:
        result = call(*args)
        return await result if hasattr(result, "__await__") else result

    async def in_a_thread(*args: Any) -> Any:
        result = await asyncio.to_thread(_without_stop_iteration, call, *args)
        return await result if hasattr(result, "__await__") else result

    return at_once if in_process else in_a_thread


def _without_stop_iteration(call: Callable[..., Any], *args: Any) -> Any:
    try:
        return call(*args)
    except StopIteration as error:  # asyncio cannot put it on a Future; on CPython 3.11 the await would hang
        raise RuntimeError("StopIteration") from error
