-- A connection is a tenant of the endpoint: its tokens open it, and its data is separate from everybody else's.
CREATE TABLE connection (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  name       TEXT NOT NULL,
  settings   TEXT NOT NULL DEFAULT '{}',  -- JSON: what differs from the defaults
  created_at TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX connection_by_name ON connection (lower(name));

-- Bearer tokens: those that are made in the administration (secret), and those of the token endpoint (access).
CREATE TABLE token (
  id            TEXT PRIMARY KEY,
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  token_hash    TEXT NOT NULL UNIQUE,   -- SHA-256; the token itself is shown once and not kept
  hint          TEXT NOT NULL,          -- its last characters, to tell tokens apart
  kind          TEXT NOT NULL CHECK (kind IN ('secret', 'access')),
  scope         TEXT NOT NULL CHECK (scope IN ('scim', 'scim.read', 'events')),
  client_id     TEXT,                   -- access tokens: the client that asked
  user_id       TEXT,                   -- the user that /Me means
  created_at    TEXT NOT NULL,
  expires_at    TEXT,
  revoked_at    TEXT,
  last_used     TEXT
) STRICT;
CREATE INDEX token_by_connection ON token (connection_id);
CREATE INDEX token_by_client ON token (client_id) WHERE client_id IS NOT NULL;

CREATE TABLE oauth_client (
  id            TEXT PRIMARY KEY,
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  name          TEXT NOT NULL,
  token_minutes INTEGER NOT NULL,
  scope         TEXT NOT NULL CHECK (scope IN ('scim', 'scim.read')),
  created_at    TEXT NOT NULL,
  expires_at    TEXT,
  revoked_at    TEXT
) STRICT;

-- Several secrets of a client may be valid at once, so that they can be rotated without a gap.
CREATE TABLE oauth_secret (
  id          TEXT PRIMARY KEY,
  client_id   TEXT NOT NULL REFERENCES oauth_client (id) ON DELETE CASCADE,
  secret_hash TEXT NOT NULL UNIQUE,
  hint        TEXT NOT NULL,
  created_at  TEXT NOT NULL,
  expires_at  TEXT,
  revoked_at  TEXT
) STRICT;
CREATE INDEX oauth_secret_by_client ON oauth_secret (client_id);

-- Issuers whose signed tokens are accepted: as bearer tokens, or from the OAuth client that is named.
CREATE TABLE trusted_issuer (
  id            TEXT PRIMARY KEY,
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  issuer        TEXT NOT NULL,
  audience      TEXT NOT NULL,
  jwks_uri      TEXT NOT NULL,
  subject       TEXT,
  client_id     TEXT,
  created_at    TEXT NOT NULL
) STRICT;

-- Schemas and resource types beyond those of the RFC, as the documents that describe them (RFC 7643 §6, §7).
CREATE TABLE definition (
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  kind          TEXT NOT NULL CHECK (kind IN ('Schema', 'ResourceType')),
  id            TEXT NOT NULL,
  document      TEXT NOT NULL,
  PRIMARY KEY (connection_id, kind, id)
) STRICT, WITHOUT ROWID;

-- One row per user, group, or resource of a custom type: the resource as it is returned, and beside it what is
-- searched for.
CREATE TABLE resource (
  number        INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of creation: the order of lists
  id            TEXT NOT NULL UNIQUE,
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  type          TEXT NOT NULL,
  display       TEXT NOT NULL,  -- its name as a JSON string, for members, groups and managers
  name_key      TEXT,           -- the unique name, prepared for comparison (RFC 7644 §5): userName, displayName
  display_key   TEXT,           -- displayName, prepared
  external_id   TEXT,
  active        INTEGER,        -- users only
  manager_id    TEXT,           -- users only: value of the enterprise manager
  version       INTEGER NOT NULL,
  created_at    TEXT NOT NULL,
  modified_at   TEXT NOT NULL,
  body          TEXT NOT NULL,  -- JSON, beginning with schemas; without id, meta, groups and members
  search        TEXT NOT NULL   -- the same with every value as it is compared
) STRICT;
CREATE UNIQUE INDEX resource_by_name ON resource (connection_id, type, name_key) WHERE name_key IS NOT NULL;
-- Not for users: nobody finds users by a name that many have, and an index costs every write.
CREATE INDEX resource_by_display_name ON resource (connection_id, type, display_key) WHERE type <> 'User';
CREATE INDEX resource_by_external_id ON resource (connection_id, type, external_id) WHERE external_id IS NOT NULL;
CREATE INDEX resource_by_manager ON resource (connection_id, type, manager_id) WHERE manager_id IS NOT NULL;
CREATE INDEX resource_in_order ON resource (connection_id, type);  -- and by number, which every index ends with

-- Memberships are rows: adding one does not depend on how many there are. They hold what a group shows of its
-- members, so that a large group is read by joining texts, without looking up each of them.
CREATE TABLE membership (
  group_number  INTEGER NOT NULL REFERENCES resource (number) ON DELETE CASCADE,
  member_id     TEXT NOT NULL,  -- may name what is not here: T18
  type          TEXT,           -- User or Group; null: not here
  display       TEXT,           -- a JSON string, as the client wants it shown; null: by the member's name
  shown         TEXT NOT NULL,  -- the element of `members`, JSON; U+0001 stands for the endpoint's URL
  PRIMARY KEY (group_number, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_by_member ON membership (member_id);

-- Values that are found by equality, one row each: attributes with several values, and those that must be unique.
-- Whoever writes a resource keeps its rows; they are found by their values.
CREATE TABLE indexed_value (
  connection_id INTEGER NOT NULL,
  type          TEXT NOT NULL,
  path          TEXT NOT NULL,
  value         TEXT NOT NULL,
  number        INTEGER NOT NULL,
  must_be_unique INTEGER NOT NULL,
  PRIMARY KEY (connection_id, type, path, value, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX unique_value ON indexed_value (connection_id, type, path, value) WHERE must_be_unique = 1;

-- Passwords that were set, as argon2id hashes. Never read for an answer.
CREATE TABLE password (
  number INTEGER PRIMARY KEY REFERENCES resource (number) ON DELETE CASCADE,
  hash   TEXT NOT NULL
) STRICT;

-- What was accepted, in order: the audit trail (REQ-S-346), and what applications read to follow the changes.
CREATE TABLE event (
  position      INTEGER PRIMARY KEY AUTOINCREMENT,
  at            TEXT NOT NULL,
  connection_id INTEGER NOT NULL,
  token_id      TEXT NOT NULL,
  type          TEXT NOT NULL,
  resource_id   TEXT NOT NULL,
  verb          TEXT NOT NULL CHECK (verb IN ('create', 'update', 'delete')),
  version       INTEGER NOT NULL,
  attributes    TEXT NOT NULL,  -- names of what changed, joined by spaces
  data          TEXT,           -- JSON: the new values of what changed, null for what was removed
  members       TEXT            -- JSON: {"added": [...], "removed": [...]}
) STRICT;

-- Who is told of the events, and how far.
CREATE TABLE webhook (
  id            TEXT PRIMARY KEY,
  connection_id INTEGER NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
  url           TEXT NOT NULL,
  secret        TEXT NOT NULL,  -- encrypted: it signs what is sent
  created_at    TEXT NOT NULL,
  delivered     INTEGER NOT NULL,  -- position up to which the receiver has accepted what concerns it
  given_up      INTEGER NOT NULL DEFAULT 0,  -- so many events were removed before it accepted them
  failures      INTEGER NOT NULL DEFAULT 0,
  last_error    TEXT,
  next_attempt  TEXT,
  claimed_until TEXT              -- some process delivers to it now
) STRICT;

-- What the installation keeps to itself, such as the key that signs cursors.
CREATE TABLE installation (
  name  TEXT PRIMARY KEY,
  value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
