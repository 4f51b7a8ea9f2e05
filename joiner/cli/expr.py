"""`joiner expr`: tries an expression of the mapping language, and shows how its value comes about."""

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from joiner.cli.command import (
    FAILED,
    ApiKeyOption,
    DataOption,
    OutputOption,
    UrlOption,
    fail,
    fail_use,
    run_async,
    target_of,
)
from joiner.cli.output import Output, plain
from joiner.cli.vectors import summary_of
from joiner.errors import InvalidValueError, JoinerError

if TYPE_CHECKING:
    from rich.text import Text

    from joiner.cli.client import Target
    from joiner.expressions.environment import Environment
    from joiner.expressions.errors import Caution
    from joiner.expressions.steps import Outcome, Step
    from joiner.expressions.vectors import Failure

WIDEST_PART: Final = 60
"""Characters of a part that the table of steps shows."""
IGNORED: Final[Mapping[str, str]] = {
    "ignore attribute": "ignored: the attribute takes no part in this flow",
    "ignore object": "ignored: the whole object is skipped in this cycle",
}


def expr(
    expression: Annotated[str | None, typer.Argument(metavar="EXPRESSION", help="In quotation marks.")] = None,
    attributes: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="The object: an attribute's name → its value.")
    ] = None,
    user: Annotated[
        str | None, typer.Option(metavar="UPN_OR_ID", help="The object: this user of --data or --url.")
    ] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Show the value of every part.")] = False,
    now: Annotated[str | None, typer.Option(metavar="TIME", help="What Now() gives; default: the time.")] = None,
    vectors: Annotated[
        Path | None, typer.Option(metavar="FILE.json", help="Check a file of test vectors instead.")
    ] = None,
    data: DataOption = None,
    url: UrlOption = None,
    api_key: ApiKeyOption = None,
    output: OutputOption = "text",
) -> None:
    """Evaluate an expression of the mapping language, or check a file of test vectors."""
    out = Output(as_json=output == "json")
    if (expression is None) == (vectors is None):
        fail_use("give either an EXPRESSION or --vectors FILE.json")
    if vectors is not None and (attributes or user):
        fail_use("vectors bring their own attributes")
    if attributes and user:
        fail_use("use either --attributes or --user")
    try:
        environment = _environment(now)
        if vectors is not None:
            _check_vectors(out, vectors, environment)
        elif expression is not None:
            found = None
            if user is not None:
                found = run_async(_attributes_of(target_of(data, url, api_key), user))
            elif attributes is not None:
                found = _read_object(attributes)
            _evaluate(out, expression, found, environment, with_steps=steps)
    except JoinerError as error:
        fail(error)


def _environment(now: str | None) -> "Environment":
    from joiner.clock import system_clock
    from joiner.expressions.date_texts import read_date
    from joiner.expressions.environment import Environment

    moment = system_clock() if now is None else read_date(now)
    if moment is None:
        raise InvalidValueError(f"--now: '{now}' is not a time such as 2025-07-30T09:15:00Z")
    # Nobody asks a target here: the first value that SelectUniqueValue tries counts as free.
    return Environment(moment, secrets.randbelow, lambda value: False)


async def _attributes_of(target: "Target", user: str) -> dict[str, Any]:
    from urllib.parse import quote

    from joiner.cli.client import connect

    async with connect(target, sides=("directory",)) as client:
        found: dict[str, Any] = await client.get(f"/v1.0/users/{quote(user, safe='')}/joiner.sourceAttributes")
        return found["attributes"]  # type: ignore[no-any-return]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValueError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise InvalidValueError(f"{path} is not JSON: {error}") from None


def _read_object(path: Path) -> dict[str, Any]:
    found = _read_json(path)
    if not isinstance(found, dict):
        raise InvalidValueError(f"{path} must hold one object: the name of each attribute with its value")
    return found


# An expression


def _evaluate(
    output: Output,
    expression: str,
    attributes: Mapping[str, Any] | None,
    environment: "Environment",
    *,
    with_steps: bool,
) -> None:
    """Ends the command with exit code 1 if the evaluation fails."""
    from joiner.expressions.compiler import compile_expression
    from joiner.expressions.environment import ENVIRONMENT
    from joiner.expressions.steps import explain
    from joiner.expressions.unknown_attributes import unknown_attributes

    compiled = compile_expression(expression)
    found = explain(expression, {**(attributes or {}), ENVIRONMENT: environment})
    cautions = [*compiled.cautions]
    if attributes is not None:
        cautions += unknown_attributes(compiled.tree, attributes.keys())
    outcome = found[0].outcome
    has_failed = outcome.result == "error"

    def show(out: Output) -> None:
        if not has_failed:
            for line in _result_lines(outcome):
                out.raw(line)
        if with_steps or has_failed:
            if not has_failed:
                out.raw("")
            _show_steps(out, found)
        if has_failed:
            out.raw("")
            out.say(f"error: {outcome.error}", style="red")
        for caution in cautions:
            out.say(f"note: {caution.problem} (position {caution.position + 1})", style="yellow")

    output.show(_document(expression, found, cautions), show)
    if has_failed:
        raise typer.Exit(FAILED)


def _result_lines(outcome: "Outcome") -> list[str]:
    if outcome.result in IGNORED:
        return [IGNORED[outcome.result]]
    value = outcome.value
    if isinstance(value, list) and value:
        return [f"{number}. {_readable(item)}" for number, item in enumerate(value, 1)]
    return [_readable(value)]


def _readable(value: Any) -> str:
    """A text as it is, so that it can be copied; what is no text by its canonical text."""
    if value is None or value in ([], ""):
        return _written(value)
    from joiner.expressions.values import canonical_text

    return plain(canonical_text(value))


def _written(value: Any) -> str:
    """A value as the table of steps has it: texts in quotation marks, so that each can be told from null."""
    if value is None or value == []:
        return "null"
    if isinstance(value, list):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, (str, dict)):
        return plain(json.dumps(value, ensure_ascii=False))
    return _readable(value)


def _show_steps(output: Output, steps: "Sequence[Step]") -> None:
    output.table(["part", "value"], [(f"{'  ' * step.depth}{_shortened(step.text)}", _told(step)) for step in steps])


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= WIDEST_PART else f"{line[: WIDEST_PART - 1]}…"


def _told(step: "Step") -> "Text":
    from rich.text import Text

    outcome = step.outcome
    if outcome.result == "value":
        return Text(_written(outcome.value))
    if outcome.result == "error":
        return Text(f"error: {plain(outcome.error)}", style="red")
    return Text(IGNORED.get(outcome.result, outcome.result), style="dim")


def _document(expression: str, steps: "Sequence[Step]", cautions: "Sequence[Caution]") -> dict[str, Any]:
    return {
        "expression": expression,
        **_outcome_document(steps[0].outcome),
        "cautions": [{"problem": caution.problem, "position": caution.position} for caution in cautions],
        "steps": [
            {"text": step.text, "position": step.position, "depth": step.depth, **_outcome_document(step.outcome)}
            for step in steps
        ],
    }


def _outcome_document(outcome: "Outcome") -> dict[str, Any]:
    return {"result": outcome.result, "value": _for_json(outcome.value), "error": outcome.error or None}


def _for_json(value: Any) -> Any:
    from joiner.expressions.values import canonical_text, well_formed

    if isinstance(value, list):
        return [_for_json(item) for item in value] or None
    if isinstance(value, str):
        return well_formed(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return {name: _for_json(item) for name, item in value.items()}
    # A number may be larger than JSON's readers take, and a date has no form of its own.
    return value if isinstance(value, int) and abs(value) < 1 << 53 else canonical_text(value)


# A file of vectors


def _check_vectors(output: Output, path: Path, environment: "Environment") -> None:
    """Ends the command with exit code 1 if any vector fails."""
    from joiner.expressions.vectors import failures, read_vectors

    try:
        vectors = read_vectors(_read_json(path))
    except InvalidValueError as error:
        raise InvalidValueError(f"{path}: {error}") from None
    failed = failures(vectors, environment)

    def show(out: Output) -> None:
        for failure in failed:
            _show_failure(out, failure)
        out.raw(summary_of(len(vectors), len(failed)))

    document = {
        "vectors": len(vectors),
        "failed": [
            {
                "id": failure.vector.id,
                "expression": failure.vector.expression,
                "expected": failure.vector.expected,
                "got": _for_json(failure.got),
            }
            for failure in failed
        ],
    }
    output.show(document, show)
    if failed:
        raise typer.Exit(FAILED)


def _show_failure(output: Output, failure: "Failure") -> None:
    vector, got = failure.vector, failure.got
    is_error = isinstance(got, dict) and "$error" in got
    for line in (
        f"{vector.id or 'a vector without id'}: {' '.join(vector.expression.split())}",
        f"  expected  {_written(vector.expected)}",
        f"  got       {'error: ' + got['$error'].splitlines()[0] if is_error else _written(got)}",
        "",
    ):
        output.raw(plain(line))
