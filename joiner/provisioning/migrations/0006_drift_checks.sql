-- Looks at whole applications that come round by themselves.
CREATE TABLE drift_check (
  job_id    TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
  next_at   TEXT NOT NULL,                -- when the next one is due
  plan      INTEGER,                      -- the plan of the one under way; null: none
  last_plan INTEGER,                      -- the plan of the latest that came to an end
  last_at   TEXT
) STRICT, WITHOUT ROWID;
