"""A job and what is kept of it: settings, schema versions, credentials, cycles, links, failures."""
