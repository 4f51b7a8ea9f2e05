"""Plans that an earlier version has kept."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import orjson

from joiner.directory.store import MIGRATIONS as DIRECTORY_MIGRATIONS
from joiner.provisioning import side
from joiner.provisioning.plans import plans
from joiner.provisioning.plans.fingerprint import Fingerprint
from joiner.storage.migrations import migrate


def test_plans_of_an_earlier_version_are_kept(tmp_path: Path) -> None:
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    for file in side.MIGRATIONS.glob("000[1-7]_*.sql"):
        shutil.copy(file, earlier)
    fingerprint = Fingerprint("1", "2", "3", "4", "5")
    detail = {
        "changes": [{"displayName": "title", "oldValue": None, "newValue": 'Head "of" sales'}],
        "causes": [{"kind": "mapping", "text": "title ← [jobTitle]"}],
        "problem": None,
        "fingerprint": {name: getattr(fingerprint, name) for name in Fingerprint.__struct_fields__},
        "references": {"members": {"add": 2}},
        "missing": "m-1",
    }
    problem = {"code": "A", "reason": "b"}
    bare: dict[str, Any] = {
        "changes": [], "causes": [], "problem": problem, "fingerprint": None, "references": {}
    }  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "engine.db", isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        migrate(connection, "directory", DIRECTORY_MIGRATIONS)
        migrate(connection, "provisioning", earlier)
        for position, document in enumerate((detail, bare), start=1):
            connection.execute(
                "INSERT INTO plan_item VALUES ('j', 1, ?, ?, 'User', 'Ada', 'update', 0, 't', ?, 'planned', NULL)",
                (position, f"s-{position}", orjson.dumps(document).decode()),
            )
        connection.execute("INSERT INTO plan_request VALUES ('j', 1, 's-1', 1, 'DELETE', '/Users/t', NULL)")
        migrate(connection, "provisioning", side.MIGRATIONS)
        first, second = plans.items_page(connection, "j", 1, 0, 10)
        assert first.changes == [("title", None, 'Head "of" sales')]
        assert first.causes == [("mapping", "title ← [jobTitle]")]
        assert (first.problem, first.fingerprint, first.missing_id) == (None, fingerprint, "m-1")
        assert first.reference_counts == {"members": {"add": 2}}
        assert (second.changes, second.problem) == ([], problem)
        assert (second.fingerprint, second.missing_id, second.reference_counts) == (None, None, {})
        assert plans.requests_of(connection, "j", 1, "s-1") == [{"method": "DELETE", "path": "/Users/t", "body": None}]
