"""Telling systemd how we are (sd_notify(3)); without it, nothing."""

from __future__ import annotations

import os
import socket

import structlog

from mailplaned.domain.windows import SECOND_US

_log = structlog.get_logger("notify")


def notify(state: str) -> None:
    """Send a line such as `READY=1` to the service manager, if there is one.

    Whether it listens is its own affair: it stops nothing here, and nothing waits for it.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), socket.MSG_DONTWAIT, address)
        except OSError as fault:
            _log.warning("not heard", action="notify", state=state, why=fault.strerror)


def watchdog_interval_us() -> int:
    """How often the service manager wants to hear from us: half its limit; 0 when it does not."""
    if os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    text = os.environ.get("WATCHDOG_USEC", "")
    return int(text) // 2 if text.isdigit() and int(text) > SECOND_US else 0
