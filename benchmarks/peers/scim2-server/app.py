"""scim2-server as its documentation sets it up: the ASGI application over its storage in memory, and a bearer token."""

import os

from scim2_models import UnauthorizedException
from scim2_server.applications.asgi import ASGIApplication
from scim2_server.memory import AsyncInMemoryStorage, InMemoryStorage
from scim2_server.requests import ScimRequest
from scim2_server.utils import load_default_provider

AUTHORIZATION = f"Bearer {os.environ['SCIM_TOKEN']}"


class Application(ASGIApplication):
    def check_auth(self, request: ScimRequest) -> None:
        if request.header("Authorization") != AUTHORIZATION:
            raise UnauthorizedException


app = Application(AsyncInMemoryStorage(InMemoryStorage()), load_default_provider())
