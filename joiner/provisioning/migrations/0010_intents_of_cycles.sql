-- Which cycle was about to create the object: its request may arrive as long as that cycle runs.
ALTER TABLE intent ADD COLUMN cycle_id TEXT NOT NULL DEFAULT '';
