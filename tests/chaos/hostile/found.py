"""What a hostile run has found: how often each kind of harm, and the first examples of it."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

from tests.chaos.verdict import Measured

Input = TypeVar("Input")

CHUNK = 500
"""Inputs under one seed. Hypothesis begins small each time, and remembers all of a chunk."""

_EXAMPLE_CHARS = 600


@dataclass
class Found:
    """Counts whose goal is zero, and beside them how many inputs went which way."""

    kinds: tuple[str, ...]
    """All that is looked for, so that what was not found is said too."""

    harm: Counter[str] = field(default_factory=Counter)
    went: Counter[str] = field(default_factory=Counter)
    tried: int = 0
    examples: list[str] = field(default_factory=list)

    def note(self, kind: str, *about: object) -> None:
        """Count a harm. `about` is what a person needs to see it again."""
        assert kind in self.kinds
        self.harm[kind] += 1
        if self.harm[kind] == 1:
            shown = " ".join(ascii(part)[:_EXAMPLE_CHARS] for part in about)
            self.examples.append(f"{kind}: {shown}")

    @contextmanager
    def surviving(self, about: object) -> Iterator[None]:
        """Count an exception as a crash, and go on."""
        try:
            yield
        except Exception:  # noqa: BLE001 - it is what is counted
            self.note("crashes", about, traceback.format_exc()[-_EXAMPLE_CHARS:])

    def measured(self, *said_more: str) -> Measured:
        """The number, which is all harm together."""
        counts = {kind: self.harm[kind] for kind in self.kinds}
        said = [f"{kind} {count}" for kind, count in counts.items()]
        said += [f"{count:,} {way}" for way, count in sorted(self.went.items())]
        said += said_more
        return Measured(
            number=self.harm.total(),
            cases=self.tried,
            details=", ".join(said) + "".join(f"\n    {text}" for text in self.examples),
            more={kind.replace(" ", "_"): float(count) for kind, count in counts.items()},
        )


def try_each(
    found: Found, cases: int, strategy: SearchStrategy[Input], check: Callable[[Input], None]
) -> None:
    """Let `check` judge so many inputs, the same ones each time."""
    made = 0

    def judge(value: Input) -> None:
        nonlocal made
        made += 1
        with found.surviving(value):
            check(value)

    for number, start in enumerate(range(0, cases, CHUNK)):
        seed(number)(
            settings(
                max_examples=min(CHUNK, cases - start),
                phases=[Phase.generate],
                deadline=None,
                database=None,
                derandomize=False,
                suppress_health_check=list(HealthCheck),
            )(given(strategy)(judge))
        )()
    found.tried += made
