"""The command line against a stand-in daemon: exit codes, output, and what it never does."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mailplane_tui.cli.main import VERBS, main
from mailplane_wire.problems import problem
from mailplaned.book.load import load
from tests.fakes.operator_socket import ANSWER, HEALTH, NOW, Daemon, serving


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    path = tmp_path / "d.sock"
    monkeypatch.setenv("MAILPLANE_SOCKET", str(path))
    with serving(path) as server:
        yield server


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    return code, out, err


CALLS = [
    (["status"], ["2 ready, 1 full", "book: p"]),
    (["mailbox", "list"], ["15 of 50 a day", "paused"]),
    (["mailbox", "show", "ana@acme.example"], ["rolling day", "pau_1"]),
    (["mailbox", "pause", "ana@acme.example", "--reason", "r"], ["paused ana@acme.example"]),
    (["mailbox", "resume", "ana@acme.example", "--reason", "r"], ["resumed ana@acme.example"]),
    (["workspace", "list"], ["2 ready, 1 full"]),
    (["workspace", "pause", "acme", "--reason", "r", "--until", NOW], [f"paused acme until {NOW}"]),
    (["workspace", "resume", "a/../b", "--reason", "r"], ["resumed"]),
    (["domain", "list"], ["acme.example"]),
    (["path", "list"], ["a@x > b@x"]),
    (["pause", "list"], ["pau_1"]),
    (["pause", "add", "everything", "--reason", "r"], ["as pau_1"]),
    (["pause", "add", "domain", "acme.example", "--reason", "r"], ["as pau_1"]),
    (["pause", "lift", "pau_1", "--reason", "r"], ["lifted pau_1"]),
    (["message", "list"], ["msg_1", "more: --after c2"]),
    (["message", "show", "msg_1"], ["k@x.example", "<1@a>"]),
    (["message", "cancel", "msg_1", "--reason", "r"], ["canceled msg_1"]),
    (["message", "resolve", "msg_1", "--sent", "--reason", "r"], ["resolved msg_1"]),
    (["message", "resolve", "msg_1", "--not-sent", "--reason", "r", "--yes"], ["resolved msg_1"]),
    (["send", "--to", "k@x.example", "--text", "hi"], ["msg_1: scheduled", "0 of 50 left"]),
    (["preflight", "--to", "k@x.example", "--text", "hi"], ["preflight: scheduled"]),
    (["event", "tail"], ["msg_11", "msg_30"]),
    (["event", "tail", "--after", "28"], ["msg_29", "msg_30"]),
    (["audit", "tail"], ["pause"]),
    (["token", "list"], ["tok_1"]),
    (["token", "create", "seq", "--workspace", "acme"], ["mp_x"]),
    (["token", "revoke", "tok_1", "--yes"], ["revoked tok_1"]),
    (["suppression", "add", "k@x.example"], ["every workspace", "msg_9"]),
    (["suppression", "remove", "sup_1", "--reason", "r", "--yes"], ["no longer"]),
    (["suppression", "check", "k@x.example"], ["ADDRESS"]),
    (["suppression", "list"], ["ADDRESS"]),
    (["ledger", "verify"], ["2 charges in 1 scopes"]),
    (["domain", "show", "ACME.example"], ["acme.example", "rolling day"]),
    (["account", "list"], ["relay", "smtp"]),
    (["account", "show", "relay"], ["acme"]),
    (["path", "show", "main"], ["a@x > b@x", "cold"]),
    (["workspace", "show", "acme"], ["2 ready, 1 full"]),
    (["people", "list"], ["owner", "all"]),
    (["path", "add", "main", "--tier", "a@x"], ["path main added", "notice: n of main"]),
    (["mailbox", "remove", "ana@acme.example", "--yes"], ["path main added"]),
    (["book", "status"], ["abc", "problem: p", "notice: n"]),
]


@pytest.mark.parametrize(("arguments", "expected"), CALLS, ids=lambda value: " ".join(value)[:30])
def test_a_verb_answers_a_person_and_a_script(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], arguments: list[str], expected: list[str]
) -> None:
    code, out, err = run(capsys, *arguments)
    assert code == 0, err
    for text in expected:
        assert text in out
    assert all(line.isprintable() for line in (out + err).splitlines())
    code, out, _ = run(capsys, "--json", *arguments)
    assert code == 0
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()]


def test_following_a_log_shows_each_event_once(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "event", "tail", "--after", "28", "-f", "--json")
    shown = [json.loads(line)["message"] for line in out.splitlines()]
    assert shown == ["msg_29", "msg_30", "msg_31"]
    assert (code, json.loads(err)["detail"]) == (3, "the daemon closed the stream")
    assert daemon.asked[0][0] == "GET /v1/stream"


PROBLEMS = [
    ("not-permitted", 4, "viewers may not"),
    ("cap-reached", 1, "the day is full (try again in 60 s)"),
    ("invalid", 1, "two faults; to: is empty; subject: has a line break"),
    ("unauthenticated", 1, "who?"),
    ("stopping", 1, "later"),
]


def test_a_fault_that_the_words_tell_already_is_told_once(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    faults = [{"field": "workspace", "reason": "there is none"}, {"field": "to", "reason": "empty"}]
    daemon.replies["POST /v1/messages"] = problem(
        "invalid", "workspace: there is none", errors=msgspec.convert(faults, list[Any])
    )
    _, _, err = run(capsys, "send", "--to", "k@x.example")
    assert err == "mailplane: workspace: there is none; to: empty\n"


@pytest.mark.parametrize(("code", "exit_code", "text"), PROBLEMS)
def test_a_refusal_is_one_line_and_an_exit_code(
    daemon: Daemon, capsys: pytest.CaptureFixture[str], code: str, exit_code: int, text: str
) -> None:
    faults = re.findall(r"; (\w+): ([^;]+)", text)
    daemon.replies["POST /v1/messages"] = problem(
        code,
        re.split(r"; | \(", text)[0],
        errors=msgspec.convert([{"field": f, "reason": r} for f, r in faults], list[Any]) or None,
        retry_after_s=60 if code == "cap-reached" else None,
    )
    ended, out, err = run(capsys, "send", "--to", "k@x.example")
    assert (ended, out, err) == (exit_code, "", f"mailplane: {text}\n")
    ended, out, err = run(capsys, "send", "--to", "k@x.example", "--json")
    assert (ended, out) == (exit_code, "")
    assert json.loads(err)["type"].endswith(code)


@pytest.mark.parametrize(
    ("arguments", "exit_code", "text"),
    [
        (["nonsense"], 2, "No such command"),
        (["status", "--nonsense"], 2, "No such option"),
        (["mailbox"], 2, "Missing command"),
        (["mailbox", "pause", "ana@acme.example"], 2, "--reason"),
        (["pause", "add", "everything", "acme", "--reason", "r"], 2, "name what to pause"),
        (["pause", "add", "mailbox", "--reason", "r"], 2, "name what to pause"),
        (["message", "resolve", "msg_1", "--reason", "r"], 2, "--sent or --not-sent"),
        (["message", "resolve", "m", "--not-sent", "--reason", "r"], 1, "--yes"),
        (["token", "create", "seq"], 2, "--workspace"),
        (["send", "--text", "a", "--text-file", "/dev/null"], 2, "not both"),
        (["send", "--header", "X"], 2, "NAME:VALUE"),
        (["send", "--json-file", "/dev/null"], 1, "not JSON"),
        (["send", "--json-file", "/dev/null", "--to", "a@b"], 2, "leave the other options out"),
        (["send", "--attach", "/nowhere/x"], 1, "No such file"),
        (["message", "show", "msg_\x1b[2J"], 1, "no such"),
        (["mailbox", "add", "k@x", "--cap", "50/fortnight"], 2, "50/day"),
        (["mailbox", "set", "k@x", "account"], 2, "KEY=VALUE"),
        (["mailbox", "set", "k@x", "--name", "K", "name=L"], 2, "name is given twice"),
        (["people", "set", "bob", "--role", "boss"], 2, "'boss' is not one of"),
        (["people", "set", "bob", "--role", "viewer", "--uid", "7", "--unix-user", "b"], 2, "both"),
        (["path", "remove", "main"], 1, "--yes"),
        ([], 2, "needs a terminal"),
    ],
)
def test_wrong_usage_is_told_in_one_line(
    daemon: Daemon,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    exit_code: int,
    text: str,
) -> None:
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (exit_code, "")
    assert text in err
    assert err.count("\n") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [["status"], ["down"], ["event", "tail", "-f"], ["send"]])
def test_no_daemon_is_exit_code_3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    code, out, err = run(capsys, *arguments, "--socket", str(tmp_path / "none.sock"))
    assert (code, out) == (3, "")
    assert "no daemon at" in err
    assert err.count("\n") == 1


def test_the_message_is_sent_as_the_options_say(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("hi")
    run(
        capsys, "--workspace", "acme", "send", "--to", "a@x", "--to", "Kim <k@x>",
        "--header", "X-Campaign: 42", "--metadata", "campaign=q4", "--on-cap", "reject",
        "--attach", str(tmp_path / "a.txt"), "--text-file", str(tmp_path / "a.txt"),
    )  # fmt: skip
    assert daemon.asked[-1] == (
        "POST /v1/messages",
        {
            "to": ["a@x", "Kim <k@x>"],
            "headers": {"X-Campaign": "42"},
            "metadata": {"campaign": "q4"},
            "on_cap": "reject",
            "attachments": [{"name": "a.txt", "type": "text/plain", "content": "aGk="}],
            "text": "hi",
            "workspace": "acme",
        },
    )


def test_a_batch_with_one_refusal_is_exit_code_1(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = msgspec.to_builtins(problem("suppressed", "k@x is suppressed"))
    daemon.replies["POST /v1/messages"] = {"results": [ANSWER, refused]}
    file = tmp_path / "batch.json"
    file.write_text(json.dumps({"messages": [{"to": ["a@x"]}, {"to": ["k@x"]}]}))
    code, out, err = run(capsys, "send", "--json-file", str(file))
    assert code == 1
    assert "msg_1" in out
    assert err == "mailplane: k@x is suppressed\n"


def test_a_ledger_that_differs_is_exit_code_1(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.replies["GET /v1/ledger/verify"] = {
        "charges": 1, "scopes": 1, "differences": ["mailbox:a: 3, not 2"],
    }  # fmt: skip
    code, out, _ = run(capsys, "ledger", "verify")
    assert code == 1
    assert "differs: mailbox:a: 3, not 2" in out


def test_init_makes_a_book_that_loads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config, state = tmp_path / "config", tmp_path / "state"
    places = ["--config", str(config), "--state", str(state)]
    code, out, _ = run(capsys, "init", *places)
    token = (state / "example.token").read_text()
    assert code == 0
    assert re.fullmatch(r"mp_[A-Za-z0-9_-]{43}\n", token)
    assert token.strip() not in out
    assert "mailplane up" in out
    assert os.stat(state).st_mode & 0o777 == 0o700
    assert os.stat(state / "example.token").st_mode & 0o777 == 0o600
    loaded = load(config, own_uid=0, uid_of=lambda _: None)
    assert loaded.problems == ()
    assert loaded.policy is not None
    assert loaded.policy.notices == ()
    assert list(loaded.policy.workspaces) == ["example"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*") if path.is_file()}
    code, out, err = run(capsys, "init", *places)
    assert (code, out) == (1, "")
    assert "exists already" in err
    assert before == {path: path.read_bytes() for path in before}


def test_what_is_commented_out_in_the_example_is_valid_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, "init", "--config", str(tmp_path), "--state", str(tmp_path / "state"))
    for path in tmp_path.rglob("*.toml"):
        path.write_text(re.sub(r"(?m)^( *)# (?=\S+ = |\[\[|\{)", r"\1", path.read_text()))
    loaded = load(tmp_path, own_uid=0, uid_of={"ana": 1, "bob": 2}.get)
    assert loaded.problems == ()


def test_up_tells_why_the_daemon_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    state.write_text("a file, so that nothing can be put into it")
    code, _, err = run(capsys, "up", "--detach", "--state", str(state))
    assert code == 1
    assert err.count("\n") == 1


def test_up_refuses_a_second_daemon(
    daemon: Daemon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = run(capsys, "up", "--detach", "--state", str(tmp_path / "s"),
                       "--socket", os.environ["MAILPLANE_SOCKET"])  # fmt: skip
    assert code == 1
    assert "answers" in err


def test_down_ends_the_daemon_and_waits_until_it_is_gone(
    daemon: Daemon, capsys: pytest.CaptureFixture[str]
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    daemon.replies["GET /v1/health"] = HEALTH | {"pid": child.pid}

    def close_with_child() -> None:
        child.wait()
        daemon.server_close()

    watcher = threading.Thread(target=close_with_child)
    watcher.start()
    code, out, err = run(capsys, "down")
    watcher.join()
    assert (code, err) == (0, "")
    assert str(child.pid) in out
    assert child.returncode == -signal.SIGTERM


FORBIDDEN = ("textual", "httpx", "starlette", "mailplaned", "aiosqlite", "uvicorn")


SLOW = ("email", "http.client", "ssl", "msgspec", "platformdirs", "rich", "importlib.metadata")


def test_a_list_imports_nothing_that_takes_longer_than_its_call(daemon: Daemon) -> None:
    script = (
        "import sys; from mailplane_tui.cli.main import main; "
        "code = main(['mailbox', 'list', '--json']); "
        f"print(code, [name for name in {FORBIDDEN + SLOW} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "0 []"


def test_the_command_line_imports_no_dashboard_and_no_daemon(tmp_path: Path) -> None:
    script = (
        "import sys; from mailplane_tui.cli.main import main; "
        f"codes = [main(['--help']), main(['status', '--socket', {str(tmp_path / 'x')!r}])]; "
        f"found = [name for name in {FORBIDDEN} if name in sys.modules]; "
        "print(codes, found)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[0, 3] []"


@pytest.mark.parametrize("command", [["-m", "mailplane_tui"], ["-m", "mailplane_tui", "send"]])
def test_help_names_every_flag(command: list[str]) -> None:
    done = subprocess.run([sys.executable, *command, "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    for flag in ("--json", "--workspace", "--socket", "--config", "--state", "--yes"):
        assert flag in done.stdout
    if len(command) == 2:
        assert all(f"  {verb} " in done.stdout for verb in VERBS)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "_MAILPLANE_COMPLETE" in out
