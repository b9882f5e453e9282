"""Programs that are none of ours send, take and judge.

curl submits, the standard library parses, dkimpy verifies, Postfix's smtp-sink takes, and
Prometheus' own parser reads the metrics.
"""

from __future__ import annotations

import base64
import email
import email.policy
import json
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from prometheus_client.parser import text_string_to_metric_families

from tests.fakes.process_daemon import Daemon, to, workspace
from tests.fakes.process_wait import until
from tests.fakes.sink_process import Sink

SMTP_SINK = "/usr/sbin/smtp-sink"
MESSAGES = 100


def curl(the_daemon: Daemon, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """Submit with curl as a script would; the answer."""
    done = subprocess.run(
        [
            "curl",
            "--silent",
            "--show-error",
            "--fail-with-body",
            "--header",
            f"Authorization: Bearer {token}",
            "--header",
            "Content-Type: application/json",
            "--data-binary",
            "@-",
            f"http://127.0.0.1:{the_daemon.shim_port}/v1/messages",
        ],
        input=json.dumps(body),
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def pem(key: Any) -> str:
    content: bytes = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return content.decode()


def record(kind: str) -> tuple[str, bytes]:
    """A private key and the TXT record of its public half (RFC 6376 §3.6.1, RFC 8463 §4)."""
    if kind == "ed25519":
        young = Ed25519PrivateKey.generate()
        public = young.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )
        return pem(young), b"v=DKIM1; k=ed25519; p=" + base64.b64encode(public)
    old = generate_private_key(65537, 2048)
    public = old.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem(old), b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
def test_what_curl_submits_arrives_parseable_and_signed(
    the_sink: Sink, the_daemon: Daemon, kind: str
) -> None:
    private, public = record(kind)
    secrets = the_daemon.state / "secrets"
    secrets.mkdir(parents=True, mode=0o700)
    the_daemon.state.chmod(0o700)
    (secrets / "acme-dkim").touch(0o600)
    (secrets / "acme-dkim").write_text(private)
    key = 'dkim = { selector = "mp1", secret = "acme-dkim" }'
    book = workspace(the_sink.port, 'ana@acme.example; name = "Ana Älbrecht"', domain=key)
    the_daemon.write("workspaces/acme.toml", book)
    token = the_daemon.start().token()
    answer = curl(
        the_daemon,
        token,
        {
            "mailbox": "ana@acme.example",
            "workload": "cold",
            "to": ["Kim Müller <kim@there.example>"],
            "cc": ["lee@there.example"],
            "bcc": ["max@there.example"],
            "subject": "Grüße, and a long line that has to be folded " + "word " * 30,
            "text": "First line\n.a dot\n..\nFrom here on\n" + "x" * 1200 + "\n",
            "html": "<p>Grüße</p>",
            "headers": {"X-Campaign": "42", "List-Unsubscribe": "<https://acme.example/u?1>"},
            "attachments": [
                {
                    "name": "Angebot Ü.pdf",
                    "type": "application/pdf",
                    "content": base64.b64encode(bytes(range(256)) * 20).decode(),
                }
            ],
        },
    )
    (taken,) = the_sink.settled(1)
    assert taken.id == answer["id"]
    assert taken.recipients == ("kim@there.example", "lee@there.example", "max@there.example")
    parsed = email.message_from_bytes(taken.content, policy=email.policy.default)
    assert not parsed.defects
    assert parsed["From"] == "Ana Älbrecht <ana@acme.example>"
    assert parsed["To"] == "Kim Müller <kim@there.example>"
    assert parsed["Bcc"] is None
    assert b"max@there.example" not in taken.content
    assert parsed["Subject"].startswith("Grüße, and a long line")
    assert (parsed["Message-ID"], parsed["X-Campaign"]) == (answer["message_id"], "42")
    assert parsed["X-Mailplane-Id"] == answer["id"]
    body, html = parsed.get_body(("plain",)), parsed.get_body(("html",))
    assert body is not None
    assert html is not None
    text = body.get_content().replace("\r\n", "\n")
    assert text.startswith("First line\n.a dot\n..\nFrom here on\n" + "x" * 1200)
    assert html.get_content().strip() == "<p>Grüße</p>"
    (attachment,) = parsed.iter_attachments()
    assert attachment.get_filename() == "Angebot Ü.pdf"
    assert attachment.get_content() == bytes(range(256)) * 20
    assert max(len(line) for line in taken.content.split(b"\r\n")) <= 998
    assert b"\n" not in taken.content.replace(b"\r\n", b"")

    asked: list[bytes] = []

    def txt(name: bytes, timeout: int = 5) -> bytes:
        asked.append(name)
        return public

    assert dkim.verify(taken.content, dnsfunc=txt)
    assert asked == [b"mp1._domainkey.acme.example."]
    for words in (b"First line", b"acme.example/u?1", b"lee@there"):
        altered = taken.content.replace(words, words[::-1], 1)
        assert altered != taken.content
        assert not dkim.verify(altered, dnsfunc=txt), words


def test_a_missing_dkim_key_holds_the_message_and_says_which(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    key = 'dkim = { selector = "mp1", secret = "acme-dkim" }'
    book = workspace(the_sink.port, "ana@acme.example", domain=key)
    the_daemon.write("workspaces/acme.toml", book)
    door = the_daemon.start().door
    id_ = door.send(to("kim@there.example"))["id"]
    until(lambda: door.message(id_)["state"] == "held", "the message to be held")
    assert "acme-dkim" in door.mailbox("ana@acme.example")["state_reason"]
    assert the_sink.count() == 0


@contextmanager
def smtp_sink(folder: Path) -> Iterator[tuple[int, Path]]:
    """Postfix's own sink: its port, and the folder in which each message becomes a file."""
    mails = folder / "mails"
    mails.mkdir(parents=True)
    mails.chmod(0o777)
    folder.chmod(0o755)
    folder.parent.chmod(0o755)  # smtp-sink runs as nobody
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    process = subprocess.Popen(
        [SMTP_SINK, "-u", "nobody", "-d", f"{mails}/%M.", f"127.0.0.1:{port}", "100"],
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port, mails
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.skipif(not shutil.which(SMTP_SINK), reason="Postfix's smtp-sink is not installed")
def test_a_hundred_messages_arrive_at_postfixs_sink_once_each(
    folder: Path, the_daemon: Daemon
) -> None:
    with smtp_sink(folder / "postfix") as (port, mails):
        the_daemon.write("workspaces/acme.toml", workspace(port, "ana@acme.example"))
        door = the_daemon.start().door
        bodies = [to(f"kim+{n}@there.example") for n in range(MESSAGES)]
        results = door.post("/v1/messages", {"messages": bodies}).json["results"]
        ids = {answer["id"] for answer in results}
        until(lambda: len(door.all("/v1/messages?state=accepted")) == MESSAGES, "all accepted", 30)
        found = [
            id_.decode()
            for path in mails.iterdir()
            for id_ in re.findall(rb"(?m)^X-Mailplane-Id: (\S+)", path.read_bytes())
        ]
    assert sorted(found) == sorted(ids)


def test_the_metrics_are_prometheus_text_and_say_what_the_api_says(
    the_sink: Sink, the_daemon: Daemon
) -> None:
    capped = "ana@acme.example; caps = [{ limit = 5, per = 'day' }]"
    the_daemon.write("workspaces/acme.toml", workspace(the_sink.port, capped, "ben@acme.example"))
    door = the_daemon.start().door
    bodies = [to(f"kim+{n}@there.example", expires_in="9d") for n in range(7)]
    bodies += [to("550+1@there.example", "ben@acme.example")]
    bodies += [to("after-dot+1@there.example", "ben@acme.example")]
    door.post("/v1/messages", {"messages": bodies})
    the_sink.settled(6)
    until(lambda: door.get("/v1/health")["sending"] == 0, "the end of all attempts")
    door.post("/v1/mailboxes/ana@acme.example/pause", {"reason": "a look"})
    reply = door.call("GET", "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    samples = {
        (sample.name, sample.labels["mailbox"]): sample.value
        for family in text_string_to_metric_families(reply.content.decode())
        for sample in family.samples
    }
    ana, ben = "ana@acme.example", "ben@acme.example"
    assert samples["mailplane_waiting_messages", ana] == 2
    assert samples["mailplane_sent_messages_24h", ana] == 5
    assert samples["mailplane_cap_limit", ana] == 5
    assert samples["mailplane_cap_free", ana] == 0
    assert samples["mailplane_paused", ana] == 1
    assert samples["mailplane_paused", ben] == 0
    assert samples["mailplane_unknown_messages", ben] == 1
    assert samples["mailplane_bounced_recipients_24h", ben] == 1
