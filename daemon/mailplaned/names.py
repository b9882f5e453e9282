"""What DNS says of the hosts and sending domains of the book, as checks of the doctor.

It asks whether a name is there, and where answers to a domain's mail go. Whether the domain's SPF,
DKIM and DMARC are right is not looked at here.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mailplane_wire.doctor import CheckView
from mailplaned.domain.policy import Policy
from mailplaned.runtime.dns import LIFETIME_S, Answer, NameServers

MOST_ASKED: Final = 100
"""Names that are asked in one run: a book may have thousands, and a doctor's visit should end."""

_AT_A_TIME: Final = 16
_NAMED: Final = 3
"""Names that a line tells one by one."""

_RESERVED: Final = (
    *("test", "example", "invalid", "localhost"),  # RFC 2606 §2, RFC 6761 §6
    *("example.com", "example.net", "example.org"),  # RFC 2606 §3
)
_NULL_MX: Final = (".",)
_MEND_RESOLVER: Final = "mend it, or give others: resolvers in [dns] of mailplane.toml"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Name:
    """A name to ask about, and where the book has it. `host`: it belongs to an account."""

    name: str
    place: str
    host: bool

    @property
    def check(self) -> str:
        return f"{'host' if self.host else 'domain'} {self.name}"

    @property
    def kinds(self) -> tuple[str, ...]:
        return ("A", "AAAA") if self.host else ("MX", "A", "AAAA")


async def look_up(
    policy: Policy, reached: Collection[str], *, lifetime_s: float = LIFETIME_S
) -> list[CheckView]:
    """A check for each name, for each resolver that is silent, and one that counts.

    `reached` are the hosts to which there was a connection, by whatever name service.
    """
    names = _names(policy)
    known = [name for name in names if not _is_reserved(name.name)]
    kept = f"reserved for tests and examples: {len(names) - len(known)}"
    if not known:
        return [CheckView.of("DNS", f"nothing to ask; {kept}")]
    try:
        servers = NameServers(policy.settings.resolvers, lifetime_s=lifetime_s)
    except LookupError as fault:
        return [CheckView.of("DNS", str(fault), _MEND_RESOLVER)]
    silent = await servers.leave_out_silent()
    found = [
        CheckView.of(f"resolver {server}", why, _MEND_RESOLVER, grave=not servers)
        for server, why in silent.items()
    ]
    if not servers:
        return found
    answers = await _ask_all(servers, known[:MOST_ASKED])
    counted = f"{len(answers)} of {len(known)} names asked of {servers}; {kept}"
    connected = {_plain(host) for host in reached}
    return [
        *found,
        CheckView.of("DNS", counted),
        *_unanswered(answers),
        *(
            _judged(name, answer, connected)
            for name, answer in answers.items()
            if answer.unanswered is None
        ),
    ]


def _names(policy: Policy) -> list[_Name]:
    """Each name once, hosts first: without them nothing goes out."""
    hosts: dict[str, _Name] = {}
    domains: dict[str, _Name] = {}
    for workspace in policy.workspaces.values():
        for account in workspace.accounts.values():
            host = _plain(account.host)
            if account.supported and host and not _is_address(host):
                place = f"[[account]] {account.name} of {workspace.name}"
                hosts.setdefault(host, _Name(name=host, place=place, host=True))
        for domain in workspace.domains.values():
            name, place = _plain(domain.name), f"[[domain]] of {workspace.name}"
            domains.setdefault(name, _Name(name=name, place=place, host=False))
    return [*hosts.values(), *domains.values()]


async def _ask_all(servers: NameServers, names: Iterable[_Name]) -> dict[_Name, Answer]:
    gate = asyncio.Semaphore(_AT_A_TIME)

    async def ask(name: _Name) -> tuple[_Name, Answer]:
        async with gate:
            return name, await servers.ask(name.name, *name.kinds)

    return dict(await asyncio.gather(*map(ask, names)))


def _unanswered(answers: Mapping[_Name, Answer]) -> Iterable[CheckView]:
    """One check for all names that fail alike: what they have in common is to be mended."""
    alike: dict[str, list[str]] = {}
    for name, answer in answers.items():
        if answer.unanswered is not None:
            alike.setdefault(answer.unanswered, []).append(name.name)
    for why, names in alike.items():
        yield CheckView.of(
            "names without an answer",
            f"{why}, for {_listed(names)}",
            "run this again; if it stays, tell whoever runs the DNS of these names",
        )


def _judged(name: _Name, answer: Answer, reached: Collection[str]) -> CheckView:
    there = _listed(answer.records)
    if name.host:
        if answer.records:
            return CheckView.of(name.check, there)
        if name.name in reached:
            return CheckView.of(name.check, "not in DNS, but this host knows it")
        wrong = "has no address in DNS" if answer.exists else "does not exist in DNS"
        return CheckView.of(name.check, wrong, f"mend host in {name.place}")
    if not answer.exists:
        fix = f"register it, or mend its spelling in {name.place}"
        return CheckView.of(name.check, "does not exist in DNS", fix)
    if not answer.records:
        wrong = "has neither MX nor address: no answer and no bounce can reach it"
        return CheckView.of(name.check, wrong, "give it an MX record")
    if answer.kind != "MX":
        return CheckView.of(name.check, f"no MX; mail to it goes to {there}")
    if answer.records == _NULL_MX:
        wrong = "takes no mail (null MX, RFC 7505): no answer and no bounce can reach it"
        return CheckView.of(name.check, wrong, "give it a real MX record", grave=False)
    return CheckView.of(name.check, f"mail to it goes to {there}")


def _listed(texts: Sequence[str]) -> str:
    more = len(texts) - _NAMED
    return ", ".join(texts[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_reserved(name: str) -> bool:
    return any(name == known or name.endswith(f".{known}") for known in _RESERVED)
