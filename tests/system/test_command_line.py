"""Every verb at a running daemon: JSON for who may, exit code 4 for who may not.

The walk goes through click's own tree; `tests/fakes/command_tree.py` says how to call each verb.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from mailplaned.doors.http.routes import ROUTES
from tests.fakes.command_house import VIEWER, Heard, House, running_house
from tests.fakes.command_tree import USES, Ended, mailplane, verbs
from tests.fakes.process_terminal import at_terminal
from tests.fakes.process_wait import until

LOOKING = {
    "POST /v1/preflight",
    "POST /v1/suppressions/check",
    "POST /v1/audit/checkpoints",
    "POST /v1/book/diff",
}
"""What asks by POST and changes nothing that a person is answerable for."""

WITHOUT_A_VERB = {
    "GET /metrics": "is for Prometheus",
    "GET /v1/names": "is for the completion of names",
    "POST /v1/everything/pause": "is POST /v1/pauses, which pause add sends",
    "POST /v1/everything/resume": "is DELETE /v1/pauses/{id} of each, which pause lift sends",
}

pytestmark = pytest.mark.xdist_group("command line")

as_another = pytest.mark.skipif(os.geteuid() != 0, reason="only root can call as somebody else")


@dataclass
class Walk:
    """How each verb ended, and what it asked the daemon."""

    ended: dict[str, Ended] = field(default_factory=dict)
    asked: dict[str, list[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with running_house() as made:
        yield made


@pytest.fixture(scope="module")
def walk(house: House) -> Walk:
    """The owner's call of every verb, once, in the order of the tree."""
    done = Walk()
    for name in verbs():
        if name in USES and not USES[name].elsewhere:  # the tree's own test misses the others
            Heard.requests.clear()
            done.ended[name] = house.call(name)
            done.asked[name] = list(Heard.requests)
    return done


def changing(walk: Walk) -> list[str]:
    """The verbs that changed something at the daemon."""
    return [
        name
        for name, asked in walk.asked.items()
        if any(not line.startswith("GET ") and line not in LOOKING for line in asked)
    ]


def test_each_verb_answers_in_json(walk: Walk) -> None:
    wrong = {}
    for name, ended in walk.ended.items():
        told = ended.out if USES[name].code == 0 else ended.err.removeprefix("mailplane: ")
        try:
            answers = [json.loads(line) for line in told.splitlines()]
        except ValueError:
            answers = []
        if ended.code != USES[name].code or not answers or not told.isascii():
            wrong[name] = ended
    assert wrong == {}
    assert len(walk.ended) > 50


@as_another
def test_each_changing_verb_ends_with_4_for_a_viewer_and_changes_nothing(
    house: House, walk: Walk
) -> None:
    before = house.daemon.door.get("/v1/audit?last=1")["items"][0]["seq"]
    names = changing(walk)
    assert len(names) > 20
    wrong = {}
    for name in names:
        words = [*name.split(), *USES[name].arguments(house)]  # made by the owner, where it needs
        with house.someone_else(VIEWER):
            ended = mailplane(*words, *house.at, "--yes", typed=USES[name].typed)
        said = "mailplane: viewer (viewer) may not"
        if (ended.code, ended.out, ended.err.count("\n")) != (4, "", 1) or said not in ended.err:
            wrong[name] = ended
    assert wrong == {}
    after = house.daemon.door.all(f"/v1/audit?after={before}")
    assert {row["action"] for row in after if row["actor"] == "viewer"} == {"denied"}


def test_every_route_has_a_verb(walk: Walk) -> None:
    asked = {line for lines in walk.asked.values() for line in lines}
    assert not asked & set(WITHOUT_A_VERB)
    missing = []
    for route in ROUTES:
        known = f"{route.method} {route.path}"
        pattern = re.compile(re.sub(r"{\w+}", "[^/]+", known))
        if not any(pattern.fullmatch(line) for line in asked) and known not in WITHOUT_A_VERB:
            missing.append(known)
    assert missing == []


@as_another
def test_who_may_not_open_the_socket_or_is_not_in_the_book_ends_with_4(house: House) -> None:
    with house.someone_else(VIEWER + 1):
        nobody = mailplane("status", *house.at)
        told = mailplane("doctor", *house.at)
    assert (nobody.code, nobody.err.count("\n")) == (4, 1)
    assert f"no member with uid {VIEWER + 1}" in nobody.err
    assert (told.code, "ask an owner" in told.out) == (1, True)
    with house.someone_else(VIEWER, mode=0o600):
        shut_out = mailplane("status", *house.at)
    assert (shut_out.code, shut_out.err.count("\n")) == (4, 1)
    assert "you may not open this socket" in shut_out.err


@as_another
def test_who_may_not_stop_the_daemon_ends_with_4_and_it_runs_on(house: House) -> None:
    script = (
        "import os, sys; from mailplane_tui.cli.main import main; "
        "socket = ['--socket', sys.argv[1]]; "
        "main(['down', '--socket', '/none']); main(['status', *socket]); "  # loads what is needed
        f"os.setuid({VIEWER}); sys.exit(main(['down', *socket]))"
    )
    command = [sys.executable, "-c", script, str(house.daemon.socket)]
    with house.someone_else(VIEWER):
        done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 4
    assert done.stderr.splitlines()[-1] == (
        f"mailplane: pid {house.daemon.pid} is not yours to stop"
    )
    assert house.daemon.door.get("/v1/health")["pid"] == house.daemon.pid


def test_a_path_of_several_workspaces_is_paused_in_the_one_that_is_meant_or_not_at_all(
    house: House,
) -> None:
    way = '[[path]]\nname = "beta-way"\ntiers = [["ana@acme.example"]]\n'
    acme = house.daemon.config / "workspaces" / "acme.toml"
    door = house.daemon.door
    count = len(door.get("/v1/paths?workspace=acme")["items"]) + 1
    house.daemon.write("workspaces/acme.toml", acme.read_text() + way)
    until(lambda: len(door.get("/v1/paths?workspace=acme")["items"]) == count, "both paths", 10)
    assert door.get("/v1/names?of=paths&prefix=beta-way")["items"] == ["beta-way"]
    words = ["pause", "add", "path", "beta-way", "--reason", "r", "--json", *house.at]
    unclear = mailplane(*words)
    assert unclear.code == 1
    assert "say acme/beta-way or beta/beta-way" in unclear.err
    meant = mailplane(*words, "--workspace", "beta")
    assert json.loads(meant.out)["scope"] == "path:beta/beta-way"


@pytest.mark.parametrize(
    "line",
    [
        "mailbox pause ida@beta.example",
        "mailbox resume ida@beta.example",
        "domain pause beta.example",
        "workspace pause beta",
        "pause add mailbox ida@beta.example",
        "pause add path beta-no",
    ],
)
def test_a_name_of_another_workspace_than_the_one_that_is_meant_is_refused(
    house: House, line: str
) -> None:
    before = house.daemon.door.get("/v1/pauses")
    ended = mailplane(*line.split(), "--reason", "r", "--workspace", "acme", *house.at)
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("mailplane: acme has no ")
    assert house.daemon.door.get("/v1/pauses") == before


def test_the_workspace_that_is_given_narrows_every_list(house: House, walk: Walk) -> None:
    door = house.daemon.door
    for name in ("acme", "beta"):
        door.post("/v1/tokens", {"name": f"of-{name}", "workspace": name})
        door.post("/v1/secrets", {"name": f"of-{name}", "workspace": name, "value": "x"})
    lists = [name for name in verbs() if name.endswith(" list")]
    assert len(lists) > 6
    for name in lists:
        for asked, other in (("acme", "beta"), ("beta", "acme")):
            ended = mailplane(*name.split(), *house.at, "--json", "--workspace", asked)
            rows = json.loads(ended.out)["items"]
            assert other not in {row.get("workspace", row.get("name")) for row in rows}, name
    for name in ("mailbox list", "domain list", "path list", "workspace list", "status"):
        unknown = mailplane(*name.split(), *house.at, "--workspace", "nonsense")
        assert unknown.code == 1, name
        assert "there is no workspace 'nonsense'" in unknown.err


_COLOUR = re.compile(rb"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;5;[0-9]+)m")


def test_a_terminal_gets_a_bar_and_colours_and_no_color_takes_the_colours(house: House) -> None:
    words = ["audit", "verify", *house.at]
    code, seen = at_terminal(words, {"NO_COLOR": ""})
    assert code == 0
    assert b"verifying" in seen
    assert seen.endswith(b"\x1b[32mnothing is wrong with it\x1b[0m\r\n")
    code, seen = at_terminal(words, {"NO_COLOR": "1"})
    assert b"verifying" in seen
    assert not _COLOUR.search(seen)
    code, seen = at_terminal([*words, "--json"], {"NO_COLOR": ""})
    assert b"\x1b" not in seen
    assert json.loads(seen)["findings"] == []
    piped = mailplane(*words)
    assert (piped.code, piped.err, "\x1b" in piped.out) == (0, "", False)


def test_a_backup_that_is_read_shows_each_step_on_a_terminal(house: House) -> None:
    code, seen = at_terminal(["backup", "verify", house["backup"]], {})
    assert code == 0
    steps = [seen.index(word) for word in (b"reading ", b"looking the database over", b"holds")]
    assert steps == sorted(steps)
    assert b"progress" not in seen


@as_another
def test_the_doctor_tells_a_viewer_what_it_could_not_look_at(house: House) -> None:
    with house.someone_else(VIEWER):
        ended = mailplane("doctor", "--json", *house.at)
    found = {check["check"]: check for check in json.loads(ended.out)["items"]}
    assert found["audit log"]["status"] == "warning"
    assert "viewer (viewer) may not read the audit log" in found["audit log"]["detail"]


def test_another_folder_is_compared_and_put_in_place_of_the_book(
    house: House, tmp_path: Path
) -> None:
    daemon = house.daemon
    folder = tmp_path / "other"
    shutil.copytree(daemon.config, folder)
    path = folder / "workspaces/beta.toml"
    path.write_text(path.read_text() + '\n[retention]\naudit = "3y"\n')
    said = mailplane("book", "diff", str(folder), *house.at)
    assert (said.code, said.out) == (0, "retention added: audit 3y\n")
    path.write_text(path.read_text() + "oops\n")
    for verb in ("diff", "apply"):
        said = mailplane("book", verb, str(folder), *house.at)
        assert said.code == 1
        assert said.out.startswith("problem: workspaces/beta.toml: line ")
    path.write_text(path.read_text().removesuffix("oops\n"))
    said = mailplane("book", "apply", str(folder), "--yes", *house.at)
    assert (said.code, said.out.splitlines()[0], said.err) == (0, "retention added: audit 3y", "")
    assert (daemon.config / "workspaces/beta.toml").read_text() == path.read_text()
    said = mailplane("audit", "search", "retention", *house.at)
    assert "retention added  retention  audit 3y (workspaces/beta.toml)" in said.out
