-- name: secrets
SELECT name, workspace, version, created_at, changed_at, expires_at, used_at, key_id, nonce, content
FROM secrets ORDER BY name, workspace;

-- name: put_secret
INSERT INTO secrets (name, workspace, version, created_at, changed_at, expires_at, used_at, key_id,
  nonce, content)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (name, workspace) DO UPDATE SET version = excluded.version, changed_at = excluded.changed_at,
  expires_at = excluded.expires_at, key_id = excluded.key_id, nonce = excluded.nonce,
  content = excluded.content;

-- name: remove_secret
DELETE FROM secrets WHERE name = ? AND workspace = ?;

-- name: note_secret_use
UPDATE secrets SET used_at = ? WHERE name = ? AND workspace = ?;
