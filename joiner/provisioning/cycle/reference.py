"""A reference from one object to another, as one row of a statement that joins all that is known of it.

The statement joins the directory's tables with the engine's: both live in the directory side's database.
"""

import sqlite3
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from joiner.provisioning.decisions.decision import ObjectType, Verb
from joiner.provisioning.ports import DecidedReference

MEMBERS: Final = "members"
MANAGER: Final = "manager"

PAGE: Final = """
SELECT json_group_array(json_array(
  source_id, attribute, related_id, own_target, object_type, iif(own_is_active, json('true'), json('false')),
  iif(own_has_to_wait, json('true'), json('false')), own_name, exported, attempted, wanted_id, wanted_type,
  wanted_target, wanted_link, related_name, iif(is_held, json('true'), json('false'))))
FROM (
SELECT p.source_id, p.attribute, p.related_id,
       own.target_id AS own_target, coalesce(own.object_type, 'Group') AS object_type,
       own.is_managed AND NOT own.is_disabled AND removal.source_id IS NULL AND gone.source_id IS NULL AS own_is_active,
       removal.source_id IS NOT NULL OR gone.source_id IS NOT NULL AS own_has_to_wait,
       iif(p.attribute = 'members', coalesce(g.display_name, ''), coalesce(u.user_principal_name, '')) AS own_name,
       e.target_value AS exported, i.target_value AS attempted,
       iif(p.attribute = 'members', m.member_id, u.manager_id) AS wanted_id,
       coalesce(m.member_type, 'User') AS wanted_type,
       iif(other.is_managed AND NOT other.is_disabled, other.target_id, NULL) AS wanted_target,
       other.target_id AS wanted_link,
       coalesce(ru.user_principal_name, rg.display_name, p.related_id) AS related_name,
       coalesce(NOT s.is_allowed, 0) AS is_held
FROM pending_reference p
LEFT JOIN link own ON own.job_id = p.job_id AND own.source_id = p.source_id
LEFT JOIN removal ON removal.cycle_id = :cycle AND removal.object_type = own.object_type
     AND removal.source_id = p.source_id
LEFT JOIN escrow gone ON gone.job_id = p.job_id AND gone.source_id = p.source_id AND gone.is_reference = 0
     AND gone.error_code = 'InvalidAnchor'
LEFT JOIN exported_reference e ON e.job_id = p.job_id AND e.source_id = p.source_id
     AND e.attribute = p.attribute AND e.related_id = p.related_id
LEFT JOIN reference_intent i ON i.job_id = p.job_id AND i.source_id = p.source_id
     AND i.attribute = p.attribute AND i.related_id = p.related_id
LEFT JOIN membership m ON p.attribute = 'members' AND m.group_id = p.source_id AND m.member_id = p.related_id
LEFT JOIN grp g ON p.attribute = 'members' AND g.id = p.source_id
LEFT JOIN user u ON p.attribute = 'manager' AND u.id = p.source_id
LEFT JOIN link other ON other.job_id = p.job_id
     AND other.source_id = iif(p.attribute = 'members', p.related_id, u.manager_id)
LEFT JOIN user ru ON ru.id = iif(p.attribute = 'members', p.related_id, u.manager_id)
LEFT JOIN grp rg ON p.attribute = 'members' AND rg.id = p.related_id
LEFT JOIN staged_removal s ON s.job_id = p.job_id AND s.source_id = p.source_id AND s.related_id = p.related_id
     AND p.attribute = 'members'
LEFT JOIN escrow x ON x.job_id = p.job_id AND x.source_id = p.source_id AND x.is_reference = 1
WHERE p.job_id = :job AND (p.source_id, p.attribute, p.related_id) > (:source, :attribute, :related)
  AND (x.next_attempt IS NULL OR x.next_attempt <= :due) {restriction}
ORDER BY p.source_id, p.attribute, p.related_id
LIMIT :limit)
"""
"""Many references as one text, which is taken apart much faster than rows are fetched; LIMIT keeps their order."""
CYCLE: Final = PAGE.format(restriction="")
ONE_OBJECT: Final = PAGE.format(
    restriction="AND p.source_id <= :source AND (p.attribute <> 'members' OR p.related_id IN"
    " (SELECT value FROM json_each(:members)))"
)
"""The pending references of one object, of its members only those named."""


class Reference(msgspec.Struct, array_like=True, gc=False):
    """One element of `PAGE`, its fields in this order: what a reference is, and what it should be."""

    source_id: str
    attribute: str
    related_id: str
    """The member; '' for the manager."""
    own_target: str | None
    object_type: ObjectType
    own_is_active: bool
    """Linked, in scope, there as far as is known, and not about to be taken away in this cycle: nothing else gets
    references."""
    own_has_to_wait: bool
    """About to be taken away in this cycle, which may fail or turn out to be wrong, or gone from the target, which
    somebody may put right: its references stay pending."""
    own_name: str
    exported: str | None
    """The target value that was written last."""
    attempted: str | None
    """The target value that a write of unknown outcome added or removed: whatever `exported` says, it is written."""
    wanted_id: str | None
    """The source object that the directory names now; None: no such reference any more."""
    wanted_type: str
    wanted_target: str | None
    """The target id to write; None: the object is not in scope or not linked."""
    wanted_link: str | None
    """As `wanted_target`, but also of an object that has left the scope since it was linked."""
    related_name: str
    is_held: bool
    """The guard against accidental deletions holds the removal back."""

    adds: str | None = None
    """The target value to write, None if there is nothing to write."""
    removes: str | None = None
    """The target value to take away, None if there is nothing to take away."""

    def __post_init__(self) -> None:
        if not self.own_is_active:
            return
        if self.wanted_id is not None and not self.is_nested_group:
            is_written = self.wanted_target == self.exported and self.attempted is None
            self.adds = None if is_written else self.wanted_target
        # Who is only disabled stays a member, or the manager (REQ-P-109): the directory still names it.
        if self.wanted_id is None or (self.wanted_target is None and self.is_outdated):
            self.removes = None if self.is_held else self.held

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it one reference: the last columns of the primary key of `pending_reference`."""
        return self.source_id, self.attribute, self.related_id

    @property
    def is_unresolved(self) -> bool:
        """The directory names somebody who has no account that could be written."""
        missing = self.own_is_active and self.wanted_id is not None and self.wanted_target is None
        return missing and (self.held is None or self.is_outdated)

    @property
    def held(self) -> str | None:
        """What the target holds, or may hold."""
        return self.exported if self.exported is not None else self.attempted

    @property
    def is_outdated(self) -> bool:
        """The target still names whom the directory named before."""
        return self.held is not None and self.held != self.wanted_link

    @property
    def is_settled(self) -> bool:
        """There is nothing to write."""
        return self.adds is None and self.removes is None and not self.own_has_to_wait and not self.is_held

    @property
    def is_nested_group(self) -> bool:
        """The member is a group: those are not provisioned."""
        return self.wanted_type == "Group"

    @property
    def decided(self) -> DecidedReference:
        """The reference as a gate looks at it."""
        verb: Verb | None = "add" if self.adds is not None else "remove" if self.removes is not None else None
        own, names = (self.own_name, self.own_target or ""), (self.wanted_id, self.related_name)
        what = self.attribute, self.related_id
        return DecidedReference(self.object_type, self.source_id, *own, *what, *names, verb, self.is_held)


REFERENCES: Final = msgspec.json.Decoder(list[Reference])


def read_references(connection: sqlite3.Connection, sql: str, parameters: Mapping[str, Any]) -> list[Reference]:
    """What `CYCLE` or `ONE_OBJECT` gives, in order."""
    text: str = connection.execute(sql, parameters).fetchone()[0]
    return REFERENCES.decode(text)
