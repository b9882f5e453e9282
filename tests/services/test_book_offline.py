"""A book can be checked, and its form be told, where no daemon runs."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

from mailplane_tui.cli.main import main
from mailplaned.book.daemon_schema import DaemonFile
from mailplaned.book.offline import json_schema
from mailplaned.book.schema import WorkspaceFile

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
    ("name", "type_"), [("mailplane", DaemonFile), ("workspace", WorkspaceFile)]
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
    described = [part for made_of in made["$defs"].values() for part in _properties(made_of)]
    assert all(part["description"] for part in described)
    assert "null" not in out


@pytest.mark.parametrize(
    ("name", "file", "faults"),
    [
        (
            "mailplane",
            "mailplane.toml",
            [('"0600"', '"0666"'), ("message_bytes", "message_byte"), ('name = "ana"\n', "")],
        ),
        (
            "workspace",
            "workspaces/acme.toml",
            [
                ('"3d"', '"3 days"'),
                ("limit = 2_000", "limit = -1"),
                ("2026-11-02", '"soon"'),
                ('["ben@', '[5, "ben@'),
                ("manual = 5", '"No Name" = 5'),
                ("[workload.cold]", "[workload.cold]\npath = 1"),
            ],
        ),
    ],
)
def test_an_editor_that_goes_by_the_schema_takes_the_example_and_sees_mistakes(
    name: str, file: str, faults: list[tuple[str, str]]
) -> None:
    form = json_schema(name)
    jsonschema.Draft202012Validator.check_schema(form)
    judge = jsonschema.Draft202012Validator(form, format_checker=jsonschema.FormatChecker())
    text = (EXAMPLE / file).read_text()
    assert not list(judge.iter_errors(_as_json(text)))
    for old, new in faults:
        assert old in text
        assert list(judge.iter_errors(_as_json(text.replace(old, new, 1)))), new


def _properties(table: dict[str, Any]) -> list[dict[str, Any]]:
    return list(table.get("properties", {}).values())


def _as_json(text: str) -> Any:
    """A TOML file as an editor hands it to a schema: days are texts."""
    return json.loads(json.dumps(tomllib.loads(text), default=str))
