-- What a cycle would have done when the plan was made.
CREATE TABLE plan (
  job_id         TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  number         INTEGER NOT NULL,
  state          TEXT NOT NULL CHECK (state IN ('computing', 'ready', 'failed', 'applying', 'applied')),
  kind           TEXT NOT NULL,           -- initial, incremental, drift
  made_at        TEXT NOT NULL,
  made_by        TEXT NOT NULL,           -- JSON: id, displayName
  ended_at       TEXT,
  schema_version INTEGER NOT NULL,
  schema_file    INTEGER NOT NULL,        -- made with a schema that is not the job's: cannot be applied
  context        TEXT NOT NULL,           -- hash of mappings, settings and address
  read           INTEGER NOT NULL DEFAULT 0,  -- objects looked at
  expected       INTEGER NOT NULL DEFAULT 0,
  summary        TEXT,                    -- JSON
  error          TEXT,
  applied_at     TEXT,
  applied_by     TEXT,                    -- JSON: id, displayName
  cycle_id       TEXT,                    -- under which the log has what was done
  allows_deletes INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- One object that would be written, linked, released, or fail.
CREATE TABLE plan_item (
  job_id      TEXT NOT NULL,
  number      INTEGER NOT NULL,
  position    INTEGER NOT NULL,
  source_id   TEXT NOT NULL,
  object_type TEXT NOT NULL,
  name        TEXT NOT NULL,
  action      TEXT NOT NULL,              -- create, update, disable, delete, link, release, failure
  is_held     INTEGER NOT NULL,           -- the guard against accidental deletions would hold it back
  target_id   TEXT NOT NULL,              -- '' if the object does not exist yet
  detail      TEXT NOT NULL,              -- JSON: changes, causes, problem, fingerprint
  state       TEXT NOT NULL,              -- planned, chosen, sent, refused
  reason      TEXT,                       -- why it was refused
  PRIMARY KEY (job_id, number, position),
  FOREIGN KEY (job_id, number) REFERENCES plan (job_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX plan_item_by_source ON plan_item (job_id, number, object_type, source_id);

-- One manager or member that would be written or taken away.
CREATE TABLE plan_reference (
  job_id     TEXT NOT NULL,
  number     INTEGER NOT NULL,
  source_id  TEXT NOT NULL,
  attribute  TEXT NOT NULL,
  related_id TEXT NOT NULL,               -- the member; '' for the manager
  wanted_id  TEXT,                        -- whom the directory named
  name       TEXT NOT NULL,
  verb       TEXT NOT NULL,               -- add, remove
  PRIMARY KEY (job_id, number, source_id, attribute, related_id),
  FOREIGN KEY (job_id, number) REFERENCES plan (job_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- One request that would be sent.
CREATE TABLE plan_request (
  job_id    TEXT NOT NULL,
  number    INTEGER NOT NULL,
  source_id TEXT NOT NULL,
  position  INTEGER NOT NULL,
  method    TEXT NOT NULL,
  path      TEXT NOT NULL,
  body      TEXT,
  PRIMARY KEY (job_id, number, source_id, position),
  FOREIGN KEY (job_id, number) REFERENCES plan (job_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Accounts that a look at the whole application found and that nobody manages.
CREATE TABLE plan_account (
  job_id      TEXT NOT NULL,
  number      INTEGER NOT NULL,
  object_type TEXT NOT NULL,
  target_id   TEXT NOT NULL,
  name        TEXT NOT NULL,
  state       TEXT NOT NULL,              -- local, unassigned, assigned, duplicate
  source_id   TEXT,                       -- whom it matches; null: nobody
  PRIMARY KEY (job_id, number, object_type, target_id),
  FOREIGN KEY (job_id, number) REFERENCES plan (job_id, number) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- The plan that the cycle carries out; null: it looks at the directory by itself.
ALTER TABLE cycle ADD COLUMN plan INTEGER;

-- How many plans the job has had: a number is never given twice.
ALTER TABLE job ADD COLUMN plans INTEGER NOT NULL DEFAULT 0;
