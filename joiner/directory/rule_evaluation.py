"""Rules that are new or different are asked about every user, a bounded piece at a time, each a transaction of its own.

How far that has come is stored with the group, so that it goes on where it was when the process dies.
"""

import sqlite3
from typing import Final

from joiner.directory import dynamic_groups, users
from joiner.directory.rules.grammar import MembershipRule, compile_rule

USERS_AT_ONCE: Final = 500
GROUPS_AT_ONCE: Final = 20
PENDING: Final = (
    "SELECT id, membership_rule, evaluated_to FROM grp WHERE evaluated_to IS NOT NULL AND rule_processing = 'On'"
    " ORDER BY evaluated_to, id LIMIT ?"
)
MEMBERS: Final = "SELECT group_id, member_id FROM membership WHERE member_id > ? AND member_id <= ? AND group_id IN "


def is_pending(connection: sqlite3.Connection) -> bool:
    """Whether some rule has not been asked about everybody."""
    return connection.execute(PENDING, (1,)).fetchone() is not None


def evaluate_some(connection: sqlite3.Connection, at: str) -> bool:
    """Asks some rules about the next users; False if there was nothing to ask.

    Those in the recycle bin keep their memberships, and are asked about when they are restored.
    """
    rows = connection.execute(PENDING, (GROUPS_AT_ONCE,)).fetchall()
    if not rows:
        return False
    after: str = rows[0]["evaluated_to"]
    rules = {row["id"]: compile_rule(row["membership_rule"]) for row in rows if row["evaluated_to"] == after}
    page = users.users_page(connection, after, USERS_AT_ONCE, "active")
    if page:
        held = _held(connection, rules, after, page[-1].id)
        for user in page:
            subject = dynamic_groups.subject_of(users.source_attributes(user))
            member_of = subject["memberof"] = held.get(user.id, set())
            for group_id, rule in rules.items():
                dynamic_groups.put_right(connection, group_id, user.id, rule.holds(subject), member_of, at)
    upto = page[-1].id if len(page) == USERS_AT_ONCE else None
    connection.executemany("UPDATE grp SET evaluated_to = ? WHERE id = ?", [(upto, group_id) for group_id in rules])
    return True


def _held(
    connection: sqlite3.Connection, rules: dict[str, MembershipRule], after: str, upto: str
) -> dict[str, set[str]]:
    """User id → groups, of those that the rules are about, that it is a member of; for after < user id <= upto."""
    groups = {*rules, *(source for rule in rules.values() for source in rule.groups)}
    marks = ", ".join("?" * len(groups))
    found: dict[str, set[str]] = {}
    # The range of members within each group: by the primary key.
    for row in connection.execute(f"{MEMBERS}({marks})", (after, upto, *groups)):
        found.setdefault(row["member_id"], set()).add(row["group_id"])
    return found
