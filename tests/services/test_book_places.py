"""A problem of the book names the line and column at which its key or its value begins."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailplaned.book.load import load
from mailplaned.book.places import Key, line_and_column, spots

HEAD = """\
[workspace]
name = "acme"

[[account]]
name = "relay"
provider = "smtp"
host = "relay.example"
"""
BOX = '[[mailbox]]\naddress = "ana@acme.example"\naccount = "relay"\n'

PLANTED = {
    # each with a mark in front of what is found, and what the problem says of it
    "a value of a table": (f"{HEAD}port = »70_000\n{BOX}", "account[relay].port: must be a port"),
    "a value of the second item": (
        f'{HEAD}{BOX}\n[[mailbox]]\n  address = "b@acme.example" # account\n  account\t=  »"relai"',
        "mailbox[b@acme.example].account: unknown account",
    ),
    "an unknown key": (f"{HEAD}{BOX}»nme = 1\n", "mailbox[ana@acme.example].nme: unknown key"),
    "an unknown key in quotes": (f'{HEAD}{BOX}»"a b" = 1\n', '"a b": unknown key'),
    "an unknown key with an escape": (f'{HEAD}{BOX}»"\\u00e4" = 1\n', '"ä": unknown key'),
    "an unknown table": (f"{HEAD}{BOX}[»retentoin]\n", "retentoin: unknown key"),
    "an item that lacks a key": (f'{HEAD}[[ »mailbox ]]\naccount = "relay"\n', "is missing"),
    "an inline table": (
        f'{HEAD}{BOX}pace = {{ jitter = "1s", min_gap = »"-1s" }}\n',
        "pace.min_gap: must be a duration",
    ),
    "a key of an inline table": (f"{HEAD}{BOX}pace = {{»gap='1s'}}\n", "pace.gap: unknown key"),
    "a sum of values": (
        f'{HEAD}{BOX}caps = [{{limit = 4, per = "day"}}]\n»share = {{cold = 3, manual = 2}}\n',
        "the shares exceed the day's cap of 4, 5",
    ),
    "a dotted key": (f'{HEAD}{BOX}pace . min_gap = »"1"\n', "pace.min_gap: must be a duration"),
    "an unknown part of a dotted key": (f"{HEAD}{BOX}pace.»gap = '1s'\n", "pace.gap: unknown key"),
    "a table below an item": (f'{HEAD}{BOX}[mailbox.pace]\nmin_gap = »"1"\n', "min_gap: must be"),
    "an item below an item": (
        f'{HEAD}{BOX}{BOX.replace("ana", "ben")}[[mailbox.caps]]\nlimit = 4\nper = »"dya"\n',
        "mailbox[ben@acme.example].caps[0].per: not one of its values",
    ),
    "a list of caps": (
        HEAD
        + f"{BOX}caps = [\n  {{ limit = 1, per = 'hour' }}, # {{ limit = x }}, ]\n"
        + "\n  { per = 'day', limit = »-1 },\n]\n",
        "mailbox[ana@acme.example].caps[1].limit: must be a whole number, 0 or more, -1",
    ),
    "an item of a list": (
        f"{HEAD}{BOX}caps = [{{limit = 1, per = 'day'}}, »{{ limit = 2, per = 'day' }}]\n",
        "caps[1]: a second cap on the same window",
    ),
    "a name in a list of lists": (
        HEAD
        + f"{BOX}[[path]]\nname = 'p'\ntiers = [['ana@acme.example'], # 'bem'\n"
        + '\t["ana@acme.exampl", »"bem"]]\n',
        'path[p].tiers: unknown mailbox, "bem"',
    ),
    "all in one line": (
        f'mailbox = [{{ name = "Žofie ☃ 𝒳", account = "relay", address = »"zofie" }}]\n{HEAD}',
        "mailbox[zofie].address: has no @",
    ),
    "behind a text of many lines": (
        f'{HEAD}username = """\nport = 1\n[[mailbox]]\\""""""\nport = »0\n{BOX}',
        "account[relay].port: must be a port",
    ),
    "a value with a secret": (
        f"{HEAD}username = \"a\"\n»secret = 'correct horse'\n{BOX}",
        "account[relay].secret: must be the name of a secret",
    ),
    "a secret in a comment": (
        f"{HEAD}{BOX}# ä »key-0123456789abcdef0123456789abcdef\n",
        "file: what looks like a key of Mailgun",
    ),
    "no TOML": (f"{HEAD}port »587\n{BOX}", "file: not TOML, Expected '=' after a key"),
}

_PLACE = re.compile(r"workspaces/acme\.toml: line (\d+), column (\d+): (.*)")


@pytest.mark.parametrize("name", PLANTED)
@settings(max_examples=12, deadline=None)
@given(
    noise=st.lists(st.sampled_from(["# ü [x]", "", "\t# port = 1", "# '''", "#"]), max_size=5),
    indent=st.sampled_from(["", "  ", "\t", "\t\t "]),
    line_end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_problem_is_told_where_its_key_or_value_begins(
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    noise: list[str],
    indent: str,
    line_end: str,
) -> None:
    marked, words = PLANTED[name]
    lines = [*noise, *(f"{indent}{line}" for line in marked.split("\n"))]
    before, after = line_end.join(lines).split("»")
    folder = tmp_path_factory.mktemp("book")
    (folder / "workspaces").mkdir()
    (folder / "workspaces" / "acme.toml").write_bytes((before + after).encode())
    problems = load(folder, own_uid=500, uid_of=lambda _: None).problems
    told = [found for found in map(_PLACE.fullmatch, problems) if found and words in found[3]]
    assert told, problems
    line, column = int(told[0][1]), int(told[0][2])
    assert (line, column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))
    assert (before + after).split("\n")[line - 1][column - 1 :] == after.split("\n")[0]


VALUES = (
    "%d", "[%d, %d]", "[\n  # a = 1 ]\n  %d,\n]", "{ a = %d, 'b'.c = %d }", "{}", "[[], [[%d]]]",
    "[{ a = %d }, { a = %d, b = [[%d], [%d, '%d']] }]", '["]", "[", %d]', '[\'"\', """\n]""", %d]',
    '["""a""""", %d]', "[''''a''''', %d]", '{ x = "}", "y,#" = %d }', "[2026-11-02 10:00:00, %d]",
    '"\\\\"', '"\\"]"', "'\\'", '""', "''", '""""""', '"""\\\n  "\\""""', "-1.5e+3", "true",
)  # fmt: skip
STARTS = ("k%d = ", "a.k%d = ", '"d e"."k%d" = ', "'k%d'\t=\t", " k%d.b . c= ", '"\\u0061%d" = ')
HEADS = (
    "[[b]]\n", "[ b . c ]\n", "[[b.d]]\n", "  [[ 'b' . \"d\" ]] # [z]\n", "[t%d.'x y']\n",
    "[t%d]\n", "# [b]\n", "# k = 1\n", "\n", "[b.e.f]\n", "[[b.d.g]]\n",
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn) -> str:
    """A TOML text in which no number stands twice."""
    pair = st.builds(
        lambda start, value: f"{start}{value}\n", st.sampled_from(STARTS), st.sampled_from(VALUES)
    )
    text, number = "", 100
    for part in draw(st.lists(pair | st.sampled_from(HEADS), min_size=1, max_size=15)):
        while "%d" in part:
            part = part.replace("%d", str(number), 1)
            number += 1
        try:
            tomllib.loads(text + part)
        except tomllib.TOMLDecodeError:
            continue  # a table that is there already
        text += part
    return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))


@settings(max_examples=300, deadline=None)
@given(texts())
def test_every_key_and_value_of_a_text_is_found(text: str) -> None:
    leaves = dict(_leaves((), tomllib.loads(text)))
    keys = {key[:depth] for key in leaves for depth in range(1, len(key) + 1)}
    found = spots(text, keys)
    assert set(found) == keys
    for key, value in leaves.items():
        name_at, value_at = found[key]
        if type(value) is int:
            assert re.match(rf"{value}\b", text[value_at:])
        assert _begins_with(text[name_at:], key[-1]) or name_at == value_at
        assert spots(text, [key]) == {key: found[key]}
    for key in keys:
        if isinstance(key[-1], str):
            assert _begins_with(text[found[key][0] :], key[-1])


def _leaves(key: Key, node: object) -> Iterator[tuple[Key, object]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from _leaves((*key, name), value)
    elif isinstance(node, list):
        for place, value in enumerate(node):
            yield from _leaves((*key, place), value)
    else:
        yield key, node


def _begins_with(text: str, name: str | int) -> bool:
    shown = str(name)
    return text.startswith((shown, f'"{shown}"', f"'{shown}'", f'"\\u0061{shown[1:]}"'))


@given(st.text(alphabet="ab\n\r\té𝒳", max_size=30), st.integers(0, 30))
def test_lines_and_columns_count_characters_from_1(text: str, at: int) -> None:
    line, column = line_and_column(text, at := min(at, len(text)))
    lines = text.split("\n")
    assert sum(len(before) + 1 for before in lines[: line - 1]) + column - 1 == at


def test_a_file_without_such_a_key_has_no_place(tmp_path: Path) -> None:
    (tmp_path / "workspaces").mkdir()
    (tmp_path / "workspaces" / "acme.toml").write_text("")
    assert load(tmp_path, own_uid=500, uid_of=lambda _: None).problems == (
        'workspaces/acme.toml: file: "workspace" is missing; add workspace = …',
    )
