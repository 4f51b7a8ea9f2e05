"""Starts what is measured: Joiner, its peers, and the ceiling. Each runs on a free port of the loopback interface."""

import importlib.metadata
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import joiner as project
from benchmarks.environments import HERE, environment
from benchmarks.target import Target
from benchmarks.usage import Processes
from tests.processes import PATIENCE, joiner, serving
from tests.services import (
    PostgreSQL,
    accepts_connections,
    ending_with_us,
    free_port,
    require_program,
    run_postgresql,
)
from tests.waiting import wait_until

PEERS = HERE / "peers"
UVICORN = ("-m", "uvicorn", "--no-access-log", "--log-level", "warning", "--port", "{port}")


class StartError(Exception):
    """A server ended while it was starting. The text is the end of its log."""


@contextmanager
def joiner_sqlite(folder: Path) -> Iterator[Target]:
    """Our application side as it comes."""
    with _joiner(folder, "joiner", "SQLite, durable") as target:
        yield target


@contextmanager
def joiner_postgresql(folder: Path) -> Iterator[Target]:
    """Our application side on a PostgreSQL of its own."""
    with (
        run_postgresql(is_durable=True) as database,
        _joiner(
            *(folder, "joiner-postgresql", "PostgreSQL, durable", "--database-url", database.url()),
            database=_postmaster(database),
        ) as target,
    ):
        yield target


@contextmanager
def _joiner(folder: Path, name: str, stores: str, *arguments: str, database: int | None = None) -> Iterator[Target]:
    try:
        server = serving(folder / name, "--only", "application", *arguments)
        with server as running:
            token = joiner("token", "create", data=running.data).strip()
            processes = Processes(running.pid, *([database] if database else []))
            yield Target(name, project.__version__, stores, running.port, "/scim", token, processes, is_ours=True)
    except AssertionError as error:
        raise StartError(str(error)) from error


@contextmanager
def scim2_server(folder: Path) -> Iterator[Target]:
    """The independent Python implementation: pydantic models over a storage in memory, behind uvicorn."""
    command = (sys.executable, *UVICORN, "--app-dir", str(PEERS / "scim2-server"), "app:app")
    version = importlib.metadata.version("scim2-server")
    with _started("scim2-server", version, "memory", "/v2", command) as target:
        yield target


@contextmanager
def django_scim2(folder: Path) -> Iterator[Target]:
    """django-scim2 under gunicorn, on a PostgreSQL of its own; it keeps the attributes that Django's users have."""
    here = PEERS / "django-scim2"
    programs = environment(here) / "bin"
    with run_postgresql(is_durable=True) as database:
        variables = {
            "PGPORT": str(database.port),
            "PGUSER": database.user,
            "PGPASSWORD": database.password,
            "DJANGO_SETTINGS_MODULE": "configuration",
            "PYTHONPATH": str(here),
        }
        tables = [str(programs / "django-admin"), "migrate", "--run-syncdb", "--verbosity", "0"]
        made = subprocess.run(
            tables, env={**os.environ, **variables, "SCIM_TOKEN": "-"}, capture_output=True, text=True, check=False
        )
        if made.returncode:
            raise StartError(made.stderr[-400:])
        serve = ("--workers", "2", "--threads", "16", "--keep-alive", "75", "--log-level", "warning")
        application = "django.core.wsgi:get_wsgi_application()"
        command = (str(programs / "gunicorn"), "--bind", "127.0.0.1:{port}", *serve, application)
        version, master = _pinned(here, "django-scim2"), _postmaster(database)
        with _started("django-scim2", version, "PostgreSQL, durable", "/scim/v2", command, variables, master) as target:
            yield target


@contextmanager
def scimmy(folder: Path) -> Iterator[Target]:
    """SCIMMY for Node.js behind Express, over a store in memory with indexes."""
    here = PEERS / "scimmy"
    require_program("npm")
    command = (require_program("node"), str(environment(here) / "server.js"), "{port}")
    version: str = json.loads((here / "package.json").read_bytes())["dependencies"]["scimmy"]
    with _started("scimmy", version, "memory", "/scim", command) as target:
        yield target


@contextmanager
def ceiling(folder: Path) -> Iterator[Target]:
    """What Python and SQLite can give when nothing is left but storing and answering."""
    command = (sys.executable, *UVICORN, "benchmarks.ceiling:app")
    version = importlib.metadata.version("uvicorn")
    database = {"CEILING_DATABASE": str(folder / "ceiling.db")}
    with _started("ceiling", f"uvicorn {version}", "SQLite, durable", "", command, database) as target:
        target.only = ("w1", "w2", "w3")
        yield target


SERVERS: Mapping[str, Callable[[Path], AbstractContextManager[Target]]] = {
    "joiner": joiner_sqlite,
    "joiner-postgresql": joiner_postgresql,
    "scim2-server": scim2_server,
    "django-scim2": django_scim2,
    "scimmy": scimmy,
    "ceiling": ceiling,
}


@contextmanager
def _started(
    name: str,
    version: str,
    stores: str,
    prefix: str,
    command: tuple[str, ...],
    variables: Mapping[str, str] = {},
    database: int | None = None,
) -> Iterator[Target]:
    """Runs the command, with `{port}` replaced and the token in SCIM_TOKEN, until the block ends."""
    port, token = free_port(), secrets.token_urlsafe(24)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [*ending_with_us(signal.SIGTERM), *(part.replace("{port}", str(port)) for part in command)],
            env={**os.environ, **variables, "SCIM_TOKEN": token},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            wait_until(lambda: process.poll() is not None or accepts_connections(port), PATIENCE)
            if process.poll() is not None:
                log.seek(0)
                raise StartError(log.read()[-400:].decode("utf-8", "replace"))
            processes = Processes(process.pid, *([database] if database else []))
            yield Target(name, version, stores, port, prefix, token, processes)
        finally:
            _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            os.killpg(process.pid, number)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                continue


def _postmaster(database: PostgreSQL) -> int:
    """The process whose children are the database's other processes."""
    return int((database.socket_folder / "data/postmaster.pid").read_text().splitlines()[0])


def _pinned(folder: Path, package: str) -> str:
    """The version of the package that the folder's list pins."""
    lines = (folder / "requirements.txt").read_text().splitlines()
    return next(line.split()[0].partition("==")[2] for line in lines if line.startswith(f"{package}=="))
