-- name: add_message
INSERT INTO messages (id, workspace_id, mailbox_id, workload, path, state, reason, slot_at,
  not_before_at, expires_at, created_at, updated_at, tries, recipients, domains, message_id,
  subject, size, utf8, metadata)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_recipient
INSERT INTO recipients (message_id, position, address, kind, state, reply, updated_at)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: add_body
INSERT INTO bodies (message_id, content) VALUES (?, ?);

-- name: body
SELECT content FROM bodies WHERE message_id = ?;

-- name: message
SELECT * FROM messages WHERE id = ?;

-- name: recipients
SELECT position, address, kind, state, reply, updated_at FROM recipients
WHERE message_id = ? ORDER BY position;

-- name: due
-- What a mailbox has to send now; the partial index is the queue.
SELECT * FROM messages
WHERE mailbox_id = ? AND slot_at IS NOT NULL AND slot_at <= ? ORDER BY slot_at, id LIMIT ?;

-- name: waiting_in_order
SELECT * FROM messages
WHERE mailbox_id = ? AND slot_at IS NOT NULL AND (slot_at, id) > (?, ?)
ORDER BY slot_at, id LIMIT ?;

-- name: held
SELECT * FROM messages WHERE mailbox_id = ? AND state = 'held' AND id > ? ORDER BY id LIMIT ?;

-- name: overdue
SELECT * FROM messages
WHERE (slot_at IS NOT NULL OR state = 'held') AND expires_at <= ?
ORDER BY expires_at LIMIT ?;

-- name: sending
-- The first condition is that of the index.
SELECT * FROM messages WHERE state IN ('sending', 'unknown') AND state = 'sending';

-- name: move
-- One guarded step: it changes nothing unless the message is still where the caller saw it.
UPDATE messages SET state = ?, slot_at = ?, reason = ?, tries = ?, recipients = ?, domains = ?,
  updated_at = ?
WHERE id = ? AND state = ?;

-- name: set_recipient
UPDATE recipients SET state = ?, reply = coalesce(?, reply), updated_at = ?
WHERE message_id = ? AND position = ?;

-- name: waiting
-- What waits and what it takes, from the index alone.
SELECT mailbox_id, workload, recipients, domains, slot_at
FROM messages WHERE slot_at IS NOT NULL ORDER BY mailbox_id, slot_at;

-- name: held_counts
SELECT mailbox_id, count(*) FROM messages WHERE state = 'held' GROUP BY mailbox_id;

-- name: bounces
SELECT m.mailbox_id, r.updated_at FROM recipients AS r JOIN messages AS m ON m.id = r.message_id
WHERE r.state = 'bounced' AND r.updated_at > ? ORDER BY r.updated_at;

-- name: sending_to_address
SELECT message_id FROM recipients WHERE address = ? AND state = 'sending';

-- name: sending_to_domain
SELECT r.message_id FROM messages AS m JOIN recipients AS r ON r.message_id = m.id
WHERE m.state IN ('sending', 'unknown') AND m.state = 'sending' AND r.state = 'sending' AND r.address LIKE '%' || ?;
