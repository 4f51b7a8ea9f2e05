"""What was accepted, in order, and those who are told: the event log, webhooks, retention."""
