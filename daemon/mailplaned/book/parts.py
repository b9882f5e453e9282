"""The parts that several tables of a workspace share: caps, and names that occur once."""

from __future__ import annotations

from mailplaned.book.places import Key
from mailplaned.book.schema import CapTable
from mailplaned.book.source import Source
from mailplaned.domain.policy import Cap


def caps(source: Source, key: Key, tables: list[CapTable]) -> tuple[Cap, ...]:
    """The caps of one scope; a window that is capped twice is a problem."""
    given = tuple(tables)
    known: tuple[Cap, ...] | None = source.values.get(given)
    if known is not None:
        return known
    found: dict[tuple[str, ...], Cap] = {}
    for index, table in enumerate(tables):
        window = (table.per, table.window, table.counts)
        if window in found:
            wrong = f"a second cap on the same window ({', '.join(window)})"
            source.problem((*key, index), wrong, "keep the smaller one", table.limit)
        found[window] = Cap(
            limit=table.limit, per=table.per, kind=table.window, counts=table.counts
        )
    made = tuple(found.values())
    if len(made) == len(given):
        source.values[given] = made
    return made


def one_each(source: Source, table: str, key: str, names: list[str]) -> None:
    """A problem for every name that an earlier item of the table has already."""
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name.lower() in seen:
            source.problem((table, index, key), "named twice", "remove or rename one", name)
        seen.add(name.lower())
