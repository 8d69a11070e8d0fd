"""API tokens: made once, known by their hash, revoked for good.

Promises: the token is in no row and in no error; only its SHA-256 is. It has 256 random bits, so nobody can guess it
or try all of them, and a slow hash, which protects passwords that people choose, would only cost time.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from schema.postgres import Database, Row

PREFIX: Final = "kbi_"
OCTETS: Final = 32
_FORM: Final = re.compile(r"kbi_[A-Za-z0-9_-]{43}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to be kept."""

    id: UUID
    name: str
    hash: bytes
    scopes: Sequence[str]
    org_id: str | None
    project_id: UUID | None
    created_at: datetime
    created_by: str
    expires_at: datetime | None


def opaque(random: bytes) -> str:
    """Random octets as text that fits a header and a cookie: base64url without padding."""
    return base64.urlsafe_b64encode(random).rstrip(b"=").decode()


def text(random: bytes) -> str:
    """A token, from 32 random octets."""
    return PREFIX + opaque(random)


def is_token(value: str) -> bool:
    """Whether it has the form of a token."""
    return _FORM.fullmatch(value) is not None


def digest(value: str) -> bytes:
    """What is kept of a token or a cookie."""
    return hashlib.sha256(value.encode()).digest()


async def create(database: Database, new: NewToken) -> None:
    """Keep a new token."""
    await database.execute(
        "token_create",
        new.id,
        new.name,
        new.hash,
        list(new.scopes),
        new.org_id,
        new.project_id,
        new.created_at,
        new.created_by,
        new.expires_at,
    )


async def everything(database: Database) -> list[Row]:
    """All tokens, newest first, without their hashes."""
    return await database.fetch("token_list")


async def revoke(database: Database, token_id: UUID, *, at: datetime) -> bool:
    """Let a token count no longer; whether there is one with this id."""
    return await database.execute("token_revoke", token_id, at) == 1


async def find(database: Database, hash_: bytes) -> Row | None:
    """The token with this hash, expired and revoked ones too."""
    return await database.fetchrow("token_find", hash_)


async def used(database: Database, token_id: UUID, *, at: datetime) -> None:
    """Note that a token was good; written at most once a minute."""
    await database.execute("token_used", token_id, at)
