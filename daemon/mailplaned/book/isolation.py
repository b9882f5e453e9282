"""Isolated workloads: no other workload's path may touch what theirs send by."""

from __future__ import annotations

from itertools import chain

from mailplaned.book.source import Source
from mailplaned.domain.policy import Workload, Workspace


def check_isolation(source: Source, workspace: Workspace) -> list[str]:
    """A problem for each workload whose paths share something with an isolated one.

    A notice for the workloads that have no paths: they may leave by any mailbox that is named.
    """
    workloads = workspace.workloads
    alone = [name for name, workload in workloads.items() if workload.isolated]
    if not alone:
        return []
    used = {name: _used(workspace, workload) for name, workload in workloads.items()}
    pathless = sorted(name for name, workload in workloads.items() if not workload.paths)
    said = []
    for name in alone:
        if not workloads[name].paths:
            key = ("workload", name, "isolated")
            source.problem(key, "isolated without paths of its own", "name its paths")
            continue
        for other, others in used.items():
            shared = sorted(used[name] & others)
            if other != name and shared and (other not in alone or other > name):
                kind, what = shared[0]
                wrong = f'shares {kind} {what} with the isolated workload "{name}"'
                source.problem(("workload", other, "paths"), wrong, "give each its own")
        if pathless:
            said.append(
                f"{source.name}: [workload.{name}] is isolated, but workloads without paths "
                f"({', '.join(pathless)}) may leave by its mailboxes where a submission names one"
            )
    return said


def _used(workspace: Workspace, workload: Workload) -> set[tuple[str, str]]:
    """What a workload's paths send by, as pairs of kind and name."""
    found = set()
    for path in filter(None, map(workspace.paths.get, workload.paths)):
        for box in filter(None, map(workspace.mailboxes.get, chain.from_iterable(path.tiers))):
            found |= {("mailbox", box.address), ("domain", box.domain), ("account", box.account)}
    return found
