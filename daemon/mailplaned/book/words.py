"""Single words of the book as values: durations, addresses, host:port. Their form was checked."""

from __future__ import annotations

import ipaddress

from mailplaned.domain.windows import DAY_US, HOUR_US, MINUTE_US, SECOND_US, WEEK_US
from mailplaned.services.addresses import BadAddress, parse_address

_UNIT_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": WEEK_US}

_DNS_PORT = 53

_KEEPING_US = {"d": DAY_US, "w": WEEK_US, "y": 366 * DAY_US}


def duration_us(text: str) -> int:
    """Microseconds of `45s`, `30m`, `12h`, `3d`, `2w`."""
    return int(text[:-1]) * _UNIT_US[text[-1]]


def keeping_us(text: str) -> int:
    """Microseconds of `30d`, `8w`, `7y`; a year is never too short."""
    return int(text[:-1]) * _KEEPING_US[text[-1]]


def canonical(address: str) -> str:
    """The address as caps are keyed on it; as it stands when it is no plain mail address."""
    try:
        found = parse_address(address)
    except BadAddress:
        return address
    return address if found.display else found.address


def fault_of(address: str) -> str | None:
    """Why a text is not one plain mail address; None when it is one."""
    try:
        return "must be the address alone" if parse_address(address).display else None
    except BadAddress as fault:
        return fault.reason


def host_and_port(listen: str) -> tuple[str, int]:
    """`127.0.0.1:7525` and `[::1]:7525` as host and port."""
    host, _, port = listen.rpartition(":")
    return host.strip("[]"), int(port)


def resolver(text: str) -> tuple[str, int] | None:
    """`9.9.9.9`, `127.0.0.1:5353`, `::1` and `[::1]:53` as address and port.

    None when the address is none of IP, or there is no such port.
    """
    host, port = text, _DNS_PORT
    if text.count(":") == 1 or "]:" in text:
        host, port = host_and_port(text)
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    return (str(address), port) if 0 < port <= 65535 else None


def is_loopback(host: str) -> bool:
    """Whether a host can only be this one."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
