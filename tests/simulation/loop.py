"""An event loop whose time is virtual and whose order of steps a seed decides.

Nothing waits: when nothing is ready, time jumps to the next timer. Handles belong to the life
that was current when they were made, so that a life can end in the middle of anything.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import sys
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, ContextVar, copy_context
from typing import Any

from mailplaned.ports import StoreFault

LIFE: ContextVar[int] = ContextVar("LIFE", default=0)
"""Which run of the daemon a step belongs to; 0 is the world around it."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs ready handles in a random order; that order depends on the seed alone."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._now = 0.0
        self._queue: list[tuple[int, asyncio.Handle]] = []
        self._timers: list[tuple[float, int, int, asyncio.TimerHandle]] = []
        self._made = 0
        self._living: list[tuple[int, weakref.ref[asyncio.Task[Any]]]] = []
        self._deaf = False
        self._after: tuple[int, Callable[[], None]] | None = None
        self.steps = 0
        self.faults: list[str] = []
        """What nobody caught."""

    def time(self) -> float:
        return self._now

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        context = context or copy_context()
        handle = asyncio.Handle(callback, args, self, context)
        if not self._deaf:
            self._queue.append((context.get(LIFE, 0), handle))
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        self._made += 1
        if not self._deaf:
            heapq.heappush(self._timers, (when, self._made, context.get(LIFE, 0), handle))
        return handle

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any] | Generator[Any, None, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        life = (context or copy_context()).get(LIFE, 0)
        self._living.append((life, weakref.ref(task)))
        if len(self._living) > 1000:
            self._living = [(n, ref) for n, ref in self._living if _unfinished(ref())]
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        fault = context.get("exception")
        if isinstance(fault, StoreFault) and "never retrieved" in context["message"]:
            return  # who waited for it was cancelled in the same moment
        if not self._deaf and "was destroyed" not in context["message"]:
            self.faults.append(f"{context['message']}: {fault!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        del handle  # it is skipped when its time comes

    def after_steps(self, count: int, function: Callable[[], None]) -> None:
        """Call a function between two steps, that many steps from now."""
        self._after = (self.steps + count, function)

    def run_to(self, until: float) -> None:
        """Run until that time, or until nothing more is to come."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(finalizer=lambda generator: None)  # a killed one does not clean up
        asyncio._set_running_loop(self)
        try:
            while self._step(until):
                pass
        finally:
            asyncio._set_running_loop(None)
            sys.set_asyncgen_hooks(*hooks)
        self._now = max(self._now, until)

    def end_life(self, life: int) -> None:
        """Drop all that belongs to a life, as a kill would: nothing of it runs again."""
        dying = [task for owner, ref in self._living if owner == life and (task := ref())]
        self._queue = [entry for entry in self._queue if entry[0] != life]
        self._timers = [entry for entry in self._timers if entry[2] != life]
        heapq.heapify(self._timers)
        self._deaf = True
        try:
            for task in dying:
                if not task.done():
                    _close(task.get_coro())
            del task, dying
        finally:
            self._deaf = False
        self._living = [entry for entry in self._living if entry[0] != life]

    def _step(self, until: float) -> bool:
        while self._timers and self._timers[0][0] <= self._now:
            _, _, life, timer = heapq.heappop(self._timers)
            self._queue.append((life, timer))
        if not self._queue:
            if not self._timers or self._timers[0][0] > until:
                return False
            self._now = self._timers[0][0]
            return True
        at = int(self._rng.random() * len(self._queue))
        self._queue[at], self._queue[-1] = self._queue[-1], self._queue[at]
        _, handle = self._queue.pop()
        if not handle.cancelled():
            handle._run()
            self.steps += 1
            if self._after is not None and self.steps >= self._after[0]:
                function, self._after = self._after[1], None
                function()
        return True


def _unfinished(task: asyncio.Task[Any] | None) -> bool:
    return task is not None and not task.done()


def _close(coro: Any) -> None:
    """End a coroutine, however often it insists on awaiting something first."""
    for _ in range(10):
        try:
            coro.close()
        except RuntimeError:
            continue  # it waited for something on its way out
        except BaseExceptionGroup:
            return  # a task group's way of saying that it was closed
        return
