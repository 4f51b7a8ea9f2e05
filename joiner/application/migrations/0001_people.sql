-- A connection is a tenant of the endpoint: its tokens open it, and its data is separate from everybody else's.
CREATE TABLE connection (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE COLLATE NOCASE,
  created_at TEXT NOT NULL
) STRICT;

CREATE TABLE token (
  id            TEXT PRIMARY KEY,
  connection_id TEXT NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  token_hash    TEXT NOT NULL UNIQUE,   -- SHA-256; the token itself is shown once and not kept
  hint          TEXT NOT NULL,          -- its last characters, to tell tokens apart
  created_at    TEXT NOT NULL,
  expires_at    TEXT,
  revoked_at    TEXT,
  last_used     TEXT
) STRICT;
CREATE INDEX token_by_connection ON token (connection_id);

-- One row per user or group: the resource as it is returned, and beside it what is searched for.
CREATE TABLE resource (
  number           INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of creation: the order of lists
  id               TEXT NOT NULL UNIQUE,
  connection_id    TEXT NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  type             TEXT NOT NULL CHECK (type IN ('User', 'Group')),
  user_name_key    TEXT,                -- prepared for comparison (RFC 7644 §5); users only
  display_name_key TEXT,
  external_id      TEXT,
  active           INTEGER,             -- users only
  manager_id       TEXT,                -- users only: value of the enterprise manager
  body             TEXT NOT NULL,       -- JSON without schemas, id, meta, groups and members
  version          INTEGER NOT NULL,
  created_at       TEXT NOT NULL,
  modified_at      TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX user_by_name ON resource (connection_id, user_name_key) WHERE type = 'User';
CREATE UNIQUE INDEX group_by_name ON resource (connection_id, display_name_key) WHERE type = 'Group';
CREATE INDEX user_by_display_name ON resource (connection_id, display_name_key) WHERE type = 'User';
CREATE INDEX resource_by_external_id ON resource (connection_id, type, external_id);
CREATE INDEX user_by_manager ON resource (manager_id) WHERE manager_id IS NOT NULL;
CREATE INDEX resource_in_order ON resource (connection_id, type, number);

-- Memberships are rows: adding one does not depend on how many there are.
CREATE TABLE membership (
  group_id  TEXT NOT NULL REFERENCES resource (id) ON DELETE CASCADE,
  member_id TEXT NOT NULL,              -- may name what is not here (yet): T18
  display   TEXT,                       -- as the client wants it shown; null: by the member's name
  PRIMARY KEY (group_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_by_member ON membership (member_id);

-- Who changed what (REQ-S-346).
CREATE TABLE history (
  position      INTEGER PRIMARY KEY AUTOINCREMENT,
  at            TEXT NOT NULL,
  connection_id TEXT NOT NULL,
  token_id      TEXT NOT NULL,
  resource_type TEXT NOT NULL,
  resource_id   TEXT NOT NULL,
  verb          TEXT NOT NULL,          -- create, update, delete
  attributes    TEXT NOT NULL           -- names of the attributes changed, joined by spaces
) STRICT;
CREATE INDEX history_by_resource ON history (resource_id, position);
