"""Test Connection: a query for a user, and a group, that cannot exist (provisioning service §2.2, REQ-P-004)."""

from collections.abc import Sequence
from dataclasses import dataclass

from joiner.errors import InvalidValueError
from joiner.ids import new_id
from joiner.provisioning.decision import ObjectType
from joiner.provisioning.failures import TargetError, incompatible
from joiner.provisioning.plan import JobPlan
from joiner.provisioning.run import ENDPOINTS, UNREAD
from joiner.provisioning.target import ScimTarget


class ConnectionTestError(InvalidValueError):
    """The target did not accept the credentials; the text says which check failed and why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One query of the test."""

    object_type: ObjectType
    attribute: str


def checks_of(plan: JobPlan) -> Sequence[Check]:
    """The first matching attribute of users, and of groups if they are provisioned."""
    return [
        Check(object_plan.object_type, object_plan.matching[0].target)
        for object_plan in (plan.users, plan.groups)
        if object_plan is not None and object_plan.enabled and object_plan.matching
    ]


async def check_connection(target: ScimTarget, checks: Sequence[Check]) -> None:
    """Raises ConnectionTestError with the reason in words unless every query is answered as it should be."""
    for check in checks:
        try:
            await probe(target, check)
        except TargetError as error:
            endpoint = ENDPOINTS[check.object_type]
            what = f"the query for a {check.object_type.lower()} ({endpoint}, {check.attribute})"
            raise ConnectionTestError(f"{what} failed: {error.reason}") from None


async def probe(target: ScimTarget, check: Check) -> None:
    """Raises TargetError unless a query for a value that cannot exist is answered with an empty ListResponse."""
    found = await target.query(
        ENDPOINTS[check.object_type], check.attribute, new_id(), case_exact=True, exclude=UNREAD[check.object_type]
    )
    if found:
        raise incompatible(
            f"a value that cannot exist was answered with {len(found)} objects; the application does not apply filters"
        )
