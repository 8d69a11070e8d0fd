"""How the database says no, in our words."""

from __future__ import annotations


class DatabaseUnavailable(Exception):
    """The database cannot be reached or did not answer in time; the same call may succeed later."""


class SchemaError(DatabaseUnavailable):
    """The schema or the user's rights are not what this program needs; the message says what to do.

    For a running program that is a kind of absence: it waits, and goes on once somebody has migrated.
    """
