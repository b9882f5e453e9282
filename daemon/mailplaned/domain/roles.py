"""Who may do what: one table, default deny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a person or a machine is in a workspace."""

    OWNER = "owner"
    ADMIN = "admin"
    OPERATOR = "operator"
    AUDITOR = "auditor"
    VIEWER = "viewer"
    SENDER = "sender"


class Action(StrEnum):
    """What can be done."""

    SUBMIT = "submit"
    READ = "read"
    READ_AUDIT = "read the audit log"
    CANCEL = "cancel"
    RESOLVE = "resolve"
    PAUSE = "pause"
    RESUME = "resume"
    SUPPRESS = "suppress"
    UNSUPPRESS = "lift a suppression"
    TOKENS = "manage tokens"
    SECRETS = "manage secrets"
    BOOK = "change the book"
    PEOPLE = "change people and settings"
    CLOCK = "confirm the clock"
    BACKUP = "make a backup"
    REDACT = "redact the audit log"


_ADMIN: Final = frozenset(Action) - {
    Action.CLOCK,
    Action.REDACT,
    Action.BACKUP,
    Action.PEOPLE,
}
_OPERATOR: Final = _ADMIN - {Action.TOKENS, Action.SECRETS, Action.UNSUPPRESS, Action.BOOK}

PERMISSIONS: Final[Mapping[Role, frozenset[Action]]] = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: _ADMIN,
    Role.OPERATOR: _OPERATOR,
    Role.AUDITOR: frozenset({Action.READ, Action.READ_AUDIT}),
    Role.VIEWER: frozenset({Action.READ}),
    Role.SENDER: frozenset({Action.SUBMIT, Action.READ, Action.CANCEL}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What a token is limited to beyond its role; None: not limited in that."""

    workloads: frozenset[str] | None = None
    mailboxes: frozenset[str] | None = None
    actions: frozenset[Action] | None = None

    @property
    def partial(self) -> bool:
        """Whether it covers only a part of a workspace's mail."""
        return self.workloads is not None or self.mailboxes is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a name for the audit log, a role, and the workspaces it holds in (None: all).

    `elsewhere` are other roles in single workspaces; there they take the place of `role`.
    """

    name: str
    role: Role
    workspaces: frozenset[str] | None = None
    elsewhere: Mapping[str, Role] = field(default_factory=dict)
    scope: Scope = Scope()

    def may(self, action: Action, workspace: str | None = None) -> bool:
        """Whether the caller may do it there; without a workspace: daemon-wide."""
        if self.scope.actions is not None and action not in self.scope.actions:
            return False
        role = self.role_in(workspace)
        return role is not None and action in PERMISSIONS[role]

    def role_in(self, workspace: str | None) -> Role | None:
        """The role that holds there, None for none; without a workspace: daemon-wide."""
        if workspace is not None and workspace in self.elsewhere:
            return self.elsewhere[workspace]
        if self.workspaces is None or (workspace is not None and workspace in self.workspaces):
            return self.role
        return None

    def sees(self, workspace: str) -> bool:
        """Whether the caller may know that the workspace exists."""
        return self.role_in(workspace) is not None

    def covers(self, mailbox: str, workload: str | None = None) -> bool:
        """Whether the token's scope takes in mail of that mailbox and workload."""
        scope = self.scope
        return (scope.mailboxes is None or mailbox in scope.mailboxes) and (
            workload is None or scope.workloads is None or workload in scope.workloads
        )

    @property
    def seen(self) -> frozenset[str] | None:
        """The workspaces that the caller sees; None: all of them, and what is daemon-wide."""
        return None if self.workspaces is None else self.workspaces | self.elsewhere.keys()

    @property
    def only(self) -> str | None:
        """The one workspace that it can mean."""
        seen = self.seen
        return next(iter(seen)) if seen is not None and len(seen) == 1 else None


def rank(role: Role) -> int:
    """How much a role may do: nobody hands out more than they have."""
    return len(PERMISSIONS[role])
