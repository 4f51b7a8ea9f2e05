"""`joiner tutorial`: a directory is provisioned into an application, from nothing to the log, in seven steps.

Both sides run in this process and talk over real HTTP on loopback; every step is a call that any client could make.
"""

import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from joiner.cli import tutorial_results as results
from joiner.cli import tutorial_steps as steps
from joiner.cli.client import Client, remote
from joiner.cli.command import Form, fail_use, run_async
from joiner.cli.output import Output
from joiner.cli.tutorial_cast import choose_assignments, choose_cast
from joiner.cli.tutorial_story import Story
from joiner.errors import InvalidStateError

LEAD: Final = (
    "A directory keeps the accounts of an application in step: who joins gets an account, who moves is updated, who"
    " leaves is disabled. Both sides run here, in one process, and know each other only through SCIM over HTTP."
)


def tutorial(
    *,
    users: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Your own users: the portal's 'Download users'.")
    ] = None,
    groups: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Their groups: the portal's 'Download group members'.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Keep everything in this new folder. [default: a temporary one]")
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Keep both sides running afterwards.")] = False,
    output: Annotated[Form, typer.Option(help="Tables and sentences, or JSON for programs.")] = "text",
) -> None:
    """Provision a directory into an application, step by step: the example company, or your own people."""
    if groups and not users:
        fail_use("--groups needs --users: whose groups are they?")
    if data is not None and any((data / name).exists() for name in ("directory.db", "application.db")):
        fail_use(f"{data} is in use already; the tutorial needs a new folder")
    run_async(_tutorial(users, groups, data, serve, Output(as_json=output == "json")))


async def _tutorial(
    users: Path | None, groups: Path | None, data: Path | None, keeps_serving: bool, output: Output
) -> None:
    from joiner.server.serve import stop_signal

    story = Story(output)
    with contextlib.ExitStack() as closing:
        folder = data or Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="joiner-tutorial-")))
        async with _both_sides(folder) as client:
            result = await _tell(story, client, users, groups)
            if result["problems"]:
                raise InvalidStateError("the tutorial did not end as it should: " + "; ".join(result["problems"]))
            _tell_how_to_go_on(story, client.origin, result["token"], folder, data is not None, keeps_serving)
            if output.as_json:
                output.document(result)
            if keeps_serving:
                await stop_signal()


@contextlib.asynccontextmanager
async def _both_sides(folder: Path) -> AsyncIterator[Client]:
    """Both sides and the engine on a free port of loopback, and a client for them."""
    from joiner.config import Settings
    from joiner.server.data_folder import DataFolder, ServerAddress
    from joiner.server.instance import Instance
    from joiner.server.logs import configure_logging
    from joiner.server.serve import listening

    configure_logging("warning")
    opened = DataFolder.open(folder)
    try:
        settings = Settings(port=0)
        async with (
            Instance(opened, settings) as instance,
            listening(instance.app, settings) as url,
            instance.working(),
            remote(url, opened.local_key) as client,
        ):
            opened.announce(ServerAddress(url, os.getpid(), instance.sides))
            try:
                yield client
            finally:
                opened.withdraw()
    finally:
        opened.close()


async def _tell(story: Story, client: Client, users: Path | None, groups: Path | None) -> dict[str, Any]:
    """The seven steps; returns what a program wants to know. Raises JoinerError where a step fails."""
    story.title("Joiner: the tutorial", LEAD)
    token = await steps.make_token(story, client)
    company = await steps.import_people(story, client, users, groups)
    application = await steps.connect(story, client, token)
    choice = choose_assignments(company, is_example=users is None)
    await steps.assign(story, client, application, choice)
    job_path = await steps.create_job(story, client, application)
    story.step("Provision")
    initial = await steps.run_cycle(story, client, job_path)
    cast = choose_cast(company, choice)
    await steps.change_directory(story, client, application, cast)
    incremental = await steps.run_cycle(story, client, job_path)
    story.step("What happened: the provisioning log")
    await results.show_log(story, client, (initial, incremental))
    story.gap()
    story.tell("The application now holds, asked at its SCIM endpoint with the secret token:")
    held = await results.show_application(story, client.origin, token, cast)
    problems = await results.find_problems(client.origin, token, choice, cast)
    problems += [
        f"{cycle['counts']['failure']} objects failed in the {cycle['kind']} cycle"
        for cycle in (initial, incremental)
        if cycle["counts"]["failure"]
    ]
    return {
        "url": client.origin,
        "scimUrl": f"{client.origin}/scim",
        "token": token,
        "jobId": job_path.rpartition("/")[2],
        "cycles": [initial, incremental],
        "application": held,
        "problems": problems,
    }


def _tell_how_to_go_on(story: Story, url: str, token: str, folder: Path, is_kept: bool, keeps_serving: bool) -> None:
    story.gap()
    if keeps_serving:
        story.tell("Everything worked, and both sides go on:", style="bold green")
        story.line(f"Overview          {url}/")
        story.line(f"SCIM endpoint     {url}/scim")
        story.line(f"Graph-shaped API  {url}/v1.0")
        story.tell("Ask the application, or use any command, in another terminal:")
        story.line(f"curl -H 'Authorization: Bearer {token}' '{url}/scim/Users?count=2'")
        story.line(f"joiner logs ALVAO --data {folder}")
        story.tell("Stop with Ctrl+C.")
        return
    story.tell("Everything worked.", style="bold green")
    if is_kept:
        story.tell("Serve what was made here with:")
        story.line(f"joiner serve --data {folder}")
    else:
        story.tell(
            f"Both sides have stopped ({url}/scim and {url}/v1.0), and what they held is gone. To keep both running:"
        )
        story.line("joiner tutorial --serve")
