"""The arithmetic of the audit log: what is hashed, how entries hang together, what proves one.

It is here, and not in the daemon, since a verifier needs the same definitions and may know nothing
of the daemon. It uses hashes and JSON only: no clock, no randomness, no I/O.

Entries form a chain, each hash covering the one before, and at the same time the leaves of a
Merkle tree (RFC 6962 §2.1): the chain says which row was changed, the tree proves one row alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

CHAIN_LABEL: Final = b"mailplane-audit-1\n"
"""In front of what a link of the chain hashes; another form of entries gets another label."""

CHECKPOINT_LABEL: Final = b"mailplane-checkpoint-1\n"
EXPORT_LABEL: Final = b"mailplane-export-1\n"
"""In front of what is signed, so that one kind of signature can't pass as another."""

BLOCK: Final = 1024
"""How many leaves make a block: the root of each whole one is kept, so that a proof reads few."""

SALT_BYTES: Final = 16
"""As much can't be guessed; it hides a value that is otherwise easily tried."""

Range = tuple[int, int]
"""The leaves of a subtree: the first one, and how many."""


canonical_text: Final = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":")
).encode
"""JSON in one form only: sorted keys, no blanks, no escapes but those that have to be.

This is RFC 8785 for what entries are made of: text, integers, booleans, null, and lists and objects
of these; keys are sorted by code point.
"""


def canonical(value: Any) -> bytes:
    """The bytes of `canonical_text`, which are what is hashed."""
    return canonical_text(value).encode()


def commitment(salt: bytes, value: str) -> str:
    """What stands in an entry for a value, in canonical text, that can be taken out of it."""
    return hashlib.sha256(salt + value.encode()).hexdigest()


def leaf_hash(
    *,
    seq: int,
    at: int,
    actor: str,
    action: str,
    workspace: str | None,
    target: str | None,
    detail: str,
    sealed: str,
    before: int,
    nonce: str,
) -> bytes:
    """The leaf of an entry (RFC 6962 §2.1): over the canonical object of these names.

    `detail` and `sealed` are objects in canonical text already.
    """
    text = (
        f'{{"action":{canonical_text(action)},"actor":{canonical_text(actor)},"at":{at},'
        f'"before":{before},"detail":{detail},"nonce":{canonical_text(nonce)},"sealed":{sealed},"seq":{seq},'
        f'"target":{canonical_text(target)},"workspace":{canonical_text(workspace)}}}'
    )
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def genesis(origin: str) -> bytes:
    """What stands in for the hash before the first entry; it binds the chain to its log."""
    return hashlib.sha256(CHAIN_LABEL + origin.encode()).digest()


def link_hash(previous: bytes, leaf: bytes) -> bytes:
    """The hash of an entry: over all before it, and itself."""
    return hashlib.sha256(CHAIN_LABEL + previous + leaf).digest()


# --- the tree ------------------------------------------------------------------------------------


def node_hash(left: bytes, right: bytes) -> bytes:
    """An inner node (RFC 6962 §2.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def push(frontier: list[bytes], size: int, leaf: bytes) -> bytes | None:
    """Add the leaf after `size` others to a frontier; the root of a block that it makes whole.

    A frontier is the roots of the whole subtrees that the leaves so far make up, one for each bit
    of their number, the largest first.
    """
    block = None
    node = leaf
    width = 1
    while size & width:
        node = node_hash(frontier.pop(), node)
        width *= 2
        if width == BLOCK:
            block = node
    frontier.append(node)
    return block


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree that has this frontier (RFC 6962 §2.1)."""
    if not frontier:
        return hashlib.sha256().digest()
    root = frontier[-1]
    for left in reversed(frontier[:-1]):
        root = node_hash(left, root)
    return root


def parts(size: int) -> list[Range]:
    """The leaves under each node of the frontier of a tree."""
    found = []
    at = 0
    for bit in reversed(range(size.bit_length())):
        if size >> bit & 1:
            found.append((at, 1 << bit))
            at += 1 << bit
    return found


def subtree(known: MutableMapping[Range, bytes], start: int, size: int) -> bytes:
    """The root over some leaves, from what is known; what is computed is known from then on.

    Raises KeyError when a leaf that it takes is not known.
    """
    found = known.get((start, size))
    if found is None:
        if size == 1:
            raise KeyError((start, size))
        left = _left(size)
        found = node_hash(subtree(known, start, left), subtree(known, start + left, size - left))
        known[start, size] = found
    return found


def audit_path(known: MutableMapping[Range, bytes], index: int, size: int) -> list[bytes]:
    """What proves leaf `index` in a tree of `size` leaves, from the leaf up (RFC 6962 §2.1.1)."""
    path = []
    start = 0
    while size > 1:
        left = _left(size)
        if index - start < left:
            path.append(subtree(known, start + left, size - left))
            size = left
        else:
            path.append(subtree(known, start, left))
            start += left
            size -= left
    return path[::-1]


def proven_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a path leads to (RFC 9162 §2.1.3.2), None when it fits no tree of that size."""
    if not 0 <= index < size:
        return None
    node, last = leaf, size - 1
    for other in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            node = node_hash(other, node)
            while not index & 1 and index:
                index >>= 1
                last >>= 1
        else:
            node = node_hash(node, other)
        index >>= 1
        last >>= 1
    return node if last == 0 else None


def _left(size: int) -> int:
    """How many of some leaves are in the left half: the largest power of two below their number."""
    return 1 << (size - 1).bit_length() - 1
