-- name: add_audit
INSERT INTO audit (seq, at, actor, action, workspace_id, target, detail, sealed, before, nonce, hash)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- name: add_audit_value
INSERT INTO audit_personal (seq, field, salt, value) VALUES (?, ?, ?, ?);

-- name: add_audit_block
INSERT INTO audit_blocks (number, root) VALUES (?, ?);

-- name: audit_after
SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?;

-- name: audit_after_in_workspace
SELECT * FROM audit WHERE seq > ? AND workspace_id = ? ORDER BY seq LIMIT ?;

-- name: audit_newest
SELECT * FROM audit ORDER BY seq DESC LIMIT ?;

-- name: audit_newest_in_workspace
SELECT * FROM audit WHERE workspace_id = ? ORDER BY seq DESC LIMIT ?;

-- name: audit_span
SELECT * FROM audit WHERE seq BETWEEN ? AND ? ORDER BY seq;

-- name: audit_values
SELECT seq, field, salt, value FROM audit_personal WHERE seq BETWEEN ? AND ? ORDER BY seq, field;

-- name: last_audit
SELECT max(seq) FROM audit;

-- name: first_audit
SELECT min(seq) FROM audit;

-- name: audit_ends
SELECT id, (SELECT max(seq) FROM audit WHERE workspace_id = scopes.id) FROM scopes
WHERE kind = 'workspace';

-- name: last_audit_of_none
SELECT max(seq) FROM audit WHERE workspace_id IS NULL;

-- name: next_audit_in_workspace
SELECT min(seq) FROM audit WHERE workspace_id = ? AND seq > ?;

-- name: audit_count_in_workspace
SELECT count(*), max(seq) FROM audit WHERE workspace_id = ? AND seq <= ?;

-- name: audit_blocks
SELECT number, root FROM audit_blocks WHERE number < ? ORDER BY number;

-- name: audit_log
SELECT origin, dropped FROM audit_log WHERE one = 1;

-- name: add_checkpoint
INSERT INTO audit_checkpoints (size, at, root, head, frontier, key, signature)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: checkpoints
SELECT * FROM audit_checkpoints WHERE size > ? ORDER BY size LIMIT ?;

-- name: checkpoint
SELECT * FROM audit_checkpoints WHERE size = ?;

-- name: last_checkpoint
SELECT * FROM audit_checkpoints ORDER BY size DESC LIMIT 1;

-- name: last_checkpoint_until
SELECT * FROM audit_checkpoints WHERE at <= ? ORDER BY size DESC LIMIT 1;

-- name: find_audit_values
SELECT p.seq, p.field, a.workspace_id FROM audit_personal AS p JOIN audit AS a ON a.seq = p.seq
WHERE p.seq BETWEEN ? AND ? AND instr(lower(p.value), lower(?))
ORDER BY p.seq, p.field;

-- name: redact_audit_value
DELETE FROM audit_personal WHERE seq = ? AND field = ?;

-- name: drop_audit
UPDATE audit_log SET dropped = ? WHERE one = 1;

-- name: prune_audit_values
DELETE FROM audit_personal WHERE seq <= ?;

-- name: prune_audit
DELETE FROM audit WHERE seq <= ?;
