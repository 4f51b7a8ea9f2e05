"""The groups and memberships of an import file, within the import's transaction.

One line is one membership; a line without a member makes the group alone. The group is told by `groupId`, else by
`group`, `groupName` or `groupDisplayName`; the member by `memberId`, `memberUserPrincipalName`, `member` or
`memberGroup`. A member can be a user or a group, by id or name.

In a file that names members, `id` and `displayName` are the member's, as in the portal's "Download group members"; that
file has no column for the group, because it is the list of one group, which is then called by `only_group`. In a file
that names no members, `id`, `displayName` and `description` are the group's, as in "Download groups". Other columns are
not kept. Whoever is not in the file stays a member.

A group with a `membershipRule` is dynamic; the file names no members of it.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Final, get_args

from joiner.directory import groups, users
from joiner.directory.columns import FALSE
from joiner.directory.csv_report import ImportReport, boolean_problem
from joiner.directory.model import Group, RuleProcessing
from joiner.directory.rules.errors import RuleError
from joiner.directory.rules.grammar import compile_rule
from joiner.directory.tables import ImportFileError, Problem, Row, Table
from joiner.ids import derived_id, normal_id

FILE: Final = "groups"
ATTRIBUTES: Final = ("description", "mail", "mailNickname")
RULE: Final = "membershipRule"
STATE: Final = "membershipRuleProcessingState"
DYNAMIC: Final = "SELECT id FROM grp WHERE membership_rule IS NOT NULL"
MEMBER_COLUMNS: Final = ("memberId", "memberName", "memberGroup", "memberDisplayName")
"""What names the member, the surest first."""
NO_GROUP: Final = "there is no column for the group: add one named group, with the group's name, or groupId"


def import_groups(
    connection: sqlite3.Connection,
    now: str,
    table: Table,
    report: ImportReport,
    *,
    only_group: str | None,
    skip_bad_rows: bool,
) -> None:
    """`only_group`: the name of the group in a file that has no column for it.

    Raises ImportFileError if no column names the group, or a line is wrong and must not be skipped.

    Of a line that is skipped for its member, the group is kept.
    """
    if not {"groupName", "groupId"} & set(table.columns):
        if not only_group or not set(MEMBER_COLUMNS) & set(table.columns):
            raise ImportFileError(FILE, [Problem(1, NO_GROUP)])
        table.rows = [Row(row.line, {**row.cells, "groupName": only_group}) for row in table.rows]
    problems = list(table.problems)
    stored = _stored_names(connection)
    rows = _identified(table.rows, stored, problems)
    members = _Members(connection, stored, rows, has_rules=RULE in table.columns)
    memberships: list[tuple[str, str]] = []
    for group_id, row in rows:
        member_id, reason = members.find(group_id, row)
        if reason is not None:
            problems.append(Problem(row.line, reason))
        elif member_id is not None:
            memberships.append((group_id, member_id))
    report.leave_out(FILE, problems, skip_bad_rows=skip_bad_rows)
    _put_groups(connection, now, rows, frozenset(table.columns), report)
    for group_id, member_id in memberships:
        if groups.add_member(connection, group_id, member_id, now):
            report.members_added += 1
        else:
            report.members_unchanged += 1


def _stored_names(connection: sqlite3.Connection) -> dict[str, str]:
    """Id → name of the directory's groups; of several with one name, the oldest comes last."""
    rows = connection.execute("SELECT id, display_name FROM grp ORDER BY created_at DESC, id DESC")
    return {row["id"]: row["display_name"] for row in rows}


def _identified(rows: Iterable[Row], stored: dict[str, str], problems: list[Problem]) -> list[tuple[str, Row]]:
    """(group id, row) of the rows that tell their group."""
    by_name = {name.casefold(): id_ for id_, name in stored.items()}
    rows = list(rows)
    named: dict[str, str] = {}
    """Names that lines of this file give to ids."""
    for row in rows:
        if "groupId" in row.cells and "groupName" in row.cells:
            named.setdefault(row.cells["groupName"].casefold(), normal_id(row.cells["groupId"]))
    found: list[tuple[str, Row]] = []
    first: dict[str, Row] = {}
    """Id → the first line with a name for it."""
    for row in rows:
        name = row.cells.get("groupName", "")
        key = name.casefold()
        id_ = normal_id(row.cells["groupId"]) if "groupId" in row.cells else None
        if id_ is None and key:
            id_ = named.get(key) or by_name.get(key) or derived_id("group", key)
        reason = boolean_problem(row, "securityEnabled") or _rule_problem(row)
        if id_ is None:
            reason = "names no group"
        elif reason is None and key:
            earlier = first.setdefault(id_, row)
            if key != earlier.cells["groupName"].casefold():
                reason = f"calls the group {id_} '{name}', line {earlier.line} '{earlier.cells['groupName']}'"
        if id_ is None or reason is not None:
            problems.append(Problem(row.line, str(reason)))
        else:
            found.append((id_, row))
    return found


def _rule_problem(row: Row) -> str | None:
    state = row.cells.get(STATE)
    if state is not None and state not in get_args(RuleProcessing):
        return f"{STATE} is '{state}'; it must be On or Paused"
    if RULE not in row.cells:
        return None
    try:
        compile_rule(row.cells[RULE])
    except RuleError as error:
        return f"{RULE}: {error.problem} (position {error.position + 1})"
    return None


class _Members:
    """Whom the member columns can name: users, the directory's groups and those of this file."""

    def __init__(
        self, connection: sqlite3.Connection, stored: dict[str, str], rows: list[tuple[str, Row]], has_rules: bool
    ) -> None:
        people = connection.execute("SELECT id, upn_key FROM user WHERE deleted_at IS NULL")
        self._users: dict[str, str] = {row["upn_key"]: row["id"] for row in people}
        self._ids = {*self._users.values(), *stored, *(id_ for id_, _ in rows)}
        self._groups = {name.casefold(): id_ for id_, name in stored.items()}
        self._groups |= {row.cells["groupName"].casefold(): id_ for id_, row in rows if "groupName" in row.cells}
        self._dynamic = {row["id"] for row in connection.execute(DYNAMIC)} if not has_rules else set()
        self._dynamic |= {id_ for id_, row in rows if RULE in row.cells}

    def find(self, group_id: str, row: Row) -> tuple[str | None, str | None]:
        """(member's id, None), (None, None) for a line without a member, or (None, what is wrong)."""
        named = [(column, row.cells[column]) for column in MEMBER_COLUMNS if column in row.cells]
        if not named:
            return None, None
        member_id = next((id_ for column, text in named if (id_ := self._id(column, text))), None)
        if member_id is None:
            return None, f"the member '{named[0][1]}' is neither a user nor a group of the directory"
        if member_id == group_id:
            return None, "a group cannot be its own member"
        if group_id in self._dynamic:
            return None, "the group is dynamic: its members follow its rule"
        return member_id, None

    def _id(self, column: str, text: str) -> str | None:
        if column in ("memberId", "memberName") and normal_id(text) in self._ids:
            return normal_id(text)
        if column == "memberName" and users.key_of(text) in self._users:
            return self._users[users.key_of(text)]
        return self._groups.get(text.casefold()) if column != "memberId" else None


def _put_groups(
    connection: sqlite3.Connection,
    now: str,
    rows: Iterable[tuple[str, Row]],
    columns: frozenset[str],
    report: ImportReport,
) -> None:
    """Adds or updates each group once; of lines that describe it differently, the first counts."""
    described: dict[str, Mapping[str, str]] = {}
    for id_, row in rows:
        described[id_] = {**row.cells, **described.get(id_, {})}
    # A rule may name groups of this file that its members come from.
    for id_, cells in sorted(described.items(), key=_order):
        stored = groups.groups_by_id(connection, [id_]).get(id_)
        group = _group(id_, cells, columns, stored, now)
        if stored is None:
            groups.add_group(connection, group, now)
            report.groups_added += 1
        elif groups.update_group(connection, group, now):
            report.groups_updated += 1
        else:
            report.groups_unchanged += 1


def _order(described: tuple[str, Mapping[str, str]]) -> int:
    """Groups without rules, those with, those whose members come from either."""
    rule = described[1].get(RULE)
    return 0 if rule is None else 1 + bool(compile_rule(rule).groups)


def _group(id_: str, cells: Mapping[str, str], columns: frozenset[str], stored: Group | None, now: str) -> Group:
    kept = stored.attributes.items() if stored is not None else ()
    attributes = {name: value for name, value in kept if name not in columns}
    attributes |= {name: cells[name] for name in ATTRIBUTES if name in cells}
    security = cells.get("securityEnabled")
    rule = stored.membership_rule if stored is not None and RULE not in columns else cells.get(RULE)
    processing = stored.rule_processing if stored is not None else "On"
    return Group(
        id=id_,
        display_name=cells.get("groupName") or (stored.display_name if stored is not None else id_),
        security_enabled=security.lower() not in FALSE if security else stored is None or stored.security_enabled,
        attributes=attributes,
        created_at=now,
        membership_rule=rule,
        rule_processing="Paused" if cells.get(STATE, processing) == "Paused" else "On",
    )
