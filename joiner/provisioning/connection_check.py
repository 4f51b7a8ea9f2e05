"""Test Connection: a query for a user, and a group, that cannot exist (provisioning service §2.2, REQ-P-004)."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from joiner.errors import ForbiddenTargetError, InvalidValueError
from joiner.ids import new_id
from joiner.provisioning.client.retries import UNANSWERED
from joiner.provisioning.decision import ObjectType
from joiner.provisioning.failures import TargetError, incompatible
from joiner.provisioning.plan import JobPlan
from joiner.provisioning.ports import TargetReads
from joiner.provisioning.run import ENDPOINTS, UNREAD

CONNECTION = "connection"
CREDENTIALS = "credentials"


@dataclass(frozen=True, slots=True)
class Check:
    """One query of the test."""

    object_type: ObjectType
    attribute: str

    @property
    def name(self) -> str:
        return f"query for a {self.object_type.lower()} ({ENDPOINTS[self.object_type]}, {self.attribute})"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What became of one check."""

    name: str
    """`connection`, `credentials`, or which query."""
    problem: str | None = None
    """Why it failed, in words."""
    is_done: bool = True
    """False: an earlier check failed, so that this one was not tried."""


class ConnectionTestError(InvalidValueError):
    """The target did not accept the credentials; the text says which check failed and why."""

    def __init__(self, results: Sequence[CheckResult]) -> None:
        failed = [f"the {result.name} failed: {result.problem}" for result in results if result.problem]
        super().__init__("; ".join(failed))
        self.results = tuple(results)


def checks_of(plan: JobPlan) -> Sequence[Check]:
    """The first matching attribute of users, and of groups if they are provisioned."""
    return [
        Check(object_plan.object_type, object_plan.matching[0].target)
        for object_plan in (plan.users, plan.groups)
        if object_plan is not None and object_plan.enabled and object_plan.matching
    ]


async def test_connection(
    opening: AbstractAsyncContextManager[TargetReads], checks: Sequence[Check]
) -> list[CheckResult]:
    """Every check with its result: the connection, the credentials, and each query apart."""
    names = [CONNECTION, CREDENTIALS, *(check.name for check in checks)]
    results: list[CheckResult] = []
    try:
        async with opening as target:
            for check in checks:
                result = await _checked(target, check)
                if result.name in names[:2]:
                    # Without these nothing else can work.
                    results = [CheckResult(name) for name in names[: names.index(result.name)]]
                    results.append(result)
                    break
                results = results or [CheckResult(CONNECTION), CheckResult(CREDENTIALS)]
                results.append(result)
    except (ForbiddenTargetError, InvalidValueError) as error:
        results = [CheckResult(CONNECTION, str(error))]
    return [*results, *(CheckResult(name, is_done=False) for name in names[len(results) :])]


async def _checked(target: TargetReads, check: Check) -> CheckResult:
    try:
        await probe(target, check)
    except TargetError as error:
        name = CONNECTION if error.code in UNANSWERED and error.status is None else check.name
        return CheckResult(CREDENTIALS if error.code == "Unauthorized" else name, error.reason)
    return CheckResult(check.name)


async def probe(target: TargetReads, check: Check) -> None:
    """Raises TargetError unless a query for a value that cannot exist is answered with an empty ListResponse.

    Of a target without filters the first page must be a list.
    """
    endpoint, unread = ENDPOINTS[check.object_type], UNREAD[check.object_type]
    if not target.profile.can_filter(check.attribute):
        async for _ in target.every(endpoint, exclude=unread):
            return
        return
    found = await target.query(endpoint, check.attribute, new_id(), case_exact=True, exclude=unread)
    if found:
        raise incompatible(
            f"a value that cannot exist was answered with {len(found)} objects; the application does not apply filters"
        )
