"""Test Connection: a query for a user, and a group, that cannot exist (provisioning service §2.2, REQ-P-004)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from joiner.errors import ForbiddenTargetError, InvalidValueError
from joiner.ids import new_id
from joiner.provisioning.client.failures import TargetError, incompatible
from joiner.provisioning.client.retries import UNANSWERED
from joiner.provisioning.cycle.run import ENDPOINTS, UNREAD
from joiner.provisioning.decisions.decision import ObjectType
from joiner.provisioning.mapping.plan import JobPlan
from joiner.provisioning.ports import TargetReads

CONNECTION = "connection"
CREDENTIALS = "credentials"
T = TypeVar("T")


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


def queries_of(plan: JobPlan) -> Mapping[str, Callable[[TargetReads], Awaitable[None]]]:
    """The checks by name, as what asks them."""
    return {check.name: partial(probe, check=check) for check in checks_of(plan)}


async def test_connection(
    opening: AbstractAsyncContextManager[T], checks: Mapping[str, Callable[[T], Awaitable[None]]]
) -> list[CheckResult]:
    """Every check with its result: the connection, the credentials, and each request apart. What asks raises
    TargetError."""
    names = [CONNECTION, CREDENTIALS, *checks]
    results: list[CheckResult] = []
    try:
        async with opening as target:
            for name, ask in checks.items():
                result = await _checked(name, ask(target))
                if result.name in names[:2]:
                    # Without these nothing else can work.
                    results = [CheckResult(passed) for passed in names[: names.index(result.name)]]
                    results.append(result)
                    break
                results = results or [CheckResult(CONNECTION), CheckResult(CREDENTIALS)]
                results.append(result)
    except (ForbiddenTargetError, InvalidValueError) as error:
        results = [CheckResult(CONNECTION, str(error))]
    return [*results, *(CheckResult(name, is_done=False) for name in names[len(results) :])]


async def _checked(name: str, asking: Awaitable[None]) -> CheckResult:
    try:
        await asking
    except TargetError as error:
        failed = CONNECTION if error.code in UNANSWERED and error.status is None else name
        return CheckResult(CREDENTIALS if error.code == "Unauthorized" else failed, error.reason)
    return CheckResult(name)


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
