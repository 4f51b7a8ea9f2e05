"""Log entries in words."""

from typing import Any

import pytest

from joiner.cli.entries import display_name, explain, line_of, outcome, who


def entry(
    action: str, status: str, reason: str = "", kind: str = "User", **changes: tuple[str | None, str | None]
) -> Any:
    name = "dana@fjord.example"
    details = {"UserPrincipalName": name} if kind == "User" else {}
    return {
        "activityDateTime": "2024-05-06T07:08:09Z",
        "provisioningAction": action,
        "provisioningStatusInfo": {
            "status": status,
            "errorInformation": {"errorCode": "X", "reason": reason} if reason else None,
        },
        "sourceIdentity": {"identityType": kind, "displayName": "Dana", "details": details},
        "modifiedProperties": [
            {"displayName": attribute.replace("__", ":"), "oldValue": old, "newValue": new}
            for attribute, (old, new) in changes.items()
        ],
    }


def members(*changes: tuple[str | None, str | None]) -> Any:
    found = entry("update", "success", kind="Group")
    found["modifiedProperties"] = [{"displayName": "members", "oldValue": o, "newValue": n} for o, n in changes]
    return found


@pytest.mark.parametrize(
    ("action", "status", "expected"),
    [
        ("create", "success", "created"),
        ("create", "warning", "created"),
        ("update", "success", "updated"),
        ("disable", "success", "disabled"),
        ("delete", "success", "deleted"),
        ("create", "skipped", "skipped"),
        ("other", "skipped", "skipped"),
        ("update", "failure", "failed"),
    ],
)
def test_every_action_and_status_is_one_result(action: str, status: str, expected: str) -> None:
    assert outcome(entry(action, status)) == expected


def test_users_are_named_by_principal_name_and_groups_by_kind_and_name() -> None:
    assert who(entry("create", "success")) == "dana@fjord.example"
    assert who(entry("create", "success", kind="Group")) == "group Dana"
    assert display_name(entry("create", "success")) == "Dana"


def test_a_name_does_not_control_the_terminal() -> None:
    told = line_of(entry("update", "success", kind="Group", title=("\x1b[2J", "Lead")))
    assert told == "2024-05-06 07:08:09  updated  group Dana  title: \ufffd[2J → Lead"


def test_an_update_tells_old_and_new_values_without_urns() -> None:
    told = explain(entry("update", "success", title=("Clerk", "Lead"), urn__x__User__department=(None, "Sales")))
    assert told == "title: Clerk → Lead; department: nothing → Sales"


def test_many_changes_are_summarised() -> None:
    told = explain(entry("update", "success", a=("1", "2"), b=("1", "2"), c=("1", "2"), d=("1", "2"), e=("1", "2")))
    assert told == "a: 1 → 2; b: 1 → 2; c: 1 → 2; 2 more"


def test_memberships_are_told_by_name_a_few_of_them() -> None:
    told = explain(members((None, "a"), (None, "b"), (None, "c"), ("d", None)))
    assert told == "members added: a, b and 1 more; members removed: d"


def test_a_creation_tells_how_much() -> None:
    assert explain(entry("create", "success", a=(None, "1"), b=(None, "2"))) == "2 attributes"
    told = explain(entry("create", "success", kind="Group", a=(None, "1"), members=(None, "x")))
    assert told == "1 attribute, 1 member"


def test_a_skip_tells_its_reason_without_the_advice_and_without_the_name() -> None:
    reason = "not assigned to the application: assign the object"
    assert explain(entry("create", "skipped", reason)) == "not assigned to the application"
    reason = "User 'dana@fjord.example' already has the wanted values"
    assert explain(entry("other", "skipped", reason)) == "already has the wanted values"


def test_a_failure_tells_the_whole_reason() -> None:
    assert explain(entry("create", "failure", "HTTP 409: taken")) == "HTTP 409: taken"


def test_a_warning_tells_what_was_done_and_what_not() -> None:
    reason = "unable to assign boss@fjord.example as the manager of dana@fjord.example"
    told = explain(entry("update", "warning", reason, title=("a", "b")))
    assert told == "title: a → b; but unable to assign boss@fjord.example as the manager"
