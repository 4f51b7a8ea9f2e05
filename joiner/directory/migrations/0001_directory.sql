CREATE TABLE user (
  id                  TEXT PRIMARY KEY,
  user_principal_name TEXT NOT NULL,
  upn_key             TEXT NOT NULL,       -- case-folded, for look-ups and uniqueness
  account_enabled     INTEGER NOT NULL,
  manager_id          TEXT,
  attributes          TEXT NOT NULL,       -- JSON: the engine's attribute name → value
  created_at          TEXT NOT NULL,
  deleted_at          TEXT                 -- in the recycle bin since; null: not deleted
) STRICT;
CREATE UNIQUE INDEX user_by_upn ON user (upn_key) WHERE deleted_at IS NULL;
CREATE INDEX user_by_manager ON user (manager_id) WHERE manager_id IS NOT NULL;
CREATE INDEX user_by_deleted ON user (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE grp (
  id               TEXT PRIMARY KEY,
  display_name     TEXT NOT NULL,
  security_enabled INTEGER NOT NULL,
  attributes       TEXT NOT NULL,          -- JSON, as above
  created_at       TEXT NOT NULL
) STRICT;
CREATE INDEX grp_by_name ON grp (display_name COLLATE NOCASE);

CREATE TABLE membership (
  group_id    TEXT NOT NULL REFERENCES grp (id) ON DELETE CASCADE,
  member_id   TEXT NOT NULL,
  member_type TEXT NOT NULL CHECK (member_type IN ('User', 'Group')),
  PRIMARY KEY (group_id, member_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX membership_by_member ON membership (member_id, group_id);

-- An application and its service principal are one row each of the same thing: this tenant instantiates every application itself.
CREATE TABLE service_principal (
  id                      TEXT PRIMARY KEY,
  app_id                  TEXT NOT NULL UNIQUE,
  application_id          TEXT NOT NULL UNIQUE,   -- object id of the application
  application_template_id TEXT NOT NULL,
  display_name            TEXT NOT NULL,
  app_roles               TEXT NOT NULL,          -- JSON: list of appRole
  created_at              TEXT NOT NULL
) STRICT;

CREATE TABLE app_role_assignment (
  id             TEXT PRIMARY KEY,
  principal_id   TEXT NOT NULL,
  principal_type TEXT NOT NULL CHECK (principal_type IN ('User', 'Group')),
  resource_id    TEXT NOT NULL REFERENCES service_principal (id) ON DELETE CASCADE,
  app_role_id    TEXT NOT NULL,
  created_at     TEXT NOT NULL,
  UNIQUE (resource_id, principal_id, app_role_id)
) STRICT;
CREATE INDEX assignment_by_principal ON app_role_assignment (principal_id, resource_id);

-- Every change of the above, in the order in which it was committed. AUTOINCREMENT: a position is never given twice.
CREATE TABLE change (
  position    INTEGER PRIMARY KEY AUTOINCREMENT,
  at          TEXT NOT NULL,
  object_type TEXT NOT NULL CHECK (object_type IN
    ('user', 'group', 'user_membership', 'group_membership', 'user_assignment', 'group_assignment')),
  object_id   TEXT NOT NULL,               -- the user, the group, the group of a membership, the principal of an assignment
  change      TEXT NOT NULL CHECK (change IN ('added', 'updated', 'deleted', 'restored', 'purged', 'removed')),
  related_id  TEXT NOT NULL DEFAULT ''     -- the member of a membership, the service principal of an assignment
) STRICT;

CREATE TABLE api_key (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('admin', 'reader')),
  key_hash   TEXT NOT NULL UNIQUE,         -- SHA-256; the key itself is not kept
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  last_used  TEXT
) STRICT;
