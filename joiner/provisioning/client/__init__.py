"""The parts of the SCIM client: messages over sockets, authentication, pace, answers, what a target can do."""
