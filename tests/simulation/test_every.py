"""A kill at every point of a short scenario in turn; and bugs that only such a kill brings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from mailplaned.domain.outcomes import Outcome, RecipientReport, Reply, Report, Stage
from mailplaned.services import recovery
from tests.simulation.every import Kind, Point, every, points
from tests.simulation.scenario import play

SEED = 1
STRIDE = 19
"""Of the steps. It divides neither 8 nor 10, the usual lengths of what comes again and again."""

Note = Callable[[str, object], None]


def test_the_scenario_holds_every_outcome_and_every_end() -> None:
    result, world = play(SEED, lambda world: world.kill_at_commit(0, durable=False))
    assert not result.problems
    assert world.commits > 50
    assert {"kill", "stopped", "edit", "cancel", "suppress", "pause", "refused"} <= set(
        result.counts
    )
    assert set(result.outcomes) == set(Outcome)
    assert set(result.ends) == {
        "accepted", "bounced", "canceled", "expired", "failed", "suppressed",
    }  # fmt: skip


@pytest.mark.parametrize("durable", [False, True], ids=["before", "after"])
def test_every_promise_survives_a_kill_at_each_commit(durable: bool, record_property: Note) -> None:
    stated = [point for point in points(Kind.COMMIT, SEED) if point.durable is durable]
    assert len(stated) > 50
    _try_all(stated, record_property)


@pytest.mark.parametrize("part", range(2))
def test_every_promise_survives_a_kill_between_two_awaits(part: int, record_property: Note) -> None:
    stated = points(Kind.AWAIT, SEED)
    assert len(stated) > 1000
    _try_all(stated[part * STRIDE // 2 :: STRIDE], record_property)


def _try_all(stated: list[Point], note: Note) -> None:
    sends = 0
    for one in every(stated, SEED):
        assert one.killed, f"{one.point} was not reached"
        problems = one.result.problems
        assert not problems, "\n".join([f"killed at {one.point}", *problems[:3], *one.result.tail])
        sends += one.result.handed
    note("simulated sends", sends)


@pytest.mark.parametrize(("kind", "stride"), [(Kind.COMMIT, 5), (Kind.AWAIT, 61)])
def test_an_attempt_that_a_kill_gives_back_is_found_out(
    kind: Kind, stride: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = points(kind, SEED)[::stride]

    def given_back(recipients: Sequence[str], *, why: str) -> Report:
        reply = Reply(code=450, text=why)
        return Report(
            outcome=Outcome.TRANSIENT,
            stage=Stage.DOT,
            reply=reply,
            recipients=tuple(
                RecipientReport(address=address, outcome=Outcome.TRANSIENT, reply=reply)
                for address in recipients
            ),
        )

    monkeypatch.setattr(recovery, "lost", given_back)
    assert any(one.result.problems for one in every(chosen, SEED))
