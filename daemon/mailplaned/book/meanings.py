"""What the tables of the book and their keys mean, as the docstrings of the schema say it."""

from __future__ import annotations

import inspect
import re
from typing import Any, get_args

import msgspec

from mailplaned.book.schema import Table

_KEY = re.compile(r"\w+: ")


def tables(file: type[Table]) -> list[type[Table]]:
    """The type of a file and those of all tables in it, each once, a table before its parts."""
    found = [file]
    for field in msgspec.structs.fields(file):
        part = table_of(field.type)
        if part is not None:
            found += [table for table in tables(part) if table not in found]
    return found


def table_of(type_: Any) -> type[Table] | None:
    """The table that a value of this type is, or is a list or a choice of."""
    if isinstance(type_, type) and issubclass(type_, Table):
        return type_
    return next(filter(None, map(table_of, get_args(type_))), None)


def about(table: type[Table]) -> str:
    """What a table is, in one or more paragraphs."""
    return "\n\n".join(part for part in _paragraphs(table) if not _KEY.match(part))


def meanings(table: type[Table]) -> dict[str, str]:
    """What each key of a table means; a key without a meaning of its own has that of its table."""
    said = {
        field.encode_name: about(inner).partition("\n\n")[0]
        for field in msgspec.structs.fields(table)
        if (inner := table_of(field.type))
    }
    for part in _paragraphs(table):
        if _KEY.match(part):
            said |= dict(line.split(": ", 1) for line in part.splitlines())
    return said


def _paragraphs(table: type[Table]) -> list[str]:
    return inspect.cleandoc(table.__doc__ or "").split("\n\n")
