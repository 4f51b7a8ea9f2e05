"""What a store sees of a database, whichever it is: statements inside a transaction, and transactions.

Stores are written once, as coroutines over a `Session`. SQL is written with numbered marks (`?1`, `?2`), which mean the
same to both databases; where their languages differ, a store asks `session.dialect`.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, TypeVar

from joiner.errors import JoinerError

T = TypeVar("T")
Row = Sequence[Any]
Dialect = Literal["sqlite", "postgresql"]


class UniqueViolationError(JoinerError):
    """A statement would have broken a unique index. The text is the database's and not for clients."""


class UnavailableError(JoinerError):
    """The database cannot be reached, or cannot write: later it may. The text is not for clients.

    What was to be written is not there, unless the connection was lost in the moment of the commit.
    """


class Session(Protocol):
    """One transaction, or a reader that sees what has been committed."""

    dialect: Dialect

    async def row(self, sql: str, *values: Any) -> Row | None:
        """The first row, None if there is none. Raises UniqueViolationError."""

    async def rows(self, sql: str, *values: Any) -> Sequence[Row]:
        """All rows. Raises UniqueViolationError."""

    async def execute(self, sql: str, *values: Any) -> int:
        """The number of rows concerned. Raises UniqueViolationError."""

    async def attempt(self, work: "Work[T]") -> T:
        """Runs `work` inside this transaction. Whatever it raises undoes what it did, and only that."""


Work = Callable[[Session], Awaitable[T]]
"""What to do in a transaction. It may run more than once (a deadlock was broken), so it must not keep state, and it
awaits nothing but its session."""


class Storage(Protocol):
    """A database that stores can be written on. Once it is closed, reads and writes raise RuntimeError."""

    dialect: Dialect

    async def read(self, work: Work[T], *, long: bool = False) -> T:
        """Runs `work` on a reader. `long`: it may take more than a few milliseconds, so others must not wait for it.

        Raises UnavailableError.
        """

    async def write(self, work: Work[T], *, long: bool = False, single: bool = False) -> T:
        """Runs `work` in a transaction of its own and returns its result once that is durable.

        Whatever `work` raises undoes what it did, and only that, and is raised here. `single`: only its last statement
        writes, so that it needs no transaction around it. Raises UnavailableError.
        """

    async def close(self) -> None:
        """Waits for what was accepted, then closes. May be called twice."""
