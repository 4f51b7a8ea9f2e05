"""Who may do what: secret tokens, OAuth clients and their access tokens, tokens of trusted issuers."""
