-- Every version of a job's schema document: a cycle ends on the one that it began with, and one can go back to it.
CREATE TABLE job_schema (
  job_id   TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  version  INTEGER NOT NULL,
  saved_at TEXT NOT NULL,
  reason   TEXT NOT NULL,                 -- what was done: template, replaced, restored, rolled back, discovered
  document TEXT NOT NULL,                 -- JSON, as job.schema
  PRIMARY KEY (job_id, version)
) STRICT, WITHOUT ROWID;
INSERT INTO job_schema SELECT id, schema_version, created_at, 'template', schema FROM job;

-- Set when everything is to be looked at again, also if a cycle under way ends well; the next initial cycle clears it.
ALTER TABLE job ADD COLUMN reevaluates INTEGER NOT NULL DEFAULT 0;

-- The version of the schema that the cycle works by; null: the present one (it began before versions were kept).
ALTER TABLE cycle ADD COLUMN schema_version INTEGER;
