"""What django-scim2 leaves to the application: who may call, and the columns that can be filtered by."""

import os
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, ClassVar

from django.http import HttpRequest, HttpResponse
from django_scim.filters import UserFilterQuery

AUTHORIZATION = f"Bearer {os.environ['SCIM_TOKEN']}"


class FilterByExternalId(UserFilterQuery):
    attr_map: ClassVar = {**UserFilterQuery.attr_map, ("externalId", None, None): "scim_external_id"}


def authenticate(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    def middleware(request: Any) -> HttpResponse:
        is_known = request.headers.get("Authorization") == AUTHORIZATION
        request.user = SimpleNamespace(is_authenticated=is_known, is_anonymous=not is_known)
        return get_response(request)

    return middleware
