"""What DNS says of a book's names, asked of a real name server on loopback."""

from __future__ import annotations

import pytest
from dnslib import CNAME, MX, QTYPE, RR, DNSLabel

from mailplane_wire.doctor import CheckView
from mailplaned.domain.policy import Account, Policy, SendingDomain, Settings, Workspace
from mailplaned.names import MOST_ASKED, look_up
from tests.fakes.name_server import Does, NameServer, name_server

PATIENT_S, SURE_S, HASTY_S = 20.0, 1.0, 0.3
LONG_MX = "\n".join(f"many.acme.com. 60 IN MX {n} mx{n}.{'a' * 40}.acme.com." for n in range(30))
ZONE: dict[str, Does | str | list[RR]] = {
    "relay.acme.com": "relay.acme.com. 60 IN A 192.0.2.1",
    "six.acme.com": "six.acme.com. 60 IN AAAA 2001:db8::1",
    "alias.acme.com": (
        "alias.acme.com. 60 IN CNAME there.acme.com.\nthere.acme.com. 60 IN A 192.0.2.2"
    ),
    "acme.com": "acme.com. 60 IN MX 20 b.acme.com.\nacme.com. 60 IN MX 10 a.acme.com.",
    "plain.com": "plain.com. 60 IN A 192.0.2.3",
    "null.com": "null.com. 60 IN MX 0 .",
    "bare.com": 'bare.com. 60 IN TXT "v=spf1 -all"',
    "many.acme.com": LONG_MX,
    "broken.com": Does.SERVFAIL,
    "broken2.com": Does.SERVFAIL,
    "mute.com": Does.NOTHING,
    "noise.com": Does.NOISE,
}


def policy(
    *servers: NameServer, hosts: tuple[str, ...] = (), domains: tuple[str, ...] = ()
) -> Policy:
    workspace = Workspace(
        name="acme",
        accounts={
            f"to-{host}": Account(name=f"to-{host}", workspace="acme", provider="smtp", host=host)
            for host in hosts
        },
        domains={name: SendingDomain(name=name, workspace="acme") for name in domains},
    )
    asked = tuple(server.address for server in servers)
    return Policy(settings=Settings(resolvers=asked), workspaces={"acme": workspace})


async def looked_up(
    book: Policy, lifetime_s: float = PATIENT_S, reached: tuple[str, ...] = ()
) -> dict[str, CheckView]:
    checks = await look_up(book, reached, lifetime_s=lifetime_s)
    assert len({check.check for check in checks}) == len(checks)
    return {check.check: check for check in checks}


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("acme.com", "ok", "mail to it goes to a.acme.com, b.acme.com"),
        ("plain.com", "ok", "no MX; mail to it goes to 192.0.2.3"),
        ("null.com", "warning", "null MX"),
        ("bare.com", "fault", "has neither MX nor address"),
        ("gone.com", "fault", "does not exist in DNS"),
        ("many.acme.com", "ok", f"mx0.{'a' * 40}.acme.com, "),
    ],
)
async def test_of_a_domain_it_is_told_where_answers_to_it_go(
    name: str, status: str, detail: str
) -> None:
    with name_server(ZONE) as server:
        found = (await looked_up(policy(server, domains=(name,))))[f"domain {name}"]
    assert (found.status, found.fix is None) == (status, status == "ok")
    assert detail in found.detail
    by_tcp = (f"{name}.", "MX", "tcp") in server.asked
    assert by_tcp is (name == "many.acme.com"), "a cut answer is asked for again by TCP"


@pytest.mark.parametrize(
    ("host", "status", "detail"),
    [
        ("relay.acme.com", "ok", "192.0.2.1"),
        ("Relay.Acme.com.", "ok", "192.0.2.1"),
        ("six.acme.com", "ok", "2001:db8::1"),
        ("alias.acme.com", "ok", "192.0.2.2"),
        ("bare.com", "fault", "has no address in DNS"),
        ("gone.acme.com", "fault", "does not exist in DNS"),
        ("two..dots", "fault", "does not exist in DNS"),
        ("a" * 64 + ".com", "fault", "does not exist in DNS"),
    ],
)
async def test_of_a_host_it_is_told_whether_it_has_an_address(
    host: str, status: str, detail: str
) -> None:
    with name_server(ZONE) as server:
        found = await looked_up(policy(server, hosts=(host,)))
    check = found[f"host {host.lower().removesuffix('.')}"]
    assert (check.status, check.detail) == (status, detail)
    assert check.fix == (None if status == "ok" else f"mend host in [[account]] to-{host} of acme")


async def test_a_host_that_was_reached_without_dns_is_no_fault() -> None:
    with name_server(ZONE) as server:
        book = policy(server, hosts=("in-hosts-file",))
        found = await looked_up(book, reached=("In-Hosts-File",))
    assert found["host in-hosts-file"].status == "ok"


async def test_names_that_fail_alike_are_one_finding_that_names_the_server() -> None:
    with name_server(ZONE) as server:
        found = await looked_up(policy(server, domains=("broken.com", "broken2.com", "acme.com")))
    check = found["names without an answer"]
    assert check.status == "fault"
    assert check.detail == f"{server}: SERVFAIL, for broken.com, broken2.com"
    assert set(found) == {"DNS", "names without an answer", "domain acme.com"}


@pytest.mark.parametrize("name", ["mute.com", "noise.com"])
async def test_a_name_that_gets_no_answer_ends_with_the_time_it_has(name: str) -> None:
    with name_server(ZONE) as server:
        found = await looked_up(policy(server, domains=(name,)), HASTY_S)
    said = found["names without an answer"].detail
    assert said == f"{server}: no answer within 0.3 s, for {name}"


async def test_a_silent_resolver_is_one_finding_and_the_others_are_asked() -> None:
    names = tuple(f"d{n}.acme.com" for n in range(30))
    with name_server({"*": Does.NOTHING}) as mute, name_server(ZONE) as server:
        alone = await looked_up(policy(mute, hosts=names), HASTY_S)
        both = await looked_up(policy(mute, server, domains=("acme.com",)), SURE_S)
    assert list(alone) == [f"resolver {mute}"]
    assert alone[f"resolver {mute}"].status == "fault"
    assert alone[f"resolver {mute}"].detail == "no answer within 0.3 s"
    assert "[dns]" in (alone[f"resolver {mute}"].fix or "")
    assert both[f"resolver {mute}"].status == "warning"
    assert both["domain acme.com"].status == "ok"
    assert {name for name, _, _ in mute.asked} == {"."}, "no name was asked of it"


async def test_a_resolver_that_will_not_answer_the_first_question_is_not_silent() -> None:
    with name_server({**ZONE, ".": Does.SERVFAIL}) as server:
        found = await looked_up(policy(server, domains=("acme.com",)))
    assert found["domain acme.com"].status == "ok"


async def test_bytes_of_strangers_come_out_as_printable_text() -> None:
    evil = DNSLabel([b"\x1b[2J\x07", b"[red]\r\n", "\u202emoc".encode(), b"com"])
    records = [
        RR("evil.com", QTYPE.MX, ttl=60, rdata=MX(evil, 10)),
        RR("evil.com", QTYPE.MX, ttl=60, rdata=MX(DNSLabel([b"\xff" * 63] * 3), 20)),
    ]
    loop = [RR("loop.com", QTYPE.CNAME, ttl=60, rdata=CNAME("loop.com"))]
    with name_server({"evil.com": records, "loop.com": loop}) as server:
        found = await looked_up(policy(server, domains=("evil.com", "loop.com")))
    check = found["domain evil.com"]
    assert check.status == "ok"
    assert "\\027[2J\\007" in check.detail
    assert len(found) == 3
    for told in found.values():
        assert told.detail.isascii()
        assert told.detail.isprintable()
        assert len(told.detail) < 500


async def test_no_more_names_are_asked_than_a_visit_may_take_and_the_rest_is_counted() -> None:
    domains = tuple(f"d{n}.com" for n in range(MOST_ASKED + 7))
    with name_server({}) as server:
        book = policy(server, hosts=("relay.acme.com", "127.0.0.1", "::1"), domains=domains)
        found = await looked_up(book)
    asked = {name for name, _, _ in server.asked} - {"."}
    assert len(asked) == MOST_ASKED
    assert "relay.acme.com." in asked, "hosts come first"
    assert f"{MOST_ASKED} of {MOST_ASKED + 8} names asked of {server}" in found["DNS"].detail


async def test_reserved_names_are_not_asked_and_no_fault() -> None:
    names = ("acme.example", "a.test", "b.invalid", "example.com", "mail.example.org")
    with name_server({"*": Does.NOTHING}) as mute:
        found = await looked_up(policy(mute, hosts=("localhost", "127.0.0.1"), domains=names))
    assert list(found) == ["DNS"]
    assert found["DNS"].status == "ok"
    assert "reserved for tests and examples: 6" in found["DNS"].detail
    assert mute.asked == []
