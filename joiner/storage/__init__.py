"""Databases: connections, group commit, migrations. Knows no domain."""
