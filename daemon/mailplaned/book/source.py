"""One file of the book: its text, what TOML makes of it, and what is wrong in it, and where."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from mailplaned.book.places import Key, Spot, line_and_column, spots

FILE_BYTES: Final = 4 * 1024 * 1024
"""A larger file is not read; ten thousand mailboxes need about 2 MiB."""

PROBLEMS_TOLD: Final = 50
"""Of one file; nobody reads more."""

NOTHING: Final = object()
"""There is no value to show."""

T = TypeVar("T")

_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SHOWN_CHARS: Final = 60

_SHORTENED: Final = reprlib.Repr()
_SHORTENED.maxstring = _SHOWN_CHARS
_SHORTENED.maxlong = _SHOWN_CHARS

_TOO_DOTTED = re.compile(r"""(?:\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+){64}+""")
"""A key of so many parts that `tomllib`, whose work grows with their square, is not given it."""

_TOO_LONG = re.compile(r"[=,\[]\s*+[+-]?[0-9][0-9A-Fa-fxo_.:+-]{999}")
"""A number of so many digits that reading it would take a hundred times its size."""


class TooManyProblems(Exception):
    """A file has more problems than are told; there is no use in looking for others."""


@dataclass(frozen=True, slots=True)
class _Told:
    """A problem in words, and where it is: at a key, at the value of it, or at a position."""

    words: str
    key: Key = ()
    at_value: bool = False
    position: int | None = None


@dataclass(slots=True)
class Source:
    """One file while it is checked. `problems` grow; `kept` is set by `shape`."""

    name: str
    text: str
    tree: dict[str, Any] | None
    """What TOML makes of the text; None once it was let go."""
    kept: dict[Key, list[int]] = field(default_factory=dict)
    """For a list that lost faulty items: the place that each remaining one has in the file."""
    values: dict[Any, Any] = field(default_factory=dict)
    """What the file says again and again, such as the caps of its mailboxes, as one value each."""
    _told: list[_Told] = field(default_factory=list)

    @property
    def raw(self) -> dict[str, Any]:
        """What TOML makes of the text; made anew if it was let go."""
        if self.tree is None:
            self.tree = tomllib.loads(self.text)
        return self.tree

    def shared(self, value: T) -> T:
        """The value, or an equal one that was made for this file before."""
        found: T = self.values.setdefault(value, value)
        return found

    def let_go(self) -> None:
        """Give back what the tree takes, which is a multiple of the text."""
        self.tree = None

    def problem(self, key: Key, wrong: str, advice: str, value: object = NOTHING) -> None:
        """Note what is wrong with the value at `key`, counted in what `shape` left."""
        self.raw_problem(self._in_file(key), wrong, advice, value)

    def raw_problem(self, key: Key, wrong: str, advice: str, value: object = NOTHING) -> None:
        """Note what is wrong with the value at `key`, counted as in the file.

        Raises `TooManyProblems` when that is enough.
        """
        self._make_room()
        at, at_value = self._shown_at(key, value)
        found = "" if value is NOTHING else f", {shown(value)}"
        self._told.append(
            _Told(f"{self._spoken(key)}: {wrong}{found}; {advice}", at, at_value=at_value)
        )

    def problem_at(self, position: int, wrong: str, advice: str) -> None:
        """Note what is wrong at a place of the text. Raises `TooManyProblems`, as above."""
        self._make_room()
        self._told.append(_Told(f"file: {wrong}; {advice}", position=position))

    @property
    def problems(self) -> list[str]:
        """What was noted, each with its line and column; the text is gone through once for all."""
        keys = (told.key for told in self._told)
        found = spots(self.text, {key[:depth] for key in keys for depth in range(1, len(key) + 1)})
        return [self._placed(told, found) for told in self._told]

    def _placed(self, told: _Told, found: dict[Key, Spot]) -> str:
        position, key = told.position, told.key
        while position is None and key:
            if key in found:
                name_at, value_at = found[key]
                position = value_at if told.at_value and key == told.key else name_at
            key = key[:-1]
        if position is None:
            return f"{self.name}: {told.words}"
        return f"{self.name}: {_place(self.text, position)}: {told.words}"

    def _shown_at(self, key: Key, value: object) -> tuple[Key, bool]:
        """Where to look for a value that is shown, and whether it is the value of that key."""
        if value is NOTHING:
            return key, False
        node: Any = self.raw
        for part in key:
            node = _step(node, part)
        if isinstance(node, list) and node != value:
            item = _way_to(value, node)
            return (*key, *item), bool(item)
        return key, not isinstance(node, dict)

    def _make_room(self) -> None:
        if len(self._told) >= PROBLEMS_TOLD:
            self._told.append(_Told(f"file: more than {PROBLEMS_TOLD} problems; mend these first"))
            raise TooManyProblems

    def has(self, key: Key) -> bool:
        """Whether the file gives a value at `key`, a faulty one included."""
        node: Any = self.raw
        for part in self._in_file(key):
            node = _step(node, part)
        return node is not None

    def names(self, table: str, key: str) -> set[str]:
        """The names that the items of `[[table]]` give, faulty items included.

        References are checked against these, so that one fault is told once.
        """
        items = self.raw.get(table)
        found = items if isinstance(items, list) else []
        values = [item.get(key) for item in found if isinstance(item, dict)]
        return {value for value in values if isinstance(value, str)}

    def _in_file(self, key: Key) -> Key:
        place: Key = ()
        for part in key:
            if isinstance(part, int) and place in self.kept:
                part = self.kept[place][part]
            place = (*place, part)
        return place

    def _spoken(self, key: Key) -> str:
        """`mailbox[ana@acme.example].caps[0].limit`: items by their name where they have one."""
        said = ""
        node: Any = self.raw
        for part in key:
            node = _step(node, part)
            if isinstance(part, str):
                plain = re.fullmatch(r"[A-Za-z0-9_-]+", part)
                said += ("." if said else "") + (_cut(part) if plain else shown(part))
                continue
            name = (node.get("name"), node.get("address")) if isinstance(node, dict) else ()
            known = [text for text in name[::-1] if isinstance(text, str)]
            said += f"[{shown(known[0])[1:-1] if known else part}]"
        return said or "file"


def parse(name: str, content: bytes) -> Source | str:
    """The file as a Source; what is wrong with it when it is not TOML."""
    if len(content) > FILE_BYTES:
        return f"{name}: file: larger than {FILE_BYTES} bytes; split it"
    try:
        text = content.decode()
        if _TOO_DOTTED.search(text):
            return f"{name}: file: a key of too many parts; the book needs a few levels only"
        if _TOO_LONG.search(text):
            return f"{name}: file: a number of too many digits; none here needs more than ten"
        return Source(name, text, tomllib.loads(text))
    except UnicodeDecodeError as fault:
        before = content[: fault.start].decode()
        where = _place(before, len(before))
        return f"{name}: {where}: file: not UTF-8; save it as UTF-8"
    except RecursionError:
        return f"{name}: file: nested too deeply; the book needs a few levels only"
    except ValueError as fault:
        said = str(fault)
        match = _SYNTAX_PLACE.search(said)
        if match is None:
            return f"{name}: file: not TOML, {shown(said)[1:-1]}; mend the syntax"
        where = f"line {match[1]}, column {match[2]}" if match[1] else _place(text, len(text))
        wrong = shown(said[: match.start()])[1:-1]
        return f"{name}: {where}: file: not TOML, {wrong}; mend the syntax"


def nearest(name: str, valid: Iterable[str]) -> str:
    """Advice: the nearest valid name, else all of them when they are few."""
    known = sorted(valid)
    match = difflib.get_close_matches(name[:100], known, n=1)
    if match:
        return f"did you mean {shown(match[0])}?"
    if not known:
        return "there is none to refer to yet"
    if len(known) > 12:
        return "see the reference"
    return "use one of " + ", ".join(shown(name)[1:-1] for name in known)


def shown(value: object) -> str:
    """A value on one line, without control characters, cut to a readable length."""
    if isinstance(value, str):
        return _cut('"' + repr(value[:_SHOWN_CHARS])[1:-1] + '"')
    return _cut(_SHORTENED.repr(value))


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 2] + "…" + text[-1]


def _step(node: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return node[part] if isinstance(node, list) and part < len(node) else None
    return node.get(part) if isinstance(node, dict) else None


def _way_to(value: object, items: list[Any]) -> Key:
    """The way to the last item, also of a list in the list, that is this value; () when none is."""
    for number in reversed(range(len(items))):
        if items[number] == value:
            return (number,)
        if isinstance(items[number], list) and (way := _way_to(value, items[number])):
            return (number, *way)
    return ()


def _place(text: str, at: int) -> str:
    line, column = line_and_column(text, at)
    return f"line {line}, column {column}"
