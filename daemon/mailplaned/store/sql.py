"""The SQL of this package, from `.sql` files: named queries and numbered migrations."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

_HERE = files(__package__)


def _named_queries() -> dict[str, str]:
    queries: dict[str, str] = {}
    for file in sorted((_HERE / "queries").iterdir(), key=lambda entry: entry.name):
        for block in file.read_text().split("-- name: ")[1:]:
            name, _, statement = block.partition("\n")
            assert name not in queries, f"{file.name}: two queries named {name}"
            queries[name.strip()] = statement.strip()
    return queries


Q: Final = _named_queries()
"""Query text by name."""


def migrations() -> list[tuple[int, str, str]]:
    """Every migration as (number, name, script), in order."""
    found = (file for file in (_HERE / "migrations").iterdir() if file.name.endswith(".sql"))
    return sorted((int(file.name[:4]), file.name, file.read_text()) for file in found)
