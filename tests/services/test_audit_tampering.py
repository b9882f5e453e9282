"""Whoever meddles with the log is found, and what they did is named at the right entry.

They can write the database and the file outside, drop triggers and compute hashes; they don't have
the key. The log has 60 entries of two workspaces and of none, and checkpoints of 20, 40 and 60.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mailplane_wire.audit.chain import SALT_BYTES, genesis, leaf_hash, link_hash
from mailplane_wire.audit.report import Report
from mailplane_wire.audit.verify import verify
from mailplaned.vault.notary import CHECKPOINT_FILE, KEY_FILE
from tests.fakes.audit_kit import (
    ENTRIES,
    Log,
    copied,
    entry,
    make_log,
    meddle,
    told,
    with_database,
    with_log,
)

COLUMNS = "at, actor, action, workspace_id, target, detail, sealed, before, nonce"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("audit") / "log")


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Iterator[Path]:
    yield copied(made, tmp_path / "log")
    shutil.rmtree(tmp_path)


def checked(folder: Path, workspace: str | None = None) -> Report:
    return with_log(folder, lambda log: log.check(workspace))


def test_a_log_that_nobody_touched_is_right(made: Path) -> None:
    report = checked(made)
    assert told(report) == []
    assert (report.entries, report.covered, report.checkpoints) == (ENTRIES, ENTRIES, 3)
    assert report.redacted == 0
    for workspace in ("acme", "bolt"):
        part = checked(made, workspace)
        assert told(part) == []
        assert (part.entries, part.covered) == (ENTRIES // 3, ENTRIES)


# --- rows ----------------------------------------------------------------------------------------


def row(connection: sqlite3.Connection, seq: int) -> dict[str, Any]:
    connection.row_factory = sqlite3.Row
    found = connection.execute(
        "SELECT a.*, s.name AS workspace FROM audit AS a LEFT JOIN scopes AS s "
        "ON s.id = a.workspace_id WHERE seq = ?",
        (seq,),
    ).fetchone()
    connection.row_factory = None
    return dict(found)


def leaf_of(values: dict[str, Any]) -> bytes:
    names = ("seq", "at", "actor", "action", "workspace", "target", "detail", "sealed", "before")
    return leaf_hash(**{name: values[name] for name in names}, nonce=values["nonce"].hex())


def rehash(connection: sqlite3.Connection, first: int, last: int) -> None:
    """Compute the hashes of some entries anew, as one who knows the format can."""
    for seq in range(first, last + 1):
        if seq == 1:
            (origin,) = connection.execute("SELECT origin FROM audit_log").fetchone()
            before = genesis(origin)
        else:
            (before,) = connection.execute(
                "SELECT hash FROM audit WHERE seq = ?", (seq - 1,)
            ).fetchone()
        hash_ = link_hash(before, leaf_of(row(connection, seq)))
        connection.execute("UPDATE audit SET hash = ? WHERE seq = ?", (hash_, seq))


def remove(folder: Path, first: int, last: int) -> None:
    meddle(
        folder,
        f"DELETE FROM audit_personal WHERE seq BETWEEN {first} AND {last}",
        f"DELETE FROM audit WHERE seq BETWEEN {first} AND {last}",
    )


def renumber(connection: sqlite3.Connection, behind: int, by: int) -> None:
    """Give all entries behind one other numbers, values and all."""
    connection.execute("PRAGMA foreign_keys = OFF")
    for table in ("audit", "audit_personal"):
        connection.execute(f"UPDATE {table} SET seq = -seq WHERE seq > {behind}")
        connection.execute(f"UPDATE {table} SET seq = -seq + {by} WHERE seq < 0")


def swap(folder: Path, one: int, other: int, columns: str) -> None:
    def change(connection: sqlite3.Connection) -> None:
        names = [name.strip() for name in columns.split(",")]
        read = f"SELECT {columns} FROM audit WHERE seq = ?"
        first, second = (connection.execute(read, (seq,)).fetchone() for seq in (one, other))
        write = f"UPDATE audit SET {', '.join(f'{name} = ?' for name in names)} WHERE seq = ?"
        connection.execute(write, (*second, one))
        connection.execute(write, (*first, other))
        connection.execute("PRAGMA foreign_keys = OFF")
        for old, new in ((one, -other), (other, -one)):
            connection.execute("UPDATE audit_personal SET seq = ? WHERE seq = ?", (new, old))
        connection.execute("UPDATE audit_personal SET seq = -seq WHERE seq < 0")

    with_database(folder, change)


def insert(folder: Path, at: int) -> None:
    def change(connection: sqlite3.Connection) -> None:
        renumber(connection, at - 1, 1)
        columns = COLUMNS.replace("action", "'made up'")
        connection.execute(
            f"INSERT INTO audit (seq, {COLUMNS}, hash) SELECT {at}, {columns}, randomblob(32) "
            f"FROM audit WHERE seq = {at - 1}"
        )

    with_database(folder, change)


@pytest.mark.parametrize(
    "change",
    [
        "actor = 'eve'",
        "action = 'resume '",
        "at = at + 1",
        "workspace_id = NULL",
        "target = 'domain:other.example'",
        "target = NULL",
        "detail = '{}'",
        "detail = 'no JSON'",
        "detail = '[1]'",
        "sealed = '{}'",
        "sealed = '7'",
        "before = before + 1",
        "nonce = randomblob(16)",
        "hash = randomblob(32)",
    ],
)
def test_an_altered_row_is_named(copy: Path, change: str) -> None:
    meddle(copy, f"UPDATE audit SET {change} WHERE seq = 28")
    seq, what = told(checked(copy))[0]
    assert (seq, "entry 28 was altered" in what) == (28, True), what
    assert checked(copy).covered in (20, 40, 60)


def test_the_first_of_several_altered_rows_comes_first(copy: Path) -> None:
    meddle(copy, "UPDATE audit SET actor = 'eve' WHERE seq IN (11, 28, 47)")
    assert [seq for seq, _ in told(checked(copy))] == [11, 28, 47]


def test_a_row_altered_with_its_hash_is_found_by_the_one_after_it(copy: Path) -> None:
    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE audit SET actor = 'eve' WHERE seq = 28")
        rehash(connection, 28, 28)

    with_database(copy, change)
    ((seq, what),) = told(checked(copy))
    assert seq == 29
    assert "or entry 28 together with its hash" in what


def test_a_log_written_anew_from_a_row_on_contradicts_the_next_checkpoint(copy: Path) -> None:
    rewrite(copy, 28)
    seq, what = told(checked(copy))[0]
    assert seq == 21
    assert "an entry from 21 to 40 was altered and all hashes after it computed anew" in what
    assert checked(copy).covered == 20


def test_a_removed_row_is_named(copy: Path) -> None:
    remove(copy, 28, 28)
    assert told(checked(copy)) == [(28, "entry 28 is missing: removed")]


def test_removed_rows_are_named(copy: Path) -> None:
    remove(copy, 28, 33)
    assert told(checked(copy)) == [(28, "entries 28 to 33 are missing: removed")]


@pytest.mark.parametrize("last", [28, 33])
def test_removed_rows_are_named_though_those_after_have_new_numbers(copy: Path, last: int) -> None:
    remove(copy, 28, last)
    with_database(copy, lambda connection: renumber(connection, 28, 27 - last))
    found = told(checked(copy))
    assert found[0][0] == 28
    assert "missing: removed, and those after numbered anew" in found[0][1]
    assert len(found) == 1, "one act, told once"


@pytest.mark.parametrize("at", [1, 28, 60])
def test_an_inserted_row_is_named(copy: Path, at: int) -> None:
    if at == 1:
        insert(copy, 2)
        swap(copy, 1, 2, COLUMNS + ", hash")
    else:
        insert(copy, at)
    seq, what = told(checked(copy))[0]
    assert (seq, f"entry {at} was inserted" in what) == (at, True), what


def test_a_row_put_behind_the_last_is_named(copy: Path) -> None:
    meddle(
        copy,
        f"INSERT INTO audit (seq, {COLUMNS}, hash) SELECT 61, {COLUMNS}, hash "
        "FROM audit WHERE seq = 60",
    )
    assert told(checked(copy)) == [
        (61, "entry 61 was altered or inserted, or entry 60 together with its hash")
    ]


@pytest.mark.parametrize("columns", [COLUMNS, COLUMNS + ", hash"], ids=["content", "whole"])
@pytest.mark.parametrize("other", [29, 31, 58])
def test_rows_that_changed_places_are_named(copy: Path, other: int, columns: str) -> None:
    swap(copy, 28, other, columns)
    found = told(checked(copy))
    assert found[0] == (28, f"entries 28 and {other} stand in each other's place: reordered")
    assert len(found) == 1


def test_a_removed_tail_is_named_by_the_checkpoint_that_speaks_of_it(copy: Path) -> None:
    remove(copy, 55, 60)
    ((seq, what),) = told(checked(copy))
    assert seq == 55
    assert "entries 55 to 60 are missing: removed from the end" in what
    assert "the checkpoint of 60 entries" in what


def test_a_database_put_back_to_an_earlier_state_is_named_by_the_file_outside(copy: Path) -> None:
    remove(copy, 41, 60)
    meddle(copy, "DELETE FROM audit_checkpoints WHERE size > 40")
    lost, gone = told(checked(copy))
    assert lost[0] is None
    assert "the database lacks 1 of the checkpoints that the file outside has" in lost[1]
    assert gone[0] == 41
    assert "the database was put back to an earlier state" in gone[1]


# --- values of persons ---------------------------------------------------------------------------


def test_a_value_taken_out_leaves_the_log_right(copy: Path) -> None:
    meddle(copy, "DELETE FROM audit_personal WHERE seq = 28 AND field = 'detail.reason'")
    report = checked(copy)
    assert told(report) == []
    assert report.redacted == 1


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_personal SET value = '\"for another\"' WHERE seq = 28",
        "UPDATE audit_personal SET salt = randomblob(16) WHERE seq = 28",
        "UPDATE audit_personal SET value = 'no JSON' WHERE seq = 28",
        "UPDATE audit_personal SET value = (SELECT min(value) FROM audit_personal) WHERE seq = 28",
    ],
)
def test_a_value_put_in_anothers_place_is_named(copy: Path, change: str) -> None:
    meddle(copy, change)
    assert told(checked(copy)) == [
        (28, "entry 28: the value of detail.reason is not the one that was sealed")
    ]


def test_a_value_that_the_entry_never_had_is_named(copy: Path) -> None:
    meddle(copy, "INSERT INTO audit_personal VALUES (28, 'detail.note', randomblob(16), '\"x\"')")
    assert told(checked(copy)) == [
        (28, "entry 28: the value of detail.note was added; the entry never had it")
    ]


# --- checkpoints, inside and outside -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("root = randomblob(32)", "its signature does not fit"),
        ("head = randomblob(32)", "its signature does not fit"),
        ("at = at + 1", "its signature does not fit"),
        ("signature = randomblob(64)", "its signature does not fit"),
        ("signature = x''", "its signature does not fit"),
        ("frontier = randomblob(length(frontier))", "its frontier does not lead to its root"),
        ("frontier = x''", "its frontier does not lead to its root"),
        ("key = 'ab'", "is signed by another key (ab"),
        ("size = 39", "its signature does not fit"),
    ],
)
def test_an_edited_checkpoint_is_named(copy: Path, change: str, words: str) -> None:
    meddle(copy, f"UPDATE audit_checkpoints SET {change} WHERE size = 40")
    found = [what for seq, what in told(checked(copy)) if seq is None]
    size = 39 if "39" in change else 40
    assert f"the checkpoint of {size} entries" in found[0]
    assert words in found[0]


def test_a_checkpoint_removed_from_the_table_is_named(copy: Path) -> None:
    meddle(copy, "DELETE FROM audit_checkpoints WHERE size = 40")
    ((seq, what),) = told(checked(copy))
    assert seq is None
    assert "the database lacks 1 of the checkpoints that the file outside has" in what
    assert "the first that of 40 entries" in what


def with_file(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = folder / CHECKPOINT_FILE
    lines = change(path.read_text().splitlines())
    path.write_text("".join(line + "\n" for line in lines))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:2], "lacks 1 of the checkpoints, the first that of 60 entries: its"),
        (lambda lines: [], "lacks 3 of the checkpoints, the first that of 20 entries: its end was"),
        (lambda lines: [lines[0], lines[2]], "the first that of 40 entries: lines were removed"),
        (lambda lines: [*lines, "{}"], "line 4 of the file outside the database was altered"),
        (lambda lines: [*lines, "\x1b[2J"], "line 4 of the file outside the database was altered"),
        (
            lambda lines: [lines[0], lines[1].replace('"at":1', '"at":2'), lines[2]],
            "line 2 of the file outside the database was altered: its signature does not fit",
        ),
        (
            lambda lines: [lines[0], lines[1].replace('"size":40', '"size":41'), lines[2]],
            "line 2 of the file outside the database was altered: its signature does not fit",
        ),
    ],
    ids=["cut", "empty", "line removed", "line added", "escape", "time", "size"],
)
def test_an_edited_file_is_named(
    copy: Path, change: Callable[[list[str]], list[str]], words: str
) -> None:
    with_file(copy, change)
    found = told(checked(copy))
    assert found[0][0] is None
    assert any(words in what for _, what in found), found


def test_a_file_that_is_gone_is_named(copy: Path) -> None:
    (copy / CHECKPOINT_FILE).unlink()
    assert "lacks 3 of the checkpoints" in told(checked(copy))[0][1]


def test_another_key_is_named_by_who_kept_the_first(copy: Path) -> None:
    first = with_log(copy, _key)
    (copy / KEY_FILE).unlink()

    async def scene(log: Log) -> list[bytes]:
        key = Ed25519PrivateKey.from_private_bytes(bytes(32))
        log.audit._notary._key = key  # type: ignore[attr-defined]
        log.audit._notary.key = key.public_key().public_bytes_raw().hex()
        await log.add(entry(61, "acme"))
        await log.audit.checkpoint()
        return await log.export()

    lines = with_log(copy, scene)
    found = [what for _, what in told(verify(lines, [first]))]
    assert "the head of the export is signed by another key" in found[0]
    assert "the checkpoint of 61 entries" in found[1]
    assert "is signed by another key" in found[1]
    second = json.loads(lines[0])["key"]
    assert told(verify(lines, [first, second])) == [], "who knows both keys accepts both"


async def _key(log: Log) -> str:
    return log.audit.key


def rewrite(folder: Path, at: int) -> None:
    """Alter an entry and compute all hashes from there on anew."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE audit SET actor = 'eve' WHERE seq = ?", (at,))
        rehash(connection, at, ENTRIES)

    with_database(folder, change)


def test_two_hundred_random_acts_are_all_found(made: Path, tmp_path: Path) -> None:
    """Goal: none of the kinds of tampering passes, wherever it is done."""
    chance = random.Random(11)
    numbers = count()
    kinds: list[Callable[[Path, int], None]] = [
        lambda folder, at: meddle(folder, f"UPDATE audit SET actor = 'eve' WHERE seq = {at}"),
        lambda folder, at: remove(folder, at, at),
        lambda folder, at: insert(folder, at + 1),
        lambda folder, at: swap(folder, at, at % ENTRIES + 1, COLUMNS),
        lambda folder, at: remove(folder, at, ENTRIES),
        rewrite,
    ]
    missed = []
    for kind in range(len(kinds)):
        for _ in range(34):
            at = chance.randint(1, ENTRIES)
            folder = copied(made, tmp_path / str(next(numbers)))
            kinds[kind](folder, at)
            if not checked(folder).findings:
                missed.append((kind, at))
            shutil.rmtree(folder)
    assert missed == []


def test_salts_are_long_enough_and_never_the_same(made: Path) -> None:
    connection = sqlite3.connect(made / "mailplane.db")
    salts = [salt for (salt,) in connection.execute("SELECT salt FROM audit_personal")]
    nonces = [nonce for (nonce,) in connection.execute("SELECT nonce FROM audit")]
    connection.close()
    drawn = salts + nonces
    assert {len(one) for one in drawn} == {SALT_BYTES}
    assert len(set(drawn)) == len(drawn) == ENTRIES * 2 + ENTRIES // 2
