"""The list of mutants that nothing could tell from the original, each with its reason.

An entry names its mutant by file, function, line and change. It must fit exactly one mutant, so
that the list can hide nothing that comes up later, and none that it names may be noticed.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.mutation.mutants import Mutant

Key = tuple[str, str, str, str]

LIST = Path(__file__).with_name("equivalent.toml")


def listed(path: Path = LIST) -> dict[Key, str]:
    """The reason of each mutant on the list."""
    reasons: dict[Key, str] = {}
    for entry in tomllib.loads(path.read_text())["mutant"]:
        key = (entry["file"], entry["function"], entry["before"], entry["after"])
        assert key not in reasons, f"listed twice: {key}"
        assert entry["why"].strip(), f"no reason: {key}"
        reasons[key] = entry["why"]
    return reasons


def misfits(reasons: Iterable[Key], mutants: Iterable[Mutant]) -> Iterator[str]:
    """What is listed and isn't the name of exactly one mutant of these."""
    mutants = list(mutants)
    files = {mutant.file for mutant in mutants}
    counts = Counter(mutant.key for mutant in mutants)
    for key in reasons:
        if key[0] in files and counts[key] != 1:
            yield f"{counts[key]} mutants are this one of equivalent.toml: {' | '.join(key)}"
