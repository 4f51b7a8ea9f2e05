"""What is told of what was done: the provisioning log and the audit log."""
