r"""Asks name servers. The only place that speaks DNS.

Answers are anybody's: they decide nothing, nothing here raises because of one, and what is in them
comes out as printable ASCII, other bytes as `\027`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.name
import dns.rdata
from dns.asyncresolver import Resolver
from dns.nameserver import Do53Nameserver
from dns.rdtypes.mxbase import MXBase
from dns.resolver import NXDOMAIN, YXDOMAIN, LifetimeTimeout, NoNameservers

LIFETIME_S: Final = 4.0
"""How long a question may take, its repetitions and all servers included."""

_DNS_PORT: Final = 53
_TRIES: Final = 3
"""Packets get lost."""

_ROOT: Final = "."
_SHOWN_CHARS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What there is at a name.

    `records` are addresses, or the hosts of MX records, the preferred one first and `.` for none
    at all (RFC 7505), all of the same `kind`. Empty: there are none of the kinds asked for.
    `unanswered` says, where that is so, which servers gave no answer and why.
    """

    exists: bool = True
    kind: str = ""
    records: tuple[str, ...] = ()
    unanswered: str | None = None


class NameServers:
    """Name servers that answer for all of DNS, as those of a provider or of an office do."""

    def __init__(
        self, addresses: Sequence[tuple[str, int]], *, lifetime_s: float = LIFETIME_S
    ) -> None:
        """Addresses with ports; without any, those of the host. Raises LookupError for none."""
        self._servers = [_Server(*pair) for pair in addresses or _of_the_host()]
        self._lifetime_s = lifetime_s

    def __str__(self) -> str:
        return ", ".join(map(str, self._servers))

    def __bool__(self) -> bool:
        return bool(self._servers)

    async def leave_out_silent(self) -> dict[str, str]:
        """Ask no more of those that don't answer at all; each of them with the reason."""
        found = await asyncio.gather(*(self._silence(server) for server in self._servers))
        silent = {server: why for server, why in zip(self._servers, found, strict=True) if why}
        self._servers = [server for server in self._servers if server not in silent]
        return {str(server): why for server, why in silent.items()}

    async def ask(self, name: str, *kinds: str) -> Answer:
        """The records of the first of the kinds of which there are any."""
        answer = Answer()
        try:
            absolute = dns.name.from_text(name)
        except dns.exception.DNSException:  # a part of it is empty or too long
            return Answer(exists=False)
        for kind in kinds:
            answer = await self._ask(absolute, kind)
            if answer.records or not answer.exists or answer.unanswered:
                break
        return answer

    async def _silence(self, server: _Server) -> str | None:
        """Why a server says nothing, not even that it will not or can't answer."""
        try:
            await self._resolver([server]).resolve(_ROOT, "NS", raise_on_no_answer=False)
        except (LifetimeTimeout, NoNameservers) as fault:
            errors = fault.kwargs["errors"]
            answered = any(response is not None for *_, response in errors)
            return None if answered else self._spoken(errors[-1][3] if errors else "no answer")
        except (NXDOMAIN, YXDOMAIN):
            return None
        return None

    async def _ask(self, name: dns.name.Name, kind: str) -> Answer:
        resolver = self._resolver(self._servers)
        try:
            found = await resolver.resolve(name, kind, raise_on_no_answer=False)
        except (NXDOMAIN, YXDOMAIN):  # the latter where a DNAME makes it too long a name
            return Answer(exists=False)
        except (LifetimeTimeout, NoNameservers) as fault:
            return Answer(unanswered=self._why(fault))
        return Answer(kind=kind, records=tuple(map(_text, sorted(found, key=_rank))))

    def _resolver(self, servers: list[_Server]) -> Resolver:
        made = Resolver(configure=False)
        made.nameservers = servers
        made.lifetime = self._lifetime_s
        made.timeout = self._lifetime_s / _TRIES
        return made

    def _why(self, fault: LifetimeTimeout | NoNameservers) -> str:
        """Each server with what it did last."""
        last = {error[0]: error[3] for error in fault.kwargs["errors"]}
        said = [f"{server}: {self._spoken(what)}" for server, what in last.items()]
        return ", ".join(said) or f"{self}: no answer"

    def _spoken(self, what: Exception | str) -> str:
        match what:
            case str():
                return what  # the name of a response code
            case OSError(strerror=str(words)):
                return words
            case dns.exception.Timeout():
                return f"no answer within {self._lifetime_s:g} s"
        return f"no answer that can be read ({type(what).__name__})"


class _Server(Do53Nameserver):
    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def _of_the_host() -> list[tuple[str, int]]:
    try:
        found = Resolver().nameservers
    except (dns.exception.DNSException, ValueError) as fault:
        raise LookupError("/etc/resolv.conf names no name server that can be asked") from fault
    return [(str(address), _DNS_PORT) for address in found]


def _rank(record: dns.rdata.Rdata) -> tuple[int, str]:
    return record.preference if isinstance(record, MXBase) else 0, _text(record)


def _text(record: dns.rdata.Rdata) -> str:
    if isinstance(record, MXBase):
        return record.exchange.to_text(omit_final_dot=True)[:_SHOWN_CHARS]
    return record.to_text()[:_SHOWN_CHARS]
