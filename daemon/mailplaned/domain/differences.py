"""What differs between two books, key by key, and in an operator's words.

A book comes in as what TOML makes of its files. A difference is what the files say, not what it
does: a key that is written down with its default differs from one that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any, Final
from urllib.parse import urlsplit

_VALUE_CHARACTERS: Final = 2_000
"""A longer value is not kept whole: the audit log is no second place for the book."""

_SAID_CHARACTERS: Final = 200

_URL: Final = re.compile(r"https?://\S*", re.IGNORECASE)
"""Its path may be as secret as a password, as that of many a webhook is."""

_NAMES: Final = ("address", "name")
"""What a table is known by, in this order."""

Tree = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One value of one file. `item` is the name of its table where there are several of a kind.

    `rest` is the key below the table; when it is empty the table itself came or went. A value that
    is not there is None.
    """

    file: str
    workspace: str | None
    table: str
    item: str | None
    rest: str
    old: Any
    new: Any

    @property
    def key(self) -> str:
        """As problems say it: `mailbox[ana@acme.example].caps`, `workload.cold.paths`."""
        name = self.table
        if self.item is not None:
            name += f".{self.item}" if self.table == "workload" else f"[{self.item}]"
        return f"{name}.{self.rest}" if self.rest else name

    @property
    def action(self) -> str:
        """As the audit log has it: `mailbox added`, `path changed`."""
        return f"{self.table} {self._done}"

    @property
    def target(self) -> str:
        """What it was done to."""
        return self.item or (self.workspace if self.table == "workspace" else None) or self.table

    @property
    def text(self) -> str:
        """In one line, for a person."""
        name = self.table if self.item is None else f"{self.table} {self.item}"
        return f"{name}{'' if self._done == 'changed' else f' {self._done}'}: {self.change}"

    @property
    def change(self) -> str:
        """The same without the name of what has changed."""
        if self._done != "changed":
            return said(self.old if self.new is None else self.new)
        values = f"{said(self.old)} → {said(self.new)}"
        return f"{self.rest}: {values}" if self.rest else values

    @property
    def _done(self) -> str:
        if self.rest or (self.old is not None and self.new is not None):
            return "changed"
        return "added" if self.old is None else "removed"


def differences(file: str, old: Tree, new: Tree) -> Iterator[Difference]:
    """What differs between two states of one file; a file that is not there is an empty tree."""
    workspace = _workspace(new) or _workspace(old)
    for table in _union(old, new):
        for item, before, after in _items(table, old.get(table), new.get(table)):
            for rest, one, other in _values("", before, after):
                yield Difference(
                    file=file,
                    workspace=workspace,
                    table=table,
                    item=item,
                    rest=rest,
                    old=_plain(one),
                    new=_plain(other),
                )


def said(value: Any) -> str:
    """A value of the book in words, at most a line."""
    text = _said(value)
    return text if len(text) <= _SAID_CHARACTERS else f"{text[: _SAID_CHARACTERS - 1]}…"


def _said(value: Any) -> str:
    match value:
        case None:
            return "not set"
        case bool():
            return "true" if value else "false"
        case {"limit": limit, "per": per, **rest}:
            more = [_said(rest[name]) for name in ("window", "counts") if name in rest]
            more += [f"override: {rest['override']}"] if "override" in rest else []
            return f"{limit} per {per}{' (' + ', '.join(more) + ')' if more else ''}"
        case Mapping():
            return ", ".join(f"{name} {_inner(found)}" for name, found in value.items()) or "empty"
        case list():
            return ", ".join(_inner(found) for found in value) or "none"
    return str(value)


def _inner(value: Any) -> str:
    grouped = isinstance(value, list) or (isinstance(value, Mapping) and "limit" not in value)
    return f"({_said(value)})" if grouped else _said(value)


def _workspace(tree: Tree) -> str | None:
    table = tree.get("workspace")
    name = table.get("name") if isinstance(table, Mapping) else None
    return name if isinstance(name, str) else None


def _items(table: str, old: Any, new: Any) -> Iterator[tuple[str | None, Any, Any]]:
    """The parts of a table that have names of their own: name, old and new value."""
    before, after = _named(table, old), _named(table, new)
    if before is None or after is None:
        yield None, old, new
        return
    for name in _union(before, after):
        yield name, before.get(name), after.get(name)


def _named(table: str, value: Any) -> Tree | None:
    """The items of a table by name; None when they have none, or not one each.

    A person can have several.
    """
    if value is None:
        return {}
    if table == "workload":
        return value if isinstance(value, Mapping) else None
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        return None
    found: dict[str, Any] = {}
    for item in value:
        name = next((item[key] for key in _NAMES if isinstance(item.get(key), str)), None)
        if name is None:
            return None
        if table == "member" and item.get("workspaces"):
            name += f" in {', '.join(map(str, item['workspaces']))}"
        name = name.lower() if table in ("mailbox", "domain") else name
        if name in found:
            return None
        found[name] = item
    return found


def _values(rest: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    """The values below a key that differ; of what comes or goes there is one."""
    if old == new:
        return
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for name in _union(old, new):
            below = f"{rest}.{name}" if rest else name
            yield from _values(below, old.get(name), new.get(name))
    else:
        yield rest, old, new


def _union(old: Tree, new: Tree) -> list[str]:
    return [*old, *(name for name in new if name not in old)]


def _plain(value: Any) -> Any:
    """As an audit entry has it; no more of a URL than its host, or of anything than has use.

    There a fraction is text, since JSON has several forms of it.
    """
    plain = _json(value)
    size = len(str(plain))
    return plain if size <= _VALUE_CHARACTERS else f"a value of {size} characters"


def _json(value: Any) -> Any:
    match value:
        case datetime() | date() | time():
            return value.isoformat()
        case float():
            return str(value)
        case int() if not -(2**63) <= value < 2**63:
            return str(value)
        case Mapping():
            return {name: _json(found) for name, found in value.items()}
        case list():
            return [_json(found) for found in value]
        case str():
            return _URL.sub(_host_alone, value)
    return value


def _host_alone(url: re.Match[str]) -> str:
    try:
        host = urlsplit(url[0]).hostname
    except ValueError:  # what stands between brackets is no address
        host = None
    return f"{url[0].partition(':')[0]}://{host or ''}/…"
