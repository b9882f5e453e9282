-- Times are integer microseconds since the epoch, UTC. Ids are 16 bytes, ordered by time.
-- Where many rows are written, states are told by OR: for an IN of more than two values SQLite builds
-- a table anew for each row.

-- What a cap binds or a pause holds, by kind and name; the others refer to it by number.
CREATE TABLE scopes (
  id   INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('mailbox', 'domain', 'path', 'workspace', 'account', 'everything')),
  name TEXT NOT NULL,
  UNIQUE (kind, name)
) STRICT;

-- One accepted submission. `slot_at` is set exactly while the message waits for its turn.
CREATE TABLE messages (
  id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  workspace_id INTEGER NOT NULL REFERENCES scopes (id),
  mailbox_id   INTEGER NOT NULL REFERENCES scopes (id),
  workload     TEXT NOT NULL,
  path         TEXT,
  state        TEXT NOT NULL CHECK (
                 state = 'queued' OR state = 'scheduled' OR state = 'held' OR state = 'sending'
                 OR state = 'deferred' OR state = 'unknown' OR state = 'accepted'
                 OR state = 'bounced' OR state = 'failed' OR state = 'expired'
                 OR state = 'suppressed' OR state = 'canceled'),
  reason       TEXT,
  slot_at      INTEGER,
  not_before_at INTEGER,
  expires_at   INTEGER NOT NULL,
  created_at   INTEGER NOT NULL,
  updated_at   INTEGER NOT NULL,
  tries        INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
  recipients   INTEGER NOT NULL CHECK (recipients >= 0),
  domains      TEXT NOT NULL,
  message_id   TEXT NOT NULL,
  subject      TEXT NOT NULL,
  size         INTEGER NOT NULL,
  utf8         INTEGER NOT NULL CHECK (utf8 IN (0, 1)),
  metadata     TEXT NOT NULL,
  CHECK ((state = 'queued' OR state = 'scheduled' OR state = 'deferred') = (slot_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

-- The queue of each mailbox, in the order of its slots; nothing else is in this index.
CREATE INDEX messages_due ON messages (mailbox_id, slot_at, id, workload, recipients, domains)
  WHERE slot_at IS NOT NULL;
CREATE INDEX messages_held ON messages (mailbox_id, id) WHERE state = 'held';
-- Not a longer IN list here: SQLite builds a table of it for every row that it writes (0.1 ms).
CREATE INDEX messages_expiry ON messages (expires_at) WHERE slot_at IS NOT NULL OR state = 'held';
CREATE INDEX messages_open ON messages (state, mailbox_id) WHERE state IN ('sending', 'unknown');
CREATE INDEX messages_of_workspace ON messages (workspace_id, id);

-- With row ids: in the tree of its key a body takes twice the room.
CREATE TABLE bodies (
  message_id BLOB NOT NULL PRIMARY KEY REFERENCES messages (id),
  content    BLOB NOT NULL
) STRICT;

CREATE TABLE recipients (
  message_id BLOB NOT NULL REFERENCES messages (id),
  position   INTEGER NOT NULL,
  address    TEXT NOT NULL COLLATE NOCASE,
  kind       TEXT NOT NULL CHECK (kind = 'to' OR kind = 'cc' OR kind = 'bcc'),
  state      TEXT NOT NULL CHECK (
               state = 'waiting' OR state = 'sending' OR state = 'unknown' OR state = 'accepted'
               OR state = 'bounced' OR state = 'failed' OR state = 'expired'
               OR state = 'suppressed' OR state = 'canceled'),
  reply      TEXT,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (message_id, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX recipients_address ON recipients (address, message_id);
CREATE INDEX recipients_bounced ON recipients (updated_at) WHERE state = 'bounced';

-- One try, and the ledger: `charged` attempts count against every cap of their scopes, from
-- `begun_at` to `ended_at` and a window's length beyond; while `ended_at` is null, always.
CREATE TABLE attempts (
  id         INTEGER PRIMARY KEY,
  message_id BLOB NOT NULL REFERENCES messages (id),
  number     INTEGER NOT NULL,
  mailbox_id INTEGER NOT NULL REFERENCES scopes (id),
  account_id INTEGER NOT NULL REFERENCES scopes (id),
  workload   TEXT NOT NULL,
  begun_at   INTEGER NOT NULL,
  ended_at   INTEGER CHECK (ended_at >= begun_at),
  outcome    TEXT CHECK (
               outcome = 'accepted' OR outcome = 'rejected_recipient'
               OR outcome = 'rejected_message' OR outcome = 'blocked_sender' OR outcome = 'quota'
               OR outcome = 'transient' OR outcome = 'unknown'),
  charged    INTEGER NOT NULL CHECK (charged IN (0, 1)),
  recipients INTEGER NOT NULL,
  domains    TEXT NOT NULL,
  stage      TEXT,
  reply      TEXT,
  peer       TEXT,
  UNIQUE (message_id, number),
  CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;
CREATE INDEX attempts_charged ON attempts (ended_at, mailbox_id, account_id, workload, recipients, domains, outcome)
  WHERE charged = 1;

-- The canonical log. `cursor` is global; `seq` is gapless within a workspace.
CREATE TABLE events (
  cursor       INTEGER PRIMARY KEY AUTOINCREMENT,
  workspace_id INTEGER NOT NULL REFERENCES scopes (id),
  seq          INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  mailbox_id   INTEGER REFERENCES scopes (id),
  message_id   BLOB,
  recipient    TEXT,
  detail       TEXT NOT NULL,
  UNIQUE (workspace_id, seq)
) STRICT;
CREATE INDEX events_of_workspace ON events (workspace_id);
CREATE INDEX events_of_message ON events (message_id) WHERE message_id IS NOT NULL;

-- Every change that a person, a rule, a provider or a file made: one chain, in the order of `seq`.
-- `sealed` are commitments to what lies in `audit_personal`; `before` is the entry before it in its
-- workspace, 0 for none.
CREATE TABLE audit (
  seq          INTEGER PRIMARY KEY,
  at           INTEGER NOT NULL,
  actor        TEXT NOT NULL,
  action       TEXT NOT NULL,
  workspace_id INTEGER REFERENCES scopes (id),
  target       TEXT,
  detail       TEXT NOT NULL,
  sealed       TEXT NOT NULL,
  before       INTEGER NOT NULL,
  nonce        BLOB NOT NULL CHECK (length(nonce) = 16),
  hash         BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_of_workspace ON audit (workspace_id);

-- What may be taken out of an entry without breaking the chain. `value` is JSON.
CREATE TABLE audit_personal (
  seq   INTEGER NOT NULL REFERENCES audit (seq),
  field TEXT NOT NULL,
  salt  BLOB NOT NULL CHECK (length(salt) = 16),
  value TEXT NOT NULL,
  PRIMARY KEY (seq, field)
) STRICT, WITHOUT ROWID;

-- Roots of the whole blocks of the tree over the entries (mailplane_wire.audit.chain.BLOCK).
CREATE TABLE audit_blocks (
  number INTEGER PRIMARY KEY,
  root   BLOB NOT NULL CHECK (length(root) = 32)
) STRICT;

-- The log up to `size`, signed; `frontier` is what the tree goes on from.
CREATE TABLE audit_checkpoints (
  size      INTEGER PRIMARY KEY,
  at        INTEGER NOT NULL,
  root      BLOB NOT NULL,
  head      BLOB NOT NULL,
  frontier  BLOB NOT NULL,
  key       TEXT NOT NULL,
  signature BLOB NOT NULL
) STRICT;

-- The name of this log, and up to which entry retention has dropped it.
CREATE TABLE audit_log (
  one     INTEGER PRIMARY KEY CHECK (one = 1),
  origin  TEXT NOT NULL,
  dropped INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO audit_log (one, origin) VALUES (1, lower(hex(randomblob(16))));

CREATE TABLE pauses (
  id          BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  scope_id    INTEGER NOT NULL REFERENCES scopes (id),
  workspace_id INTEGER REFERENCES scopes (id),
  reason      TEXT NOT NULL,
  actor       TEXT NOT NULL,
  origin      TEXT NOT NULL CHECK (origin IN ('person', 'rule', 'provider')),
  created_at  INTEGER NOT NULL,
  until_at    INTEGER,
  lifted_at   INTEGER,
  lifted_by   TEXT,
  lift_reason TEXT,
  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX pauses_active ON pauses (scope_id) WHERE lifted_at IS NULL;

-- `address` is lower-case: `a@b`, or `@b` for a whole domain. No workspace: all of them.
CREATE TABLE suppressions (
  id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  address      TEXT NOT NULL,
  workspace_id INTEGER REFERENCES scopes (id),
  origin       TEXT NOT NULL,
  ground       TEXT NOT NULL,
  actor        TEXT NOT NULL,
  created_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX suppressions_address ON suppressions (address, ifnull(workspace_id, 0));

-- What was answered under an idempotency key, kept longer than the message can live.
CREATE TABLE idempotency (
  workspace_id INTEGER NOT NULL REFERENCES scopes (id),
  key          TEXT NOT NULL,
  fingerprint  BLOB NOT NULL,
  message_id   BLOB NOT NULL,
  answer       TEXT NOT NULL,
  kept_until_at INTEGER NOT NULL,
  PRIMARY KEY (workspace_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expiry ON idempotency (kept_until_at);

-- Only the hash of a token is kept. `scope` is JSON of what it is limited to.
CREATE TABLE tokens (
  id           BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
  hash         BLOB NOT NULL UNIQUE,
  name         TEXT NOT NULL,
  workspace    TEXT NOT NULL,
  scope        TEXT NOT NULL,
  created_at   INTEGER NOT NULL,
  expires_at   INTEGER,
  used_at      INTEGER,
  revoked_at   INTEGER
) STRICT, WITHOUT ROWID;

-- Sealed under the vault's key, which is not here; bound to workspace, name and version. An empty
-- workspace stands for all of them.
CREATE TABLE secrets (
  name       TEXT NOT NULL,
  workspace  TEXT NOT NULL,
  version    INTEGER NOT NULL CHECK (version > 0),
  created_at INTEGER NOT NULL,
  changed_at INTEGER NOT NULL,
  expires_at INTEGER,
  used_at    INTEGER,
  key_id     BLOB NOT NULL,
  nonce      BLOB NOT NULL CHECK (length(nonce) = 12),
  content    BLOB NOT NULL,
  PRIMARY KEY (name, workspace)
) STRICT, WITHOUT ROWID;

-- The books that were in force, one after the other. `content` is its files, of the newest alone.
CREATE TABLE books (
  number     INTEGER PRIMARY KEY,
  hash       TEXT NOT NULL,
  applied_at INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  changes    INTEGER NOT NULL,
  content    BLOB
) STRICT;

-- The last known pair of governor time and boot clock.
CREATE TABLE anchor (
  one         INTEGER PRIMARY KEY CHECK (one = 1),
  governed_us INTEGER NOT NULL,
  boot_us     INTEGER NOT NULL,
  boot_id     TEXT NOT NULL
) STRICT;

-- A final state is final: nothing leaves it.
CREATE TRIGGER messages_final BEFORE UPDATE OF state ON messages
  WHEN new.state <> old.state AND (
    old.state = 'accepted' OR old.state = 'bounced' OR old.state = 'failed'
    OR old.state = 'expired' OR old.state = 'suppressed' OR old.state = 'canceled')
  BEGIN SELECT raise(ABORT, 'a final state is final'); END;

-- The audit log only grows. Entries go when retention drops them, which takes a checkpoint; values
-- of persons can be taken out.
CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_kept BEFORE DELETE ON audit
  WHEN old.seq > (SELECT dropped FROM audit_log)
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_personal_unchanged BEFORE UPDATE ON audit_personal
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_blocks_unchanged BEFORE UPDATE ON audit_blocks
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_blocks_kept BEFORE DELETE ON audit_blocks
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_checkpoints_unchanged BEFORE UPDATE ON audit_checkpoints
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_checkpoints_kept BEFORE DELETE ON audit_checkpoints
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_kept BEFORE DELETE ON audit_log
  BEGIN SELECT raise(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_log_dropped BEFORE UPDATE ON audit_log
  WHEN new.origin <> old.origin OR new.dropped < old.dropped
    OR NOT EXISTS (SELECT 1 FROM audit_checkpoints WHERE size = new.dropped)
  BEGIN SELECT raise(ABORT, 'entries are dropped behind a checkpoint only'); END;
