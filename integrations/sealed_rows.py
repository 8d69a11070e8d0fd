"""The rows that hold something sealed: the names it is bound to, and what is in it, opened."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import orjson

from integrations.sealing import Keyring, SealError

FORMER_NAMES: Final = {"api_token": "token"}
"""What an earlier system called a setting, and what we do."""


def settings_row(integration_id: UUID) -> str:
    """The name that an integration's settings are sealed for."""
    return f"integrations/{integration_id}/settings"


def secret_row(secret_id: UUID) -> str:
    """The name that a webhook's secret is sealed for."""
    return f"webhook_secrets/{secret_id}"


def open_settings(keyring: Keyring, integration_id: UUID, sealed: bytes | None) -> dict[str, Any]:
    """An integration's settings under today's names, whoever sealed them. Raises `SealError`."""
    row = settings_row(integration_id)
    try:
        opened = orjson.loads(keyring.open(sealed or b"", row=row))
    except orjson.JSONDecodeError:
        raise SealError(f"{row} opens, but holds no JSON; connect the integration anew") from None
    if not isinstance(opened, dict):
        raise SealError(f"{row} opens, but holds no JSON object; connect the integration anew")
    today = {name: value for name, value in opened.items() if name not in FORMER_NAMES}
    return {FORMER_NAMES[name]: opened[name] for name in FORMER_NAMES if name in opened} | today


def open_secret(keyring: Keyring, secret_id: UUID, sealed: bytes) -> str:
    """A webhook's secret. Raises `SealError`."""
    row = secret_row(secret_id)
    try:
        return keyring.open(sealed, row=row).decode()
    except UnicodeDecodeError:
        raise SealError(
            f"{row} opens, but holds no text; exchange it with `kb-ingest webhook repair --rotate`"
        ) from None
