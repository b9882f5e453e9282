"""The checker checked: each twin of the daemon has one planted bug, and has to be found out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mailplaned.domain import message as message_module
from mailplaned.domain.governor import Governor
from mailplaned.domain.memory import Memory
from mailplaned.domain.message import RecipientState
from mailplaned.domain.policy import Delivery
from mailplaned.services import claiming, settling, upkeep
from tests.simulation.run import run


def _finds(problem: str, seeds: range = range(1, 7)) -> bool:
    """Whether any of some seeds turns red for that reason."""
    return any(problem in text for seed in seeds for text in run(seed, days=1).problems)


def test_a_governor_that_refuses_nothing_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Governor, "refusal", lambda self, demand, now_us: None)
    assert _finds("taken in one")


def test_a_charge_after_the_send_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "mailplaned.store.transaction.SqlTransaction.begin_attempt",
        lambda self, message, account: None,
    )
    assert _finds("without a charge on disk")


def test_an_unknown_that_is_given_back_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = message_module.settle

    def forgetful(report: Any, **rest: Any) -> message_module.Settlement:
        settled = real(report, **rest)
        return replace(settled, charged=False) if settled.unknown else settled

    monkeypatch.setattr(settling, "settle", forgetful)
    assert _finds("taken in one")


def test_an_unknown_that_is_tried_again_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_delivery", lambda tx, message: Delivery.AT_LEAST_ONCE)
    real = message_module.settle

    def stubborn(report: Any, **rest: Any) -> message_module.Settlement:
        rest["delivery"] = Delivery.AT_LEAST_ONCE
        return real(report, **rest)

    monkeypatch.setattr(settling, "settle", stubborn)
    assert _finds("copies of")


def test_a_pause_that_is_not_looked_at_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Memory, "active_pauses", lambda self, mailbox, path=None: [])
    assert _finds("after the pause of")


def test_a_suppression_looked_at_only_at_the_door_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blind(tx: Any, message: Any) -> list[Any]:
        return [
            r._replace(state=RecipientState.SENDING) if r.state is RecipientState.WAITING else r
            for r in tx.recipients(message.id)
        ]

    monkeypatch.setattr(claiming, "_try_unsuppressed", blind)
    assert _finds("after the suppression of")


def test_a_message_left_behind_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mailplaned.core.recover", lambda tx: 0)
    assert _finds("at the end")


def test_a_slot_missed_without_a_word_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claiming, "_tell_late", lambda tx, message: None)
    assert _finds("after its slot, unexplained")


def test_a_daemon_that_dies_by_itself_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(tx: Any) -> int:
        raise LookupError("a service died")

    monkeypatch.setattr(upkeep, "expire", fall)
    assert _finds("the daemon died of LookupError")
