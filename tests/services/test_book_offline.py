"""A book can be checked, and its form be told, where no daemon runs."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from mailplane_tui.cli.main import main
from mailplaned.book import schema

EXAMPLE = Path(__file__).parent / "example-book"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = main(arguments)
    return code, capsys.readouterr().out


def test_a_good_book_is_checked_with_exit_code_0(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "book", "check", str(EXAMPLE))
    assert code == 0
    assert out.splitlines()[-1].startswith("good: ")
    code, out = run(capsys, "book", "check", "--config", str(EXAMPLE), "--json")
    found = json.loads(out)
    assert (code, len(found["hash"]), found["problems"]) == (0, 16, [])


def test_all_problems_of_a_book_are_told_with_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "mailplane.toml").write_text("[shimm]\n")
    (tmp_path / "workspaces" / "a.toml").write_text("x = [")
    code, out = run(capsys, "book", "check", str(tmp_path))
    told, last = out.splitlines()[:-1], out.splitlines()[-1]
    assert (code, last) == (1, "2 problems")
    assert told[0].startswith("problem: mailplane.toml: line 1, column 2: shimm: unknown key")
    assert told[1].startswith("problem: workspaces/a.toml: ")


def test_a_folder_that_is_not_there_is_no_good_book(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = run(capsys, "book", "check", str(tmp_path / "none"))
    assert code == 1
    assert "there is no such folder" in out


@pytest.mark.parametrize(
    ("name", "type_"), [("mailplane", schema.DaemonFile), ("workspace", schema.WorkspaceFile)]
)
def test_the_schema_names_every_key_of_the_file(
    capsys: pytest.CaptureFixture[str], name: str, type_: type[msgspec.Struct]
) -> None:
    code, out = run(capsys, "book", "schema", name)
    made = json.loads(out)
    (table,) = (part for part in made["$defs"].values() if part["title"] == type_.__name__)
    assert code == 0
    assert set(table["properties"]) == {part.encode_name for part in msgspec.structs.fields(type_)}
    assert table["additionalProperties"] is False
