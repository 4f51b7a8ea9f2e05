"""Jobs that write to our own directory: what systems of record upload, or what is read from a SCIM source."""
