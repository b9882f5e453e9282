"""A name server on loopback, by UDP and TCP at one port. What is sent is made by dnslib.

A name is scripted by the records of its zone, or by what the server does when it is asked for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import Any, Final

from dnslib import QTYPE, RCODE, RR, DNSLabel, DNSQuestion, DNSRecord
from dnslib.server import DNSError, DNSHandler, DNSLogger, TCPServer, UDPServer

_UDP_BYTES: Final = 512
"""RFC 1035 §4.2.1: a longer answer is cut, and asked for again by TCP."""


class Does(Enum):
    """What the server does instead of answering with records."""

    SERVFAIL = "says that it failed"
    NOTHING = "says nothing"
    NOISE = "says what is no DNS message"


class NameServer:
    """What it was asked, and where it listens."""

    def __init__(self, zone: Mapping[str, Does | str | list[RR]], port: int) -> None:
        self.address = ("127.0.0.1", port)
        self.asked: list[tuple[str, str, str]] = []
        """Name, type and transport of each question, in order."""
        self._zone = {DNSLabel(name): does for name, does in zone.items()}

    def __str__(self) -> str:
        return f"127.0.0.1:{self.address[1]}"

    def reply(self, request: DNSRecord, transport: str) -> bytes:
        """The answer. Raises DNSError for none."""
        question: DNSQuestion = request.q
        name, kind = question.qname, QTYPE[question.qtype]
        self.asked.append((str(name), kind, transport))
        found = self._zone.get(name, self._zone.get(DNSLabel("*")))
        if found is Does.NOTHING:
            raise DNSError("silence")
        if found is Does.NOISE:
            return bytes(request.pack()[:2]) + b"\x1b[2J" * 20
        reply = request.reply()
        if found is Does.SERVFAIL:
            reply.header.rcode = RCODE.SERVFAIL
        elif found is None and name != DNSLabel("."):
            reply.header.rcode = RCODE.NXDOMAIN
        elif found is not None:
            records = RR.fromZone(found) if isinstance(found, str) else found
            reply.add_answer(*(rr for rr in records if QTYPE[rr.rtype] in (kind, "CNAME")))
        sent: bytes = reply.pack()
        if transport == "udp" and len(sent) > _UDP_BYTES:
            cut = request.reply()
            cut.header.tc = 1
            return bytes(cut.pack())
        return sent


class _Handler(DNSHandler):  # type: ignore[misc]  # dnslib has no types
    def get_reply(self, data: bytes) -> bytes:
        made: NameServer = self.server.resolver
        return made.reply(DNSRecord.parse(data), self.protocol)


@contextmanager
def name_server(zone: Mapping[str, Does | str | list[RR]]) -> Iterator[NameServer]:
    """A running name server. A name that it has not does not exist; `*` stands for all others."""
    tcp: Any = TCPServer(("127.0.0.1", 0), _Handler)
    udp: Any = UDPServer(tcp.server_address, _Handler)
    made = NameServer(zone, tcp.server_address[1])
    threads = []
    for server in (tcp, udp):
        server.resolver, server.logger = made, DNSLogger("-request,-reply,-truncated,-error")
        threads.append(threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True))
        threads[-1].start()
    try:
        yield made
    finally:
        for server, thread in zip((tcp, udp), threads, strict=True):
            server.shutdown()
            thread.join()
            server.server_close()
