"""Links and escrows as rows of a real database."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from joiner.clock import to_iso
from joiner.provisioning.decisions.decision import Link, LinkChange, Problem, QueryMatch
from joiner.provisioning.job import links
from joiner.provisioning.job.jobs import add_job, ensure_tenant
from joiner.provisioning.side import MIGRATIONS
from joiner.storage.sqlite import Database

START = datetime(2024, 5, 6, 7, 0, tzinfo=UTC)
BROKEN = Problem("InternalServerError", "the application answered HTTP 500")

BY_NAME = QueryMatch("userName", "ada@fjord.example", case_exact=False)
BY_ID = QueryMatch("externalId", "u2", case_exact=True)


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "directory.db", {"provisioning": MIGRATIONS})
    yield database
    database.close()


@pytest.fixture
def job_id(db: Database) -> str:
    db.write_now(ensure_tenant)
    return db.write_now(lambda connection: add_job(connection, "sp", "scim", {}, START)).id


def change(db: Database, job_id: str, what: LinkChange, target_id: str = "t1") -> dict[str, Link]:
    db.write_now(lambda c: links.change_links(c, job_id, "User", [("u1", target_id, what)], START))
    return links.links_of(db.reader, job_id, ["u1", "u2"])


def test_a_link_is_made_disabled_released_and_taken_up_again_under_the_same_target_id(
    db: Database, job_id: str
) -> None:
    assert change(db, job_id, LinkChange.MANAGE) == {"u1": Link("t1", is_managed=True, is_disabled=False)}
    assert change(db, job_id, LinkChange.DISABLE) == {"u1": Link("t1", is_managed=True, is_disabled=True)}
    assert change(db, job_id, LinkChange.RELEASE) == {"u1": Link("t1", is_managed=False, is_disabled=True)}
    assert change(db, job_id, LinkChange.KEEP) == {"u1": Link("t1", is_managed=False, is_disabled=True)}
    assert change(db, job_id, LinkChange.MANAGE) == {"u1": Link("t1", is_managed=True, is_disabled=False)}
    assert links.sources_linked_to(db.reader, job_id, "User", ["t1", "t2"]) == {"t1": "u1"}
    assert change(db, job_id, LinkChange.DROP) == {}


@pytest.mark.req("REQ-P-073", "REQ-C-024")
def test_a_failure_is_due_in_the_next_cycle_then_after_6_12_24_hours_then_daily_until_the_28th_day(
    db: Database, job_id: str
) -> None:
    def fail(now: datetime) -> timedelta | None:
        db.write_now(lambda c: links.escrow(c, job_id, "u1", "User", BROKEN, now))
        row = db.reader.execute("SELECT next_attempt FROM escrow").fetchone()
        return datetime.fromisoformat(row[0]) - START if row else None

    hours, days = timedelta(hours=1), timedelta(days=1)
    assert fail(START) == timedelta(0)
    assert fail(START + timedelta(minutes=40)) == 6 * hours
    assert fail(START + 6 * hours) == 12 * hours
    assert fail(START + 12 * hours) == 24 * hours
    assert fail(START + 24 * hours) == 2 * days
    assert fail(START + 2 * days) == 3 * days
    assert fail(START + 27 * days) == 28 * days
    assert fail(START + 28 * days) is None


@pytest.mark.req("REQ-P-074")
def test_only_failures_whose_time_has_come_are_due_and_success_forgets_them(db: Database, job_id: str) -> None:
    for source_id in ("u1", "u2", "u3"):
        db.write_now(lambda c, id_=source_id: links.escrow(c, job_id, id_, "User", BROKEN, START))  # type: ignore[misc] # binds id_
    later = START + timedelta(minutes=40)
    db.write_now(lambda c: links.escrow(c, job_id, "u2", "User", BROKEN, later))
    assert links.due_escrows(db.reader, job_id, "User", to_iso(later), "", 10) == ["u1", "u3"]
    assert links.due_escrows(db.reader, job_id, "User", to_iso(later), "u1", 10) == ["u3"]
    db.write_now(lambda c: links.release(c, job_id, "u3"))
    assert links.due_escrows(db.reader, job_id, "User", to_iso(later + timedelta(hours=6)), "", 10) == ["u1", "u2"]


def test_intents_survive_until_they_are_forgotten(db: Database, job_id: str) -> None:
    db.write_now(lambda c: links.intend(c, job_id, "c1", "User", {"u1": [BY_NAME], "u2": [BY_NAME]}))
    db.write_now(lambda c: links.intend(c, job_id, "c2", "User", {"u2": [BY_ID], "u3": [BY_ID]}))
    db.write_now(lambda c: links.forget_intents(c, job_id, ["u1"]))
    left = {"u2": links.Intent("c2", (BY_ID,)), "u3": links.Intent("c2", (BY_ID,))}
    assert links.intended(db.reader, job_id, ["u1", "u2", "u3", "u4"]) == left
    assert links.intended_before(db.reader, job_id, "c2", "User", "", 10) == []
    assert links.intended_before(db.reader, job_id, "c3", "User", "u2", 10) == ["u3"]
