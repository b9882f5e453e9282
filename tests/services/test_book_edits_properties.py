"""Edits of the book by machine, whatever is in them: what must always hold."""

from __future__ import annotations

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mailplane_wire.book import BookEdit, BookTable
from mailplaned.book.edits import edited
from tests.services.test_book_edits import ACME, comments, edit, one

ITEMS: list[tuple[BookTable, str, str]] = [
    ("workspace", "acme", '[workspace]\nname = "acme"'),
    ("account", "acme-relay", '[[account]]\nname = "acme-relay"'),
    ("domain", "getacme.example", '[[domain]]\nname = "getacme.example"'),
    ("domain", "acme.example", '[[domain]]\nname = "acme.example"'),
    ("mailbox", "ana@getacme.example", '[[mailbox]]\naddress = "ana@getacme.example"'),
    ("mailbox", "receipts@acme.example", '[[mailbox]]\naddress = "receipts@acme.example"'),
    ("path", "outreach", '[[path]]\nname = "outreach"'),
    ("workload", "cold", "[workload.cold]"),
    ("workload", "transactional", "[workload.transactional]"),
]
"""Items of the example, and how each begins there; a blank line ends it."""

HOSTILE = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"]),
        st.sampled_from("\"'\\\n\r\t\0\x7f\x1b[]{}=#,.\u202e\ufeff"),
    ),
    max_size=30,
)
VALUES = st.recursive(
    HOSTILE
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(HOSTILE, inner, max_size=4),
    max_leaves=12,
)
KEYS = (
    HOSTILE | st.sampled_from(["caps", "title", "host", "ramp", "share", "tiers", "paths"])
).filter(lambda key: key not in ("name", "address", "from"))


def value_in(tree: dict[str, Any], table: BookTable, name: str) -> dict[str, Any]:
    found: Any = tree[table]
    if table == "workload":
        found = found[name]
    elif table != "workspace":
        key = "address" if table == "mailbox" else "name"
        (found,) = (item for item in found if item[key] == name)
    assert isinstance(found, dict)
    return found


@given(item=st.sampled_from(ITEMS), values=st.dictionaries(KEYS, VALUES | st.none(), max_size=3))
def test_set_changes_the_keys_of_one_item_and_no_other_byte(
    item: tuple[BookTable, str, str], values: dict[str, Any]
) -> None:
    table, name, head = item
    new = edited("acme.toml", ACME, [BookEdit(op="set", table=table, name=name, values=values)])
    tree = tomllib.loads(ACME)
    wanted = value_in(tree, table, name)
    kept = {key for key in wanted if key not in values or values[key] == wanted[key]}
    for key, value in values.items():
        wanted.pop(key, None) if value is None else wanted.update({key: value})
    assert tomllib.loads(new) == tree
    start = ACME.index(head)
    end = ACME.index("\n\n", start)
    assert new.startswith(ACME[:start])
    assert new.endswith(ACME[end:])
    inside = new[start : len(new) - len(ACME) + end]
    for line in ACME[start:end].splitlines():
        key = line.partition(" = ")[0]
        if key in kept:
            assert line in inside
        if values.get(key, "") is not None:
            assert all(comment in inside for comment in comments(line))


@given(values=st.dictionaries(KEYS, VALUES, max_size=4), name=HOSTILE, item=st.sampled_from(ITEMS))
def test_what_is_added_is_what_was_given_and_taking_it_out_again_leaves_no_trace(
    values: dict[str, Any], name: str, item: tuple[BookTable, str, str]
) -> None:
    table = item[0] if item[0] != "workspace" else "domain"
    added = edited("acme.toml", ACME, [BookEdit(op="add", table=table, name=name, values=values)])
    tree = tomllib.loads(ACME)
    if table == "workload":
        tree[table][name] = values
    else:
        key = "address" if table == "mailbox" else "name"
        tree[table].append({key: name} | values)
    assert tomllib.loads(added) == tree
    assert one(added, "remove", table, name) == ACME


@given(item=st.sampled_from(ITEMS), key=KEYS, value=VALUES)
def test_a_new_key_that_is_taken_out_again_leaves_no_trace(
    item: tuple[BookTable, str, str], key: str, value: Any
) -> None:
    table, name, _ = item
    if key not in value_in(tomllib.loads(ACME), table, name):
        new = one(ACME, "set", table, name, **{key: value})
        assert one(new, "set", table, name, **{key: None}) == ACME


@given(
    edits=st.lists(
        st.builds(
            lambda item, op, values: BookEdit(op=op, table=item[0], name=item[1], values=values),
            st.sampled_from(ITEMS),
            st.sampled_from(["set", "add"]),
            st.dictionaries(KEYS, VALUES, max_size=2),
        ),
        max_size=3,
    )
)
def test_a_file_with_carriage_returns_keeps_them(edits: list[BookEdit]) -> None:
    edits = [one for one in edits if one.op == "set"]
    edits.append(
        edit(
            "add",
            "mailbox",
            "kim@acme.example",
            caps=[{"limit": n, "per": "day"} for n in range(9)],
        )
    )
    edits.append(edit("remove", "path", "receipts"))
    new = edited("acme.toml", ACME, edits)
    assert edited("acme.toml", ACME.replace("\n", "\r\n"), edits) == new.replace("\n", "\r\n")
