"""Combine the calls that wait for one engine into batches: one round trip, or one transaction, for all of them.

A call that finds no batch under way runs at once, alone. Calls that come while a batch is under way wait, and the
next batch holds all of them. Nothing is ever delayed in the hope of a larger batch.

- An answer that is an exception is raised to the call it belongs to, and to no other.
- What ``run_batch`` raises is raised to every call of that batch: nobody is answered by a guess.
- A call that is cancelled or waits longer than ``timeout`` leaves; the others of its batch are answered all the same.
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

__all__ = ["MAX_BATCH", "AsyncCombiner", "Combiner"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")

MAX_BATCH = 256
"""Calls in one batch at most, unless another bound is given: a power of two."""
_NONE: Any = object()  # no answer yet


def _answers(batch: Sequence[object], answers: Sequence[Answer | Exception]) -> Sequence[Answer | Exception]:
    if len(answers) != len(batch):
        raise RuntimeError(f"a batch of {len(batch)} calls got {len(answers)} answers")
    return answers


def _busy(seconds: float) -> TimeoutError:
    return TimeoutError(f"others kept the engine busy for {seconds:g} s")


class _Call(Generic[Item, Answer]):
    """One call of a thread: what it asks, the answer once there is one, and a lock to wait on."""

    __slots__ = ("_answered", "answer", "item", "thread")

    def __init__(self, item: Item) -> None:
        self.item = item
        self.thread = threading.get_ident()
        self.answer: Answer | Exception = _NONE
        self._answered: threading.Lock | None = None

    def prepare_to_wait(self) -> None:
        self._answered = threading.Lock()
        self._answered.acquire()

    def wait(self, timeout: float) -> bool:
        """Wait to be woken; False when the time is up."""
        return self._answered is None or self._answered.acquire(timeout=timeout)

    def wake(self) -> None:
        if self._answered is not None:
            self._answered.release()


class Combiner(Generic[Item, Answer]):
    """Combine the calls of threads. There is no thread of its own: the call whose turn it is runs the batch.

    run_batch: gets 1 to ``max_batch`` items and returns one answer for each, in their order. It has to end in time
        by itself.
    timeout: seconds that a call waits for its turn or its answer; see the module.

    Thread-safe; works after a fork. An exception that a signal handler raises leaves nothing behind that
    outlives ``timeout``.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Sequence[Answer | Exception]],
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
        """No other thread lives in this child: none holds the lock, waits, or runs a batch."""
        self._lock = threading.Lock()
        self._waiting: deque[_Call[Item, Answer]] = deque()
        self._leader: _Call[Item, Answer] | None = None
        self._overdue_at = 0.0

    def submit(self, item: Item) -> Answer:
        """Return the answer to ``item``. Raises TimeoutError, and what ``run_batch`` raises or returns for it."""
        call: _Call[Item, Answer] = _Call(item)
        try:
            if not self._take_turn(call) and not call.wait(self._timeout):
                raise _busy(self._timeout)
            if self._leader is call:
                self._lead(call)
        finally:
            # Not a method: before the first line of one, a signal handler may raise, and the turn would be lost.
            with self._lock:
                if self._leader is call:
                    self._leader = None
                    if self._waiting:
                        following = self._waiting.popleft()
                        self._appoint(following)
                        following.wake()
                elif call.answer is _NONE and call in self._waiting:
                    self._waiting.remove(call)
        if isinstance(call.answer, Exception):
            raise call.answer
        if call.answer is _NONE:  # woken to lead, and not run before the turn was taken from it
            raise _busy(self._timeout)
        return call.answer

    def _take_turn(self, call: _Call[Item, Answer]) -> bool:
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

    def _appoint(self, call: _Call[Item, Answer]) -> None:
        self._overdue_at = time.monotonic() + self._timeout
        self._leader = call

    def _lead(self, call: _Call[Item, Answer]) -> None:
        """Run one batch, of ``call`` and of those that wait, and wake them with their answers."""
        batch = [call]
        try:
            with self._lock:
                while self._waiting and len(batch) < self._max_batch:
                    batch.append(self._waiting.popleft())
            answers = _answers(batch, self._run_batch([each.item for each in batch]))
            for each, answer in zip(batch, answers, strict=True):
                each.answer = answer
                each.wake()
        except BaseException as error:
            failed = error if isinstance(error, Exception) else RuntimeError("the thread of this batch was interrupted")
            for each in batch[1:]:
                if each.answer is _NONE:
                    each.answer = failed
                    each.wake()
            raise


class _Line(Generic[Item, Answer]):
    """The calls of one event loop: those that wait, and the batch under way, if there is one."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self.under_way: object | None = None
        self.overdue_at = 0.0

    def begin(self, timeout: float) -> object:
        """Mark a batch as under way; the mark says later whether another has begun beside it."""
        self.under_way = mark = object()
        self.overdue_at = time.monotonic() + timeout
        return mark

    def take(self, number: int) -> list[tuple[Item, asyncio.Future[Answer]]]:
        """Remove up to ``number`` calls that still wait."""
        taken: list[tuple[Item, asyncio.Future[Answer]]] = []
        while self.waiting and len(taken) < number:
            item, future = self.waiting.popleft()
            if not future.done():  # it was cancelled, or its time is up
                taken.append((item, future))
        return taken


class AsyncCombiner(Generic[Item, Answer]):
    """Combine the calls of tasks: Combiner for asyncio. Each event loop has batches of its own.

    run_batch: awaited; it gets 1 to ``max_batch`` items and returns one answer for each, in their order. It has to
        end in time by itself: a call that is alone has no other limit.
    timeout: seconds that a call waits for its answer when others came before; see the module.

    A call that is alone runs in its own task: it costs nothing to be combined when there is nothing to combine.
    """

    def __init__(
        self,
        run_batch: Callable[[list[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        timeout: float,
        max_batch: int = MAX_BATCH,
    ) -> None:
        self._run_batch = run_batch
        self._timeout = timeout
        self._max_batch = max_batch
        self._lines: WeakKeyDictionary[asyncio.AbstractEventLoop, _Line[Item, Answer]] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def submit(self, item: Item) -> Answer:
        """Return the answer to ``item``. Raises TimeoutError, and what ``run_batch`` raises or returns for it."""
        loop = asyncio.get_running_loop()
        line = self._lines.get(loop) or self._lines.setdefault(loop, _Line())
        if line.under_way is None or time.monotonic() >= line.overdue_at:
            return await self._run_alone(line, item)
        future: asyncio.Future[Answer] = loop.create_future()
        line.waiting.append((item, future))
        # `asyncio.timeout` costs four times as much.
        timer = loop.call_later(self._timeout, _deliver, [(item, future)], [_busy(self._timeout)])
        try:
            return await future
        finally:
            timer.cancel()

    async def _run_alone(self, line: _Line[Item, Answer], item: Item) -> Answer:
        mark = line.begin(self._timeout)
        try:
            [answer] = _answers([item], await self._run_batch([item]))
        finally:
            if line.under_way is mark:
                line.under_way = None
                if line.waiting:
                    self._start(line)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _start(self, line: _Line[Item, Answer]) -> None:
        """Have a task of its own run the batches of those that wait: it ends when nobody does."""
        task = asyncio.get_running_loop().create_task(self._run_waiting(line, line.begin(self._timeout)))
        self._tasks.add(task)  # the event loop itself holds a task by a weak reference only
        task.add_done_callback(self._tasks.discard)

    async def _run_waiting(self, line: _Line[Item, Answer], mark: object) -> None:
        while line.under_way is mark:
            batch = line.take(self._max_batch)
            if not batch:
                line.under_way = None
                return
            line.overdue_at = time.monotonic() + self._timeout
            try:
                answers = _answers(batch, await self._run_batch([item for item, _ in batch]))
            except asyncio.CancelledError:  # the event loop is being closed
                _fail([*batch, *line.take(len(line.waiting))], RuntimeError("the batch was cancelled"))
                line.under_way = None
                raise
            except Exception as error:
                _fail(batch, error)
            else:
                _deliver(batch, answers)
            await asyncio.sleep(0)  # those who were answered may ask again at once: together, and not one by one


def _fail(batch: Sequence[tuple[Item, asyncio.Future[Answer]]], error: Exception) -> None:
    _deliver(batch, [error] * len(batch))


def _deliver(batch: Sequence[tuple[Item, asyncio.Future[Answer]]], answers: Sequence[Answer | Exception]) -> None:
    for (_, future), answer in zip(batch, answers, strict=True):
        if future.done():  # cancelled, or timed out, meanwhile
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
            future.exception()  # a caller that is cancelled just now never asks: that is nothing to log
        else:
            future.set_result(answer)
