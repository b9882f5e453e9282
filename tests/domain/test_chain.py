"""The arithmetic of the audit log, against the plainest way to compute it."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailplane_wire.audit.chain import (
    BLOCK,
    Range,
    audit_path,
    canonical,
    leaf_hash,
    node_hash,
    parts,
    proven_root,
    push,
    root_of,
)
from mailplaned.domain.chain import Chain, is_personal, sealed
from mailplaned.domain.records import AuditEntry
from tests.fakes.random_seeded import SeededRandom

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SOME = st.none() | TEXT
DETAIL = st.dictionaries(
    TEXT,
    TEXT | st.integers(-(2**60), 2**60) | st.booleans() | st.none() | st.lists(TEXT),
    max_size=4,
)


def leaf(number: int) -> bytes:
    return hashlib.sha256(b"\x00%d" % number).digest()


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word by word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(naive_root(leaves[:k]), naive_root(leaves[k:]))


def naive_path(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962 §2.1.1, word by word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*naive_path(leaves[:k], index), naive_root(leaves[k:])]
    return [*naive_path(leaves[k:], index - k), naive_root(leaves[:k])]


def frontier_of(leaves: list[bytes]) -> list[bytes]:
    found: list[bytes] = []
    for number, one in enumerate(leaves):
        push(found, number, one)
    return found


@given(st.integers(0, 200))
def test_the_root_of_a_frontier_is_that_of_the_tree(size: int) -> None:
    leaves = [leaf(number) for number in range(size)]
    frontier = frontier_of(leaves)
    assert root_of(frontier) == naive_root(leaves)
    assert len(frontier) == size.bit_count()
    under = [naive_root(leaves[start : start + width]) for start, width in parts(size)]
    assert frontier == under


@given(st.data(), st.integers(1, 200))
def test_a_proof_is_the_naive_one_even_behind_what_was_dropped(data: Any, size: int) -> None:
    leaves = [leaf(number) for number in range(size)]
    dropped = data.draw(st.integers(0, size - 1))
    index = data.draw(st.integers(dropped, size - 1))
    known: dict[Range, bytes] = dict(
        zip(parts(dropped), frontier_of(leaves[:dropped]), strict=True)
    )
    known |= {(number, 1): leaves[number] for number in range(dropped, size)}
    path = audit_path(known, index, size)
    assert path == naive_path(leaves, index)
    assert proven_root(leaves[index], index, size, path) == naive_root(leaves)


@given(st.data(), st.integers(2, 100))
def test_a_forged_proof_leads_elsewhere(data: Any, size: int) -> None:
    leaves = [leaf(number) for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path = naive_path(leaves, index)
    root = naive_root(leaves)
    at = data.draw(st.integers(0, len(path) - 1))
    other = data.draw(st.integers(0, size - 1).filter(lambda number: number != index))
    forged = [*path[:at], leaf(10_000), *path[at + 1 :]]
    assert proven_root(leaves[index], index, size, forged) != root
    assert proven_root(leaf(10_000), index, size, path) != root
    assert proven_root(leaves[index], other, size, path) != root
    assert proven_root(leaves[index], index, size, path[:-1]) != root
    assert proven_root(leaves[index], index, size, [*path, leaf(1)]) is None
    assert proven_root(leaves[index], size, size, path) is None


def test_leaves_and_inner_nodes_are_hashed_differently() -> None:
    told = canonical(as_object(PLAIN))
    assert leaf_hash(**PLAIN) == hashlib.sha256(b"\x00" + told).digest()
    assert node_hash(b"a", b"b") == hashlib.sha256(b"\x01ab").digest()


def test_a_block_is_told_when_it_is_whole() -> None:
    frontier: list[bytes] = []
    leaves = [leaf(number) for number in range(2 * BLOCK + 1)]
    told = {number: push(frontier, number, one) for number, one in enumerate(leaves)}
    whole = {number: root for number, root in told.items() if root is not None}
    assert whole == {
        BLOCK - 1: naive_root(leaves[:BLOCK]),
        2 * BLOCK - 1: naive_root(leaves[BLOCK : 2 * BLOCK]),
    }


PLAIN: dict[str, Any] = {
    "seq": 1, "at": 2, "actor": "ana", "action": "pause", "workspace": None, "target": "x",
    "detail": "{}", "sealed": "{}", "before": 0, "nonce": "00",
}  # fmt: skip


def as_object(values: dict[str, Any]) -> dict[str, Any]:
    return {
        **values,
        "detail": json.loads(values["detail"]),
        "sealed": json.loads(values["sealed"]),
    }


@given(
    actor=TEXT, action=TEXT, workspace=SOME, target=SOME, detail=DETAIL, seq=st.integers(0, 2**50),
    nonce=TEXT,
)  # fmt: skip
def test_a_leaf_is_over_the_canonical_object(detail: dict[str, Any], **values: Any) -> None:
    given_ = {**PLAIN, **values, "detail": canonical(detail).decode()}
    plainest = json.dumps(
        as_object(given_), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert leaf_hash(**given_) == hashlib.sha256(b"\x00" + plainest.encode()).digest()


@given(st.sampled_from(sorted(PLAIN.keys() - {"detail", "sealed"})), st.integers(), SOME)
def test_two_entries_that_differ_have_different_leaves(name: str, number: int, text: str) -> None:
    other = number if isinstance(PLAIN[name], int) else text
    if other != PLAIN[name]:
        assert leaf_hash(**{**PLAIN, name: other}) != leaf_hash(**PLAIN)


@pytest.mark.parametrize(
    ("name", "value", "personal"),
    [
        ("reason", "kim asked", True),
        ("ground", "consent", True),
        ("name", "sequencer of Kim", True),
        ("anything new", "words", True),
        ("origin", "operator", False),
        ("old", "book-1", False),
        ("actions", ["submit", "read"], False),
        ("new", "kim@example.org", True),
        ("mailboxes", ["ana@acme.example"], True),
        ("mailboxes", [], False),
        ("table", {"kim@example.org": 1}, True),
        ("until_us", 17, False),
        ("ahead_s", None, False),
        ("acknowledged", True, False),
    ],
)
def test_what_may_name_a_person_is_personal(name: str, value: Any, personal: bool) -> None:
    assert is_personal(name, value) is personal


def test_a_number_that_has_no_one_form_is_refused() -> None:
    with pytest.raises(TypeError, match="share"):
        is_personal("share", 0.5)


def test_what_is_personal_is_not_in_what_is_hashed() -> None:
    entry = AuditEntry(
        at_us=1,
        actor="ana",
        action="pause",
        workspace="acme",
        target="mailbox:kim@there.example",
        detail={"reason": "Kim Jones wrote", "origin": "operator", "until_us": 5},
    )
    made = sealed(entry, Chain(origin="x"), SeededRandom(1).bits)
    hashed = json.dumps([made.target, made.detail, made.sealed])
    assert "kim" not in hashed.lower()
    assert made.detail == '{"origin":"operator","until_us":5}'
    assert set(json.loads(made.sealed)) == {"target", "detail.reason"}
    shown = made.shown()
    assert (shown.target, shown.detail) == (entry.target, entry.detail)


def test_the_same_value_is_sealed_differently_each_time() -> None:
    entry = AuditEntry(
        at_us=1, actor="a", action="b", workspace=None, target="t", detail={"reason": "same"}
    )
    random = SeededRandom(1)
    chain = Chain(origin="x")
    first, second = (sealed(entry, chain, random.bits) for _ in range(2))
    assert first.sealed != second.sealed
    assert first.leaf() != second.leaf()
