"""Which secrets the book names, and what is wrong or soon will be with them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import Final

from mailplaned.domain.policy import Policy
from mailplaned.domain.records import SealedSecret, SecretKey
from mailplaned.domain.windows import DAY_US
from mailplaned.ports import Vault

SECRET_BYTES: Final = 64 * 1024
"""No key or password is larger."""

SECRET_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,99}")

_SOON_US: Final = 14 * DAY_US
_TOLD: Final = 20
"""Findings that are told one by one."""


def users_of(policy: Policy) -> dict[str, dict[str, str]]:
    """By the name of a secret: the places of the book that name it, each with its workspace."""
    found: dict[str, dict[str, str]] = {}
    for workspace in policy.workspaces.values():
        named = [(f"account {a.key}", a.secret) for a in workspace.accounts.values() if a.supported]
        named += [(f"DKIM of {d.name}", d.dkim_secret) for d in workspace.domains.values()]
        for place, secret in named:
            if secret is not None:
                found.setdefault(secret, {})[place] = workspace.name
    return found


def uses(policy: Policy, sealed: Container[SecretKey]) -> dict[SecretKey, dict[str, str]]:
    """By each secret that serves them: the places of the book, each with its workspace.

    `sealed` are those in the vault; what it has not counts as one for all.
    """
    found: dict[SecretKey, dict[str, str]] = {}
    for name, users in users_of(policy).items():
        for place, workspace in users.items():
            own = (name, workspace)
            found.setdefault(own if own in sealed else (name, None), {})[place] = workspace
    return found


def findings(policy: Policy, vault: Vault, now_us: int) -> list[str]:
    """What an operator has to know: secrets that are missing, expired or about to expire."""
    found = [*_missing(policy, vault), *_expiring(vault.rows(), now_us)]
    more = len(found) - _TOLD
    return [*found[:_TOLD], f"secrets: {more} more findings"] if more > 0 else found


def _missing(policy: Policy, vault: Vault) -> Iterator[str]:
    for name, users in users_of(policy).items():
        for place, workspace in users.items():
            problem = vault.problem(name, workspace)
            if problem is not None:
                yield f'secret "{name}" of {place}: {problem}'


def _expiring(rows: Iterable[SealedSecret], now_us: int) -> Iterator[str]:
    for row in rows:
        if row.expires_us is None or row.expires_us - now_us > _SOON_US:
            continue
        days = (row.expires_us - now_us) // DAY_US
        when = "has expired" if row.expires_us <= now_us else f"expires in {days} days"
        owner = f" of {row.workspace}" if row.workspace else ""
        yield f'secret "{row.name}"{owner} {when}; {rotation(row)}'


def rotation(secret: SealedSecret) -> str:
    """The command that gives it another value."""
    flag = f" --workspace {secret.workspace}" if secret.workspace else ""
    return f"mailplane secret rotate {secret.name}{flag}"
