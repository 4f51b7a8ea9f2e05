"""Who makes a request, as the logs name them."""

from starlette.requests import Request

from joiner.directory.api_keys import Principal
from joiner.ids import derived_id
from joiner.provisioning.log.audit import Actor


def actor_of(request: Request) -> Actor:
    """The holder of the key that the request was authorised by."""
    principal: Principal = request.state.principal
    return Actor(derived_id("principal", principal.name), principal.name, "user")
