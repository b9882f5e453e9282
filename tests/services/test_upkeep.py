"""New slots: each wish for them is served, and a stop does not wait for the last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mailplaned.ports import StoreFault
from mailplaned.services.pauses import Replan
from mailplaned.services.upkeep import Upkeep, expire
from tests.fakes.clock import ManualClock
from tests.fakes.store_kit import ANA


class ScriptedStore:
    """Answers each step of a replan with what the script says next."""

    def __init__(self, script: Callable[[int], Replan]) -> None:
        self._script = script
        self.steps = 0

    async def write(self, change: Any) -> Any:
        if isinstance(change, partial):
            self.steps += 1
            return self._script(self.steps)
        return 0 if change is expire else []


async def test_a_wish_that_comes_during_its_mailboxs_replan_is_served_after_it() -> None:
    def script(step: int) -> Replan:
        if step == 1:
            upkeep.ask([ANA], "the book changed")
        return Replan(done=True)

    store = ScriptedStore(script)
    upkeep = Upkeep(store, ManualClock())  # type: ignore[arg-type]
    upkeep.ask([ANA], "the book changed")
    await upkeep._round()
    assert store.steps == 2


async def test_a_wish_that_the_disk_refused_is_served_later() -> None:
    def script(step: int) -> Replan:
        if step == 1:
            raise StoreFault("no")
        return Replan(done=True)

    store = ScriptedStore(script)
    upkeep = Upkeep(store, ManualClock())  # type: ignore[arg-type]
    upkeep.ask([ANA], "the book changed")
    for _ in range(2):
        try:
            await upkeep._round()
        except StoreFault:
            continue
    assert store.steps == 2


async def test_a_stop_does_not_wait_for_a_long_replan() -> None:
    def script(step: int) -> Replan:
        if step == 3:
            upkeep.stop()
        return Replan(done=step == 1000)

    store = ScriptedStore(script)
    upkeep = Upkeep(store, ManualClock())  # type: ignore[arg-type]
    upkeep.ask([ANA], "the book changed")
    await upkeep._round()
    assert store.steps == 3
