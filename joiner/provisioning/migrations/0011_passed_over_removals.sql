-- Whoever is held back while an administrator answers others waits for an answer, however few are left.
ALTER TABLE staged_removal ADD COLUMN is_passed_over INTEGER NOT NULL DEFAULT 0;
