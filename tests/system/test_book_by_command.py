"""The book by the command line: a client is set up, changed and removed, and comments stay."""

from __future__ import annotations

import asyncio
import json
import shlex
from typing import Any

from tests.fakes.command_tree import Ended, mailplane
from tests.fakes.process_daemon import SHIM, Daemon
from tests.fakes.sink_process import Sink
from tests.fakes.smtp_server import provider

ACME = """\
# Acme: signed in 2019, asks for reports on Mondays.
[workspace]
name = "acme"  # never rename
title = "Acme"

[[account]]
name = "relay"
provider = "smtp"
host = "127.0.0.1"
port = {port}     # the old one
tls = "none"
{login}
# Mailboxes. Ana's is the oldest.

[[mailbox]]
address = "ana@acme.example"
account = "relay"   # until the move
caps = [
  {{ limit = 8, per = "hour" }},   # asked for by Ana
  {{ limit = 50, per = "day" }},
]

# Paths.

[[path]]
name = "out"
tiers = [["ana@acme.example"]]
"""

KIM = """
[[mailbox]]
address = "kim@acme.example"
name = "Kim Ott"
account = "relay"
caps = [{ limit = 50, per = "day" }, { limit = 250, per = "week", window = "calendar" }]
"""


def act(made: Daemon, line: str) -> Ended:
    return mailplane(*shlex.split(line), "--socket", str(made.socket), "--yes")


def acme(made: Daemon) -> str:
    return (made.config / "workspaces/acme.toml").read_text()


def changes(made: Daemon) -> list[tuple[str, str, str | None]]:
    """What the audit log says of the book, each by whom and how."""
    found = [row for row in made.door.all("/v1/audit") if "key" in row["detail"]]
    return [(row["action"], row["target"], row["detail"]["via"]) for row in found]


def test_each_verb_writes_its_lines_and_no_other(the_sink: Sink, the_daemon: Daemon) -> None:
    text = ACME.format(port=the_sink.port, login="")
    the_daemon.write("workspaces/acme.toml", text)
    the_daemon.start()
    caps = "--cap 50/day --cap 250/week/calendar"
    line = f"mailbox add kim@acme.example --name 'Kim Ott' --account relay {caps}"
    added = act(the_daemon, line)
    assert (added.code, added.err) == (0, "")
    assert added.out.startswith("mailbox kim@acme.example added")
    below = '  { limit = 50, per = "day" },\n]\n'
    text = text.replace(below, below + KIM)
    assert acme(the_daemon) == text
    assert the_daemon.door.mailbox("kim@acme.example")["name"] == "Kim Ott"

    act(the_daemon, "path set out --tier kim@acme.example,ana@acme.example")
    text = text.replace('[["ana@acme.example"]]', '[["kim@acme.example", "ana@acme.example"]]')
    act(the_daemon, "mailbox set ANA@acme.example account=relay name=Ana")
    text = text.replace("  # asked", "  # asked").replace(below, below + 'name = "Ana"\n', 1)
    act(the_daemon, "domain add acme.example --cap 9000/day")
    domain = '\n[[domain]]\nname = "acme.example"\ncaps = [{ limit = 9_000, per = "day" }]\n'
    text = text.replace('tls = "none"\n', 'tls = "none"\n' + domain)
    act(the_daemon, "workspace set acme title= timezone=Europe/Berlin")
    text = text.replace('title = "Acme"\n', 'timezone = "Europe/Berlin"\n')
    assert acme(the_daemon) == text
    assert the_daemon.door.get("/v1/paths")["items"][0]["tiers"][0][0] == "kim@acme.example"

    in_use = act(the_daemon, "mailbox remove kim@acme.example")
    assert (in_use.code, in_use.err) == (1, "")
    assert in_use.out.startswith("problem: workspaces/acme.toml: line ")
    assert acme(the_daemon) == text
    act(the_daemon, "path remove out")
    act(the_daemon, "mailbox remove kim@acme.example")
    text = text[: text.index("\n[[path]]")].replace(KIM, "")
    assert acme(the_daemon) == text
    assert changes(the_daemon) == [
        ("mailbox added", "kim@acme.example", "command"),
        ("path changed", "out", "command"),
        ("mailbox changed", "ana@acme.example", "command"),
        ("domain added", "acme.example", "command"),
        ("workspace changed", "acme", "command"),
        ("workspace changed", "acme", "command"),
        ("path removed", "out", "command"),
        ("mailbox removed", "kim@acme.example", "command"),
    ]


def test_a_client_comes_and_goes_by_commands_alone(the_sink: Sink, the_daemon: Daemon) -> None:
    the_daemon.start()
    assert act(the_daemon, "workspace add beta 'title=Beta & Söhne'").code == 0
    relay = f"account add relay provider=smtp host=127.0.0.1 port={the_sink.port} tls=none"
    for line in (relay, "mailbox add bo@beta.example --account relay --no-probe",
                 "path add out --tier bo@beta.example"):  # fmt: skip
        assert act(the_daemon, line).code == 0, line
    the_daemon.door.send({"path": "out", "to": ["kim@there.example"], "subject": "s", "text": "t"})
    assert the_sink.settled(1)[0].sender == "bo@beta.example"
    shown = act(the_daemon, "path show out --json")
    assert json.loads(shown.out)["tiers"] == [["bo@beta.example"]]
    assert act(the_daemon, "workspace remove beta").code == 0
    assert not (the_daemon.config / "workspaces/beta.toml").exists()
    assert the_daemon.door.get("/v1/workspaces")["items"] == []


def test_people_are_given_roles_and_lose_them(the_daemon: Daemon) -> None:
    text = SHIM + "\n# Who may come in.\n"
    the_daemon.write("mailplane.toml", text)
    the_daemon.start()

    def people() -> list[Any]:
        rows = json.loads(act(the_daemon, "people list --json").out)["items"]
        return [(row["name"], row["role"], row["workspaces"]) for row in rows]

    act(the_daemon, "workspace add beta")
    assert act(the_daemon, "people set boss --role owner --uid 0").code == 0
    assert act(the_daemon, "people set vera --role viewer --uid 65534").code == 0
    line = "people set vera --role operator --in beta"
    assert act(the_daemon, line).code == 0
    assert people() == [
        ("boss", "owner", []), ("vera", "viewer", []), ("vera", "operator", ["beta"]),
    ]  # fmt: skip
    unclear = act(the_daemon, "people set vera --role admin")
    assert unclear.code == 1
    assert "stands several times; its entries are for: all; beta" in unclear.err
    nobody = act(the_daemon, "people set eve --role viewer")
    assert "needs either unix_user or uid" in nobody.out
    act(the_daemon, "people remove vera --in beta")
    act(the_daemon, "people remove vera")
    last = act(the_daemon, "people remove boss")
    assert (last.code, "last owner" in last.err) == (1, True)
    member = '\n[[member]]\nname = "boss"\nrole = "owner"\nuid = 0\n'
    assert (the_daemon.config / "mailplane.toml").read_text() == text + member


async def test_a_mailbox_whose_account_does_not_let_us_in_is_not_added(the_daemon: Daemon) -> None:
    async with provider(users={"acme": "the right one"}) as relay:
        login = 'username = "acme"\nsecret = "relay-password"\n'
        text = ACME.format(port=relay.port, login=login)
        the_daemon.write("workspaces/acme.toml", text)
        await asyncio.to_thread(the_daemon.start)

        async def keep(path: str, secret: dict[str, str]) -> None:
            reply = await asyncio.to_thread(the_daemon.door.post, f"/v1/secrets{path}", secret)
            assert reply.status in {200, 201}, reply

        async def add(address: str, more: str = "") -> Ended:
            line = f"mailbox add {address} --account relay {more}"
            return await asyncio.to_thread(act, the_daemon, line)

        await keep("", {"name": "relay-password", "value": "a wrong one"})
        refused = await add("kim@acme.example")
        assert (refused.code, refused.out, refused.err.count("\n")) == (1, "", 1)
        assert "account relay: 127.0.0.1" in refused.err
        assert "Authentication credentials invalid" in refused.err
        assert "a wrong one" not in refused.err
        assert acme(the_daemon) == text
        assert changes(the_daemon) == []
        unproven = await add("bo@acme.example", "--no-probe")
        assert unproven.code == 0
        assert len(relay.logins) == 1
        await keep("/relay-password/rotate", {"value": "the right one"})
        assert (await add("kim@acme.example")).code == 0
        assert len(relay.logins) == 2
        assert 'address = "kim@acme.example"' in acme(the_daemon)
        await asyncio.to_thread(the_daemon.kill)
