"""The tenant: users, groups, memberships, applications, assignments, and the feed of everything that changes them."""
