"""Writes the generated part of docs/book.md anew, from the types of the book.

python tools/reference.py
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from mailplaned.book.daemon_schema import DaemonFile
from mailplaned.book.meanings import about, meanings, table_of, tables
from mailplaned.book.schema import Table, WorkspaceFile

PAGE = Path(__file__).resolve().parent.parent / "docs" / "book.md"
MARK = "<!-- From here on `make reference` writes, from the types of the book. -->\n"
FILES: dict[str, type[Table]] = {
    "mailplane.toml": DaemonFile,
    "workspaces/NAME.toml": WorkspaceFile,
}
HEAD = "| key | type | must be | default | means |\n|---|---|---|---|---|"


def page() -> str:
    """The page as it has to be: what a person wrote, and the reference below it."""
    written, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    parts = [part for name, file in FILES.items() for part in _file(name, file)]
    return written + mark + "\n" + "\n\n".join(parts) + "\n"


def _file(name: str, file: type[Table]) -> Iterator[str]:
    yield f"## {name}"
    yield about(file)
    titles = _titles(file)
    for table in tables(file)[1:]:
        yield titles[table]
        yield about(table)
        yield "\n".join([HEAD, *_rows(table)])


def _titles(file: type[Table]) -> dict[type[Table], str]:
    """The heading of each table; under that of a part of others, which these are."""
    names = {}
    titles = {}
    for field in msgspec.structs.fields(file):
        if (table := table_of(field.type)) is not None:
            names[table] = f"`{_bracketed(field)}`"
            titles[table] = f"### {names[table]}"
    for outer in tables(file)[1:]:
        for field in msgspec.structs.fields(outer):
            if (part := table_of(field.type)) is None:
                continue
            key = field.encode_name
            if part in titles:
                titles[part] += f", {names[outer]}"
                continue
            form = "[{ … }]" if get_origin(field.type) is list else "{ … }"
            names[part] = f"{names[outer]} `{key}`"
            titles[part] = f"#### `{key}`\n\n`{key} = {form}` in {names[outer]}"
    return titles


def _bracketed(field: FieldInfo) -> str:
    kind = get_origin(field.type)
    if kind is list:
        return f"[[{field.encode_name}]]"
    return f"[{field.encode_name}.NAME]" if kind is dict else f"[{field.encode_name}]"


def _rows(table: type[Table]) -> Iterator[str]:
    said = meanings(table)
    for field in msgspec.structs.fields(table):
        key = field.encode_name
        cells = (f"`{key}`", _type(field.type), _form(key, field.type), _default(field), said[key])
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(type_: Any, *, many: bool = False) -> str:
    """What kind of TOML value it is."""
    origin, inner = get_origin(type_), [part for part in get_args(type_) if part is not type(None)]
    s = "s" if many else ""
    if origin in (Annotated, Union, types.UnionType):
        return _type(inner[0], many=many)
    if origin is list:
        return f"list{s} of {_type(inner[0], many=True)}"
    if origin is dict:
        return f"table{s} of {_type(inner[1], many=True)}"
    if type_ is bool:
        return "true or false"
    if table_of(type_) is not None:
        return f"table{s}"
    words = {"int": "whole number", "float": "number", "date": "date"}
    return words.get(getattr(type_, "__name__", ""), "text") + s


def _form(key: str, type_: Any) -> str:
    """What a value must be, beyond its type."""
    origin, inner = get_origin(type_), [part for part in get_args(type_) if part is not type(None)]
    if table_of(type_) is not None:
        return f"see [`{key}`](#{key})"
    if origin in (Union, types.UnionType):
        return _form(key, inner[0])
    if origin is list:
        form = _form(key, inner[0])
        return form if get_origin(inner[0]) is list or not form else f"each {form}"
    if origin is dict:
        return f"names: {_form(key, inner[0])}; values: {_form(key, inner[1])}"
    if origin is Annotated:
        return _limits(key, inner[0], next(n for n in inner if isinstance(n, msgspec.Meta)))
    if type_ is date:
        return "such as `2026-11-02`"
    choices: list[object] = []
    if origin is Literal:
        choices = list(inner)
    elif isinstance(type_, type) and issubclass(type_, Enum):
        choices = [member.value for member in type_]
    *most, last = [f'`"{choice}"`' for choice in choices] or [""]
    return f"{', '.join(most)} or {last}" if most else last


def _limits(key: str, type_: Any, meta: msgspec.Meta) -> str:
    if type_ is int:
        return f"{meta.ge:_} to {meta.le:_}"
    parts = [meta.description or "", _form(key, type_)]
    if type_ is str and meta.max_length:
        parts.append(f"{meta.min_length or 0} to {meta.max_length} characters")
    return "; ".join(filter(None, parts))


def _default(field: FieldInfo) -> str:
    if field.required:
        return "required"
    default = field.default
    if field.default_factory is not msgspec.NODEFAULT:
        default = field.default_factory()
    if default in (None, "", [], {}) or isinstance(default, Table):
        return "none"
    return f"`{_toml(default)}`"


def _toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:_}" if isinstance(value, int) else f'"{value}"'


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
