"""Telling systemd how we are (sd_notify(3)); without it, nothing."""

from __future__ import annotations

import os
import socket

from mailplaned.domain.windows import SECOND_US


def notify(state: str) -> None:
    """Send a line such as `READY=1` to the service manager, if there is one."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.sendto(state.encode(), address)


def watchdog_interval_us() -> int:
    """How often the service manager wants to hear from us: half its limit; 0 when it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) // 2 if text.isdigit() and int(text) > SECOND_US else 0
