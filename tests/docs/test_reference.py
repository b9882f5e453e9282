"""The reference is complete: what the code knows, the documentation names."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from mailplane_wire import problems, submissions
from mailplaned.book.load import load_here
from mailplaned.book.meanings import about, meanings, tables
from mailplaned.book.schema import Table
from mailplaned.doors.http.routes import ROUTES, Route
from tests.docs.pages import ROOT, blocks
from tools import reference

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
TABLES = [table for file in reference.FILES.values() for table in tables(file)]


def test_the_page_of_the_book_is_what_its_types_give() -> None:
    assert reference.PAGE.read_text(encoding="utf-8") == reference.page(), "make reference"


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_of_the_book_has_a_meaning(table: type[Table]) -> None:
    assert about(table)
    keys = {field.encode_name for field in msgspec.structs.fields(table)}
    assert set(meanings(table)) == keys, "each key, and no other, in the table's docstring"


def test_the_problems_in_the_page_of_the_book_are_what_is_told(tmp_path: Path) -> None:
    page = blocks(reference.PAGE)
    (book,), (told,) = ([b.text for b in page if b.language == kind] for kind in ("toml", "text"))
    (tmp_path / "workspaces").mkdir()
    text = book.replace('account = "relay"', 'account = "relais"').replace('"day"', '"dya"')
    (tmp_path / "workspaces" / "acme.toml").write_text(text)
    assert load_here(tmp_path).problems == tuple(told.splitlines())


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_route_is_in_the_api_page(route: Route) -> None:
    method, path = route.method, route.path
    assert f"`{method} {path}`" in API
    line = next(line for line in API.splitlines() if f"`{method} {path}`" in line)
    assert (f"`{method} {path}` *" in line) is route.shim


@pytest.mark.parametrize("code", problems.STATUS)
def test_every_problem_is_in_the_api_page(code: str) -> None:
    status, _ = problems.STATUS[code]
    line = next(line for line in API.splitlines() if line.startswith("|") and f"`{code}`" in line)
    assert f"| {status} |" in line


@pytest.mark.parametrize(
    "struct", [submissions.Submission, submissions.Answer, submissions.Decision]
)
def test_every_field_of_a_submission_and_its_answer_is_in_the_api_page(
    struct: type[msgspec.Struct],
) -> None:
    for field in msgspec.structs.fields(struct):
        assert f"`{field.encode_name}`" in API
