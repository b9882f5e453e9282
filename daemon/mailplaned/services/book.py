"""Another book: what it would change, and how it comes into force.

Memory, audit log and history change in one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from mailplaned.domain.differences import Difference
from mailplaned.domain.policy import Policy
from mailplaned.domain.records import AuditEntry, BookVersion
from mailplaned.ports import Transaction
from mailplaned.services.recovery import adopt


class BookRefused(Exception):
    """A change of the book's files that can't be made; nothing has been. The text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BookPlan:
    """Files that could be the book: the policy that they are, and what it would change.

    There is no policy where they have problems. `base` is the files that they stand in place of,
    `homes` has the file of each workspace.
    """

    policy: Policy | None
    problems: Sequence[str]
    notices: Sequence[str]
    differences: Sequence[Difference]
    files: Mapping[str, bytes]
    base: Mapping[str, bytes]
    homes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """A book that is to be in force, and what is to be known of it later.

    `authors` says who changed each file, and `commanded` which of them by command, not by hand.
    `content` is the packed files.
    """

    policy: Policy
    differences: Sequence[Difference] = ()
    authors: Mapping[str, str] = field(default_factory=dict)
    commanded: AbstractSet[str] = frozenset()
    content: bytes = b""

    @property
    def by(self) -> str:
        """Who is told as the one who changed the book."""
        people = {*self.authors.values()}
        return people.pop() if len(people) == 1 else "book"


def put_in_force(tx: Transaction, adoption: Adoption) -> None:
    """Have another book in force, and plan again what it changes."""
    old = tx.memory.policy.hash
    replanned = adopt(tx, adoption.policy)
    note_book(tx, adoption, old=old, replanned=len(replanned))


def note_book(tx: Transaction, adoption: Adoption, *, old: str | None, replanned: int = 0) -> None:
    """Write down that a book is in force, and each value that was another one before it."""
    new = adoption.policy.hash
    for found in adoption.differences:
        tx.add_audit(
            AuditEntry(
                at_us=tx.now_us,
                actor=adoption.authors[found.file],
                action=found.action,
                workspace=found.workspace,
                target=found.target,
                detail={
                    "change": found.change,
                    "file": found.file,
                    "key": found.key,
                    "old": found.old,
                    "new": found.new,
                    "via": "command" if found.file in adoption.commanded else "file",
                },
            )
        )
    changes = len(adoption.differences)
    tx.add_audit(
        AuditEntry(
            at_us=tx.now_us,
            actor=adoption.by,
            action="book applied",
            workspace=None,
            target=f"book:{new}",
            detail={"old": old, "new": new, "changes": changes, "replanned": replanned},
        )
    )
    version = BookVersion(hash=new, applied_us=tx.now_us, actor=adoption.by, changes=changes)
    tx.add_book(version, adoption.content)
