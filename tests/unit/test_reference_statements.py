"""What a page notes for the references must not walk through everything that the job has linked."""

from pathlib import Path

import pytest

from joiner.directory import store as directory_store
from joiner.provisioning.cycle import pending_references
from joiner.provisioning.side import MIGRATIONS
from joiner.storage.sqlite import Database

STATEMENTS = [
    *(sql for statements in pending_references.LINKED.values() for sql in statements),
    pending_references.RETURNED,
    pending_references.SEEN_MANAGERS,
    *pending_references.SEEN_MEMBERS,
]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_a_page_looks_only_at_what_surrounds_its_own_objects(tmp_path: Path, sql: str) -> None:
    db = Database(tmp_path / "directory.db", {"directory": directory_store.MIGRATIONS, "provisioning": MIGRATIONS})
    try:
        rows = db.reader.execute(f"EXPLAIN QUERY PLAN {sql.format(marks='?, ?')}", ("job", "one", "two"))
        steps = [row["detail"] for row in rows]
    finally:
        db.close()
    assert steps
    assert not [step for step in steps if step.startswith("SCAN") or step.endswith("(job_id=?)")]
