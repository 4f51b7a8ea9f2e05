"""The objects of a page, with scope and link, before anybody has asked the target about them."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from msgspec.structs import replace

from joiner.expressions.environment import Environment
from joiner.provisioning.client.recorder import Said
from joiner.provisioning.cycle.run import Run
from joiner.provisioning.decisions.decision import (
    Create,
    Decision,
    Delete,
    Entitlement,
    Link,
    LinkChange,
    Modify,
    ObjectType,
    QueryMatch,
    Request,
    Scope,
    SourceObject,
    TargetState,
)
from joiner.provisioning.decisions.matching import match_queries
from joiner.provisioning.decisions.scope import judge_scope, source_values
from joiner.provisioning.job.links import escrowed, intended, links_of
from joiner.provisioning.log.journal import Outcome
from joiner.provisioning.mapping.plan import ObjectPlan
from joiner.provisioning.ports import Considered

UNASSIGNED: Final = Entitlement(False)
UNKNOWN: Final = TargetState()


@dataclass(slots=True)
class Item:
    """One object on its way through a page."""

    plan: ObjectPlan
    source: SourceObject
    values: Mapping[str, Any]
    scope: Scope
    link: Link | None
    state: TargetState
    decision: Decision | None = None
    outcome: Outcome | None = None
    is_refused: bool = False
    """A create certainly had no effect; of any other failure the next try must know that one may have been sent."""
    is_under_way: bool = False
    """A create that was sent by a worker which was overtaken in this very cycle may still arrive."""
    is_linked_ahead: bool = False
    """The link was written before the update was sent."""
    is_gone: bool = False
    """The target says that there is no such account any more."""
    is_held: bool = False
    """The guard against accidental deletions holds the decision back."""
    was_escrowed: bool = False
    """An earlier try failed."""
    is_listed: bool = False
    """What is known of the target comes from the census, at least in part."""
    said: list[Said] = field(default_factory=list)
    """The requests that were sent for the object, with their answers."""
    _queries: Sequence[QueryMatch] | None = None

    @property
    def request(self) -> Request | None:
        """What is still to be sent."""
        return self.decision.request if self.decision is not None and self.outcome is None else None

    @property
    def created_id(self) -> str | None:
        """Id of the account that a create was answered with."""
        if self.decision is None or self.outcome is None or not isinstance(self.decision.request, Create):
            return None
        return self.outcome.target_id if self.outcome.exported else None

    @property
    def is_entering(self) -> bool:
        """The object becomes a target for references: newly linked, or managed and enabled again."""
        if self.decision is None or self.decision.link is not LinkChange.MANAGE:
            return False
        return self.link is None or not self.link.is_managed or self.link.is_disabled

    @property
    def change_before_sending(self) -> tuple[str, LinkChange] | None:
        """Id of an account, and what becomes of its link before the request is sent: it is to be updated and would be
        left alone if the object left the scope now, or it is to be deleted and its owner may come back."""
        request, link = self.request, self.link
        if isinstance(request, Modify):
            is_left_alone = link is None or (self.is_entering and not link.is_managed)
            return (request.target_id, LinkChange.MANAGE) if is_left_alone else None
        if isinstance(request, Delete) and self.source.exists and link is not None and link.is_managed:
            return None if link.is_disabled else (request.target_id, LinkChange.END)
        return None

    def considered(self) -> Considered:
        """For a gate, once there is a decision."""
        assert self.decision is not None
        return Considered(self.source, self.values, self.scope, self.link, self.state, self.decision)

    def queries(self) -> Sequence[QueryMatch]:
        """As `match_queries`, worked out once, when somebody asks."""
        if self._queries is None:
            self._queries = match_queries(self.plan, self.values)
        return self._queries


def items_of(run: Run, object_type: ObjectType, sources: list[SourceObject], plan: ObjectPlan | None) -> list[Item]:
    """The objects with scope and link; the target has not been asked about them."""
    if plan is None or not sources:
        return []
    ids = [source.id for source in sources]
    entitlements = _entitlements(run, object_type, ids)
    links = links_of(run.reader, run.job.id, ids)
    lost = intended(run.reader, run.job.id, ids)
    waiting = escrowed(run.reader, run.job.id, ids)
    environment = Environment(run.clock(), secrets.randbelow)
    items = []
    for source in sources:
        entitlement = entitlements.get(source.id, UNASSIGNED)
        scope = judge_scope(source, entitlement, plan, run.context.settings)
        values = source_values(source, entitlement, scope, run.context.settings, environment)
        intent = lost.get(source.id)
        state = UNKNOWN if intent is None else TargetState(intended=intent.queries)
        is_under_way = intent is not None and intent.cycle_id == run.cycle.id
        link = links.get(source.id)
        if link is not None and link.is_unseen and not run.is_initial:
            # What becomes of released objects between initial cycles is no concern of the job (REQ-P-090).
            link = replace(link, is_disabled=True)
        items.append(
            Item(
                plan,
                source,
                values,
                scope,
                link,
                state,
                was_escrowed=source.id in waiting,
                is_under_way=is_under_way,
            )
        )
    return items


def _entitlements(run: Run, object_type: ObjectType, ids: list[str]) -> dict[str, Entitlement]:
    resource_id = run.job.service_principal_id
    if object_type == "Group":
        return {id_: Entitlement(True) for id_ in run.directory.assigned_group_ids(resource_id, ids)}
    return {
        id_: Entitlement(True, tuple({"id": r.id, "value": r.value, "displayName": r.display_name} for r in roles))
        for id_, roles in run.directory.entitlements(resource_id, ids).items()
    }
