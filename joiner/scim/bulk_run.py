"""The state of one bulk request while it is executed: ids that became known, results, and when to stop. Executing is
left to whoever has the resources."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from joiner.scim.bulk import BulkOperation, BulkRequest, BulkResult, bulk_response
from joiner.scim.bulk_plan import Step, plan
from joiner.scim.bulk_references import REFERENCE, resolve
from joiner.scim.errors import ScimError


class BulkRun:
    """Go through `steps`, and report each with `succeeded` or `failed` before the next."""

    def __init__(self, request: BulkRequest, base_url: str) -> None:
        """`base_url` is where `/Users` hangs."""
        self._request = request
        self._base_url = base_url
        self._steps = plan(request).steps
        self._ids: dict[str, str | None] = {
            operation.bulk_id: None
            for operation in request.operations
            if operation.method == "POST" and operation.bulk_id is not None
        }
        self._results: dict[int, BulkResult] = {}
        self._errors = 0

    def steps(self) -> Iterator[Step]:
        """The steps to execute. After `failOnErrors` errors nothing is begun, but what was begun is completed
        (REQ-S-306)."""
        limit = self._request.fail_on_errors
        for step in self._steps:
            begun = self._results.get(step.operation.index)
            if step.completes:
                if begun is not None and begun.error is None:
                    yield step
            elif limit is None or self._errors < limit:
                yield step

    def resolve(self, step: Step) -> BulkOperation:
        """What to execute. Raises ScimError if it cannot be executed, which is then the operation's failure."""
        if step.error is not None:
            raise step.error
        return resolve(step.operation, self._ids) if step.has_references else step.operation

    def succeeded(self, step: Step, id_: str, status: int, location: str, version: str | None = None) -> None:
        """`id_` and `location` are the resource's, also when it is deleted; `version` its ETag."""
        operation = self._request.operations[step.operation.index]
        if operation.method == "POST" and operation.bulk_id is not None:
            self._ids[operation.bulk_id] = id_
        if step.completes:
            status = self._results[operation.index].status
        self._results[operation.index] = BulkResult(operation, status, location, version)

    def failed(self, step: Step, error: ScimError) -> str | None:
        """The id of a resource that was created in an earlier step and is to be deleted, if there is one: a POST that
        fails leaves nothing behind."""
        operation = self._request.operations[step.operation.index]
        self._errors += 1
        self._results[operation.index] = BulkResult(operation, error.status, self._location(operation), error=error)
        if operation.method != "POST" or operation.bulk_id is None:
            return None
        created = self._ids.get(operation.bulk_id)
        self._ids[operation.bulk_id] = None
        return created

    def response(self) -> dict[str, Any]:
        """The BulkResponse message with the results so far."""
        return bulk_response(self._results.values())

    def _location(self, operation: BulkOperation) -> str | None:
        """Where the resource of an operation that failed is, if it names one (RFC 7644 §3.7.3)."""
        id_ = operation.id
        if id_ is not None and id_.startswith(REFERENCE):
            id_ = self._ids.get(id_.removeprefix(REFERENCE))
        return None if id_ is None else f"{self._base_url}{operation.endpoint}/{quote(id_, safe='')}"
