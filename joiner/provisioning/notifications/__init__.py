"""E-mails about jobs: what they say, and those that wait to be sent."""
