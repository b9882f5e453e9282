from __future__ import annotations

import pytest

from mailplaned.domain.policy import Account, Mailbox, Path, SendingDomain, Workload, Workspace
from mailplaned.domain.routing import NoRoute, Route, route


def mailbox(address: str) -> Mailbox:
    return Mailbox(
        address=address, workspace="acme", domain=address.partition("@")[2], account="relay"
    )


def path(name: str, *tiers: tuple[str, ...], next_tier: bool = True) -> Path:
    return Path(name=name, workspace="acme", tiers=tiers, next_tier=next_tier)


ACME = Workspace(
    name="acme",
    accounts={"relay": Account(name="relay", workspace="acme", provider="smtp")},
    domains={"x.example": SendingDomain(name="x.example", workspace="acme")},
    mailboxes={a: mailbox(a) for a in ("a@x.example", "b@x.example", "c@x.example")},
    paths={
        "outreach": path("outreach", ("a@x.example",), ("b@x.example",)),
        "strict": path("strict", ("a@x.example",), ("b@x.example",), next_tier=False),
        "receipts": path("receipts", ("c@x.example",)),
    },
    workloads={
        "cold": Workload(name="cold", workspace="acme", paths=("outreach", "strict")),
        "transactional": Workload(
            name="transactional", workspace="acme", paths=("receipts",), isolated=True
        ),
    },
)


def ask(workload: str, mailbox: str | None = None, path: str | None = None) -> object:
    """The way out in short: path and addresses by tier, or the code of the refusal."""
    found = route(ACME, workload=workload, mailbox=mailbox, path=path)
    if isinstance(found, NoRoute):
        return found.code, found.field
    assert isinstance(found, Route)
    return found.path, [[m.address[0] for m in tier] for tier in found.tiers]


@pytest.mark.parametrize(
    ("workload", "mailbox", "path", "expected"),
    [
        # Left open: the workload's first path.
        ("cold", None, None, ("outreach", [["a"], ["b"]])),
        ("transactional", None, None, ("receipts", [["c"]])),
        # A path of one's own choice among those allowed; a strict one has no next tier.
        ("cold", None, "strict", ("strict", [["a"]])),
        ("cold", None, "receipts", ("path-forbidden", "path")),
        ("cold", None, "nowhere", ("invalid", "path")),
        # A mailbox by name has to be on one of the workload's paths.
        ("cold", "b@x.example", None, ("outreach", [["b"]])),
        ("cold", "b@x.example", "strict", ("strict", [["b"]])),
        ("cold", "c@x.example", None, ("path-forbidden", "mailbox")),
        ("transactional", "a@x.example", None, ("path-forbidden", "mailbox")),
        ("cold", "d@x.example", None, ("unknown-mailbox", "mailbox")),
        # A built-in workload without an entry may use any mailbox or path that is named.
        ("manual", "c@x.example", None, (None, [["c"]])),
        ("manual", None, "receipts", ("receipts", [["c"]])),
        ("manual", None, None, ("invalid", "mailbox")),
        ("unheard-of", "a@x.example", None, ("invalid", "workload")),
    ],
)
def test_the_way_out(
    workload: str, mailbox: str | None, path: str | None, expected: object
) -> None:
    assert ask(workload, mailbox, path) == expected
