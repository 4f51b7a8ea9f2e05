-- A job binds one enterprise application to its target (provisioning of one service principal).
CREATE TABLE job (
  id                   TEXT PRIMARY KEY,
  service_principal_id TEXT NOT NULL,
  template_id          TEXT NOT NULL,
  created_at           TEXT NOT NULL,
  schedule_state       TEXT NOT NULL CHECK (schedule_state IN ('Active', 'Disabled', 'Paused')),
  interval_seconds     INTEGER NOT NULL,
  next_run_at          TEXT,              -- when the next cycle is due; null: not scheduled
  settings             TEXT NOT NULL,     -- JSON: synchronizationJobSettings by name
  profile              TEXT NOT NULL DEFAULT '{}',  -- JSON: what the target can do, where it differs from the defaults
  schema               TEXT NOT NULL,     -- JSON: the synchronizationSchema document
  schema_version       INTEGER NOT NULL,
  watermark            INTEGER,           -- feed position up to which everything was processed; null: the next cycle is initial
  fence                INTEGER NOT NULL DEFAULT 0,  -- rises with every worker that takes the job; a lower one cannot commit
  restart_requested    INTEGER NOT NULL DEFAULT 0,  -- a running cycle ends at its next page and keeps no watermark
  quarantine           TEXT,              -- JSON, null while healthy
  complete_failures    INTEGER NOT NULL DEFAULT 0,  -- successive cycles that could not be run, or in which every export failed
  escrows_pruned       INTEGER NOT NULL DEFAULT 0,  -- an initial cycle forgot its failures because there were too many
  users_synchronized   INTEGER NOT NULL DEFAULT 0,  -- ever linked; never falls
  groups_synchronized  INTEGER NOT NULL DEFAULT 0,
  steady_first         TEXT,
  steady_last          TEXT
) STRICT;
CREATE INDEX job_by_service_principal ON job (service_principal_id);
CREATE INDEX job_by_next_run ON job (next_run_at) WHERE next_run_at IS NOT NULL;

-- Credentials and options of an application, encrypted; addressed by the service principal.
CREATE TABLE secret (
  service_principal_id TEXT NOT NULL,
  key                  TEXT NOT NULL,
  value                BLOB NOT NULL,
  PRIMARY KEY (service_principal_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE cycle (
  id              TEXT PRIMARY KEY,
  job_id          TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  kind            TEXT NOT NULL CHECK (kind IN ('initial', 'incremental')),
  state           TEXT NOT NULL CHECK (state IN ('running', 'succeeded', 'entry_level_errors', 'failed', 'abandoned')),
  from_position   INTEGER NOT NULL,       -- changes after this position …
  to_position     INTEGER NOT NULL,       -- … up to this one belong to the cycle
  phase           TEXT NOT NULL,          -- the phase that comes next
  cursor          TEXT NOT NULL,          -- how far that phase has come
  completed_pages INTEGER NOT NULL DEFAULT 0,
  total_pages     INTEGER NOT NULL DEFAULT 0,
  is_held         INTEGER NOT NULL DEFAULT 0,  -- the guard holds back what it would take away
  counts          TEXT NOT NULL,          -- JSON: name of the counter → number
  began_at        TEXT NOT NULL,
  ended_at        TEXT,
  observed_at     TEXT NOT NULL,          -- when the progress was last written
  error           TEXT                    -- JSON, of a failed cycle
) STRICT;
CREATE UNIQUE INDEX one_running_cycle_per_job ON cycle (job_id) WHERE state = 'running';
CREATE INDEX cycle_by_job ON cycle (job_id, began_at);

-- Which target object belongs to which source object.
CREATE TABLE link (
  job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id   TEXT NOT NULL,
  object_type TEXT NOT NULL CHECK (object_type IN ('User', 'Group')),
  target_id   TEXT NOT NULL,
  is_managed  INTEGER NOT NULL,           -- false once the source object has left the scope
  is_disabled INTEGER NOT NULL,           -- the last export was a disable
  linked_at   TEXT NOT NULL,
  PRIMARY KEY (job_id, source_id),
  UNIQUE (job_id, object_type, target_id)
) STRICT, WITHOUT ROWID;

-- Objects whose last attempt failed, with the time of the next one.
CREATE TABLE escrow (
  job_id        TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id     TEXT NOT NULL,
  object_type   TEXT NOT NULL,
  is_reference  INTEGER NOT NULL,
  first_failure TEXT NOT NULL,
  attempts      INTEGER NOT NULL,
  next_attempt  TEXT NOT NULL,
  error_code    TEXT NOT NULL,
  reason        TEXT NOT NULL,
  PRIMARY KEY (job_id, source_id, is_reference)
) STRICT, WITHOUT ROWID;

-- References (members, manager) that may differ from what was exported. related_id is the member; '' for a single-valued one.
CREATE TABLE pending_reference (
  job_id     TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id  TEXT NOT NULL,
  attribute  TEXT NOT NULL,
  related_id TEXT NOT NULL,
  PRIMARY KEY (job_id, source_id, attribute, related_id)
) STRICT, WITHOUT ROWID;

-- References that the target is known to hold, as we wrote them.
CREATE TABLE exported_reference (
  job_id       TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id    TEXT NOT NULL,
  attribute    TEXT NOT NULL,
  related_id   TEXT NOT NULL,
  target_value TEXT NOT NULL,
  PRIMARY KEY (job_id, source_id, attribute, related_id)
) STRICT, WITHOUT ROWID;

-- References that are about to be written. What is found here later may or may not be so in the target.
CREATE TABLE reference_intent (
  job_id       TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id    TEXT NOT NULL,
  attribute    TEXT NOT NULL,
  related_id   TEXT NOT NULL,
  target_value TEXT NOT NULL,             -- what was to be added or removed
  PRIMARY KEY (job_id, source_id, attribute, related_id)
) STRICT, WITHOUT ROWID;

-- Disables and deletes that a cycle has found and keeps for its last phase.
CREATE TABLE removal (
  cycle_id    TEXT NOT NULL REFERENCES cycle (id) ON DELETE CASCADE,
  object_type TEXT NOT NULL,
  source_id   TEXT NOT NULL,
  action      TEXT NOT NULL,              -- disable, delete; '' if nothing will be sent
  PRIMARY KEY (cycle_id, object_type, source_id)
) STRICT, WITHOUT ROWID;

-- What the guard against accidental deletions holds back until an administrator answers.
CREATE TABLE staged_removal (
  job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id   TEXT NOT NULL,
  related_id  TEXT NOT NULL,              -- the member to be removed; '' for the object itself
  object_type TEXT NOT NULL,
  action      TEXT NOT NULL,              -- disable, delete, removeMember
  cycle_id    TEXT NOT NULL,              -- the cycle that held it back
  staged_at   TEXT NOT NULL,
  is_allowed  INTEGER NOT NULL,           -- the next cycle sends it
  PRIMARY KEY (job_id, source_id, related_id)
) STRICT, WITHOUT ROWID;

-- Creates that are about to be sent. What is found here after a crash may exist in the target without a link.
CREATE TABLE intent (
  job_id      TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id   TEXT NOT NULL,
  object_type TEXT NOT NULL,
  queries     TEXT NOT NULL,              -- JSON: what it would be found by in the target
  PRIMARY KEY (job_id, source_id)
) STRICT, WITHOUT ROWID;

-- What an initial cycle has read of the target's lists, so that it need not ask about every object.
CREATE TABLE census (
  cycle_id    TEXT NOT NULL REFERENCES cycle (id) ON DELETE CASCADE,
  object_type TEXT NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('reading', 'complete', 'given up')),
  listed      INTEGER NOT NULL,           -- objects read so far
  total       INTEGER,                    -- how many there are, as the target says; null: it does not say
  read_at     TEXT NOT NULL,              -- when reading began
  reason      TEXT,                       -- why it was given up
  PRIMARY KEY (cycle_id, object_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE census_object (
  cycle_id    TEXT NOT NULL REFERENCES cycle (id) ON DELETE CASCADE,
  object_type TEXT NOT NULL,
  target_id   TEXT NOT NULL,
  resource    TEXT,                       -- JSON: the attributes that mappings look at; null: it was written to since
  PRIMARY KEY (cycle_id, object_type, target_id)
) STRICT, WITHOUT ROWID;

-- By which values objects of the census are found; `value` is case-folded.
CREATE TABLE census_value (
  cycle_id    TEXT NOT NULL REFERENCES cycle (id) ON DELETE CASCADE,
  object_type TEXT NOT NULL,
  attribute   TEXT NOT NULL,
  value       TEXT NOT NULL,
  target_id   TEXT NOT NULL,
  PRIMARY KEY (cycle_id, object_type, attribute, value, target_id)
) STRICT, WITHOUT ROWID;

-- What all entries that one cycle, or one run on demand, writes into the provisioning log have in common.
CREATE TABLE journal_run (
  number               INTEGER PRIMARY KEY AUTOINCREMENT,
  cycle_id             TEXT NOT NULL UNIQUE,
  job_id               TEXT NOT NULL,     -- no reference: the log outlives the job
  service_principal_id TEXT NOT NULL,
  common               TEXT NOT NULL      -- JSON: the members of provisioningObjectSummary that are the same in all
) STRICT;
CREATE INDEX journal_run_by_job ON journal_run (job_id, number);

-- The provisioning log: one entry for each object and cycle.
CREATE TABLE journal (
  position  INTEGER PRIMARY KEY AUTOINCREMENT,
  run       INTEGER NOT NULL,             -- journal_run.number
  at        INTEGER NOT NULL,             -- microseconds since 1970
  action    INTEGER NOT NULL,             -- place in journal_rows.ACTIONS
  status    INTEGER NOT NULL,             -- place in journal_rows.STATUSES
  source_id ANY NOT NULL,                 -- a UUID as its 16 bytes, anything else as text
  entry     BLOB NOT NULL,                -- the rest, packed
  UNIQUE (run, source_id)
) STRICT;
CREATE INDEX journal_by_source ON journal (source_id);

-- The audit log: what administrators, and the engine by itself, did to jobs.
CREATE TABLE audit (
  position               INTEGER PRIMARY KEY AUTOINCREMENT,
  id                     TEXT NOT NULL UNIQUE,
  at                     TEXT NOT NULL,
  activity               TEXT NOT NULL,
  actor                  TEXT NOT NULL,   -- JSON: id, name, kind
  service_principal_id   TEXT NOT NULL,
  service_principal_name TEXT NOT NULL,
  job_id                 TEXT NOT NULL,
  changes                TEXT NOT NULL,   -- JSON: list of [name, old value, new value]
  reason                 TEXT NOT NULL,
  details                TEXT NOT NULL    -- JSON: name → text
) STRICT;

-- E-mails that wait to be sent.
CREATE TABLE mail (
  id           TEXT PRIMARY KEY,
  recipients   TEXT NOT NULL,
  subject      TEXT NOT NULL,
  body         TEXT NOT NULL,
  created_at   TEXT NOT NULL,
  attempts     INTEGER NOT NULL,
  next_attempt TEXT NOT NULL
) STRICT;

-- What is true of the whole installation.
CREATE TABLE installation (
  tenant_id TEXT NOT NULL
) STRICT;
