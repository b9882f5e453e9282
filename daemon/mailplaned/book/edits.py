"""Edits of one file of the book by machine: what is not edited stays as it is, byte for byte.

Only the lines that an edit means are written anew; tomlkit alone would take 8 s to read ten
thousand mailboxes. How the text was cut is not trusted: what comes out is parsed, and where that
is anything but the old tree with the same edits, nothing changes and a person has to edit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from math import isfinite
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from mailplane_wire.book import BookEdit
from mailplaned.book.items import Item, cut, folded, name_of, statement, written_key
from mailplaned.book.source import nearest, parse, shown

_ORDER: Final = ("workspace", "account", "domain", "mailbox", "path", "workload")
"""The tables as the example has them; the first item of one goes behind those before it."""

_USER: Final = frozenset({"unix_user", "uid"})

_ANOTHER_WAY: Final = "its table is written in another way"
_BY_HAND: Final = "edit the file by hand"


class EditRefused(Exception):
    """An edit that can't be made; its words are for the person who asked for it."""


def edited(name: str, text: str, edits: Sequence[BookEdit]) -> str:
    """The text of the file `name` of the book after `edits`; no text stands for no file.

    A person may stand several times in `member`, each time for other workspaces. `workspaces` of
    the values says which entry is meant (null or empty: the one for the whole daemon), and may be
    left out where the name stands once; so no edit changes what an entry is for. Where there is
    none, `set` makes it, for the Unix user that the person is elsewhere if none is given.

    Raises EditRefused. Whether the result is a book is not judged here.
    """
    unsafe = f"{name}: file: can't be changed safely by machine; {_BY_HAND}"
    try:
        file = _File(name, text)
        for edit in edits:
            file.apply(edit)
        new = file.text()
        if not _same(_tree(name, new), file.tree):
            raise EditRefused(unsafe)
    except (RecursionError, TOMLKitError) as fault:
        raise EditRefused(unsafe) from fault
    return new


class _File:
    """A file while it is edited: its items in order, and the tree that they have to give."""

    def __init__(self, name: str, text: str) -> None:
        self.tree = _tree(name, text)
        self._name = name
        self._items = cut(text, self.tree)
        self._newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"

    def text(self) -> str:
        return "".join(line for item in self._items for line in item.lines)

    def apply(self, edit: BookEdit) -> None:
        values = {key: self._plain(edit, key, value) for key, value in edit.values.items()}
        if edit.op == "add":
            self._add(edit, values)
            return
        found = self._meant(edit, values)
        if edit.op == "remove":
            self._remove(self._the(edit, found))
        elif edit.table == "member" and not found:
            self._add(edit, values if _USER & values.keys() else self._user(edit) | values)
        else:
            self._set(edit, self._the(edit, found), values)

    def _meant(self, edit: BookEdit, values: dict[str, Any]) -> list[Item]:
        """The items that an edit may mean: one, unless a person stands several times."""
        name = folded(edit.table, edit.name)
        found = [item for item in self._items if (item.table, item.name) == (edit.table, name)]
        if edit.table == "member" and "workspaces" in values:
            return [item for item in found if _for(item.value) == _for(values)]
        return found

    def _the(self, edit: BookEdit, found: list[Item]) -> Item:
        """The one item found. Raises EditRefused where there is none or more."""
        if len(found) == 1:
            return found[0]
        named = self._meant(edit, {})
        if edit.table == "member" and named:
            wrong = "stands several times" if found else "has no entry for just these workspaces"
            entries = "; ".join(", ".join(sorted(_for(item.value))) or "all" for item in named)
            raise self._refused(edit, wrong, f"its entries are for: {entries}")
        name = folded(edit.table, edit.name)
        known = [known for known, _ in self._named(edit.table) if known]
        if name in known:
            raise self._refused(edit, _ANOTHER_WAY, _BY_HAND)
        raise self._refused(edit, "is not in this file", nearest(name, known))

    def _named(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """Every item of a table with its name, however it is written."""
        of_table = self.tree.get(table, [])
        if isinstance(of_table, dict):
            named = of_table.items() if table == "workload" else [("", of_table)]
        else:
            named = [("", value) for value in of_table]
        for name, value in named:
            if isinstance(value, dict):
                yield name or name_of(table, value), value

    def _user(self, edit: BookEdit) -> dict[str, Any]:
        """Which Unix user a person is, by the other entries of that name."""
        known = [item.value for item in self._meant(edit, {})]
        return {key: value for key, value in known[0].items() if key in _USER} if known else {}

    def _add(self, edit: BookEdit, values: dict[str, Any]) -> None:
        table, name = edit.table, folded(edit.table, edit.name)
        items = [item for item in self._items if item.table == table]
        if self._meant(edit, {"workspaces": None} | values) or (table == "workspace" and self.tree):
            raise self._refused(edit, "is there already", "set its values, or use another name")
        if table == "workspace" and self._name != f"workspaces/{name}.toml":
            raise self._refused(edit, "is not the name of its new file", "give both the same")
        value = {key: value for key, value in values.items() if value is not None}
        if table != "workload":
            key = "address" if table == "mailbox" else "name"
            if values.get(key, edit.name) != edit.name:
                raise self._refused(edit, f"its {key} would be {shown(values[key])}", "give it one")
            value = {key: edit.name} | value
        empty: dict[str, Any] | list[Any] = {} if table in ("workspace", "workload") else []
        of_table = self.tree.setdefault(table, empty)
        if type(of_table) is not type(empty) or len(of_table) != len(items):
            raise self._refused(edit, _ANOTHER_WAY, _BY_HAND)
        if table == "workspace":
            self.tree[table] = value
        elif isinstance(of_table, dict):
            of_table[edit.name] = value
        else:
            of_table.append(value)
        heads = {"workspace": "[workspace]", "workload": f"[workload.{written_key(edit.name)}]"}
        lines = [heads.get(table, f"[[{table}]]") + self._newline]
        lines += [statement(key, value, self._newline) for key, value in value.items()]
        self._insert(Item(table, name, value, lines))

    def _insert(self, new: Item) -> None:
        """Put an item behind the last one of its table, or of the tables that come before it."""
        before = _ORDER[: _ORDER.index(new.table) + 1] if new.table in _ORDER else (new.table,)
        places = [place for place, item in enumerate(self._items) if item.table in before]
        last = len(self._items) - 1
        place = places[-1] if places else last
        above = self._items[place]
        end = above.end(last=place == last)
        if place == last and above.table != new.table:
            end = len(above.lines)  # comments at the end of the file may be about what is new
        new.lines += above.lines[end:]
        del above.lines[end:]
        if end:
            self._close(above, end)
            above.lines += [self._newline] if above.lines[-1].strip() else []
        self._items.insert(place + 1, new)

    def _set(self, edit: BookEdit, item: Item, values: dict[str, Any]) -> None:
        for key, value in values.items():
            if item.table == "member" and key == "workspaces":
                continue
            if value is None:
                item.value.pop(key, None)
                for place in reversed([place for place, known in item.written() if known == key]):
                    del item.lines[place]
            elif key not in item.value or not _same(item.value[key], value):
                self._put(edit, item, key, value)
                item.value[key] = value
        item.name = name_of(item.table, item.value) or item.name

    def _put(self, edit: BookEdit, item: Item, key: str, value: Any) -> None:
        """Write a key with its value: where it stands, the comment behind it kept, or below all."""
        keys = list(item.written())
        places = [place for place, known in keys if known == key]
        written = statement(key, value, self._newline)
        if key not in item.value:
            last = keys[-1][0] if keys else 0
            self._close(item, last + 1)
            above = item.lines[last]
            indent = above[: len(above) - len(above.lstrip(" \t"))]
            item.lines.insert(last + 1, indent + written)
            return
        if len(places) == 1:
            line = tomlkit.parse(item.lines[places[0]])
            if not isinstance(line[key], Table):  # as that of a dotted key is
                line[key] = tomlkit.parse(written)[key]
                item.lines[places[0]] = tomlkit.dumps(line)
                return
        raise self._refused(edit, f"its {shown(key)} is written in another way", _BY_HAND)

    def _remove(self, item: Item) -> None:
        """Take out an item with what belongs to it and the blank line above it."""
        if item.table == "workspace":
            self.tree.clear()
            self._items = [Item()]
            return
        of_table = self.tree[item.table]
        if isinstance(of_table, dict):
            del of_table[item.name]
        else:
            of_table[:] = [value for value in of_table if value is not item.value]
        if not of_table:
            del self.tree[item.table]
        place = next(place for place, known in enumerate(self._items) if known is item)
        above = self._items[place - 1].lines
        below = item.lines[item.end(last=item is self._items[-1]) :]
        if above and not above[-1].strip():
            del above[-1]
        elif not above and below and not below[0].strip():
            del below[0]
        above += below
        del self._items[place]

    def _close(self, item: Item, end: int) -> None:
        """See that the line above `end` has an end, as the last one of a file may not."""
        if not item.lines[end - 1].endswith("\n"):
            item.lines[end - 1] += self._newline

    def _plain(self, edit: BookEdit, key: str, value: Any, *, inside: bool = False) -> Any:
        """A value of the wire as TOML has it; JSON has no days, so that of a ramp comes as text."""
        match value:
            case None if not inside:
                return None
            case dict():
                return {k: self._plain(edit, k, part, inside=True) for k, part in value.items()}
            case list():
                return [self._plain(edit, key, part, inside=True) for part in value]
            case str():
                return _day(value) if key == "from" else value
            case bool():
                return value
            case int() if -(2**63) <= value < 2**63:
                return value
            case float() if isfinite(value):
                return value
        said = "null" if value is None else shown(value)
        raise self._refused(edit, f"its {shown(key)} would be {said}", "TOML can't say that")

    def _refused(self, edit: BookEdit, wrong: str, advice: str) -> EditRefused:
        return EditRefused(f"{self._name}: {edit.table} {shown(edit.name)}: {wrong}; {advice}")


def _tree(name: str, text: str) -> dict[str, Any]:
    try:
        source = parse(name, text.encode())
    except UnicodeEncodeError:
        raise EditRefused(f"{name}: file: half a character; correct the text") from None
    if isinstance(source, str):
        raise EditRefused(source)
    return source.raw


def _day(text: str) -> str | date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return text


def _for(member: dict[str, Any]) -> frozenset[str]:
    """The workspaces that an entry of a person is for; none: the whole daemon."""
    names = member.get("workspaces")
    return frozenset(map(str, names)) if isinstance(names, list) else frozenset()


def _same(one: Any, other: Any) -> bool:
    """Whether two parts of trees are the same, their types included; order of keys is none."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_same(*pair) for pair in pairs)
    return type(one) is type(other) and repr(one) == repr(other)
