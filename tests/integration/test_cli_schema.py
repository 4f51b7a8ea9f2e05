"""`joiner schema` and `joiner scope` as programs."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import as_json, refused, run
from tests.processes import joiner

VECTORS = Path(__file__).parents[1] / "vectors" / "scoping-vectors.json"
TEMPLATE = Path(__file__).parents[2] / "joiner" / "provisioning" / "data" / "alvao.json"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with the application ALVAO and its job."""
    folder = tmp_path / "data"
    joiner("directory", "import", "--example", data=folder)
    joiner("app", "add", "ALVAO", data=folder)
    joiner("job", "create", "ALVAO", data=folder)
    return folder


def edited(original: Path, target: Path, **flow: Any) -> Path:
    """The document with these members in the mapping to `title`."""
    document = json.loads(original.read_text("utf-8"))
    document["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][4].update(flow)
    target.write_text(json.dumps(document), "utf-8")
    return target


@pytest.mark.req("REQ-P-141", "REQ-P-142", "REQ-P-144")
def test_a_document_is_exported_edited_checked_imported_and_rolled_back(data: Path, tmp_path: Path) -> None:
    exported, place = tmp_path / "schema.json", ("--data", str(data))
    assert "Wrote the schema of ALVAO" in run("schema", "export", "ALVAO", str(exported), *place).stdout
    assert run("schema", "export", "ALVAO", *place).stdout == exported.read_text("utf-8")
    unchanged = run("schema", "import", "ALVAO", str(exported), *place)
    assert unchanged.returncode == 0, unchanged.stderr
    assert "No mapping, filter or attribute changes." in unchanged.stdout
    source = {"type": "Function", "expression": "ToUpper([jobTitel])"}
    changed = edited(exported, tmp_path / "changed.json", source=source)
    checked = run("schema", "check", "ALVAO", str(changed), *place)
    assert checked.returncode == 0
    assert "did you mean 'jobTitle'" in checked.stdout
    assert "mapping to title" in checked.stdout
    result = as_json("schema", "import", "ALVAO", str(changed), data=data)
    assert [change["after"] for change in result["changes"]] == ["ToUpper([jobTitel])"]
    bad = edited(exported, tmp_path / "bad.json", source={"type": "Function", "expression": "Upper([a])"})
    failed = run("schema", "import", "ALVAO", str(bad), *place)
    assert failed.returncode == 1
    assert "attributeMappings[4].source.expression" in failed.stdout
    assert [each["version"] for each in as_json("schema", "history", "ALVAO", data=data)] == ["v1.1", "v1.0"]
    assert "works by v1.0 again" in run("schema", "rollback", "ALVAO", "v1.0", *place).stdout
    assert "default mappings" in run("schema", "restore", "ALVAO", *place).stdout
    assert "no version 'v7'" in refused("schema", "rollback", "ALVAO", "v7", *place)


def test_a_document_is_checked_without_a_data_folder(tmp_path: Path) -> None:
    good = run("schema", "check", str(TEMPLATE))
    assert (good.returncode, good.stdout) == (0, "The document can be used.\n")
    bad = edited(TEMPLATE, tmp_path / "bad.json", flowType="Sometimes", targetAttributeName="titel")
    done = run("schema", "check", str(bad))
    assert done.returncode == 1
    assert done.stdout.startswith("2 errors: the document cannot be used.\n")
    assert "did you mean 'title'?" in done.stdout
    (tmp_path / "text.json").write_text("{", "utf-8")
    assert "is not JSON" in refused("schema", "check", str(tmp_path / "text.json"))
    assert "cannot be read" in refused("schema", "check", str(tmp_path / "missing.json"))


def test_the_attributes_of_both_sides_are_listed(data: Path) -> None:
    shown = run("schema", "attributes", "ALVAO", "--data", str(data)).stdout
    assert "Azure Active Directory: User" in shown
    assert 'emails[type eq "work"].value' in shown
    directories = as_json("schema", "attributes", "ALVAO", data=data)
    assert [directory["name"] for directory in directories] == ["Azure Active Directory", "ALVAO"]


def test_vectors_are_run_and_failures_shown(tmp_path: Path) -> None:
    done = run("scope", "--vectors", str(VECTORS))
    assert (done.returncode, done.stdout) == (0, "50 of 50 vectors hold\n")
    vectors = json.loads(VECTORS.read_text("utf-8"))
    vectors[0]["in_scope"] = not vectors[0]["in_scope"]
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(vectors), "utf-8")
    done = run("scope", "--vectors", str(wrong))
    assert done.returncode == 1
    assert "scope-001" in done.stdout
    assert "department EQUALS 'sales': true" in done.stdout
    assert "49 of 50 vectors hold, 1 do not" in done.stdout
    wrong.write_text('[{"id": "x"}]', "utf-8")
    assert "x: 'clauses' must be a list" in refused("scope", "--vectors", str(wrong))


def test_a_filter_is_evaluated_clause_by_clause(tmp_path: Path) -> None:
    clause = {"sourceOperandName": "city", "operatorName": "EQUALS", "targetOperand": {"values": ["Oslo"]}}
    scope, attributes = tmp_path / "scope.json", tmp_path / "attributes.json"
    scope.write_text(json.dumps({"groups": [{"name": "Oslo", "clauses": [clause]}]}), "utf-8")
    attributes.write_text('{"city": "Bergen"}', "utf-8")
    options = ("scope", "--filter", str(scope), "--attributes", str(attributes))
    done = run(*options)
    assert done.returncode == 0
    assert "Oslo city EQUALS 'Oslo'" in done.stdout
    assert "The object is not in scope." in done.stdout
    assert json.loads(run(*options, "--output", "json").stdout) == {
        "inScope": False,
        "clauses": [{"clause": "Oslo city EQUALS 'Oslo'", "holds": False}],
    }
    unknown = {"groups": [{"name": "Oslo", "clauses": [{**clause, "operatorName": "LIKE"}]}]}
    scope.write_text(json.dumps(unknown), "utf-8")
    assert "groups[0].clauses[0].operatorName" in run(*options).stderr
    assert run("scope").returncode == 2
