"""Who may do what: one table, default deny."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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
    CLOCK = "confirm the clock"


_ADMIN: Final = frozenset(Action) - {Action.CLOCK}
_OPERATOR: Final = _ADMIN - {Action.TOKENS, Action.SECRETS, Action.UNSUPPRESS}

PERMISSIONS: Final[Mapping[Role, frozenset[Action]]] = {
    Role.OWNER: frozenset(Action),
    Role.ADMIN: _ADMIN,
    Role.OPERATOR: _OPERATOR,
    Role.AUDITOR: frozenset({Action.READ, Action.READ_AUDIT}),
    Role.VIEWER: frozenset({Action.READ}),
    Role.SENDER: frozenset({Action.SUBMIT, Action.READ, Action.CANCEL}),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who asks: a name for the audit log, a role, and the workspaces it holds in (None: all)."""

    name: str
    role: Role
    workspaces: frozenset[str] | None = None

    def may(self, action: Action, workspace: str | None = None) -> bool:
        """Whether the caller may do it there; without a workspace: daemon-wide."""
        if action not in PERMISSIONS[self.role]:
            return False
        if self.workspaces is None:
            return True
        return workspace is not None and workspace in self.workspaces

    def sees(self, workspace: str) -> bool:
        """Whether the caller may know that the workspace exists."""
        return self.workspaces is None or workspace in self.workspaces
