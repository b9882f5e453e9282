"""Ready with a long queue (G18): seconds from the start of the process to its READY."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from tests.chaos.host import host
from tests.chaos.verdict import Measured
from tests.fakes.process_daemon import to, workspace
from tests.fakes.sink_process import sink

MAILBOXES = 200
_BOXES = [f"box{n}@acme.example" for n in range(MAILBOXES)]

# The queue as 100,000 submissions for next week would have left it, at once.
_COPIES = """
WITH RECURSIVE copies (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < :each)
INSERT INTO messages
SELECT randomblob(16), workspace_id, mailbox_id, workload, path, state, reason, slot_at + n,
  not_before_at, expires_at, created_at, updated_at, tries, messages.recipients, domains,
  message_id, subject, size, utf8, metadata
FROM messages, copies;
INSERT INTO bodies SELECT id, (SELECT content FROM bodies LIMIT 1) FROM messages
  WHERE id NOT IN (SELECT message_id FROM bodies);
INSERT INTO recipients SELECT id, 0, 'kim@there.example', 'to', 'waiting', NULL, updated_at
  FROM messages WHERE id NOT IN (SELECT message_id FROM recipients);
"""


def measure(cases: int, twins: Sequence[str]) -> Measured:
    """Start with that many messages queued for later."""
    with host(twins) as made, sink(made.log_path.parent / "sink") as the_sink:
        made.write("workspaces/acme.toml", workspace(the_sink.port, *_BOXES))
        made.start()
        later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 86_400))
        bodies = [to("kim@there.example", box, not_before=later) for box in _BOXES]
        reply = made.door.post("/v1/messages", {"messages": bodies})
        assert all("id" in answer for answer in reply.json["results"]), reply.content[:500]
        assert made.stop() == 0
        connection = sqlite3.connect(made.state / "mailplane.db")
        connection.executescript(_COPIES.replace(":each", str(cases // MAILBOXES - 1)))
        (queued,) = connection.execute("SELECT count(*) FROM messages").fetchone()
        connection.close()
        began = time.monotonic()
        made.start()
        ready_s = time.monotonic() - began
        waiting = made.door.get("/v1/health")["waiting"]
        memory_mib = made.memory_kib() / 1024
        sent = the_sink.count()
    return Measured(
        number=round(ready_s, 2),
        cases=waiting if waiting == queued else 0,
        details=f"s to READY, {waiting} waiting for {MAILBOXES} mailboxes, "
        f"{memory_mib:.0f} MiB, sent meanwhile {sent}",
        more={"memory_mib": round(memory_mib)},
    )
