"""From a job's schema and credentials to what its pages work with. Pure; compiling is remembered per job version."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from joiner.errors import InvalidStateError
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.profile import ENTRA_RATE, TargetProfile, parse_profile
from joiner.provisioning.cycle.run import JobContext
from joiner.provisioning.decisions.decision import Settings
from joiner.provisioning.document.unsupported import carried_out
from joiner.provisioning.job.credentials import LIST_EXTENSIONS, is_true
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.modes import is_on
from joiner.provisioning.mapping.compiler import compile_plan
from joiner.provisioning.mapping.plan import JobPlan
from joiner.provisioning.mapping.schema import parse_schema

REMEMBERED: Final = 64
T = TypeVar("T")
NO_SETTINGS: Final[Mapping[str, str]] = {}


def context_of(
    plan: JobPlan, credentials: Mapping[str, str], profile: TargetProfile, settings: Mapping[str, str] = NO_SETTINGS
) -> JobContext:
    """`settings`: those of the job. Raises InvalidValueError if the credentials are not complete."""
    connection = connection_of(credentials)
    return JobContext(
        plan=plan,
        settings=Settings(
            sync_all=is_true(credentials.get("SyncAll")),
            skip_out_of_scope_deletions=is_true(credentials.get("SkipOutOfScopeDeletions")),
            lists_extensions=is_true(credentials.get(LIST_EXTENSIONS)),
            supports_soft_delete=profile.soft_delete,
            rematches_missing=is_on(settings, "rematchMissing"),
        ),
        dialect=profile.dialect_for(connection.flagged),
        connection=connection,
        profile=profile,
    )


def profile_of(job: Job) -> TargetProfile:
    """The profile by which the job's requests are sent: one that behaves as the reference keeps to its rate
    (REQ-C-035). Raises InvalidValueError."""
    profile = parse_profile(job.profile)
    if profile.requests_per_second is None and not is_on(job.settings, "adaptivePace"):
        return msgspec.structs.replace(profile, requests_per_second=ENTRA_RATE)
    return profile


def check_roles(plan: JobPlan, credentials: Mapping[str, str]) -> None:
    """Raises InvalidStateError if mappings read app roles and all users are synchronized: without assignments there
    are no roles (REQ-P-033)."""
    if plan.uses_roles and is_true(credentials.get("SyncAll")):
        raise InvalidStateError(
            "the mappings write app roles, which only assigned users have: synchronize only assigned users and groups, "
            "or remove the mappings with an app-role function"
        )


def plan_of_document(document: Mapping[str, Any]) -> JobPlan:
    """The compiled plan, without the mappings that are kept and not carried out. Raises SchemaError."""
    return compile_plan(carried_out(parse_schema(document)))


class VersionCache(Generic[T]):
    """What was compiled of the latest jobs used: nothing is parsed per page, let alone per object."""

    def __init__(self, compiled: Callable[[Job], T]) -> None:
        self._compiled = compiled
        self._held: OrderedDict[tuple[str, int], T] = OrderedDict()

    def of(self, job: Job) -> T:
        """Raises SchemaError."""
        key = job.id, job.schema_version
        held = self._held.get(key)
        if held is None:
            held = self._held[key] = self._compiled(job)
            if len(self._held) > REMEMBERED:
                self._held.popitem(last=False)
        else:
            self._held.move_to_end(key)
        return held


class PlanCache(VersionCache[JobPlan]):
    """The plans of jobs that write to a target."""

    def __init__(self) -> None:
        super().__init__(lambda job: plan_of_document(job.schema))
