"""The settings of a job, its modes and their switches: pure rules."""

import pytest

from joiner.errors import InvalidValueError
from joiner.provisioning.job import modes
from joiner.provisioning.job.job_settings import (
    SETTINGS,
    DeletionLimits,
    check_changes,
    deletion_limits,
    merge,
    recipients,
    shown,
)
from tests.repository import ROOT


def test_names_are_found_in_any_case_and_values_are_stored_in_one_form() -> None:
    changes = check_changes(
        [("quarantineTooManyDeletesThreshold", "007"), ("parity.latereferences", "OFF"), ("mode", "Entra")]
    )
    assert changes == {"QuarantineTooManyDeletesThreshold": "7", "parity.lateReferences": "off", "Mode": "entra"}


def test_an_empty_value_goes_back_to_the_default() -> None:
    changes = check_changes([("Mode", ""), ("NotificationEmail", None)])
    assert merge({"Mode": "entra", "NotificationEmail": "a@b.example"}, changes) == {}


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("QuarantineToManyDeletesThreshold", "3", "did you mean 'QuarantineTooManyDeletesThreshold'"),
        ("QuarantineTooManyDeletesThreshold", "-1", "must be a whole number, not '-1'"),
        ("QuarantineEscrowPercent", "101", "from 0 to 100"),
        ("PreventAccidentalDeletions", "maybe", "must be true or false"),
        ("parity.lateReferences", "true", "must be on or off"),
        ("Mode", "okta", "must be improved or entra"),
        ("NotificationEmail", "nobody", "must be e-mail addresses"),
        ("NotificationEmail", "a@b.example\r\nBcc: c@d.example", "must be e-mail addresses"),
    ],
)
def test_what_is_not_possible_is_refused_by_name(name: str, value: str, told: str) -> None:
    with pytest.raises(InvalidValueError, match=told):
        check_changes([(name, value)])


@pytest.mark.req("REQ-P-112", "REQ-P-113")
def test_exactly_the_threshold_is_not_too_many() -> None:
    limits = DeletionLimits(most=3, percent=0, floor=25)
    assert not limits.is_exceeded(3, 10)
    assert limits.is_exceeded(4, 10)


def test_a_share_counts_only_above_its_floor() -> None:
    limits = DeletionLimits(most=500, percent=20, floor=25)
    assert not limits.is_exceeded(25, 30)
    assert limits.is_exceeded(26, 100)
    assert not limits.is_exceeded(26, 130)
    assert limits.is_exceeded(501, 1_000_000)


def test_the_guard_is_on_by_mode_by_switch_or_by_its_threshold() -> None:
    assert deletion_limits({}) == DeletionLimits(500, 20, 25)
    assert deletion_limits({"Mode": "entra"}) is None
    assert deletion_limits({"PreventAccidentalDeletions": "false"}) is None
    assert deletion_limits({"Mode": "entra", "QuarantineTooManyDeletesThreshold": "3"}) == DeletionLimits(3, 0, 25)
    assert deletion_limits({"Mode": "entra", "PreventAccidentalDeletions": "true"}) == DeletionLimits(500, 0, 25)
    assert deletion_limits({"QuarantineTooManyDeletesThreshold": "900"}) == DeletionLimits(900, 0, 25)


@pytest.mark.req("REQ-P-130")
def test_nobody_is_written_to_without_an_address_or_with_the_checkbox_cleared() -> None:
    assert recipients({}) == ""
    assert recipients({"NotificationEmail": "a@b.example"}) == "a@b.example"
    assert recipients({"NotificationEmail": "a@b.example", "SendNotificationEmail": "false"}) == ""


def test_the_document_of_a_job_always_shows_the_threshold_of_deletions() -> None:
    assert shown({}) == {"QuarantineTooManyDeletesThreshold": "500"}
    assert shown({"QuarantineTooManyDeletesThreshold": "3"}) == {"QuarantineTooManyDeletesThreshold": "3"}


def test_a_mode_sets_every_switch_and_each_can_be_set_alone() -> None:
    for switch in modes.SWITCHES:
        # An account that is made a second time is worse than one that is reported.
        assert modes.is_on({}, switch.name) == (switch.name != "rematchMissing")
        assert not modes.is_on({"Mode": "entra"}, switch.name)
        assert modes.is_on({"Mode": "entra", f"parity.{switch.name}": "on"}, switch.name)
        assert not modes.is_on({f"parity.{switch.name}": "off"}, switch.name)


def test_the_page_about_jobs_has_every_setting_as_it_is() -> None:
    page = (ROOT / "docs/jobs.md").read_text("utf-8")
    for setting in SETTINGS:
        assert f"| `{setting.name}` | {setting.default or 'not set'} | {setting.meaning} |" in page


def test_the_page_about_modes_has_every_switch_as_it_is() -> None:
    page = (ROOT / "docs/modes.md").read_text("utf-8")
    for switch in modes.SWITCHES:
        assert f"| `{switch.name}` | {switch.documented} | {switch.improved} |" in page
    assert page.count("\n| `") == len(modes.SWITCHES)
