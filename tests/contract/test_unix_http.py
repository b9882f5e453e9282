"""Our reading of an HTTP answer is http.client's, and half an answer is never taken for one."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailplane_wire.client import Client, DaemonUnreachable, Refused
from mailplane_wire.unix_http import Broken, Exchange

BODY = b'id: 1\ndata: {"a": 1}\n\nid: 2\r\ndata: \xc3\xa9\r\n\r\nlast'
OK = b"HTTP/1.1 200 OK\r\n"


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    framed = [b"%x;ext=1\r\n%s\r\n" % (len(part), part) for part in parts]
    return OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(framed) + b"0\r\n\r\n"


ANSWERS = {
    "by length": OK + b"content-length:  %d \r\nX: y\r\n\r\n%s" % (len(BODY), BODY),
    "to the end": OK + b"\r\n" + BODY,
    "nothing": b"HTTP/1.1 204 No Content\r\n\r\n",
    **{f"chunks of {size}": chunked(BODY, size) for size in (1, 2, 3, 7, 1000)},
}

NO_ANSWERS = {
    "silence": b"",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "no status": b"HTTP/1.1 ok\r\n\r\n",
    "half a head": OK + b"Content-Le",
    "a line without an end": OK + b"X: " + b"y" * 70_000,
    "a thousand headers": OK + b"X: y\r\n" * 1000 + b"\r\n",
    "less than it said": OK + b"Content-Length: 10\r\n\r\nfour",
    "a length that is none": OK + b"Content-Length: -1\r\n\r\n",
    "a chunk cut short": OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    "a chunk that is longer": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\n\r\n",
    "no last chunk": OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
}


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[list[bytes]]:
    """A server on a Unix socket that gives each connection the same bytes; what it was sent."""
    asked: list[bytes] = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    sock, _ = server.accept()
                except OSError:
                    return
                with sock:
                    asked.append(sock.recv(65_536))
                    sock.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def oracle(path: Path) -> tuple[int, bytes]:
    """What http.client reads."""
    connection = http.client.HTTPConnection("x")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(str(path))
    connection.request("GET", "/")
    reply = connection.getresponse()
    try:
        return reply.status, reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=list(ANSWERS))
def test_an_answer_is_read_as_http_client_reads_it(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s"
    with answering(path, answer):
        with Exchange(path, 5.0, "GET", "/", {}) as exchange:
            ours = exchange.status, exchange.read()
        with Exchange(path, 5.0, "GET", "/", {}) as exchange:
            lines = list(exchange.lines())
        assert ours == oracle(path)
    assert lines == ours[1].splitlines()


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=list(NO_ANSWERS))
def test_half_an_answer_is_none(tmp_path: Path, answer: bytes) -> None:
    path = tmp_path / "s"
    with answering(path, answer):
        with pytest.raises(Broken), Exchange(path, 5.0, "GET", "/", {}) as exchange:
            exchange.read()
        with pytest.raises(DaemonUnreachable):
            Client(path, timeout_s=5.0).call("GET", "/")


def test_a_request_says_how_long_it_is_and_takes_no_line_break_from_outside(
    tmp_path: Path,
) -> None:
    path = tmp_path / "s"
    with answering(path, OK + b"Content-Length: 2\r\n\r\n{}") as asked:
        assert Client(path).call("POST", "/v1/pauses", {"reason": "é"}) == {}
        with pytest.raises(ValueError, match="line break"):
            Client(path).call("GET", "/v1/x\r\nX-Evil: 1")
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert json.loads(body) == {"reason": "é"}
    assert f"Content-Length: {len(body)}".encode() in head
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "fault", "words"),
    [(200, DaemonUnreachable, "no mailplane"), (500, Refused, "HTTP 500")],
)
def test_what_answers_without_json_is_told_as_such(
    tmp_path: Path, status: int, fault: type[Exception], words: str
) -> None:
    answer = b"HTTP/1.1 %d X\r\nContent-Length: 6\r\n\r\n<html>" % status
    with answering(tmp_path / "s", answer), pytest.raises(fault, match=words):
        Client(tmp_path / "s").call("GET", "/v1/health")
