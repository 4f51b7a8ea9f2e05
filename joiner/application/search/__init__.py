"""Filters, orders and cursors, turned into SQL."""
