"""`joiner scope`: scoping filters tried out on files."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from joiner.cli.client import Client
from joiner.cli.command import FAILED, command, fail_use
from joiner.cli.output import Output
from joiner.cli.vectors import summary_of
from joiner.errors import InvalidValueError

app = typer.Typer()


@command(app, "scope", offline=lambda arguments: True)
async def scope(
    client: Client | None,
    output: Output,
    filter_file: Annotated[
        Path | None,
        typer.Option("--filter", metavar="FILE.json", help="A scoping filter: its groups, or a mapping's whole scope."),
    ] = None,
    attributes: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The object's attributes by name.")
    ] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Test vectors to run; exit code 1 if one fails.")
    ] = None,
) -> None:
    """Evaluate a scoping filter for an object, clause by clause; or run test vectors."""
    if vectors is not None and filter_file is None and attributes is None:
        _run(output, _read(vectors))
    elif filter_file is not None and attributes is not None and vectors is None:
        _evaluate(output, _read(filter_file), _read(attributes))
    else:
        fail_use("give --filter and --attributes, or --vectors")


def _run(output: Output, vectors: Any) -> None:
    from joiner.provisioning.mapping.scope_vectors import run_vectors

    failures = run_vectors(vectors)
    document = {"vectors": len(vectors), "failed": [failure._asdict() for failure in failures]}

    def view(out: Output) -> None:
        for failure in failures:
            out.say(failure.id, style="bold")
            out.fields(
                [
                    ("clauses", json.dumps(failure.clauses, ensure_ascii=False)),
                    ("attributes", json.dumps(failure.attributes, ensure_ascii=False)),
                    ("expected", _in_words(failure.expected)),
                    ("got", "an error" if failure.got is None else _in_words(failure.got)),
                    ("because", failure.reason),
                ]
            )
        out.raw(summary_of(len(vectors), len(failures)))

    output.show(document, view)
    if failures:
        raise typer.Exit(FAILED)


def _evaluate(output: Output, scope_document: Any, attributes: Any) -> None:
    from joiner.provisioning.mapping.schema import Filter
    from joiner.provisioning.mapping.scope_vectors import filter_of
    from joiner.provisioning.mapping.scoping import compile_filter, validate_filter
    from joiner.provisioning.mapping.shape import read_shape

    if not isinstance(attributes, dict):
        raise InvalidValueError("the attributes must be a JSON object")
    if isinstance(scope_document, list):
        compiled = compile_filter(filter_of(scope_document))
    else:
        parsed, problems = read_shape(scope_document, Filter)
        problems = problems or validate_filter(parsed, {})
        if problems:
            raise InvalidValueError("the filter cannot be used:\n" + "\n".join(f"  {problem}" for problem in problems))
        compiled = compile_filter(parsed)
    result = compiled.evaluate(attributes)
    document = {
        "inScope": result.passed,
        "clauses": [{"clause": label, "holds": holds} for label, holds in result.clauses],
    }

    def view(out: Output) -> None:
        rows = ((label, "holds" if holds else "does not hold") for label, holds in result.clauses)
        out.table(("filter and clause", "result"), rows, empty="There are no clauses: everything is in scope.")
        out.say(f"The object is {_in_words(result.passed)}.")

    output.show(document, view)


def _in_words(in_scope: bool) -> str:
    return "in scope" if in_scope else "not in scope"


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValueError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InvalidValueError(f"{file} is not JSON: {error}") from None
