"""SCIM 2.0 as data: schemas, filters, paths, patches, messages (RFC 7643, RFC 7644). No I/O, no database."""
