"""`joiner job upload`: people from a file to an inbound job."""

import asyncio
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Final

import typer

from joiner.cli import cycles
from joiner.cli.client import ApiError, Client, DetailedError
from joiner.cli.command import FAILED, HELD, command
from joiner.cli.jobs import JobArgument
from joiner.cli.logs import PATH
from joiner.cli.lookup import SERVICE_PRINCIPALS, Document, FoundJob, find_job, literal
from joiner.cli.output import Output
from joiner.clock import system_clock, to_iso

app = typer.Typer()
ADDRESS: Final = re.compile(r"(?:.*/)?servicePrincipals/([^/?]+)/synchronization/jobs/([^/?]+).*", re.IGNORECASE)
MEDIA_TYPE: Final = "application/scim+json"
TOO_MANY: Final = 429
LONGEST_WAIT: Final = 5
"""Seconds: a server that wants more does not have too many requests, but too many people that wait."""
WORDS: Final = {**cycles.OUTCOMES, "other": "left as they are", "stagedDelete": "held back"}


@command(app, "upload", engine=True)
async def upload(
    client: Client,
    output: Output,
    name: JobArgument,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A SCIM BulkRequest; `-` reads the standard input.")],
) -> None:
    """Send people to an inbound job, in as many requests as it takes, and say what becomes of them."""
    pieces = _pieces(file)
    found = await _find(client, name)
    began = to_iso(system_clock())
    await _send(client, found, pieces)
    number = sum(operations for operations, _ in pieces)
    title = found.application["displayName"]
    accepted = f"{_people(number)} accepted by the job of {title}, in {len(pieces)} request{'s'[: len(pieces) != 1]}."
    result = {"jobId": found.job["id"], "operations": number, "requests": len(pieces), "outcomes": None}
    if client.is_remote or found.job["schedule"]["state"] != "Active":
        output.show(result, lambda out: out.say(accepted, _what_follows(found.job)))
        return
    # Nobody else would work it off.
    cycle = await _work_off(client, found, title)
    outcomes = await _outcomes(client, found, began)

    def view(out: Output) -> None:
        out.say(accepted)
        told = ", ".join(f"{outcomes[key]} {word}" for key, word in WORDS.items() if outcomes[key])
        out.say(f"What became of them: {told or 'nothing'}. joiner logs JOB tells more.")
        if cycle["state"] in cycles.BAD or cycle["stagedDeletes"]:
            cycles.show_summary(out, cycle, title)

    output.show({**result, "outcomes": {key: outcomes[key] for key in WORDS}}, view)
    if cycle["state"] in cycles.BAD:
        raise typer.Exit(FAILED)
    if cycle["stagedDeletes"]:
        raise typer.Exit(HELD)


def _pieces(file: Path) -> list[tuple[int, bytes]]:
    """The bodies to send, each with the number of its operations. Raises DetailedError."""
    from joiner.provisioning.inbound.messages import UploadError, parse_upload, written_uploads

    name = "the standard input" if str(file) == "-" else str(file)
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise DetailedError(f"{file} cannot be read: {error.strerror}") from None
    try:
        return list(written_uploads(parse_upload(content, most=None)))
    except UploadError as error:
        details = [f"{place} {told}".strip() for place, told in error.problems]
        raise DetailedError(f"{name} cannot be uploaded; nothing was sent", details) from None


async def _find(client: Client, name: str) -> FoundJob:
    """By its address alone, which is enough for a key that may only upload, or as in every command."""
    address = ADDRESS.fullmatch(name)
    if address is None:
        return await find_job(client, name)
    job = await client.get(f"{SERVICE_PRINCIPALS}/{address[1]}/synchronization/jobs/{address[2]}")
    return FoundJob({"id": address[1], "displayName": job["id"]}, job)


async def _send(client: Client, found: FoundJob, pieces: list[tuple[int, bytes]]) -> None:
    """Raises ApiError, which says how many were accepted before."""
    sent = 0
    for operations, content in pieces:
        while True:
            try:
                await client.post_raw(f"{found.path}/bulkUpload", content, MEDIA_TYPE)
                break
            except ApiError as error:
                if error.status == TOO_MANY and error.retry_after and error.retry_after <= LONGEST_WAIT:
                    await asyncio.sleep(error.retry_after)
                    continue
                if not sent:
                    raise
                told = f"{_people(sent)} accepted, those from Operations[{sent}] on not: {error}"
                raise ApiError(error.status, told, error.details) from None
        sent += operations


async def _work_off(client: Client, found: FoundJob, title: str) -> Document:
    """Runs a cycle that began after everything was sent; one that runs already may have passed the uploads by."""
    sent = to_iso(system_clock())
    while True:
        cycle = await cycles.run_cycle(client, found.path, title)
        if cycle["beganDateTime"] >= sent or cycle["state"] in cycles.BAD:
            return cycle


async def _outcomes(client: Client, found: FoundJob, began: str) -> Counter[str]:
    """What the log says since then: action, or `skipped` or `failure` → number of entries."""
    counts: Counter[str] = Counter()
    condition = f"jobId eq {literal(found.job['id'])} and activityDateTime ge {began}"
    async for entry in client.items(PATH, filter=condition, top="1000"):
        action, status = entry["provisioningAction"], entry["provisioningStatusInfo"]["status"]
        is_done = action == "stagedDelete" or status not in ("skipped", "failure")
        counts[action if is_done else status] += 1
    return counts


def _what_follows(job: Document) -> str:
    if job["schedule"]["state"] != "Active":
        return "The job is not started, and keeps them: joiner job start JOB, or once: joiner job run JOB."
    return "What becomes of them: joiner logs JOB"


def _people(number: int) -> str:
    return "1 person" if number == 1 else f"{number} people"
