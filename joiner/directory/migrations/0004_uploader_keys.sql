-- A third role, for systems of record that upload people.
CREATE TABLE api_key_of_three_roles (
  id         TEXT PRIMARY KEY,
  name       TEXT NOT NULL,
  role       TEXT NOT NULL CHECK (role IN ('admin', 'reader', 'uploader')),
  key_hash   TEXT NOT NULL UNIQUE,         -- SHA-256; the key itself is not kept
  created_at TEXT NOT NULL,
  expires_at TEXT,
  revoked_at TEXT,
  last_used  TEXT
) STRICT;
INSERT INTO api_key_of_three_roles SELECT * FROM api_key;
DROP TABLE api_key;
ALTER TABLE api_key_of_three_roles RENAME TO api_key;
