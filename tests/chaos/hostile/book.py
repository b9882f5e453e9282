"""Hostile files in the operator's folder: they are a book that can be used, or told why not."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st

from mailplaned.book.load import Loaded, load
from mailplaned.domain.policy import Policy
from mailplaned.domain.roles import Caller, Role
from mailplaned.services.admission import submit
from tests.chaos.hostile import inputs
from tests.chaos.hostile.bugs import planted
from tests.chaos.hostile.found import Found, try_each
from tests.chaos.verdict import Measured
from tests.fakes.random_seeded import SeededRandom
from tests.fakes.store_inline import memory_database
from tests.fakes.store_kit import submission
from tests.services import test_book
from tests.services.test_admission import desk

KINDS = ("crashes", "unclear answers", "hangs", "hoards")

CPU_S = 5.0
"""More than any answer may cost; the example book costs a few milliseconds."""

WALL_S = 60
"""More than that is a hang, whatever else this machine does."""

GROWN_MIB = 300
"""How much this process may grow over all books together."""

DAEMON = "mailplane.toml"
ACME = "workspaces/acme.toml"
BETA = "workspaces/beta.toml"
FAIR = {
    DAEMON: (test_book.EXAMPLE / DAEMON).read_bytes(),
    ACME: (test_book.EXAMPLE / ACME).read_bytes(),
    BETA: test_book.MINIMAL.encode(),
}

MIB = 2**20


@dataclass(frozen=True)
class Change:
    """One thing done to a file of the book, given its place and its bytes."""

    name: str
    do: Callable[[Path, bytes], None]


def _content(name: str, make: Callable[[bytes], bytes]) -> Change:
    def do(path: Path, given: bytes) -> None:
        if path.is_symlink():  # what it leads to is not ours
            path.unlink()
        path.write_bytes(make(given))

    return Change(name, do)


# --- values and lines -----------------------------------------------------------------------------

_VALUES = (
    "0", "-1", "1", "9" * 20, "9" * 400, "1.5", "nan", "inf", "-inf", "1e400", "true", '""', "''",
    '"\\u001b[31m"', '"\\n"', '"\\u0000"', '"a\\r\\nb"', '"\\u202e"', '"' + "x" * 5_000 + '"', "[]",
    "{}", "[[]]", "[{}]", "{ a.b.c = 1 }", "[1, 'a', true]", "2026-11-02", "0001-01-01",
    "9999-12-31", "2026-11-02T10:00:00Z", "10:00:00", '"1s"', '"99999w"', '"0d"',
    '"ana@getacme.example"', '"acme"', '"cold"', '"day"', '"../../etc/passwd"',
    '"Europe/Berlin\\u0000"', '"posixrules"', '"localtime"', '"Factory"', '"."', '"::1"',
    '"127.0.0.1:99999"', '"smtp"', '"gmail"', "[['ana@getacme.example'], ['ana@getacme.example']]",
    "{ limit = 1, per = 'day' }", '"""\n"""',
    "[{ limit = 1, per = 'day' }, { limit = 2, per = 'day' }]", "[" * 3_000 + "]" * 3_000,
)  # fmt: skip
_LINES = (
    "[workspace]", "[[workspace]]", "[[mailbox]]", "[mailbox]", "[[account]]", "[workload.cold]",
    "[workload]", "[a.b.c.d]", "x = 1", "x.y.z = 1", "caps = []", 'name = "acme"', "name.x = 1",
    "limit = 1", '"" = 1', '"\\u001b[2J" = 1', "'[bold]' = 1", "__proto__ = 1", "# \x1b[31m",
    "\x00", "= 1", "]", "[", "[[", '"""', "'''", "\ufeff", "a = 1\ra = 2", "share = { cold = 1 }",
    "path = 1", "secret = 'hunter2'", "tiers = [[]]",
    "ramp = { from = 2026-01-01, table = [1, 2] }",
    "ramp = { from = 9999-12-31, start = 1, step = 1000000000 }", "member = [{ name = 'a' }]",
    "name" + ".a" * 3_000 + " = 1", "workspace" + ".a" * 3_000 + " = 1",
)  # fmt: skip
_VALUE = re.compile(rb"(?m)= *([^#\n]+)")
_GARBAGE = (
    b"\xff\xfe",
    b"\x00",
    b"\xed\xa0\x80",
    b"\xc3",
    b"\r",
    b"\xef\xbb\xbf",
    b"\x1b[2J",
    b"\x80",
)


def _edits(name: str) -> st.SearchStrategy[Change]:
    """A change of one value, one line, one byte, or of where the file ends."""

    def value(new: str, which: int) -> Callable[[bytes], bytes]:
        def make(given: bytes) -> bytes:
            found = list(_VALUE.finditer(given))
            at = found[which % len(found)] if found else None
            return (
                given
                if at is None
                else given[: at.start(1)] + new.encode("utf-8", "replace") + given[at.end(1) :]
            )

        return make

    def line(new: str, which: int, over: int) -> Callable[[bytes], bytes]:
        def make(given: bytes) -> bytes:
            lines = given.split(b"\n")
            at = which % len(lines)
            return b"\n".join([*lines[:at], new.encode("utf-8", "replace"), *lines[at + over :]])

        return make

    def again(which: int, size: int, target: int) -> Callable[[bytes], bytes]:
        def make(given: bytes) -> bytes:
            lines = given.split(b"\n")
            at = which % len(lines)
            there = target % len(lines)
            return b"\n".join([*lines[:there], *lines[at : at + size], *lines[there:]])

        return make

    def put(new: bytes, which: int, over: int) -> Callable[[bytes], bytes]:
        def make(given: bytes) -> bytes:
            at = which % (len(given) + 1)
            return given[:at] + new + given[at + over :]

        return make

    place = st.integers(0, 5_000)
    texts = inputs.text(most=3).map(lambda text: f'"{text}"') | inputs.text(most=3)
    return st.one_of(
        st.builds(value, st.sampled_from(_VALUES) | texts, place),
        st.builds(line, st.sampled_from(_LINES) | texts, place, st.integers(0, 2)),
        st.builds(again, place, st.integers(1, 8), place),
        st.builds(put, st.sampled_from(_GARBAGE) | st.binary(max_size=4), place, st.integers(0, 9)),
        place.map(lambda at: lambda given: given[: at % (len(given) + 1)]),
    ).map(lambda make: _content(name, make))


# --- floods ---------------------------------------------------------------------------------------

_FLOODS: dict[str, Callable[[], str]] = {
    "larger than any": lambda: "# " + "x" * (10 * MIB),
    "unknown keys": lambda: "".join(f"k{n} = 1\n" for n in range(200_000)),
    "unknown tables": lambda: "".join(f"[t{n}]\n" for n in range(200_000)),
    "faulty mailboxes": lambda: "[[mailbox]]\naddress = 1\n" * 100_000,
    "faulty caps": lambda: "workspace = { name = 'b', caps = [" + "{limit = -1}," * 200_000 + "] }",
    "faulty values": lambda: "[[mailbox]]\naddress = 'a'\naccount = 'b'\nzz = 1\n" * 60_000,
    "names that are named twice": lambda: (
        test_book.MINIMAL
        + "[[mailbox]]\naddress = 'kim@beta.example'\naccount = 'nobody'\n" * 50_000
    ),
    "mailboxes that nobody has": lambda: (
        test_book.MINIMAL
        + "[[path]]\nname = 'p'\ntiers = [["
        + "'zoe@beta.example'," * 150_000
        + "]]\n"
    ),
    "brackets": lambda: "a = " + "[" * MIB,
    "braces": lambda: "a = " + "{a=" * MIB,
    "dots": lambda: "workspace.name" + ".a" * (MIB // 2) + " = 1",
    "dots in a header": lambda: "[workspace.name" + ".a" * (MIB // 2) + "]\nb = 1",
    "one long text": lambda: 'workspace = "' + "x" * (3 * MIB) + '"',
    "one long key": lambda: "x" * (3 * MIB) + " = 1",
    "one long number": lambda: "a = " + "9" * (3 * MIB),
    "lines": lambda: "\n" * (3 * MIB),
    "comments": lambda: "# x\n" * (MIB // 2) + "[workspace]\nname = 1\n",
    "quotes": lambda: 'a = """' + '"" ' * MIB,
    "backslashes": lambda: 'a = "' + "\\\\" * MIB + "\n",
}


def _floods() -> st.SearchStrategy[Change]:
    return st.builds(
        lambda name, flood: _content(name, lambda _: _FLOODS[flood]().encode()),
        st.sampled_from([DAEMON, BETA, "workspaces/flood.toml"]),
        st.sampled_from(list(_FLOODS)),
    )


# --- what is no file ------------------------------------------------------------------------------


def _special(path: Path, make: Callable[[Path], object]) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    path.unlink(missing_ok=True)
    make(path)


def _forbid(path: Path) -> None:
    """Take all rights away from a file of ours, and from nothing that a link leads to."""
    if path.is_file() and not path.is_symlink():
        path.chmod(0)


def _link(path: Path, target: str) -> None:
    _special(path, lambda free: free.symlink_to(target))


def _wide(path: Path, given: bytes) -> None:
    for number in range(300):
        path.with_name(f"{path.stem}{number}.toml").write_bytes(given)


_PLACES: dict[str, Callable[[Path, bytes], None]] = {
    "a link to nothing": lambda path, _: _link(path, "nowhere"),
    "a link to itself": lambda path, _: _link(path, path.name),
    "a link out": lambda path, _: _link(path, "/etc/passwd"),
    "a link to a secret": lambda path, _: _link(path, "/etc/shadow"),
    "a link to a folder": lambda path, _: _link(path, ".."),
    "a link to zeros": lambda path, _: _link(path, "/dev/zero"),
    "a link to noise": lambda path, _: _link(path, "/dev/urandom"),
    "a link to nothing at all": lambda path, _: _link(path, "/dev/null"),
    "a link to itself in the kernel": lambda path, _: _link(path, "/proc/self/mem"),
    "a folder": lambda path, _: _special(path, Path.mkdir),
    "a pipe": lambda path, _: _special(path, os.mkfifo),
    "many files": _wide,
    "forbidden": lambda path, _: _forbid(path),
}

_FILE_NAMES = (
    b"\xff.toml", b"\x1b[2J.toml", b"a\nb.toml", b"[bold].toml", "\u202e.toml".encode(),
    b": line 3: x.toml", b"-.toml", b" .toml", b"x" * 200 + b".toml", b"\xed\xa0\x80.toml",
    b"toml.toml.toml", b"ACME.toml",
)  # fmt: skip


def _named(name: bytes, source: str) -> Change:
    def do(path: Path, _: bytes) -> None:
        (path.parent / os.fsdecode(name)).write_bytes(FAIR[source])

    return Change(BETA, do)


def _places() -> st.SearchStrategy[Change]:
    places = st.sampled_from([DAEMON, ACME, BETA])
    return st.builds(Change, places, st.sampled_from(list(_PLACES.values()))) | st.builds(
        _named, st.sampled_from(_FILE_NAMES), st.sampled_from([BETA, DAEMON])
    )


def _books() -> st.SearchStrategy[list[Change]]:
    """Mostly edits; a place in twenty, a flood in a hundred."""
    edits = {name: _edits(name) for name in FAIR}
    edit = st.sampled_from([DAEMON, ACME, ACME, ACME, BETA]).flatmap(edits.__getitem__)
    alone, several = st.lists(edit, min_size=1, max_size=1), st.lists(edit, max_size=3)
    floods = st.lists(_floods(), min_size=1, max_size=1)
    places = st.lists(_places(), min_size=1, max_size=2)

    def weighed(number: int) -> st.SearchStrategy[list[Change]]:
        if number == 50:
            return floods
        if 10 <= number < 15:
            return places
        return alone if number % 2 else several

    return st.integers(0, 99).flatmap(weighed)


# --- the judgement --------------------------------------------------------------------------------

_TOLD = re.compile(r"[^:]+: (?:line [1-9]\d*, column [1-9]\d*: )?\S.*: \S.*")
_OWNER = Caller(name="owner", role=Role.OWNER)
_RANDOM = SeededRandom(5)


class Hang(Exception):
    """It did not come back."""


@contextmanager
def _hurried() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(WALL_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _judge(found: Found, loaded: Loaded, database: sqlite3.Connection, about: object) -> None:
    if (loaded.policy is None) != bool(loaded.problems):
        found.note("unclear answers", "neither a book nor a problem", about)
    for problem in loaded.problems[:1_000]:
        if not (problem.isprintable() and len(problem) < 2_000 and _TOLD.fullmatch(problem)):
            found.note("unclear answers", problem, about)
    if sum(map(len, loaded.problems)) > MIB:
        found.note("unclear answers", "too many words", len(loaded.problems), about)
    if loaded.policy is None:
        found.went["refused"] += 1
        return
    found.went["in force"] += 1
    if not all(notice.isprintable() for notice in loaded.policy.notices):
        found.note("unclear answers", loaded.policy.notices, about)
    _use(loaded.policy, database)


def _use(policy: Policy, database: sqlite3.Connection) -> None:
    """What a book that was taken has to be good for: every mailbox has an answer."""
    database.execute("BEGIN")
    try:
        tx = desk(database, policy)
        for workspace in policy.workspaces.values():
            for address in list(workspace.mailboxes)[:3]:
                made = submission(workspace=workspace.name, mailbox=address)
                submit(tx, _OWNER, made, _RANDOM)
    finally:
        database.execute("ROLLBACK")


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Books that were answered with anything but a book or clear words, or not in time."""
    found = Found(KINDS)
    database = memory_database()
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    slowest_s = 0.0

    def check(changes: list[Change]) -> None:
        nonlocal slowest_s
        folder = Path(tempfile.mkdtemp(prefix="mp-book-"))
        try:
            _write(folder, changes)
            about = [change.name for change in changes], _shown(folder)
            began_s = time.process_time()
            try:
                with _hurried():
                    loaded = load(folder, own_uid=500, uid_of={"ana": 1000}.get)
            except Hang:
                found.note("hangs", about)
                return
            took_s = time.process_time() - began_s
            slowest_s = max(slowest_s, took_s)
            if took_s > CPU_S:
                found.note("hangs", f"{took_s:.1f} s", about)
            with found.surviving(about):
                _judge(found, loaded, database, about)
        finally:
            shutil.rmtree(folder)

    with planted(twins):
        try_each(found, cases, _books(), check)
    database.close()
    grown_mib = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib) / 1024
    if grown_mib > GROWN_MIB:
        found.note("hoards", f"{grown_mib:.0f} MiB")
    return found.measured(f"slowest {slowest_s:.2f} s", f"{grown_mib:.0f} MiB more")


def _write(folder: Path, changes: list[Change]) -> None:
    (folder / "workspaces").mkdir()
    for name, content in FAIR.items():
        (folder / name).write_bytes(content)
    for change in changes:
        path = folder / change.name
        regular = path.is_file() and not path.is_symlink()
        change.do(path, path.read_bytes() if regular else b"")


def _shown(folder: Path) -> list[tuple[str, bytes]]:
    """What was changed, for a person to see again."""
    shown = []
    for path in sorted(folder.rglob("*.toml"))[:10]:
        name = str(path.relative_to(folder))
        if path.is_symlink() or not path.is_file():
            shown.append((name, b"no file"))
        elif FAIR.get(name) != (content := path.read_bytes()):
            shown.append((name, content[:200]))
    return shown
