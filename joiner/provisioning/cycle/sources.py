"""The objects that a cycle looks at, read from the directory."""

from heapq import merge
from itertools import islice

from joiner.directory.model import Group, User
from joiner.provisioning.cycle.deletions import staged_ids
from joiner.provisioning.cycle.run import OBJECTS_PER_PAGE, Run
from joiner.provisioning.decisions.decision import ObjectType, SourceObject
from joiner.provisioning.job.links import FOREVER, due_escrows, intended_before
from joiner.provisioning.log.journal_rows import last_name
from joiner.provisioning.plans.plans import chosen_ids


def page_of_sources(run: Run, object_type: ObjectType, after: str) -> list[SourceObject]:
    """The next objects to look at, in id order after `after`: all of them in an initial cycle; in an incremental one
    those that changed, those that failed and are due, those whose removal is held back, and those of whose create an
    earlier cycle does not know what became of it; of a plan those that were chosen."""
    directory = run.directory
    if run.cycle.plan is not None:
        chosen = chosen_ids(run.reader, run.job.id, run.cycle.plan, object_type, after, OBJECTS_PER_PAGE)
        return sources_by_id(run, object_type, chosen)
    if run.is_initial:
        if object_type == "User":
            return [_user(run, user) for user in directory.users_page(after, OBJECTS_PER_PAGE)]
        return [_group(run, group) for group in directory.groups_page(after, OBJECTS_PER_PAGE)]
    changed_ids = directory.changed_user_ids if object_type == "User" else directory.changed_group_ids
    changed = changed_ids(run.window, run.job.service_principal_id, after, OBJECTS_PER_PAGE)
    # An attempt to get out of quarantine tries whatever failed.
    due_at = FOREVER if run.job.quarantine else run.cycle.began_at
    due = due_escrows(run.reader, run.job.id, object_type, due_at, after, OBJECTS_PER_PAGE)
    held = staged_ids(run.reader, run.job.id, object_type, after, OBJECTS_PER_PAGE)
    lost = intended_before(run.reader, run.job.id, run.cycle.id, object_type, after, OBJECTS_PER_PAGE)
    ids = list(islice(dict.fromkeys(merge(changed, due, held, lost)), OBJECTS_PER_PAGE))
    return sources_by_id(run, object_type, ids)


def sources_by_id(run: Run, object_type: ObjectType, ids: list[str]) -> list[SourceObject]:
    """The objects with these ids; one that is gone from the directory is described by its id alone."""
    found: dict[str, SourceObject]
    if object_type == "User":
        found = {id_: _user(run, user) for id_, user in run.directory.users_by_id(ids).items()}
    else:
        found = {id_: _group(run, group) for id_, group in run.directory.groups_by_id(ids).items()}
    return [found.get(id_) or _gone(run, object_type, id_) for id_ in ids]


def _user(run: Run, user: User) -> SourceObject:
    return SourceObject(
        "User",
        user.id,
        user.user_principal_name,
        run.directory.source_attributes(user),
        user.account_enabled,
        user.deleted_at is not None,
    )


def _group(run: Run, group: Group) -> SourceObject:
    return SourceObject("Group", group.id, group.display_name, run.directory.source_attributes(group), True, False)


def _gone(run: Run, object_type: ObjectType, id_: str) -> SourceObject:
    # The log still knows how people called it, also when the run works on a copy of the job's state.
    name = last_name(run.directory.reader, run.job.id, id_) or id_
    return SourceObject(object_type, id_, name, {}, False, True, exists=False)
