-- name: begin_attempt
INSERT INTO attempts (message_id, number, mailbox_id, account_id, workload, begun_at, charged, recipients, domains)
VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?);

-- name: end_attempt
UPDATE attempts SET ended_at = ?, outcome = ?, charged = ?, stage = ?, reply = ?, peer = ?
WHERE message_id = ? AND number = ? AND ended_at IS NULL;

-- name: resolve_attempt
UPDATE attempts SET outcome = ?, charged = ?
WHERE message_id = ? AND number = ? AND outcome = 'unknown';

-- name: attempts
SELECT number, mailbox_id, account_id, workload, begun_at, ended_at, outcome, charged, recipients, domains,
  stage, reply, peer
FROM attempts WHERE message_id = ? ORDER BY number;

-- name: charges_under_way
SELECT account_id, mailbox_id, workload, recipients, domains, ended_at, outcome IS 'unknown'
FROM attempts WHERE charged = 1 AND ended_at IS NULL;

-- name: charges
-- From the index alone, in its order.
SELECT account_id, mailbox_id, workload, recipients, domains, ended_at, outcome IS 'unknown'
FROM attempts WHERE charged = 1 AND ended_at > ?
ORDER BY ended_at;
