"""Versions of a job's schema as rows: jobs that were there before, how many are kept, and what cycles work by."""

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from joiner.errors import NotFoundError
from joiner.provisioning.job import jobs
from joiner.provisioning.job.cycles import begin_cycle, end_cycle
from joiner.provisioning.job.schema_versions import (
    KEPT,
    job_at_version,
    look_at_everything,
    save_schema,
    version_name,
    version_text,
    versions_of,
)
from joiner.provisioning.side import MIGRATIONS
from joiner.storage.migrations import migrate

NOW = datetime(2024, 5, 6, tzinfo=UTC)


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(tmp_path / "test.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrate(connection, "provisioning", MIGRATIONS)
    jobs.ensure_tenant(connection)
    yield connection
    connection.close()


def save(connection: sqlite3.Connection, job_id: str, text: str, *, reevaluates: bool = True) -> None:
    save_schema(connection, jobs.job_by_id(connection, job_id), text, "replaced", NOW, reevaluates=reevaluates)


def watermark(connection: sqlite3.Connection, job_id: str) -> int | None:
    return jobs.job_by_id(connection, job_id).watermark


def test_jobs_that_were_there_before_versions_were_kept_have_one(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    (first / "0001_engine.sql").write_bytes((MIGRATIONS / "0001_engine.sql").read_bytes())
    connection = sqlite3.connect(tmp_path / "old.db", isolation_level=None)
    connection.row_factory = sqlite3.Row
    migrate(connection, "provisioning", first)
    connection.execute(
        "INSERT INTO job (id, service_principal_id, template_id, created_at, schedule_state, interval_seconds,"
        " settings, schema, schema_version) VALUES ('j', 's', 't', '2024', 'Disabled', 2400, '{}', '{\"a\":1}', 3)"
    )
    migrate(connection, "provisioning", MIGRATIONS)
    (version,) = versions_of(connection, "j")
    assert (version.name, version.reason, version_text(connection, "j", 3)) == ("v1.2", "template", '{"a":1}')
    connection.close()


def test_the_latest_versions_are_kept_and_those_that_cycles_work_by(connection: sqlite3.Connection) -> None:
    job_id = jobs.add_job(connection, "s", "t", {}, NOW).id
    cycle = begin_cycle(connection, job_id, 7, NOW)
    assert cycle.schema_version == 1
    for number in range(KEPT + 5):
        save(connection, job_id, f'{{"number":{number}}}')
    kept = [version.version for version in versions_of(connection, job_id)]
    assert kept == [*range(KEPT + 6, 6, -1), 1]
    job = jobs.job_by_id(connection, job_id)
    assert job_at_version(connection, job, 1).schema == {"id": job_id, "version": "v1.0"}
    assert job_at_version(connection, job, None) is job
    assert job_at_version(connection, job, 3) is job, "it is not kept"
    with pytest.raises(NotFoundError, match=version_name(3)):
        version_text(connection, job_id, 3)


@pytest.mark.req("REQ-P-143")
@pytest.mark.parametrize(("reevaluates", "kind"), [(True, "initial"), (False, "incremental")])
def test_an_edit_during_a_cycle_makes_the_next_one_initial(
    connection: sqlite3.Connection, reevaluates: bool, kind: str
) -> None:
    job_id = jobs.add_job(connection, "s", "t", {}, NOW).id
    cycle = begin_cycle(connection, job_id, 7, NOW)
    save(connection, job_id, "{}", reevaluates=reevaluates)
    end_cycle(connection, cycle, "succeeded", NOW)
    cycle = begin_cycle(connection, job_id, 8, NOW)
    assert cycle.kind == kind
    end_cycle(connection, cycle, "succeeded", NOW)
    assert watermark(connection, job_id) == 8, "once is enough"


def test_looking_at_everything_lifts_a_quarantine_and_makes_the_job_due(connection: sqlite3.Connection) -> None:
    job_id = jobs.add_job(connection, "s", "t", {}, NOW).id
    jobs.start_job(connection, job_id, NOW)
    connection.execute("UPDATE job SET quarantine = '{}', next_run_at = NULL WHERE id = ?", (job_id,))
    look_at_everything(connection, job_id, NOW)
    job = jobs.job_by_id(connection, job_id)
    assert (job.quarantine, job.watermark) == (None, None)
    assert jobs.due_jobs(connection, NOW) == [job_id]
