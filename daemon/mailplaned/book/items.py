"""The text of a file of the book as items and lines, and values as text in the house's style.

An item is a `[head]` with its lines; together the items are the text, byte for byte. What a line
means is for tomllib to say: here it is only known where it ends.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from mailplaned.book.places import TEXT
from mailplaned.book.words import canonical

_COLUMNS: Final = 100
"""A list that would go beyond is written with one part a line."""

_TOKEN: Final = re.compile(rf"{TEXT}|#[^\n]*+|[\[\]{{}}\n]")
_DEEPER: Final = {"[": 1, "{": 1, "]": -1, "}": -1}

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_UNSEEN: Final = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""What JSON leaves as it is, but TOML forbids or an editor hides."""


@dataclass(slots=True)
class Item:
    """An item of a table with the tables inside it, or what else stands under a head."""

    table: str = ""
    """Empty for what is no item of a table, such as what stands above all heads."""
    name: str = ""
    value: dict[str, Any] = field(default_factory=dict)
    """Its part of the tree."""
    lines: list[str] = field(default_factory=list)
    """The first is the head. A value that goes over several lines makes one of them."""

    def written(self) -> Iterator[tuple[int, str]]:
        """Where each of its keys is written, but for those of the tables inside it."""
        for place, line in enumerate(self.lines):
            if place and _is_head(line):
                return
            if _says(line) and not _is_head(line):
                yield place, next(iter(tomllib.loads(line)))

    def end(self, *, last: bool) -> int:
        """Where what belongs to it ends: comments right below it do, unless a head follows them.

        `last` says that nothing follows in the file.
        """
        end = max((place + 1 for place, line in enumerate(self.lines) if _says(line)), default=0)
        below = end
        while below < len(self.lines) and self.lines[below].strip():
            below += 1
        return below if last or below < len(self.lines) else end


def cut(text: str, tree: dict[str, Any]) -> list[Item]:
    """The items of a text that gives `tree`; the first is what stands above all heads."""
    items = [Item()]
    paths: dict[str, tuple[str, ...]] = {}
    counts: Counter[str] = Counter()
    for line in _lines(text):
        if _is_head(line):
            path = paths.get(line) or paths.setdefault(line, _path(tomllib.loads(line)))
            item = items[-1]
            inside = path[1:] and item.table == path[0]
            if item.table == "workload":
                inside = path[2:] and path[:2] == ("workload", item.name)
            if not inside:
                items.append(_item(line, path, tree[path[0]], counts))
        items[-1].lines.append(line)
    return items


def name_of(table: str, value: dict[str, Any]) -> str:
    """The name that an item of a table gives itself, as `folded` has it."""
    name = value.get("address" if table == "mailbox" else "name")
    return folded(table, name) if isinstance(name, str) else ""


def folded(table: str, name: str) -> str:
    """A name as the book compares it: mail addresses and domains in any case."""
    if table == "mailbox":
        name = canonical(name)
    return name.lower() if table in ("mailbox", "domain") else name


def statement(key: str, value: Any, newline: str) -> str:
    """A key with its value as a line, or as one line for each part of a long list."""
    start, line = f"{written_key(key)} = ", _written(value)
    if isinstance(value, list) and len(start + line) > _COLUMNS:
        line = f"[{newline}" + "".join(f"  {_written(part)},{newline}" for part in value) + "]"
    return start + line + newline


def written_key(key: str) -> str:
    """A key, in quotes if it needs them."""
    return key if _BARE_KEY.fullmatch(key) else _written(key)


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, a value that goes over several kept whole."""
    depth = start = 0
    for token in _TOKEN.finditer(text):
        depth += _DEEPER.get(token[0], 0)
        if token[0] == "\n" and not depth:
            yield text[start : token.end()]
            start = token.end()
    if start < len(text):
        yield text[start:]


def _is_head(line: str) -> bool:
    return line.lstrip(" \t").startswith("[")


def _says(line: str) -> bool:
    """Whether a line is more than blank or a comment."""
    return not line.lstrip().startswith("#") and bool(line.strip())


def _path(node: Any) -> tuple[str, ...]:
    """`("workload", "cold")` of what `[workload.cold]` gives alone."""
    if isinstance(node, list):
        return _path(node[0])
    return tuple(part for key, inner in node.items() for part in (key, *_path(inner)))


def _item(line: str, path: tuple[str, ...], of_table: Any, counts: Counter[str]) -> Item:
    """An item that begins with the head `line`."""
    table = path[0]
    if line.lstrip(" \t").startswith("[["):
        if len(path) > 1:
            return Item()
        value = of_table[counts[table]]
        counts[table] += 1
        return Item(table, name_of(table, value), value)
    if path == ("workspace",):
        return Item(table, name_of(table, of_table), of_table)
    if table == "workload" and len(path) == 2:
        return Item(table, path[1], of_table[path[1]])
    return Item()


def _written(value: Any, *, inside: bool = False) -> str:
    """A value on one line. In inline tables a number is a limit, 2_000; else it may be a port."""
    match value:
        case dict():
            pairs = (
                f"{written_key(key)} = {_written(part, inside=True)}" for key, part in value.items()
            )
            return f"{{ {', '.join(pairs)} }}" if value else "{}"
        case list():
            return f"[{', '.join(_written(part, inside=inside) for part in value)}]"
        case str():
            # Every escape of JSON is one of TOML's.
            text = json.dumps(value, ensure_ascii=False)
            return _UNSEEN.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
        case bool():
            return "true" if value else "false"
        case int() if inside:
            return f"{value:_}"
    return str(value)
