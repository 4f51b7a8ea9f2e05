"""How a function becomes a command: the options of every command, the client, and what happens to errors."""

import asyncio
import functools
import inspect
import os
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NoReturn, TypeVar

import typer

from joiner.cli.client import DetailedError, Target, connect
from joiner.cli.output import Output, plain
from joiner.errors import JoinerError
from joiner.server.loop import loop_factory

if TYPE_CHECKING:
    from joiner.server.instance import Side

T = TypeVar("T")
Body = TypeVar("Body", bound=Callable[..., Coroutine[Any, Any, None]])

PANEL: Final = "Options of every command"
FAILED: Final = 1
WRONG_USE: Final = 2
HELD: Final = 3
"""A guard has stopped what was asked for."""
PENDING: Final = 2
"""There are changes that have not been made: a plan has them, or drift was found."""
DETAILS_SHOWN: Final = 20
Form = Literal["text", "json"]

DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        metavar="DIR",
        envvar="JOINER_DATA",
        show_envvar=True,
        help="The embedded data folder, whether a server runs on it or not.",
        rich_help_panel=PANEL,
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option("--url", metavar="URL", envvar="JOINER_URL", help="A server elsewhere.", rich_help_panel=PANEL),
]
ApiKeyOption = Annotated[
    str | None,
    typer.Option(
        "--api-key",
        metavar="KEY",
        envvar="JOINER_API_KEY",
        help="The key for that server; better in JOINER_API_KEY or a file named by JOINER_API_KEY_FILE.",
        rich_help_panel=PANEL,
    ),
]
OutputOption = Annotated[
    Form,
    typer.Option("--output", help="Tables and sentences, or JSON for programs.", rich_help_panel=PANEL),
]
VARIABLES: Final = {"data": "JOINER_DATA", "url": "JOINER_URL"}
COMMON: Final = {"data": DataOption, "url": UrlOption, "api_key": ApiKeyOption, "output": OutputOption}


def command(
    app: typer.Typer,
    name: str,
    *,
    sides: "Sequence[Side]" = ("directory",),
    engine: bool = False,
    creates: bool = False,
    offline: Callable[[Mapping[str, Any]], bool] = lambda arguments: False,
) -> Callable[[Body], Body]:
    """Registers an asynchronous function `(client, output, …options)` as the command `name`.

    `sides`, `engine` and `creates` as for `connect`. `offline`: with these arguments the command works on files alone;
    its client is None.
    """

    def register(body: Body) -> Body:
        @functools.wraps(body)
        def run(*, data: Path | None, url: str | None, api_key: str | None, output: Form, **arguments: Any) -> None:
            if offline(arguments):
                run_async(body(None, Output(as_json=output == "json"), **arguments))
                return
            target = target_of(data, url, api_key)

            async def work() -> None:
                async with connect(target, sides=sides, engine=engine, creates=creates) as client:
                    await body(client, Output(as_json=output == "json"), **arguments)

            run_async(work())

        _add_options(run, body)
        app.command(name)(run)
        return body

    return register


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Runs the coroutine; an error that the user can understand becomes a line on standard error and exit code 1."""
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            return runner.run(work)
    except JoinerError as error:
        fail(error)


def fail(error: JoinerError) -> NoReturn:
    """Ends the command with one line that says what is wrong, and the particulars below it."""
    # A text of several lines names the particulars itself.
    details = error.details if isinstance(error, DetailedError) and "\n" not in str(error) else ()
    lines = [f"joiner: {error}", *(f"  {detail}" for detail in details[:DETAILS_SHOWN])]
    if len(details) > DETAILS_SHOWN:
        lines.append(f"  … and {len(details) - DETAILS_SHOWN} more")
    sys.stderr.write("".join(f"{plain(line)}\n" for line in lines))
    raise typer.Exit(FAILED)


def fail_use(message: str) -> NoReturn:
    """Ends the command because it was typed wrong."""
    sys.stderr.write(f"joiner: {plain(message)}\n")
    raise typer.Exit(WRONG_USE)


def _add_options(run: Callable[..., None], body: Callable[..., Any]) -> None:
    """Gives `run` the signature that typer reads: the body's own parameters, then those of every command."""
    own = list(inspect.signature(body).parameters.values())[2:]
    common = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default="text" if name == "output" else None,
            annotation=annotation,
        )
        for name, annotation in COMMON.items()
    ]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own] + common
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined] # functions may have one
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del run.__wrapped__  # type: ignore[attr-defined] # typer would read the body's signature instead


def target_of(data: Path | None, url: str | None, api_key: str | None) -> Target:
    """What the options name; an option that was typed counts more than a variable. Wrong use ends the command."""
    if data and url:
        typed = [
            name for name, value in (("data", str(data)), ("url", url)) if os.environ.get(VARIABLES[name]) != value
        ]
        if len(typed) != 1:
            fail_use("use either --data or --url")
        data, url = (data, None) if typed == ["data"] else (None, url)
    if url:
        key = api_key or _key_from_file()
        if not key:
            fail_use("--url needs --api-key, or JOINER_API_KEY, or JOINER_API_KEY_FILE")
        return Target(url=url, api_key=key)
    if not data:
        fail_use("say where to work: --data DIR, or --url URL with --api-key KEY")
    return Target(data=data)


def _key_from_file() -> str | None:
    path = os.environ.get("JOINER_API_KEY_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        fail(JoinerError(f"JOINER_API_KEY_FILE: {path} cannot be read: {error.strerror}"))
    except UnicodeDecodeError:
        fail(JoinerError(f"JOINER_API_KEY_FILE: {path} cannot be read: it is not UTF-8"))
