"""Joiner: automatic user provisioning over SCIM 2.0, both ends."""

__version__ = "0.1.0"
