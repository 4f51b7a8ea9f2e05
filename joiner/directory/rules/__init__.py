"""Membership rules of dynamic groups: text to predicate. Pure: what a rule is asked about comes in as a mapping."""
