"""Combine the calls that wait for one engine into batches: one round trip, or one transaction, for all of them.

A call that finds no batch under way runs at once, alone. Calls that come while a batch is under way wait, and the
next batch holds all of them. Nothing is ever delayed in the hope of a larger batch.

- A result that is an exception is raised to the call it belongs to, and to no other.
- What ``run_batch`` raises is raised to every call of that batch: no result is made up.
- A call that is cancelled or waits longer than ``timeout`` leaves; the others of its batch get their results.
- A batch that takes longer than ``timeout`` holds up nobody who comes after that: the next batch runs beside it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from .._fork import renew_after_fork
from .._lock import Lock

__all__ = ["MAX_BATCH", "AsyncCombiner", "Combiner"]

Item = TypeVar("Item")
Result = TypeVar("Result")

MAX_BATCH = 256
"""Calls in one batch at most, unless another bound is given: a power of two."""
_NONE: Any = object()  # no result yet


def _checked(batch: Sequence[object], results: Sequence[Result | Exception]) -> Sequence[Result | Exception]:
    if len(results) != len(batch):
        raise RuntimeError(f"a batch of {len(batch)} calls got {len(results)} results")
    return results


def _busy(seconds: float) -> TimeoutError:
    return TimeoutError(f"others kept the engine busy for {seconds:g} s")


class _Call(Generic[Item, Result]):
    """One call of a thread: its item, its result once there is one, and a lock to wait on."""

    __slots__ = ("_woken", "item", "result", "thread")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.thread = threading.get_ident()
        self.result: Result | Exception = _NONE
        self._woken: threading.Lock | None = None

    def prepare_to_wait(self) -> None:
        self._woken = threading.Lock()
        self._woken.acquire()

    def wait(self, timeout: float) -> bool:
        """Wait to be woken; False when the time is up."""
        return self._woken is None or self._woken.acquire(timeout=timeout)

    def wake(self) -> None:
        if self._woken is not None:
            self._woken.release()


class Combiner(Generic[Item, Result]):
    """Combine the calls of threads. There is no thread of its own: the call whose turn it is runs the batch.

    run_batch: gets 1 to ``max_batch`` items and returns one result for each, in their order. It has to end in time
        by itself.
    timeout: seconds that a call waits for its turn or its result; see the module.

    Thread-safe; works after a fork. An exception that a signal handler raises leaves nothing behind that
    outlives ``timeout``.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Sequence[Result | Exception]],
        *,
        timeout: float,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._run_batch = run_batch
        self._timeout = timeout
        self._max_batch = max_batch
        self.after_fork_in_child()
        renew_after_fork(self)

    def after_fork_in_child(self) -> None:
        """Begin anew: no other thread lives in this child: none holds the lock, waits, or runs a batch."""
        self._lock = Lock()
        self._waiting: deque[_Call[Item, Result]] = deque()
        self._leader: _Call[Item, Result] | None = None
        self._overdue_at = 0.0

    def submit(self, item: Item) -> Result:
        """Return the result of ``item``. Raises TimeoutError, and what ``run_batch`` raises or returns for it."""
        call: _Call[Item, Result] = _Call(item)
        try:
            if not self._take_turn(call) and not call.wait(self._timeout):
                raise _busy(self._timeout)
            if self._leader is call:
                self._lead(call)
        finally:
            # Not a method: a signal handler may raise before its first line, and nobody would run the next batch.
            with self._lock:
                if self._leader is call:
                    self._leader = None
                    if self._waiting:
                        following = self._waiting.popleft()
                        self._appoint(following)
                        following.wake()
                elif call.result is _NONE and call in self._waiting:
                    self._waiting.remove(call)
        if isinstance(call.result, Exception):
            raise call.result
        if call.result is _NONE:  # woken to run a batch, and another call has taken that over
            raise _busy(self._timeout)
        return call.result

    def _take_turn(self, call: _Call[Item, Result]) -> bool:
        """Make ``call`` the one that runs the next batch, or let it wait for one."""
        with self._lock:
            leader = self._leader
            # A leader of this very thread was interrupted, or is now, by a signal handler that calls.
            if leader is None or leader.thread == call.thread or time.monotonic() >= self._overdue_at:
                self._appoint(call)
                return True
            call.prepare_to_wait()
            self._waiting.append(call)
            return False

    def _appoint(self, call: _Call[Item, Result]) -> None:
        self._overdue_at = time.monotonic() + self._timeout
        self._leader = call

    def _lead(self, call: _Call[Item, Result]) -> None:
        """Run one batch, of ``call`` and of those that wait, and wake them with their results."""
        batch = [call]
        try:
            with self._lock:
                while self._waiting and len(batch) < self._max_batch:
                    batch.append(self._waiting.popleft())
            results = _checked(batch, self._run_batch([each.item for each in batch]))
            for each, result in zip(batch, results, strict=True):
                each.result = result
                each.wake()
        except BaseException as error:
            failed = error if isinstance(error, Exception) else RuntimeError("the thread of this batch was interrupted")
            for each in batch[1:]:
                if each.result is _NONE:
                    each.result = failed
                    each.wake()
            raise


class _Queue(Generic[Item, Result]):
    """The calls of one event loop: those that wait, and the batch under way, if there is one.

    One timer is for all calls: it stands at the time of the oldest. (One for each costs as much as the rest of a call.)
    """

    def __init__(self) -> None:
        self.waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._limited: deque[tuple[float, asyncio.Future[Result]]] = deque()  # and until when; the oldest first
        self._is_timed = False  # the timer itself refers to its event loop, which then would live as long as the queue
        self.under_way: object | None = None
        self.overdue_at = 0.0

    def begin(self, timeout: float) -> object:
        """Mark a batch as under way; the mark says later whether another has begun beside it."""
        self.under_way = mark = object()
        self.overdue_at = time.monotonic() + timeout
        return mark

    def limit(self, future: asyncio.Future[Result], timeout: float) -> None:
        """Have a call fail that has no result after ``timeout`` seconds, which are the same for all calls."""
        loop = future.get_loop()
        until = loop.time() + timeout
        self._limited.append((until, future))
        if not self._is_timed:
            self._is_timed = True
            loop.call_at(until, self._end_overdue, loop, timeout)

    def drop_done(self) -> None:
        """Let go of the oldest calls that are done."""
        while self._limited and self._limited[0][1].done():
            self._limited.popleft()

    def _end_overdue(self, loop: asyncio.AbstractEventLoop, timeout: float) -> None:
        now = loop.time()
        self.drop_done()
        while self._limited and self._limited[0][0] <= now:
            self._limited[0][1].set_exception(_busy(timeout))
            self.drop_done()
        self._is_timed = bool(self._limited)
        if self._is_timed:
            loop.call_at(self._limited[0][0], self._end_overdue, loop, timeout)

    def take(self, number: int) -> list[tuple[Item, asyncio.Future[Result]]]:
        """Remove up to ``number`` calls that still wait."""
        taken: list[tuple[Item, asyncio.Future[Result]]] = []
        while self.waiting and len(taken) < number:
            item, future = self.waiting.popleft()
            if not future.done():  # it was cancelled, or its time is up
                taken.append((item, future))
        return taken


class AsyncCombiner(Generic[Item, Result]):
    """Combine the calls of tasks: Combiner for asyncio. Each event loop has batches of its own.

    run_batch: awaited; it gets 1 to ``max_batch`` items and returns one result for each, in their order. It has to
        end in time by itself: a call that is alone has no other limit.
    timeout: seconds that a call waits for its result when others came before; see the module.

    A call that is alone runs in its own task: it costs nothing to be combined when there is nothing to combine.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        timeout: float,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._run_batch = run_batch
        self._timeout = timeout
        self._max_batch = max_batch
        self._queues: WeakKeyDictionary[asyncio.AbstractEventLoop, _Queue[Item, Result]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Result:
        """Return the result of ``item``. Raises TimeoutError, and what ``run_batch`` raises or returns for it."""
        loop = asyncio.get_running_loop()
        queue = self._queues.get(loop) or self._queues.setdefault(loop, _Queue())
        if queue.under_way is None or time.monotonic() >= queue.overdue_at:
            return await self._run_alone(queue, item)
        future: asyncio.Future[Result] = loop.create_future()
        queue.waiting.append((item, future))
        queue.limit(future, self._timeout)
        try:
            return await future
        finally:
            queue.drop_done()

    async def _run_alone(self, queue: _Queue[Item, Result], item: Item) -> Result:
        mark = queue.begin(self._timeout)
        try:
            [result] = _checked([item], await self._run_batch([item]))
        finally:
            if queue.under_way is mark:
                queue.under_way = None
                if queue.waiting:
                    self._start(queue)
        if isinstance(result, Exception):
            raise result
        return result

    def _start(self, queue: _Queue[Item, Result]) -> None:
        """Have a task of its own run the batches of those that wait: it ends when nobody does."""
        task = asyncio.get_running_loop().create_task(self._run_waiting(queue, queue.begin(self._timeout)))
        self._tasks.add(task)  # the event loop itself holds a task by a weak reference only
        task.add_done_callback(self._tasks.discard)

    async def _run_waiting(self, queue: _Queue[Item, Result], mark: object) -> None:
        while queue.under_way is mark:
            batch = queue.take(self._max_batch)
            if not batch:
                queue.under_way = None
                return
            queue.overdue_at = time.monotonic() + self._timeout
            try:
                results = _checked(batch, await self._run_batch([item for item, _ in batch]))
            except asyncio.CancelledError:  # the event loop is being closed
                _fail([*batch, *queue.take(len(queue.waiting))], RuntimeError("the batch was cancelled"))
                queue.under_way = None
                raise
            except Exception as error:
                _fail(batch, error)
            else:
                _deliver(batch, results)
            await asyncio.sleep(0)  # those who got a result may ask again at once: together, and not one by one


def _fail(batch: Sequence[tuple[Item, asyncio.Future[Result]]], error: Exception) -> None:
    _deliver(batch, [error] * len(batch))


def _deliver(batch: Sequence[tuple[Item, asyncio.Future[Result]]], results: Sequence[Result | Exception]) -> None:
    for (_, future), result in zip(batch, results, strict=True):
        if future.done():  # cancelled, or timed out, meanwhile
            continue
        if isinstance(result, Exception):
            future.set_exception(result)
            future.exception()  # a caller that is cancelled just now never asks: that is nothing to log
        else:
            future.set_result(result)
