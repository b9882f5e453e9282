"""The log's upkeep: when it is signed, how a start goes on, what is taken out, what is dropped."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mailplane_wire.audit.report import Report
from mailplane_wire.audit.verify import verify
from mailplaned.audit_ports import AuditFilter
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry
from mailplaned.domain.windows import DAY_US, HOUR_US
from mailplaned.ports import Transaction
from mailplaned.services.audit import EVERY, give_up, kept_us
from mailplaned.vault.key import KeyRefused
from mailplaned.vault.notary import CHECKPOINT_FILE, KEY_FILE, FileNotary
from tests.fakes.audit_kit import Log, copied, entry, make_log, meddle, told, with_log
from tests.fakes.store_kit import small_book


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_log(tmp_path / "log")


async def rows(log: Log) -> list[AuditEntry]:
    return await log.store.read(lambda reader: reader.audit(None, 0, 1000))


async def acts(log: Log) -> list[str]:
    return [row.action for row in await rows(log)]


# --- how a start goes on -------------------------------------------------------------------------


async def _begin(log: Log) -> tuple[list[str], list[tuple[int | None, str]]]:
    await log.audit.begin()
    return log.audit.findings, told(await log.check())


def test_a_start_on_a_log_that_is_right_writes_nothing(folder: Path) -> None:
    assert with_log(folder, _begin) == ([], [])
    assert len(with_log(folder, acts)) == 60


def test_numbers_that_were_signed_are_not_given_again_when_the_end_is_gone(folder: Path) -> None:
    meddle(folder, "DELETE FROM audit_personal WHERE seq > 54", "DELETE FROM audit WHERE seq > 54")
    findings, found = with_log(folder, _begin)
    assert "entries 55 to 60 of the audit log are missing" in findings[0]
    assert found == [(55, "entries 55 to 60 are missing: removed")]
    *_, last = with_log(folder, rows)
    assert (last.seq, last.action, last.detail) == (61, "audit gap", {"first": 55, "last": 60})
    assert with_log(folder, _begin) == ([], found), "it is noted once"


def test_an_older_database_goes_on_behind_what_the_file_outside_has(
    folder: Path, tmp_path: Path
) -> None:
    older = copied(folder, tmp_path / "older")

    async def more(log: Log) -> None:
        await log.add(*(entry(number, "acme") for number in range(61, 70)))
        await log.audit.checkpoint()

    with_log(folder, more)
    shutil.copy(folder / CHECKPOINT_FILE, older / CHECKPOINT_FILE)
    findings, found = with_log(older, _begin)
    assert "the database was put back to an earlier state" in findings[0]
    assert found == [(61, "entries 61 to 69 are missing: removed")]
    *_, last = with_log(older, rows)
    assert (last.seq, last.action) == (70, "audit gap")

    async def proves(log: Log) -> Report:
        await log.add(entry(71, "acme"))
        await log.audit.checkpoint()
        assert told(verify(await log.prove(71), [log.audit.key])) == []
        return await log.check("acme")

    report = with_log(older, proves)
    assert report.last == 71
    words = "has no proof: others that it takes are missing"
    assert all(words in what for _, what in told(report)), "not called forged"


def test_a_checkpoint_that_a_stranger_put_into_the_file_is_not_gone_by(folder: Path) -> None:
    path = folder / CHECKPOINT_FILE
    last = json.loads(path.read_text().splitlines()[-1])
    with path.open("a") as file:
        file.write(json.dumps({**last, "size": 1000}) + "\n")
    findings, found = with_log(folder, _begin)
    assert findings == []
    assert "line 4 of the file outside the database was altered" in found[0][1]
    assert len(with_log(folder, acts)) == 60


def test_another_key_is_noted(folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / CHECKPOINT_FILE, tmp_path / CHECKPOINT_FILE)

    async def scene(log: Log) -> tuple[list[str], AuditEntry]:
        log.audit._notary = FileNotary(tmp_path, bytes(32))
        await log.audit.begin()
        return log.audit.findings, (await rows(log))[-1]

    findings, last = with_log(folder, scene)
    assert "audit.key is another one" in findings[0]
    assert last.action == "audit key changed"
    assert set(last.detail) == {"old", "new"}


def test_one_checkpoint_that_a_kill_kept_from_the_file_is_written_silently(folder: Path) -> None:
    path = folder / CHECKPOINT_FILE
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]) + lines[-1][:40])  # and the line was broken off

    async def scene(log: Log) -> tuple[list[str], list[str], Report]:
        await log.audit.begin()
        await log.add(entry(61, "acme"))
        await log.audit.checkpoint()
        return log.audit.findings, await acts(log), await log.check()

    findings, actions, report = with_log(folder, scene)
    assert (findings, len(actions), told(report)) == ([], 61, [])
    assert path.read_text().startswith("".join(lines))


def test_a_file_that_was_cut_is_written_anew_and_that_is_noted(folder: Path) -> None:
    path = folder / CHECKPOINT_FILE
    whole = path.read_text()
    path.write_text(whole.splitlines(keepends=True)[0])
    findings, found = with_log(folder, _begin)
    assert "lacked 2 of them" in findings[0]
    assert found == []
    assert path.read_text().startswith(whole)
    assert with_log(folder, acts)[-1] == "audit file written anew"


# --- when it is signed ---------------------------------------------------------------------------


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_what_is_new_is_signed_within_the_hour_and_nothing_twice(tmp_path: Path) -> None:
    async def scene(log: Log) -> list[int]:
        await log.add(entry(1, "acme"), entry(2, "acme"))
        running = asyncio.create_task(log.audit.run())
        while log.audit._notary.kept < 2:
            await _turns(1)
        assert log.clock.boot <= 1_000_000 + 2 * HOUR_US
        await _turns(200)  # many an hour, by this clock
        await log.add(entry(3, "acme"))
        log.audit.stop()
        await running
        return [found.size for found in (await log.audit.checkpoints())[0]]

    assert with_log(tmp_path / "log", scene) == [2, 3]


def test_a_thousand_entries_are_signed_at_once(tmp_path: Path) -> None:
    async def scene(log: Log) -> None:
        log.store.on_commit(log.audit.note_commit)

        def many(tx: Transaction) -> None:
            for number in range(EVERY):
                tx.add_audit(entry(number, "acme"))

        assert not log.audit._wake.is_set()
        await log.store.write(many)
        assert log.audit._wake.is_set()

    with_log(tmp_path / "log", scene)


def test_a_file_that_can_not_be_written_is_said_and_made_up_for(folder: Path) -> None:
    path = folder / CHECKPOINT_FILE
    kept = path.read_text()

    async def scene(log: Log) -> tuple[str | None, str | None]:
        path.unlink()
        path.mkdir()
        await log.add(entry(61, "acme"))
        await log.audit.checkpoint()
        said = log.audit.problem
        path.rmdir()
        path.write_text(kept)
        await log.add(entry(62, "acme"))
        await log.audit.checkpoint()
        assert told(await log.check()) == []
        return said, log.audit.problem

    said, after = with_log(folder, scene)
    assert said is not None
    assert "are not kept outside" in said
    assert after is None


def test_the_key_is_kept_and_only_ours(tmp_path: Path) -> None:
    first = FileNotary(tmp_path, bytes(32)).key
    path = tmp_path / KEY_FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert FileNotary(tmp_path, bytes(range(32))).key == first
    path.chmod(0o640)
    with pytest.raises(KeyRefused, match="has mode 0640; make it 0600"):
        FileNotary(tmp_path, bytes(32))
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(KeyRefused, match="not an Ed25519 private key in PEM"):
        FileNotary(tmp_path, bytes(32))


# --- one transaction -----------------------------------------------------------------------------


def test_a_change_that_fails_leaves_no_entry_and_no_trace_in_the_chain(tmp_path: Path) -> None:
    async def scene(log: Log) -> None:
        def fails(tx: Transaction) -> None:
            tx.add_audit(entry(99, "acme"))
            raise RuntimeError

        done = await asyncio.gather(
            log.add(entry(1, "acme")), log.store.write(fails), log.add(entry(2, None)),
            return_exceptions=True,
        )  # fmt: skip
        assert [type(one) for one in done] == [type(None), RuntimeError, type(None)]
        await log.add(entry(3, "acme"))
        report = await log.check()
        assert (report.entries, told(report)) == (3, [])

    with_log(tmp_path / "log", scene)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve' WHERE seq = 7",
        "DELETE FROM audit WHERE seq = 7",
        "DELETE FROM audit WHERE seq = 60",
        "UPDATE audit_personal SET value = '1' WHERE seq = 7",
        "UPDATE audit_checkpoints SET at = 1",
        "DELETE FROM audit_checkpoints",
        "UPDATE audit_log SET dropped = 30",
        "UPDATE audit_log SET origin = 'other'",
        "DELETE FROM audit_log",
    ],
)
def test_the_tables_refuse_what_is_not_an_addition(folder: Path, statement: str) -> None:
    connection = sqlite3.connect(folder / "mailplane.db")
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|behind a checkpoint only"):
        connection.execute(statement)
    connection.close()


# --- search --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"actor": "eve"}, []),
        ({"actions": frozenset({"pause"}), "workspace": "acme"}, list(range(3, 61, 3))),
        ({"target": "BOX27@acme"}, [27]),
        ({"target": "d28.ex"}, [28]),
        ({"target": "%"}, []),
        ({"since_us": 1_772_323_200_000_058}, [58, 59, 60]),
        ({"until_us": 1_772_323_200_000_003, "workspace": "bolt"}, [1]),
        ({"actions": frozenset({"resume", "nothing"}), "after": 50, "limit": 2}, [52, 55]),
    ],
)
def test_a_search_finds_what_is_wanted_and_no_more(
    folder: Path, wanted: dict[str, Any], found: list[int]
) -> None:
    async def scene(log: Log) -> list[int]:
        asked = AuditFilter(**wanted)
        rows, _ = await log.store.read(lambda reader: reader.search_audit(asked))
        return [row.seq for row in rows]

    assert with_log(folder, scene) == found


# --- redaction -----------------------------------------------------------------------------------

KIM = "kim@there.example"


def about_kim(number: int, workspace: str) -> AuditEntry:
    return replace(
        entry(number, workspace),
        target=f"recipient:{KIM}",
        detail={"reason": f"Kim <{KIM.upper()}> asked", "origin": "operator"},
    )


@pytest.mark.parametrize(("workspace", "values"), [(None, 4), ("acme", 2), ("bolt", 2)])
def test_an_address_is_taken_out_of_every_value_and_the_log_stays_right(
    folder: Path, workspace: str | None, values: int
) -> None:
    async def scene(log: Log) -> tuple[int, list[AuditEntry], Report]:
        await log.add(about_kim(61, "acme"), about_kim(62, "bolt"), entry(63, "acme"))
        count = await log.audit.redact(KIM, workspace, "owner", "asked to be forgotten")
        return count, (await rows(log))[60:], await log.check()

    count, shown, report = with_log(folder, scene)
    assert count == values
    assert told(report) == []
    assert report.redacted == values
    gone = [row.target == "(redacted)" for row in shown]
    assert gone == [workspace != "bolt", workspace != "acme", False, False]
    last = shown[-1]
    assert (last.action, last.detail["values"]) == ("audit redacted", values)
    if workspace is None:
        text = (folder / "mailplane.db").read_bytes().lower()
        assert KIM.encode() not in text, "and is not on the disk"


def test_nothing_to_take_out_is_no_change(folder: Path) -> None:
    async def scene(log: Log) -> tuple[int, int]:
        return await log.audit.redact(KIM, None, "owner", "why"), len(await rows(log))

    assert with_log(folder, scene) == (0, 60)


# --- retention -----------------------------------------------------------------------------------


def keeping(*days: int | None) -> Policy:
    """A book of as many workspaces, each of which keeps its audit so long."""
    book = small_book()
    (acme,) = book.workspaces.values()
    return replace(
        book,
        workspaces={
            f"w{number}": replace(
                acme, name=f"w{number}", keep_audit_us=None if each is None else each * DAY_US
            )
            for number, each in enumerate(days)
        },
    )


def test_the_workspace_that_keeps_longest_decides() -> None:
    assert kept_us(keeping(30, 400)) == 400 * DAY_US
    assert kept_us(keeping(30, None)) is None
    assert kept_us(keeping()) is None


def test_old_entries_go_as_far_as_they_are_signed_and_the_rest_verifies(folder: Path) -> None:
    async def scene(log: Log) -> None:
        log.clock.advance(20 * DAY_US)
        await log.add(*(entry(number, "acme") for number in range(61, 65)))
        await log.audit.checkpoint()
        log.clock.advance(20 * DAY_US)
        await log.add(entry(65, "acme"))
        await log.audit._drop()
        left = [row.seq for row in await rows(log)]
        assert left == list(range(61, 67)), "what is 30 days old and signed has gone"
        last = (await rows(log))[-1]
        assert (last.action, last.detail) == ("audit dropped", {"first": 1, "last": 60})
        await log.audit._drop()
        assert len(await rows(log)) == 6, "once"
        await log.audit.checkpoint()
        for workspace in (None, "acme"):
            report = await log.check(workspace)
            assert told(report) == []
            assert report.dropped == 60
        assert (await log.check()).first == 61

    with_log(folder, scene, policy=keeping(30))

    async def again(log: Log) -> list[tuple[int | None, str]]:
        await log.audit.begin()
        await log.add(entry(67, "acme"))
        return told(await log.check())

    assert with_log(folder, again) == [], "a start goes on behind what was dropped"
    meddle(folder, "UPDATE audit_checkpoints SET head = randomblob(32) WHERE size = 60")
    assert (None, "entries 1 to 60 are gone without a checkpoint") in with_log(folder, again)


def test_all_of_an_idle_log_may_go(folder: Path) -> None:
    async def scene(log: Log) -> None:
        log.clock.advance(40 * DAY_US)
        await log.audit._drop()
        assert [row.seq for row in await rows(log)] == [61]
        log.clock.advance(40 * DAY_US)
        await log.audit.checkpoint()
        log.clock.advance(40 * DAY_US)
        await log.audit._drop()
        assert [row.seq for row in await rows(log)] == [62]
        assert told(await log.check()) == []

    with_log(folder, scene, policy=keeping(30))


def test_a_book_that_says_nothing_keeps_everything(folder: Path) -> None:
    async def scene(log: Log) -> int:
        log.clock.advance(4000 * DAY_US)
        await log.store.write(give_up)
        return len(await rows(log))

    assert with_log(folder, scene, policy=keeping(30, None)) == 60


def test_a_start_reads_what_lies_behind_the_last_checkpoint_only(folder: Path) -> None:
    async def scene(log: Log) -> list[str]:
        await log.add(entry(61, "acme"))
        asked: list[str] = []
        connection = log.store._connections._connection  # type: ignore[attr-defined]
        connection.set_trace_callback(asked.append)
        await log.store.write(lambda tx: tx.chain())
        return [text.partition("WHERE")[2].strip() for text in asked if "BETWEEN" in text]

    spans = with_log(folder, scene)
    assert spans
    assert all("BETWEEN 61 AND 61" in span for span in spans)
