"""What an administrator does to the job while it runs."""

from collections.abc import Awaitable, Callable
from typing import Final

from tests.simulation.events import DEPARTMENTS
from tests.simulation.world import World

JobEvent = Callable[[World], Awaitable[str]]


async def edit_mapping(world: World) -> str:
    intention = world.intention
    intention.title_from = "city" if intention.title_from == "jobTitle" else "jobTitle"
    await _save_schema(world)
    return f"the title is mapped from {intention.title_from}"


async def edit_filter(world: World) -> str:
    intention = world.intention
    intention.department = None if intention.department else world.rng.choice(DEPARTMENTS)
    await _save_schema(world)
    return f"the filter lets {intention.department or 'everybody'} pass"


async def restart(world: World) -> str:
    await world.admin.side.service.restart(world.job_id, None)
    return "the job is restarted"


async def run_now(world: World) -> str:
    # By the process that works: what the scheduler of another one began would run twice.
    await world.process.side.service.run_now(world.job_id)
    return "a cycle is run by hand"


async def forget_links(world: World) -> str:
    await world.admin.side.service.restart(world.job_id, "Full")
    return "the job is restarted, and matches everything again"


async def pause(world: World) -> str:
    await world.admin.side.service.pause(world.job_id)
    return "the job is paused"


async def start(world: World) -> str:
    await world.admin.side.service.start(world.job_id)
    return "the job is started"


async def allow_deletes(world: World) -> str:
    """All that are held back, or one of them."""
    service = world.admin.side.service
    staged = service.removals.staged(world.job_id)
    chosen = staged if world.rng.random() < 0.5 else staged[:1]
    world.guard.allowed |= {(item.object_id, item.member_id or "") for item in chosen}
    await service.removals.allow(world.job_id, [item.id for item in chosen])
    return f"the administrator allows {len(chosen)} of {len(staged)} deletions"


async def allow_all_deletes(world: World) -> str:
    """All that are held back now."""
    staged = world.admin.side.service.removals.staged(world.job_id)
    world.guard.allowed |= {(item.object_id, item.member_id or "") for item in staged}
    if world.rng.random() < 0.5:
        await world.admin.side.service.restart(world.job_id, "ForceDeletes")
    else:
        await world.admin.side.service.removals.allow(world.job_id, None)
    return f"the administrator allows all {len(staged)} deletions"


async def reject_deletes(world: World) -> str:
    """They are found again when they change, or by an initial cycle."""
    number = await world.admin.side.service.removals.reject(world.job_id, None)
    world.has_rejected |= number > 0
    return f"the administrator rejects {number} deletions"


async def expire_token(world: World) -> str:
    world.target.token = f"token-{world.new_number()}"
    return "the token expires"


async def renew_token(world: World) -> str:
    pairs = [("SecretToken", world.target.token)]
    await world.admin.side.service.connections.put_credentials(world.principal_id, pairs)
    return "the new token is entered"


async def _save_schema(world: World) -> None:
    """A cycle that runs ends on the schema it began with; the next one is initial (REQ-P-143)."""
    await world.admin.side.schemas.replace(world.job_id, world.schema_document())


JOB_EVENTS: Final[tuple[tuple[int, JobEvent], ...]] = (
    (3, edit_mapping),
    (3, edit_filter),
    (2, restart),
    (2, pause),
    (4, start),
    (1, expire_token),
    (3, renew_token),
)
GUARD_EVENTS: Final[tuple[tuple[int, JobEvent], ...]] = (
    (3, allow_deletes),
    (2, allow_all_deletes),
    (1, reject_deletes),
)
"""What an administrator may answer when deletions are held back."""
