"""HTTP/1.1 over a Unix socket, as far as a client of the daemon needs it (RFC 9112).

In place of `http.client`, which brings TLS and a mail parser: its import takes longer than a call,
and it reads the lines of a chunked stream in Python. One connection a request, closed after it. An
answer that is none, or ends early, is `Broken` and never taken for a whole one.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self, cast

_LINE_BYTES: Final = 65_536
"""The longest line of a head or of a chunk's size that is read."""

_HEADERS: Final = 100


class Broken(Exception):
    """What came is no HTTP answer, or only the beginning of one."""


class Exchange:
    """One request and its answer. Use as a context manager; `status` is known once it is open.

    Raises OSError and Broken, in the readers too.
    """

    def __init__(
        self,
        path: Path,
        timeout_s: float,
        method: str,
        target: str,
        headers: dict[str, str],
        content: bytes | None = None,
    ) -> None:
        request = _head(method, target, headers, content) + (content or b"")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.settimeout(timeout_s)
            self._socket.connect(str(path))
            self._socket.sendall(request)
            self._file = cast("BinaryIO", self._socket.makefile("rb"))
            self.status, self._length, self._chunked = self._answer()
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def read(self) -> bytes:
        """The whole body."""
        if self._chunked:
            return b"".join(self._chunks())
        if self._length is None:
            return self._file.read()
        return self._exactly(self._length)

    def lines(self) -> Iterator[bytes]:
        """The body line by line, without their ends, as it comes; ends with the body."""
        if not self._chunked:
            yield from (line.rstrip(b"\r\n") for line in self._file)
            return
        parts: list[bytes] = []
        for chunk in self._chunks():
            first, *others = chunk.split(b"\n")
            parts.append(first)
            for other in others:
                yield b"".join(parts).rstrip(b"\r")
                parts = [other]
        if rest := b"".join(parts):
            yield rest

    def _answer(self) -> tuple[int, int | None, bool]:
        """Status, length of the body where it is told, whether it comes in chunks."""
        version, _, rest = self._line().partition(b" ")
        status = rest[:3]
        if not (version.startswith(b"HTTP/1.") and status.isdigit() and len(status) == 3):
            raise Broken("no status line")
        length: int | None = 0 if status in (b"204", b"304") else None
        chunked = False
        for _ in range(_HEADERS):
            line = self._line()
            if not line:
                return int(status), length, chunked
            name, _, value = line.lower().partition(b":")
            if name == b"content-length":
                length = _number(value.strip(), 10)
            elif name == b"transfer-encoding":
                chunked = value.strip() == b"chunked"
        raise Broken("too many headers")

    def _chunks(self) -> Iterator[bytes]:
        while size := _number(self._line().partition(b";")[0], 16):
            yield self._exactly(size)
            if self._line():
                raise Broken("a chunk of another size than it said")

    def _line(self) -> bytes:
        line = self._file.readline(_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise Broken("the answer ended, or a line of it did not")
        return line.rstrip(b"\r\n")

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise Broken("the answer ended early")
        return data


def _head(method: str, target: str, headers: dict[str, str], content: bytes | None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: mailplane", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if content is not None or method != "GET":
        lines.append(f"Content-Length: {len(content or b'')}")
    if any(set(line) & set("\r\n") for line in lines):
        raise ValueError("a line break in the head of a request")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


def _number(text: bytes, base: int) -> int:
    digits = b"0123456789abcdef"[:base]
    if not text or text.lower().strip(digits):
        raise Broken(f"{text[:20]!r} is no length")
    return int(text, base)
