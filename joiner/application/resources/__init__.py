"""Users, groups and resources of further types: what the verbs of SCIM do to them, how they are kept and shown."""
