"""What a shell is told when Tab is pressed: verbs, flags, and names that the daemon has."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.operator_socket import PAUSE, Daemon, page, serving

BREAKS = " \t\n\"'@><=;|&(:"
"""COMP_WORDBREAKS as bash has it (bash(1))."""

BOTH = ["plain,ana@acme.example", "plain,anton@acme.example"]
NAMES = ["ana@acme.example", "anton@acme.example", "a$(touch owned)", "a b", "a*", "a\x1b[2J", "z"]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with serving(tmp_path / "sock") as server:
        server.replies["GET /v1/names"] = page(*NAMES)
        yield server


def ask(shell: str, line: str, folder: Path) -> list[str]:
    """What the program answers to a shell whose cursor is at the end of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_LINE": line, "COMP_WORDBREAKS": BREAKS},
        "zsh": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "fish": {"COMP_WORDS": line, "COMP_CWORD": words[-1]},
    }[shell]
    done = subprocess.run(
        [sys.executable, "-m", "mailplane_tui"],
        env={
            **os.environ,
            **asked,
            "_MAILPLANE_COMPLETE": f"{shell}_complete",
            "MAILPLANE_SOCKET": str(folder / "sock"),
        },
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return [line for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize(
    ("shell", "line", "answer"),
    [
        ("bash", "mailplane mai", ["plain,mailbox"]),
        ("bash", "mailplane mailbox pause x --re", ["plain,--reason"]),
        ("bash", "mailplane mailbox show an", BOTH),
        ("bash", "mailplane mailbox show anton@ac", ["plain,acme.example"]),
        ("bash", "mailplane --workspace=an", BOTH),
        ("bash", "mailplane mailbox list --workspace z", ["plain,z"]),
        ("bash", "mailplane send --mailbox ant", ["plain,anton@acme.example"]),
        ("bash", "mailplane pause add domain z", ["plain,z"]),
        ("bash", "mailplane status --config ", ["dir,"]),
        ("bash", "mailplane message resolve ", ["plain,msg_1"]),
        ("bash", "mailplane people remove b", ["plain,bob"]),
        ("zsh", "mailplane mailbox resume ant", ["plain", "anton@acme.example", "_"]),
        ("fish", "mailplane workspace pause z", ["plain,z"]),
    ],
)  # fmt: skip
def test_a_shell_is_told_verbs_flags_and_names(
    daemon: Daemon, tmp_path: Path, shell: str, line: str, answer: list[str]
) -> None:
    assert ask(shell, line, tmp_path) == answer


def test_only_names_that_no_shell_can_take_for_more_are_told(
    daemon: Daemon, tmp_path: Path
) -> None:
    answer = ask("bash", "mailplane mailbox show a", tmp_path)
    assert answer == BOTH
    assert daemon.asked == [("GET /v1/names?of=mailboxes&prefix=a", None)]


def test_a_pause_is_told_with_what_it_stops_and_nothing_that_steers_a_terminal(
    daemon: Daemon, tmp_path: Path
) -> None:
    kind, name, words = ask("zsh", "mailplane pause lift ", tmp_path)
    assert (kind, name) == ("plain", PAUSE["id"])
    assert words.startswith("mailbox:ana@acme.example bad list ")
    assert words.isprintable()


def test_a_name_that_several_workspaces_use_is_told_once_with_whose_it_is(
    daemon: Daemon, tmp_path: Path
) -> None:
    owners = (None, "acme", "beta")
    daemon.replies["GET /v1/secrets"] = page(*({"name": "relay", "workspace": o} for o in owners))
    assert ask("zsh", "mailplane secret rotate ", tmp_path) == ["plain", "relay", "acme, beta"]


def test_without_a_daemon_there_are_no_names_and_no_noise(tmp_path: Path) -> None:
    assert ask("bash", "mailplane mailbox show a", tmp_path) == []


def test_bash_puts_a_whole_address_together(daemon: Daemon, tmp_path: Path) -> None:
    """As bash calls it: the answer replaces only what follows the last of its word breaks."""
    script = """
        eval "$(mailplane completion bash)"
        for COMP_LINE in "mailplane mailbox show ana@" "mailplane mailbox show "; do
            COMP_POINT=${#COMP_LINE}
            _mailplane_completion mailplane
            echo "${COMPREPLY[*]}"
        done
    """
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COMP_WORDBREAKS": BREAKS,
            "MAILPLANE_SOCKET": str(tmp_path / "sock"),
        },
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=30,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["acme.example", "ana@acme.example anton@acme.example z"]
    assert [path.name for path in tmp_path.iterdir()] == ["sock"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_that_its_shell_can_read(shell: str) -> None:
    command = [sys.executable, "-m", "mailplane_tui", "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "_MAILPLANE_COMPLETE" in script
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    read = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")
