"""The command line: parses, calls the API, prints. Knows no database and decides nothing."""
