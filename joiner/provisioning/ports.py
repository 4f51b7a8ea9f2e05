"""What the pages of a cycle need from outside: a target to ask and to write to, and who looks at decisions first.

A cycle writes to a real target; a plan gives the same pages one that only notes what it is told to write.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from joiner.provisioning.client.answers import Page
from joiner.provisioning.client.profile import TargetProfile
from joiner.provisioning.decisions.decision import Decision, Link, ObjectType, Scope, SourceObject, TargetState, Verb

Resource = dict[str, Any]


class TargetReads(Protocol):
    """Asking a target. Nothing here changes it."""

    @property
    def profile(self) -> TargetProfile:
        """What the target can do."""

    async def query(
        self, endpoint: str, attribute: str, value: str, *, case_exact: bool, exclude: Sequence[str] = ()
    ) -> list[Resource]:
        """The resources whose `attribute` equals `value`. Raises TargetError."""

    async def read(self, endpoint: str, target_id: str, *, exclude: Sequence[str] = ()) -> Resource | None:
        """The resource, None if it no longer exists. Raises TargetError."""

    async def page(self, endpoint: str, *, place: int | str, count: int, exclude: Sequence[str] = ()) -> Page:
        """A part of the list, from an index or the target's own cursor on. Raises TargetError."""

    def every(self, endpoint: str, *, exclude: Sequence[str] = ()) -> AsyncIterator[Resource]:
        """Every resource, page by page. Raises TargetError."""


class Target(TargetReads, Protocol):
    """Asking a target, and writing to it."""

    async def create(self, endpoint: str, resource: Mapping[str, Any]) -> str:
        """The id of the new resource. Raises TargetError."""

    async def modify(self, endpoint: str, target_id: str, body: Mapping[str, Any]) -> None:
        """Carries out a PatchOp. Raises TargetError."""

    async def delete(self, endpoint: str, target_id: str) -> None:
        """Deletes the resource. Raises TargetError."""


class Considered(msgspec.Struct, frozen=True):
    """One object with everything that its decision was made from."""

    source: SourceObject
    values: Mapping[str, Any]
    """The attributes that its mappings see."""
    scope: Scope
    link: Link | None
    state: TargetState
    decision: Decision


class DecidedReference(msgspec.Struct, frozen=True, gc=False):
    """One reference that a cycle looks at."""

    object_type: ObjectType
    source_id: str
    source_name: str
    target_id: str
    attribute: str
    related_id: str
    """The member; '' for the manager."""
    wanted_id: str | None
    """The source object that the directory names."""
    related_name: str
    verb: Verb | None
    """`add` or `remove`; None: nothing is to be written."""
    is_held: bool = False
    """The guard against accidental deletions holds the removal back."""


class PageGate(Protocol):
    """Looks at what was decided on one page, just before it is sent, and may keep it from being done."""

    def allows(self, considered: Considered) -> bool:
        """What `admits` would say, asked beforehand; notes nothing."""

    def admits(self, considered: Considered) -> bool:
        """Whether the decision is carried out. One that is not leaves no trace: no request, link, escrow, or entry.

        An object is looked at again if what was known of the target turns out not to be true: the last word counts.
        """

    def admits_reference(self, reference: DecidedReference) -> bool:
        """Whether the reference is dealt with. One that is not stays pending."""

    def close(self) -> None:
        """Everything of the page has been sent."""

    def commit(self, connection: sqlite3.Connection) -> None:
        """Writes what the gate has to remember, in the transaction of the page."""


class Gate(Protocol):
    """Watches a run. Pages overlap, so each has its own."""

    def page(self) -> PageGate:
        """The gate of a page that begins."""


def watched(
    gate: PageGate | None, commit: Callable[[sqlite3.Connection], None]
) -> Callable[[sqlite3.Connection], None]:
    """The commit of a page that has been sent, with what its gate has to remember."""
    if gate is None:
        return commit
    gate.close()

    def both(connection: sqlite3.Connection) -> None:
        commit(connection)
        gate.commit(connection)

    return both
