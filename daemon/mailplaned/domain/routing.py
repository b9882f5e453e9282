"""Which mailboxes a submission may leave by, in the order in which they are to be tried."""

from __future__ import annotations

from dataclasses import dataclass

from mailplaned.domain.policy import Mailbox, Workload, Workspace

BUILT_IN_WORKLOADS = frozenset({"cold", "warmup", "transactional", "manual"})
"""Workloads that need no entry in the book."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Tiers of mailboxes, and the path they come from if there is one."""

    path: str | None
    tiers: tuple[tuple[Mailbox, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NoRoute:
    """Why there is no way out: a problem code, the field it concerns, and words."""

    code: str
    field: str
    detail: str


def route(
    workspace: Workspace, *, workload: str, mailbox: str | None, path: str | None
) -> Route | NoRoute:
    """The way out for a workload that asks for a mailbox, a path, or leaves both open."""
    rules = workspace.workloads.get(workload)
    if rules is None and workload not in BUILT_IN_WORKLOADS:
        return NoRoute(
            code="invalid",
            field="workload",
            detail=f"workspace {workspace.name} has no workload {workload!r}",
        )
    if mailbox is not None:
        return _by_mailbox(workspace, workload, rules, mailbox, path)
    if path is None:
        if rules is None or not rules.paths:
            return NoRoute(
                code="invalid",
                field="mailbox",
                detail=f"give a mailbox or a path: workload {workload} has no path of its own",
            )
        path = rules.paths[0]
    return _by_path(workspace, workload, rules, path)


def _by_mailbox(
    workspace: Workspace, workload: str, rules: Workload | None, address: str, path: str | None
) -> Route | NoRoute:
    found = workspace.mailboxes.get(address)
    if found is None:
        return NoRoute(
            code="unknown-mailbox",
            field="mailbox",
            detail=f"workspace {workspace.name} has no mailbox {address}",
        )
    allowed = rules.paths if rules is not None else ()
    if path is not None:
        chosen = _by_path(workspace, workload, rules, path)
        if isinstance(chosen, NoRoute):
            return chosen
        allowed = (path,)
    for name in allowed:
        if any(address in tier for tier in workspace.paths[name].tiers):
            return Route(path=name, tiers=((found,),))
    if allowed:
        return NoRoute(
            code="path-forbidden",
            field="mailbox",
            detail=f"workload {workload} may not leave by {address}: it is not on "
            f"{' or '.join(allowed)}",
        )
    return Route(path=None, tiers=((found,),))


def _by_path(
    workspace: Workspace, workload: str, rules: Workload | None, name: str
) -> Route | NoRoute:
    path = workspace.paths.get(name)
    if path is None:
        return NoRoute(
            code="invalid",
            field="path",
            detail=f"workspace {workspace.name} has no path {name!r}",
        )
    if rules is not None and rules.paths and name not in rules.paths:
        return NoRoute(
            code="path-forbidden",
            field="path",
            detail=f"workload {workload} may not use path {name}, only {', '.join(rules.paths)}",
        )
    tiers = tuple(tuple(workspace.mailboxes[address] for address in tier) for tier in path.tiers)
    return Route(path=name, tiers=tiers if path.next_tier else tiers[:1])
