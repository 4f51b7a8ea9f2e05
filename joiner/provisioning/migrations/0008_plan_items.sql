-- Rows of a plan that are longer than a quarter of a page lie in tables by rowid, so that none of them overflows into a
-- page of its own; and what was one document, most of it names of members, is a column for each of them.
DROP INDEX plan_item_by_source;
ALTER TABLE plan_item RENAME TO former_item;
ALTER TABLE plan_request RENAME TO former_request;

-- One object that would be written, linked, released, or fail.
CREATE TABLE plan_item (
  job_id           TEXT NOT NULL,
  number           INTEGER NOT NULL,
  position         INTEGER NOT NULL,
  source_id        TEXT NOT NULL,
  object_type      TEXT NOT NULL,
  name             TEXT NOT NULL,
  action           TEXT NOT NULL,         -- create, update, disable, delete, link, release, failure
  is_held          INTEGER NOT NULL,      -- the guard against accidental deletions would hold it back
  target_id        TEXT NOT NULL,         -- '' if the object does not exist yet
  changes          TEXT NOT NULL,         -- JSON: [attribute, old value, new value] of each
  causes           TEXT NOT NULL,         -- JSON: [kind, text] of each
  problem          TEXT,                  -- JSON: code, reason
  fingerprint      TEXT,                  -- JSON: five hashes; null: only references were planned
  reference_counts TEXT NOT NULL,         -- JSON: attribute → verb → number
  missing_id       TEXT,                  -- the account of it that is gone
  state            TEXT NOT NULL,         -- planned, chosen, sent, refused
  reason           TEXT,                  -- why it was refused
  PRIMARY KEY (job_id, number, position),
  FOREIGN KEY (job_id, number) REFERENCES plan (job_id, number) ON DELETE CASCADE
) STRICT;
CREATE INDEX plan_item_by_source ON plan_item (job_id, number, object_type, source_id);

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
) STRICT;

INSERT INTO plan_item
SELECT job_id, number, position, source_id, object_type, name, action, is_held, target_id,
       (SELECT json_group_array(json_array(value ->> 'displayName', value ->> 'oldValue', value ->> 'newValue'))
        FROM json_each(detail, '$.changes')),
       (SELECT json_group_array(json_array(value ->> 'kind', value ->> 'text')) FROM json_each(detail, '$.causes')),
       nullif(detail -> '$.problem', 'null'),
       (SELECT iif(count(*) > 1, json_group_array(value), NULL) FROM json_each(detail, '$.fingerprint')),
       coalesce(detail -> '$.references', '{}'),
       detail ->> '$.missing',
       state, reason
FROM former_item;
INSERT INTO plan_request SELECT * FROM former_request;
DROP TABLE former_item;
DROP TABLE former_request;
