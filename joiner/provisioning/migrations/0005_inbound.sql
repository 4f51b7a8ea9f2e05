-- What a system of record has uploaded and no cycle has taken over yet, in the order in which it came.
CREATE TABLE upload (
  position    INTEGER PRIMARY KEY AUTOINCREMENT,
  job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  received_at TEXT NOT NULL,
  operations  INTEGER NOT NULL,           -- how many
  content     TEXT NOT NULL               -- JSON: list of [bulkId, data]
) STRICT;
CREATE INDEX upload_by_job ON upload (job_id, position, operations);

-- Whom the directory could not take, as the source has them, for another try at the times of `escrow`.
CREATE TABLE inbound_escrow (
  job_id    TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id TEXT NOT NULL,
  resource  TEXT NOT NULL,                -- JSON
  PRIMARY KEY (job_id, source_id)
) STRICT, WITHOUT ROWID;

-- The managers that the source names.
CREATE TABLE inbound_manager (
  job_id     TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id  TEXT NOT NULL,
  manager    TEXT NOT NULL,               -- what the source calls the manager
  is_set     INTEGER NOT NULL,            -- false: the manager has not come yet
  PRIMARY KEY (job_id, source_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbound_manager_awaited ON inbound_manager (job_id, manager) WHERE NOT is_set;

-- Up to when a job has read its SCIM source.
CREATE TABLE inbound_watermark (
  job_id  TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
  read_to TEXT NOT NULL                   -- ISO 8601: changes up to then have been read
) STRICT, WITHOUT ROWID;
