"""The engine: jobs, cycles, decisions, the provisioning log. Reads the directory, writes to targets over SCIM."""
