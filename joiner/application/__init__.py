"""The application side: people and groups behind a SCIM endpoint, the tokens that open it, its administration."""
