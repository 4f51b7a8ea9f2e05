-- How many rows there may be, and how many of them for each value of the leading columns of a key. Not knowing it,
-- SQLite takes a job for small, and reads all its links to find the hundred of a page.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('link', 'link', '1000000 500000 1'),
  ('link', 'sqlite_autoindex_link_2', '1000000 500000 250000 1'),
  ('exported_reference', 'exported_reference', '1000000 500000 100 50 1'),
  ('pending_reference', 'pending_reference', '100000 50000 100 50 1'),
  ('reference_intent', 'reference_intent', '1000 500 100 50 1'),
  ('census_object', 'census_object', '1000000 500000 250000 1'),
  ('census_value', 'census_value', '2000000 1000000 500000 250000 2 1'),
  ('plan_item', 'sqlite_autoindex_plan_item_1', '1000000 500000 100000 1'),
  ('plan_item', 'plan_item_by_source', '1000000 500000 100000 50000 1'),
  ('plan_reference', 'plan_reference', '1000000 500000 100000 100 50 1'),
  ('plan_request', 'sqlite_autoindex_plan_request_1', '1000000 500000 100000 1 1'),
  ('plan_account', 'plan_account', '1000000 500000 100000 50000 1');
ANALYZE sqlite_schema;
