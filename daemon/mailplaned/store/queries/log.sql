-- name: add_event
INSERT INTO events (workspace_id, seq, at, kind, mailbox_id, message_id, recipient, detail)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: events_of
SELECT * FROM events WHERE message_id = ? ORDER BY cursor;

-- name: events_after
SELECT * FROM events WHERE cursor > ? ORDER BY cursor LIMIT ?;

-- name: events_after_in_workspace
SELECT * FROM events WHERE cursor > ? AND workspace_id = ? ORDER BY cursor LIMIT ?;

-- name: events_newest
SELECT * FROM events ORDER BY cursor DESC LIMIT ?;

-- name: events_newest_in_workspace
SELECT * FROM events WHERE workspace_id = ? ORDER BY cursor DESC LIMIT ?;

-- name: event_ends
SELECT id, (SELECT max(seq) FROM events WHERE workspace_id = scopes.id) FROM scopes
WHERE kind = 'workspace';

-- name: last_event
SELECT max(cursor) FROM events;

-- name: anchor
SELECT governed_us, boot_us, boot_id FROM anchor;

-- name: set_anchor
INSERT INTO anchor (one, governed_us, boot_us, boot_id) VALUES (1, ?, ?, ?)
ON CONFLICT (one) DO UPDATE SET governed_us = excluded.governed_us,
  boot_us = excluded.boot_us, boot_id = excluded.boot_id;
