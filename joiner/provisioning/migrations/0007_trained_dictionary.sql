-- Entries packed with the dictionaries of development versions cannot be read any more.
DELETE FROM journal WHERE substr(entry, 1, 1) <> x'03';
