-- Whom an inbound job would disable: kept until the cycle knows how many they are, or an administrator has answered.
CREATE TABLE inbound_removal (
  job_id    TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
  source_id TEXT NOT NULL,
  cycle_id  TEXT NOT NULL,                -- the cycle that found it last
  run_id    TEXT NOT NULL,                -- under which the log has that cycle's entry of the user
  releases  INTEGER NOT NULL,             -- the user has left the scope, and is not managed any more then
  PRIMARY KEY (job_id, source_id)
) STRICT, WITHOUT ROWID;
