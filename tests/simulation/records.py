"""What the engine has written down, compared with what it did: watermarks, escrows, and the provisioning log."""

from collections.abc import Iterator

from joiner.provisioning.log.journal_packing import EPOCH, MICROSECOND, source_key
from tests.simulation.world import World

BLOCKED = ("Conflict", "DuplicateSourceEntries")
"""Failures that only an administrator can end: a name that two people have."""


def false_records(world: World) -> Iterator[str]:
    """What must never be in the database, whatever happened."""
    for row in world.rows("SELECT id, error FROM cycle WHERE error LIKE '%InternalError%'"):
        yield f"the cycle {row['id']} failed: {row['error']}"
    last = world.rows(
        "SELECT to_position FROM cycle WHERE state IN ('succeeded', 'entry_level_errors') AND plan IS NULL"
        " ORDER BY rowid"
    )
    watermark = world.job.watermark
    if watermark is not None and watermark != last[-1]["to_position"]:
        yield f"the watermark is {watermark}, and the last cycle that ran through read up to {last[-1]['to_position']}"


def unfinished_work(world: World) -> Iterator[str]:
    """What the engine still means to do."""
    for row in world.rows("SELECT * FROM escrow"):
        if row["error_code"] not in BLOCKED:
            yield f"{world.named(row['source_id'])} is in escrow: {row['error_code']}: {row['reason']}"
    for table in ("pending_reference", "intent", "removal"):
        for row in world.rows(f"SELECT * FROM {table}"):
            yield f"left over in {table}: {world.named(row['source_id'])} {tuple(row)}"
    for row in world.rows("SELECT id FROM cycle WHERE state = 'running'"):
        yield f"the cycle {row['id']} still runs"


def is_blocked(world: World) -> bool:
    """Something will be tried in every cycle in vain."""
    return bool(world.rows("SELECT 1 FROM escrow WHERE error_code IN (?, ?)", *BLOCKED))


def unlogged_writes(world: World) -> Iterator[str]:
    """Every write that took effect has a log entry of its object, of that cycle or the one that went on with it."""
    rows = world.rows("SELECT source_id, max(at) AS latest FROM journal GROUP BY source_id")
    latest = {row["source_id"]: EPOCH + row["latest"] * MICROSECOND for row in rows}
    for write in world.target.effects:
        if write.owner not in world.intention.people and write.owner not in world.intention.teams:
            # The update that made it the job's was acknowledged and lost.
            continue
        logged = latest.get(source_key(write.owner))
        if logged is None or logged < write.at:
            yield f"the log does not know of {write.request}, which wrote {world.named(write.owner)} at {write.at}"


def unlogged_objects(world: World) -> Iterator[str]:
    """An initial cycle says of every object what it decided (REQ-P-131)."""
    cycle = world.last_cycle()
    assert cycle is not None
    rows = world.rows(
        "SELECT source_id FROM journal WHERE run = (SELECT number FROM journal_run WHERE cycle_id = ?)", cycle.id
    )
    logged = {row["source_id"] for row in rows}
    known = {person.id: person.name for person in world.intention.people.values() if not person.is_purged}
    known |= {team.id: team.name for team in world.intention.teams.values() if not team.is_deleted}
    for id_, name in known.items():
        if source_key(id_) not in logged:
            yield f"the log of the {cycle.kind} cycle does not name {name}"
