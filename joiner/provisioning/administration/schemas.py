"""What an administrator does with a job's schema document: read, check, replace, go back, discover the target.

Each change is one transaction, and refused as a whole if the document cannot be used. Nothing here knows HTTP.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from joiner.clock import Clock, to_iso
from joiner.errors import InvalidStateError, NotFoundError
from joiner.provisioning.client.target import ScimTarget
from joiner.provisioning.cycle import standing
from joiner.provisioning.document.changes import Change, changes_between
from joiner.provisioning.document.check import Before, check_document
from joiner.provisioning.document.completion import complete_document
from joiner.provisioning.document.discovery import definitions_of, resource_type_of, with_discovered
from joiner.provisioning.document.findings import Report
from joiner.provisioning.document.text import read_document, write_document
from joiner.provisioning.job import credentials, jobs
from joiner.provisioning.job.jobs import Job
from joiner.provisioning.job.schema_versions import (
    Reason,
    SchemaVersion,
    look_at_everything,
    save_schema,
    schema_text,
    version_name,
    version_text,
    versions_of,
)
from joiner.provisioning.job.templates import template_by_id
from joiner.provisioning.log import audit
from joiner.provisioning.log.audit import SERVICE_ITSELF, Actor, AuditChange
from joiner.provisioning.mapping.schema import SchemaError, words_of
from joiner.storage.sqlite import Database
from joiner.vault import Vault

Document = Mapping[str, Any]
OpenJobTarget = Callable[[Job], AbstractAsyncContextManager[ScimTarget]]
"""Opens the target of a job with its stored credentials; raises ForbiddenTargetError, InvalidStateError."""


class Schemas:
    """The operations on schema documents. Documents are those of `read_document`: nothing is lost on the way."""

    def __init__(
        self, db: Database, vault: Vault, clock: Clock, open_target: OpenJobTarget, wake: Callable[[], None]
    ) -> None:
        self._db = db
        self._vault = vault
        self._clock = clock
        self._open_target = open_target
        self._wake = wake

    def text(self, job_id: str) -> str:
        """The document as it is stored. Raises NotFoundError."""
        return schema_text(self._db.reader, job_id)

    def document(self, job_id: str) -> dict[str, Any]:
        """The present document. Raises NotFoundError."""
        return read_document(self.text(job_id))

    def check(self, job_id: str, document: Document) -> tuple[Report, list[Change]]:
        """What is wrong with the document as the job's next one, and what it would change."""
        job = jobs.job_by_id(self._db.reader, job_id)
        before = self._before(self._db.reader, job)
        return check_document(document, before), changes_between(before.stored, _named(document, job, before.stored))

    def as_next(self, job_id: str, document: Document) -> str:
        """The text that the document would be kept as. Raises SchemaError with every problem."""
        job = jobs.job_by_id(self._db.reader, job_id)
        before = self._before(self._db.reader, job)
        report = check_document(document, before)
        if report.errors:
            raise SchemaError(report.errors)
        return write_document(_named(document, job, before.stored, version=job.schema_version + 1))

    async def replace(
        self, job_id: str, document: Document, reason: Reason = "replaced", by: Actor = SERVICE_ITSELF
    ) -> None:
        """The document becomes the job's; a cycle that runs ends on the old one, the next one is initial.

        A document that changes nothing makes no new version. Raises SchemaError with every problem.
        """

        def work(connection: sqlite3.Connection) -> None:
            job = jobs.job_by_id(connection, job_id)
            before = self._before(connection, job)
            report = check_document(document, before)
            if report.errors:
                raise SchemaError(report.errors)
            now = self._clock()
            if write_document(_named(document, job, before.stored)) == schema_text(connection, job_id):
                look_at_everything(connection, job_id, now)
            else:
                completed = _named(document, job, before.stored, version=job.schema_version + 1)
                save_schema(connection, job, write_document(completed), reason, now, reevaluates=True)
                _note(connection, job, reason, now, by)
            standing.lift(connection, job, now, by)

        await self._db.write(work)
        self._wake()

    async def restore(self, job_id: str, by: Actor = SERVICE_ITSELF) -> None:
        """The template's mappings, filters and attribute lists again (REQ-P-018)."""
        await self.replace(job_id, self.template(job_id), "restored", by)

    def template(self, job_id: str) -> Document:
        """The document that the job began with. Raises NotFoundError."""
        return template_by_id(jobs.job_by_id(self._db.reader, job_id).template_id).schema

    def versions(self, job_id: str) -> list[SchemaVersion]:
        """Newest first; the first of them is the present one."""
        return versions_of(self._db.reader, job_id)

    def version_text(self, job_id: str, name: str) -> str:
        """The document of a version such as `v1.3`. Raises NotFoundError."""
        return version_text(self._db.reader, job_id, self._version(job_id, name))

    def version(self, job_id: str, name: str) -> Document:
        """As `version_text`, as a document."""
        return read_document(self.version_text(job_id, name))

    async def roll_back(self, job_id: str, name: str, by: Actor = SERVICE_ITSELF) -> None:
        """An earlier version becomes the next one. Raises NotFoundError, SchemaError."""
        await self.replace(job_id, self.version(job_id, name), "rolled back", by)

    async def discover(self, job_id: str, directory_id: str, by: Actor = SERVICE_ITSELF) -> tuple[Document, list[str]]:
        """Adds to the target's attribute list what its `/Schemas` has besides; the directory and the new names.

        Mappings stay as they are, so the next cycle is what it would have been. Raises NotFoundError,
        InvalidStateError if the directory cannot be discovered, TargetError.
        """
        job = jobs.job_by_id(self._db.reader, job_id)
        _discoverable(self.document(job_id), directory_id)
        async with self._open_target(job) as target:
            schemas, types = await target.describe("/Schemas"), await target.describe("/ResourceTypes")

        def work(connection: sqlite3.Connection) -> tuple[Document, list[str]]:
            current = jobs.job_by_id(connection, job_id)
            document = read_document(schema_text(connection, job_id))
            directory = _discoverable(document, directory_id)
            added = _add_discovered(directory, schemas, types)
            now = self._clock()
            directory["discoveryDateTime"] = to_iso(now)
            directory["version"] = str(_next_version(directory))
            named = _named(document, current, document, version=current.schema_version + 1)
            save_schema(connection, current, write_document(named), "discovered", now, reevaluates=False)
            _note(connection, current, "discovered", now, by)
            return directory, added

        return await self._db.write(work)

    def _before(self, connection: sqlite3.Connection, job: Job) -> Before:
        stored = credentials.read_credentials(connection, self._vault, job.service_principal_id)
        return Before(
            template_by_id(job.template_id).schema,
            read_document(schema_text(connection, job.id)),
            credentials.is_true(stored.get("SyncAll")),
        )

    def _version(self, job_id: str, name: str) -> int:
        for version in self.versions(job_id):
            if version.name == name:
                return version.version
        raise NotFoundError(f"there is no version '{name}' of this schema; `v1.0` is the first")


def _note(connection: sqlite3.Connection, job: Job, reason: Reason, now: datetime, by: Actor) -> None:
    version = job.schema_version
    change = AuditChange("schema.version", version_name(version), version_name(version + 1))
    audit.note(
        connection, "Update attribute mappings or scope", now, by, job.service_principal_id, job_id=job.id,
        changes=(change,), reason=f"the schema was {reason}",
    )  # fmt: skip


def directories_of(document: Document) -> list[dict[str, Any]]:
    """The directory definitions, as they are in the document."""
    found = document.get("directories")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def directory_by_id(document: Document, directory_id: str) -> dict[str, Any]:
    """The definition with this id or name. Raises NotFoundError."""
    for directory in directories_of(document):
        if directory_id in (directory.get("id"), directory.get("name")):
            return directory
    raise NotFoundError(f"the schema has no directory '{directory_id}'")


def _next_version(directory: Document) -> int:
    version = str(directory.get("version") or "0")
    return int(version) + 1 if version.isascii() and version.isdigit() and len(version) < 9 else 1


def _discoverable(document: Document, directory_id: str) -> dict[str, Any]:
    directory = directory_by_id(document, directory_id)
    if not [word for word in words_of(directory.get("discoverabilities")) if word.lower() != "none"]:
        raise InvalidStateError(f"the attributes of '{directory.get('name')}' cannot be discovered")
    return directory


def _add_discovered(directory: dict[str, Any], schemas: list[dict[str, Any]], types: list[dict[str, Any]]) -> list[str]:
    """Adds to the lists in place; the names of what is new."""
    found = directory.get("objects")
    objects = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    named = {kind: str(each["name"]) for each in objects if (kind := resource_type_of(str(each.get("name"))))}
    added: list[str] = []
    for each in objects:
        kind = resource_type_of(str(each.get("name")))
        if kind is not None:
            definitions = definitions_of(kind, schemas, types, named)
            each["attributes"], names = with_discovered(each.get("attributes") or [], definitions)
            added += names
    return added


def _named(document: Document, job: Job, stored: Document, version: int | None = None) -> dict[str, Any]:
    """The document as the job's: completed, with the job's id, and the version that the server sets."""
    own = {"id": job.id, "version": version_name(version or job.schema_version)}
    return {**{name: own[name] for name in own if name not in document}, **complete_document(document, stored), **own}
