"""From a job's schema and credentials to what its pages work with. Pure; compiling is remembered per job version."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from joiner.errors import InvalidStateError
from joiner.provisioning.client.connection import connection_of
from joiner.provisioning.client.profile import ENTRA_RATE, TargetProfile, parse_profile
from joiner.provisioning.credentials import LIST_EXTENSIONS, is_true
from joiner.provisioning.decision import Settings
from joiner.provisioning.document.unsupported import carried_out
from joiner.provisioning.jobs import Job
from joiner.provisioning.mapping import compile_plan
from joiner.provisioning.modes import is_on
from joiner.provisioning.plan import JobPlan
from joiner.provisioning.run import JobContext
from joiner.provisioning.schema import parse_schema

REMEMBERED: Final = 64


def context_of(plan: JobPlan, credentials: Mapping[str, str], profile: TargetProfile) -> JobContext:
    """Raises InvalidValueError if the credentials are not complete."""
    connection = connection_of(credentials)
    return JobContext(
        plan=plan,
        settings=Settings(
            sync_all=is_true(credentials.get("SyncAll")),
            skip_out_of_scope_deletions=is_true(credentials.get("SkipOutOfScopeDeletions")),
            lists_extensions=is_true(credentials.get(LIST_EXTENSIONS)),
            supports_soft_delete=profile.soft_delete,
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


class PlanCache:
    """The compiled plans of the latest jobs used: nothing is parsed per page, let alone per object."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[str, int], JobPlan] = OrderedDict()

    def plan_of(self, job: Job) -> JobPlan:
        """Raises SchemaError."""
        key = job.id, job.schema_version
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans[key] = plan_of_document(job.schema)
            if len(self._plans) > REMEMBERED:
                self._plans.popitem(last=False)
        else:
            self._plans.move_to_end(key)
        return plan
