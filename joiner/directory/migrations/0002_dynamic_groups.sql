-- A dynamic group has a rule, and its members are the users whom the rule holds for.
ALTER TABLE grp ADD COLUMN membership_rule TEXT;
ALTER TABLE grp ADD COLUMN rule_processing TEXT CHECK (rule_processing IN ('On', 'Paused'));
-- A changed rule is asked about everybody, in id order; this far that has come. Null: it has been.
ALTER TABLE grp ADD COLUMN evaluated_to TEXT;
CREATE INDEX grp_by_processing ON grp (rule_processing) WHERE rule_processing IS NOT NULL;
CREATE INDEX grp_by_evaluated ON grp (evaluated_to, id) WHERE evaluated_to IS NOT NULL;

-- What each rule looks at, so that a change asks no other rules.
CREATE TABLE rule_property (
  property TEXT NOT NULL,               -- in lower case; or memberOf/ and the id of a group
  group_id TEXT NOT NULL REFERENCES grp (id) ON DELETE CASCADE,
  PRIMARY KEY (property, group_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX rule_property_by_group ON rule_property (group_id);
