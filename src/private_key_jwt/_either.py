"""What a user gives us, sync or async, called from a coroutine without blocking its event loop."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


def is_in_process(subject: object) -> bool:
    """Whether an object says that it lives in this process alone, so that a call of it is quick."""
    return getattr(subject, "in_process", False) is True


async def call_either(call: Callable[[], Any], *, in_process: bool, is_async: bool = False) -> Any:
    """The result of ``call``. What is not known to be quick runs in a thread, and what it returns is awaited."""
    result = call() if in_process or is_async else await asyncio.to_thread(call)
    return await result if inspect.isawaitable(result) else result
