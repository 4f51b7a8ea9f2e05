"""The order of bulk operations, circles of references, and when a run stops."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joiner.scim.bulk import BulkOperation, BulkRequest, parse_bulk
from joiner.scim.bulk_plan import Step, plan
from joiner.scim.bulk_run import BulkRun
from joiner.scim.core import ENTERPRISE_URN
from joiner.scim.errors import ConflictError, ResourceNotFoundError, ScimError, UniquenessError

BASE = "https://app.example/scim"
Found = list[tuple[str, str]]


def request_of(*operations: dict[str, Any], **members: Any) -> BulkRequest:
    return parse_bulk({"Operations": list(operations), **members}, most_operations=100)


def user(bulk_id: str, **data: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"userName": bulk_id, **data}}


def group(bulk_id: str, *members: str, **data: Any) -> dict[str, Any]:
    listed = [{"value": f"bulkId:{member}"} for member in members]
    data = {"displayName": bulk_id, "members": listed, **data}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


def patch(path: str, *members: str) -> dict[str, Any]:
    value = [{"value": f"bulkId:{member}"} for member in members]
    return {"method": "PATCH", "path": path, "data": {"Operations": [{"op": "add", "path": "members", "value": value}]}}


def shown(step: Step) -> str:
    """`3` for the operation of this place, `3+` for what completes it."""
    return f"{step.operation.index}{'+' if step.completes else ''}"


def order(*operations: dict[str, Any]) -> list[str]:
    return [shown(step) for step in plan(request_of(*operations)).steps]


class Server:
    """Executes operations in memory as a service provider would, and fails where it is told to."""

    def __init__(self, failing: frozenset[str] = frozenset()) -> None:
        self.failing = failing
        self.members: dict[str, Counter[str]] = {}
        self.executed: list[BulkOperation] = []

    def execute(self, operation: BulkOperation) -> tuple[str, int]:
        assert "bulkId:" not in repr((operation.id, operation.data)), "a reference was left"
        self.executed.append(operation)
        name = operation.data.get("displayName") or operation.data.get("userName") if operation.data else None
        if operation.method == "POST":
            if name in self.failing:
                raise UniquenessError(f"'{name}' is taken")
            id_ = f"id-{name}"
            self.members[id_] = Counter(item["value"] for item in operation.data.get("members", []))
            return id_, 201
        id_ = str(operation.id)
        if id_ not in self.members:
            raise ResourceNotFoundError(f"there is no '{id_}'")
        if operation.method == "DELETE":
            del self.members[id_]
            return id_, 204
        for change in operation.data.get("Operations", []):
            self.members[id_].update(item["value"] for item in change["value"])
        return id_, 200

    def run(self, request: BulkRequest) -> list[dict[str, Any]]:
        """The response's operations."""
        run = BulkRun(request, BASE)
        for step in run.steps():
            try:
                operation = run.resolve(step)
                id_, status = self.execute(operation)
            except ScimError as error:
                undone = run.failed(step, error)
                if undone is not None:
                    del self.members[undone]
            else:
                run.succeeded(step, id_, status, f"{BASE}{operation.endpoint}/{id_}", f'W/"{len(self.executed)}"')
        answered: list[dict[str, Any]] = run.response()["Operations"]
        return answered


def statuses(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["status"] for entry in entries]


# Order


@pytest.mark.req("REQ-S-303")
def test_an_operation_that_refers_to_later_ones_waits_for_them_and_no_other_moves() -> None:
    assert order(group("g", "u1", "u2"), user("u0"), user("u1"), user("u2"), user("u3")) == ["1", "2", "3", "0", "4"]


def test_the_order_of_the_request_is_kept_where_nothing_refers_to_what_is_later() -> None:
    operations = [
        user("u1"),
        {"method": "DELETE", "path": "/Users/9"},
        group("g", "u1"),
        patch("/Groups/bulkId:g", "u1"),
        user("u2"),
    ]
    assert order(*operations) == ["0", "1", "2", "3", "4"]


def test_what_concerns_one_resource_keeps_its_order_even_if_the_first_has_to_wait() -> None:
    operations = [patch("/Groups/1", "u"), {"method": "DELETE", "path": "/groups/1"}, patch("/Groups/2"), user("u")]
    assert order(*operations) == ["2", "3", "0", "1"]


@pytest.mark.req("REQ-S-302")
def test_an_operation_on_a_new_resource_waits_until_it_is_there_and_complete() -> None:
    assert order(patch("/Groups/bulkId:a"), group("a", "b"), group("b", "a")) == ["1", "2", "1+", "0"]


@pytest.mark.req("REQ-S-304")
def test_a_circle_is_broken_at_its_first_operation() -> None:
    steps = plan(request_of(group("a", "b", "x"), group("b", "a"), user("x"))).steps
    assert [shown(step) for step in steps] == ["2", "0", "1", "0+"]
    assert steps[1].operation.data["members"] == [{"value": "bulkId:x"}]
    assert steps[2].operation.data["members"] == [{"value": "bulkId:a"}]
    assert steps[3].operation.data["Operations"] == [{"op": "add", "path": "members", "value": [{"value": "bulkId:b"}]}]


@pytest.mark.req("REQ-S-304")
def test_two_users_who_manage_each_other_are_created_and_then_joined() -> None:
    steps = plan(
        request_of(
            user("a", **{ENTERPRISE_URN: {"manager": {"value": "bulkId:b"}}}), user("b", manager={"value": "bulkId:a"})
        )
    ).steps
    assert [shown(step) for step in steps] == ["0", "1", "0+"]
    assert steps[2].operation.data["Operations"][0]["path"] == f"{ENTERPRISE_URN}:manager"


@pytest.mark.req("REQ-S-304")
def test_a_circle_is_broken_where_it_can_be() -> None:
    # b needs a at once, so a must come first and get b later, although b stands first in the request.
    assert order(group("b", externalId="bulkId:a"), group("a", "b")) == ["1", "0", "1+"]


@pytest.mark.req("REQ-S-304")
def test_operations_in_a_circle_that_cannot_be_broken_fail_with_409_and_what_needs_them_too() -> None:
    server = Server()
    entries = server.run(
        request_of(user("a", title="bulkId:b"), user("b", title="bulkId:a"), group("c", "b"), user("d"))
    )
    assert statuses(entries) == ["409", "409", "409", "201"]
    assert "circle" in entries[0]["response"]["detail"]
    assert "bulkId 'b'" in entries[2]["response"]["detail"]
    assert list(server.members) == ["id-d"]


# Runs


@pytest.mark.req("REQ-S-300", "REQ-S-304", "REQ-S-308")
def test_groups_that_contain_each_other_are_answered_once_each_with_their_last_version() -> None:
    server = Server()
    entries = server.run(request_of(group("a", "b"), group("b", "a")))
    assert server.members == {"id-a": {"id-b": 1}, "id-b": {"id-a": 1}}
    assert entries == [
        {"method": "POST", "bulkId": "a", "location": f"{BASE}/Groups/id-a", "version": 'W/"3"', "status": "201"},
        {"method": "POST", "bulkId": "b", "location": f"{BASE}/Groups/id-b", "version": 'W/"2"', "status": "201"},
    ]


@pytest.mark.req("REQ-S-305", "REQ-S-307", "REQ-S-308")
def test_a_reference_to_what_failed_or_is_not_there_fails_alone() -> None:
    server = Server(failing=frozenset({"u"}))
    entries = server.run(
        request_of(
            group("g", "u"),
            user("u"),
            group("h", "nobody"),
            user("v"),
            patch("/Groups/1", "u"),
            patch("/Groups/bulkId:u"),
        )
    )
    assert statuses(entries) == ["409", "409", "400", "201", "409", "409"]
    assert entries[1]["response"]["scimType"] == "uniqueness"
    assert entries[2]["response"]["scimType"] == "invalidValue"
    located = [entry.get("location") for entry in entries]
    assert located == [None, None, None, f"{BASE}/Users/id-v", f"{BASE}/Groups/1", None]


@pytest.mark.req("REQ-S-313")
def test_what_cannot_be_read_is_a_result_like_any_other() -> None:
    entries = Server().run(request_of({"method": "GET", "path": "/Users/1"}, user("u"), {**user("v"), "data": None}))
    assert statuses(entries) == ["400", "201", "400"]
    assert [entry["method"] for entry in entries] == ["GET", "POST", "POST"]


@pytest.mark.req("REQ-S-306")
def test_after_the_allowed_errors_nothing_is_begun_and_what_was_not_begun_is_not_answered() -> None:
    server = Server(failing=frozenset({"u2", "u4"}))
    operations = [user(f"u{number}") for number in range(1, 7)]
    assert statuses(server.run(request_of(*operations, failOnErrors=1))) == ["201", "409"]
    assert list(server.members) == ["id-u1"]
    assert statuses(Server(server.failing).run(request_of(*operations, failOnErrors=2))) == ["201", "409", "201", "409"]
    assert len(Server(server.failing).run(request_of(*operations, failOnErrors=3))) == 6


@pytest.mark.req("REQ-S-306")
def test_a_group_that_waits_for_what_is_not_begun_is_not_answered() -> None:
    entries = Server(frozenset({"u1"})).run(request_of(group("g", "u2"), user("u1"), user("u2"), failOnErrors=1))
    assert [entry["bulkId"] for entry in entries] == ["u1"]


@pytest.mark.req("REQ-S-306", "REQ-S-304")
def test_a_circle_that_is_cut_by_the_end_of_the_run_leaves_nothing_half_done() -> None:
    server = Server(frozenset({"u"}))
    entries = server.run(request_of(group("a", "b"), user("u"), group("b", "a"), failOnErrors=1))
    assert [(entry["bulkId"], entry["status"]) for entry in entries] == [("a", "409"), ("u", "409")]
    assert server.members == {}


@pytest.mark.req("REQ-S-304", "REQ-S-305")
def test_a_group_that_cannot_be_completed_is_undone_and_cannot_be_referred_to() -> None:
    server = Server(frozenset({"b"}))
    entries = server.run(request_of(group("a", "b"), group("b", "a"), group("c", "a")))
    assert statuses(entries) == ["409", "409", "409"]
    assert server.members == {}


# Any requests whatever

NAMES = "abcdefgh"
NAME = st.sampled_from(NAMES)


@st.composite
def requests(draw: st.DrawFn, *, with_needed: bool = True) -> list[dict[str, Any]]:
    """Groups that contain each other as they please, some that need another one at once, and changes of them."""
    operations = []
    for name in draw(st.lists(NAME, unique=True, max_size=len(NAMES))):
        needed = draw(st.none() | NAME) if with_needed else None
        extra = {} if needed is None else {"externalId": f"bulkId:{needed}"}
        operations.append(group(name, *draw(st.lists(NAME, unique=True, max_size=4)), **extra))
    known = [operation["bulkId"] for operation in operations]
    if known:
        for _ in range(draw(st.integers(0, 3))):
            target = draw(st.sampled_from(known))
            change = patch(f"/Groups/bulkId:{target}", *draw(st.lists(st.sampled_from(known), max_size=2)))
            operations.insert(draw(st.integers(0, len(operations))), change)
    return operations


def posts_in(operations: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {operation["bulkId"]: operation["data"] for operation in operations if operation["method"] == "POST"}


def members_of(data: dict[str, Any]) -> list[str]:
    return [item["value"].removeprefix("bulkId:") for item in data["members"]]


def reachable(edges: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        new = edges.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


@given(requests(with_needed=False))
def test_every_reference_is_resolved_exactly_once(operations: list[dict[str, Any]]) -> None:
    posts = posts_in(operations)
    for data in posts.values():
        data["members"] = [item for item in data["members"] if item["value"].removeprefix("bulkId:") in posts]
    server = Server()
    entries = server.run(request_of(*operations))
    assert statuses(entries) == ["201" if operation["method"] == "POST" else "200" for operation in operations]
    expected = {f"id-{name}": Counter(f"id-{member}" for member in members_of(data)) for name, data in posts.items()}
    for operation in operations:
        if operation["method"] == "PATCH":
            listed = operation["data"]["Operations"][0]["value"]
            added = [item["value"].replace("bulkId:", "id-") for item in listed]
            expected[operation["path"].rpartition("/")[2].replace("bulkId:", "id-")].update(added)
    assert server.members == expected


@given(requests())
def test_every_operation_is_planned_once_behind_what_it_refers_to(operations: list[dict[str, Any]]) -> None:
    steps = plan(request_of(*operations)).steps
    begun = [step.operation.index for step in steps if not step.completes]
    assert sorted(begun) == list(range(len(operations)))
    done: set[str] = set()
    for step in steps:
        operation = step.operation
        if step.error is None:
            waited_for = [
                name for name in posts_in(operations) if f"bulkId:{name}'" in repr((operation.data, operation.id))
            ]
            assert set(waited_for) <= done
        if operation.method == "POST" or step.completes:
            assert (operation.bulk_id in done) == step.completes
        if operation.method == "POST":
            done.add(str(operation.bulk_id))


@given(requests())
def test_results_come_in_the_order_of_the_request(operations: list[dict[str, Any]]) -> None:
    entries = Server().run(request_of(*operations))
    assert [entry.get("bulkId") for entry in entries] == [operation.get("bulkId") for operation in operations]


@given(requests())
def test_only_circles_that_nothing_can_break_fail_and_what_depends_on_them(operations: list[dict[str, Any]]) -> None:
    posts = posts_in(operations)
    needs = {name: {data["externalId"].removeprefix("bulkId:")} for name, data in posts.items() if "externalId" in data}
    any_reference = {name: {*members_of(data), *needs.get(name, ())} for name, data in posts.items()}
    circular = {name for name in posts if name in reachable(needs, name)}
    lost = circular | (set(NAMES) - posts.keys())
    failed = {e["bulkId"] for e in Server().run(request_of(*operations)) if "bulkId" in e and e["status"] != "201"}
    assert circular <= failed
    assert failed <= circular | {name for name in posts if reachable(any_reference, name) & lost}


@given(requests(with_needed=False))
def test_nothing_is_put_off_outside_a_circle(operations: list[dict[str, Any]]) -> None:
    posts = posts_in(operations)
    edges = {name: set(members_of(data)) & posts.keys() for name, data in posts.items()}
    put_off = {step.operation.bulk_id for step in plan(request_of(*operations)).steps if step.completes}
    # On a circle, or on the way from one to another.
    on_circle = {name for name in posts if name in reachable(edges, name)}
    between = {
        name
        for name in posts
        if reachable(edges, name) & on_circle and any(name in reachable(edges, other) for other in on_circle)
    }
    assert put_off <= on_circle | between


@given(requests(), st.integers(1, 3), st.sets(NAME))
def test_no_more_errors_than_allowed_come_from_what_was_begun(
    operations: list[dict[str, Any]], allowed: int, failing: set[str]
) -> None:
    server = Server(frozenset(failing))
    entries = server.run(request_of(*operations, failOnErrors=allowed))
    alive = {f"id-{entry['bulkId']}" for entry in entries if "bulkId" in entry and entry["status"] == "201"}
    assert alive == server.members.keys(), "what is answered with 201 is there, and nothing else"
    if len(entries) < len(operations):
        assert sum(entry["status"] >= "400" for entry in entries) >= allowed


def test_the_error_of_a_circle_is_a_409() -> None:
    [first, _] = plan(request_of(user("a", title="bulkId:b"), user("b", title="bulkId:a"))).steps
    assert isinstance(first.error, ConflictError)
    assert first.error.status == 409
