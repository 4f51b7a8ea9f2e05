"""Requests of the log as they are shown: whole, and not broken where words are not."""

import json
from typing import Any

import pytest

from joiner.cli.output import Output
from joiner.cli.requests_view import show_requests

SENT: dict[str, Any] = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [
        {"op": "add", "path": "members", "value": [{"value": f"0000000{number}-0000-4000-8000-000000000000"}]}
        for number in range(5)
    ],
}
GOT = {"displayName": "Åse Ribeiro", "active": True, "title": None}
ENTRY = {
    "joiner.requests": [
        {"method": "PATCH", "path": "/Groups/1", "status": 200, "error": None, "request": SENT, "answer": GOT}
    ]
}


@pytest.mark.parametrize("columns", [60, 80, 120, 300])
def test_json_is_broken_between_its_parts_alone(
    columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    show_requests(Output(), ENTRY)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert len(lines) > 3
    # What is broken at blanks alone is the same when it is put together with blanks.
    told = " ".join(line.strip() for line in lines[1:])
    assert told == f"sent {json.dumps(SENT)} got {json.dumps(GOT, ensure_ascii=False)}"
