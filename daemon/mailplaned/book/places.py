"""Where in a TOML text its keys and values stand, which `tomllib` does not tell.

The text is one that `tomllib` has taken: what is wrong with it as TOML is not looked for here.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

Key = tuple[str | int, ...]
"""The way to a value, e.g. `("mailbox", 2, "caps", 0, "limit")`."""

Spot = tuple[int, int]
"""Where a key begins, and where its value does; the same where there is no such key or value."""

TEXT: Final = (
    r'"""(?:[^"\\]++|\\[\s\S]|"{1,2}(?!"))*+"{3,5}'
    r"|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}"
    r'|"(?:[^"\\\n]++|\\.)*+"'
    r"|'[^'\n]*+'"
)
"""A text in quotes, as TOML has it."""

_BLANKS: Final = re.compile(r"[ \t]*+")
_BETWEEN: Final = re.compile(r"(?:[\s,]++|#[^\n]*+)*+")
_NAME: Final = re.compile(rf"{TEXT}|[\w-]++")
_SINGLE: Final = re.compile(rf"{TEXT}|[\s\S][^,\]}}#\n]*+")
"""A value without parts."""

_MARK: Final = re.compile(rf"{TEXT}|#[^\n]*+|[\[\]{{}}]")


def spots(text: str, wanted: Iterable[Key]) -> dict[Key, Spot]:
    """Where each of these keys stands, in one pass; those that the text does not have are left out.

    An item of a list has its value's place; one of `[[table]]` that of the name in its header.
    """
    left = set(wanted)
    above = {key[:depth] for key in left for depth in range(len(key))}
    found: dict[Key, Spot] = {}
    for key, spot in _Walk(text, above):
        if not left:
            break
        if key in left:
            left.remove(key)
            found[key] = spot
    return found


def line_and_column(text: str, at: int) -> tuple[int, int]:
    """Where a place of the text is for a person; both count from 1, columns in characters."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


@dataclass(slots=True)
class _Walk:
    """Goes through a text from key to key; what is not above a wanted key is passed over."""

    text: str
    above: set[Key]
    at: int = 0
    items: dict[Key, int] = field(default_factory=dict)
    """How many items a `[[table]]` has so far."""

    def __iter__(self) -> Iterator[tuple[Key, Spot]]:
        table: Key = ()
        while self._more():
            if self.text[self.at] == "[":
                table = yield from self._header()
            else:
                yield from self._pair(table)

    def _header(self) -> Generator[tuple[Key, Spot], None, Key]:
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        names = self._names()
        self.at += brackets
        table: Key = ()
        for number, (name, at) in enumerate(names, 1):
            table = (*table, name)
            yield table, (at, at)
            if brackets == 2 and number == len(names):
                self.items[table] = self.items.get(table, 0) + 1
            if table in self.items:
                table = (*table, self.items[table] - 1)
                yield table, (at, at)
        return table

    def _pair(self, table: Key) -> Iterator[tuple[Key, Spot]]:
        names = self._names()
        self.at += 1
        self._pass(_BLANKS)
        for number, (name, at) in enumerate(names, 1):
            table = (*table, name)
            yield table, (at, self.at if number == len(names) else at)
        yield from self._value(table)

    def _value(self, key: Key) -> Iterator[tuple[Key, Spot]]:
        opening = self.text[self.at : self.at + 1]
        if opening not in {"[", "{"}:
            self._pass(_SINGLE)
        elif key not in self.above:
            self._pass_over()
        elif opening == "{":
            self.at += 1
            while self._more("}"):
                yield from self._pair(key)
        else:
            self.at += 1
            number = 0
            while self._more("]"):
                item = (*key, number)
                yield item, (self.at, self.at)
                yield from self._value(item)
                number += 1

    def _names(self) -> list[tuple[str, int]]:
        """The parts of a dotted key, and where each stands."""
        names = []
        while True:
            self._pass(_BLANKS)
            at = self.at
            names.append((_plain(self._pass(_NAME)), at))
            self._pass(_BLANKS)
            if not self.text.startswith(".", self.at):
                return names
            self.at += 1

    def _more(self, closing: str = "") -> bool:
        """Whether another key or item follows; an end that has come is passed."""
        self._pass(_BETWEEN)
        if self.at >= len(self.text):
            return False
        if closing and self.text[self.at] == closing:
            self.at += 1
            return False
        return True

    def _pass(self, form: re.Pattern[str]) -> str:
        match = form.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _pass_over(self) -> None:
        depth = 0
        for match in _MARK.finditer(self.text, self.at):
            depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(match[0], 0)
            if not depth:
                self.at = match.end()
                return
        self.at = len(self.text)


def _plain(name: str) -> str:
    """A key without its quotes."""
    if name[:1] not in {'"', "'"}:
        return name
    if name[0] == '"' and "\\" in name:
        return str(tomllib.loads(f"name = {name}")["name"])
    return name[1:-1]
