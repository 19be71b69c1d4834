"""Calls are combined into batches, and whatever befalls one of them harms no other."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

import children
from interrupts import interrupt_often
from private_key_jwt.stores import _combiner
from private_key_jwt.stores._combiner import AsyncCombiner, Combiner
from support import until

WAIT = 10  # seconds after which a test has failed; nothing waits for so long


class Engine:
    """Keeps the batches it was given; each waits while ``busy`` is clear. Answers are the items doubled."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.under_way = 0
        self.most_under_way = 0
        self.free = threading.Event()
        self.free.set()
        self.lock = threading.Lock()
        self.failures: dict[int, BaseException] = {}

    def run(self, items: list[int]) -> list[int | Exception]:
        with self.lock:
            self.batches.append(items)
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            assert self.free.wait(WAIT)
            for item in items:
                if item in self.failures:
                    raise self.failures[item]
            return [2 * item if item >= 0 else ValueError(item) for item in items]
        finally:
            with self.lock:
                self.under_way -= 1

    async def run_async(self, items: list[int]) -> list[int | Exception]:
        self.batches.append(items)
        while True:
            await asyncio.sleep(0)
            if self.free.is_set():
                break
        for item in items:
            if item in self.failures:
                raise self.failures[item]
        return [2 * item if item >= 0 else ValueError(item) for item in items]


class Calls:
    """Calls of threads, each with its result or error."""

    def __init__(self, combiner: Combiner[int, int]) -> None:
        self.combiner = combiner
        self.results: dict[int, Any] = {}
        self.threads: dict[int, threading.Thread] = {}

    def start(self, item: int) -> None:
        def call() -> None:
            try:
                self.results[item] = self.combiner.submit(item)
            except BaseException as error:
                self.results[item] = error

        self.threads[item] = threading.Thread(target=call)
        self.threads[item].start()

    def finish(self, *items: int) -> None:
        for item in items or list(self.threads):
            self.threads[item].join(WAIT)
            assert not self.threads[item].is_alive()


@pytest.fixture
def engine() -> Iterator[Engine]:
    engine = Engine()
    yield engine
    engine.free.set()


def busy(engine: Engine, **settings: Any) -> tuple[Combiner[int, int], Calls]:
    """A combiner with a batch of one call, 1, under way until ``engine.free`` is set, and its calls."""
    combiner = Combiner(engine.run, **{"timeout": WAIT, **settings})
    calls = Calls(combiner)
    engine.free.clear()
    calls.start(1)
    until(lambda: engine.batches == [[1]], "it did not begin", WAIT)
    return combiner, calls


def queued(combiner: Combiner[int, int], number: int) -> None:
    until(lambda: len(combiner._waiting) == number, "they do not wait", WAIT)


def test_a_lone_call_runs_at_once_and_alone(engine: Engine) -> None:
    combiner = Combiner(engine.run, timeout=WAIT)
    assert [combiner.submit(item) for item in (1, 2, 3)] == [2, 4, 6]
    assert engine.batches == [[1], [2], [3]]


def test_calls_that_come_while_a_batch_is_under_way_are_the_next(engine: Engine) -> None:
    combiner, calls = busy(engine)
    for item in (2, 3, 4):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert calls.results == {1: 2, 2: 4, 3: 6, 4: 8}
    assert engine.batches == [[1], [2, 3, 4]]
    assert engine.most_under_way == 1


def test_a_batch_holds_no_more_than_it_may(engine: Engine) -> None:
    combiner, calls = busy(engine, max_batch=2)
    for item in range(2, 7):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert engine.batches == [[1], [2, 3], [4, 5], [6]]
    assert calls.results == {item: 2 * item for item in range(1, 7)}


def test_an_error_refuses_the_whole_batch_and_no_other(engine: Engine) -> None:
    combiner = Combiner(engine.run, timeout=WAIT)
    calls = Calls(combiner)
    engine.failures[3] = OSError("down")
    engine.free.clear()
    calls.start(1)
    until(lambda: engine.batches == [[1]], "the batches are others", WAIT)
    for item in (2, 3, 4):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert calls.results[1] == 2
    assert [repr(calls.results[item]) for item in (2, 3, 4)] == ["OSError('down')"] * 3
    assert combiner.submit(5) == 10


def test_an_answer_that_is_an_error_refuses_one_call(engine: Engine) -> None:
    combiner, calls = busy(engine)
    for item in (-2, 3):
        calls.start(item)
        queued(combiner, 1 if item < 0 else 2)
    engine.free.set()
    calls.finish()
    assert (calls.results[1], repr(calls.results[-2]), calls.results[3]) == (2, "ValueError(-2)", 6)


@pytest.mark.parametrize("answers", [[], [1, 2]])
def test_too_few_or_too_many_answers_answer_nobody(answers: list[int]) -> None:
    combiner: Combiner[int, int] = Combiner(lambda _: answers, timeout=WAIT)
    with pytest.raises(RuntimeError, match=f"a batch of 1 calls got {len(answers)} results"):
        combiner.submit(1)


def test_a_call_that_gives_up_takes_nobody_down(engine: Engine) -> None:
    combiner, calls = busy(engine, timeout=0.2)
    calls.start(2)
    calls.finish(2)
    assert isinstance(calls.results[2], TimeoutError)
    assert "others kept the engine busy for 0.2 s" in str(calls.results[2])
    combiner._overdue_at += WAIT  # as if the batch had begun just now
    calls.start(3)
    queued(combiner, 1)
    engine.free.set()
    calls.finish()
    assert (calls.results[1], calls.results[3]) == (2, 6)
    assert engine.batches == [[1], [3]]


def test_a_batch_that_hangs_holds_up_nobody_who_comes_after_its_time(engine: Engine) -> None:
    combiner, calls = busy(engine)
    combiner._overdue_at -= WAIT  # as if the batch had begun so long ago
    calls.start(2)
    until(lambda: engine.batches == [[1], [2]], "2 waits for 1", WAIT)
    engine.free.set()
    calls.finish()
    assert calls.results == {1: 2, 2: 4}
    assert combiner.submit(3) == 6
    assert combiner._leader is None


def test_a_turn_that_nobody_takes_any_more_is_handed_on(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call gives up in the moment in which its turn has come."""
    combiner, calls = busy(engine)
    gave_up = threading.Event()
    original = _combiner._Call.wait

    def wait_and_give_up(self: Any, timeout: float) -> bool:
        answered = original(self, timeout)
        if self.item == 2:
            gave_up.set()
            return False
        return answered

    monkeypatch.setattr(_combiner._Call, "wait", wait_and_give_up)
    for item in (2, 3):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert gave_up.is_set()
    assert isinstance(calls.results[2], TimeoutError)
    assert calls.results[3] == 6
    assert engine.batches == [[1], [3]]


def test_a_turn_that_another_has_taken_is_answered_by_no_guess(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is woken for its turn, and does not run before its time is over and another has come."""
    combiner, calls = busy(engine)
    original = _combiner._Call.wait
    others: list[int] = []

    def wait_and_be_late(self: Any, timeout: float) -> bool:
        answered = original(self, timeout)
        if self.item == 2:
            combiner._overdue_at = 0.0
            others.append(combiner.submit(4))
        return answered

    monkeypatch.setattr(_combiner._Call, "wait", wait_and_be_late)
    calls.start(2)
    queued(combiner, 1)
    engine.free.set()
    calls.finish()
    assert others == [8]
    assert isinstance(calls.results[2], TimeoutError)


def test_an_interrupted_leader_answers_the_others_with_an_error(engine: Engine) -> None:
    combiner = Combiner(engine.run, timeout=WAIT)
    calls = Calls(combiner)
    engine.failures[2] = KeyboardInterrupt()
    engine.free.clear()
    calls.start(1)
    until(lambda: engine.batches == [[1]], "the batches are others", WAIT)
    for item in (2, 3):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert isinstance(calls.results[2], KeyboardInterrupt)
    assert repr(calls.results[3]) == "RuntimeError('the thread of this batch was interrupted')"
    assert combiner.submit(4) == 8


class InterruptedAnswers(list[int]):
    """Answers, of which only some are handed out before a signal handler raises."""

    def __iter__(self) -> Iterator[int]:
        yield from self[:2]
        raise KeyboardInterrupt


def test_a_leader_that_is_interrupted_while_it_answers_takes_no_answer_back(engine: Engine) -> None:
    combiner: Combiner[int, int] = Combiner(
        lambda items: InterruptedAnswers(engine.run(items)) if len(items) > 1 else engine.run(items),  # type: ignore[arg-type]
        timeout=WAIT,
    )
    calls = Calls(combiner)
    engine.free.clear()
    calls.start(1)
    until(lambda: engine.batches == [[1]], "the batches are others", WAIT)
    for item in (2, 3, 4):
        calls.start(item)
        queued(combiner, item - 1)
    engine.free.set()
    calls.finish()
    assert isinstance(calls.results[2], KeyboardInterrupt)
    assert calls.results[3] == 6
    assert repr(calls.results[4]) == "RuntimeError('the thread of this batch was interrupted')"


@pytest.mark.slow
def test_exceptions_out_of_signal_handlers_leave_nothing_behind() -> None:
    """Wherever they come: the main thread calls, and is interrupted thousands of times."""

    combiner: Combiner[int, int] = Combiner(lambda items: [2 * item for item in items], timeout=0.5)
    stop = threading.Event()
    wrong: list[object] = []

    def others(item: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(TimeoutError, RuntimeError):
                answer = combiner.submit(item)
                if answer != 2 * item:
                    wrong.append(answer)

    threads = [threading.Thread(target=others, args=(item,)) for item in range(3)]
    for thread in threads:
        thread.start()

    def call() -> None:
        with contextlib.suppress(TimeoutError):
            combiner.submit(7)

    interrupt_often(call, times=500)
    stop.set()
    for thread in threads:
        thread.join(WAIT)
    assert wrong == []
    combiner._overdue_at -= 0.5  # as if the longest had passed for which anything may be left behind
    assert combiner.submit(8) == 16
    assert not combiner._waiting
    assert combiner._leader is None


def test_a_child_of_a_fork_is_not_held_up_by_a_batch_of_its_parent(engine: Engine) -> None:
    combiner, calls = busy(engine)
    calls.start(2)
    queued(combiner, 1)

    def check() -> bool:
        engine.free.set()
        engine.lock = threading.Lock()
        return combiner.submit(3) == 6 and engine.batches == [[1], [3]]

    assert children.holds(check)
    engine.free.set()
    calls.finish()
    assert calls.results == {1: 2, 2: 4}


# asyncio


async def steps(number: int = 20) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_a_lone_call_of_a_task_runs_at_once_and_alone(engine: Engine) -> None:
    async def run() -> list[int]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
        return [await combiner.submit(item) for item in (1, 2, 3)]

    assert asyncio.run(run()) == [2, 4, 6]
    assert engine.batches == [[1], [2], [3]]


def start(combiner: AsyncCombiner[int, int], *items: int) -> list[asyncio.Task[int]]:
    return [asyncio.create_task(combiner.submit(item)) for item in items]


def test_tasks_that_come_while_a_batch_is_under_way_are_the_next(engine: Engine) -> None:
    async def run() -> list[int]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT, max_batch=3)
        return await asyncio.gather(*start(combiner, *range(1, 6)))

    assert asyncio.run(run()) == [2, 4, 6, 8, 10]
    assert engine.batches == [[1], [2, 3, 4], [5]]


def test_for_tasks_an_error_refuses_the_whole_batch_and_no_other(engine: Engine) -> None:
    engine.failures[3] = OSError("down")

    async def run() -> list[object]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT, max_batch=3)
        return await asyncio.gather(*start(combiner, *range(1, 6)), return_exceptions=True)

    results = asyncio.run(run())
    assert [repr(result) for result in results] == ["2", *["OSError('down')"] * 3, "10"]


def test_for_tasks_an_answer_that_is_an_error_refuses_one_call(engine: Engine) -> None:
    async def run() -> list[object]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
        return await asyncio.gather(*start(combiner, -1, -2, 3), return_exceptions=True)

    assert [repr(result) for result in asyncio.run(run())] == ["ValueError(-1)", "ValueError(-2)", "6"]


@pytest.mark.parametrize("answers", [[], [1, 2, 3]])
def test_for_tasks_too_few_or_too_many_answers_answer_nobody(answers: list[int]) -> None:
    async def run_batch(_items: list[int]) -> Sequence[int]:
        await steps()
        return answers

    async def run() -> list[object]:
        combiner: AsyncCombiner[int, int] = AsyncCombiner(run_batch, timeout=WAIT)
        return await asyncio.gather(*start(combiner, 1, 2, 3), return_exceptions=True)

    assert [type(result) for result in asyncio.run(run())] == [RuntimeError] * 3


@pytest.mark.parametrize("cancelled", [0, 1, 2, 3])
@pytest.mark.parametrize("after", [0, 1, 2, 5])
def test_a_task_that_is_cancelled_takes_nobody_down(engine: Engine, cancelled: int, after: int) -> None:
    """At any moment: while it waits, while its batch is under way, and also the one that came first."""

    async def run() -> list[object]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
        engine.free.clear()
        tasks = start(combiner, 1, 2, 3, 4)
        await steps(after)
        tasks[cancelled].cancel()
        await steps()
        engine.free.set()
        results: list[object] = await asyncio.gather(*tasks, return_exceptions=True)
        assert await combiner.submit(5) == 10
        assert combiner._tasks == set()
        return results

    results = asyncio.run(run())
    assert isinstance(results.pop(cancelled), asyncio.CancelledError)
    assert results == [2 * item for item in (1, 2, 3, 4) if item != cancelled + 1]
    # Whoever left while it waited is not asked for any more.
    assert cancelled == 0 or not any(cancelled + 1 in batch for batch in engine.batches)


def test_a_task_that_is_cancelled_while_its_batch_is_under_way_takes_nobody_down(engine: Engine) -> None:
    async def run() -> list[object]:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
        engine.free.clear()
        tasks = start(combiner, 1, 2, 3, 4)
        await steps()
        engine.free.set()
        await tasks[0]
        engine.free.clear()
        await steps()
        assert engine.batches == [[1], [2, 3, 4]]
        tasks[2].cancel()
        await steps()
        engine.free.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = asyncio.run(run())
    assert isinstance(results.pop(2), asyncio.CancelledError)
    assert results == [2, 4, 8]


def test_a_task_cancelled_when_its_error_has_just_come_logs_nothing(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.failures[2] = OSError("down")

    async def run() -> None:
        combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
        tasks = start(combiner, 1, 2)
        await tasks[0]
        while not tasks[1].done():
            future = tasks[1]._fut_waiter  # type: ignore[attr-defined]
            if isinstance(future, asyncio.Future) and future.done():
                tasks[1].cancel()
            await asyncio.sleep(0)
        with contextlib.suppress(asyncio.CancelledError, OSError):
            await tasks[1]

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(run())
        gc.collect()
    assert caplog.records == []


def test_a_task_that_waits_too_long_takes_nobody_down(engine: Engine) -> None:
    async def run() -> list[object]:
        combiner = AsyncCombiner(engine.run_async, timeout=0.2)
        engine.free.clear()
        first = start(combiner, 1, 2)
        with pytest.raises(TimeoutError):
            await first[1]
        engine.free.set()
        return [await first[0], await combiner.submit(3)]

    assert asyncio.run(run()) == [2, 6]


def test_tasks_that_came_one_after_the_other_wait_for_as_long_each(engine: Engine) -> None:
    async def run() -> list[float]:
        combiner = AsyncCombiner(engine.run_async, timeout=0.2)
        engine.free.clear()

        async def waited(item: int, pause: float) -> float:
            await asyncio.sleep(pause)
            began = time.monotonic()
            with pytest.raises(TimeoutError, match=r"busy for 0\.2 s"):
                await combiner.submit(item)
            return time.monotonic() - began

        first = start(combiner, 1)
        await asyncio.sleep(0)
        waits = await asyncio.wait_for(asyncio.gather(*(waited(2 + n, 0.05 * n) for n in range(3))), WAIT)
        engine.free.set()
        await first[0]
        return waits

    assert all(0.19 <= wait < 2 for wait in asyncio.run(run()))


def test_a_batch_of_tasks_that_hangs_holds_up_nobody_who_comes_after_its_time() -> None:
    hanging = asyncio.Event()

    async def run_batch(items: list[int]) -> list[int]:
        if 2 in items:
            await hanging.wait()
        await steps()
        return [2 * item for item in items]

    async def run() -> list[object]:
        combiner: AsyncCombiner[int, int] = AsyncCombiner(run_batch, timeout=0.2)
        results: list[object] = await asyncio.gather(*start(combiner, 1, 2), return_exceptions=True)
        results += await asyncio.gather(*start(combiner, 3, 4), return_exceptions=True)
        hanging.set()
        await steps()
        results.append(await combiner.submit(5))
        assert combiner._tasks == set()
        return results

    results = asyncio.run(run())
    assert [results[0], *results[2:]] == [2, 6, 8, 10]
    assert isinstance(results[1], TimeoutError)


def test_the_end_of_an_event_loop_leaves_no_task_waiting(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    combiner = AsyncCombiner(engine.run_async, timeout=WAIT, max_batch=2)
    engine.free.clear()

    async def run() -> list[asyncio.Task[int]]:
        tasks = start(combiner, 1, 2, 3, 4, 5)
        await steps()
        engine.free.set()
        await tasks[0]
        engine.free.clear()
        await steps()
        assert engine.batches == [[1], [2, 3]]
        [worker] = combiner._tasks
        worker.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [repr(result) for result in results[1:]] == ["RuntimeError('the batch was cancelled')"] * 4
        return tasks

    with caplog.at_level(logging.ERROR, "asyncio"):
        asyncio.run(run())
    assert caplog.records == []


def test_event_loops_one_after_the_other_and_side_by_side_have_their_own_batches(engine: Engine) -> None:
    combiner = AsyncCombiner(engine.run_async, timeout=WAIT)

    async def run() -> list[int]:
        return await asyncio.gather(*start(combiner, 1, 2, 3))

    async def abandoned() -> None:
        engine.free.clear()
        start(combiner, 1, 2)
        await steps()

    asyncio.run(abandoned())
    engine.free.set()
    results: list[list[int]] = []
    threads = [threading.Thread(target=lambda: results.append(asyncio.run(run()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert results == [[2, 4, 6]] * 4


def test_an_event_loop_that_is_gone_is_not_kept(engine: Engine) -> None:
    combiner = AsyncCombiner(engine.run_async, timeout=WAIT)
    loop = asyncio.new_event_loop()

    async def run() -> None:
        await asyncio.gather(*start(combiner, 1, 2, 3))

    loop.run_until_complete(run())
    loop.close()
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    assert gone() is None


def test_a_lone_call_that_ends_late_leaves_the_batches_after_it_alone() -> None:
    release = asyncio.Event()
    batches: list[list[int]] = []

    async def run_batch(items: list[int]) -> list[int]:
        batches.append(items)
        if items == [1]:
            await release.wait()
        await steps(3)
        return [2 * item for item in items]

    async def run() -> None:
        combiner: AsyncCombiner[int, int] = AsyncCombiner(run_batch, timeout=WAIT)
        [late] = start(combiner, 1)
        await asyncio.sleep(0)
        combiner._queues[asyncio.get_running_loop()].overdue_at -= WAIT  # as if the call had begun so long ago
        beside = start(combiner, 2, 3)
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(late, *beside) == [2, 4, 6]

    asyncio.run(run())
    assert batches == [[1], [2], [3]]
