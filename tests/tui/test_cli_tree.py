"""What every verb promises, asked of each one in click's own tree, where no daemon runs."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from mailplane_tui.actions import ACTIONS, Action, Danger
from tests.fakes.command_tree import USES, mailplane, nouns, verbs
from tests.fakes.operator_socket import PAUSE, page, serving
from tests.tui.test_cli import FORBIDDEN

COMMON = ("--json", "--workspace", "--socket", "--config", "--state", "--yes")
VERBS = verbs()
ASKING = [name for name in VERBS if name in USES and not USES[name].offline]


def test_the_table_has_every_verb_and_no_other() -> None:
    assert set(USES) == set(VERBS)
    for use in USES.values():
        assert not use.elsewhere or Path(__file__).parents[2].joinpath(use.elsewhere).exists()


@pytest.mark.parametrize("name", VERBS)
def test_a_verb_takes_the_common_flags_says_what_it_does_and_refuses_a_wrong_option(
    name: str,
) -> None:
    flags = [flag for param in VERBS[name].params for flag in param.opts]
    assert set(COMMON) <= set(flags)
    assert len(flags) == len(set(flags))
    helped = mailplane(*name.split(), "--help")
    assert (helped.code, helped.err) == (0, "")
    assert all(flag in helped.out for flag in COMMON)
    wrong = mailplane(*name.split(), "--nonsense")
    assert (wrong.code, wrong.out) == (2, "")
    assert "No such option" in wrong.err
    assert wrong.err.endswith(f"(see mailplane {name} --help)\n")
    assert wrong.err.count("\n") == 1


@pytest.mark.parametrize("name", ASKING)
def test_without_a_daemon_a_verb_ends_with_3_wherever_the_flags_stand(
    name: str, tmp_path: Path
) -> None:
    (tmp_path / "mailplane.toml").touch()
    places = defaultdict(lambda: "x", folder=str(tmp_path), config=str(tmp_path))
    words = [*name.split(), *USES[name].arguments(places)]
    words = words[: words.index("--socket")] if "--socket" in words else words
    flags = ["--socket", str(tmp_path / "none"), "--config", "c", "--state", "s"]
    flags += ["--yes"] if "--workspace" in words else ["--yes", "--workspace", "acme"]
    lines = {0: [*flags, *words], 1: [words[0], *flags, *words[1:]], 2: [*words, *flags]}
    for line in lines.values():
        ended = mailplane(*line, typed="x")
        assert (ended.code, ended.out) == (3, ""), line
        assert ended.err == (
            f"mailplane: no daemon at {tmp_path / 'none'}; start one with: mailplane up --detach\n"
        )


@pytest.mark.parametrize("flag", [flag for flag in COMMON if flag not in {"--json", "--yes"}])
def test_an_empty_value_is_wrong_usage_and_never_means_all(flag: str) -> None:
    ended = mailplane("mailbox", "list", flag, "")
    assert (ended.code, ended.out) == (2, "")
    assert "must not be empty" in ended.err


@pytest.mark.parametrize("name", nouns())
def test_a_noun_alone_or_with_a_wrong_verb_is_wrong_usage(name: str) -> None:
    for words in ([name], [name, "nonsense"]):
        ended = mailplane(*words)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.count("\n") == 1


def test_everything_is_neither_a_workspace_nor_in_one() -> None:
    words = ["pause", "add", "everything", "--reason", "r", "--workspace", "acme"]
    assert mailplane(*words).code == 2


def test_no_verb_loads_the_dashboard_or_the_daemon() -> None:
    script = (
        "import sys; from tests.fakes.command_tree import verbs; verbs();"
        f"print([name for name in {FORBIDDEN} if name in sys.modules])"
    )
    top = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=top, check=True
    )
    assert done.stdout == "[]\n"


TWINS = [action for action in ACTIONS if action.cli]


@pytest.mark.parametrize("action", TWINS, ids=lambda action: action.id)
def test_the_twin_of_an_action_is_a_command_line_that_is_whole(action: Action) -> None:
    assert action.cli is not None
    line = action.cli.format(address="ana@acme.example", workspace="acme")
    name = next(name for name in VERBS if f"{line} ".startswith(f"mailplane {name} "))
    words = shlex.split(line.removeprefix(f"mailplane {name}"))
    with VERBS[name].make_context(name, words) as context:  # raises where something is missing
        assert context.args == []


def test_whatever_the_dashboard_changes_has_a_twin_on_the_command_line() -> None:
    changing = [action for action in ACTIONS if action.danger is not Danger.VIEW]
    assert len(changing) > 4
    assert [action.id for action in changing if action.cli is None] == []


def test_an_argument_that_is_no_text_is_refused_in_one_line(tmp_path: Path) -> None:
    for words in (["message", "list", "--after"], ["message", "show"]):
        ended = mailplane(*words, "\udcff", "--socket", str(tmp_path / "none"))
        assert (ended.code, ended.err) == (1, "mailplane: what was typed is not UTF-8 text\n")


def test_a_terminal_of_another_encoding_gets_escapes_for_what_it_lacks(tmp_path: Path) -> None:
    with serving(tmp_path / "sock") as daemon:
        daemon.replies["GET /v1/pauses"] = page(PAUSE | {"reason": "grün 漢"})
        done = subprocess.run(
            [sys.executable, "-m", "mailplane_tui", "pause", "list"],
            env={
                **os.environ,
                "PYTHONIOENCODING": "latin-1",
                "MAILPLANE_SOCKET": str(tmp_path / "sock"),
            },
            capture_output=True,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.endswith(b"gr\xfcn \\u6f22\n")


def test_with_json_a_failure_is_a_problem_too(tmp_path: Path) -> None:
    ended = mailplane("status", "--json", "--socket", str(tmp_path / "none"))
    assert (ended.code, ended.out) == (3, "")
    assert json.loads(ended.err)["detail"].startswith("no daemon at ")
