"""An export and the public key are enough: what was altered in it is found, with nothing else."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mailplane_wire.audit.chain import BLOCK
from mailplane_wire.audit.verify import verify
from mailplaned.domain.roles import Caller, Role
from mailplaned.doors.http.replies import Refusal
from mailplaned.ports import Transaction
from tests.fakes.audit_kit import Log, entry, make_log, told, with_log

OF_ACME = Caller(name="ana", role=Role.AUDITOR, workspaces=frozenset(["acme"]))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_log(tmp_path_factory.mktemp("audit") / "log")


async def _export(log: Log, workspace: str | None) -> tuple[list[bytes], str]:
    return await log.export(workspace), log.audit.key


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value in a JSON value that is not itself one of several."""
    if isinstance(value, dict | list) and value:
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))
    else:
        yield path


def altered(value: Any, path: tuple[Any, ...]) -> Any:
    """The same JSON value with something else in one place."""
    if not path:
        return value + 1 if isinstance(value, int) else f"{value}0" if value else "other"
    key, *rest = path
    made = value.copy()
    made[key] = altered(value[key], tuple(rest))
    return made


@pytest.mark.parametrize("workspace", [None, "acme"])
def test_every_altered_value_in_an_export_is_found(made: Path, workspace: str | None) -> None:
    lines, key = with_log(made, lambda log: _export(log, workspace))
    chance = random.Random(7)
    tried = 0
    for number, line in enumerate(lines):
        content = json.loads(line)
        ways = list(places(content))
        for path in chance.sample(ways, min(len(ways), 6)) if number else ways:
            other = json.dumps(altered(content, path)).encode()
            found = verify([*lines[:number], other, *lines[number + 1 :]], [key])
            assert found.findings, (number, path)
            tried += 1
    assert tried > 120


@pytest.mark.parametrize("workspace", [None, "acme"])
def test_every_line_taken_from_an_export_put_twice_or_moved_is_found(
    made: Path, workspace: str | None
) -> None:
    lines, key = with_log(made, lambda log: _export(log, workspace))
    for number in range(len(lines)):
        without = [*lines[:number], *lines[number + 1 :]]
        assert verify(without, [key]).findings, number
        twice = [*lines[: number + 1], *lines[number:]]
        assert verify(twice, [key]).findings, number
        for at in {0, len(without) // 2, len(without)} - {number}:
            moved = [*without[:at], lines[number], *without[at:]]
            assert verify(moved, [key]).findings, (number, at)


def test_a_line_that_is_none_and_a_file_that_is_none_are_named(made: Path) -> None:
    lines, key = with_log(made, lambda log: _export(log, None))
    broken = verify([*lines[:20], b"\xff\xfe{", *lines[20:]], [key])
    assert told(broken)[0] == (None, "line 21 was altered: it is no line of an export")
    for nonsense in ([], [b""], [b"{}"], [b"[" * 100_000], [lines[5]]):
        assert told(verify(nonsense, [key])) == [(None, "this is no export of an audit log")]


def test_an_entry_that_was_left_out_of_a_workspaces_export_is_named(made: Path) -> None:
    lines, key = with_log(made, lambda log: _export(log, "acme"))
    left = json.loads(lines[5])["seq"]
    report = verify([*lines[:5], *lines[6:]], [key])
    assert told(report)[0][0] == left
    assert f"entry {left} is missing" in told(report)[0][1]


def test_a_forged_proof_is_named(made: Path) -> None:
    async def scene(log: Log) -> tuple[list[bytes], list[bytes], str]:
        return await log.prove(28), await log.prove(29), log.audit.key

    one, other, key = with_log(made, scene)
    assert told(verify(one, [key])) == []
    content, foreign = json.loads(one[1]), json.loads(other[1])
    forged = json.dumps({**content, "proof": foreign["proof"]}).encode()
    found = told(verify([one[0], forged, one[2]], [key]))
    assert found == [(28, "entry 28 was altered, or its proof is forged")]
    moved = json.dumps(foreign).encode()
    assert verify([one[0], moved, one[2]], [key]).findings, "another entry in its place"


def test_an_export_that_a_stranger_signed_proves_nothing(made: Path) -> None:
    lines, _ = with_log(made, lambda log: _export(log, "acme"))
    stranger = hashlib.sha256(b"stranger").hexdigest()
    report = verify(lines, [stranger])
    assert "is signed by another key" in told(report)[0][1]
    assert report.covered == 0


def test_a_workspaces_export_shows_nothing_of_others(made: Path) -> None:
    lines = with_log(made, lambda log: log.export("acme", OF_ACME))
    text = b"".join(lines[1:]).decode()
    assert '"workspace":"acme"' in text
    assert "bolt" not in text
    ours = {json.loads(line)["seq"] for line in lines[1:-1]}
    numbers = {number for number in range(1, 61) if f'for {number}"' in text}
    assert numbers == ours == {number for number in range(1, 61) if number % 3 == 0}


def test_who_sees_one_workspace_gets_no_proof_and_no_export_of_another(made: Path) -> None:
    async def scene(log: Log) -> list[str]:
        said = []
        for seq in (28, 29, 61):  # of bolt, of no workspace, of nobody yet
            with pytest.raises(Refusal) as refused:
                await log.prove(seq, OF_ACME)
            said.append(refused.value.problem.code)
        assert json.loads((await log.prove(30, OF_ACME))[1])["workspace"] == "acme"
        with pytest.raises(Refusal):
            await log.export("bolt", OF_ACME)
        return said

    assert with_log(made, scene) == ["not-found"] * 3


def test_what_no_checkpoint_covers_yet_is_in_no_workspaces_export(tmp_path: Path) -> None:
    async def scene(log: Log) -> tuple[int, list[tuple[int | None, str]], int]:
        with pytest.raises(Refusal, match="no checkpoint yet"):
            await log.export("acme")
        await log.add(entry(1, "acme"))
        await log.audit.checkpoint()
        await log.add(entry(2, "acme"))
        with pytest.raises(Refusal, match="no checkpoint covers entry 2"):
            await log.prove(2)
        part, whole = await log.check("acme"), await log.check()
        return part.entries, told(part) + told(whole), whole.covered

    assert with_log(tmp_path / "log", scene) == (1, [], 1)


@pytest.mark.slow
def test_a_log_of_several_blocks_proves_each_of_its_entries(tmp_path: Path) -> None:
    size = 2 * BLOCK + 300

    async def scene(log: Log) -> None:
        def fill(tx: Transaction) -> None:
            for number in range(1, size + 1):
                tx.add_audit(entry(number, ("acme", "bolt")[number % 500 == 0]))

        await log.store.write(fill)
        await log.audit.checkpoint()
        for workspace in (None, "acme", "bolt"):
            assert told(await log.check(workspace)) == []
        assert (await log.check("bolt")).entries == size // 500
        for seq in (1, BLOCK, BLOCK + 1, 2 * BLOCK, 2 * BLOCK + 1, size):
            assert told(verify(await log.prove(seq), [log.audit.key])) == []

    with_log(tmp_path / "log", scene)


def test_an_empty_log_is_right_and_covers_nothing(tmp_path: Path) -> None:
    report = with_log(tmp_path / "log", lambda log: log.check())
    assert told(report) == []
    assert (report.entries, report.covered) == (0, 0)
