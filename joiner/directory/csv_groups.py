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
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Final, get_args

from joiner.directory import dynamic_groups, groups, memberships, users
from joiner.directory.columns import FALSE
from joiner.directory.csv_report import ImportReport, Problems, boolean_problem
from joiner.directory.model import Group, MemberType, RuleProcessing
from joiner.directory.rules.errors import RuleError
from joiner.directory.rules.grammar import compile_rule
from joiner.directory.staged_users import in_batches
from joiner.directory.tables import ImportFileError, Problem, Row, Table
from joiner.ids import derived_id, normal_id

FILE: Final = "groups"
ATTRIBUTES: Final = ("description", "mail", "mailNickname")
RULE: Final = "membershipRule"
STATE: Final = "membershipRuleProcessingState"
DYNAMIC: Final = "SELECT id FROM grp WHERE membership_rule IS NOT NULL"
MEMBER_COLUMNS: Final = ("memberId", "memberName", "memberGroup", "memberDisplayName")
"""What names the member, the surest first; ..."""
BY_ID: Final = ("memberId", "memberName")
BY_NAME: Final = ("memberName",)
"""... which of them can name a user, and how."""
OF_GROUP: Final = ("groupName", "securityEnabled", *ATTRIBUTES, RULE, STATE)
Found = tuple[str | None, MemberType, str | None]
"""(id, type, what is wrong)."""
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
    if {"groupName", "groupId"} & set(table.columns):
        only_group = None
    elif not only_group or not set(MEMBER_COLUMNS) & set(table.columns):
        raise ImportFileError(FILE, [Problem(1, NO_GROUP)])
    problems = Problems(FILE)
    described = _Described(connection, table, only_group, problems)
    _put_groups(connection, now, described.groups, frozenset(table.columns), report)
    members = _Members(connection, described)
    for rows in described.rows():
        for group_id, row, (member_id, member_type, reason) in members.of(rows):
            if reason is not None:
                problems.add(Problem(row.line, reason))
            elif member_id is None or (problems and not skip_bad_rows):
                continue
            elif memberships.put(connection, group_id, member_id, member_type, now):
                report.members_added += 1
                if member_type == "User" and members.others_take_from(group_id):
                    dynamic_groups.follow_membership(connection, group_id, member_id, now)
            else:
                report.members_unchanged += 1
    report.leave_out(problems, skip_bad_rows=skip_bad_rows)


class _Described:
    """The groups that the lines of a file are about. The file is read twice: a line may give a name to an id that
    others name alone."""

    def __init__(
        self, connection: sqlite3.Connection, table: Table, only_group: str | None, problems: Problems
    ) -> None:
        self._table = table
        self._only_group = only_group
        # Of several with one name, the oldest counts.
        stored = connection.execute("SELECT id, display_name FROM grp ORDER BY created_at DESC, id DESC")
        self.stored: dict[str, str] = {row["id"]: row["display_name"] for row in stored}
        """Id → name."""
        self._by_name = {name.casefold(): id_ for id_, name in self.stored.items()}
        self._named: dict[str, str] = {}
        """Names that lines of this file give to ids."""
        self._first: dict[str, tuple[str, int]] = {}
        """Id → the first name for it, and its line."""
        self.groups: dict[str, dict[str, str]] = {}
        """Id → what the file says of the group; of lines that describe it differently, the first counts."""
        self.names: dict[str, str] = {}
        """Name → id."""
        self._bad: set[int] = set()
        self._look(problems)

    def rows(self) -> Iterator[list[tuple[str, Row]]]:
        """(group id, row) of the lines that tell their group, some at a time."""
        for batch in in_batches(self._table):
            rows = [self._with_group(row) for row in batch if isinstance(row, Row) and row.line not in self._bad]
            yield [(id_, row) for row in rows if (id_ := self._id(row)) is not None]

    def _look(self, problems: Problems) -> None:
        if {"groupName", "groupId"} <= set(self._table.columns):
            for row in self._table:
                if isinstance(row, Row) and "groupId" in row.cells and "groupName" in row.cells:
                    self._named.setdefault(row.cells["groupName"].casefold(), normal_id(row.cells["groupId"]))
        for line in self._table:
            if isinstance(line, Problem):
                problems.add(line)
                continue
            row = self._with_group(line)
            id_ = self._id(row)
            reason = self._problem(id_, row)
            if id_ is None or reason is not None:
                self._bad.add(row.line)
                problems.add(Problem(row.line, str(reason)))
                continue
            told = {column: row.cells[column] for column in OF_GROUP if column in row.cells}
            self.groups[id_] = {**told, **self.groups.get(id_, {})}
            if "groupName" in row.cells:
                self.names[row.cells["groupName"].casefold()] = id_

    def _with_group(self, row: Row) -> Row:
        return row if self._only_group is None else Row(row.line, {**row.cells, "groupName": self._only_group})

    def _id(self, row: Row) -> str | None:
        if "groupId" in row.cells:
            return normal_id(row.cells["groupId"])
        key = row.cells.get("groupName", "").casefold()
        if not key:
            return None
        if key not in self._by_name and key not in self._named:
            self._by_name[key] = derived_id("group", key)
        return self._named.get(key) or self._by_name[key]

    def _problem(self, id_: str | None, row: Row) -> str | None:
        if id_ is None:
            return "names no group"
        reason = boolean_problem(row, "securityEnabled") or _rule_problem(row)
        name = row.cells.get("groupName", "")
        if reason is None and name:
            earlier, line = self._first.setdefault(id_, (name, row.line))
            if name.casefold() != earlier.casefold():
                return f"calls the group {id_} '{name}', line {line} '{earlier}'"
        return reason


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

    def __init__(self, connection: sqlite3.Connection, described: _Described) -> None:
        self._connection = connection
        self._group_ids = {*described.stored, *described.groups}
        self._group_names = {name.casefold(): id_ for id_, name in described.stored.items()} | described.names
        self._dynamic = {row["id"] for row in connection.execute(DYNAMIC)}
        self._sources: dict[str, bool] = {}

    def others_take_from(self, group_id: str) -> bool:
        """Whether a new member of the group may become one of others."""
        if group_id not in self._sources:
            self._sources[group_id] = dynamic_groups.gives_members(self._connection, group_id)
        return self._sources[group_id]

    def of(self, rows: Sequence[tuple[str, Row]]) -> Iterator[tuple[str, Row, Found]]:
        """Each (group id, row) with its member: (id, type, None), (None, "User", None) for a line without one, or
        (None, "User", what is wrong)."""
        texts = {row.cells[column] for _, row in rows for column in BY_NAME if column in row.cells}
        texts |= {row.cells[column] for _, row in rows for column in BY_ID if column in row.cells}
        by_key = users.ids_by_key(self._connection, [users.key_of(text) for text in texts])
        ids = users.active_ids(self._connection, [normal_id(text) for text in texts])
        for group_id, row in rows:
            yield group_id, row, self._found(group_id, row, by_key, ids)

    def _found(self, group_id: str, row: Row, by_key: Mapping[str, str], ids: Set[str]) -> Found:
        named = [(column, row.cells[column]) for column in MEMBER_COLUMNS if column in row.cells]
        if not named:
            return None, "User", None
        found = next((each for column, text in named if (each := self._member(column, text, by_key, ids))), None)
        if found is None:
            return None, "User", f"the member '{named[0][1]}' is neither a user nor a group of the directory"
        if found[0] == group_id:
            return None, "User", "a group cannot be its own member"
        if group_id in self._dynamic:
            return None, "User", "the group is dynamic: its members follow its rule"
        return (*found, None)

    def _member(
        self, column: str, text: str, by_key: Mapping[str, str], ids: Set[str]
    ) -> tuple[str, MemberType] | None:
        id_ = normal_id(text)
        if column in BY_ID and id_ in ids:
            return id_, "User"
        if column in BY_ID and id_ in self._group_ids:
            return id_, "Group"
        if column in BY_NAME and users.key_of(text) in by_key:
            return by_key[users.key_of(text)], "User"
        group_id = self._group_names.get(text.casefold()) if column != "memberId" else None
        return (group_id, "Group") if group_id is not None else None


def _put_groups(
    connection: sqlite3.Connection,
    now: str,
    described: Mapping[str, Mapping[str, str]],
    columns: frozenset[str],
    report: ImportReport,
) -> None:
    """Adds or updates each group. `described`: id → cells."""
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
