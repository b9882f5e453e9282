"""Who may come in: the shim's headers times its routes, and what a token opens (T3, T5)."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mailplaned.doors.http.server import HEAD_BYTES, HEAD_S
from tests.fakes.process_daemon import Daemon, daemon, short_folder, to, workspace
from tests.fakes.process_http import Reply, parse_reply
from tests.fakes.process_wait import until
from tests.fakes.sink_process import sink

SHIM_ROUTES = [
    ("POST", "/v1/messages"),
    ("GET", "/v1/messages"),
    ("GET", "/v1/messages/{id}"),
    ("POST", "/v1/messages/{id}/cancel"),
    ("POST", "/v1/preflight"),
    ("GET", "/v1/mailboxes"),
    ("GET", "/v1/mailboxes/ana@acme.example"),
    ("POST", "/v1/suppressions/check"),
    ("GET", "/v1/events"),
]
OPEN_ROUTES = [("GET", "/v1/health"), ("GET", "/openapi.json")]
OPERATOR_ROUTES = [
    ("POST", "/v1/messages/{id}/resolve"),
    ("GET", "/v1/workspaces"),
    ("GET", "/v1/domains"),
    ("GET", "/v1/accounts"),
    ("GET", "/v1/paths"),
    ("GET", "/v1/pauses"),
    ("POST", "/v1/pauses"),
    ("DELETE", "/v1/pauses/{id}"),
    ("POST", "/v1/mailboxes/ana@acme.example/pause"),
    ("POST", "/v1/everything/resume"),
    ("GET", "/v1/suppressions"),
    ("POST", "/v1/suppressions"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/tokens"),
    ("POST", "/v1/tokens"),
    ("DELETE", "/v1/tokens/{id}"),
    ("GET", "/v1/ledger/verify"),
    ("POST", "/v1/clock/accept"),
    ("GET", "/v1/stream"),
    ("POST", "/v1/stream/1/shown"),
    ("GET", "/metrics"),
]

GOOD_HOSTS = ["127.0.0.1:{port}", "localhost:{port}", "LocalHost:{port}", "[::1]:{port}"]
BAD_HOSTS = [
    [],
    [""],
    ["127.0.0.1"],
    ["127.0.0.1:{other}"],
    ["127.0.0.1.:{port}"],
    ["localhost.:{port}"],
    ["evil.example"],
    ["evil.example:{port}"],
    ["127.0.0.1:{port}.evil.example"],
    ["evil.example@127.0.0.1:{port}"],
    ["[::1%25lo]:{port}"],
    ["[::1]"],
    ["0.0.0.0:{port}"],
    ["127.1:{port}"],
    ["2130706433:{port}"],
    ["mailplane"],
    ["127.0.0.1:{port}", "evil.example"],
    ["127.0.0.1:{port}", "127.0.0.1:{port}"],
    ["127.0.0.1:{port}, evil.example"],
]
BROWSER_HEADERS = [
    ("Origin", "http://127.0.0.1:{port}"),
    ("Origin", "null"),
    ("Origin", ""),
    ("ORIGIN", "https://evil.example"),
    ("Referer", "http://127.0.0.1:{port}/"),
    ("Sec-Fetch-Site", "same-origin"),
    ("Sec-Fetch-Site", "none"),
]
BAD_TOKENS = [
    [],
    [""],
    ["Bearer"],
    ["Bearer "],
    ["Bearer mp_" + "x" * 43],
    ["{token}"],
    ["bearer {token}"],
    ["Bearer  {token}"],
    ["Bearer {token} "],
    ["Bearer {token}x"],
    ["Bearer {shorter}"],
    ["Basic {token}"],
    ["Token {token}"],
    ["Bearer {token}", "Bearer {token}"],
    ["Bearer {token}, Bearer {token}"],
]


class Shim:
    """A running shim with a good token, asked in bytes."""

    def __init__(self, made: Daemon) -> None:
        self.daemon = made
        self.port = made.shim_port
        self.token = made.token()
        self.message = made.shim(self.token).send(to("kim@there.example"))["id"]

    def ask(
        self,
        method: str,
        target: str,
        hosts: list[str],
        tokens: list[str],
        more: list[tuple[str, str]] | None = None,
    ) -> Reply:
        """One request, exactly with these headers."""
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"Host: {host}" for host in hosts]
        lines += [f"Authorization: {token}" for token in tokens]
        lines += [f"{name}: {value}" for name, value in more or []]
        body = "{}" if method == "POST" else ""
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        text = self.filled("\r\n".join([*lines, "Connection: close", "", body]))
        with self.daemon.shim().socket() as sock:
            sock.sendall(text.encode("latin-1"))
            answer = b""
            while part := sock.recv(65536):
                answer += part
        return parse_reply(answer)

    def filled(self, text: str) -> str:
        """A text with what only a running shim knows: its port, a token, a message."""
        for name, value in (
            ("{port}", str(self.port)),
            ("{other}", str(self.port ^ 1)),
            ("{token}", self.token),
            ("{shorter}", self.token[:-1]),
            ("{id}", self.message),
        ):
            text = text.replace(name, value)
        return text


@pytest.fixture(scope="module")
def shim() -> Iterator[Shim]:
    with short_folder() as folder, sink(folder / "sink") as provider, daemon(folder) as made:
        for name in ("acme", "beta"):
            book = workspace(provider.port, f"ana@{name}.example", name=name)
            made.write(f"workspaces/{name}.toml", book)
        yield Shim(made.start())


GOOD_HOST = [GOOD_HOSTS[0]]
GOOD_TOKEN = ["Bearer {token}"]


def test_without_full_credentials_no_route_answers_other_than_4xx(shim: Shim) -> None:
    asked = 0
    for method, target in [*SHIM_ROUTES, *OPERATOR_ROUTES]:
        wrong: dict[int, list[Reply]] = {421: [], 403: [], 401: []}
        for hosts in BAD_HOSTS:
            wrong[421].append(shim.ask(method, target, hosts, GOOD_TOKEN))
        for header in BROWSER_HEADERS:
            wrong[403].append(shim.ask(method, target, GOOD_HOST, GOOD_TOKEN, [header]))
        for tokens in BAD_TOKENS:
            wrong[401].append(shim.ask(method, target, GOOD_HOST, tokens))
        for status, replies in wrong.items():
            found = [reply.status for reply in replies]
            # A request without Host, or with two, is malformed to some servers (RFC 9112 §3.2).
            assert set(found) <= {status, 400}, (method, target, status, found)
            asked += len(replies)
    assert asked >= 60 * len(SHIM_ROUTES) / 2
    assert len(shim.daemon.door.all("/v1/messages")) == 1
    print(f"{asked} requests without full credentials, none of them let in")


@pytest.mark.parametrize("host", GOOD_HOSTS)
def test_with_full_credentials_every_route_of_the_shim_answers(shim: Shim, host: str) -> None:
    for method, target in SHIM_ROUTES:
        reply = shim.ask(method, target, [host], GOOD_TOKEN)
        assert reply.status in {200, 409, 422}, (method, target, reply.status)
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert not any(name.startswith("access-control-") for name in reply.headers)


def test_what_belongs_to_the_operator_is_not_on_the_shim(shim: Shim) -> None:
    for method, target in OPERATOR_ROUTES:
        reply = shim.ask(method, target, GOOD_HOST, GOOD_TOKEN)
        assert reply.status in {404, 405}, (method, target, reply.status)


def test_health_and_the_description_need_no_token_and_tell_nothing_of_the_house(
    shim: Shim,
) -> None:
    for method, target in OPEN_ROUTES:
        reply = shim.ask(method, target, GOOD_HOST, [])
        assert reply.status == 200
        assert shim.ask(method, target, ["evil.example"], []).status == 421
        for word in (b"beta", str(shim.daemon.pid).encode()):
            assert word not in reply.content
    health = shim.ask("GET", "/v1/health", GOOD_HOST, []).json
    assert health.keys() == {"status", "version", "now"}


def test_a_target_in_absolute_form_opens_nothing(shim: Shim) -> None:
    target = "http://127.0.0.1:{port}/v1/messages"
    for hosts, tokens in ((["evil.example"], GOOD_TOKEN), (GOOD_HOST, [])):
        assert 400 <= shim.ask("GET", target, hosts, tokens).status < 500
    away = shim.ask("GET", "http://evil.example/v1/messages", GOOD_HOST, GOOD_TOKEN)
    assert away.status in {200, 400, 404, 421}
    assert shim.ask("GET", "http://evil.example/v1/messages", GOOD_HOST, []).status != 200


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "TRACE", "HEAD", "CONNECT"])
def test_other_methods_change_nothing_and_allow_nothing(shim: Shim, method: str) -> None:
    reply = shim.ask(method, "/v1/messages", GOOD_HOST, GOOD_TOKEN)
    assert 400 <= reply.status < 500 or (method == "HEAD" and reply.status == 200)
    assert not any(name.startswith("access-control-") for name in reply.headers)


def test_a_body_that_is_not_json_by_its_own_word_is_refused(shim: Shim) -> None:
    door = shim.daemon.shim(shim.token)
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        reply = door.call("POST", "/v1/messages", b"{}", {"Content-Type": kind})
        assert (reply.status, reply.code) == (415, "unsupported-type")


def test_a_token_of_one_workspace_sees_nothing_of_another(shim: Shim) -> None:
    made = shim.daemon
    door = made.shim(made.token("beta"))
    assert door.get("/v1/messages")["items"] == []
    assert door.get("/v1/events")["items"] == []
    assert [box["address"] for box in door.get("/v1/mailboxes")["items"]] == ["ana@beta.example"]
    foreign = [
        door.call("GET", f"/v1/messages/{shim.message}"),
        door.call("POST", f"/v1/messages/{shim.message}/cancel"),
        door.call("GET", "/v1/mailboxes/ana@acme.example"),
        door.post("/v1/messages", to("kim@there.example", "ana@acme.example")),
        door.post("/v1/preflight", to("kim@there.example", "ana@acme.example")),
    ]
    absent = [
        door.call("GET", f"/v1/messages/{shim.message[:-2]}00"),
        door.call("POST", f"/v1/messages/{shim.message[:-2]}00/cancel"),
        door.call("GET", "/v1/mailboxes/zoe@acme.example"),
        door.post("/v1/messages", to("kim@there.example", "zoe@acme.example")),
        door.post("/v1/preflight", to("kim@there.example", "zoe@acme.example")),
    ]
    assert [reply.status for reply in foreign] == [404] * 5
    for there, not_there in zip(foreign, absent, strict=True):
        assert there.content.replace(b"ana@", b"zoe@") == not_there.content
    for name in ("/v1/messages", "/v1/mailboxes", "/v1/events"):
        asked = door.call("GET", f"{name}?workspace=acme")
        nobody = door.call("GET", f"{name}?workspace=nobody")
        assert asked.status == 422
        assert asked.content.replace(b"acme", b"nobody") == nobody.content
    named = door.post("/v1/messages", to("kim@there.example", workspace="acme"))
    assert named.status in {404, 422}


def test_a_revoked_token_is_refused_from_the_next_request_on(shim: Shim) -> None:
    made = shim.daemon
    token = made.token()
    door = made.shim(token)
    assert door.call("GET", "/v1/messages").status == 200
    newest = made.door.get("/v1/tokens")["items"][-1]
    assert token not in str(newest)
    assert made.door.call("DELETE", f"/v1/tokens/{newest['id']}").status == 200
    refused = door.call("GET", "/v1/messages")
    assert (refused.status, refused.code) == (401, "unauthenticated")
    assert refused.headers["www-authenticate"] == "Bearer"


def test_a_token_lives_on_after_kill_9_and_a_revoked_one_does_not(folder_daemon: Daemon) -> None:
    made = folder_daemon
    kept, gone = made.token(), made.token()
    newest = made.door.get("/v1/tokens")["items"][-1]
    made.door.call("DELETE", f"/v1/tokens/{newest['id']}")
    made.kill()
    made.start()
    assert made.shim(kept).call("GET", "/v1/messages").status == 200
    assert made.shim(gone).call("GET", "/v1/messages").status == 401
    stored = b"".join(path.read_bytes() for path in made.state.glob("mailplane.db*"))
    assert kept.encode() not in stored, "only a token's hash is stored"


@pytest.fixture
def folder_daemon(the_daemon: Daemon) -> Daemon:
    the_daemon.write("workspaces/acme.toml", workspace(1, "ana@acme.example"))
    return the_daemon.start()


def test_headers_beyond_16_kib_are_refused_ended_or_not(shim: Shim) -> None:
    for ending in ("", "\r\n\r\n"):
        for long in ("X: " + "y" * HEAD_BYTES, "X: 1\r\n" * 4000):
            with shim.daemon.shim().socket() as sock:
                sock.sendall(f"GET /v1/health HTTP/1.1\r\n{long}{ending}".encode())
                reply = parse_reply(sock.recv(65536))
                assert (reply.status, reply.code) == (431, "headers-too-large")
    assert shim.ask("GET", "/v1/health", GOOD_HOST, [], [("X", "y" * 9000)]).status == 200


def test_a_connection_that_stops_asking_is_closed_after_a_while(shim: Shim) -> None:
    door = shim.daemon.shim()
    with door.socket() as silent, door.socket() as slow, door.socket() as stalled:
        slow.sendall(b"GET /v1/health HTTP/1.1\r\nHost: 127")
        head = "POST /v1/messages HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        head += "Authorization: Bearer {token}\r\nContent-Type: application/json\r\n"
        stalled.sendall(shim.filled(head + "Content-Length: 100\r\n\r\n{").encode())
        for sock in (silent, slow, stalled):
            sock.settimeout(HEAD_S + 3)
            reply = parse_reply(sock.recv(65536))
            assert (reply.status, reply.code) == (408, "request-timeout")
            assert sock.recv(100) == b""


def test_malformed_requests_are_refused_and_the_daemon_lives_on(shim: Shim) -> None:
    head = f"Host: 127.0.0.1:{shim.port}\r\nAuthorization: Bearer {shim.token}\r\n"
    lengths = "Content-Length: 5\r\nContent-Length: 6"
    chunked = "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    for text in (
        "GET / HTTP/9.9\r\n\r\n",
        "\x00\x01\x02\r\n\r\n",
        f"POST /v1/messages HTTP/1.1\r\n{head}Content-Length: -1\r\n\r\n",
        f"POST /v1/messages HTTP/1.1\r\n{head}{lengths}\r\n\r\n{{}}   ",
        f"POST /v1/messages HTTP/1.1\r\n{head}{chunked}",
        f"POST /v1/messages HTTP/1.1\r\n{head}Transfer-Encoding: gzip\r\n\r\n{{}}",
        f"GET /v1/messages HTTP/1.1\r\n{head}X: {'y' * 200_000}\r\n\r\n",
        f"GET /v1/messages HTTP/1.1\r\n{head}Bad Name: 1\r\n\r\n",
        f"GET /v1/%zz{'/..' * 50} HTTP/1.1\r\n{head}Connection: close\r\n\r\n",
    ):
        with shim.daemon.shim().socket() as sock:
            sock.settimeout(3)
            answer = b""
            try:
                sock.sendall(text.encode("latin-1"))
                while part := sock.recv(65536):
                    answer += part
            except (ConnectionError, TimeoutError):
                pass
        if answer.startswith(b"HTTP/"):
            assert 400 <= parse_reply(answer).status < 500, (text[:80], answer[:80])
    assert until(lambda: shim.ask("GET", "/v1/health", GOOD_HOST, []).status == 200, "an answer")
    assert not [line for line in shim.daemon.log() if line["level"] in {"error", "critical"}]
