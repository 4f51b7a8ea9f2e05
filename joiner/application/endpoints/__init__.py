"""What is reached over HTTP: SCIM, the administration, the events API, the token endpoint."""
