"""The verbs that edit the book, against a stand-in daemon: what they ask for, and what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.operator_socket import CHANGE, REPLIES, Daemon, page, serving
from tests.tui.test_cli import run


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("MAILPLANE_SOCKET", str(tmp_path / "d.sock"))
    with serving(tmp_path / "d.sock") as server:
        yield server


EDITS: list[tuple[str, str | None, dict[str, Any]]] = [
    (
        "mailbox add k@x.example --account relay --cap 50/day --cap 9_000/week/calendar share.a=1",
        "acme",
        {"account": "relay", "share.a": 1,
         "caps": [{"limit": 50, "per": "day"},
                  {"limit": 9000, "per": "week", "window": "calendar"}]},
    ),
    (
        "mailbox set ana@acme.example name= ramp={from=2026-12-01,start=5} pace=nan account=7up",
        "acme",
        {"name": None, "ramp": {"from": "2026-12-01", "start": 5}, "pace": "nan",
         "account": "7up"},
    ),
    ("domain set ACME.example --cap 9/hour/recipients", "acme",
     {"caps": [{"limit": 9, "per": "hour", "counts": "recipients"}]}),
    ("path add p --tier a@x,b@x --tier c@x failover=never --workspace beta", "beta",
     {"tiers": [["a@x", "b@x"], ["c@x"]], "failover": "never"}),
    ("account set nowhere a=1\nb=2 c=[1,true,1.5] d==", "acme",
     {"a": "1\nb=2", "c": [1, True, 1.5], "d": "="}),
    ("workspace add beta", "beta", {}),
    ("workspace remove beta --yes", "beta", {}),
    ("people set bob --role operator --in b --in a", None,
     {"role": "operator", "workspaces": ["b", "a"]}),
    ("people set bob --role operator --uid 7 --workspace a", None,
     {"role": "operator", "unix_user": None, "uid": 7, "workspaces": ["a"]}),
    ("people remove bob --yes", None, {}),
]  # fmt: skip


@pytest.mark.parametrize(("line", "workspace", "values"), EDITS)
def test_the_book_is_edited_as_the_line_says(
    daemon: Daemon,
    capsys: pytest.CaptureFixture[str],
    line: str,
    workspace: str | None,
    values: dict[str, Any],
) -> None:
    code, _, err = run(capsys, *line.split(" "))
    assert (code, err) == (0, "")
    noun, verb, name = line.split(" ")[:3]
    table = "member" if noun == "people" else noun
    assert daemon.asked[-1] == (
        "POST /v1/book/edits",
        {
            "workspace": workspace,
            "edits": [{"op": verb, "table": table, "name": name, "values": values}],
            "probe": True,
        },
    )


def test_an_edit_that_the_book_can_not_have_is_exit_code_1_and_says_why(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    problems = ["workspaces/acme.toml: line 3: bad \x1b[2J"]
    daemon.replies["POST /v1/book/edits"] = CHANGE | {"applied": False, "problems": problems}
    code, out, err = run(capsys, "domain", "add", "x.example")
    assert (code, err) == (1, "")
    assert out.startswith("problem: workspaces/acme.toml: line 3: bad")
    assert "\x1b" not in out
    assert "added" not in out


def test_an_edit_without_a_workspace_asks_which_is_meant(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    (acme,) = REPLIES["GET /v1/workspaces"]["items"]
    daemon.replies["GET /v1/workspaces"] = page(acme, acme | {"name": "beta"})
    (main_path,) = REPLIES["GET /v1/paths"]["items"]
    daemon.replies["GET /v1/paths"] = page(main_path, main_path | {"workspace": "beta"})
    code, _, err = run(capsys, "domain", "add", "x.example")
    assert (code, "there are several workspaces: give --workspace" in err) == (2, True)
    for line in ("path set nowhere a=1", "mailbox set k@x.example a=1"):
        code, _, err = run(capsys, *line.split())
        assert (code, "no workspace has " in err, "give --workspace" in err) == (2, True, True)
    code, _, err = run(capsys, "path", "set", "main", "a=1")
    assert (code, "path main is in acme and beta: give --workspace" in err) == (2, True)
    daemon.replies["GET /v1/workspaces"] = page()
    code, _, err = run(capsys, "domain", "add", "x.example")
    assert (code, "mailplane workspace add" in err) == (1, True)
    assert all(line.startswith("GET ") for line, _ in daemon.asked)
