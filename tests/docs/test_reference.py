"""The reference is complete: what the code knows, the documentation names."""

from __future__ import annotations

import re

import msgspec
import pytest

from mailplane_wire import problems, submissions
from mailplaned.book import schema
from mailplaned.doors.http.routes import ROUTES, Route
from tests.docs.pages import ROOT

OPERATOR = (ROOT / "docs" / "operator.md").read_text(encoding="utf-8")
API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

NOT_ACTED_ON = {"region", "feed", "consent", "content"}
"""Keys that `mailplane book status` names, and the guide therefore does not."""

TABLES = (
    schema.OperatorTable, schema.ShimTable, schema.LimitsTable, schema.MemberTable,
    schema.CapTable, schema.WorkspaceTable, schema.AccountTable, schema.DkimTable,
    schema.DomainTable, schema.RampTable, schema.PaceTable, schema.MailboxTable,
    schema.PathTable, schema.RecipientCapTable, schema.WorkloadTable,
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.__name__)
def test_every_key_of_the_book_is_in_the_operators_guide(table: type[schema.Table]) -> None:
    named = set(re.findall(r"`[^`]*`", OPERATOR))
    words = {word for text in named for word in re.findall(r"\w+", text)}
    keys = {field.encode_name for field in msgspec.structs.fields(table)}
    assert keys - NOT_ACTED_ON <= words


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
