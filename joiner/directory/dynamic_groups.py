"""Dynamic groups: their members follow their rules, in the transaction of whatever changes a user or a membership.

Only rules that look at what has changed are asked. A rule that is new or different is asked about everybody by
`rule_evaluation`.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final

from joiner.directory import memberships
from joiner.directory.model import Group
from joiner.directory.rules.grammar import MembershipRule, compile_rule
from joiner.errors import InvalidStateError, InvalidValueError

MEMBER_OF: Final = "memberOf/"
"""Stands before the id of a group that a rule takes its members from."""
DEFAULT_USER_TYPE: Final = "Member"
"""What a user without a type is: Entra gives it to every account that is made without one."""
ALL_RULES: Final = "SELECT id, membership_rule FROM grp WHERE rule_processing = 'On'"
RULES_ABOUT: Final = (
    "SELECT DISTINCT grp.id, grp.membership_rule FROM rule_property p JOIN grp ON grp.id = p.group_id"
    " WHERE p.property IN ({marks}) AND grp.rule_processing = 'On'"
)


class DynamicMembershipError(InvalidStateError):
    """The members of a dynamic group cannot be changed by hand."""

    def __init__(self, group: Group) -> None:
        super().__init__(f"the group '{group.display_name}' is dynamic: its members follow its rule, not hands")


# When users and memberships change


def follow_user(connection: sqlite3.Connection, attributes: Mapping[str, Any], changed: Iterable[str], at: str) -> None:
    """Lets the user join and leave. `attributes`: as `users.source_attributes` gives them; `changed`: the names of
    those that have changed."""
    _follow(connection, _rules_about(connection, changed), attributes, at)


def follow_new_users(connection: sqlite3.Connection, added: Iterable[Mapping[str, Any]], at: str) -> None:
    """As `follow_user`, for users who are new here, or here again."""
    rules = {row[0]: compile_rule(row[1]) for row in connection.execute(ALL_RULES)}
    for attributes in added if rules else ():
        _follow(connection, rules, attributes, at)


def follow_membership(connection: sqlite3.Connection, group_id: str, user_id: str, at: str) -> None:
    """To be called when the user has joined or left the group: others may take their members from it."""
    for dependent, rule in _rules_about(connection, [MEMBER_OF + group_id]).items():
        held = memberships.groups_holding(connection, user_id, {dependent, *rule.groups})
        put_right(connection, dependent, user_id, rule.holds({"memberof": held}), held, at)


def gives_members(connection: sqlite3.Connection, group_id: str) -> bool:
    """Whether others take their members from the group."""
    sql = "SELECT 1 FROM rule_property WHERE property = ?"
    return connection.execute(sql, (MEMBER_OF + group_id,)).fetchone() is not None


def put_right(
    connection: sqlite3.Connection, group_id: str, user_id: str, belongs: bool, held: set[str], at: str
) -> None:
    """Makes the user a member if it belongs into the group, and no member if not. `held`: the groups that it is a
    member of, which is kept up."""
    if belongs == (group_id in held):
        return
    if belongs:
        memberships.put(connection, group_id, user_id, "User", at)
        held.add(group_id)
    else:
        memberships.drop(connection, group_id, user_id, at)
        held.discard(group_id)
    follow_membership(connection, group_id, user_id, at)


def subject_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What rules see of a user, by names in lower case."""
    subject = {name.lower(): value for name, value in attributes.items()}
    subject.setdefault("usertype", DEFAULT_USER_TYPE)
    return subject


# When rules change


def check_rule(connection: sqlite3.Connection, group: Group) -> None:
    """Raises RuleError for a rule that cannot be read, InvalidValueError for groups that it cannot take its members
    from."""
    if group.membership_rule is None:
        return
    for source in sorted(compile_rule(group.membership_rule).groups):
        if connection.execute("SELECT 1 FROM grp WHERE id = ?", (source,)).fetchone() is None:
            raise InvalidValueError(f"membershipRule: there is no group '{source}'")
        if source == group.id or _takes_members(connection, source):
            raise InvalidValueError(f"membershipRule: the group '{source}' takes its members from groups itself")
    if compile_rule(group.membership_rule).groups and gives_members(connection, group.id):
        raise InvalidValueError("membershipRule: another group takes its members from this one by memberOf")


def write_rule(connection: sqlite3.Connection, group: Group, at: str) -> None:
    """Stores the group's rule, to be asked about everybody. Of an assigned group: that it has none; its members stay.

    Other groups cannot be members of a dynamic one and leave it at once; users do when the rule has been asked.
    """
    rule = group.membership_rule
    is_on = rule is not None and group.rule_processing == "On"
    connection.execute(
        "UPDATE grp SET membership_rule = ?, rule_processing = ?, evaluated_to = ? WHERE id = ?",
        (rule, None if rule is None else group.rule_processing, "" if is_on else None, group.id),
    )
    connection.execute("DELETE FROM rule_property WHERE group_id = ?", (group.id,))
    if rule is None:
        return
    compiled = compile_rule(rule)
    looked_at = {*compiled.properties, *(MEMBER_OF + source for source in compiled.groups)}
    connection.executemany(
        "INSERT INTO rule_property (property, group_id) VALUES (?, ?)", [(each, group.id) for each in looked_at]
    )
    nested = connection.execute(
        "SELECT member_id FROM membership WHERE group_id = ? AND member_type = 'Group'", (group.id,)
    ).fetchall()
    for row in nested:
        memberships.drop(connection, group.id, row["member_id"], at)


def forget_source(connection: sqlite3.Connection, group_id: str) -> None:
    """The group goes; whoever takes members from it is asked anew about everybody."""
    connection.execute(
        "UPDATE grp SET evaluated_to = '' WHERE rule_processing = 'On'"
        " AND id IN (SELECT group_id FROM rule_property WHERE property = ?)",
        (MEMBER_OF + group_id,),
    )


def _follow(
    connection: sqlite3.Connection, rules: Mapping[str, MembershipRule], attributes: Mapping[str, Any], at: str
) -> None:
    if not rules:
        return
    user_id: str = attributes["objectId"]
    subject = subject_of(attributes)
    sources = {group_id for rule in rules.values() for group_id in rule.groups}
    held = memberships.groups_holding(connection, user_id, {*rules, *sources})
    subject["memberof"] = held
    for group_id, rule in rules.items():
        put_right(connection, group_id, user_id, rule.holds(subject), held, at)


def _rules_about(connection: sqlite3.Connection, changed: Iterable[str]) -> dict[str, MembershipRule]:
    """Group id → rule, of those that are processed and look at any of this."""
    names = tuple(name if name.startswith(MEMBER_OF) else name.lower() for name in changed)
    rows = connection.execute(RULES_ABOUT.format(marks=", ".join("?" * len(names))), names)
    return {row[0]: compile_rule(row[1]) for row in rows}


def _takes_members(connection: sqlite3.Connection, group_id: str) -> bool:
    sql = "SELECT 1 FROM rule_property WHERE group_id = ? AND property GLOB ?"
    return connection.execute(sql, (group_id, f"{MEMBER_OF}*")).fetchone() is not None
