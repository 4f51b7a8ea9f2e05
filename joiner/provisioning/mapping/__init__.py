"""What a schema means: attribute mappings and scoping filters, read, compiled and evaluated. Pure."""
