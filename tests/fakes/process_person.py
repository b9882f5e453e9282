"""The operator socket as another user of the host comes to it; only root can."""

from __future__ import annotations

import http.client
import os
import socket
from dataclasses import dataclass

from tests.fakes.process_http import Door


class _As(http.client.HTTPConnection):
    """A connection by another user: the kernel notes who connects (unix(7), SO_PEERCRED)."""

    def __init__(self, path: str, uid: int) -> None:
        super().__init__("mailplane")
        self._path, self._uid = path, uid

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        os.seteuid(self._uid)
        try:
            self.sock.connect(self._path)
        finally:
            os.seteuid(0)


@dataclass(frozen=True)
class Person(Door):
    """The operator socket as another user comes to it."""

    uid: int = 0

    def _connection(self) -> http.client.HTTPConnection:
        return _As(str(self.path), self.uid)
