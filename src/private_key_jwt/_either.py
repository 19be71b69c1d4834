"""What a user gives us, sync or async, called from a coroutine without blocking its event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any


def is_in_process(subject: object) -> bool:
    """Whether an object says that it lives in this process alone, so that a call of it is quick."""
    return getattr(subject, "in_process", False) is True


def awaited(call: Callable[..., Any], *, in_process: bool) -> Callable[..., Awaitable[Any]]:
    """``call`` as a coroutine function. What is not known to be quick runs in a thread; what it returns is awaited."""
    if inspect.iscoroutinefunction(call):
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
    except StopIteration as error:  # a Future cannot hold one, and on CPython 3.11 nobody is told: the wait has no end
        raise RuntimeError("StopIteration") from error
