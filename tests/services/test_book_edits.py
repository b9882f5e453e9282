"""Edits of the book by machine: they mean what they say, and touch nothing else."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any, Literal

import pytest

from mailplane_wire.book import BookEdit, BookTable
from mailplaned.book.edits import EditRefused, edited

EXAMPLE = Path(__file__).parent / "example-book"
ACME = (EXAMPLE / "workspaces/acme.toml").read_text()
DAEMON = (EXAMPLE / "mailplane.toml").read_text()

BEN = """\
[[mailbox]]
address = "ben@getacme.example"
account = "acme-relay"
caps = [{ limit = 40, per = "day" }]
"""


def edit(
    op: Literal["add", "set", "remove"], table: BookTable, name: str, /, **values: Any
) -> BookEdit:
    return BookEdit(op=op, table=table, name=name, values=values)


def one(
    text: str, op: Literal["add", "set", "remove"], table: BookTable, name: str, /, **values: Any
) -> str:
    return edited("acme.toml", text, [edit(op, table, name, **values)])


def refusal(text: str, *edits: BookEdit) -> str:
    with pytest.raises(EditRefused) as refused:
        edited("acme.toml", text, edits)
    said = str(refused.value)
    assert said.startswith("acme.toml: ")
    assert said.isprintable()
    return said


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "# " in line]


def test_no_edit_gives_the_same_text() -> None:
    assert edited("acme.toml", ACME, []) == ACME


def test_a_value_that_stays_keeps_how_it_is_written() -> None:
    caps = tomllib.loads(ACME)["mailbox"][0]["caps"]
    assert one(ACME, "set", "mailbox", "ana@getacme.example", caps=caps) == ACME


def test_a_comment_behind_a_value_outlives_the_value() -> None:
    new = one(ACME, "set", "workspace", "acme", on_cap="reject")
    assert new == ACME.replace('on_cap = "schedule" ', 'on_cap = "reject" ')
    new = one(ACME, "set", "mailbox", "ana@getacme.example", share={"manual": 7, "warmup": 1})
    old, rest = "share = { manual = 5 }", "            # five of each day"
    assert new == ACME.replace(old + rest, "share = { manual = 7, warmup = 1 }" + rest)


def test_a_mailbox_is_added_below_the_last_one_in_the_style_of_the_example() -> None:
    new = one(
        ACME,
        "add",
        "mailbox",
        "kim@acme.example",
        name='Kim "K" Ott',
        account="acme-relay",
        caps=[{"limit": 5000, "per": "day"}],
        ramp={"from": "2026-12-01", "start": 5, "step": 5},
        pace=None,
    )
    last = 'caps = [{ limit = 1_000, per = "day" }]\n'
    assert new == ACME.replace(
        last,
        last
        + """
[[mailbox]]
address = "kim@acme.example"
name = "Kim \\"K\\" Ott"
account = "acme-relay"
caps = [{ limit = 5_000, per = "day" }]
ramp = { from = 2026-12-01, start = 5, step = 5 }
""",
    )


def test_a_long_list_is_written_one_part_a_line() -> None:
    caps: list[dict[str, Any]] = [
        {"limit": 8, "per": "hour"},
        {"limit": 50, "per": "day"},
        {"limit": 250, "per": "week", "window": "calendar"},
    ]
    new = one(ACME, "set", "mailbox", "ben@getacme.example", caps=caps)
    assert new == ACME.replace(
        BEN,
        BEN.replace(
            '[{ limit = 40, per = "day" }]',
            '[\n  { limit = 8, per = "hour" },\n  { limit = 50, per = "day" },\n'
            '  { limit = 250, per = "week", window = "calendar" },\n]',
        ),
    )


def test_a_mailbox_is_removed_with_one_blank_line_and_every_comment_around_stays() -> None:
    assert one(ACME, "remove", "mailbox", "BEN@GetAcme.example") == ACME.replace("\n" + BEN, "")
    new = edited(
        "acme.toml",
        ACME,
        [edit("remove", "path", "outreach"), edit("remove", "mailbox", "receipts@acme.example")],
    )
    assert "# Paths: which mailboxes a workload may leave by, in order.\n\n[[path]]" in new
    assert comments(new) == [text for text in comments(ACME) if text != '# or "never"']


def test_a_workspace_grows_from_nothing_and_goes_back_to_it() -> None:
    text = edited(
        "workspaces/beta.toml",
        "",
        [
            edit("add", "workspace", "beta", title="Beta", timezone="Europe/Paris"),
            edit("add", "path", "out", tiers=[["kim@beta.example"]]),
            edit("add", "mailbox", "kim@beta.example", account="relay"),
            edit("add", "workload", "cold", paths=["out"]),
            edit("add", "account", "relay", provider="smtp", host="127.0.0.1", port=2525),
        ],
    )
    assert (
        text
        == """\
[workspace]
name = "beta"
title = "Beta"
timezone = "Europe/Paris"

[[account]]
name = "relay"
provider = "smtp"
host = "127.0.0.1"
port = 2525

[[mailbox]]
address = "kim@beta.example"
account = "relay"

[[path]]
name = "out"
tiers = [["kim@beta.example"]]

[workload.cold]
paths = ["out"]
"""
    )
    assert one(text, "remove", "workspace", "beta") == ""


@pytest.mark.parametrize("name", ["mailplane.toml", "workspaces/../../beta.toml", "beta.toml"])
def test_a_new_workspace_is_in_a_file_of_its_name_and_nowhere_else(name: str) -> None:
    with pytest.raises(EditRefused, match="not the name of its new file"):
        edited(name, "", [edit("add", "workspace", "beta")])


def test_a_person_is_known_by_name_and_workspaces() -> None:
    text = one(
        DAEMON, "add", "member", "bob", role="operator", unix_user="bob", workspaces=["b", "a"]
    )
    new = '\n[[member]]\nname = "bob"\nrole = "operator"\nunix_user = "bob"\n'
    new += 'workspaces = ["b", "a"]\n'
    assert text == DAEMON + new
    promoted = one(text, "set", "member", "bob", role="admin", workspaces=["a", "b"])
    assert promoted == DAEMON + new.replace("operator", "admin")
    assert one(text, "remove", "member", "bob", workspaces=["a", "b"]) == DAEMON
    assert one(DAEMON, "set", "member", "bob", role="admin") == DAEMON.replace(
        '"viewer"', '"admin"'
    )
    assert refusal(text, edit("set", "member", "bob", role="admin")) == (
        'acme.toml: member "bob": stands several times; its entries are for: acme; a, b'
    )
    assert refusal(text, edit("remove", "member", "ana", workspaces=["acme"])) == (
        'acme.toml: member "ana": has no entry for just these workspaces; its entries are for: all'
    )
    assert one(DAEMON, "set", "member", "eve", role="viewer", uid=7, unix_user=None) == (
        DAEMON + '\n[[member]]\nname = "eve"\nrole = "viewer"\nuid = 7\n'
    )
    further = one(DAEMON, "set", "member", "bob", role="admin", workspaces=["beta"])
    assert further.endswith('\nunix_user = "bob"\nrole = "admin"\nworkspaces = ["beta"]\n')
    again = edit("add", "member", "bob", workspaces=["acme"], role="viewer")
    assert "is there already" in refusal(DAEMON, again)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            edit("set", "mailbox", "benn@acme.example", account="x"),
            'mailbox "benn@acme.example": is not in this file; did you mean "ben@getacme.example"?',
        ),
        (
            edit("remove", "path", "invoices"),
            'path "invoices": is not in this file; use one of outreach, receipts',
        ),
        (
            edit("set", "workspace", "amce", title="x"),
            'workspace "amce": is not in this file; did you mean "acme"?',
        ),
        (
            edit("add", "domain", "ACME.example"),
            'domain "ACME.example": is there already; set its values, or use another name',
        ),
        (
            edit("add", "workspace", "acme"),
            'workspace "acme": is there already; set its values, or use another name',
        ),
        (
            edit("add", "account", "x", name="y"),
            'account "x": its name would be "y"; give it one',
        ),
        (
            edit("set", "account", "acme-relay", caps=[{"limit": None}]),
            'account "acme-relay": its "limit" would be null; TOML can\'t say that',
        ),
        (
            edit("set", "account", "acme-relay", port=2**63),
            'account "acme-relay": its "port" would be 9223372036854775808; TOML can\'t say that',
        ),
        (
            edit("set", "account", "acme-relay", host="\ud800"),
            "file: half a character; correct the text",
        ),
        (
            edit("set", "account", "acme-relay", host="x" * 5_000_000),
            "file: larger than 4194304 bytes; split it",
        ),
        (
            edit("set", "account", "acme-relay", host=json.loads("[" * 900 + "]" * 900)),
            "file: can't be changed safely by machine; edit the file by hand",
        ),
        (
            edit("remove", "path", "\x1b[31m\n"),
            'path "\\x1b[31m\\n": is not in this file; use one of outreach, receipts',
        ),
    ],
)
def test_what_can_not_be_done_is_refused_in_words(change: BookEdit, said: str) -> None:
    assert refusal(ACME, change).removeprefix("acme.toml: ") == said


@pytest.mark.parametrize(
    "text",
    [
        'mailbox = [{ address = "kim@a.example", share = { manual = 5 } }]\n',
        '[[mailbox]]\naddress = "kim@a.example"\n[mailbox.share]\nmanual = 5\n',
        '[[mailbox]]\naddress = "kim@a.example"\nshare.manual = 3\nshare.warmup = 2\n',
        '[[mailbox]]\naddress = "kim@a.example"\nshare.manual = 3 # why\n',
        "[[mailbox]]\n[mailbox.share]\nmanual = 5\n[[other]]\n[mailbox.address]\n",
    ],
    ids=["inline", "a table inside", "dotted", "dotted once", "no address"],
)
def test_what_is_written_another_way_is_left_to_a_person(text: str) -> None:
    said = refusal(text, edit("set", "mailbox", "kim@a.example", share={"manual": 1}))
    assert said.endswith(("edit the file by hand", "there is none to refer to yet"))


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("account", 'account = [{ name = "a" }]\n'),
        ("workload", "[[workload]]\n"),
        ("path", "[path]\n"),
    ],
)
def test_nothing_is_added_to_a_table_that_is_written_another_way(
    table: BookTable, text: str
) -> None:
    assert refusal(text, edit("add", table, "new")).endswith("edit the file by hand")


def test_only_the_own_keys_of_an_item_with_tables_inside_are_written() -> None:
    text = '[[mailbox]]\naddress = "a@x.example" # A\n\n[mailbox.share]\nmanual = 5\n# below\n'
    new = one(text, "set", "mailbox", "a@x.example", account="relay")
    assert new == text.replace("# A\n", '# A\naccount = "relay"\n')
    both = one(text, "add", "mailbox", "b@x.example")
    assert both == text + '\n[[mailbox]]\naddress = "b@x.example"\n'
    assert one(both, "remove", "mailbox", "a@x.example") == '[[mailbox]]\naddress = "b@x.example"\n'


def test_what_only_looks_like_a_head_is_none() -> None:
    text = '''\
[[path]]
name = "one"
tiers = [
  ["a@x.example"],
["[[path]]"] # [[path]]
]
note = """
[[path]]
name = "two" \\"""
"""""

[[path]] # [[path]]
name = 'two'
other = \'\'\'
[[path]]
\'\'\'\'
'''
    new = one(text, "set", "path", "two", tiers=[["b@x.example"]])
    assert new == text + 'tiers = [["b@x.example"]]\n'
    assert one(text, "remove", "path", "one") == text[text.index("[[path]] # [[path]]") :]


def test_a_file_without_a_last_line_end_gets_one_only_where_lines_follow() -> None:
    text = '[[domain]]\n  name = "a.example"'
    assert one(text, "set", "domain", "a.example", name="b.example") == text.replace("a.", "b.")
    caps = one(text, "set", "domain", "a.example", caps=[])
    assert caps == text + "\n  caps = []\n"


def test_a_name_that_changes_is_known_by_later_edits() -> None:
    text = edited(
        "acme.toml",
        ACME,
        [
            edit("set", "mailbox", "ben@getacme.example", address="Bo@GetAcme.example"),
            edit("set", "mailbox", "bo@getacme.example", account="acme-ses"),
        ],
    )
    assert text == ACME.replace(
        BEN, BEN.replace("ben@getacme", "Bo@GetAcme").replace("acme-relay", "acme-ses")
    )


def test_comments_at_the_end_of_an_item_belong_to_it_unless_a_head_follows() -> None:
    text = '[[domain]]\nname = "a"\n# dkim = {}\n\n# The others\n[[domain]]\nname = "b"\n# none\n'
    assert one(text, "remove", "domain", "a") == text[text.index("# The") :]
    assert one(text, "remove", "domain", "b") == text[: text.index('[[domain]]\nname = "b"')]
    assert one(text, "add", "domain", "c") == text + '\n[[domain]]\nname = "c"\n'


def test_the_first_item_of_a_table_goes_below_what_the_end_of_the_file_says() -> None:
    text = '[workspace]\nname = "acme"\n\n# Domains\n'
    new = one(text, "add", "domain", "acme.example")
    assert new == text + '\n[[domain]]\nname = "acme.example"\n'
    assert one(new, "remove", "domain", "acme.example") == text
    assert one("# only this\n", "add", "member", "ana").startswith("# only this\n\n[[member]]\n")
