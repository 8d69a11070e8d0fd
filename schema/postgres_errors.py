"""How PostgreSQL fails, in our words: asyncpg's errors turned into ours at the border."""

from __future__ import annotations

from typing import Final

import asyncpg

from schema.address import distrust
from schema.errors import DatabaseUnavailable, SchemaError

UNAVAILABLE: Final = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # used between the server's goodbye and the end of the connection
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.CannotConnectNowError,
    asyncpg.TransactionRollbackError,
    asyncpg.InvalidTransactionStateError,
    asyncpg.ReadOnlySQLTransactionError,
)

_NOT_MIGRATED: Final = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)
_MET: Final = frozenset({"objects_pkey", "objects_external_key", "people_pkey", "people_external_key"})
"""ON CONFLICT watches one of a table's two unique rules; two transactions inserting the same row at the same moment
may meet on the other one."""


class translated:  # noqa: N801  a context manager used like a keyword
    """Turn asyncpg's errors into ours at the border; anything that is a fault of the statement passes as it is."""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None or isinstance(error, DatabaseUnavailable):
            return
        if isinstance(error, _NOT_MIGRATED):
            raise SchemaError(f"{error}; run `kb-ingest migrate` first") from error
        if isinstance(error, asyncpg.InsufficientPrivilegeError):
            raise SchemaError(
                f"{error}; connect as the schema's owner, or grant the user the program's role"
            ) from error
        if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError | asyncpg.InvalidCatalogNameError):
            raise DatabaseUnavailable(f"PostgreSQL refused the connection: {error}; check DATABASE_URL") from error
        if isinstance(error, asyncpg.UniqueViolationError) and error.constraint_name in _MET:
            raise DatabaseUnavailable("two writers met on a new row; the second one tries again") from error
        # asyncpg's ValueErrors are about arguments and our own fault; that of a certificate is an OSError as well
        if isinstance(error, OSError) or (isinstance(error, UNAVAILABLE) and not isinstance(error, ValueError)):
            raise DatabaseUnavailable(describe(error)) from error


def describe(error: BaseException) -> str:
    """An error in one line, without the statement or its arguments."""
    if isinstance(error, TimeoutError):
        return "PostgreSQL did not answer in time"
    if (why := distrust(error, authority="sslrootcert")) is not None:
        return f"PostgreSQL is not connected to: {why}; see DATABASE_URL"
    said = f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else type(error).__name__
    if isinstance(error, OSError):
        return f"PostgreSQL cannot be reached, check DATABASE_URL and the server ({said})"
    return said


def is_spent(error: BaseException) -> bool:
    """Whether the connection leads to a server that is no longer the one to ask: a primary that became a standby keeps
    its connections and refuses what they write, for as long as they are kept.
    """
    return isinstance(error, asyncpg.ReadOnlySQLTransactionError)


def is_conflict(error: BaseException) -> bool:
    """Whether the statement broke a uniqueness rule."""
    return isinstance(error, asyncpg.UniqueViolationError)
