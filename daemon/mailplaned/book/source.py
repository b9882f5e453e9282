"""One file of the book: its text, what TOML makes of it, and where in it a key stands."""

from __future__ import annotations

import difflib
import re
import reprlib
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

FILE_BYTES: Final = 4 * 1024 * 1024
"""A larger file is not read; ten thousand mailboxes need about 2 MiB."""

PROBLEMS_TOLD: Final = 50
"""Of one file; finding where each stands takes time, and nobody reads more."""

NOTHING: Final = object()
"""There is no value to show."""

Key = tuple[str | int, ...]
"""The way to a value, e.g. `("mailbox", 2, "caps", 0, "limit")`."""

T = TypeVar("T")

_SYNTAX_LINE = re.compile(r" \(at line (\d+), column \d+\)$")
_COMMENT = re.compile(r"(?m)^[ \t]*#.*$")
_SHOWN_CHARS: Final = 60
_KEY_CHARS: Final = 200
"""A longer key is not looked for: a pattern of it would take seconds to make."""

_SHORTENED: Final = reprlib.Repr()
_SHORTENED.maxstring = _SHOWN_CHARS
_SHORTENED.maxlong = _SHOWN_CHARS

_TOO_DOTTED = re.compile(r"""(?:\.[ \t]*+(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+){64}+""")
"""A key of so many parts that `tomllib`, whose work grows with their square, is not given it."""


class TooManyProblems(Exception):
    """A file has more problems than are told; there is no use in looking for others."""


@dataclass(slots=True)
class Source:
    """One file while it is checked. `problems` grows; `kept` is set by `shape`."""

    name: str
    text: str
    tree: dict[str, Any] | None
    """What TOML makes of the text; None once it was let go."""
    problems: list[str] = field(default_factory=list)
    kept: dict[Key, list[int]] = field(default_factory=dict)
    """For a list that lost faulty items: the place that each remaining one has in the file."""
    values: dict[Any, Any] = field(default_factory=dict)
    """What the file says again and again, such as the caps of its mailboxes, as one value each."""
    _bare: str = ""
    """The text with blanks in place of its comments, once a line has been looked for."""
    _heads: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Start and end of each `[[table]]`, likewise."""

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
        self._bare = ""
        self._heads.clear()

    def problem(self, key: Key, wrong: str, advice: str, value: object = NOTHING) -> None:
        """Note what is wrong with the value at `key`, counted in what `shape` left."""
        self.raw_problem(self._in_file(key), wrong, advice, value)

    def raw_problem(self, key: Key, wrong: str, advice: str, value: object = NOTHING) -> None:
        """Note what is wrong with the value at `key`, counted as in the file.

        Raises `TooManyProblems` when that is enough.
        """
        self._make_room()
        line = self._line(key, value)
        where = f"{self.name}: line {line}" if line else self.name
        found = "" if value is NOTHING else f", {shown(value)}"
        self.problems.append(f"{where}: {self._spoken(key)}: {wrong}{found}; {advice}")

    def problem_at(self, position: int, wrong: str, advice: str) -> None:
        """Note what is wrong at a place of the text. Raises `TooManyProblems`, as above."""
        self._make_room()
        line = self.text.count("\n", 0, position) + 1
        self.problems.append(f"{self.name}: line {line}: file: {wrong}; {advice}")

    def _make_room(self) -> None:
        if len(self.problems) >= PROBLEMS_TOLD:
            self.problems.append(
                f"{self.name}: file: more than {PROBLEMS_TOLD} problems; mend these first"
            )
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

    def _line(self, key: Key, value: object) -> int | None:
        """The line of a key, found by searching the text: good enough to open an editor at."""
        if any(len(str(part)) > _KEY_CHARS for part in key):
            return None
        self._bare = self._bare or _COMMENT.sub(lambda match: " " * len(match[0]), self.text)
        text = self._bare
        found = self._section(key)
        if found is None:
            return None
        start, end, rest = found
        for part in rest:
            if isinstance(part, int):
                braces = [match.start() for match in re.finditer(r"\{", text[start:end])]
                start += braces[part] if part < len(braces) else 0
                continue
            match = re.search(
                rf"(?m)(?:^|[{{,\s\"'.])({re.escape(part)})[\"']?\s*=", text[start:end]
            )
            if match is None:
                break
            start += match.start(1)
        if isinstance(value, str):
            place = text.find(f'"{value}"', start, end)
            start = place if place >= 0 else start
        return text.count("\n", 0, start) + 1

    def _section(self, key: Key) -> tuple[int, int, Sequence[str | int]] | None:
        """Start and end of the deepest `[table]` or `[[table]]` with `key`, and what is left."""
        if not key:
            return None
        text = self._bare
        table = re.escape(str(key[0]))
        if len(key) > 1 and isinstance(key[1], int):
            heads = self._item_heads(str(key[0]))
            if key[1] < len(heads):
                start, after = heads[key[1]]
                end = re.compile(rf"(?m)^[ \t]*\[(?!{table}\.)").search(text, after)
                return start, end.start() if end else len(text), key[2:]
        for depth in (2, 1):
            dotted = r"\.".join(rf"[\"']?{re.escape(str(part))}[\"']?" for part in key[:depth])
            head = re.search(rf"(?m)^[ \t]*\[{dotted}\]", text)
            if len(key) >= depth and head:
                end = re.compile(r"(?m)^[ \t]*\[").search(text, head.end())
                return head.start(), end.start() if end else len(text), key[depth:]
        head = re.search(rf"(?m)^[ \t]*(?:\[\[?)?[ \t]*{table}\b", text)
        return (head.start(), len(text), key[1:]) if head else None

    def _item_heads(self, table: str) -> list[tuple[int, int]]:
        if table not in self._heads:
            head = rf"(?m)^[ \t]*\[\[[ \t]*{re.escape(table)}[ \t]*\]\]"
            self._heads[table] = [match.span() for match in re.finditer(head, self._bare)]
        return self._heads[table]


def parse(name: str, content: bytes) -> Source | str:
    """The file as a Source; what is wrong with it when it is not TOML."""
    if len(content) > FILE_BYTES:
        return f"{name}: file: larger than {FILE_BYTES} bytes; split it"
    try:
        text = content.decode()
        if _TOO_DOTTED.search(text):
            return f"{name}: file: a key of too many parts; the book needs a few levels only"
        return Source(name, text, tomllib.loads(text))
    except UnicodeDecodeError as fault:
        line = content.count(b"\n", 0, fault.start) + 1
        return f"{name}: line {line}: file: not UTF-8; save it as UTF-8"
    except RecursionError:
        return f"{name}: file: nested too deeply; the book needs a few levels only"
    except ValueError as fault:  # TOMLDecodeError, and a number of too many digits
        said = str(fault)
        match = _SYNTAX_LINE.search(said)
        where = f"line {match[1]}" if match else f"line {text.count(chr(10)) + 1}"
        wrong = said[: match.start()] if match else said
        return f"{name}: {where}: file: not TOML, {shown(wrong)[1:-1]}; mend the syntax"


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
