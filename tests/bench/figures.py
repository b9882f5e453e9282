"""What a measurement returns, how large it is, and the goals it is held against."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is sent, filled and watched."""

    messages: int
    rounds: int
    traced: int
    batches: int
    waiting: int
    mailboxes: int
    charges: int
    growth_messages: int
    decisions: int
    dashboard_s: float
    rest_s: float
    keys: int
    starts: int


FULL = Scale(
    messages=10_000, rounds=3, traced=2_000, batches=24, waiting=1_000_000, mailboxes=10_000,
    charges=3_500_000, growth_messages=5_000, decisions=100_000, dashboard_s=12.0, rest_s=2.0,
    keys=60, starts=15,
)  # fmt: skip
"""What docs/performance.md reports."""

QUICK = Scale(
    messages=60, rounds=1, traced=40, batches=1, waiting=300, mailboxes=100, charges=300,
    growth_messages=60, decisions=500, dashboard_s=0.3, rest_s=0.1, keys=2,
    starts=1,
)  # fmt: skip
"""Says only that everything runs; its figures mean nothing."""


@dataclass(slots=True)
class Report:
    """Figures of the goal table, and the numbers behind them."""

    goals: dict[str, float] = field(default_factory=dict)
    support: dict[str, Any] = field(default_factory=dict)

    def take(self, other: Report, name: str) -> None:
        """Add what another measurement has found."""
        say(f"{name.removeprefix('measure_')} is measured")
        self.goals |= other.goals
        self.support |= other.support


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure's bound: at least, or at most."""

    bound: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        """Whether a figure is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.bound:g}"


GOALS: dict[str, Goal | None] = {
    "end_to_end_vs_postfix": Goal(2.0, at_least=True),
    "end_to_end_vs_postfix_8": Goal(1.5, at_least=True),
    "end_to_end_dkim_vs_postfix": Goal(1.0, at_least=True),
    "cpu_per_message_vs_postfix": Goal(0.4),
    "admission_single_vs_postfix_accept": Goal(3.0, at_least=True),
    "admission_batch_vs_postfix_accept": Goal(10.0, at_least=True),
    "admission_p99_ms": Goal(15.0),
    "fsyncs_per_message": Goal(0.3),
    "postfix_fsyncs_per_message": None,
    "governor_decisions_per_s": Goal(200_000, at_least=True),
    "slowdown_1m_waiting": Goal(1.2),
    "rss_mib_10k_mailboxes_1m_waiting": Goal(150),
    "start_s_1m_waiting": Goal(3.0),
    "dashboard_cpu_10k_4hz": Goal(0.05),
    "dashboard_cpu_10k_4hz_usual": Goal(0.01),
    "dashboard_key_p50_ms": Goal(10),
    "dashboard_rss_mib_over_base": Goal(45),
    "cli_start_ratio": Goal(6),
}
"""Every key of the result in its order; a goal that is None is only stated."""


def middle(values: Sequence[float]) -> float:
    """The median, short enough to read."""
    return short(statistics.median(values))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": middle(values), "min": short(min(values)), "max": short(max(values))}


def short(value: float) -> float:
    """A figure with four digits that say something."""
    return float(f"{value:.4g}")


def say(words: str) -> None:
    """Progress, for whoever waits."""
    print(words, file=sys.stderr, flush=True)
