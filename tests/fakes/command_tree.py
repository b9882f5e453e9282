"""Every verb of the command line, out of click's own tree, and how each of them can be called.

A verb that `USES` lacks fails the tests that walk the tree: none can be forgotten.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import click

from mailplane_tui.cli.main import main, root


@dataclass(frozen=True)
class Use:
    """One call that has to succeed: its arguments, with places to fill, and what is typed.

    `offline` verbs need no daemon, `apart` ones a process of their own. `code` is what the call
    ends with where it can't be 0. `elsewhere` is the test that runs what can't run among others.
    """

    words: str = ""
    typed: str = ""
    offline: bool = False
    apart: bool = False
    code: int = 0
    elsewhere: str = ""

    def arguments(self, places: Mapping[str, str]) -> list[str]:
        """The arguments, each place filled."""
        return [word.format_map(places) for word in self.words.split()]


WHY = "--reason because"
MAIL = "--mailbox {mailbox} --to kim@there.example --subject hello --text hello"
OTHER = "--config {other}/config --state {other}/state --socket {other}/sock"

USES: dict[str, Use] = {
    "init": Use("--config {folder}/config --state {folder}/state", offline=True),
    "up": Use(f"--detach {OTHER}", offline=True, apart=True),
    "down": Use("--socket {other}/sock"),
    "status": Use(),
    "demo": Use(offline=True, elsewhere="tests/system/test_demo.py"),
    "send": Use(MAIL),
    "preflight": Use(MAIL),
    "message list": Use(),
    "message show": Use("{waiting}"),
    "message cancel": Use(f"{{waiting}} {WHY}"),
    "message resolve": Use(f"{{unknown}} --sent {WHY}"),
    "mailbox list": Use(),
    "mailbox show": Use("{mailbox}"),
    "mailbox add": Use("{new_name}@acme.example --account acme-relay --workspace acme"),
    "mailbox set": Use("{mailbox} --name Ana"),
    "mailbox remove": Use("{box}"),
    "mailbox pause": Use(f"ida@beta.example {WHY}"),
    "mailbox resume": Use(f"{{paused_mailbox}} {WHY}"),
    "workspace list": Use(),
    "workspace show": Use("beta"),
    "workspace add": Use("{new_name} title=New"),
    "workspace set": Use("beta title=Beta"),
    "workspace remove": Use("{workspace}"),
    "workspace pause": Use(f"beta {WHY}"),
    "workspace resume": Use(f"{{paused_workspace}} {WHY}"),
    "domain list": Use(),
    "domain show": Use("beta.example"),
    "domain add": Use("{new_name}.example --cap 50/day --workspace acme"),
    "domain set": Use("beta.example --cap 9000/day"),
    "domain remove": Use("{domain}"),
    "domain pause": Use(f"beta.example {WHY}"),
    "domain resume": Use(f"{{paused_domain}} {WHY}"),
    "account list": Use(),
    "account show": Use("acme-relay"),
    "account add": Use("{new_name} provider=ses region=eu-central-1 --workspace acme"),
    "account set": Use("beta-relay connections=2"),
    "account remove": Use("{account}"),
    "path list": Use(),
    "path show": Use("beta-way"),
    "path add": Use("{new_name} --tier {mailbox} --workspace acme"),
    "path set": Use("beta-way failover=never"),
    "path remove": Use("{path}"),
    "pause list": Use(),
    "pause add": Use(f"path beta-way {WHY}"),
    "pause lift": Use(f"{{pause}} {WHY}"),
    "suppression add": Use("gone@there.example --workspace acme"),
    "suppression remove": Use(f"{{suppression}} {WHY}"),
    "suppression check": Use("gone@there.example --workspace acme"),
    "suppression list": Use(),
    "event tail": Use(),
    "audit tail": Use(),
    "audit search": Use("beta"),
    "audit export": Use("--output {folder}/audit.jsonl"),
    "audit prove": Use("1 --output {folder}/entry.jsonl"),
    "audit verify": Use(),
    "audit key": Use(),
    "audit redact": Use(f"nobody@there.example {WHY}"),
    "ledger verify": Use(),
    "clock accept": Use(WHY, code=1),  # the clock of this host has not leapt
    "book status": Use(),
    "book check": Use("{config}", offline=True),
    "book schema": Use("workspace", offline=True),
    "book diff": Use(),
    "book apply": Use(),
    "book history": Use(),
    "people list": Use(),
    "people set": Use("{new_name} --role auditor --uid 61009"),
    "people remove": Use("{person}"),
    "token create": Use("crm --workspace acme"),
    "token list": Use(),
    "token rotate": Use("{token}"),
    "token revoke": Use("{token}"),
    "secret set": Use("{new_name}", typed="a value\n"),
    "secret rotate": Use("{secret}", typed="another value\n"),
    "secret list": Use(),
    "secret remove": Use(f"{{secret}} {WHY}"),
    "secret rekey": Use(),
    "backup create": Use("{folder}/made.tar"),
    "backup verify": Use("{backup}", offline=True),
    "backup restore": Use("{backup} --config {folder}/config --state {folder}/state", offline=True),
    "doctor": Use(offline=True),
    "completion": Use("bash", offline=True),
}


def verbs() -> dict[str, click.Command]:
    """Every verb by its name, such as `mailbox list`."""
    return {" ".join(names): command for names, command in _leaves(root, click.Context(root))}


def nouns() -> dict[str, click.Group]:
    """Every group of verbs."""
    context = click.Context(root)
    found = {name: root.get_command(context, name) for name in root.list_commands(context)}
    return {name: command for name, command in found.items() if isinstance(command, click.Group)}


def _leaves(
    command: click.Command, context: click.Context, *names: str
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield names, command
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None, name
        yield from _leaves(found, context, *names, name)


@dataclass(frozen=True)
class Ended:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str


def mailplane_apart(*arguments: str) -> Ended:
    """Run a command line as a process of its own."""
    command = [sys.executable, "-m", "mailplane_tui", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return Ended(done.returncode, done.stdout, done.stderr)


def mailplane(*arguments: str, typed: str = "") -> Ended:
    """Run a command line in this process, where nothing is a terminal."""
    streams = [io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(3)]
    streams[0].write(typed)
    streams[0].seek(0)
    stdin, sys.stdin = sys.stdin, streams[0]
    try:
        with redirect_stdout(streams[1]), redirect_stderr(streams[2]):
            code = main(arguments)
    finally:
        sys.stdin = stdin
    out, err = (_all(stream) for stream in streams[1:])
    return Ended(code, out, err)


def _all(stream: io.TextIOWrapper) -> str:
    stream.flush()
    stream.seek(0)
    return stream.read()
