"""What a decision is made from and what it consists of: plain values, no behaviour.

`decide.py` makes decisions; a cycle, a preview and an explanation differ only in what they do with them. What is made
for each object is a struct: those take a fraction of the time that frozen dataclasses take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

import msgspec

from joiner.provisioning.mapping.target_path import TargetPath

ObjectType = Literal["User", "Group"]
Verb = Literal["add", "replace", "remove"]


class Action(StrEnum):
    """`provisioningAction` of a log entry."""

    CREATE = "create"
    UPDATE = "update"
    DISABLE = "disable"
    DELETE = "delete"
    STAGED_DELETE = "stagedDelete"
    OTHER = "other"


class Status(StrEnum):
    """`status` of a log entry and of each of its steps."""

    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    SKIPPED = "skipped"


class Exit(StrEnum):
    """Why an object is not effectively entitled. The first that applies, in this order, is the reason given."""

    PURGED = "purged"
    SOFT_DELETED = "soft-deleted"
    DISABLED = "disabled"
    UNASSIGNED = "unassigned"
    FILTERED = "filtered out"


class SourceObject(msgspec.Struct, frozen=True, gc=False):
    """A user or group as the directory has it now; a purged one has no attributes left."""

    object_type: ObjectType
    id: str
    name: str
    """How people recognise it: the user principal name, the group's display name."""
    attributes: Mapping[str, Any]
    """The engine's attribute names → values, complete, without `IsSoftDeleted`."""
    is_enabled: bool
    is_soft_deleted: bool
    exists: bool = True


class Entitlement(msgspec.Struct, frozen=True, gc=False):
    """How the object is assigned to the application, over all paths."""

    is_assigned: bool
    roles: tuple[Mapping[str, str | None], ...] = ()
    """`{id, value, displayName}` of each role, in the order of assignment."""


class Link(msgspec.Struct, frozen=True, gc=False):
    """The connection between a source object and its target object."""

    target_id: str
    is_managed: bool
    is_disabled: bool

    @property
    def is_unseen(self) -> bool:
        """Released by a disable that nobody has seen take effect: the target may have acknowledged and lost it."""
        return not self.is_managed and not self.is_disabled


class Scope(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one object's entitlement."""

    exit: Exit | None
    """None: in scope."""
    explanation: str
    details: Mapping[str, str]
    failed_clauses: tuple[str, ...] = ()
    """Labels of the clauses of the scoping filter that do not hold."""
    has_left: bool = False
    """Not assigned or filtered out, be it disabled besides: the job ceases to manage the object (REQ-P-090)."""

    @property
    def in_scope(self) -> bool:
        """Effectively entitled."""
        return self.exit is None


class ReadLinked(msgspec.Struct, frozen=True, gc=False):
    """Read the linked target object by its id."""

    target_id: str


class QueryMatch(msgspec.Struct, frozen=True, gc=False):
    """Ask the target for objects whose `attribute` equals `value`."""

    attribute: str
    value: str
    case_exact: bool


class QueryUnique(msgspec.Struct, frozen=True, gc=False):
    """Ask the target whether an object has this value already."""

    attribute: str
    value: str
    is_taken: bool = False
    """The answer: another object has it, or is about to get it."""


Lookup = ReadLinked | QueryMatch | QueryUnique


class TargetState(msgspec.Struct, frozen=True, gc=False):
    """What the target answered to the lookups of one object."""

    resource: Mapping[str, Any] | None = None
    """The linked or matched target object."""
    queries: tuple[tuple[QueryMatch, int], ...] = ()
    """Every matching query asked, with the number of objects found."""
    found: tuple[str, ...] = ()
    """Ids of what the last of them found."""
    unique: tuple[QueryUnique, ...] = ()
    """Every candidate for a unique value asked about, with the answer, in the order of asking."""
    is_gone: bool = False
    """The linked target object no longer exists."""
    forgotten: str | None = None
    """Id of the linked target object that no longer exists, if the object counts as unlinked for that reason."""
    linked_to: str | None = None
    """The matched target object is already linked to this other source object."""
    intended: tuple[QueryMatch, ...] = ()
    """A create of this object was sent, or about to be, by an attempt whose outcome is unknown: by these it would be
    found, whatever has become of its source since."""

    @property
    def was_intended(self) -> bool:
        """What an earlier attempt was about to create may be in the target."""
        return bool(self.intended)

    @property
    def is_ambiguous(self) -> bool:
        """The last matching query found several objects."""
        return bool(self.queries) and self.queries[-1][1] > 1


@dataclass(frozen=True, slots=True)
class Settings:
    """The switches of a job that decisions depend on."""

    sync_all: bool = False
    skip_out_of_scope_deletions: bool = False
    supports_soft_delete: bool = True
    """False: the target knows no `active`; leaving the scope deletes."""
    lists_extensions: bool = False
    """`schemas` of a create names the extensions that it has attributes of (D-03)."""
    rematches_missing: bool = False
    """Who is linked to a target object that no longer exists is matched again, then created (REQ-C-005)."""


class Step(msgspec.Struct, frozen=True, gc=False):
    """One of `provisioningSteps`."""

    name: str
    kind: Literal["import", "scoping", "matching", "processing", "referenceResolution", "export"]
    status: Status
    description: str
    details: Mapping[str, str] = {}


class Change(msgspec.Struct, frozen=True, gc=False):
    """One of `modifiedProperties`: target attribute with its old and new value, None for no value."""

    attribute: str
    old: Any
    new: Any
    is_secret: bool = False


class Problem(msgspec.Struct, frozen=True, gc=False):
    """Why something failed or was skipped: an error code of the provisioning log and a sentence."""

    code: str
    reason: str


class Modification(msgspec.Struct, frozen=True, gc=False):
    """One attribute to change."""

    path: TargetPath
    verb: Verb
    value: Any = None
    """None for `remove`."""
    has_element: bool = True
    """The element that the path selects, such as the e-mail address of type work, exists."""
    roles: tuple[Mapping[str, Any], ...] = ()
    """The assignments that the value comes from: the Entra dialect sends these in its place."""


class Create(msgspec.Struct, frozen=True, gc=False):
    """POST of a whole resource."""

    resource: Mapping[str, Any]


class Modify(msgspec.Struct, frozen=True, gc=False):
    """PATCH of single attributes."""

    target_id: str
    modifications: tuple[Modification, ...]


class Delete(msgspec.Struct, frozen=True, gc=False):
    """DELETE of the resource."""

    target_id: str


Request = Create | Modify | Delete


class LinkChange(StrEnum):
    """What becomes of the link when the decision has been carried out."""

    KEEP = "keep"
    MANAGE = "manage"
    """Linked, managed and enabled: made if it was missing."""
    DISABLE = "disable"
    """Still managed, disabled."""
    RELEASE = "release"
    """Disabled and no longer managed: later changes in the directory send nothing."""
    RELEASE_UNSEEN = "release unseen"
    """As `RELEASE`; the next initial cycle makes sure that the target has done what it acknowledged."""
    END = "end"
    """Its deletion is about to be sent: if nobody learns what became of that, a missing account is what was wanted."""
    DROP = "drop"


class Decision(msgspec.Struct, frozen=True, gc=False):
    """What is to be done with one object, and why."""

    action: Action
    status: Status
    """How the entry reads if the request, if there is one, succeeds."""
    steps: tuple[Step, ...]
    changes: tuple[Change, ...] = ()
    request: Request | None = None
    link: LinkChange = LinkChange.KEEP
    target_id: str | None = None
    problem: Problem | None = None

    @property
    def is_removal(self) -> bool:
        """Takes access away, and so belongs into a cycle's last phase and counts as a deletion."""
        return self.request is not None and self.action in (Action.DISABLE, Action.DELETE)
