-- name: scope_id
SELECT id FROM scopes WHERE kind = ? AND name = ?;

-- name: scope_name
SELECT kind, name FROM scopes WHERE id = ?;

-- name: scopes
SELECT id, kind, name FROM scopes;

-- name: add_scope
INSERT INTO scopes (kind, name) VALUES (?, ?);

-- name: add_pause
INSERT INTO pauses (id, scope_id, workspace_id, reason, actor, origin, created_at, until_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- name: lift_pause
UPDATE pauses SET lifted_at = ?, lifted_by = ?, lift_reason = ? WHERE id = ? AND lifted_at IS NULL;

-- name: pause
SELECT * FROM pauses WHERE id = ?;

-- name: active_pauses
SELECT * FROM pauses WHERE lifted_at IS NULL ORDER BY id;

-- name: all_pauses
SELECT * FROM pauses ORDER BY id DESC LIMIT 1000;

-- name: add_suppression
INSERT INTO suppressions (id, address, workspace_id, origin, ground, actor, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: suppressed
-- Of an address, then of its domain; an OR or IN would build a table of the two.
SELECT * FROM suppressions WHERE address = ? AND (workspace_id IS NULL OR workspace_id = ?)
UNION ALL
SELECT * FROM suppressions WHERE address = ? AND (workspace_id IS NULL OR workspace_id = ?);

-- name: suppression
SELECT * FROM suppressions WHERE id = ?;

-- name: remove_suppression
DELETE FROM suppressions WHERE id = ?;

-- name: suppressions
SELECT * FROM suppressions WHERE id > ? ORDER BY id LIMIT ?;

-- name: suppressions_in_workspace
SELECT * FROM suppressions WHERE id > ? AND (workspace_id IS NULL OR workspace_id = ?)
ORDER BY id LIMIT ?;

-- name: suppression_count
SELECT count(*) FROM suppressions;

-- name: kept_answer
SELECT fingerprint, message_id, answer FROM idempotency WHERE workspace_id = ? AND key = ?;

-- name: keep_answer
INSERT INTO idempotency (workspace_id, key, fingerprint, message_id, answer, kept_until_at)
VALUES (?, ?, ?, ?, ?, ?);

-- name: forget_answers
DELETE FROM idempotency WHERE kept_until_at < ?;

-- name: add_token
INSERT INTO tokens (id, hash, name, workspace, scope, created_at, expires_at)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (hash) DO NOTHING;

-- name: tokens
SELECT hash, id, name, workspace, scope, created_at, expires_at, used_at FROM tokens
WHERE revoked_at IS NULL ORDER BY id;

-- name: expire_token
UPDATE tokens SET expires_at = ? WHERE id = ?;

-- name: note_token_use
UPDATE tokens SET used_at = ? WHERE id = ?;

-- name: revoke_token
UPDATE tokens SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL;
