from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplaned.domain.chain import is_personal
from mailplaned.domain.differences import Difference, differences, said

EXAMPLE = Path(__file__).parents[1] / "services/example-book"
FILE = "workspaces/acme.toml"
BOOK: dict[str, Any] = {
    "workspace": {"name": "acme", "title": "Acme"},
    "account": [{"name": "relay", "provider": "smtp", "host": "mx.example"}],
    "mailbox": [
        {"address": "ana@acme.example", "account": "relay", "caps": [{"limit": 50, "per": "day"}]},
        {"address": "ben@acme.example", "account": "relay"},
    ],
    "path": [{"name": "out", "tiers": [["ana@acme.example"], ["ben@acme.example"]]}],
    "workload": {"cold": {"paths": ["out"]}},
    "webhook": [{"name": "crm", "url": "https://key:word@crm.example/hooks/42?token=abc"}],
    "retention": {"audit": "7y"},
}


def change(old: dict[str, Any], new: dict[str, Any]) -> list[Difference]:
    return list(differences(FILE, old, new))


def with_(**tables: Any) -> dict[str, Any]:
    return copy.deepcopy(BOOK) | tables


CAPS = [{"limit": 40, "per": "day"}, {"limit": 250, "per": "week", "window": "calendar"}]


@pytest.mark.parametrize(
    ("new", "action", "target", "key", "text"),
    [
        (
            with_(mailbox=[BOOK["mailbox"][0] | {"caps": CAPS}, BOOK["mailbox"][1]]),
            "mailbox changed",
            "ana@acme.example",
            "mailbox[ana@acme.example].caps",
            "mailbox ana@acme.example: caps: 50 per day → 40 per day, 250 per week (calendar)",
        ),
        (
            with_(mailbox=BOOK["mailbox"][:1]),
            "mailbox removed",
            "ben@acme.example",
            "mailbox[ben@acme.example]",
            "mailbox ben@acme.example removed: address ben@acme.example, account relay",
        ),
        (
            with_(workload=BOOK["workload"] | {"warmup": {"paths": ["out"]}}),
            "workload added",
            "warmup",
            "workload.warmup",
            "workload warmup added: paths (out)",
        ),
        (
            with_(workload={"cold": {"paths": ["out"], "isolated": True}}),
            "workload changed",
            "cold",
            "workload.cold.isolated",
            "workload cold: isolated: not set → true",
        ),
        (
            with_(path=[{"name": "out", "tiers": [["ben@acme.example"]]}]),
            "path changed",
            "out",
            "path[out].tiers",
            "path out: tiers: (ana@acme.example), (ben@acme.example) → (ben@acme.example)",
        ),
        (
            with_(workspace={"name": "acme", "title": "Acme GmbH"}),
            "workspace changed",
            "acme",
            "workspace.title",
            "workspace: title: Acme → Acme GmbH",
        ),
        (
            with_(retention={}),
            "retention changed",
            "retention",
            "retention.audit",
            "retention: audit: 7y → not set",
        ),
    ],
)
def test_a_difference_names_what_was_changed_from_what_to_what(
    new: dict[str, Any], action: str, target: str, key: str, text: str
) -> None:
    (found,) = change(BOOK, new)
    assert (found.file, found.workspace) == (FILE, "acme")
    assert (found.action, found.target, found.key, found.text) == (action, target, key, text)


def test_a_new_file_adds_each_of_its_items_and_a_removed_one_takes_them_out() -> None:
    added = change({}, BOOK)
    assert [found.action for found in added] == [
        "workspace added",
        "account added",
        "mailbox added",
        "mailbox added",
        "path added",
        "workload added",
        "webhook added",
        "retention added",
    ]
    removed = change(BOOK, {})
    assert [(found.old, found.new) for found in removed] == [(f.new, f.old) for f in added]
    assert {found.workspace for found in (*added, *removed)} == {"acme"}


def test_items_are_known_by_name_wherever_they_stand() -> None:
    assert change(BOOK, with_(mailbox=BOOK["mailbox"][::-1])) == []
    louder = [BOOK["mailbox"][0] | {"address": "Ana@Acme.example"}, BOOK["mailbox"][1]]
    assert [found.key for found in change(BOOK, with_(mailbox=louder))] == [
        "mailbox[ana@acme.example].address"
    ]


def test_a_person_is_told_by_where_the_entry_is_for() -> None:
    old = {"member": [{"name": "ana", "role": "owner"}]}
    more = {"name": "ana", "role": "viewer", "workspaces": ["acme", "bolt"]}
    (found,) = differences("mailplane.toml", old, {"member": [*old["member"], more]})
    assert (found.workspace, found.action, found.target) == (
        None,
        "member added",
        "ana in acme, bolt",
    )


def test_of_an_address_on_the_web_only_the_host_is_told() -> None:
    other = with_(webhook=[{"name": "crm", "url": "http://u:p@other.example:8/x?token=1#y"}])
    (found,) = change(BOOK, other)
    assert (found.old, found.new) == ("https://crm.example/…", "http://other.example/…")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("HTTPS://u:p@other.example/x", "HTTPS://other.example/…"),
        (" as on https://other.example/x?a=1 there", " as on https://other.example/… there"),
        ("https://[x", "https:///…"),
    ],
)
def test_no_form_of_an_address_on_the_web_tells_more_or_stops_the_rest(
    value: str, told: str
) -> None:
    (found,) = change(BOOK, with_(workspace=BOOK["workspace"] | {"title": value}))
    assert found.new == told


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.05, "0.05"), (float("nan"), "nan"), (10**30, "1" + "0" * 30), (True, True), (7, 7)],
)
def test_every_number_of_a_book_can_stand_in_an_audit_entry(value: object, told: object) -> None:
    rule = {"name": "hard", "resume": {"at": value}}
    (found,) = change(BOOK, with_(rule=[rule]))
    assert found.new == {"name": "hard", "resume": {"at": told}}
    is_personal("new", found.new)  # raises for what can't be hashed in one form only


def test_every_value_of_the_example_can_stand_in_an_audit_entry() -> None:
    files = [*EXAMPLE.glob("*.toml"), *EXAMPLE.glob("workspaces/*.toml")]
    assert len(files) > 1
    for file in files:
        for found in differences(file.name, {}, tomllib.loads(file.read_text())):
            is_personal("new", found.new)


def test_items_of_one_name_are_told_as_a_whole() -> None:
    twins = [{"name": "crm", "url": "one"}, {"name": "crm", "url": "two"}]
    other = [twins[0] | {"url": "three"}, twins[1]]
    (found,) = change(with_(webhook=twins), with_(webhook=other))
    assert (found.key, found.old, found.new) == ("webhook", twins, other)


def test_a_value_without_end_is_not_kept() -> None:
    tiers = [[f"box{number}@acme.example" for number in range(1_000)]]
    (found,) = change(BOOK, with_(path=[{"name": "out", "tiers": tiers}]))
    assert found.new == f"a value of {len(str(tiers))} characters"
    assert len(said(tiers)) == 200


NAMES = st.sampled_from(["ana@acme.example", "ben@acme.example", "cem@acme.example"])
VALUES = st.one_of(st.none(), st.integers(0, 3), st.sampled_from(["a", "b"]))
TABLES = st.dictionaries(
    st.sampled_from(["account", "pace"]),
    VALUES | st.dictionaries(st.sampled_from(["x", "y"]), VALUES),
)
BOOKS = st.fixed_dictionaries(
    {
        "mailbox": st.dictionaries(NAMES, TABLES).map(
            lambda boxes: [{"address": name, **table} for name, table in boxes.items()]
        ),
        "retention": TABLES,
    }
)


@given(BOOKS, BOOKS)
def test_the_differences_lead_from_the_one_book_to_the_other(
    old: dict[str, Any], new: dict[str, Any]
) -> None:
    made = copy.deepcopy(old)
    boxes = {box["address"]: box for box in made["mailbox"]}
    for found in change(old, new):
        if found.item is not None and not found.rest:
            boxes.pop(found.item, None)
            if found.new is not None:
                boxes[found.item] = found.new
            continue
        *above, last = found.rest.split(".")
        table = made["retention"] if found.item is None else boxes[found.item]
        for name in above:
            table = table[name]
        table[last] = found.new
    made["mailbox"] = list(boxes.values())
    assert without_nothing(made) == without_nothing(new)
    assert change(new, new) == []


def without_nothing(book: dict[str, Any]) -> tuple[Any, Any]:
    def kept(table: Any) -> Any:
        if not isinstance(table, dict):
            return (type(table), table)
        return {name: kept(value) for name, value in table.items() if value is not None}

    return {box["address"]: kept(box) for box in book["mailbox"]}, kept(book["retention"])
